//! Hash messages with SHA-256, many of them side by side in the lanes of the processor.
//!
//! The crate that does so is young. A process tries it once, on messages of all lengths about the
//! borders of a block: where it does not make the hashes that `sha2` makes, `sha2` makes all.

use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use crate::once::once;

type Hash = [u8; 32];

/// Below this many messages lanes stand empty, and one after the other is faster.
const FEW: usize = 12;

/// Messages that are handed over at once: what they and their hashes take stays in a cache.
const TOGETHER: usize = 128;

/// Lanes that wait for the longest message may do as much work again this many times.
const WASTE: usize = 3;

/// Whether the crate makes the hashes that `sha2` makes.
fn agrees() -> bool {
    static AGREES: OnceLock<bool> = OnceLock::new();
    *once(&AGREES, compare)
}

fn compare() -> bool {
    let text: Vec<u8> = (0..300).map(|at| (at * 7 % 251) as u8).collect();
    let mixed: Vec<&[u8]> = (0..text.len()).map(|end| &text[..end]).collect();
    let alike: Vec<&[u8]> = text.windows(64).collect();
    [mixed, alike].iter().all(|items| {
        let want: Vec<Hash> = items.iter().map(|item| hash(&[&[1], item])).collect();
        let mut hashes = vec![[0; 32]; items.len()];
        tape_sha256::hash_many_prefixed(&[1], items, &mut hashes);
        hashes == want
    })
}

/// The hash of the parts one after the other.
pub fn hash(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}

/// The hash of the prefix and each item.
pub fn hash_each(prefix: &[u8], items: &[&[u8]]) -> Vec<Hash> {
    let mut hashes = vec![[0; 32]; items.len()];
    for (items, hashes) in items.chunks(TOGETHER).zip(hashes.chunks_mut(TOGETHER)) {
        let bytes: usize = items.iter().map(|item| 64 + item.len()).sum();
        let longest = items.iter().map(|item| item.len()).max().unwrap_or(0);
        if items.len() >= FEW && longest * items.len() <= WASTE * bytes && agrees() {
            tape_sha256::hash_many_prefixed(prefix, items, hashes);
        } else {
            items.iter().zip(hashes).for_each(|(item, out)| *out = hash(&[prefix, item]));
        }
    }
    hashes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hashes_side_by_side_agrees_here() {
        assert!(agrees(), "{} differs from sha2", tape_sha256::backend());
    }

    /// Few and many, alike and not, across every border of a block, and one that is much longer.
    #[test]
    fn items_side_by_side_are_hashed_as_each_alone() {
        let text: Vec<u8> = (0..70_000_u32).map(|at| (at * 31 % 251) as u8).collect();
        for prefix in [&b""[..], &[1], b"ledgercore/v1/state-node\0"] {
            for count in [0, 1, 2, 11, 12, 15, 16, 17, 31, 33, 127, 128, 129, 300] {
                for step in [0, 1, 7] {
                    let mut items: Vec<&[u8]> =
                        (0..count).map(|at| &text[at..][..step * at % 400 + 64 - step]).collect();
                    let judge = |items: &[&[u8]]| {
                        let want: Vec<Hash> = items
                            .iter()
                            .map(|item| Sha256::digest([prefix, item].concat()).into())
                            .collect();
                        assert_eq!(hash_each(prefix, items), want, "{count} by {step}");
                    };
                    judge(&items);
                    items.push(&text);
                    judge(&items);
                }
            }
        }
    }
}
