//! The history tree gives what RFC 9162 says by plain recursion, and refuses everything else.

use std::collections::HashMap;

use ledgercore::tree::{
    Claim, Frontier, TILE_WIDTH, Tile, TileId, TileTree, Tiles, consistency_tiles, inclusion_tiles,
    multiproof_tiles, prove_consistency, prove_inclusion, prove_multi, root, verify_consistency,
    verify_inclusion, verify_inclusions, verify_multi,
};
use ledgercore::{Error, Hash, Suite, limits};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

const SUITES: [Suite; 2] = [Suite::Std, Suite::C2sp];

/// Sizes on both sides of every border between tiles of the first two levels.
const BORDERS: [u64; 9] = [255, 256, 257, 511, 513, 4097, 65_535, 65_536, 65_537];

fn leaves(suite: Suite, count: u64) -> Vec<Hash> {
    (0..count).map(|number| suite.leaf(&number.to_be_bytes())).collect()
}

/// The left part of RFC 9162: the largest power of two below the size.
fn left_part(size: usize) -> usize {
    size.next_power_of_two() / 2
}

fn naive_root(suite: Suite, leaves: &[Hash]) -> Hash {
    match leaves {
        [] => suite.empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(left_part(leaves.len()));
            suite.node(&naive_root(suite, left), &naive_root(suite, right))
        }
    }
}

fn naive_inclusion(suite: Suite, index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(left_part(leaves.len()));
    let (mut path, beside) = match index.checked_sub(left.len()) {
        None => (naive_inclusion(suite, index, left), right),
        Some(index) => (naive_inclusion(suite, index, right), left),
    };
    path.push(naive_root(suite, beside));
    path
}

/// On which side the siblings of a leaf stand, lowest first: true is left.
fn sides(index: u64, size: u64) -> Vec<bool> {
    if size == 1 {
        return Vec::new();
    }
    let left = 1 << (size - 1).ilog2();
    let mut sides =
        if index < left { sides(index, left) } else { sides(index - left, size - left) };
    sides.push(index >= left);
    sides
}

/// The reversed path of the older tree's last subtree in the newer one.
fn naive_consistency(suite: Suite, first: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if first == leaves.len() {
        return if whole { Vec::new() } else { vec![naive_root(suite, leaves)] };
    }
    let (left, right) = leaves.split_at(left_part(leaves.len()));
    let (mut path, beside) = if first <= left.len() {
        (naive_consistency(suite, first, left, whole), right)
    } else {
        (naive_consistency(suite, first - left.len(), right, false), left)
    };
    path.push(naive_root(suite, beside));
    path
}

/// A tree with every tile it has, unfinished ones too.
struct Grown {
    frontier: Frontier,
    tiles: HashMap<TileId, TileTree>,
}

impl Grown {
    fn new(suite: Suite, leaves: &[Hash]) -> Self {
        let (frontier, filled) = Frontier::new(suite).append(leaves);
        let mut tiles: HashMap<TileId, Tile> = filled.into_iter().collect();
        for (level, tail) in frontier.tails().iter().enumerate() {
            let index = frontier.size() >> (8 * level + 8);
            tiles.insert((level as u32, index), tail.clone());
        }
        let (names, tiles): (Vec<TileId>, Vec<Tile>) = tiles.into_iter().unzip();
        let hashes: Vec<&[Hash]> = tiles.iter().map(Vec::as_slice).collect();
        let tiles = names.into_iter().zip(TileTree::build(suite, &hashes)).collect();
        Self { frontier, tiles }
    }

    /// Only the tiles that were asked for, so that a proof that needs another one fails.
    fn only(&self, names: &[TileId]) -> Tiles<'_> {
        names.iter().map(|name| (*name, &self.tiles[name])).collect()
    }
}

fn refused(result: Result<(), Error>) {
    assert!(matches!(result, Err(Error::Proof(_))), "want a refused proof, got {result:?}");
}

#[test]
fn every_proof_of_every_small_tree_is_that_of_the_recursion() {
    for suite in SUITES {
        let leaves = leaves(suite, 72);
        let grown = Grown::new(suite, &leaves);
        let roots: Vec<Hash> = (0..=72).map(|size| naive_root(suite, &leaves[..size])).collect();
        for (size, want) in roots.iter().enumerate() {
            assert_eq!(root(suite, &leaves[..size]), *want);
            for index in 0..size {
                let tiles = grown.only(&inclusion_tiles(&[index as u64], size as u64).unwrap());
                let proof = prove_inclusion(suite, index as u64, size as u64, &tiles).unwrap();
                assert_eq!(proof, naive_inclusion(suite, index, &leaves[..size]));
                let (index, size, leaf) = (index as u64, size as u64, &leaves[index]);
                verify_inclusion(suite, leaf, index, size, &proof, want).unwrap();
            }
            for (first, older) in roots.iter().enumerate().take(size + 1).skip(1) {
                let (old, new) = (first as u64, size as u64);
                let tiles = grown.only(&consistency_tiles(old, new).unwrap());
                let proof = prove_consistency(suite, old, new, &tiles).unwrap();
                assert_eq!(proof, naive_consistency(suite, first, &leaves[..size], true));
                verify_consistency(suite, old, new, &proof, older, want).unwrap();
            }
        }
    }
}

#[test]
fn proofs_are_those_of_the_recursion_at_the_borders_of_tiles() {
    let suite = Suite::Std;
    let leaves = leaves(suite, BORDERS[8]);
    for size in BORDERS {
        let shown = &leaves[..size as usize];
        let grown = Grown::new(suite, shown);
        let want = naive_root(suite, shown);
        assert_eq!(grown.frontier.root(), want);
        for index in [0, 254, size / 2, size - 2, size - 1] {
            let tiles = grown.only(&inclusion_tiles(&[index], size).unwrap());
            let proof = prove_inclusion(suite, index, size, &tiles).unwrap();
            assert_eq!(proof, naive_inclusion(suite, index as usize, shown));
            verify_inclusion(suite, &shown[index as usize], index, size, &proof, &want).unwrap();
        }
        for first in BORDERS.into_iter().filter(|first| *first <= size) {
            let tiles = grown.only(&consistency_tiles(first, size).unwrap());
            let proof = prove_consistency(suite, first, size, &tiles).unwrap();
            assert_eq!(proof, naive_consistency(suite, first as usize, shown, true));
            let older = naive_root(suite, &shown[..first as usize]);
            verify_consistency(suite, first, size, &proof, &older, &want).unwrap();
        }
    }
}

#[test]
fn another_index_or_size_verifies_only_where_the_siblings_stand_alike() {
    let suite = Suite::C2sp;
    let leaves = leaves(suite, 20);
    for size in 1..=20_u64 {
        let shown = &leaves[..size as usize];
        let want = naive_root(suite, shown);
        for index in 0..size {
            let proof = naive_inclusion(suite, index as usize, shown);
            let leaf = &shown[index as usize];
            for (other, claimed) in (1..24).flat_map(|size| (0..size + 2).map(move |at| (at, size)))
            {
                let verdict = verify_inclusion(suite, leaf, other, claimed, &proof, &want);
                let alike = other < claimed && sides(other, claimed) == sides(index, size);
                assert_eq!(verdict.is_ok(), alike, "{index} of {size} as {other} of {claimed}");
            }
        }
    }
}

#[test]
fn messages_say_what_was_got_and_what_was_wanted() {
    let (suite, zero) = (Suite::Std, [0; 32]);
    let message = |result: Result<(), Error>| result.unwrap_err().to_string();
    let inclusion =
        |index, size, proof: &[Hash]| verify_inclusion(suite, &zero, index, size, proof, &zero);
    let consistency = |first, second, proof: &[Hash]| {
        verify_consistency(suite, first, second, proof, &zero, &zero)
    };
    assert_eq!(message(inclusion(8, 8, &[])), "index is 8, want below the size 8");
    assert_eq!(message(inclusion(0, 0, &[])), "index is 0, want below the size 0");
    assert_eq!(message(inclusion(3, 8, &[zero; 4])), "proof has 4 hashes, want 3");
    assert_eq!(message(inclusion(0, 8, &[zero; 2])), "proof has 2 hashes, want 3");
    assert_eq!(message(consistency(9, 8, &[])), "first size is 9, want at most 8");
    assert_eq!(message(consistency(4, 8, &[])), "proof has 0 hashes, want 1");
    assert_eq!(message(consistency(3, 7, &[zero; 5])), "proof has 5 hashes, want 4");
    assert_eq!(message(consistency(8, 8, &[zero])), "proof has 1 hashes, want 0");
    let wrong = verify_inclusion(suite, &[1; 32], 0, 1, &[], &[0xab; 32]);
    assert_eq!(message(wrong), "root is 010101010101, want abababababab");
}

#[test]
fn an_empty_tree_is_consistent_with_every_tree_and_has_one_root() {
    for suite in SUITES {
        let (empty, other) = (suite.empty_root(), [7; 32]);
        assert_eq!(Frontier::new(suite).root(), empty);
        verify_consistency(suite, 0, 5, &[], &empty, &other).unwrap();
        verify_consistency(suite, 0, 0, &[], &empty, &empty).unwrap();
        refused(verify_consistency(suite, 0, 5, &[], &other, &other));
        refused(verify_consistency(suite, 0, 0, &[], &other, &other));
        refused(verify_consistency(suite, 0, 0, &[], &empty, &other));
        refused(verify_consistency(suite, 0, 5, &[other], &empty, &other));
    }
}

#[test]
fn a_missing_or_short_tile_is_named() {
    let suite = Suite::Std;
    let leaves = leaves(suite, 600);
    let grown = Grown::new(suite, &leaves);
    let names = inclusion_tiles(&[300], 600).unwrap();
    assert_eq!(names, [(0, 1), (0, 2), (1, 0)]);
    for (name, want) in [((0, 1), 48), ((0, 2), 88), ((1, 0), 1)] {
        let mut tiles = grown.only(&names);
        tiles.remove(&name);
        let message = prove_inclusion(suite, 300, 600, &tiles).unwrap_err().to_string();
        assert!(message.starts_with(&format!("tile {name:?} has 0 hashes, want ")), "{message}");
        let short = &grown.tiles[&name].hashes()[..want - 1];
        let tree = TileTree::build(suite, &[short]).remove(0);
        tiles.insert(name, &tree);
        let message = prove_inclusion(suite, 300, 600, &tiles).unwrap_err().to_string();
        let got = short.len();
        assert!(
            message.starts_with(&format!("tile {name:?} has {got} hashes, want ")),
            "{message}"
        );
    }
}

#[test]
fn tiles_side_by_side_have_the_nodes_that_each_has_alone() {
    for suite in SUITES {
        let leaves = leaves(suite, 256 * 40);
        let widths = [256, 256, 0, 1, 2, 3, 255, 256, 128, 100].into_iter();
        let widths = widths.chain(std::iter::repeat_n(256, 20));
        let tiles: Vec<&[Hash]> = leaves.chunks(256).zip(widths).map(|(t, w)| &t[..w]).collect();
        for (tile, tree) in tiles.iter().zip(TileTree::build(suite, &tiles)) {
            assert_eq!(tree, TileTree::build(suite, &[tile]).remove(0));
            assert_eq!(tree.hashes(), *tile);
            let root = (tile.len() == 256).then(|| naive_root(suite, tile));
            assert_eq!(tree.root(), root.as_ref());
        }
    }
}

#[test]
fn a_frontier_is_taken_up_only_whole() {
    let suite = Suite::Std;
    let (frontier, _) = Frontier::new(suite).append(&leaves(suite, 700));
    let tails = frontier.tails().to_vec();
    assert_eq!(Frontier::restore(suite, 700, tails.clone()).unwrap(), frontier);
    let refuse = |size, tails| Frontier::restore(suite, size, tails).unwrap_err().to_string();
    assert_eq!(refuse(700, tails[..1].to_vec()), "tree has 1 unfinished tiles, want 2");
    assert_eq!(refuse(701, tails), "unfinished tile 0 has 188 hashes, want 189");
    assert_eq!(refuse(0, vec![vec![[0; 32]]]), "tree has 1 unfinished tiles, want 0");
    let limit = 1_u64 << 62;
    let want = format!("tree size is {}, want at most {limit}", u64::MAX);
    assert_eq!(refuse(u64::MAX, vec![vec![[0; 32]; 255]; 8]), want);
}

#[test]
fn the_largest_tree_that_is_taken_up_still_grows() {
    let suite = Suite::Std;
    let mut tails = vec![Tile::new(); 8];
    tails[7] = vec![[9; 32]; 64];
    let frontier = Frontier::restore(suite, 1 << 62, tails).unwrap();
    let (grown, filled) = frontier.append(&leaves(suite, 300));
    assert_eq!((grown.size(), filled.len()), ((1 << 62) + 300, 1));
    assert_eq!(filled[0].0, (0, 1 << 54));
}

#[test]
fn a_multiproof_that_no_verifier_would_take_is_not_made() {
    let size = 1 << 20;
    let apart: Vec<u64> = (0..size).step_by(8).collect();
    let error = multiproof_tiles(&apart, size).unwrap_err();
    let (got, limit) = (3 * apart.len() as u64, limits::MULTIPROOF_HASHES as u64);
    assert_eq!(error, Error::Limit { what: "multiproof hashes", got, limit });
}

#[test]
fn a_multiproof_names_leaves_that_are_there_once_and_in_order() {
    let message = |indices: &[u64]| multiproof_tiles(indices, 10).unwrap_err().to_string();
    assert_eq!(message(&[]), "multiproof is over 0 leaves, want at least 1");
    assert_eq!(message(&[3, 3]), "indices 3, 3 do not ascend");
    assert_eq!(message(&[4, 3]), "indices 4, 3 do not ascend");
    assert_eq!(message(&[3, 10]), "index is 10, want below the size 10");
}

/// A position and a bit to flip in a list of hashes.
fn flipped(hashes: &[Hash], at: usize) -> Vec<Hash> {
    let mut changed = hashes.to_vec();
    let at = at % (hashes.len() * 256);
    changed[at / 256][at % 256 / 8] ^= 1 << (at % 8);
    changed
}

fn any_suite() -> impl Strategy<Value = Suite> {
    prop::sample::select(SUITES.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_steps_give_one_tree(
        suite in any_suite(),
        steps in vec(prop_oneof![0..5_u64, 250..260_u64, 500..1100_u64], 0..6),
    ) {
        let leaves = leaves(suite, steps.iter().sum());
        let (whole, tiles) = Frontier::new(suite).append(&leaves);
        let mut frontier = Frontier::new(suite);
        let mut filled = Vec::new();
        let mut rest = leaves.as_slice();
        for step in steps {
            let (now, later) = rest.split_at(step as usize);
            let (next, more) = frontier.append(now);
            let (size, tails) = (next.size(), next.tails().to_vec());
            frontier = Frontier::restore(suite, size, tails).unwrap();
            prop_assert_eq!(&frontier, &next);
            filled.extend(more);
            rest = later;
        }
        prop_assert_eq!(&frontier, &whole);
        prop_assert_eq!(frontier.root(), naive_root(suite, &leaves));
        prop_assert!(filled.iter().all(|(_, tile)| tile.len() == TILE_WIDTH));
        filled.sort();
        let mut tiles = tiles;
        tiles.sort();
        prop_assert_eq!(filled, tiles);
    }

    #[test]
    fn one_changed_bit_or_hash_refuses_an_inclusion(
        suite in any_suite(), size in 2..400_u64, pick in any::<u64>(), at in any::<usize>(),
    ) {
        let leaves = leaves(suite, size);
        let index = pick % size;
        let tiles = Grown::new(suite, &leaves);
        let tiles = tiles.only(&inclusion_tiles(&[index], size).unwrap());
        let proof = prove_inclusion(suite, index, size, &tiles).unwrap();
        let (leaf, root) = (leaves[index as usize], naive_root(suite, &leaves));
        verify_inclusion(suite, &leaf, index, size, &proof, &root).unwrap();
        let bad = flipped(&proof, at);
        refused(verify_inclusion(suite, &leaf, index, size, &bad, &root));
        refused(verify_inclusion(suite, &flipped(&[leaf], at)[0], index, size, &proof, &root));
        refused(verify_inclusion(suite, &leaf, index, size, &proof, &flipped(&[root], at)[0]));
        refused(verify_inclusion(suite, &leaf, index, size, &proof[1..], &root));
        let longer = [&proof[..], &[leaf]].concat();
        refused(verify_inclusion(suite, &leaf, index, size, &longer, &root));
    }

    /// Many claims are judged as each alone is, and the first that is refused is named.
    #[test]
    fn many_inclusions_are_those_of_each_alone(
        suite in any_suite(),
        size in 1..700_u64,
        picks in vec(any::<u64>(), 0..300),
        wrong in any::<u64>(),
        what in 0..6_u8,
    ) {
        let leaves = leaves(suite, size);
        let root = naive_root(suite, &leaves);
        let tiles = Grown::new(suite, &leaves);
        let mut indices: Vec<u64> = picks.iter().map(|pick| pick % size).collect();
        if wrong % 2 == 0 {
            indices.sort_unstable();
        }
        let tiles = tiles.only(&inclusion_tiles(&indices, size).unwrap());
        let prove = |index: &u64| prove_inclusion(suite, *index, size, &tiles).unwrap();
        let mut proofs: Vec<Vec<Hash>> = indices.iter().map(prove).collect();
        let mut shown: Vec<Hash> = indices.iter().map(|index| leaves[*index as usize]).collect();
        if let Some(at) = (wrong as usize).checked_rem(indices.len()) {
            match what {
                0 => shown[at][3] ^= 1,
                1 => indices[at] = wrong,
                2 => drop(proofs[at].pop()),
                3 => proofs[at].push([0; 32]),
                4 if size > 1 => proofs[at] = flipped(&proofs[at], wrong as usize),
                _ => {}
            }
        }
        let claims: Vec<Claim> = (0..indices.len())
            .map(|at| Claim { leaf: &shown[at], index: indices[at], proof: &proofs[at] })
            .collect();
        let alone = claims.iter().enumerate().find_map(|(at, claim)| {
            let Claim { leaf, index, proof } = claim;
            verify_inclusion(suite, leaf, *index, size, proof, &root).err().map(|error| (at, error))
        });
        prop_assert_eq!(verify_inclusions(suite, &claims, size, &root).err(), alone);
    }

    #[test]
    fn one_changed_bit_or_hash_refuses_a_consistency(
        suite in any_suite(), second in 2..400_u64, pick in any::<u64>(), at in any::<usize>(),
    ) {
        let leaves = leaves(suite, second);
        let first = 1 + pick % (second - 1);
        let grown = Grown::new(suite, &leaves);
        let tiles = grown.only(&consistency_tiles(first, second).unwrap());
        let proof = prove_consistency(suite, first, second, &tiles).unwrap();
        let (old, new) = (root(suite, &leaves[..first as usize]), grown.frontier.root());
        let verify = |proof: &[Hash], old: &Hash, new: &Hash| {
            verify_consistency(suite, first, second, proof, old, new)
        };
        verify(&proof, &old, &new).unwrap();
        refused(verify(&flipped(&proof, at), &old, &new));
        refused(verify(&proof, &flipped(&[old], at)[0], &new));
        refused(verify(&proof, &old, &flipped(&[new], at)[0]));
        refused(verify(&proof, &new, &old));
        refused(verify(&proof[1..], &old, &new));
        refused(verify(&[&proof[..], &[old]].concat(), &old, &new));
    }

    #[test]
    fn one_changed_bit_or_leaf_refuses_a_multiproof(
        suite in any_suite(),
        size in 2..700_u64,
        picks in btree_set(any::<u64>(), 1..20),
        at in any::<usize>(),
    ) {
        let mut indices: Vec<u64> = picks.iter().map(|pick| pick % size).collect();
        indices.sort_unstable();
        indices.dedup();
        let all = leaves(suite, size);
        let shown: Vec<Hash> = indices.iter().map(|index| all[*index as usize]).collect();
        let grown = Grown::new(suite, &all);
        let tiles = grown.only(&multiproof_tiles(&indices, size).unwrap());
        let proof = prove_multi(suite, &indices, size, &tiles).unwrap();
        let root = grown.frontier.root();
        let verify = |shown: &[Hash], indices: &[u64], proof: &[Hash]| {
            verify_multi(suite, shown, indices, size, proof, &root)
        };
        verify(&shown, &indices, &proof).unwrap();
        refused(verify(&flipped(&shown, at), &indices, &proof));
        refused(verify(&shown, &indices, &[&proof[..], &[root]].concat()));
        refused(verify(&shown[1..], &indices, &proof));
        refused(verify_multi(suite, &shown, &indices, size, &proof, &flipped(&[root], at)[0]));
        if !proof.is_empty() {
            refused(verify(&shown, &indices, &flipped(&proof, at)));
            refused(verify(&shown, &indices, &proof[1..]));
        }
        // Move one leaf to a free place beside it: the hashes stand, the claim is false.
        let moved = at % indices.len();
        let mut wrong = indices.clone();
        wrong[moved] += 1;
        if wrong[moved] < size && wrong.get(moved + 1) != Some(&wrong[moved]) {
            refused(verify(&shown, &wrong, &proof));
        }
    }

    #[test]
    fn no_claim_panics_however_large(
        index in any::<u64>(), size in any::<u64>(), second in any::<u64>(), length in 0..130_usize,
    ) {
        let (suite, zero, proof) = (Suite::Std, [0; 32], vec![[1; 32]; length]);
        refused(verify_inclusion(suite, &zero, index, size, &proof, &zero));
        refused(verify_consistency(suite, size, second, &proof, &zero, &[2; 32]));
        refused(verify_multi(suite, &[zero], &[index], size, &proof, &zero));
        for size in [u64::MAX, 1 << 63, (1 << 63) + 1] {
            for index in [0, index % size, size - 1] {
                let path = sides(index, size);
                let proof = vec![[1; 32]; path.len()];
                let hash = path.iter().fold(zero, |hash, left| match left {
                    true => suite.node(&[1; 32], &hash),
                    false => suite.node(&hash, &[1; 32]),
                });
                verify_inclusion(suite, &zero, index, size, &proof, &hash).unwrap();
                verify_multi(suite, &[zero], &[index], size, &proof, &hash).unwrap();
                inclusion_tiles(&[index], size).unwrap();
            }
        }
    }
}
