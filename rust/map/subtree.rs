//! Keep the entries below one bit prefix, shared between the versions of a map.
//!
//! A few entries stand in one sorted row, a bucket; more are a branch over two halves. The halves
//! of a bucket are slices of it, so that little is kept beside the entries themselves, and keys
//! that part late take no room for the bits they share. What stands where follows from the
//! entries alone. In a map these are the inside of its pages, which `page` puts together.

use std::sync::Arc;

use super::node::{Change, Entry, Node, Opened, Subtree};
use super::{EMPTY, bit, node_hash};
use crate::error::Result;
use crate::suite::{Domain, Hash, Suite};

/// Entries in one bucket. Fewer take more memory, more take more hashes for each proof.
const BUCKET: usize = 8;

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

    /// A subtree at `depth` of sorted entries, not hashed.
    pub(super) fn made(entries: &[Entry], depth: usize) -> Self {
        if entries.len() <= BUCKET {
            return Self::new(Node::Bucket(entries.into()));
        }
        let halves = parts(entries, depth).map(|half| Self::made(half, depth + 1));
        Self::new(Node::Branch(Arc::new(halves)))
    }

    /// One bucket where there is room for both, otherwise a branch.
    pub(super) fn joined(left: Self, right: Self) -> Self {
        if let (Node::Bucket(below), Node::Bucket(above)) = (&left.node, &right.node)
            && below.len() + above.len() <= BUCKET
        {
            return Self::new(Node::Bucket([&below[..], above].concat().into()));
        }
        Self::new(Node::Branch(Arc::new([left, right])))
    }

    /// The entry of a key.
    pub fn find(&self, key: &Hash) -> Result<Option<Entry>> {
        let mut opened = None;
        let entries = self.row(key, &mut opened, |_| ())?;
        Ok(entries.iter().find(|[stored, _]| stored == key).copied())
    }

    /// The hashes beside the way to a key, root first, and the entry where the way ends.
    pub fn descend(&self, suite: Suite, key: &Hash) -> Result<(Vec<Hash>, Option<Entry>)> {
        let (mut siblings, mut opened) = (Vec::with_capacity(32), None);
        let entries = self.row(key, &mut opened, |hash| siblings.push(hash))?;
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
        Ok((siblings, row.entries.first().copied()))
    }

    /// The bucket on the way to a key; `beside` takes the hashes beside the way, and `opened` the
    /// inside of the page that the way goes through.
    fn row<'a: 'b, 'b>(
        &'a self,
        key: &Hash,
        opened: &'b mut Option<Opened<'a>>,
        mut beside: impl FnMut(Hash),
    ) -> Result<&'b [Entry]> {
        let (end, depth) = way(&self.node, key, 0, &mut beside);
        let end: &'b Node = match end {
            Node::Page(page) => way(opened.insert(page.open()?), key, depth, &mut beside).0,
            other => other,
        };
        match end {
            Node::Bucket(entries) => Ok(entries),
            _ => unreachable!("{NO_PAGE}"),
        }
    }

    /// Set the missing hashes, which come in the order of `hashing::missing`.
    pub(super) fn set(&mut self, hashes: &mut impl Iterator<Item = Hash>) {
        if self.hash != EMPTY {
            return;
        }
        if let Node::Branch(halves) = self.node.fresh() {
            unshared(halves).iter_mut().for_each(|half| half.set(hashes));
        }
        self.hash = hashes.next().expect("a hash for each subtree that has none");
    }

    /// Set the missing hashes, one after the other.
    pub(super) fn hash_in_turn(&mut self, suite: Suite, depth: usize) {
        if self.hash != EMPTY {
            return;
        }
        self.hash = match self.node.fresh() {
            Node::Branch(halves) => {
                let halves = unshared(halves);
                halves.iter_mut().for_each(|half| half.hash_in_turn(suite, depth + 1));
                node_hash(suite, &halves[0].hash, &halves[1].hash)
            }
            Node::Bucket(entries) => Place::Part(entries).hash(suite, depth),
            Node::Page(_) => unreachable!("{NO_PAGE}"),
        };
    }
}

const NO_PAGE: &str = "below a page there is no other";

impl Node {
    /// The inside of a page at `depth` after sorted changes that all belong below it, not hashed,
    /// and how many entries it has more. Recursion ends where few entries are left, 256 levels
    /// down at the latest.
    pub(super) fn changed(&self, changes: &[Change], depth: usize) -> (Subtree, isize) {
        match self {
            Self::Bucket(entries) => {
                let merged = merge(entries, changes);
                let more = merged.len() as isize - entries.len() as isize;
                (Subtree::made(&merged, depth), more)
            }
            Self::Branch(halves) => {
                let (below, above) = split(changes, depth);
                let changed = |half: &Subtree, changes: &[Change]| match changes.is_empty() {
                    true => (half.clone(), 0),
                    false => half.node.changed(changes, depth + 1),
                };
                let (left, more_left) = changed(&halves[0], below);
                let (right, more_right) = changed(&halves[1], above);
                (Subtree::joined(left, right), more_left + more_right)
            }
            Self::Page(_) => unreachable!("{NO_PAGE}"),
        }
    }

    /// The halves of the inside of a page.
    pub(super) fn halved(&self, depth: usize) -> [Subtree; 2] {
        match self {
            Self::Branch(halves) => halves.as_ref().clone(),
            Self::Bucket(entries) => {
                parts(entries, depth).map(|half| Subtree::made(half, depth + 1))
            }
            Self::Page(_) => unreachable!("{NO_PAGE}"),
        }
    }

    /// How many entries the inside of a page has.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Bucket(entries) => entries.len(),
            Self::Branch(halves) => halves.iter().map(|half| half.node.count()).sum(),
            Self::Page(_) => unreachable!("{NO_PAGE}"),
        }
    }

    /// What an update made and no other version has yet, looked at through its page.
    fn fresh(&mut self) -> &mut Self {
        match self {
            Self::Page(page) => page.fresh(),
            other => other,
        }
    }
}

fn unshared(halves: &mut Arc<[Subtree; 2]>) -> &mut [Subtree; 2] {
    Arc::get_mut(halves).expect("one version has it")
}

/// Where the branches on the way to a key end, and at what depth.
pub(super) fn way<'a>(
    mut node: &'a Node,
    key: &Hash,
    mut depth: usize,
    mut beside: impl FnMut(Hash),
) -> (&'a Node, usize) {
    while let Node::Branch(halves) = node {
        let right = bit(key, depth);
        beside(halves[usize::from(!right)].hash());
        node = &halves[usize::from(right)].node;
        depth += 1;
    }
    (node, depth)
}

impl<'a> Place<'a> {
    /// What stands here; `opened` takes the inside of a page.
    pub fn content<'b>(
        self,
        depth: usize,
        opened: &'b mut Option<Opened<'a>>,
    ) -> Result<Content<'b>>
    where
        'a: 'b,
    {
        let node = match self {
            Self::Part(entries) => return Ok(Content::of(entries, depth)),
            Self::Subtree(Subtree { node: Node::Page(page), .. }) => opened.insert(page.open()?),
            Self::Subtree(Subtree { node, .. }) => node,
        };
        Ok(match node {
            Node::Bucket(entries) => Content::of(entries, depth),
            Node::Branch(halves) => Content::Halves(halves.each_ref().map(Place::Subtree)),
            Node::Page(_) => unreachable!("{NO_PAGE}"),
        })
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

impl<'a> Content<'a> {
    fn of(entries: &'a [Entry], depth: usize) -> Self {
        match entries {
            [] => Self::Nothing,
            [entry] => Self::One(entry),
            _ => Self::Halves(parts(entries, depth).map(Place::Part)),
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
pub(super) fn split(changes: &[Change], depth: usize) -> (&[Change], &[Change]) {
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
    use super::super::page::Update;
    use super::*;

    const SUITE: Suite = Suite::Std;

    /// A key that parts from the zero key at `depth`. Names cannot be ground to this; keys can.
    fn key(depth: usize) -> Hash {
        let mut key = [0; 32];
        key[depth / 8] = 0x80 >> (depth % 8);
        key
    }

    fn update(subtree: &Subtree, changes: &[Change]) -> (Subtree, isize) {
        let update = Update { suite: SUITE, replaces: false, replaced: Default::default() };
        subtree.updated(&update, changes, 0).unwrap()
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
            count_node(&subtree.node)
        }
        fn count_node(node: &Node) -> (usize, usize) {
            match node {
                Node::Page(page) => count_node(&page.open().unwrap()),
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
        let (siblings, end) = root.descend(SUITE, &key(255)).unwrap();
        assert_eq!((siblings.len(), end), (256, Some([key(255), [2; 32]])));

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
        made_node(&old.node, &new.node)
    }

    fn made_node(old: &Node, new: &Node) -> usize {
        match (old, new) {
            (Node::Bucket(old), Node::Bucket(new)) => usize::from(!Arc::ptr_eq(old, new)),
            (Node::Branch(old), Node::Branch(new)) if !Arc::ptr_eq(old, new) => {
                1 + made(&old[0], &new[0]) + made(&old[1], &new[1])
            }
            (Node::Branch(_), Node::Branch(_)) => 0,
            (Node::Page(old), Node::Page(new)) => {
                made_node(&old.open().unwrap(), &new.open().unwrap())
            }
            _ => panic!("one change made another shape"),
        }
    }
}
