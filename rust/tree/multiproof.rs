//! Prove many leaves of one tree at once.
//!
//! The tree is walked from the root: a subtree without any of the leaves gives its hash to the
//! proof, a single leaf gives nothing, anything else is split. The positions follow from the
//! indices, so that the proof is hashes only and each stands in it once.

use std::ops::Range;

use super::proof::{Prover, tiles_of};
use super::split;
use super::tile::{TileId, Tiles};
use super::verify::check_root;
use crate::error::{Error, Result, at_most};
use crate::limits;
use crate::suite::{Hash, Suite};
use crate::tasks;

/// Pairs of one row that one task makes nodes of.
const TASK: usize = 512;

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
    let mut beside = vec![Vec::new(); 64];
    for (range, hash) in path.iter().zip(proof) {
        beside[row_beside(range, size)].push(*hash);
    }
    check_root("root", &climb(suite, indices, leaves, &beside, size), root)
}

/// The row in which a subtree has its sibling: at the right edge it may be the lower one of the
/// two, and stands where it would if leaves were added.
fn row_beside(range: &Range<u64>, size: u64) -> usize {
    let row = if range.end == size { range.start } else { range.end - range.start };
    row.trailing_zeros() as usize
}

/// The root over these leaves and what stands beside their paths, row by row, left to right: all
/// pairs of a row are hashed side by side.
fn climb(suite: Suite, indices: &[u64], leaves: &[Hash], beside: &[Vec<Hash>], size: u64) -> Hash {
    let (mut places, mut hashes) = (indices.to_vec(), leaves.to_vec());
    let mut pairs: Vec<[Hash; 2]> = Vec::with_capacity(leaves.len());
    let mut last = size - 1;
    for beside in beside {
        if last == 0 {
            break;
        }
        let mut theirs = beside.iter();
        let mut sibling = || *theirs.next().expect("the path has each sibling");
        let mut alone = None;
        let (mut at, mut count) = (0, 0);
        pairs.clear();
        while let Some(&place) = places.get(at) {
            let hash = hashes[at];
            at += 1;
            places[count] = place >> 1;
            count += 1;
            if place & 1 == 1 {
                pairs.push([sibling(), hash]);
            } else if places.get(at) == Some(&(place + 1)) {
                pairs.push([hash, hashes[at]]);
                at += 1;
            } else if place == last {
                alone = Some(hash); // without a sibling it is its own parent
            } else {
                pairs.push([hash, sibling()]);
            }
        }
        places.truncate(count);
        hashes = tasks::shares(&pairs, TASK, |_, pairs| suite.nodes(pairs.as_flattened())).concat();
        hashes.extend(alone);
        last >>= 1;
    }
    hashes[0]
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
