//! Verify signatures of keys that sign often, from tables of the keys' multiples.
//!
//! `[s]B - [k]A` is computed and encoded, and the signature holds if that is `R` byte for byte:
//! then `R` is that point's encoding, and the equation of the module holds even without its factor
//! of 8. Any other signature is doubtful, and the rule itself decides: an `R` may be encoded in
//! another way, or differ by a point of small order.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use curve25519_dalek::scalar::Scalar;
use rayon::prelude::*;

use super::Claim;
use super::kernel::Kernel;
use super::point::{BASE, Point, encode};
use super::single::is_below_order;
use super::table::Table;
use crate::key::PublicKey;

/// A key's multiples take 303 KB, and the base point's 5.8 MB. Addends are asked for some steps
/// before they are added, so that wide tables cost little where they do not stay in a cache.
pub(super) type KeyTable = Table<7>;
type BaseTable = Table<12>;

/// Signatures of one key from which on its table is worth making.
const OFTEN: u32 = 32;

/// Keys whose tables are kept, 78 MB of them; the one that was made first goes first.
const TABLES: usize = 256;

/// Keys that are counted until they have signed often; then counting begins anew.
const COUNTED: usize = 16_384;

/// Claims that share one inversion.
const TASK: usize = 128;

static BASE_TABLE: LazyLock<BaseTable> = LazyLock::new(|| {
    Table::new(Kernel::detected(), &Point::decode(&BASE).expect("the base point"))
});

static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);

/// What is remembered of keys: a memory of pure functions, so that it changes no verdict.
#[derive(Default)]
struct Known {
    counts: HashMap<PublicKey, u32>,
    tables: HashMap<PublicKey, Arc<KeyTable>>,
    order: VecDeque<PublicKey>,
}

fn known() -> MutexGuard<'static, Known> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The table of a key that signs often, of which there are `count` more signatures now.
pub(super) fn table(key: &PublicKey, count: usize) -> Option<Arc<KeyTable>> {
    {
        let mut known = known();
        if let Some(table) = known.tables.get(key) {
            return Some(table.clone());
        }
        if known.counts.len() >= COUNTED {
            known.counts.clear();
        }
        let counted = known.counts.entry(*key).or_insert(0);
        *counted = counted.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        if *counted < OFTEN {
            return None;
        }
    }
    // Made without the lock: where two threads make the same one, one of them is kept.
    let table = Arc::new(KeyTable::new(Kernel::detected(), &Point::decode(key)?.negated()));
    let mut known = known();
    known.counts.remove(key);
    if known.tables.insert(*key, table.clone()).is_none() {
        known.order.push_back(*key);
    }
    while known.order.len() > TABLES {
        let oldest = known.order.pop_front().expect("it has keys");
        known.tables.remove(&oldest);
    }
    Some(table)
}

/// A claim's position, and the table of its key.
pub(super) type Prepared = (usize, Arc<KeyTable>);

/// The positions of the claims that are doubtful. Claims of one key stand together, so that its
/// table stays in the cache meanwhile.
pub(super) fn doubtful(kernel: Kernel, claims: &[Claim], prepared: &[Prepared]) -> Vec<usize> {
    let share = prepared.len().div_ceil(rayon::current_num_threads()).clamp(1, TASK);
    let task = |task: &[Prepared]| doubtful_in_turn(kernel, claims, task);
    if prepared.len() <= share {
        return task(prepared);
    }
    prepared.par_chunks(share).flat_map_iter(task).collect()
}

fn doubtful_in_turn(kernel: Kernel, claims: &[Claim], prepared: &[Prepared]) -> Vec<usize> {
    let mut doubtful = Vec::new();
    let mut in_order = Vec::with_capacity(prepared.len());
    let mut hashed = Vec::with_capacity(prepared.len());
    for (position, table) in prepared {
        let Claim { key, message, signature } = claims[*position];
        let (r, s) = signature.split_first_chunk().expect("half of 64 bytes");
        match s.first_chunk().filter(|s| is_below_order(s)) {
            Some(s) => {
                in_order.push((*position, table, s));
                hashed.push([r, key, message]);
            }
            None => doubtful.push(*position),
        }
    }
    let challenges: Vec<[u8; 32]> = kernel
        .hashes(&hashed)
        .iter()
        .map(|hash| Scalar::from_bytes_mod_order_wide(hash).to_bytes())
        .collect();
    let sums = kernel.sums(in_order.len(), |at, steps| {
        let (_, table, s) = &in_order[at];
        BASE_TABLE.write_steps(s, steps);
        table.write_steps(&challenges[at], steps);
    });
    let computed = encode(&sums);
    for ((position, ..), r) in in_order.iter().zip(&computed) {
        if claims[*position].signature[..32] != r[..] {
            doubtful.push(*position);
        }
    }
    doubtful
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SigningKey;

    /// Every kernel of this processor, on groups that fill its lanes and that do not.
    #[test]
    fn every_kernel_doubts_the_same_signatures() {
        let key = SigningKey::from_seed(&[3; 32]);
        let public_key = key.public_key();
        let table = Arc::new(KeyTable::new(
            Kernel::detected(),
            &Point::decode(&public_key).expect("a point").negated(),
        ));
        let messages: Vec<[u8; 8]> = (0..61_u64).map(u64::to_le_bytes).collect();
        let mut signatures: Vec<_> = messages.iter().map(|message| key.sign(message)).collect();
        let damaged = [(0, 0), (7, 31), (8, 32), (9, 63), (33, 5), (60, 40)];
        for (at, byte) in damaged {
            signatures[at][byte] ^= 0x10;
        }
        let claim = |at: usize| Claim {
            key: &public_key,
            message: &messages[at],
            signature: &signatures[at],
        };
        let claims: Vec<Claim> = (0..61).map(claim).collect();
        for count in [0, 1, 3, 4, 5, 8, 10, 61] {
            let prepared: Vec<Prepared> = (0..count).map(|at| (at, table.clone())).collect();
            let want: Vec<usize> =
                damaged.iter().map(|(at, _)| *at).filter(|at| *at < count).collect();
            for kernel in Kernel::available() {
                let mut got = doubtful(kernel, &claims, &prepared);
                got.sort_unstable();
                assert_eq!(got, want, "{count} signatures with {kernel:?}");
            }
        }
    }

    #[test]
    fn a_key_has_a_table_once_it_has_signed_often() {
        let key = SigningKey::from_seed(&[77; 32]).public_key();
        assert!(table(&key, 20).is_none());
        assert!(table(&key, 11).is_none());
        assert!(table(&key, 1).is_some());
        assert!(table(&key, 0).is_some());
        // What is no point has none, however often it comes.
        let mut no_point = [2; 32];
        while Point::decode(&no_point).is_some() {
            no_point[0] += 1;
        }
        assert!(table(&no_point, 100).is_none());
    }
}
