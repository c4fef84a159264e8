//! What a map is made of: subtrees, and pages of them that may be out of memory.
//!
//! How entries stand in them is in `subtree`, and when pages come and go in `page`.

use std::ops::Deref;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use super::EMPTY;
use crate::error::{Error, Result};
use crate::suite::Hash;

/// A key, and the hash of its value.
pub type Entry = [Hash; 2];

/// A key, and the hash of its new value, or nothing where the entry goes.
pub type Change = (Hash, Option<Hash>);

/// Entries with their hash, so that a branch holds the hashes of its halves and whoever goes down
/// reads nothing beside the way. While an update is at work the hash of what it made is `EMPTY`.
#[derive(Debug, Clone)]
pub struct Subtree {
    pub(super) node: Node,
    pub(super) hash: Hash,
}

/// Below a page there is no other.
#[derive(Debug, Clone)]
pub enum Node {
    Bucket(Arc<[Entry]>),
    Branch(Arc<[Subtree; 2]>),
    Page(Page),
}

/// A shared subtree that may be absent from memory. How many entries it has stands with whoever
/// has it, so that an update need not look at a page beside its way.
#[derive(Debug, Clone)]
pub struct Page {
    pub(super) len: usize,
    inside: Arc<RwLock<Option<Node>>>,
}

/// The inside of a page, which stays in memory meanwhile.
pub struct Opened<'a>(RwLockReadGuard<'a, Option<Node>>);

impl Deref for Opened<'_> {
    type Target = Node;

    fn deref(&self) -> &Node {
        self.0.as_ref().expect("it was there when the page was opened")
    }
}

impl Subtree {
    pub fn new(node: Node) -> Self {
        Self { node, hash: EMPTY }
    }

    pub fn hash(&self) -> Hash {
        self.hash
    }
}

impl Page {
    pub fn new(len: usize, inside: Node) -> Self {
        Self { len, inside: Arc::new(RwLock::new(Some(inside))) }
    }

    pub fn read(&self) -> RwLockReadGuard<'_, Option<Node>> {
        self.inside.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the page holds; an error where it is absent.
    pub fn open(&self) -> Result<Opened<'_>> {
        let inside = self.read();
        match inside.is_some() {
            true => Ok(Opened(inside)),
            false => Err(Error::Absent),
        }
    }

    /// The inside of a page that an update made and no other version has yet.
    pub fn fresh(&mut self) -> &mut Node {
        let inside = Arc::get_mut(&mut self.inside).expect("one version has it");
        let inside = inside.get_mut().unwrap_or_else(PoisonError::into_inner);
        inside.as_mut().expect("what an update made is in memory")
    }

    pub fn is_absent(&self) -> bool {
        self.read().is_none()
    }

    /// Put the inside in its place, or with nothing forget it; what was there.
    pub fn put(&self, inside: Option<Node>) -> Option<Node> {
        let mut held = self.inside.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut held, inside)
    }
}
