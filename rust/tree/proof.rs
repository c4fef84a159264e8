//! Prove inclusion (RFC 9162 section 2.1.3.1) and consistency (section 2.1.4.1) from tiles.
//!
//! Both proofs are lists of subtrees `[begin, end)`; what differs is which.

use std::collections::HashMap;
use std::ops::Range;

use rayon::prelude::*;

use super::split;
use super::tile::{Node, TileId, Tiles, perfect, rows, subtree};
use crate::error::{Error, Result};
use crate::suite::{Hash, Suite};

/// Proofs made, or tiles hashed, by one task.
const TASK: usize = 64;

/// The tiles that inclusion proofs are read from.
pub fn inclusion_tiles(indices: &[u64], size: u64) -> Result<Vec<TileId>> {
    let mut tiles = Vec::new();
    for index in indices {
        tiles.extend(tiles_of(&inclusion_path(*index, size)?));
    }
    tiles.sort_unstable();
    tiles.dedup();
    Ok(tiles)
}

/// The hashes beside the path from a leaf to the root, lowest first.
pub fn prove_inclusion(suite: Suite, index: u64, size: u64, tiles: &Tiles) -> Result<Vec<Hash>> {
    hashes_of(suite, &inclusion_path(index, size)?, tiles)
}

/// Makes many proofs of one tree, and hashes each inner node once.
pub struct Prover<'a> {
    suite: Suite,
    size: u64,
    tiles: &'a Tiles<'a>,
    rows: HashMap<TileId, Vec<Vec<Hash>>>,
    /// The subtrees that end where the tree does, as far as the tiles lead to them, by their begin.
    edge: HashMap<u64, Hash>,
}

impl<'a> Prover<'a> {
    /// Hash the nodes within these tiles, over all threads.
    pub fn new(suite: Suite, size: u64, tiles: &'a Tiles<'a>) -> Self {
        let make = |(name, tile): (&TileId, &&[Hash])| (*name, rows(suite, tile));
        let rows = match tiles.len() <= TASK {
            true => tiles.iter().map(make).collect(),
            false => tiles.par_iter().map(make).collect(),
        };
        let mut prover = Self { suite, size, tiles, rows, edge: HashMap::new() };
        let mut begin = 0;
        while size - begin > 1 {
            begin += split(size - begin);
            if let Ok(hash) = prover.fold(begin..size) {
                prover.edge.insert(begin, hash);
            }
        }
        prover
    }

    /// As `prove_inclusion`.
    pub fn inclusion(&self, index: u64) -> Result<Vec<Hash>> {
        let path = inclusion_path(index, self.size)?;
        path.into_iter().map(|range| self.subtree(range)).collect()
    }

    /// A proof for each index, over all threads; the error is that of the first which has one.
    pub fn inclusions(&self, indices: &[u64]) -> Result<Vec<Vec<Hash>>> {
        let prove = |index: &u64| self.inclusion(*index);
        if indices.len() <= TASK {
            return indices.iter().map(prove).collect();
        }
        let proofs: Vec<_> = indices.par_iter().with_min_len(TASK).map(prove).collect();
        proofs.into_iter().collect()
    }

    pub(super) fn subtree(&self, range: Range<u64>) -> Result<Hash> {
        match self.edge.get(&range.start).filter(|_| range.end == self.size) {
            Some(hash) => Ok(*hash),
            None => self.fold(range),
        }
    }

    /// The hash over leaves `[begin, end)`: its perfect subtrees, folded from the right.
    fn fold(&self, range: Range<u64>) -> Result<Hash> {
        let width = range.end - range.start;
        if width.is_power_of_two() {
            let level = width.trailing_zeros();
            return self.node(Node { level, index: range.start >> level });
        }
        let mut nodes = perfect(range.start, range.end).into_iter().rev();
        let last = self.node(nodes.next().expect("a subtree has leaves"))?;
        nodes.try_fold(last, |right, node| Ok(self.suite.node(&self.node(node)?, &right)))
    }

    fn node(&self, node: Node) -> Result<Hash> {
        let row = self.rows.get(&node.tile()).and_then(|rows| rows.get(node.row()));
        let hash = row.and_then(|row| row.get(node.position()));
        hash.copied().ok_or_else(|| node.missing(self.tiles))
    }
}

/// The tiles that a consistency proof is read from.
pub fn consistency_tiles(first: u64, second: u64) -> Result<Vec<TileId>> {
    Ok(tiles_of(&consistency_path(first, second)?))
}

/// The hashes from which both the older and the newer root follow.
pub fn prove_consistency(
    suite: Suite,
    first: u64,
    second: u64,
    tiles: &Tiles,
) -> Result<Vec<Hash>> {
    hashes_of(suite, &consistency_path(first, second)?, tiles)
}

pub(super) fn tiles_of(path: &[Range<u64>]) -> Vec<TileId> {
    let nodes = path.iter().flat_map(|range| perfect(range.start, range.end));
    let mut tiles: Vec<TileId> = nodes.map(|node| node.tile()).collect();
    tiles.sort_unstable();
    tiles.dedup();
    tiles
}

fn hashes_of(suite: Suite, path: &[Range<u64>], tiles: &Tiles) -> Result<Vec<Hash>> {
    path.iter().map(|range| subtree(suite, range.start, range.end, tiles)).collect()
}

fn inclusion_path(index: u64, size: u64) -> Result<Vec<Range<u64>>> {
    if index >= size {
        return Err(Error::Proof(format!("index is {index}, want below the size {size}")));
    }
    let (mut begin, mut end) = (0, size);
    let mut path = Vec::new();
    while end - begin > 1 {
        let middle = begin + split(end - begin);
        if index < middle {
            path.push(middle..end);
            end = middle;
        } else {
            path.push(begin..middle);
            begin = middle;
        }
    }
    path.reverse();
    Ok(path)
}

fn consistency_path(first: u64, second: u64) -> Result<Vec<Range<u64>>> {
    if first > second {
        return Err(Error::Proof(format!("first size is {first}, want at most {second}")));
    }
    if first == 0 || first == second {
        return Ok(Vec::new());
    }
    let (mut begin, mut end) = (0, second);
    let mut path = Vec::new();
    while end != first {
        let middle = begin + split(end - begin);
        if first <= middle {
            path.push(middle..end);
            end = middle;
        } else {
            path.push(begin..middle);
            begin = middle;
        }
    }
    // The older tree's last subtree, unless it is the whole older tree, which the verifier has.
    if begin > 0 {
        path.push(begin..end);
    }
    path.reverse();
    Ok(path)
}
