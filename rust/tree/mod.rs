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
const CHUNK: usize = 512;

/// The root over leaf hashes.
pub fn root(suite: Suite, leaves: &[Hash]) -> Hash {
    if leaves.is_empty() {
        return suite.empty_root();
    }
    let mut row: Vec<Hash> = leaves.chunks(CHUNK).map(|chunk| join(suite, chunk)).collect();
    while row.len() > 1 {
        row = row.chunks(CHUNK).map(|chunk| join(suite, chunk)).collect();
    }
    row[0]
}

/// The node over these neighbours. One without a partner goes up a level as it is, which gives the
/// shape of RFC 9162: every left subtree is perfect.
fn join(suite: Suite, hashes: &[Hash]) -> Hash {
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        let (pairs, alone) = row.split_at(row.len() & !1);
        let mut above = suite.nodes(pairs);
        above.extend_from_slice(alone);
        row = above;
    }
    row[0]
}

/// The size of the left subtree: the largest power of two below `size`, which is at least 2.
fn split(size: u64) -> u64 {
    1 << (63 - (size - 1).leading_zeros())
}
