//! Let go of the interpreter while the core works, and give the work its threads.
//!
//! Batches are verified on threads of their own, so that a block that is ordered meanwhile need not
//! wait until a whole batch is verified before its hashes get a thread. What is verified ahead of
//! need gives way to that block on the processors, too. What a caller does its part of has one
//! thread fewer than there are cores. A forked process has none of its parent's threads: what would
//! wait for them for ever works on threads of its own.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread;

use pyo3::marker::Ungil;
use pyo3::prelude::{PyAnyMethods, PyModule, PyResult, Python, pyfunction};
use pyo3::types::{IntoPyDict, PySequence, PyTuple};
use pyo3::{Bound, wrap_pyfunction};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::cores::Threads;
use crate::signature::{self, Kernel};

static FORKS: AtomicU32 = AtomicU32::new(0);

/// What each thread adds to its nice value where it verifies ahead of need.
#[cfg(target_os = "linux")]
const GIVES_WAY: i32 = 5;

static VERIFYING: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
    ThreadPoolBuilder::new().thread_name(|at| format!("verify {at}")).build().ok()
});

static AHEAD: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
    let threads = ThreadPoolBuilder::new().thread_name(|at| format!("ahead {at}"));
    threads.start_handler(|_| give_way()).build().ok()
});

static BESIDE_THREADS: Threads = Threads::new();

static BESIDE: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
    let others = thread::available_parallelism().map_or(1, |cores| cores.get() - 1);
    let threads = ThreadPoolBuilder::new().num_threads(others.max(1));
    let threads = threads.start_handler(|_| BESIDE_THREADS.enter());
    threads.thread_name(|at| format!("beside {at}")).build().ok()
});

/// Threads for work that the caller does its part of: as many as there are cores beside its own.
/// For what is done `ahead` of need those that give way; in a forked process none. Where they are
/// those beside the caller's core they leave that core, for whoever asks hands work over at once.
pub fn beside(ahead: bool) -> Option<&'static ThreadPool> {
    // In a forked process no pool is even looked at: its parent may have been starting it.
    match (forks(), ahead) {
        (0, true) => AHEAD.as_ref(),
        (0, false) => BESIDE.as_ref().inspect(|_| BESIDE_THREADS.leave_this_core()),
        _ => None,
    }
}

/// How many forks lie between the process that loaded the core and this one.
pub fn forks() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

/// Linux has a nice value for each thread; where it is the process's, nothing is changed.
fn give_way() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(GIVES_WAY); // in vain where the system does not allow it
}

/// The threads of a forked process, by how many forks lie between. It never looks at those of its
/// parent, which may have been starting them; but for the last, which the processes after it share.
static FORKED: [Mutex<Option<Arc<ThreadPool>>>; 16] = [const { Mutex::new(None) }; 16];

/// Do work without the interpreter.
pub fn detach<T: Ungil + Send>(py: Python<'_>, work: impl FnOnce() -> T + Ungil + Send) -> T {
    py.detach(|| match forks() {
        0 => work(),
        forks => forked(forks).install(work),
    })
}

/// Do work on that many records without the interpreter: few here, and many on all threads.
/// Where the system gives no more threads, it is done on those of others. What is done `ahead` of
/// need gives way to whatever else the process does.
pub fn verifying<T: Ungil + Send>(
    py: Python<'_>,
    records: usize,
    ahead: bool,
    work: impl FnOnce() -> T + Ungil + Send,
) -> T {
    // In a forked process no pool is even looked at: its parent may have been starting it.
    if records < 2 * Kernel::detected().share() || forks() > 0 {
        return detach(py, work);
    }
    let pool = if ahead { &AHEAD } else { &VERIFYING };
    match pool.as_ref() {
        Some(pool) => py.detach(|| pool.install(work)),
        None => detach(py, work),
    }
}

fn forked(forks: u32) -> Arc<ThreadPool> {
    let mut held = slot(forks).lock().unwrap_or_else(PoisonError::into_inner);
    let start = || ThreadPoolBuilder::new().build().expect("a process can start threads");
    held.get_or_insert_with(|| Arc::new(start())).clone()
}

fn slot(forks: u32) -> &'static Mutex<Option<Arc<ThreadPool>>> {
    &FORKED[FORKED.len().min(forks as usize) - 1]
}

/// Have every forked process know that it is one.
pub fn watch_forks(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    // What is imported at its first use, a forked process would wait for whoever was importing it.
    let _ = (py.get_type::<PySequence>(), PyTuple::empty(py).try_iter()?.size_hint());
    let child = [("after_in_child", wrap_pyfunction!(count_fork, module)?)].into_py_dict(py)?;
    py.import("os")?.call_method("register_at_fork", (), Some(&child))?;
    Ok(())
}

#[pyfunction]
fn count_fork() {
    signature::part_from_parent();
    let forks = FORKS.fetch_add(1, Ordering::Relaxed) + 1;
    // Where the parent's pool is in the last slot it is not dropped, which would wake its threads.
    if let Ok(mut held) = slot(forks).try_lock() {
        std::mem::forget(held.take());
    }
}
