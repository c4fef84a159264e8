//! Share what takes some microseconds with a second thread that is awake already.
//!
//! To wake a thread takes as long as to verify some fifty signatures. So the second one stays awake
//! for a moment after what it was given, and is woken for few pieces of many: where they follow
//! each other without a pause it is there for all the next ones, and where they do not, next to
//! nothing is lost. Where as many pieces are worked on as there are cores, none is shared. Nobody
//! depends on that thread, nor waits for a lock: what it has not begun, or not ended in time, is
//! done by the caller. A process that was forked beside it has none, and shares nothing.

use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, Thread};

use crate::cores::Threads;

/// Pieces of which one wakes the companion.
const WAKES: usize = 16;

/// How often the companion looks for more before it sleeps: in 20 to 80 microseconds.
const LOOKS: usize = 2_000;

/// How often a caller that has done its part looks for what the companion has begun, before it does
/// that as well: the system may have taken the core away from it.
const PATIENCE: usize = 2 * LOOKS;

static COMPANION: Companion = Companion {
    cores: AtomicUsize::new(0),
    callers: AtomicUsize::new(0),
    pieces: AtomicUsize::new(0),
    task: Mutex::new(None),
    tasks: AtomicUsize::new(0),
    awake: AtomicBool::new(false),
    started: AtomicBool::new(false),
    is_gone: AtomicBool::new(false),
    thread: OnceLock::new(),
    place: Threads::new(),
};

struct Companion {
    /// How many there are, once that was asked for.
    cores: AtomicUsize,
    /// Pieces that are being worked on.
    callers: AtomicUsize,
    /// Pieces that were begun.
    pieces: AtomicUsize,
    /// What was given last, unless somebody has taken it.
    task: Mutex<Option<Arc<dyn Task>>>,
    /// How many were given.
    tasks: AtomicUsize,
    awake: AtomicBool,
    started: AtomicBool,
    /// Whether this process was forked, beside it or before it was there.
    is_gone: AtomicBool,
    thread: OnceLock<Thread>,
    place: Threads,
}

trait Task: Send + Sync {
    fn run(&self);
}

/// Work for whoever begins it first, and what it gave.
struct Shared<T, F> {
    begun: AtomicBool,
    work: F,
    result: OnceLock<T>,
}

impl<T: Send + Sync, F: Fn() -> T + Send + Sync> Task for Shared<T, F> {
    fn run(&self) {
        if self.begun.swap(true, Ordering::AcqRel) {
            return;
        }
        // Where it panics there is no result, so that the caller works, and panics, itself.
        if let Ok(result) = catch_unwind(AssertUnwindSafe(&self.work)) {
            let _ = self.result.set(result);
        }
    }
}

/// In a forked process: nothing is shared from now on, for the companion was its parent's.
pub fn part() {
    COMPANION.is_gone.store(true, Ordering::Relaxed);
}

/// A caller's piece of work, from its beginning to its end.
pub struct Piece {
    shared: bool,
}

impl Piece {
    pub fn begin() -> Self {
        let callers = COMPANION.callers.fetch_add(1, Ordering::Relaxed) + 1;
        let wakes = COMPANION.pieces.fetch_add(1, Ordering::Relaxed) % WAKES == WAKES - 1;
        let awake = COMPANION.awake.load(Ordering::Relaxed);
        let expected = (wakes || awake) && !COMPANION.is_gone.load(Ordering::Relaxed);
        Self { shared: expected && callers < COMPANION.cores() }
    }

    /// Whether the companion is at hand for it.
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// What the caller's own part gives, and the companion's, whoever does that.
    pub fn share<T: Clone + Send + Sync + 'static, U>(
        &self,
        own: impl FnOnce() -> U,
        theirs: impl Fn() -> T + Send + Sync + 'static,
    ) -> (U, T) {
        let (begun, result) = (AtomicBool::new(false), OnceLock::new());
        let task = Arc::new(Shared { begun, work: theirs, result });
        COMPANION.give(task.clone());
        let own = own();
        task.run();
        COMPANION.take_back();
        for _ in 0..PATIENCE {
            if let Some(result) = task.result.get() {
                return (own, result.clone());
            }
            spin_loop();
        }
        (own, (task.work)())
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        COMPANION.callers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Companion {
    fn cores(&self) -> usize {
        let known = self.cores.load(Ordering::Relaxed);
        if known > 0 {
            return known;
        }
        let cores = thread::available_parallelism().map_or(1, usize::from);
        self.cores.store(cores, Ordering::Relaxed);
        cores
    }

    /// Keep nothing of a piece that is done: who else has given one does that alone then.
    fn take_back(&self) {
        if let Ok(mut last) = self.task.try_lock() {
            *last = None;
        }
    }

    fn give(&'static self, task: Arc<dyn Task>) {
        let Ok(mut last) = self.task.try_lock() else { return };
        *last = Some(task);
        drop(last);
        self.tasks.fetch_add(1, Ordering::Release);
        if self.awake.load(Ordering::Acquire) {
            return;
        }
        if let Some(thread) = self.thread.get() {
            self.place.leave_this_core();
            thread.unpark();
            return;
        }
        if !self.started.swap(true, Ordering::Relaxed) {
            let thread = thread::Builder::new().name("companion".to_owned());
            if let Ok(handle) = thread.spawn(|| self.accompany()) {
                let _ = self.thread.set(handle.thread().clone());
            }
        }
    }

    fn accompany(&self) {
        self.place.enter();
        let mut taken = 0;
        loop {
            self.awake.store(true, Ordering::Release);
            let mut looks = 0;
            while looks < LOOKS {
                let tasks = self.tasks.load(Ordering::Acquire);
                if tasks == taken {
                    looks += 1;
                    spin_loop();
                    continue;
                }
                let task = self.task.try_lock().ok().and_then(|mut task| task.take());
                if let Some(task) = task {
                    task.run();
                }
                (taken, looks) = (tasks, 0);
            }
            // Who gives a task just now does not wake it, and does that task alone.
            self.awake.store(false, Ordering::Release);
            thread::park();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread::ThreadId;

    use super::*;

    /// What so many shared pieces say, each of two threads.
    fn shared<T: Clone + Send + Sync + 'static>(
        count: usize,
        theirs: impl Fn() -> T + Clone + Send + Sync + 'static,
    ) -> Vec<(ThreadId, T)> {
        let mut all = Vec::new();
        while all.len() < count {
            let piece = Piece::begin();
            if piece.is_shared() {
                let own = || {
                    (0..LOOKS).for_each(|_| spin_loop());
                    thread::current().id()
                };
                all.push(piece.share(own, theirs.clone()));
            }
        }
        all
    }

    #[test]
    fn what_is_shared_is_done_by_either_thread() {
        if COMPANION.cores() < 2 {
            return;
        }
        let me = thread::current().id();
        let companion = (0..200).any(|_| {
            let all = shared(100, || thread::current().id());
            assert!(all.iter().all(|(own, _)| *own == me));
            all.iter().any(|(_, theirs)| *theirs != me)
        });
        assert!(companion, "the companion did nothing in 20,000 pieces");

        // One that is late, or fails, is not waited for.
        let answered = Arc::new(AtomicBool::new(false));
        let waits = answered.clone();
        let late = move || {
            while thread::current().id() != me && !waits.load(Ordering::Relaxed) {
                thread::yield_now();
            }
            7
        };
        assert!(shared(50, late).iter().all(|(_, theirs)| *theirs == 7));
        answered.store(true, Ordering::Relaxed);
        let fails = move || {
            assert_eq!(thread::current().id(), me, "it is not the caller's");
            8
        };
        assert!(shared(50, fails).iter().all(|(_, theirs)| *theirs == 8));
    }
}
