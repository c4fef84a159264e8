//! Keep the state of every object, and prove what is there and what is not.
//!
//! A binary sparse Merkle map. An object's key is the hash of its name, so that nobody can choose
//! where it stands. A subtree without entries is 32 zero bytes, a subtree with one entry is that
//! entry's leaf, any other is a node over its halves. The root depends on the content alone.

mod hashing;
mod multiproof;
mod proof;
mod subtree;

use rayon::prelude::*;

use crate::error::{Error, Result, at_most};
use crate::limits;
use crate::suite::{Domain, Hash, Suite};
use subtree::{Change, Subtree};

pub use multiproof::StateMultiproof;
pub use proof::{StateProof, verify_all};

/// The hash of a subtree without entries, and the root of an empty map.
pub const EMPTY: Hash = [0; 32];

/// Objects that one task hashes or proves.
const TASK: usize = 256;

/// An object's name, and its state or nothing.
pub type Claim<'a> = (&'a [u8], Option<&'a [u8]>);

/// An immutable map: updating gives a new one, which shares what did not change.
#[derive(Debug, Clone)]
pub struct Map {
    suite: Suite,
    root: Subtree,
    len: usize,
}

impl Map {
    pub fn new(suite: Suite) -> Self {
        Self { suite, root: Subtree::empty(), len: 0 }
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
    pub fn update(&self, changes: &[Claim]) -> Result<Self> {
        changes.iter().try_for_each(check)?;
        let mut changes = hash_claims(self.suite, changes);
        match changes.len() <= TASK {
            true => changes.sort_by_key(|change| change.0),
            false => changes.par_sort_by_key(|change| change.0),
        }
        changes.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                earlier.1 = later.1;
            }
            same
        });
        let (root, added) = self.root.updated(self.suite, &changes, 0);
        Ok(Self { suite: self.suite, root, len: self.len.saturating_add_signed(added) })
    }

    /// The hash of an object's state, where it has one.
    pub fn value_hash(&self, object: &[u8]) -> Option<Hash> {
        let key = key(self.suite, object);
        self.root.find(&key).map(|[_, value_hash]| *value_hash)
    }

    /// Prove that the object has this state, or with `None` that it has none.
    pub fn prove(&self, object: &[u8], value: Option<&[u8]>) -> Result<StateProof> {
        check(&(object, value))?;
        let (key, value_hash) = hash_claim(self.suite, &(object, value));
        let (siblings, end) = self.root.descend(self.suite, &key);
        let own = end.filter(|[stored, _]| *stored == key);
        check_state(object, own.map(|[_, value_hash]| *value_hash), value_hash)?;
        let other = end.filter(|_| own.is_none()).map(|[key, value_hash]| (*key, *value_hash));
        Ok(StateProof::new(object.to_vec(), value.map(<[u8]>::to_vec), siblings, other))
    }

    /// A proof for each object, over all threads; the error is that of the first which is not so.
    pub fn prove_all(&self, claims: &[Claim]) -> Result<Vec<StateProof>> {
        let prove = |(object, value): &Claim| self.prove(object, *value);
        let proofs: Vec<_> = claims.par_iter().with_min_len(TASK).map(prove).collect();
        proofs.into_iter().collect()
    }

    /// One proof of the states of many objects, or that they have none. Names may come in any
    /// order, each once.
    pub fn prove_multi(&self, claims: &[Claim]) -> Result<StateMultiproof> {
        StateMultiproof::make(self.suite, &self.root, claims)
    }
}

/// The key under which an object stands.
fn key(suite: Suite, object: &[u8]) -> Hash {
    suite.hash(Domain::StateKey, object)
}

/// Its key, and the hash of its state.
fn hash_claim(suite: Suite, (object, value): &Claim) -> Change {
    (key(suite, object), value.map(|value| suite.hash(Domain::StateValue, value)))
}

fn hash_claims(suite: Suite, claims: &[Claim]) -> Vec<Change> {
    let hash = |claim: &Claim| hash_claim(suite, claim);
    match claims.len() <= TASK {
        true => claims.iter().map(hash).collect(),
        false => claims.par_iter().with_min_len(TASK).map(hash).collect(),
    }
}

fn check((object, value): &Claim) -> Result<()> {
    at_most("object name bytes", object.len(), limits::OBJECT_BYTES)?;
    at_most("state bytes", value.map_or(0, <[u8]>::len), limits::STATE_BYTES)
}

/// Refuse to prove a state that the map does not hold.
fn check_state(object: &[u8], got: Option<Hash>, want: Option<Hash>) -> Result<()> {
    if got == want {
        return Ok(());
    }
    let name = String::from_utf8_lossy(object);
    Err(Error::Proof(format!("state of {name:?} is not what the map holds for this object")))
}

/// The bit of a key that decides at `depth`: the most significant first.
fn bit(key: &Hash, depth: usize) -> bool {
    key[depth / 8] >> (7 - depth % 8) & 1 == 1
}

fn leaf_hash(suite: Suite, key: &Hash, value_hash: &Hash) -> Hash {
    suite.hash_pair(Domain::StateLeaf, key, value_hash)
}

fn node_hash(suite: Suite, left: &Hash, right: &Hash) -> Hash {
    suite.hash_pair(Domain::StateNode, left, right)
}
