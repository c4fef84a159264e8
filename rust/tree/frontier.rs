//! Append leaves and know the root, keeping only the unfinished tiles.

use std::borrow::Cow;

use super::root;
use super::tile::{TILE_BITS, TILE_WIDTH, Tile, TileId};
use crate::error::{Error, Result, malformed};
use crate::suite::{Hash, Suite};
use crate::tasks;

/// Full tiles hashed by one task: a block's take less than a thread may be waited for while all
/// cores are at work.
const TASK: usize = 64;

/// Hashes of a tail that are added to its subtrees one by one: more are folded side by side.
const FEW: usize = 8;

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
    /// The perfect subtrees over each tail, the widest first: what a root is folded from, so that
    /// one more leaf costs two nodes and not those of its whole tile.
    peaks: Vec<Vec<Hash>>,
}

impl Frontier {
    pub fn new(suite: Suite) -> Self {
        Self { suite, size: 0, tails: Vec::new(), peaks: Vec::new() }
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
        let peaks = tails.iter().map(|tail| peaks(suite, tail)).collect();
        Ok(Self { suite, size, tails, peaks })
    }

    /// The same with its subtrees made again from the unfinished tiles.
    pub fn again(&self) -> Self {
        let peaks = self.tails.iter().map(|tail| peaks(self.suite, tail)).collect();
        Self { peaks, ..self.clone() }
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
        let (mut tails, mut peaks) = (self.tails.clone(), self.peaks.clone());
        let mut hashes = Cow::Borrowed(leaves);
        let mut level = 0;
        while !hashes.is_empty() {
            if tails.len() == level {
                tails.push(Tile::new());
                peaks.push(Vec::new());
            }
            let below = (self.size >> (TILE_BITS as usize * level)) / TILE_WIDTH as u64;
            let had = tails[level].len();
            let full = fill(&mut tails[level], &hashes);
            let had = if full.is_empty() { had } else { 0 };
            grow(self.suite, &mut peaks[level], &tails[level], had);
            hashes = Cow::Owned(roots(self.suite, &full));
            let named = (below..).map(|index| (level as u32, index)).zip(full);
            filled.extend(named);
            level += 1;
        }
        let size = self.size + leaves.len() as u64;
        (Self { suite: self.suite, size, tails, peaks }, filled)
    }

    /// The root of the tree: its perfect subtrees, folded from the right.
    pub fn root(&self) -> Hash {
        let right_to_left = self.peaks.iter().flat_map(|peaks| peaks.iter().rev()).copied();
        let root = right_to_left.reduce(|right, left| self.suite.node(&left, &right));
        root.unwrap_or_else(|| self.suite.empty_root())
    }
}

/// Append hashes to a tail; the tiles that they fill are taken out of it.
fn fill(tail: &mut Tile, hashes: &[Hash]) -> Vec<Tile> {
    let (first, rest) = hashes.split_at(hashes.len().min(TILE_WIDTH - tail.len()));
    tail.extend_from_slice(first);
    if tail.len() < TILE_WIDTH {
        return Vec::new();
    }
    let (tiles, rest) = rest.as_chunks::<TILE_WIDTH>();
    let first = std::mem::replace(tail, rest.to_vec());
    std::iter::once(first).chain(tiles.iter().map(|tile| tile.to_vec())).collect()
}

/// The roots of full tiles.
fn roots(suite: Suite, tiles: &[Tile]) -> Vec<Hash> {
    let roots = |_, tiles: &[Tile]| tiles.iter().map(|tile| root(suite, tile)).collect();
    tasks::shares::<_, Vec<Hash>>(tiles, TASK, roots).concat()
}

/// The perfect subtrees over a tail, the widest first.
fn peaks(suite: Suite, tail: &[Hash]) -> Vec<Hash> {
    let mut peaks = Vec::with_capacity(tail.len().count_ones() as usize);
    let mut row = tail.to_vec();
    while !row.is_empty() {
        if row.len() % 2 == 1 {
            peaks.extend(row.pop());
        }
        row = suite.nodes(&row); // all subtrees side by side, level by level
    }
    peaks.reverse();
    peaks
}

/// Bring the subtrees over the first `had` hashes of a tail up to all of it.
fn grow(suite: Suite, peaks: &mut Vec<Hash>, tail: &[Hash], had: usize) {
    if tail.len() - had > FEW {
        *peaks = self::peaks(suite, tail);
        return;
    }
    peaks.truncate(had.count_ones() as usize);
    for (size, hash) in (had..).zip(&tail[had..]) {
        let pairs = peaks.split_off(peaks.len() - size.trailing_ones() as usize);
        let right = *hash;
        peaks.push(pairs.iter().rev().fold(right, |right, left| suite.node(left, &right)));
    }
}
