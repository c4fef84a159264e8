//! Keep the entries below one bit prefix, shared between the versions of a map.
//!
//! A few entries stand in one sorted row, a bucket; more are a branch over two halves. The halves
//! of a bucket are slices of it, so that little is kept beside the entries themselves, and keys
//! that part late take no room for the bits they share. What stands where follows from the
//! entries alone.

use std::sync::Arc;

use super::hashing::missing;
use super::{EMPTY, bit, node_hash};
use crate::suite::{Domain, Hash, Suite};

/// Entries in one bucket. Fewer take more memory, more take more hashes for each proof.
const BUCKET: usize = 8;

/// Changes below which what is new is hashed in turn: side by side gains nothing.
const FEW: usize = 8;

/// Changes that are made and hashed together: so few that what they touch stays in the cache.
const GROUP: usize = 64;

/// Changes from which on both halves of a subtree are updated at the same time.
const THREADS: usize = 1024;

/// A key, and the hash of its value.
pub type Entry = [Hash; 2];

/// A key, and the hash of its new value, or nothing where the entry goes.
pub type Change = (Hash, Option<Hash>);

/// Entries with their hash, so that a branch holds the hashes of its halves and whoever goes down
/// reads nothing beside the way. While an update is at work the hash of what it made is `EMPTY`.
#[derive(Debug, Clone)]
pub struct Subtree {
    node: Node,
    hash: Hash,
}

#[derive(Debug, Clone)]
enum Node {
    Bucket(Arc<[Entry]>),
    Branch(Arc<[Subtree; 2]>),
}

/// A place in the map: a subtree of its own, or a part of a bucket.
#[derive(Clone, Copy)]
pub enum Place<'a> {
    Subtree(&'a Subtree),
    Part(&'a [Entry]),
}

/// What stands at a place.
pub enum Content<'a> {
    Nothing,
    One(&'a Entry),
    Halves([Place<'a>; 2]),
}

impl Subtree {
    pub fn empty() -> Self {
        Self::new(Node::Bucket(Arc::default()))
    }

    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// The subtree at `depth` after sorted changes that all belong below it, and how many entries
    /// it has more.
    pub fn updated(&self, suite: Suite, changes: &[Change], depth: usize) -> (Self, isize) {
        let (mut subtree, more) = match changes.len() <= GROUP {
            true => self.rebuilt(changes, depth),
            false => {
                let [left, right] = self.halves(depth);
                let (below, above) = split(changes, depth);
                let update_left = || left.updated(suite, below, depth + 1);
                let update_right = || right.updated(suite, above, depth + 1);
                let ((left, more_left), (right, more_right)) = match changes.len() < THREADS {
                    true => (update_left(), update_right()),
                    false => rayon::join(update_left, update_right),
                };
                (Self::join(left, right), more_left + more_right)
            }
        };
        match FEW <= changes.len() && changes.len() <= GROUP {
            true => subtree.fill(&mut missing(suite, Place::Subtree(&subtree), depth).into_iter()),
            false => subtree.hash_in_turn(suite, depth),
        }
        (subtree, more)
    }

    /// The same, not hashed. Recursion ends where few entries are left, 256 levels down at the
    /// latest.
    fn rebuilt(&self, changes: &[Change], depth: usize) -> (Self, isize) {
        if changes.is_empty() {
            return (self.clone(), 0);
        }
        match &self.node {
            Node::Bucket(entries) => {
                let merged = merge(entries, changes);
                let more = merged.len() as isize - entries.len() as isize;
                (Self::made(&merged, depth), more)
            }
            Node::Branch(halves) => {
                let (below, above) = split(changes, depth);
                let (left, more_left) = halves[0].rebuilt(below, depth + 1);
                let (right, more_right) = halves[1].rebuilt(above, depth + 1);
                (Self::join(left, right), more_left + more_right)
            }
        }
    }

    /// A subtree at `depth` of sorted entries.
    fn made(entries: &[Entry], depth: usize) -> Self {
        if entries.len() <= BUCKET {
            return Self::new(Node::Bucket(entries.into()));
        }
        let halves = parts(entries, depth).map(|half| Self::made(half, depth + 1));
        Self::new(Node::Branch(Arc::new(halves)))
    }

    /// One bucket where there is room for both, otherwise a branch.
    fn join(left: Self, right: Self) -> Self {
        if let (Node::Bucket(below), Node::Bucket(above)) = (&left.node, &right.node)
            && below.len() + above.len() <= BUCKET
        {
            return Self::new(Node::Bucket([&below[..], above].concat().into()));
        }
        Self::new(Node::Branch(Arc::new([left, right])))
    }

    fn new(node: Node) -> Self {
        Self { node, hash: EMPTY }
    }

    fn halves(&self, depth: usize) -> [Self; 2] {
        match &self.node {
            Node::Branch(halves) => halves.as_ref().clone(),
            Node::Bucket(entries) => parts(entries, depth).map(|half| Self::made(half, depth + 1)),
        }
    }

    /// The entry of a key.
    pub fn find(&self, key: &Hash) -> Option<&Entry> {
        let (mut at, mut depth) = (self, 0);
        loop {
            match &at.node {
                Node::Branch(halves) => at = &halves[usize::from(bit(key, depth))],
                Node::Bucket(entries) => return entries.iter().find(|[stored, _]| stored == key),
            }
            depth += 1;
        }
    }

    /// The hashes beside the way to a key, root first, and the entry where the way ends.
    pub fn descend(&self, suite: Suite, key: &Hash) -> (Vec<Hash>, Option<&Entry>) {
        let (mut siblings, mut at) = (Vec::with_capacity(32), self);
        let entries = loop {
            match &at.node {
                Node::Branch(halves) => {
                    let right = bit(key, siblings.len());
                    siblings.push(halves[usize::from(!right)].hash());
                    at = &halves[usize::from(right)];
                }
                Node::Bucket(entries) => break entries,
            }
        };
        let leaves = leaf_hashes(suite, entries);
        let mut row = Row { entries, leaves: &leaves };
        while row.entries.len() > 1 {
            let [left, right] = row.halves(siblings.len());
            let (next, beside) = match bit(key, siblings.len()) {
                false => (left, right),
                true => (right, left),
            };
            siblings.push(beside.hash(suite, siblings.len() + 1));
            row = next;
        }
        (siblings, row.entries.first())
    }

    /// Set the missing hashes, which come in the order of `missing`.
    fn fill(&mut self, hashes: &mut impl Iterator<Item = Hash>) {
        if self.hash != EMPTY {
            return;
        }
        if let Some(halves) = self.fresh() {
            halves.iter_mut().for_each(|half| half.fill(hashes));
        }
        self.hash = hashes.next().expect("a hash for each subtree that has none");
    }

    /// Set the missing hashes, one after the other.
    fn hash_in_turn(&mut self, suite: Suite, depth: usize) {
        if self.hash != EMPTY {
            return;
        }
        if let Some(halves) = self.fresh() {
            halves.iter_mut().for_each(|half| half.hash_in_turn(suite, depth + 1));
            self.hash = node_hash(suite, &halves[0].hash, &halves[1].hash);
        } else if let Node::Bucket(entries) = &self.node {
            self.hash = Place::Part(entries).hash(suite, depth);
        }
    }

    /// The halves of a branch that an update made and no other version has yet.
    fn fresh(&mut self) -> Option<&mut [Self; 2]> {
        match &mut self.node {
            Node::Bucket(_) => None,
            Node::Branch(halves) => Some(Arc::get_mut(halves).expect("one version has it")),
        }
    }
}

impl<'a> Place<'a> {
    pub fn content(self, depth: usize) -> Content<'a> {
        let entries = match self {
            Self::Part(entries) => entries,
            Self::Subtree(Subtree { node: Node::Bucket(entries), .. }) => entries,
            Self::Subtree(Subtree { node: Node::Branch(halves), .. }) => {
                return Content::Halves([Self::Subtree(&halves[0]), Self::Subtree(&halves[1])]);
            }
        };
        match entries {
            [] => Content::Nothing,
            [entry] => Content::One(entry),
            _ => Content::Halves(parts(entries, depth).map(Self::Part)),
        }
    }

    /// The hash of a subtree, once it is set.
    pub fn known(self) -> Option<Hash> {
        match self {
            Self::Subtree(subtree) => Some(subtree.hash).filter(|hash| *hash != EMPTY),
            Self::Part(_) => None,
        }
    }

    pub fn hash(self, suite: Suite, depth: usize) -> Hash {
        match self {
            Self::Subtree(subtree) => subtree.hash(),
            Self::Part(entries) => {
                let leaves = leaf_hashes(suite, entries);
                Row { entries, leaves: &leaves }.hash(suite, depth)
            }
        }
    }
}

/// Entries of a bucket beside their hashes.
struct Row<'a, 'b> {
    entries: &'a [Entry],
    leaves: &'b [Hash],
}

impl<'a, 'b> Row<'a, 'b> {
    fn halves(&self, depth: usize) -> [Row<'a, 'b>; 2] {
        let [left, right] = parts(self.entries, depth);
        let (below, above) = self.leaves.split_at(left.len());
        [Row { entries: left, leaves: below }, Row { entries: right, leaves: above }]
    }

    fn hash(&self, suite: Suite, depth: usize) -> Hash {
        match self.leaves {
            [] => EMPTY,
            [leaf] => *leaf,
            _ => {
                let [left, right] = self.halves(depth).map(|half| half.hash(suite, depth + 1));
                node_hash(suite, &left, &right)
            }
        }
    }
}

fn leaf_hashes(suite: Suite, entries: &[Entry]) -> Vec<Hash> {
    suite.hash_pairs(Domain::StateLeaf, entries.as_flattened())
}

/// The changes in the left half at `depth`, and those in the right.
fn split(changes: &[Change], depth: usize) -> (&[Change], &[Change]) {
    changes.split_at(changes.partition_point(|(key, _)| !bit(key, depth)))
}

/// The entries in the left half at `depth`, and those in the right.
fn parts(entries: &[Entry], depth: usize) -> [&[Entry]; 2] {
    let (left, right) = entries.split_at(entries.partition_point(|[key, _]| !bit(key, depth)));
    [left, right]
}

/// Sorted entries after sorted changes.
fn merge(entries: &[Entry], changes: &[Change]) -> Vec<Entry> {
    let mut merged = Vec::with_capacity(entries.len() + changes.len());
    let mut rest = entries;
    for (key, value_hash) in changes {
        let (below, others) = rest.split_at(rest.partition_point(|[other, _]| other < key));
        merged.extend_from_slice(below);
        merged.extend(value_hash.map(|value_hash| [*key, value_hash]));
        let replaced = others.first().is_some_and(|[other, _]| other == key);
        rest = &others[usize::from(replaced)..];
    }
    merged.extend_from_slice(rest);
    merged
}

#[cfg(test)]
mod tests {
    use super::super::leaf_hash;
    use super::*;

    const SUITE: Suite = Suite::Std;

    /// A key that parts from the zero key at `depth`. Names cannot be ground to this; keys can.
    fn key(depth: usize) -> Hash {
        let mut key = [0; 32];
        key[depth / 8] = 0x80 >> (depth % 8);
        key
    }

    fn update(subtree: &Subtree, changes: &[Change]) -> (Subtree, isize) {
        subtree.updated(SUITE, changes, 0)
    }

    fn naive_root(changes: &[Change], depth: usize) -> Hash {
        match changes {
            [] => EMPTY,
            [(key, value_hash)] => leaf_hash(SUITE, key, &value_hash.expect("a set entry")),
            _ => {
                let (right, left): (Vec<Change>, Vec<Change>) =
                    changes.iter().partition(|(key, _)| bit(key, depth));
                let halves = (naive_root(&left, depth + 1), naive_root(&right, depth + 1));
                node_hash(SUITE, &halves.0, &halves.1)
            }
        }
    }

    /// How many branches there are, where every bucket has room for its entries and every branch
    /// has more than a bucket has room for.
    fn branches(subtree: &Subtree) -> usize {
        fn count(subtree: &Subtree) -> (usize, usize) {
            match &subtree.node {
                Node::Bucket(entries) => {
                    assert!(entries.len() <= BUCKET && entries.is_sorted());
                    (0, entries.len())
                }
                Node::Branch(halves) => {
                    let [left, right] = halves.each_ref().map(count);
                    assert!(left.1 + right.1 > BUCKET);
                    (1 + left.0 + right.0, left.1 + right.1)
                }
            }
        }
        count(subtree).0
    }

    #[test]
    fn keys_that_part_at_the_last_bits_cost_no_branch_until_a_bucket_is_full() {
        let mut entries = vec![([0; 32], Some([1; 32]))];
        entries.extend((249..256).rev().map(|depth| (key(depth), Some([2; 32]))));
        let (full, more) = update(&Subtree::empty(), &entries);
        assert_eq!((more, branches(&full)), (BUCKET as isize, 0));
        assert_eq!(full.hash(), naive_root(&entries, 0));

        // One more costs a branch for each bit that they share, and goes without a trace.
        let another = (key(248), Some([3; 32]));
        entries.push(another);
        let (over, more) = update(&full, &[another]);
        assert_eq!((more, branches(&over)), (1, 249));
        assert_eq!(over.hash(), naive_root(&entries, 0));
        let (back, more) = update(&over, &[(key(248), None)]);
        assert_eq!((more, branches(&back), back.hash()), (-1, 0, full.hash()));
    }

    #[test]
    fn two_keys_that_part_at_the_last_bit_are_hashed_down_to_it() {
        let entries = [([0; 32], Some([1; 32])), (key(255), Some([2; 32]))];
        let (root, more) = update(&Subtree::empty(), &entries);
        assert_eq!((more, root.hash()), (2, naive_root(&entries, 0)));
        let (siblings, end) = root.descend(SUITE, &key(255));
        assert_eq!((siblings.len(), end), (256, Some(&[key(255), [2; 32]])));

        let (one, more) = update(&root, &[(key(255), None)]);
        assert_eq!((more, one.hash()), (-1, leaf_hash(SUITE, &[0; 32], &[1; 32])));
        let (none, more) = update(&one, &[([0; 32], None)]);
        assert_eq!((more, none.hash()), (-1, EMPTY));
    }

    #[test]
    fn keys_that_part_at_every_bit_cost_one_branch_a_bit_at_most() {
        let mut entries: Vec<Change> = (0..256).map(|depth| (key(depth), Some([3; 32]))).collect();
        entries.push(([0; 32], Some([4; 32])));
        entries.sort_unstable();
        let (whole, more) = update(&Subtree::empty(), &entries);
        assert_eq!((more, branches(&whole)), (257, 257 - BUCKET));
        assert_eq!(whole.hash(), naive_root(&entries, 0));

        // One by one and in the other order there is the same map.
        let mut stepwise = Subtree::empty();
        for entry in entries.iter().rev() {
            stepwise = update(&stepwise, &[*entry]).0;
        }
        assert_eq!((stepwise.hash(), branches(&stepwise)), (whole.hash(), branches(&whole)));

        // What is not there can be removed, and nothing changes.
        let mut absent = key(7);
        absent[31] = 1;
        let (same, more) = update(&whole, &[(absent, None)]);
        assert_eq!((same.hash(), branches(&same), more), (whole.hash(), branches(&whole), 0));
    }

    #[test]
    fn many_changes_at_once_give_what_one_after_the_other_give() {
        let spread = |number: u64| SUITE.hash(Domain::StateKey, &number.to_le_bytes());
        let mut entries: Vec<Change> =
            (0..5000).map(|at| (spread(at), Some(spread(at + 9)))).collect();
        entries.sort_unstable();
        let (whole, more) = update(&Subtree::empty(), &entries);
        assert_eq!((more, whole.hash()), (5000, naive_root(&entries, 0)));

        let mut stepwise = Subtree::empty();
        for entry in &entries {
            stepwise = update(&stepwise, &[*entry]).0;
        }
        assert_eq!((stepwise.hash(), branches(&stepwise)), (whole.hash(), branches(&whole)));
        let gone: Vec<Change> = entries.iter().skip(1).map(|(key, _)| (*key, None)).collect();
        let (one, more) = update(&whole, &gone);
        assert_eq!((more, branches(&one), one.hash()), (-4999, 0, naive_root(&entries[..1], 0)));
    }

    #[test]
    fn an_update_shares_what_it_did_not_change() {
        let spread = |number: u64| SUITE.hash(Domain::StateKey, &number.to_le_bytes());
        let mut entries: Vec<Change> = (0..5000).map(|at| (spread(at), Some([7; 32]))).collect();
        entries.sort_unstable();
        let old = update(&Subtree::empty(), &entries).0;
        let new = update(&old, &[(entries[0].0, Some([8; 32]))]).0;
        assert!(made(&old, &new) <= 24, "one change made {} subtrees", made(&old, &new));
        assert_eq!(old.hash(), naive_root(&entries, 0));
    }

    /// The subtrees of a version that are not those of the version before.
    fn made(old: &Subtree, new: &Subtree) -> usize {
        match (&old.node, &new.node) {
            (Node::Bucket(old), Node::Bucket(new)) => usize::from(!Arc::ptr_eq(old, new)),
            (Node::Branch(old), Node::Branch(new)) if !Arc::ptr_eq(old, new) => {
                1 + made(&old[0], &new[0]) + made(&old[1], &new[1])
            }
            (Node::Branch(_), Node::Branch(_)) => 0,
            _ => panic!("one change made another shape"),
        }
    }
}
