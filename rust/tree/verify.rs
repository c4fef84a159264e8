//! Verify inclusion and consistency proofs.

use crate::error::{Error, Result};
use crate::suite::{Hash, Suite};
use crate::tasks;

/// Claims that are worth waking another thread for.
const TASK: usize = 64;

/// Tasks that a batch is split into at most: within one, what proofs share is hashed once.
const TASKS: usize = 32;

/// Accept that the leaf stands at `index` in the tree of `size` leaves with this root
/// (RFC 9162 section 2.1.3.2). The size says only on which sides the siblings stand: trees of two
/// sizes may share a proof, so that the size must come with the root, as in a checkpoint.
pub fn verify_inclusion(
    suite: Suite,
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<()> {
    if index >= size {
        return Err(Error::Proof(format!("index is {index}, want below the size {size}")));
    }
    check_length(proof, inclusion_length(index, size))?;
    let (mut position, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        skip_right_edge(&mut position, &mut last);
        hash =
            if position & 1 == 1 { suite.node(sibling, &hash) } else { suite.node(&hash, sibling) };
        position >>= 1;
        last >>= 1;
    }
    check_root("root", &hash, root)
}

/// That a leaf stands at an index, with the proof of it.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    pub leaf: &'a Hash,
    pub index: u64,
    pub proof: &'a [Hash],
}

/// Accept every claim about one tree, as `verify_inclusion` would each; the error is that of the
/// first which it refuses, with its position.
///
/// Paths are climbed side by side. Where two neighbours are about to hash the same two children
/// they have met, and the node is hashed once: leaves that ascend share most of their way.
pub fn verify_inclusions(
    suite: Suite,
    claims: &[Claim],
    size: u64,
    root: &Hash,
) -> std::result::Result<(), (usize, Error)> {
    let task = claims.len().div_ceil(TASKS).max(TASK);
    let failure = |begin: usize, task_claims: &[Claim]| {
        let whole = |claim: &Claim| {
            claim.index < size && claim.proof.len() == inclusion_length(claim.index, size)
        };
        if task_claims.iter().all(whole) {
            let roots = climb(suite, task_claims, size);
            if roots.iter().all(|got| got == root) {
                return None;
            }
        }
        task_claims.iter().enumerate().find_map(|(position, claim)| {
            let Claim { leaf, index, proof } = claim;
            let verdict = verify_inclusion(suite, leaf, *index, size, proof, root);
            verdict.err().map(|error| (begin + position, error))
        })
    };
    tasks::shares(claims, task, failure).into_iter().flatten().next().map_or(Ok(()), Err)
}

/// The root that each claim leads to; proofs are as long as they should be.
fn climb(suite: Suite, claims: &[Claim], size: u64) -> Vec<Hash> {
    let mut hashes: Vec<Hash> = claims.iter().map(|claim| *claim.leaf).collect();
    let mut places: Vec<(u64, u64)> = claims.iter().map(|claim| (claim.index, size - 1)).collect();
    // The claims that have a sibling left, and of each which of the pairs is the one above it.
    let mut climbing: Vec<(usize, usize)> = (0..claims.len()).map(|at| (at, 0)).collect();
    let mut pairs: Vec<Hash> = Vec::with_capacity(2 * claims.len());
    for step in 0.. {
        climbing.retain(|(at, _)| step < claims[*at].proof.len());
        if climbing.is_empty() {
            break;
        }
        pairs.clear();
        for (at, above) in &mut climbing {
            let (position, last) = &mut places[*at];
            skip_right_edge(position, last);
            let (hash, sibling) = (hashes[*at], claims[*at].proof[step]);
            let pair = if *position & 1 == 1 { [sibling, hash] } else { [hash, sibling] };
            (*position, *last) = (*position >> 1, *last >> 1);
            if !pairs.ends_with(&pair) {
                pairs.extend(pair);
            }
            *above = pairs.len() / 2 - 1;
        }
        let nodes = suite.nodes(&pairs);
        climbing.iter().for_each(|(at, above)| hashes[*at] = nodes[*above]);
    }
    hashes
}

/// Accept that the newer tree begins with all of the older one (RFC 9162 section 2.1.4.2).
pub fn verify_consistency(
    suite: Suite,
    first: u64,
    second: u64,
    proof: &[Hash],
    first_root: &Hash,
    second_root: &Hash,
) -> Result<()> {
    if first > second {
        return Err(Error::Proof(format!("first size is {first}, want at most {second}")));
    }
    if first == 0 {
        check_length(proof, 0)?;
        check_root("first root", first_root, &suite.empty_root())?;
        return if second == 0 {
            check_root("second root", second_root, first_root)
        } else {
            Ok(())
        };
    }
    if first == second {
        check_length(proof, 0)?;
        return check_root("second root", second_root, first_root);
    }
    let (mut position, mut last) = (first - 1, second - 1);
    // Climb to the older tree's last perfect subtree: it is whole in both trees.
    let climb = position.trailing_ones();
    position >>= climb;
    last >>= climb;
    // That subtree's hash stands first, unless it is the whole older tree, whose root is given.
    let given = usize::from(!first.is_power_of_two());
    check_length(proof, given + inclusion_length(position, last + 1))?;
    let (subtree, siblings) = proof.split_at(given);
    let mut old = *subtree.first().unwrap_or(first_root);
    let mut new = old;
    for sibling in siblings {
        skip_right_edge(&mut position, &mut last);
        if position & 1 == 1 {
            old = suite.node(sibling, &old);
            new = suite.node(sibling, &new);
        } else {
            new = suite.node(&new, sibling);
        }
        position >>= 1;
        last >>= 1;
    }
    check_root("first root", &old, first_root)?;
    check_root("second root", &new, second_root)
}

/// At the right edge a node without a sibling is its own parent: pass over those levels.
fn skip_right_edge(position: &mut u64, last: &mut u64) {
    while *position & 1 == 0 && position == last && *last > 0 {
        *position >>= 1;
        *last >>= 1;
    }
}

/// How many hashes an inclusion proof has: one for each bit below the point where the paths of
/// the leaf and of the last leaf part, and then one for each left neighbour.
fn inclusion_length(index: u64, size: u64) -> usize {
    let inner = 64 - (index ^ (size - 1)).leading_zeros();
    let border = index.checked_shr(inner).unwrap_or(0).count_ones();
    (inner + border) as usize
}

fn check_length(proof: &[Hash], want: usize) -> Result<()> {
    match proof.len() {
        got if got == want => Ok(()),
        got => Err(Error::Proof(format!("proof has {got} hashes, want {want}"))),
    }
}

pub(super) fn check_root(what: &str, got: &Hash, want: &Hash) -> Result<()> {
    if got == want {
        return Ok(());
    }
    let (got, want) = (short(got), short(want));
    Err(Error::Proof(format!("{what} is {got}, want {want}")))
}

fn short(hash: &Hash) -> String {
    hash[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}
