//! Verify batches on threads of their own, so that a block which is ordered meanwhile need not wait
//! until a whole batch is verified before its hashes get a thread.

use std::sync::LazyLock;

use rayon::{ThreadPool, ThreadPoolBuilder};

/// Records that are worth waking another thread for.
const MANY: usize = 64;

static VERIFYING: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
    ThreadPoolBuilder::new().thread_name(|at| format!("verify {at}")).build().ok()
});

/// Run work on that many records: few of them here, and many on all threads. Where the system gives
/// no more threads, it is done on those of others.
pub fn verifying<T: Send>(records: usize, work: impl FnOnce() -> T + Send) -> T {
    match VERIFYING.as_ref().filter(|_| records >= MANY) {
        Some(pool) => pool.install(work),
        None => work(),
    }
}
