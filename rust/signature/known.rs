//! Verify signatures of keys that sign often, from tables of the keys' multiples.
//!
//! `[s]B - [k]A` is computed and encoded, and the signature holds if that is `R` byte for byte:
//! then `R` is that point's encoding, and the equation of the module holds even without its factor
//! of 8. Any other signature is doubtful, and the rule itself decides: an `R` may be encoded in
//! another way, or differ by a point of small order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};

use rayon::prelude::*;

use super::Claim;
use super::kernel::Kernel;
use super::point::{BASE, Point};
use super::single::is_below_order;
use super::table::Table;
use super::terms::Terms;
use crate::key::PublicKey;
use crate::once::once;
use crate::tasks;

/// A key's multiples take 308 KB, and the base point's 5.8 MB. Addends are asked for some steps
/// before they are added, so that wide tables cost little where they do not stay in a cache.
pub(super) type KeyTable = Table<7>;
type BaseTable = Table<12>;

/// Signatures of one key from which on its table is worth making.
const OFTEN: u32 = 32;

/// Keys whose tables are kept, 79 MB of them; the one that was made first goes first. No batch has
/// more of them made, whoever wrote it: its other keys are verified without.
const TABLES: usize = 256;

/// Keys that are counted until they have signed often; then counting begins anew.
const COUNTED: usize = 16_384;

/// Claims that share one inversion.
const TASK: usize = 128;

/// The base point's multiples.
pub(super) fn base_table() -> &'static BaseTable {
    static TABLE: OnceLock<BaseTable> = OnceLock::new();
    let kernel = Kernel::detected();
    once(&TABLE, || kernel.table(&Point::decode(&BASE).expect("the base point")))
}

/// Memories, of which a process has the first, and one that was forked while another thread was in
/// that of its parent the next.
static KNOWN: [Mutex<Known>; 16] = [const { Mutex::new(Known::new()) }; 16];

static MINE: AtomicUsize = AtomicUsize::new(0);

/// What is remembered of keys: a memory of pure functions, so that it changes no verdict.
struct Known {
    counts: BTreeMap<PublicKey, u32>,
    tables: BTreeMap<PublicKey, Arc<KeyTable>>,
    order: VecDeque<PublicKey>,
}

fn known() -> MutexGuard<'static, Known> {
    KNOWN[MINE.load(Ordering::Relaxed)].lock().unwrap_or_else(PoisonError::into_inner)
}

/// In a forked process, which has one thread yet: leave a memory that another thread of its parent
/// was in. Nobody would ever let go of it. The last memory has no next one, and is not left.
pub(super) fn leave_held() {
    let mine = MINE.load(Ordering::Relaxed);
    if matches!(KNOWN[mine].try_lock(), Err(TryLockError::WouldBlock)) && mine + 1 < KNOWN.len() {
        MINE.store(mine + 1, Ordering::Relaxed);
    }
}

/// The table of each key that signs often; beside a key stands how many more signatures of it there
/// are now. What there is already is looked up at once, for a batch may be of few signatures.
pub(super) fn tables(keys: &[(&PublicKey, usize)]) -> Vec<Option<Arc<KeyTable>>> {
    let mut without = Vec::new();
    let mut tables: Vec<_> = {
        let mut known = known();
        let mut look_up = |(at, (key, count)): (usize, &(&PublicKey, usize))| {
            let table = known.tables.get(*key).cloned();
            let make = table.is_none() && known.has_signed_often(key, *count);
            if make && without.len() < TABLES {
                without.push(at);
            }
            table
        };
        keys.iter().enumerate().map(&mut look_up).collect()
    };
    // Made without the lock: where two threads make the same one, one of them is kept.
    let make = |at: &usize| {
        let key = keys[*at].0;
        Some(Arc::new(Kernel::detected().table(&Point::decode(key)?.negated())))
    };
    let made: Vec<_> = match without.len() {
        ..=1 => without.iter().map(make).collect(),
        _ => without.par_iter().map(make).collect(),
    };
    for (at, table) in without.into_iter().zip(made) {
        if let Some(table) = &table {
            known().keep(keys[at].0, table.clone());
        }
        tables[at] = table;
    }
    tables
}

impl Known {
    const fn new() -> Self {
        Self { counts: BTreeMap::new(), tables: BTreeMap::new(), order: VecDeque::new() }
    }

    /// Count the signatures of a key that has no table.
    fn has_signed_often(&mut self, key: &PublicKey, count: usize) -> bool {
        if self.counts.len() >= COUNTED {
            self.counts.clear();
        }
        let counted = self.counts.entry(*key).or_insert(0);
        *counted = counted.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        *counted >= OFTEN
    }

    fn keep(&mut self, key: &PublicKey, table: Arc<KeyTable>) {
        self.counts.remove(key);
        if self.tables.insert(*key, table).is_none() {
            self.order.push_back(*key);
        }
        while self.order.len() > TABLES {
            let oldest = self.order.pop_front().expect("it has keys");
            self.tables.remove(&oldest);
        }
    }
}

/// A claim's position, and the table of its key.
pub(super) type Prepared<'a> = (usize, &'a Arc<KeyTable>);

/// The positions of the claims that are doubtful. Claims of one key stand together, so that its
/// table stays in the cache meanwhile.
///
/// The caller takes tasks as other threads do.
pub(super) fn doubtful(
    threads: usize,
    kernel: Kernel,
    claims: &[Claim],
    prepared: &[Prepared],
) -> Vec<usize> {
    let share = prepared.len().div_ceil(threads).clamp(1, TASK);
    let shares: Vec<&[Prepared]> = prepared.chunks(share).collect();
    let in_turn = |number: usize| doubtful_in_turn(kernel, claims, shares[number]);
    tasks::each(None, threads, shares.len(), in_turn).into_iter().flatten().collect()
}

pub(super) fn doubtful_in_turn(
    kernel: Kernel,
    claims: &[Claim],
    prepared: &[Prepared],
) -> Vec<usize> {
    let (challenged, mut doubtful) = challenged(kernel, claims, prepared);
    let (each, base) = (challenged.iter(), base_table());
    let terms: Vec<_> =
        each.map(|Challenged { key, s, k, .. }| Terms { base, s, key, k }).collect();
    let computed = kernel.encodings(&terms);
    let differ = challenged.iter().zip(&computed).filter(|(claim, r)| claim.r != *r);
    doubtful.extend(differ.map(|(claim, _)| claim.position));
    doubtful
}

/// A claim whose `s` is below the order, with all that its equation asks for.
pub(super) struct Challenged<'a> {
    pub position: usize,
    pub key: &'a KeyTable,
    pub r: &'a [u8; 32],
    pub s: &'a [u8; 32],
    pub k: [u8; 32],
}

/// The claims with their challenges, and the positions of those whose `s` is out of range.
pub(super) fn challenged<'a>(
    kernel: Kernel,
    claims: &[Claim<'a>],
    prepared: &[Prepared<'a>],
) -> (Vec<Challenged<'a>>, Vec<usize>) {
    let (mut challenged, mut doubtful) = (Vec::with_capacity(prepared.len()), Vec::new());
    let mut messages = Vec::with_capacity(prepared.len());
    for (position, table) in prepared {
        let Claim { key, message, signature } = claims[*position];
        let (r, s) = signature.split_first_chunk().expect("half of 64 bytes");
        match s.first_chunk().filter(|s| is_below_order(s)) {
            Some(s) => {
                challenged.push(Challenged { position: *position, key: table, r, s, k: [0; 32] });
                messages.push([r, key, message]);
            }
            None => doubtful.push(*position),
        }
    }
    for (claim, k) in challenged.iter_mut().zip(kernel.challenges(&messages)) {
        claim.k = k;
    }
    (challenged, doubtful)
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
        let point = Point::decode(&public_key).expect("a point");
        let table = Arc::new(Kernel::detected().table(&point.negated()));
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
            let prepared: Vec<Prepared> = (0..count).map(|at| (at, &table)).collect();
            let want: Vec<usize> =
                damaged.iter().map(|(at, _)| *at).filter(|at| *at < count).collect();
            for kernel in Kernel::available() {
                let mut got = doubtful(2, kernel, &claims, &prepared);
                got.sort_unstable();
                assert_eq!(got, want, "{count} signatures with {kernel:?}");
            }
        }
    }

    #[test]
    fn a_key_has_a_table_once_it_has_signed_often() {
        let key = SigningKey::from_seed(&[77; 32]).public_key();
        let has_table = |key: &PublicKey, count: usize| tables(&[(key, count)])[0].is_some();
        assert!(!has_table(&key, 20));
        assert!(!has_table(&key, 11));
        assert!(has_table(&key, 1));
        assert!(has_table(&key, 0));
        // What is no point has none, however often it comes.
        let mut no_point = [2; 32];
        while Point::decode(&no_point).is_some() {
            no_point[0] += 1;
        }
        assert!(!has_table(&no_point, 100));
        // No more are made at once than are kept.
        let seeds =
            (0..TABLES as u64 + 2).map(|seed| *blake3::hash(&seed.to_le_bytes()).as_bytes());
        let many: Vec<PublicKey> =
            seeds.map(|seed| SigningKey::from_seed(&seed).public_key()).collect();
        let made = tables(&many.iter().map(|key| (key, 32)).collect::<Vec<_>>());
        assert_eq!(made.iter().flatten().count(), TABLES);
        assert!(has_table(&key, 32));
        let among = tables(&[(&no_point, 1), (&key, 1), (&[8; 32], 1)]);
        assert_eq!(among.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, false]);
    }
}
