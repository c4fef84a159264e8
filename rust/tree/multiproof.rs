//! Prove many leaves of one tree at once.
//!
//! The tree is walked from the root: a subtree without any of the leaves gives its hash to the
//! proof, a single leaf gives nothing, anything else is split. The positions follow from the
//! indices, so that the proof is hashes only and each stands in it once.

use std::ops::Range;

use rayon::prelude::*;

use super::proof::{Prover, tiles_of};
use super::split;
use super::tile::{TileId, Tiles};
use super::verify::check_root;
use crate::error::{Error, Result, at_most};
use crate::limits;
use crate::suite::{Hash, Suite};

/// Hashes of one row, an even number, that one task makes nodes of.
const TASK: usize = 1024;

/// The tiles that a multiproof is read from.
pub fn multiproof_tiles(indices: &[u64], size: u64) -> Result<Vec<TileId>> {
    Ok(tiles_of(&multiproof_path(indices, size)?))
}

/// The hashes of the largest subtrees that hold none of the leaves, left to right.
pub fn prove_multi(suite: Suite, indices: &[u64], size: u64, tiles: &Tiles) -> Result<Vec<Hash>> {
    let path = multiproof_path(indices, size)?;
    let prover = Prover::new(suite, size, tiles);
    prover.all_subtrees(&path)
}

/// Accept that each leaf stands at its index in the tree of `size` leaves with this root.
pub fn verify_multi(
    suite: Suite,
    leaves: &[Hash],
    indices: &[u64],
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<()> {
    if leaves.len() != indices.len() {
        let (got, want) = (leaves.len(), indices.len());
        return Err(Error::Proof(format!("multiproof is over {got} leaves, want {want}")));
    }
    let path = multiproof_path(indices, size)?;
    if proof.len() != path.len() {
        let (got, want) = (proof.len(), path.len());
        return Err(Error::Proof(format!("multiproof has {got} hashes, want {want}")));
    }
    let mut rows = vec![Vec::new(); 64];
    rows[0].extend(indices.iter().copied().zip(leaves.iter().copied()));
    for (range, hash) in path.iter().zip(proof) {
        // One at the right edge that is not perfect stands where it would if leaves were added.
        let row = 64 - (range.end - range.start - 1).leading_zeros();
        rows[row as usize].push((range.start >> row, *hash));
    }
    check_root("root", &climb(suite, rows, size), root)
}

/// The root over these hashes, with their places in each row of the tree, which they cover: all
/// pairs of a row are hashed side by side.
fn climb(suite: Suite, rows: Vec<Vec<(u64, Hash)>>, size: u64) -> Hash {
    let mut last = size - 1;
    let mut nodes: Vec<(u64, Hash)> = Vec::new();
    for row in rows {
        nodes.extend(row);
        if last == 0 {
            break;
        }
        // Two ascending lists, or three: a stable sort merges them.
        nodes.sort_by_key(|(index, _)| *index);
        // At the right edge a node without a sibling is its own parent.
        let alone = nodes.pop_if(|(index, _)| *index == last && last & 1 == 0);
        let pairs: Vec<Hash> = nodes.iter().map(|(_, hash)| *hash).collect();
        let above = match pairs.len() {
            ..=TASK => suite.nodes(&pairs),
            _ => pairs.par_chunks(TASK).flat_map_iter(|task| suite.nodes(task)).collect(),
        };
        nodes = nodes.iter().step_by(2).map(|(index, _)| index >> 1).zip(above).collect();
        nodes.extend(alone.map(|(index, hash)| (index >> 1, hash)));
        last >>= 1;
    }
    nodes[0].1
}

/// The subtrees beside the leaves. A size of 0 proves nothing and has no root to prove it under.
fn multiproof_path(indices: &[u64], size: u64) -> Result<Vec<Range<u64>>> {
    if indices.is_empty() {
        return Err(Error::Proof("multiproof is over 0 leaves, want at least 1".into()));
    }
    if let Some(pair) = indices.windows(2).find(|pair| pair[0] >= pair[1]) {
        let (first, second) = (pair[0], pair[1]);
        return Err(Error::Proof(format!("indices {first}, {second} do not ascend")));
    }
    if let Some(index) = indices.last().filter(|index| **index >= size) {
        return Err(Error::Proof(format!("index is {index}, want below the size {size}")));
    }
    let mut path = Vec::new();
    collect(0..size, indices, &mut path);
    at_most("multiproof hashes", path.len(), limits::MULTIPROOF_HASHES)?;
    Ok(path)
}

/// Recursion as deep as the tree is high: 64 at most.
fn collect(range: Range<u64>, indices: &[u64], path: &mut Vec<Range<u64>>) {
    if indices.is_empty() {
        path.push(range);
    } else if range.end - range.start > 1 {
        let middle = range.start + split(range.end - range.start);
        let (left, right) = indices.split_at(indices.partition_point(|index| *index < middle));
        collect(range.start..middle, left, path);
        collect(middle..range.end, right, path);
    }
}
