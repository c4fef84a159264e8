//! Verify batches on threads of their own, so that a block which is ordered meanwhile need not wait
//! until a whole batch is verified before its hashes get a thread.

use std::sync::LazyLock;

use rayon::{ThreadPool, ThreadPoolBuilder};

static VERIFYING: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
    ThreadPoolBuilder::new().thread_name(|at| format!("verify {at}")).build().ok()
});

/// Run work that uses all threads; where the system gives no more of them, with those of others.
pub fn verifying<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    match &*VERIFYING {
        Some(pool) => pool.install(work),
        None => work(),
    }
}
