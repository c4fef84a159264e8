//! Keep the entries below one bit prefix, shared between the versions of a map.
//!
//! An update makes the new branches of some changes first and hashes them afterwards, level by
//! level from the deepest on, so that the nodes of a level go side by side.

use std::sync::{Arc, OnceLock};

use rayon::prelude::*;

use super::{EMPTY, bit, node_hash};
use crate::suite::{Domain, Hash, Suite};

/// Changes below which branches are hashed one by one, as they are made.
const FEW: usize = 8;

/// Changes whose new branches are hashed level by level: so few that they stay in the cache.
const GROUP: usize = 64;

/// Changes from which on both halves of a subtree are updated at the same time.
const THREADS: usize = 1024;

/// Entries that one task makes.
const TASK: usize = 512;

/// Nothing, one entry, or two halves of which at least two entries are in.
#[derive(Debug, Clone)]
pub enum Subtree {
    Empty,
    Leaf(Arc<Entry>),
    Branch(Arc<Branch>),
}

#[derive(Debug)]
pub struct Entry {
    pub key: Hash,
    pub value_hash: Hash,
    hash: Hash,
}

#[derive(Debug)]
pub struct Branch {
    left: Subtree,
    right: Subtree,
    /// Set before the update that made the branch returns.
    hash: OnceLock<Hash>,
}

/// A key and its new entry, or nothing where the entry goes.
pub struct Change {
    key: Hash,
    entry: Option<Arc<Entry>>,
}

impl Change {
    /// The changes of keys to the hashes of their new values; their leaves hashed side by side.
    pub fn make(suite: Suite, keys: &[(Hash, Option<Hash>)]) -> Vec<Self> {
        let make = |task: &[(Hash, Option<Hash>)]| {
            let set = task.iter().filter_map(|(key, value)| value.map(|value| [*key, value]));
            let pairs: Vec<[Hash; 2]> = set.collect();
            let mut leaves = suite.hash_pairs(Domain::StateLeaf, pairs.as_flattened()).into_iter();
            let change = |(key, value): &(Hash, Option<Hash>)| {
                let entry = value.map(|value_hash| {
                    let hash = leaves.next().expect("a leaf for each value");
                    Arc::new(Entry { key: *key, value_hash, hash })
                });
                Self { key: *key, entry }
            };
            task.iter().map(change).collect::<Vec<_>>()
        };
        match keys.len() <= TASK {
            true => make(keys),
            false => keys.par_chunks(TASK).flat_map_iter(make).collect(),
        }
    }
}

impl Subtree {
    pub fn hash(&self) -> Hash {
        match self {
            Self::Empty => EMPTY,
            Self::Leaf(entry) => entry.hash,
            Self::Branch(branch) => *branch.hash.get().expect("hashed by the update"),
        }
    }

    /// Where one entry is all that is left: the hash of its value if it is the key's, and otherwise
    /// the entry.
    pub fn entry_of(&self, key: &Hash) -> (Option<Hash>, Option<(Hash, Hash)>) {
        match self {
            Self::Leaf(entry) if entry.key == *key => (Some(entry.value_hash), None),
            Self::Leaf(entry) => (None, Some((entry.key, entry.value_hash))),
            _ => (None, None),
        }
    }

    /// Both halves; of a subtree with one entry at most, the half that it is in.
    pub fn halves(&self, depth: usize) -> (Self, Self) {
        match self {
            Self::Empty => (Self::Empty, Self::Empty),
            Self::Leaf(entry) if bit(&entry.key, depth) => (Self::Empty, self.clone()),
            Self::Leaf(_) => (self.clone(), Self::Empty),
            Self::Branch(branch) => (branch.left.clone(), branch.right.clone()),
        }
    }

    /// The hashes beside the way to a key, root first, and the subtree where the way ends.
    pub fn descend(&self, key: &Hash) -> (Vec<Hash>, &Self) {
        let mut siblings = Vec::new();
        let mut at = self;
        while let Self::Branch(branch) = at {
            let (next, beside) = match bit(key, siblings.len()) {
                false => (&branch.left, &branch.right),
                true => (&branch.right, &branch.left),
            };
            siblings.push(beside.hash());
            at = next;
        }
        (siblings, at)
    }

    /// The subtree at `depth` after sorted changes that all belong below it, and how many entries
    /// it has more.
    pub fn updated(&self, suite: Suite, changes: &[Change], depth: usize) -> (Self, isize) {
        if changes.len() < FEW {
            return self.rebuilt(changes, depth, Some(suite));
        }
        if changes.len() <= GROUP {
            let (subtree, more) = self.rebuilt(changes, depth, None);
            subtree.hash_new(suite);
            return (subtree, more);
        }
        let (left, right) = self.halves(depth);
        let (below, above) = split(changes, depth);
        let update_left = || left.updated(suite, below, depth + 1);
        let update_right = || right.updated(suite, above, depth + 1);
        let ((left, more_left), (right, more_right)) = match changes.len() < THREADS {
            true => (update_left(), update_right()),
            false => rayon::join(update_left, update_right),
        };
        (Self::join(left, right, Some(suite)), more_left + more_right)
    }

    /// The same, with its new branches hashed only where there is a suite. Recursion ends where one
    /// entry is left, 256 levels down at the latest.
    fn rebuilt(&self, changes: &[Change], depth: usize, suite: Option<Suite>) -> (Self, isize) {
        match (self, changes) {
            (_, []) => return (self.clone(), 0),
            (Self::Empty, [change]) => return change.applied(0),
            (Self::Leaf(entry), [change]) if entry.key == change.key => return change.applied(1),
            _ => {}
        }
        let (left, right) = self.halves(depth);
        let (below, above) = split(changes, depth);
        let (left, more_left) = left.rebuilt(below, depth + 1, suite);
        let (right, more_right) = right.rebuilt(above, depth + 1, suite);
        (Self::join(left, right, suite), more_left + more_right)
    }

    /// A branch, unless one entry or none is left below it.
    fn join(left: Self, right: Self, suite: Option<Suite>) -> Self {
        match (&left, &right) {
            (Self::Empty, Self::Empty | Self::Leaf(_)) => right,
            (Self::Leaf(_), Self::Empty) => left,
            _ => {
                let hash = suite.map(|suite| node_hash(suite, &left.hash(), &right.hash()));
                let hash = hash.map_or_else(OnceLock::new, OnceLock::from);
                Self::Branch(Arc::new(Branch { left, right, hash }))
            }
        }
    }

    /// Hash the branches that have no hash yet, the deepest level first. Above such a branch no
    /// other has one either.
    fn hash_new(&self, suite: Suite) {
        let mut branches: Vec<&Branch> = self.unhashed().into_iter().collect();
        let mut levels = vec![0];
        while levels[levels.len() - 1] < branches.len() {
            let level = levels[levels.len() - 1]..branches.len();
            levels.push(level.end);
            for at in level {
                let Branch { left, right, .. } = branches[at];
                branches.extend(left.unhashed().into_iter().chain(right.unhashed()));
            }
        }
        let mut pairs: Vec<[Hash; 2]> = Vec::new();
        for level in levels.windows(2).rev() {
            let level = &branches[level[0]..level[1]];
            pairs.clear();
            pairs.extend(level.iter().map(|each| [each.left.hash(), each.right.hash()]));
            for (branch, hash) in
                level.iter().zip(suite.hash_pairs(Domain::StateNode, pairs.as_flattened()))
            {
                branch.hash.set(hash).expect("a branch is hashed once");
            }
        }
    }

    fn unhashed(&self) -> Option<&Branch> {
        match self {
            Self::Branch(branch) if branch.hash.get().is_none() => Some(branch),
            _ => None,
        }
    }
}

/// The changes in the left half at `depth`, and those in the right.
fn split(changes: &[Change], depth: usize) -> (&[Change], &[Change]) {
    changes.split_at(changes.partition_point(|change| !bit(&change.key, depth)))
}

impl Change {
    /// What stands alone in its place after the change, where so many entries stood before.
    fn applied(&self, before: isize) -> (Subtree, isize) {
        match &self.entry {
            Some(entry) => (Subtree::Leaf(entry.clone()), 1 - before),
            None => (Subtree::Empty, -before),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::leaf_hash;
    use super::*;

    const SUITE: Suite = Suite::Std;

    type Entries = Vec<(Hash, Option<Hash>)>;

    /// A key that parts from the zero key at `depth`. Names cannot be ground to this; keys can.
    fn key(depth: usize) -> Hash {
        let mut key = [0; 32];
        key[depth / 8] = 0x80 >> (depth % 8);
        key
    }

    fn update(subtree: &Subtree, entries: &[(Hash, Option<Hash>)]) -> (Subtree, isize) {
        subtree.updated(SUITE, &Change::make(SUITE, entries), 0)
    }

    fn naive_root(entries: &[(Hash, Option<Hash>)], depth: usize) -> Hash {
        match entries {
            [] => EMPTY,
            [(key, value_hash)] => leaf_hash(SUITE, key, &value_hash.expect("a set entry")),
            _ => {
                let (right, left): (Entries, Entries) =
                    entries.iter().partition(|(key, _)| bit(key, depth));
                let halves = (naive_root(&left, depth + 1), naive_root(&right, depth + 1));
                node_hash(SUITE, &halves.0, &halves.1)
            }
        }
    }

    fn branches(subtree: &Subtree) -> usize {
        match subtree {
            Subtree::Branch(branch) => 1 + branches(&branch.left) + branches(&branch.right),
            _ => 0,
        }
    }

    #[test]
    fn two_keys_that_part_at_the_last_bit_cost_one_branch_a_bit() {
        let entries = [([0; 32], Some([1; 32])), (key(255), Some([2; 32]))];
        let (root, more) = update(&Subtree::Empty, &entries);
        assert_eq!((more, branches(&root)), (2, 256));
        assert_eq!(root.hash(), naive_root(&entries, 0));

        let (one, more) = update(&root, &[(key(255), None)]);
        assert_eq!((more, branches(&one)), (-1, 0));
        assert_eq!(one.hash(), leaf_hash(SUITE, &[0; 32], &[1; 32]));
        let (none, more) = update(&one, &[([0; 32], None)]);
        assert_eq!((more, none.hash()), (-1, EMPTY));
    }

    #[test]
    fn keys_that_part_at_every_bit_cost_no_more_than_one_branch_a_bit() {
        let mut entries: Entries = (0..256).map(|depth| (key(depth), Some([3; 32]))).collect();
        entries.push(([0; 32], Some([4; 32])));
        entries.sort_unstable();
        let (whole, more) = update(&Subtree::Empty, &entries);
        assert_eq!((more, branches(&whole)), (257, 256));
        assert_eq!(whole.hash(), naive_root(&entries, 0));

        // One by one and in the other order there is the same map.
        let mut stepwise = Subtree::Empty;
        for entry in entries.iter().rev() {
            stepwise = update(&stepwise, &[*entry]).0;
        }
        assert_eq!(stepwise.hash(), whole.hash());

        // What is not there can be removed, and nothing changes.
        let mut absent = key(7);
        absent[31] = 1;
        let (same, more) = update(&whole, &[(absent, None)]);
        assert_eq!((same.hash(), branches(&same), more), (whole.hash(), 256, 0));
    }

    #[test]
    fn many_changes_at_once_give_what_one_after_the_other_give() {
        let spread = |number: u64| SUITE.hash(Domain::StateKey, &number.to_le_bytes());
        let mut entries: Entries = (0..5000).map(|at| (spread(at), Some(spread(at + 9)))).collect();
        entries.sort_unstable();
        let (whole, more) = update(&Subtree::Empty, &entries);
        assert_eq!((more, whole.hash()), (5000, naive_root(&entries, 0)));

        let mut stepwise = Subtree::Empty;
        for entry in &entries {
            stepwise = update(&stepwise, &[*entry]).0;
        }
        assert_eq!(stepwise.hash(), whole.hash());
        let gone: Entries = entries.iter().skip(1).map(|(key, _)| (*key, None)).collect();
        let (one, more) = update(&whole, &gone);
        assert_eq!((more, one.hash()), (-4999, naive_root(&entries[..1], 0)));
    }
}
