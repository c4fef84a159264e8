//! Have other threads run on other cores than the caller's.
//!
//! A thread that is woken by one that goes on may be put on its core while another one is idle: a
//! system that keeps cores asleep does so, and a busy one by mistake. Then one of the two waits for
//! up to a tick, 4 ms, and they take turns after that. Where the woken thread may not run on the
//! caller's core, it runs on another one within 0.1 ms.

#[cfg(target_os = "linux")]
use std::sync::{Mutex, PoisonError};

#[cfg(target_os = "linux")]
use rustix::thread::{CpuSet, Pid, gettid, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// What the system calls some threads.
pub struct Threads(#[cfg(target_os = "linux")] Mutex<Vec<Pid>>);

#[cfg(target_os = "linux")]
impl Threads {
    pub const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Add the thread that calls this.
    pub fn enter(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(gettid());
    }

    /// From now on those that have entered run where the caller may, but for the core that it is
    /// on, until this is called again. Where there is no other core, or the system does not allow
    /// it, nothing is changed.
    pub fn leave_this_core(&self) {
        let (here, Ok(mut others)) = (sched_getcpu(), sched_getaffinity(None)) else { return };
        if here < CpuSet::MAX_CPU {
            others.unset(here);
        }
        if others.count() == 0 {
            return;
        }
        // In a forked process a thread that is not there may hold the lock.
        let Ok(threads) = self.0.try_lock() else { return };
        for thread in threads.iter() {
            let _ = sched_setaffinity(Some(*thread), &others);
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl Threads {
    pub const fn new() -> Self {
        Self()
    }

    pub fn enter(&self) {}

    pub fn leave_this_core(&self) {}
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    #[test]
    fn a_thread_leaves_the_core_of_its_caller_and_no_other() {
        let allowed = sched_getaffinity(None).expect("the system tells it");
        let threads = Arc::new(Threads::new());
        let ((entered, begins), (go_on, waits)) = (channel(), channel::<()>());
        let their = threads.clone();
        let thread = thread::spawn(move || {
            their.enter();
            entered.send(gettid()).expect("it is waited for");
            let _ = waits.recv();
            sched_getcpu()
        });
        let id = begins.recv().expect("it begins");
        // The core that the caller is on may change from one line to the next.
        let left = (0..100).any(|_| {
            let here = sched_getcpu();
            threads.leave_this_core();
            let theirs = sched_getaffinity(Some(id)).expect("the thread is there");
            let mut others = allowed;
            others.unset(here);
            theirs == if others.count() > 0 { others } else { allowed }
        });
        assert!(left);
        assert!(sched_getaffinity(None).expect("the system tells it") == allowed);
        drop(go_on);
        assert!(allowed.is_set(thread.join().expect("it ends")));
    }
}
