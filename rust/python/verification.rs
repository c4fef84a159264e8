//! Verify a batch beside what else is done with it, until the verdict is asked for.
//!
//! Other threads take it part by part, and whoever asks for the verdict takes the parts that nobody
//! has begun. There are as many as cores beside the caller's: no core has two threads of it, nor is
//! one without work while there is any. What is done ahead of need has a thread for each core, and
//! these give way.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::{PyResult, Python, pyclass, pymethods};
use rayon::ThreadPool;

use super::bytes::array;
use super::pool::{beside, forks, verifying};
use super::record::{Batch, VerifiedBatch};
use crate::error::Result;
use crate::record::{self, Parts, Verdict, Verified};

#[pyclass(frozen, module = "ledgercore._core")]
pub struct Verification {
    parts: Arc<Parts>,
    /// Verdicts of other threads.
    verdicts: Mutex<Receiver<Verdict>>,
    /// How many forks there were, where other threads have begun it.
    begun: Option<u32>,
}

/// Have a thread of the pool take a part, and then the next; between two it does what else waits
/// for it. A part whose work ends in a panic gets no verdict.
fn go_on(pool: &'static ThreadPool, parts: &Arc<Parts>, sender: Sender<Verdict>) {
    let parts = parts.clone();
    pool.spawn(move || {
        let Some(part) = parts.take() else { return };
        if let Ok(verdict) = catch_unwind(AssertUnwindSafe(|| parts.verify(part))) {
            let _ = sender.send(verdict); // in vain where nobody asks any more
        }
        rayon::yield_now();
        go_on(pool, &parts, sender);
    });
}

#[pymethods]
impl Verification {
    #[new]
    #[pyo3(signature = (batch, seed, *, ahead = false))]
    fn new(batch: &Batch, seed: &[u8], ahead: bool) -> PyResult<Self> {
        let (seed, pool) = (array("seed", seed)?, beside(ahead));
        let threads = pool.map_or(0, ThreadPool::current_num_threads);
        let parts = Arc::new(Parts::new(batch.0.clone(), seed, threads, ahead));
        let (sender, verdicts) = channel();
        if let Some(pool) = pool {
            (0..threads).for_each(|_| go_on(pool, &parts, sender.clone()));
        }
        Ok(Self { parts, verdicts: Mutex::new(verdicts), begun: pool.map(|_| forks()) })
    }

    /// Take part until there is a verdict on all.
    fn verify(&self, py: Python<'_>) -> PyResult<()> {
        if self.begun != Some(forks()) {
            return self.result(py).map(drop);
        }
        Ok(py.detach(|| self.finish().map(drop))?)
    }

    /// The same, and the batch with it.
    fn result(&self, py: Python<'_>) -> PyResult<VerifiedBatch> {
        if self.begun != Some(forks()) {
            // This process has none of the threads.
            let verify = || record::verify_all(self.parts.records(), self.parts.seed());
            return Ok(VerifiedBatch(verifying(py, self.parts.records().len(), false, verify)?));
        }
        Ok(VerifiedBatch(py.detach(|| self.finish().map(|verified| verified.records()))?))
    }
}

impl Verification {
    fn finish(&self) -> Result<Verified<'_>> {
        let parts = &*self.parts;
        let mut verdicts = Vec::with_capacity(parts.count());
        while let Some(part) = parts.take() {
            verdicts.push(parts.verify(part));
        }
        let received = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        while verdicts.len() < parts.count() {
            let Ok(verdict) = received.recv() else { break };
            verdicts.push(verdict);
        }
        parts.finish(verdicts.into_iter()) // and what others have left without a verdict
    }
}
