//! Verify a batch part by part, on whichever threads take one.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::batch::{verified, verify_alone};
use super::{Record, VerifiedRecord};
use crate::error::{Error, Result};

/// Records of a part: a quarter of those that are left, within these bounds, and no more than what
/// each thread has. The equation of more signatures takes less for each of them, and who asks for
/// the verdict waits for what others have begun.
const LARGEST: usize = 4096;
const SMALLEST: usize = 2048;

/// Records of a part at most that is verified ahead of need.
const AHEAD: usize = 8192;

/// A batch, and the next part of it that nobody has begun.
pub struct Parts {
    records: Arc<Vec<Record>>,
    seed: [u8; 32],
    spans: Vec<Range<usize>>,
    next: AtomicUsize,
}

/// What became of one part; only verifying it makes one.
pub struct Verdict {
    of: Arc<Vec<Record>>,
    part: usize,
    holds: Result<()>,
}

/// A batch of which every signature holds; only the verdicts on all its parts make one.
pub struct Verified<'a>(&'a [Record]);

impl Parts {
    /// Parts to be verified by so many threads now, or `ahead` of need.
    pub fn new(records: Arc<Vec<Record>>, seed: [u8; 32], threads: usize, ahead: bool) -> Self {
        let spans = spans(records.len(), threads, ahead);
        Self { records, seed, spans, next: AtomicUsize::new(0) }
    }

    pub fn records(&self) -> &[Record] {
        &self.records
    }

    pub fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// How many parts there are.
    pub fn count(&self) -> usize {
        self.spans.len()
    }

    /// Begin a part: its number, if any is left.
    pub fn take(&self) -> Option<usize> {
        let part = self.next.fetch_add(1, Ordering::Relaxed);
        (part < self.count()).then_some(part)
    }

    /// Verify a part on this thread alone.
    pub fn verify(&self, part: usize) -> Verdict {
        let holds = verify_alone(&self.records[self.spans[part].clone()], &self.seed);
        Verdict { of: self.records.clone(), part, holds }
    }

    /// The verdict on all, where some parts have theirs; the others are verified here. It names
    /// every signature that does not hold, by its position.
    pub fn finish(&self, verdicts: impl Iterator<Item = Verdict>) -> Result<Verified<'_>> {
        let ours = verdicts.filter(|verdict| Arc::ptr_eq(&verdict.of, &self.records));
        let mut by_part: BTreeMap<usize, Result<()>> =
            ours.map(|Verdict { part, holds, .. }| (part, holds)).collect();
        let mut bad = Vec::new();
        for (part, span) in self.spans.iter().enumerate() {
            let holds = by_part.remove(&part).unwrap_or_else(|| self.verify(part).holds);
            match holds {
                Ok(()) => {}
                Err(Error::Signature { indices, .. }) => {
                    bad.extend(indices.iter().map(|index| span.start + index));
                }
                Err(other) => return Err(other),
            }
        }
        match bad.is_empty() {
            true => Ok(Verified(&self.records)),
            false => Err(Error::Signature { indices: bad, count: self.records.len() }),
        }
    }
}

impl Verified<'_> {
    pub fn records(&self) -> Vec<VerifiedRecord> {
        verified(self.0)
    }
}

/// Which records each part has.
fn spans(count: usize, threads: usize, ahead: bool) -> Vec<Range<usize>> {
    let share = count.div_ceil(threads.max(1)).max(SMALLEST);
    let (mut spans, mut begin) = (Vec::new(), 0);
    while begin < count {
        let left = count - begin;
        let part = if ahead { AHEAD } else { left.div_ceil(4).clamp(SMALLEST, LARGEST) };
        let end = begin + part.min(share).min(left);
        spans.push(begin..end);
        begin = end;
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SigningKey;
    use crate::record::{DATA, Draft};
    use crate::suite::Suite;

    #[test]
    fn every_record_is_of_one_part() {
        for count in [0, 1, 2047, 2048, 2049, 8191, 8192, 8193, 16_384] {
            for (threads, ahead) in [(1, false), (2, false), (2, true), (4, true), (64, false)] {
                let spans = spans(count, threads, ahead);
                let all: Vec<usize> = spans.iter().cloned().flatten().collect();
                assert_eq!(all, (0..count).collect::<Vec<_>>());
                let most = if ahead { AHEAD } else { LARGEST };
                let share = count.div_ceil(threads).max(SMALLEST);
                assert!(spans.iter().all(|span| !span.is_empty() && span.len() <= most.min(share)));
            }
        }
    }

    fn records(count: usize, wrong: Option<usize>) -> Arc<Vec<Record>> {
        let sign = |at: usize| {
            let draft = Draft {
                network: [1; 16],
                kind: DATA,
                suite: Suite::Std,
                sequence: at as u64,
                previous: [2; 32],
                references: &[],
                not_before_ms: 0,
                expiry_ms: 0,
                body: b"body",
            };
            let mut bytes =
                Record::sign(&draft, &SigningKey::from_seed(&[3; 32])).unwrap().encode().to_vec();
            *bytes.last_mut().unwrap() ^= u8::from(wrong == Some(at));
            Record::decode(&bytes).unwrap()
        };
        Arc::new((0..count).map(sign).collect())
    }

    #[test]
    fn what_has_no_verdict_of_its_own_is_verified() {
        let count = SMALLEST + 3;
        let parts = |wrong| Parts::new(records(count, wrong), [0; 32], 1, false);
        let (good, bad) = (parts(None), parts(Some(count - 1)));
        assert!(good.count() > 1);
        assert_eq!(good.finish(std::iter::empty()).unwrap().records().len(), count);
        // In another order and twice; of some parts only; and of another batch.
        let each = |of: &Parts, numbers: &[usize]| -> Vec<Verdict> {
            numbers.iter().map(|number| of.verify(*number)).collect()
        };
        for verdicts in [each(&bad, &[1, 0, 1]), each(&bad, &[0]), each(&good, &[0, 1])] {
            match bad.finish(verdicts.into_iter()) {
                Err(Error::Signature { indices, count: of }) => {
                    assert_eq!((indices, of), (vec![count - 1], count));
                }
                _ => panic!("a signature that does not hold was not named"),
            }
        }
        assert!(good.finish(each(&bad, &[1]).into_iter()).is_ok());
    }
}
