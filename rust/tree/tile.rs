//! Name the tiles that a tree is stored in, and find its nodes in them.
//!
//! Tile `(level, index)` holds the roots of up to 256 perfect subtrees of `256^level` leaves each,
//! from subtree `256 * index` on (C2SP tlog-tiles). Nodes between two tile levels are recomputed.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::suite::{Hash, Suite};

/// Levels of the tree that one tile spans.
pub const TILE_BITS: u32 = 8;

/// Hashes in a full tile.
pub const TILE_WIDTH: usize = 1 << TILE_BITS;

/// The level and index of a tile.
pub type TileId = (u32, u64);

/// A tile's hashes, fewer than 256 at the right edge of the tree.
pub type Tile = Vec<Hash>;

/// Tiles by name, from which proofs are read.
pub type Tiles<'a> = HashMap<TileId, &'a [Hash]>;

/// A perfect subtree: `2^level` leaves from `index << level` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Node {
    pub level: u32,
    pub index: u64,
}

impl Node {
    /// The tile that the node is read from.
    pub fn tile(self) -> TileId {
        let level = self.level / TILE_BITS;
        let first = self.index << (self.level % TILE_BITS);
        (level, first >> TILE_BITS)
    }

    /// How far above its tile's hashes the node stands.
    pub fn row(self) -> usize {
        (self.level % TILE_BITS) as usize
    }

    /// Where it stands in that row of the tile.
    pub fn position(self) -> usize {
        self.index as usize % (TILE_WIDTH >> self.row())
    }

    /// The node's hash, from its tile.
    pub fn hash(self, suite: Suite, tiles: &Tiles) -> Result<Hash> {
        let (begin, end) = self.span();
        let tile = tiles.get(&self.tile()).and_then(|tile| tile.get(begin..end));
        Ok(fold(suite, tile.ok_or_else(|| self.missing(tiles))?))
    }

    /// The error that the node's tile is not there, or is too short.
    pub fn missing(self, tiles: &Tiles) -> Error {
        let (level, index) = self.tile();
        let have = tiles.get(&(level, index)).map_or(0, |tile| tile.len());
        let want = self.span().1;
        Error::Proof(format!("tile ({level}, {index}) has {have} hashes, want {want}"))
    }

    /// The hashes of the tile that the node is over.
    fn span(self) -> (usize, usize) {
        let begin = self.position() << self.row();
        (begin, begin + (1 << self.row()))
    }
}

/// The rows of nodes over tiles' hashes, the lowest first: in each row the nodes of one tile after
/// those of the other. Several tiles are full ones.
pub(super) fn rows(suite: Suite, tiles: &[&[Hash]]) -> Vec<Vec<Hash>> {
    let mut first = Vec::with_capacity(tiles.len() * TILE_WIDTH / 2);
    for tile in tiles {
        first.extend(suite.nodes(&tile[..tile.len() & !1]));
    }
    let mut rows = vec![first];
    while let Some(row) = rows.last().filter(|_| rows.len() + 1 < TILE_BITS as usize) {
        rows.push(suite.nodes(&row[..row.len() & !1]));
    }
    rows
}

/// The root of a perfect subtree over its hashes, a power of two of them.
pub(super) fn fold(suite: Suite, hashes: &[Hash]) -> Hash {
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        row = suite.nodes(&row);
    }
    row[0]
}

/// The perfect subtrees that make up leaves `[begin, end)`, left to right. `begin` is a multiple
/// of the largest power of two that fits, as it is for every subtree of a history tree.
pub(super) fn perfect(begin: u64, end: u64) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut at = begin;
    while at < end {
        let level = 63 - (end - at).leading_zeros();
        nodes.push(Node { level, index: at >> level });
        at += 1 << level;
    }
    nodes
}

/// The hash over leaves `[begin, end)`: its perfect subtrees, folded from the right.
pub(super) fn subtree(suite: Suite, begin: u64, end: u64, tiles: &Tiles) -> Result<Hash> {
    let mut nodes = perfect(begin, end).into_iter().rev();
    let last = nodes.next().expect("a subtree has leaves").hash(suite, tiles)?;
    nodes.try_fold(last, |right, node| Ok(suite.node(&node.hash(suite, tiles)?, &right)))
}
