//! Keep an append-only history tree (RFC 9162 section 2.1) and prove what is in it.
//!
//! A tree is stored as tiles of 256 hashes. An appender keeps a `Frontier`; proofs are pure
//! functions of the tiles they are read from; verifiers need no tree at all.

mod frontier;
mod multiproof;
mod proof;
mod tile;
mod verify;

use crate::suite::{Hash, Suite};

pub use frontier::Frontier;
pub use multiproof::{multiproof_tiles, prove_multi, verify_multi};
pub use proof::{Prover, consistency_tiles, inclusion_tiles, prove_consistency, prove_inclusion};
pub use tile::{TILE_BITS, TILE_WIDTH, Tile, TileId, TileTree, Tiles};
pub use verify::{Claim, verify_consistency, verify_inclusion, verify_inclusions};

/// Leaves whose nodes are hashed while they are in the cache: a power of two.
const CHUNK: usize = 4096;

/// The root over leaf hashes.
pub fn root(suite: Suite, leaves: &[Hash]) -> Hash {
    if leaves.is_empty() {
        return suite.empty_root();
    }
    let room = vec![[0; 32]; leaves.len().min(CHUNK).div_ceil(2)];
    let mut rooms = [room.clone(), room];
    let mut join = |hashes: &[Hash]| join(suite, hashes, &mut rooms);
    let mut row: Vec<Hash> = leaves.chunks(CHUNK).map(&mut join).collect();
    while row.len() > 1 {
        row = row.chunks(CHUNK).map(&mut join).collect();
    }
    row[0]
}

/// The node over all of these neighbours, made row by row in two rooms that take turns.
fn join(suite: Suite, hashes: &[Hash], [row, above]: &mut [Vec<Hash>; 2]) -> Hash {
    if let [hash] = hashes {
        return *hash;
    }
    let mut count = join_pairs(suite, hashes, row);
    while count > 1 {
        count = join_pairs(suite, &row[..count], above);
        std::mem::swap(row, above);
    }
    row[0]
}

/// The nodes over neighbours, two by two, and how many they are. One without a partner goes up a
/// level as it is, which gives the shape of RFC 9162: every left subtree is perfect.
fn join_pairs(suite: Suite, row: &[Hash], above: &mut [Hash]) -> usize {
    let (pairs, alone) = row.split_at(row.len() & !1);
    let count = pairs.len() / 2;
    suite.nodes_into(pairs, &mut above[..count]);
    above[count..][..alone.len()].copy_from_slice(alone);
    count + alone.len()
}

/// The size of the left subtree: the largest power of two below `size`, which is at least 2.
fn split(size: u64) -> u64 {
    1 << (63 - (size - 1).leading_zeros())
}
