//! Keep the state of every object, and prove what is there and what is not.
//!
//! A binary sparse Merkle map. An object's key is the hash of its name, so that nobody can choose
//! where it stands. A subtree without entries is 32 zero bytes, a subtree with one entry is that
//! entry's leaf, any other is a node over its halves. The root depends on the content alone.

mod proof;

use std::sync::Arc;

use crate::error::{Error, Result, at_most};
use crate::limits;
use crate::suite::{Domain, Hash, Suite};

pub use proof::StateProof;

/// The hash of a subtree without entries, and the root of an empty map.
pub const EMPTY: Hash = [0; 32];

/// An immutable map: updating gives a new one, which shares what did not change.
#[derive(Debug, Clone)]
pub struct Map {
    suite: Suite,
    root: Subtree,
    len: usize,
}

/// A subtree, shared between the versions of a map.
#[derive(Debug, Clone)]
enum Subtree {
    Empty,
    Leaf(Arc<Entry>),
    Branch(Arc<Branch>),
}

#[derive(Debug)]
struct Entry {
    key: Hash,
    value_hash: Hash,
    hash: Hash,
}

#[derive(Debug)]
struct Branch {
    left: Subtree,
    right: Subtree,
    hash: Hash,
}

/// A key and the hash of its new value, or nothing where the entry goes.
type Change = (Hash, Option<Hash>);

impl Map {
    pub fn new(suite: Suite) -> Self {
        Self { suite, root: Subtree::Empty, len: 0 }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn root(&self) -> Hash {
        self.root.hash()
    }

    /// Set each object's state, or remove it. Where an object is named twice the last one counts.
    pub fn update(&self, changes: &[(&[u8], Option<&[u8]>)]) -> Result<Self> {
        let mut sorted: Vec<Change> = Vec::with_capacity(changes.len());
        for (object, value) in changes {
            at_most("object name bytes", object.len(), limits::OBJECT_BYTES)?;
            at_most("state bytes", value.map_or(0, <[u8]>::len), limits::STATE_BYTES)?;
            let value_hash = value.map(|value| self.suite.hash(Domain::StateValue, value));
            sorted.push((self.key(object), value_hash));
        }
        sorted.sort_by_key(|(key, _)| *key);
        let last = |at: usize| sorted.get(at + 1).is_none_or(|next| next.0 != sorted[at].0);
        let unique: Vec<Change> =
            (0..sorted.len()).filter(|at| last(*at)).map(|at| sorted[at]).collect();
        let mut len = self.len;
        let root = updated(self.suite, &self.root, &unique, 0, &mut len);
        Ok(Self { suite: self.suite, root, len })
    }

    /// The hash of an object's state, where it has one.
    pub fn value_hash(&self, object: &[u8]) -> Option<Hash> {
        let key = self.key(object);
        match self.descend(&key).1 {
            Subtree::Leaf(entry) if entry.key == key => Some(entry.value_hash),
            _ => None,
        }
    }

    /// Prove that the object has this state, or with `None` that it has none.
    pub fn prove(&self, object: &[u8], value: Option<&[u8]>) -> Result<StateProof> {
        at_most("object name bytes", object.len(), limits::OBJECT_BYTES)?;
        let key = self.key(object);
        let (siblings, end) = self.descend(&key);
        let stored = match end {
            Subtree::Leaf(entry) => Some((entry.key, entry.value_hash)),
            _ => None,
        };
        let present = stored.filter(|(stored, _)| *stored == key).map(|(_, hash)| hash);
        if present != value.map(|value| self.suite.hash(Domain::StateValue, value)) {
            return Err(Error::Proof("state is not what the map holds for this object".into()));
        }
        let other = stored.filter(|(stored, _)| *stored != key);
        Ok(StateProof::new(object.to_vec(), value.map(<[u8]>::to_vec), siblings, other))
    }

    fn key(&self, object: &[u8]) -> Hash {
        self.suite.hash(Domain::StateKey, object)
    }

    /// The hashes beside the way to a key, root first, and the subtree where the way ends.
    fn descend(&self, key: &Hash) -> (Vec<Hash>, &Subtree) {
        let mut siblings = Vec::new();
        let mut at = &self.root;
        while let Subtree::Branch(branch) = at {
            let (next, beside) = match bit(key, siblings.len()) {
                false => (&branch.left, &branch.right),
                true => (&branch.right, &branch.left),
            };
            siblings.push(beside.hash());
            at = next;
        }
        (siblings, at)
    }
}

impl Subtree {
    fn hash(&self) -> Hash {
        match self {
            Self::Empty => EMPTY,
            Self::Leaf(entry) => entry.hash,
            Self::Branch(branch) => branch.hash,
        }
    }

    fn leaf(suite: Suite, key: Hash, value_hash: Hash) -> Self {
        Self::Leaf(Arc::new(Entry { key, value_hash, hash: leaf_hash(suite, &key, &value_hash) }))
    }

    /// A branch, unless one entry or none is left below it.
    fn join(suite: Suite, left: Self, right: Self) -> Self {
        match (&left, &right) {
            (Self::Empty, Self::Empty | Self::Leaf(_)) => right,
            (Self::Leaf(_), Self::Empty) => left,
            _ => {
                let hash = node_hash(suite, &left.hash(), &right.hash());
                Self::Branch(Arc::new(Branch { left, right, hash }))
            }
        }
    }
}

/// The subtree at `depth` after sorted changes that all belong below it. Recursion ends where one
/// entry is left, 256 levels down at the latest.
fn updated(
    suite: Suite,
    subtree: &Subtree,
    changes: &[Change],
    depth: usize,
    len: &mut usize,
) -> Subtree {
    match (subtree, changes) {
        (_, []) => return subtree.clone(),
        (Subtree::Empty, [(_, None)]) => return Subtree::Empty,
        (Subtree::Empty, [(key, Some(value_hash))]) => {
            *len += 1;
            return Subtree::leaf(suite, *key, *value_hash);
        }
        (Subtree::Leaf(entry), [(key, value_hash)]) if entry.key == *key => {
            return match value_hash {
                Some(value_hash) => Subtree::leaf(suite, *key, *value_hash),
                None => {
                    *len -= 1;
                    Subtree::Empty
                }
            };
        }
        _ => {}
    }
    let (left, right) = match subtree {
        Subtree::Empty => (Subtree::Empty, Subtree::Empty),
        Subtree::Leaf(entry) if bit(&entry.key, depth) => (Subtree::Empty, subtree.clone()),
        Subtree::Leaf(_) => (subtree.clone(), Subtree::Empty),
        Subtree::Branch(branch) => (branch.left.clone(), branch.right.clone()),
    };
    let (below, above) = changes.split_at(changes.partition_point(|(key, _)| !bit(key, depth)));
    let left = updated(suite, &left, below, depth + 1, len);
    let right = updated(suite, &right, above, depth + 1, len);
    Subtree::join(suite, left, right)
}

/// The bit of a key that decides at `depth`: the most significant first.
fn bit(key: &Hash, depth: usize) -> bool {
    key[depth / 8] >> (7 - depth % 8) & 1 == 1
}

fn leaf_hash(suite: Suite, key: &Hash, value_hash: &Hash) -> Hash {
    suite.hash(Domain::StateLeaf, &pair(key, value_hash))
}

fn node_hash(suite: Suite, left: &Hash, right: &Hash) -> Hash {
    suite.hash(Domain::StateNode, &pair(left, right))
}

fn pair(left: &Hash, right: &Hash) -> [u8; 64] {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(left);
    bytes[32..].copy_from_slice(right);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUITE: Suite = Suite::Std;

    /// A key that parts from the zero key at `depth`. Names cannot be ground to this; keys can.
    fn key(depth: usize) -> Hash {
        let mut key = [0; 32];
        key[depth / 8] = 0x80 >> (depth % 8);
        key
    }

    fn naive_root(entries: &[Change], depth: usize) -> Hash {
        match entries {
            [] => EMPTY,
            [(key, value_hash)] => leaf_hash(SUITE, key, &value_hash.expect("a set entry")),
            _ => {
                let (right, left): (Vec<Change>, Vec<Change>) =
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
        let mut len = 0;
        let root = updated(SUITE, &Subtree::Empty, &entries, 0, &mut len);
        assert_eq!((len, branches(&root)), (2, 256));
        assert_eq!(root.hash(), naive_root(&entries, 0));

        let one = updated(SUITE, &root, &[(key(255), None)], 0, &mut len);
        assert_eq!((len, branches(&one)), (1, 0));
        assert_eq!(one.hash(), leaf_hash(SUITE, &[0; 32], &[1; 32]));
        let none = updated(SUITE, &one, &[([0; 32], None)], 0, &mut len);
        assert_eq!((len, none.hash()), (0, EMPTY));
    }

    #[test]
    fn keys_that_part_at_every_bit_cost_no_more_than_one_branch_a_bit() {
        let mut entries: Vec<Change> = (0..256).map(|depth| (key(depth), Some([3; 32]))).collect();
        entries.push(([0; 32], Some([4; 32])));
        entries.sort_unstable();
        let mut len = 0;
        let whole = updated(SUITE, &Subtree::Empty, &entries, 0, &mut len);
        assert_eq!((len, branches(&whole)), (257, 256));
        assert_eq!(whole.hash(), naive_root(&entries, 0));

        // One by one and in the other order there is the same map.
        let mut stepwise = Subtree::Empty;
        for entry in entries.iter().rev() {
            stepwise = updated(SUITE, &stepwise, &[*entry], 0, &mut len);
        }
        assert_eq!(stepwise.hash(), whole.hash());

        // What is not there can be removed, and nothing changes.
        let mut absent = key(7);
        absent[31] = 1;
        let same = updated(SUITE, &whole, &[(absent, None)], 0, &mut len);
        assert_eq!((same.hash(), branches(&same)), (whole.hash(), 256));
    }
}
