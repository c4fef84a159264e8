//! Verify a batch beside what else is done with it, until the verdict is asked for.
//!
//! Other threads take it part by part, and whoever asks for the verdict takes the parts that nobody
//! has begun. There are as many as cores beside the caller's: no core has two threads of it, nor is
//! one without work while there is any. What is done ahead of need has a thread for each core, and
//! these give way.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::{PyResult, Python, pyclass, pymethods};
use rayon::ThreadPool;

use super::bytes::array;
use super::pool::{beside, forks, verifying};
use super::record::{Batch, VerifiedBatch};
use crate::error::{Error, Result};
use crate::record::{self, Record, VerifiedRecord};

/// Records of a part: who asks for the verdict waits for what others have begun, and the equation
/// of few signatures takes longer for each of them.
const PART: usize = 2048;

type Verdict = Result<Vec<VerifiedRecord>>;

/// What threads share, and the next record that nobody has begun.
struct Parts {
    records: Vec<Record>,
    seed: [u8; 32],
    next: AtomicUsize,
}

#[pyclass(frozen, module = "ledgercore._core")]
pub struct Verification {
    parts: Arc<Parts>,
    /// Verdicts of other threads, each with its first record's position.
    verdicts: Mutex<Receiver<(usize, Verdict)>>,
    /// How many forks there were, where other threads have begun it.
    begun: Option<u32>,
}

impl Parts {
    /// Begin a part: the position of its first record, if any is left.
    fn take(&self) -> Option<usize> {
        let begin = self.next.fetch_add(PART, Ordering::Relaxed);
        (begin < self.records.len()).then_some(begin)
    }

    fn part(&self, begin: usize) -> &[Record] {
        &self.records[begin..self.records.len().min(begin + PART)]
    }

    fn verify(&self, begin: usize) -> Verdict {
        record::verify_alone(self.part(begin), &self.seed)
    }
}

/// Have a thread of the pool take a part, and then the next; between two it does what else waits
/// for it. A part whose work ends in a panic gets no verdict.
fn go_on(pool: &'static ThreadPool, parts: &Arc<Parts>, sender: Sender<(usize, Verdict)>) {
    let parts = parts.clone();
    pool.spawn(move || {
        let Some(begin) = parts.take() else { return };
        let verify = || parts.verify(begin);
        if let Ok(verdict) = catch_unwind(AssertUnwindSafe(verify)) {
            let _ = sender.send((begin, verdict)); // in vain where nobody asks any more
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
        let (records, seed) = (batch.0.clone(), array("seed", seed)?);
        let parts = Arc::new(Parts { records, seed, next: AtomicUsize::new(0) });
        let (sender, verdicts) = channel();
        let pool = beside(ahead);
        if let Some(pool) = pool {
            (0..pool.current_num_threads()).for_each(|_| go_on(pool, &parts, sender.clone()));
        }
        Ok(Self { parts, verdicts: Mutex::new(verdicts), begun: pool.map(|_| forks()) })
    }

    /// Take part until there is a verdict on all.
    fn result(&self, py: Python<'_>) -> PyResult<VerifiedBatch> {
        let Parts { records, seed, .. } = &*self.parts;
        if self.begun != Some(forks()) {
            // This process has none of the threads.
            let verify = || record::verify_all(records, seed);
            return Ok(VerifiedBatch(verifying(py, records.len(), false, verify)?));
        }
        Ok(VerifiedBatch(py.detach(|| self.finish())?))
    }
}

impl Verification {
    fn finish(&self) -> Verdict {
        let parts = &*self.parts;
        let begins = (0..parts.records.len()).step_by(PART);
        let mut verdicts = BTreeMap::new();
        while let Some(begin) = parts.take() {
            verdicts.insert(begin, parts.verify(begin));
        }
        let received = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        while verdicts.len() < begins.len() {
            let Ok((begin, verdict)) = received.recv() else { break };
            verdicts.insert(begin, verdict);
        }
        for begin in begins {
            // What others have left without a verdict.
            verdicts.entry(begin).or_insert_with(|| parts.verify(begin));
        }
        together(verdicts)
    }
}

/// The records of all parts, or every signature that does not hold, by its position.
fn together(parts: impl IntoIterator<Item = (usize, Verdict)>) -> Verdict {
    let (mut verified, mut bad, mut count) = (Vec::new(), Vec::new(), 0);
    for (begin, verdict) in parts {
        match verdict {
            Ok(mut records) => {
                count = begin + records.len();
                verified.append(&mut records);
            }
            Err(Error::Signature { indices, count: of_part }) => {
                count = begin + of_part;
                bad.extend(indices.iter().map(|index| begin + index));
            }
            Err(other) => return Err(other),
        }
    }
    match bad.is_empty() {
        true => Ok(verified),
        false => Err(Error::Signature { indices: bad, count }),
    }
}
