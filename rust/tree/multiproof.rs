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

/// The tiles that a multiproof is read from.
pub fn multiproof_tiles(indices: &[u64], size: u64) -> Result<Vec<TileId>> {
    Ok(tiles_of(&multiproof_path(indices, size)?))
}

/// The hashes of the largest subtrees that hold none of the leaves, left to right.
pub fn prove_multi(suite: Suite, indices: &[u64], size: u64, tiles: &Tiles) -> Result<Vec<Hash>> {
    let path = multiproof_path(indices, size)?;
    let prover = Prover::new(suite, size, tiles);
    prover.subtrees(&path)
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
    let mut walk = Walk { suite, leaves, indices, proof: proof.iter() };
    check_root("root", &walk.hash(0..size, 0..indices.len()), root)
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

struct Walk<'a> {
    suite: Suite,
    leaves: &'a [Hash],
    indices: &'a [u64],
    proof: std::slice::Iter<'a, Hash>,
}

impl Walk<'_> {
    /// The hash over leaves `range`, of which those at positions `known` are at hand.
    fn hash(&mut self, range: Range<u64>, known: Range<usize>) -> Hash {
        if known.is_empty() {
            return *self.proof.next().expect("the proof is as long as its path");
        }
        if range.end - range.start == 1 {
            return self.leaves[known.start];
        }
        let middle = range.start + split(range.end - range.start);
        let below = self.indices[known.clone()].partition_point(|index| *index < middle);
        let left = self.hash(range.start..middle, known.start..known.start + below);
        let right = self.hash(middle..range.end, known.start + below..known.end);
        self.suite.node(&left, &right)
    }
}
