//! Let go of the interpreter while the core works, and give the work its threads.
//!
//! Batches are verified on threads of their own, so that a block that is ordered meanwhile need not
//! wait until a whole batch is verified before its hashes get a thread. What a caller needs later
//! is made beside it. A forked process has none of its parent's threads: what would wait for them
//! for ever works on threads of its own.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use pyo3::marker::Ungil;
use pyo3::prelude::{PyAnyMethods, PyModule, PyResult, Python, pyfunction};
use pyo3::types::IntoPyDict;
use pyo3::{Bound, wrap_pyfunction};
use rayon::{ThreadPool, ThreadPoolBuilder};

/// Records that are worth waking another thread for.
const MANY: usize = 64;

/// How many forks lie between the process that loaded the core and this one.
static FORKS: AtomicU32 = AtomicU32::new(0);

static VERIFYING: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
    ThreadPoolBuilder::new().thread_name(|at| format!("verify {at}")).build().ok()
});

/// One thread for work of less than a hundred microseconds, which no batch may keep waiting.
static BESIDE: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
    ThreadPoolBuilder::new().num_threads(1).thread_name(|_| "beside".to_owned()).build().ok()
});

/// A pool of this process, which in a forked one is not even looked at: its parent may have been
/// starting it.
fn unless_forked(pool: &'static LazyLock<Option<ThreadPool>>) -> Option<&'static ThreadPool> {
    match FORKS.load(Ordering::Relaxed) {
        0 => pool.as_ref(),
        _ => None,
    }
}

/// The threads of a forked process, by its number of forks.
static FORKED: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);

/// Do work without the interpreter.
pub fn detach<T: Ungil + Send>(py: Python<'_>, work: impl FnOnce() -> T + Ungil + Send) -> T {
    py.detach(|| match FORKS.load(Ordering::Relaxed) {
        0 => work(),
        forks => forked(forks).install(work),
    })
}

/// Do work on that many records without the interpreter: few here, and many on all threads.
/// Where the system gives no more threads, it is done on those of others.
pub fn verifying<T: Ungil + Send>(
    py: Python<'_>,
    records: usize,
    work: impl FnOnce() -> T + Ungil + Send,
) -> T {
    match unless_forked(&VERIFYING) {
        Some(pool) if records >= MANY => py.detach(|| pool.install(work)),
        _ => detach(py, work),
    }
}

/// What is being made on another thread. It takes no lock there: a fork would leave it locked.
pub struct Beside<T>(Mutex<Receiver<std::thread::Result<T>>>);

impl<T: Send + 'static> Beside<T> {
    /// Make it while the caller goes on, or at once where there is no other thread.
    pub fn new(make: impl FnOnce() -> T + Send + 'static) -> Self {
        let (sender, receiver) = sync_channel(1);
        let made = move || catch_unwind(AssertUnwindSafe(make));
        let send = move || drop(sender.send(made())); // in vain where nobody waits any more
        match unless_forked(&BESIDE) {
            Some(pool) => pool.spawn(send),
            None => send(),
        }
        Self(Mutex::new(receiver))
    }

    /// Wait for it, once; None where it has been taken. A panic goes on in the caller.
    pub fn take(&self, py: Python<'_>) -> Option<T> {
        let receive = || self.0.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
        py.detach(receive).map(|made| made.unwrap_or_else(|panic| resume_unwind(panic)))
    }
}

fn forked(forks: u32) -> Arc<ThreadPool> {
    let mut held = FORKED.lock().unwrap_or_else(PoisonError::into_inner);
    match held.as_ref().filter(|(of, _)| *of == forks) {
        Some((_, pool)) => pool.clone(),
        None => {
            let pool = ThreadPoolBuilder::new().build().expect("a process can start threads");
            held.insert((forks, Arc::new(pool))).1.clone()
        }
    }
}

/// Have every forked process know that it is one.
pub fn watch_forks(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let child = [("after_in_child", wrap_pyfunction!(count_fork, module)?)].into_py_dict(py)?;
    py.import("os")?.call_method("register_at_fork", (), Some(&child))?;
    Ok(())
}

#[pyfunction]
fn count_fork() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    // The parent's pool is not dropped, which would wait for its threads.
    if let Ok(mut held) = FORKED.try_lock() {
        std::mem::forget(held.take());
    }
}
