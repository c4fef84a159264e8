//! Prove inclusion (RFC 9162 section 2.1.3.1) and consistency (section 2.1.4.1) from tiles.
//!
//! Both proofs are lists of subtrees `[begin, end)`; what differs is which.

use std::collections::HashMap;
use std::ops::Range;

use rayon::prelude::*;

use super::split;
use super::tile::{Node, TILE_BITS, TILE_WIDTH, TileId, Tiles, perfect, rows, subtree};
use crate::error::{Error, Result};
use crate::suite::{Hash, Suite};

/// Proofs made by one task.
const TASK: usize = 64;

/// Full tiles whose nodes are hashed side by side: the rows high up are short.
const TOGETHER: usize = 16;

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

/// Makes many proofs of one tree, and hashes each inner node once.
pub struct Prover<'a> {
    suite: Suite,
    size: u64,
    tiles: &'a Tiles<'a>,
    above: HashMap<TileId, Above<'a>>,
    groups: Vec<Rows>,
    /// The subtrees that end where the tree does, as far as the tiles lead to them, by their begin.
    edge: HashMap<u64, Hash>,
}

/// Rows of nodes over the hashes of tiles that stand side by side, the lowest row first.
type Rows = Vec<Vec<Hash>>;

/// A tile, and where the nodes over its hashes are.
#[derive(Clone, Copy)]
struct Above<'a> {
    tile: &'a [Hash],
    group: usize,
    place: usize,
}

impl<'a> Prover<'a> {
    /// Hash the nodes within these tiles, over all threads.
    pub fn new(suite: Suite, size: u64, tiles: &'a Tiles<'a>) -> Self {
        let named = tiles.iter().map(|(name, tile)| (*name, *tile));
        let (mut full, short): (Vec<_>, Vec<_>) =
            named.partition(|(_, tile)| tile.len() == TILE_WIDTH);
        full.sort_unstable_by_key(|(name, _)| *name);
        let together: Vec<&[(TileId, &[Hash])]> =
            full.chunks(TOGETHER).chain(short.chunks(1)).collect();
        let rows = |group: &&[(TileId, &[Hash])]| {
            rows(suite, &group.iter().map(|(_, tile)| *tile).collect::<Vec<_>>())
        };
        let groups = match together.len() {
            ..=1 => together.iter().map(rows).collect(),
            _ => together.par_iter().map(rows).collect(),
        };
        let mut above = HashMap::with_capacity(tiles.len());
        for (group, named) in together.iter().enumerate() {
            let named = named.iter().enumerate();
            above.extend(named.map(|(place, (name, tile))| (*name, Above { tile, group, place })));
        }
        let mut prover = Self { suite, size, tiles, above, groups, edge: HashMap::new() };
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
        self.subtrees(&inclusion_path(index, self.size)?)
    }

    /// The hashes of subtrees; of those that follow each other many stand in one tile.
    pub(super) fn subtrees(&self, path: &[Range<u64>]) -> Result<Vec<Hash>> {
        let mut last: Option<(TileId, Above)> = None;
        let mut hashes = Vec::with_capacity(path.len());
        for range in path {
            let width = range.end - range.start;
            if !width.is_power_of_two() {
                hashes.push(self.subtree(range.clone())?);
                continue;
            }
            let level = width.trailing_zeros();
            let node = Node { level, index: range.start >> level };
            let above = match last.filter(|(name, _)| *name == node.tile()) {
                Some((_, above)) => above,
                None => self.above(node)?,
            };
            hashes.push(self.hash_above(node, above)?);
            last = Some((node.tile(), above));
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

    fn subtree(&self, range: Range<u64>) -> Result<Hash> {
        let known = if range.end == self.size { self.edge.get(&range.start) } else { None };
        known.map_or_else(|| self.fold(range), |hash| Ok(*hash))
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
        self.hash_above(node, self.above(node)?)
    }

    fn above(&self, node: Node) -> Result<Above<'a>> {
        self.above.get(&node.tile()).copied().ok_or_else(|| node.missing(self.tiles))
    }

    fn hash_above(&self, node: Node, above: Above) -> Result<Hash> {
        let hash = match node.row().checked_sub(1) {
            None => above.tile.get(node.position()),
            Some(row) => self.groups[above.group].get(row).and_then(|row| {
                row.get(above.place * (TILE_WIDTH >> node.row()) + node.position())
            }),
        };
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
    let mut tiles = Vec::new();
    for range in path {
        // What is a power of two wide is one node: most are.
        let width = range.end - range.start;
        match width.is_power_of_two() {
            true => {
                let level = width.trailing_zeros();
                tiles.push(Node { level, index: range.start >> level }.tile());
            }
            false => tiles.extend(perfect(range.start, range.end).into_iter().map(Node::tile)),
        }
    }
    tiles.dedup();
    tiles.sort_unstable();
    tiles.dedup();
    tiles
}

fn hashes_of(suite: Suite, path: &[Range<u64>], tiles: &Tiles) -> Result<Vec<Hash>> {
    path.iter().map(|range| subtree(suite, range.start, range.end, tiles)).collect()
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
