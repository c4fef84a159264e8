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
pub use tile::{TILE_BITS, TILE_WIDTH, Tile, TileId, Tiles};
pub use verify::{verify_consistency, verify_inclusion};

/// The root over leaf hashes.
pub fn root(suite: Suite, leaves: &[Hash]) -> Hash {
    Frontier::new(suite).append(leaves).0.root()
}

/// The size of the left subtree: the largest power of two below `size`, which is at least 2.
fn split(size: u64) -> u64 {
    1 << (63 - (size - 1).leading_zeros())
}
