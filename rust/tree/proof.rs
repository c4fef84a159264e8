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
use crate::tasks;

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
    size: u64,
    tiles: &'a Tiles<'a>,
    /// The subtrees that end where the tree does, by their begin, or which tile they lack.
    edge: HashMap<u64, Result<Hash>>,
}

impl<'a> Prover<'a> {
    /// Hash the subtrees at the right edge, which no tile holds.
    pub fn new(suite: Suite, size: u64, tiles: &'a Tiles<'a>) -> Self {
        let mut begins = vec![0];
        while size - begins[begins.len() - 1] > 1 {
            let begin = begins[begins.len() - 1];
            begins.push(begin + split(size - begin));
        }
        // Each is the node over a perfect subtree and the next; the last is a leaf, beside which
        // nothing stands.
        let mut edge = HashMap::new();
        let mut right = Ok([0; 32]);
        for (at, begin) in begins.iter().enumerate().skip(1).rev() {
            right = match Node::over(&(*begin..size)) {
                Some(node) => node.hash(tiles).copied(),
                None => right.and_then(|right| {
                    let left = perfect(*begin, begins[at + 1])[0].hash(tiles)?;
                    Ok(suite.node(left, &right))
                }),
            };
            edge.insert(*begin, right.clone());
        }
        Self { size, tiles, edge }
    }

    /// As `prove_inclusion`.
    pub fn inclusion(&self, index: u64) -> Result<Vec<Hash>> {
        Ok(self.find(&inclusion_path(index, self.size)?)?.into_iter().copied().collect())
    }

    /// The hashes of many subtrees, over all threads: what is read lies far apart.
    pub(super) fn all_subtrees(&self, path: &[Range<u64>]) -> Result<Vec<Hash>> {
        let mut hashes = vec![[0; 32]; path.len()];
        let read = |(some, hashes): (&[Range<u64>], &mut [Hash])| {
            let found = self.find(some)?;
            hashes.iter_mut().zip(found).for_each(|(hash, found)| *hash = *found);
            Ok(())
        };
        match path.len() {
            ..=READS => read((path, &mut hashes))?,
            _ => path.par_chunks(READS).zip(hashes.par_chunks_mut(READS)).try_for_each(read)?,
        }
        Ok(hashes)
    }

    /// Where the hashes of subtrees stand; of those that follow each other many are in one tile.
    ///
    /// None of the hashes is read here: whoever then copies all waits for memory only once, and not
    /// once a hash.
    fn find(&self, path: &[Range<u64>]) -> Result<Vec<&Hash>> {
        let mut last: Option<(TileId, &TileTree)> = None;
        let mut hashes = Vec::with_capacity(path.len());
        for range in path {
            hashes.push(match (Node::over(range), last) {
                (Some(node), Some((name, tile))) if node.tile() == name => node.hash_in(tile)?,
                (Some(node), _) => {
                    let tile = node.find(self.tiles)?;
                    last = Some((node.tile(), tile));
                    node.hash_in(tile)?
                }
                // Every other subtree of a history tree ends where the tree does.
                (None, _) => self.edge[&range.start].as_ref().map_err(Error::clone)?,
            });
        }
        Ok(hashes)
    }

    /// A proof for each index, over all threads; the error is that of the first which has one.
    pub fn inclusions(&self, indices: &[u64]) -> Result<Vec<Vec<Hash>>> {
        let prove = |_, indices: &[u64]| -> Result<Vec<Vec<Hash>>> {
            indices.iter().map(|index| self.inclusion(*index)).collect()
        };
        let proofs: Vec<_> =
            tasks::shares(indices, TASK, prove).into_iter().collect::<Result<_>>()?;
        Ok(proofs.into_iter().flatten().collect())
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
    tiles.dedup(); // most of one tile follow each other, and need not be sorted
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
    let last = *nodes.next().expect("a subtree has leaves").hash(tiles)?;
    nodes.try_fold(last, |right, node| Ok(suite.node(node.hash(tiles)?, &right)))
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
