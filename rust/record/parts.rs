//! Verify a batch part by part, on whichever threads take one.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::batch::{verified, verify_alone};
use super::{Record, VerifiedRecord};
use crate::error::{Error, Result};

/// Records of a part: a quarter of those that are left, within these bounds. The equation of more
/// signatures takes less for each of them, and who asks for the verdict waits for what others have
/// begun.
const LARGEST: usize = 4096;
const SMALLEST: usize = 2048;

/// The same where nobody waits.
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
    part: usize,
    holds: Result<()>,
}

/// A batch of which every signature holds; only the verdicts on all its parts make one.
pub struct Verified<'a>(&'a [Record]);

impl Parts {
    /// Parts to be verified now, or `ahead` of need.
    pub fn new(records: Arc<Vec<Record>>, seed: [u8; 32], ahead: bool) -> Self {
        let spans = spans(records.len(), ahead);
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
        Verdict { part, holds }
    }

    /// The verdict on all, where some parts have theirs; the others are verified here. It names
    /// every signature that does not hold, by its position.
    pub fn finish(&self, verdicts: impl Iterator<Item = Verdict>) -> Result<Verified<'_>> {
        let mut by_part: BTreeMap<usize, Result<()>> =
            verdicts.map(|Verdict { part, holds }| (part, holds)).collect();
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
fn spans(count: usize, ahead: bool) -> Vec<Range<usize>> {
    let (mut spans, mut begin) = (Vec::new(), 0);
    while begin < count {
        let left = count - begin;
        let part = if ahead { AHEAD } else { left.div_ceil(4).clamp(SMALLEST, LARGEST) };
        let end = begin + part.min(left);
        spans.push(begin..end);
        begin = end;
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_is_of_one_part() {
        for count in [0, 1, 2047, 2048, 2049, 8191, 8192, 8193, 16_384] {
            for ahead in [false, true] {
                let spans = spans(count, ahead);
                let all: Vec<usize> = spans.iter().cloned().flatten().collect();
                assert_eq!(all, (0..count).collect::<Vec<_>>());
                let most = if ahead { AHEAD } else { LARGEST };
                assert!(spans.iter().all(|span| !span.is_empty() && span.len() <= most));
            }
        }
    }
}
