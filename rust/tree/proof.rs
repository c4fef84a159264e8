//! Prove inclusion (RFC 9162 section 2.1.3.1) and consistency (section 2.1.4.1) from tiles.
//!
//! Both proofs are lists of subtrees `[begin, end)`; what differs is which.

use std::collections::HashMap;
use std::ops::Range;

use super::split;
use super::tile::{Node, TileId, Tiles, perfect, rows, subtree};
use crate::error::{Error, Result};
use crate::suite::{Hash, Suite};

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

/// Makes many inclusion proofs of one tree, and hashes each inner node once.
pub struct Prover<'a> {
    suite: Suite,
    size: u64,
    tiles: &'a Tiles<'a>,
    rows: HashMap<TileId, Vec<Vec<Hash>>>,
    subtrees: HashMap<Range<u64>, Hash>,
}

impl<'a> Prover<'a> {
    pub fn new(suite: Suite, size: u64, tiles: &'a Tiles<'a>) -> Self {
        Self { suite, size, tiles, rows: HashMap::new(), subtrees: HashMap::new() }
    }

    /// As `prove_inclusion`.
    pub fn inclusion(&mut self, index: u64) -> Result<Vec<Hash>> {
        let path = inclusion_path(index, self.size)?;
        path.into_iter().map(|range| self.subtree(range)).collect()
    }

    fn subtree(&mut self, range: Range<u64>) -> Result<Hash> {
        let nodes = perfect(range.start, range.end);
        if let [node] = nodes[..] {
            return self.node(node);
        }
        if let Some(hash) = self.subtrees.get(&range) {
            return Ok(*hash);
        }
        let mut nodes = nodes.into_iter().rev();
        let mut hash = self.node(nodes.next().expect("a subtree has leaves"))?;
        for node in nodes {
            hash = self.suite.node(&self.node(node)?, &hash);
        }
        self.subtrees.insert(range, hash);
        Ok(hash)
    }

    fn node(&mut self, node: Node) -> Result<Hash> {
        let name = node.tile();
        if !self.rows.contains_key(&name) {
            let tile = self.tiles.get(&name).copied().unwrap_or_default();
            self.rows.insert(name, rows(self.suite, tile));
        }
        let row = self.rows[&name].get(node.row()).map_or(&[][..], Vec::as_slice);
        row.get(node.position()).copied().ok_or_else(|| node.missing(self.tiles))
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
