//! Append leaves and know the root, keeping only the unfinished tiles.

use rayon::prelude::*;

use super::tile::{TILE_BITS, TILE_WIDTH, Tile, TileId, fold};
use crate::error::{Error, Result, malformed};
use crate::suite::{Hash, Suite};

/// Full tiles folded by one task.
const TASK: usize = 8;

/// Leaves of the largest tree that is taken up; as many again may be appended in one process.
const SIZE_LIMIT: u64 = 1 << 62;

/// What an appender must keep: the size, and the last, unfinished tile of each level.
///
/// Immutable: appending gives a new frontier, so that a write that fails leaves the old one whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frontier {
    suite: Suite,
    size: u64,
    tails: Vec<Tile>,
}

impl Frontier {
    pub fn new(suite: Suite) -> Self {
        Self { suite, size: 0, tails: Vec::new() }
    }

    /// Take up a tree from its unfinished tiles, lowest level first.
    pub fn restore(suite: Suite, size: u64, tails: Vec<Tile>) -> Result<Self> {
        if size > SIZE_LIMIT {
            return Err(Error::Limit { what: "tree size", got: size, limit: SIZE_LIMIT });
        }
        let levels = (64 - size.leading_zeros()).div_ceil(TILE_BITS) as usize;
        if tails.len() != levels {
            return malformed(format!("tree has {} unfinished tiles, want {levels}", tails.len()));
        }
        for (level, tail) in tails.iter().enumerate() {
            let want = (size >> (TILE_BITS as usize * level)) as usize % TILE_WIDTH;
            if tail.len() != want {
                let got = tail.len();
                return malformed(format!("unfinished tile {level} has {got} hashes, want {want}"));
            }
        }
        Ok(Self { suite, size, tails })
    }

    pub fn suite(&self) -> Suite {
        self.suite
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn tails(&self) -> &[Tile] {
        &self.tails
    }

    /// The tree with these leaves, and the tiles that they filled.
    pub fn append(&self, leaves: &[Hash]) -> (Self, Vec<(TileId, Tile)>) {
        let mut filled = Vec::new();
        let mut tails = self.tails.clone();
        let mut hashes = leaves.to_vec();
        let mut level = 0;
        while !hashes.is_empty() {
            if tails.len() == level {
                tails.push(Tile::new());
            }
            let below = (self.size >> (TILE_BITS as usize * level)) / TILE_WIDTH as u64;
            tails[level].append(&mut hashes);
            let whole = tails[level].len() / TILE_WIDTH * TILE_WIDTH;
            let rest = tails[level].split_off(whole);
            let full = std::mem::replace(&mut tails[level], rest);
            hashes = full
                .par_chunks_exact(TILE_WIDTH)
                .with_min_len(TASK)
                .map(|tile| fold(self.suite, tile))
                .collect();
            let tiles = full.chunks_exact(TILE_WIDTH).map(<[Hash]>::to_vec);
            filled.extend(tiles.zip(below..).map(|(tile, index)| ((level as u32, index), tile)));
            level += 1;
        }
        let size = self.size + leaves.len() as u64;
        (Self { suite: self.suite, size, tails }, filled)
    }

    /// The root of the tree: its perfect subtrees, folded from the right.
    pub fn root(&self) -> Hash {
        let mut root: Option<Hash> = None;
        for tail in &self.tails {
            let mut end = tail.len();
            while end > 0 {
                let width = 1 << end.trailing_zeros();
                let left = fold(self.suite, &tail[end - width..end]);
                root = Some(root.map_or(left, |right| self.suite.node(&left, &right)));
                end -= width;
            }
        }
        root.unwrap_or_else(|| self.suite.empty_root())
    }
}
