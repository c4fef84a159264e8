//! Name the tiles that a tree is stored in, and find its nodes in them.
//!
//! Tile `(level, index)` holds the roots of up to 256 perfect subtrees of `256^level` leaves each,
//! from subtree `256 * index` on (C2SP tlog-tiles). Nodes between two tile levels are not stored:
//! a `TileTree` holds those of one tile, hashed once for all that is proven from it.

use std::collections::HashMap;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::suite::{Hash, Suite};
use crate::tasks;

/// Levels of the tree that one tile spans.
pub const TILE_BITS: u32 = 8;

/// Hashes in a full tile.
pub const TILE_WIDTH: usize = 1 << TILE_BITS;

/// Full tiles whose narrow rows are hashed side by side.
const TOGETHER: usize = 16;

/// Hashes of a row whose pairs leave lanes empty by themselves.
const NARROW: usize = 16;

/// The level and index of a tile.
pub type TileId = (u32, u64);

/// A tile's hashes, fewer than 256 at the right edge of the tree.
pub type Tile = Vec<Hash>;

/// Tiles by name, from which proofs are read.
pub type Tiles<'a> = HashMap<TileId, &'a TileTree>;

/// A tile with the nodes over its hashes: immutable, and twice as large as the tile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileTree {
    /// Row by row, the tile's own hashes first.
    nodes: Vec<Hash>,
    width: usize,
}

impl TileTree {
    /// Hash the nodes over the hashes of each tile, over all threads.
    pub fn build(suite: Suite, tiles: &[&[Hash]]) -> Vec<Self> {
        let mut groups: Vec<&[&[Hash]]> = Vec::new();
        for run in tiles.chunk_by(|one, other| [one, other].iter().all(|tile| is_full(tile))) {
            groups.extend(run.chunks(TOGETHER));
        }
        let built = tasks::shares(&groups, 1, |_, group| build_group(suite, group[0]));
        built.into_iter().flatten().collect()
    }

    /// The tile's own hashes.
    pub fn hashes(&self) -> &[Hash] {
        &self.nodes[..self.width]
    }

    /// The root of a full tile, which is a hash of the tile above it.
    pub fn root(&self) -> Option<&Hash> {
        self.row(TILE_BITS as usize).first()
    }

    /// The nodes so many rows above the tile's hashes.
    fn row(&self, row: usize) -> &[Hash] {
        let begin = nodes_from(self.width) - nodes_from(self.width >> row);
        &self.nodes[begin..begin + (self.width >> row)]
    }
}

/// How many nodes are in a row and those above it: the sum of `width >> n` (Legendre's formula).
fn nodes_from(width: usize) -> usize {
    2 * width - width.count_ones() as usize
}

fn is_full(tile: &[Hash]) -> bool {
    tile.len() == TILE_WIDTH
}

/// The trees of one tile, or of several full ones, whose narrow rows are hashed as one.
fn build_group(suite: Suite, tiles: &[&[Hash]]) -> Vec<TileTree> {
    let width = tiles[0].len();
    let place = |tile: &&[Hash]| {
        let mut nodes = vec![[0; 32]; nodes_from(width)];
        nodes[..width].copy_from_slice(tile);
        TileTree { nodes, width }
    };
    let mut trees: Vec<TileTree> = tiles.iter().map(place).collect();
    let (mut begin, mut count) = (0, width);
    while count > 1 {
        let (pairs, end) = (begin..begin + (count & !1), begin + count);
        if count > NARROW {
            for tree in &mut trees {
                let (below, above) = tree.nodes.split_at_mut(end);
                suite.nodes_into(&below[pairs.clone()], &mut above[..count / 2]);
            }
        } else {
            let row: Vec<Hash> =
                trees.iter().flat_map(|tree| &tree.nodes[pairs.clone()]).copied().collect();
            for (tree, nodes) in trees.iter_mut().zip(suite.nodes(&row).chunks_exact(count / 2)) {
                tree.nodes[end..][..count / 2].copy_from_slice(nodes);
            }
        }
        (begin, count) = (end, count / 2);
    }
    trees
}

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

    /// The node over these leaves, where they are one perfect subtree: most are.
    pub fn over(range: &Range<u64>) -> Option<Self> {
        let width = range.end - range.start;
        let level = width.trailing_zeros();
        width.is_power_of_two().then(|| Self { level, index: range.start >> level })
    }

    /// The tile that the node is read from, among these.
    pub fn find<'a>(self, tiles: &Tiles<'a>) -> Result<&'a TileTree> {
        tiles.get(&self.tile()).copied().ok_or_else(|| self.missing(0))
    }

    /// The node's hash, from its tile.
    pub fn hash<'a>(self, tiles: &Tiles<'a>) -> Result<&'a Hash> {
        self.hash_in(self.find(tiles)?)
    }

    /// The node's hash, from the tile that it is read from.
    pub fn hash_in(self, tile: &TileTree) -> Result<&Hash> {
        tile.row(self.row()).get(self.position()).ok_or_else(|| self.missing(tile.width))
    }

    /// How far above its tile's hashes the node stands.
    fn row(self) -> usize {
        (self.level % TILE_BITS) as usize
    }

    /// Where it stands in that row of the tile.
    fn position(self) -> usize {
        self.index as usize % (TILE_WIDTH >> self.row())
    }

    /// The error that the node's tile is not there, or is too short.
    fn missing(self, have: usize) -> Error {
        let (level, index) = self.tile();
        let want = (self.position() + 1) << self.row();
        Error::Proof(format!("tile ({level}, {index}) has {have} hashes, want {want}"))
    }
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
