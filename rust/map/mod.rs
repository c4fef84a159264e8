//! Keep the state of every object, and prove what is there and what is not.
//!
//! A binary sparse Merkle map. An object's key is the hash of its name, so that nobody can choose
//! where it stands. A subtree without entries is 32 zero bytes, a subtree with one entry is that
//! entry's leaf, any other is a node over its halves. The root depends on the content alone.
//!
//! What is at the bottom stands in pages, which may be absent from memory. Nothing is read here:
//! whoever keeps the states asks what is `absent` for some objects and fills it, before.

mod hashing;
mod multiproof;
mod node;
mod page;
mod proof;
mod subtree;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::error::{Error, Result, at_most};
use crate::limits;
use crate::suite::{Domain, Hash, Suite};
use node::{Change, Subtree};
use page::Update;

pub use multiproof::StateMultiproof;
pub use proof::{StateProof, verify_all};

/// The hash of a subtree without entries, and the root of an empty map.
pub const EMPTY: Hash = [0; 32];

/// Objects that one task hashes or proves.
const TASK: usize = 256;

/// Pages that one task fills.
const PAGES: usize = 16;

/// An object's name, and its state or nothing.
pub type Claim<'a> = (&'a [u8], Option<&'a [u8]>);

/// The first and the last key that belong in a page.
pub type KeyRange = [Hash; 2];

/// An immutable map: updating gives a new one, which shares what did not change.
#[derive(Debug)]
pub struct Map {
    suite: Suite,
    root: Subtree,
    len: usize,
    /// How many entries are in memory; what is filled for another version is not counted.
    in_memory: AtomicUsize,
    /// Whether pages of any version were ever forgotten, so that one may be absent.
    forgot: Arc<AtomicBool>,
}

impl Map {
    pub fn new(suite: Suite) -> Self {
        let (in_memory, forgot) = (AtomicUsize::new(0), Arc::default());
        Self { suite, root: Subtree::empty(), len: 0, in_memory, forgot }
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
        self.changed(changes, false)
    }

    /// The same, where an absent page is replaced: by the changes to its objects, which have to be
    /// all that it holds from now on.
    pub fn overwrite(&self, changes: &[Claim]) -> Result<Self> {
        self.changed(changes, true)
    }

    fn changed(&self, changes: &[Claim], replaces: bool) -> Result<Self> {
        let changes = self.sorted(changes)?;
        let update = Update { suite: self.suite, replaces, replaced: AtomicUsize::new(0) };
        let (root, more) = self.root.updated(&update, &changes, 0)?;
        let read = update.replaced.into_inner();
        let in_memory = (self.in_memory() + read).saturating_add_signed(more);
        Ok(Self {
            suite: self.suite,
            root,
            len: self.len.saturating_add_signed(more),
            in_memory: AtomicUsize::new(in_memory),
            forgot: self.forgot.clone(),
        })
    }

    fn sorted(&self, claims: &[Claim]) -> Result<Vec<Change>> {
        claims.iter().try_for_each(check)?;
        let mut changes = hash_claims(self.suite, claims);
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
        Ok(changes)
    }

    /// What has to be filled before anything is done with these objects: the keys of absent pages.
    pub fn absent(&self, objects: &[&[u8]]) -> Vec<KeyRange> {
        if !self.forgot.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let mut keys = keys(self.suite, objects);
        keys.sort_unstable();
        self.root.absent(&keys)
    }

    /// Fill absent pages with all the states whose keys belong in them; an error where they are
    /// not those that the map holds.
    pub fn fill(&self, pages: &[KeyRange], states: &[(&[u8], &[u8])]) -> Result<()> {
        let claims: Vec<Claim> = states.iter().map(|(name, state)| (*name, Some(*state))).collect();
        let sorted = self.sorted(&claims)?.into_iter();
        let entries: Vec<_> = sorted.filter_map(|(key, value)| Some([key, value?])).collect();
        let fill = |[first, _]: &KeyRange| self.root.fill(self.suite, first, &entries);
        let filled: Vec<_> = pages.par_iter().with_min_len(PAGES).map(fill).collect();
        let came: usize = filled.iter().flatten().sum();
        self.in_memory.fetch_add(came, Ordering::Relaxed);
        filled.into_iter().try_for_each(|more| more.map(drop))
    }

    /// Forget all pages but that of one object, where more entries than the limit are in memory.
    /// What this version holds has to be kept elsewhere by now, unless `overwrite` makes its absent
    /// pages anew: so it is while states are read, whose versions in between nothing else keeps.
    pub fn forget(&self, limit: usize, but: Option<&[u8]>) {
        if self.in_memory() > limit {
            self.forgot.store(true, Ordering::Relaxed);
            let key = but.map(|object| key(self.suite, object));
            let stay = self.root.forget(key.as_ref(), 0);
            self.in_memory.store(stay, Ordering::Relaxed);
        }
    }

    /// How many entries are in memory, of this version.
    pub fn in_memory(&self) -> usize {
        self.in_memory.load(Ordering::Relaxed)
    }

    /// The hash of an object's state, where it has one.
    pub fn value_hash(&self, object: &[u8]) -> Result<Option<Hash>> {
        let key = key(self.suite, object);
        Ok(self.root.find(&key)?.map(|[_, value_hash]| value_hash))
    }

    /// Prove that the object has this state, or with `None` that it has none.
    pub fn prove(&self, object: &[u8], value: Option<&[u8]>) -> Result<StateProof> {
        check(&(object, value))?;
        let (key, value_hash) = hash_claim(self.suite, &(object, value));
        let (siblings, end) = self.root.descend(self.suite, &key)?;
        let own = end.filter(|[stored, _]| *stored == key);
        check_state(object, own.map(|[_, value_hash]| value_hash), value_hash)?;
        let other = end.filter(|_| own.is_none()).map(|[key, value_hash]| (key, value_hash));
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

/// The keys of many objects, in their order.
pub fn keys(suite: Suite, objects: &[&[u8]]) -> Vec<Hash> {
    let key = |object: &&[u8]| key(suite, object);
    match objects.len() <= TASK {
        true => objects.iter().map(key).collect(),
        false => objects.par_iter().with_min_len(TASK).map(key).collect(),
    }
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
