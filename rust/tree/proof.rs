//! Prove inclusion (RFC 9162 section 2.1.3.1) and consistency (section 2.1.4.1) from tiles.
//!
//! Both proofs are lists of subtrees `[begin, end)`; what differs is which.

use std::collections::HashMap;
use std::ops::Range;

use rayon::prelude::*;

use super::split;
use super::tile::{Node, TILE_BITS, TileId, TileTree, Tiles, perfect};
use crate::error::{Error, Result};
use crate::suite::{Hash, Suite};

/// Proofs made by one task.
const TASK: usize = 64;

/// Hashes read by one task.
const READS: usize = 2048;

/// The tiles that inclusion proofs are read from.
pub fn inclusion_tiles(indices: &[u64], size: u64) -> Result<Vec<TileId>> {
    if let Some(index) = indices.iter().find(|index| **index >= size) {
        return Err(outside(*index, size));
    }
    // Leaves of one tile are proved from the same tiles.
    let mut lowest: Vec<u64> = indices.iter().map(|index| index >> TILE_BITS).collect();
    lowest.sort_unstable();
    lowest.dedup();
    let mut nodes = Vec::new();
    for tile in lowest {
        nodes.extend(inclusion_path(tile << TILE_BITS, size)?);
    }
    Ok(tiles_of(&nodes))
}

/// The hashes beside the path from a leaf to the root, lowest first.
pub fn prove_inclusion(suite: Suite, index: u64, size: u64, tiles: &Tiles) -> Result<Vec<Hash>> {
    hashes_of(suite, &inclusion_path(index, size)?, tiles)
}

/// Makes many proofs of one tree.
pub struct Prover<'a> {
    suite: Suite,
    size: u64,
    tiles: &'a Tiles<'a>,
    /// The subtrees that end where the tree does, as far as the tiles lead to them, by their begin.
    edge: HashMap<u64, Hash>,
}

impl<'a> Prover<'a> {
    /// Hash the subtrees at the right edge, which no tile holds.
    pub fn new(suite: Suite, size: u64, tiles: &'a Tiles<'a>) -> Self {
        let mut begins = vec![0];
        while size - begins[begins.len() - 1] > 1 {
            let begin = begins[begins.len() - 1];
            begins.push(begin + split(size - begin));
        }
        // Each is the node over a perfect subtree and the next; the smallest is a leaf.
        let mut edge = HashMap::new();
        let mut right: Option<Hash> = None;
        for (at, begin) in begins.iter().enumerate().skip(1).rev() {
            right = match Node::over(&(*begin..size)) {
                Some(node) => node.hash(tiles).ok(),
                None => Node::over(&(*begin..begins[at + 1]))
                    .and_then(|left| Some(suite.node(&left.hash(tiles).ok()?, &right?))),
            };
            edge.extend(right.map(|hash| (*begin, hash)));
        }
        Self { suite, size, tiles, edge }
    }

    /// As `prove_inclusion`.
    pub fn inclusion(&self, index: u64) -> Result<Vec<Hash>> {
        self.subtrees(&inclusion_path(index, self.size)?)
    }

    /// The hashes of many subtrees, over all threads: what is read lies far apart.
    pub(super) fn all_subtrees(&self, path: &[Range<u64>]) -> Result<Vec<Hash>> {
        let found: Result<Vec<_>> =
            path.par_chunks(READS).map(|some| self.subtrees(some)).collect();
        Ok(found?.concat())
    }

    /// The hashes of subtrees; of those that follow each other many stand in one tile.
    fn subtrees(&self, path: &[Range<u64>]) -> Result<Vec<Hash>> {
        let mut last: Option<(TileId, &TileTree)> = None;
        let mut hashes = Vec::with_capacity(path.len());
        for range in path {
            let hash = match (Node::over(range), last) {
                (Some(node), Some((name, tile))) if node.tile() == name => node.hash_in(tile)?,
                (Some(node), _) => {
                    let tile = node.find(self.tiles)?;
                    last = Some((node.tile(), tile));
                    node.hash_in(tile)?
                }
                (None, _) => match self.edge.get(&range.start).filter(|_| range.end == self.size) {
                    Some(hash) => *hash,
                    None => subtree(self.suite, range.clone(), self.tiles)?,
                },
            };
            hashes.push(hash);
        }
        Ok(hashes)
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
    let mut tiles = Vec::new();
    for range in path {
        match Node::over(range) {
            Some(node) => tiles.push(node.tile()),
            None => tiles.extend(perfect(range.start, range.end).into_iter().map(Node::tile)),
        }
    }
    tiles.dedup();
    tiles.sort_unstable();
    tiles.dedup();
    tiles
}

fn hashes_of(suite: Suite, path: &[Range<u64>], tiles: &Tiles) -> Result<Vec<Hash>> {
    path.iter().map(|range| subtree(suite, range.clone(), tiles)).collect()
}

/// The hash over leaves `[begin, end)`: its perfect subtrees, folded from the right.
fn subtree(suite: Suite, range: Range<u64>, tiles: &Tiles) -> Result<Hash> {
    let mut nodes = perfect(range.start, range.end).into_iter().rev();
    let last = nodes.next().expect("a subtree has leaves").hash(tiles)?;
    nodes.try_fold(last, |right, node| Ok(suite.node(&node.hash(tiles)?, &right)))
}

fn inclusion_path(index: u64, size: u64) -> Result<Vec<Range<u64>>> {
    if index >= size {
        return Err(outside(index, size));
    }
    let (mut begin, mut end) = (0, size);
    let mut path = Vec::with_capacity(64 - size.leading_zeros() as usize);
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

fn outside(index: u64, size: u64) -> Error {
    Error::Proof(format!("index is {index}, want below the size {size}"))
}
