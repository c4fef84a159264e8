//! Prove an object's state, or that it has none.
//!
//! ```text
//! [object, state or nil, [sibling, ...], nil or [key, value hash]]
//! ```
//!
//! Siblings stand root first. The last item is the single entry that stands where an absent
//! object would; it is nil for a present object, and where nothing stands there.

use rayon::prelude::*;

use super::{EMPTY, TASK, bit, key, leaf_hash, node_hash};
use crate::error::{Error, Result, at_most, malformed};
use crate::limits;
use crate::suite::{Domain, Hash, Suite};
use crate::wire::{Reader, Writer};

/// A claim about one object's state, and the way to the root that shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateProof {
    object: Vec<u8>,
    value: Option<Vec<u8>>,
    siblings: Vec<Hash>,
    other: Option<(Hash, Hash)>,
}

impl StateProof {
    pub(super) fn new(
        object: Vec<u8>,
        value: Option<Vec<u8>>,
        siblings: Vec<Hash>,
        other: Option<(Hash, Hash)>,
    ) -> Self {
        Self { object, value, siblings, other }
    }

    pub fn object(&self) -> &[u8] {
        &self.object
    }

    /// The state, or nothing where the proof is one of absence.
    pub fn value(&self) -> Option<&[u8]> {
        self.value.as_deref()
    }

    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        reader.array_of("state proof", 4)?;
        let object = reader.bin("object name bytes", limits::OBJECT_BYTES)?.to_vec();
        let value = match reader.nil() {
            true => None,
            false => Some(reader.bin("state bytes", limits::STATE_BYTES)?.to_vec()),
        };
        let count = reader.array()?;
        at_most("state proof siblings", count, limits::STATE_SIBLINGS)?;
        let siblings = (0..count).map(|_| reader.bin_of("sibling")).collect::<Result<_>>()?;
        let other = match reader.nil() {
            true => None,
            false => {
                reader.array_of("other entry", 2)?;
                Some((reader.bin_of("key")?, reader.bin_of("value hash")?))
            }
        };
        reader.finish()?;
        if value.is_some() && other.is_some() {
            return malformed("state proof shows a state and another entry in its place");
        }
        Ok(Self { object, value, siblings, other })
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(128 + 34 * self.siblings.len());
        writer.array(4);
        writer.bin(&self.object);
        match &self.value {
            Some(value) => writer.bin(value),
            None => writer.nil(),
        }
        writer.array(self.siblings.len());
        self.siblings.iter().for_each(|sibling| writer.bin(sibling));
        match &self.other {
            Some((key, value_hash)) => {
                writer.array(2);
                writer.bin(key);
                writer.bin(value_hash);
            }
            None => writer.nil(),
        }
        writer.into_bytes()
    }

    /// Accept the claim under the root of a state map.
    pub fn verify(&self, suite: Suite, state_root: &Hash) -> Result<()> {
        let key = key(suite, &self.object);
        let end = match (&self.value, &self.other) {
            (Some(value), _) => leaf_hash(suite, &key, &suite.hash(Domain::StateValue, value)),
            (None, Some((other, value_hash))) => {
                self.check_other(&key, other)?;
                leaf_hash(suite, other, value_hash)
            }
            (None, None) => EMPTY,
        };
        let fold = |hash: Hash, (depth, sibling): (usize, &Hash)| match bit(&key, depth) {
            false => node_hash(suite, &hash, sibling),
            true => node_hash(suite, sibling, &hash),
        };
        let root = self.siblings.iter().enumerate().rev().fold(end, fold);
        if root == *state_root {
            return Ok(());
        }
        Err(Error::Proof("state proof does not lead to the state root".into()))
    }

    /// The other entry must stand where the object would: on the same way, under another key.
    fn check_other(&self, key: &Hash, other: &Hash) -> Result<()> {
        if key != other && same_way(key, other, self.siblings.len()) {
            return Ok(());
        }
        Err(Error::Proof("state proof ends at an entry that is not in the way".into()))
    }
}

/// Whether two keys share their first bits.
pub(super) fn same_way(one: &Hash, other: &Hash, bits: usize) -> bool {
    (0..bits).all(|depth| bit(one, depth) == bit(other, depth))
}

/// Decode proofs and accept each under one root, over all threads; the error names the first that
/// fails.
pub fn verify_all(suite: Suite, proofs: &[&[u8]], state_root: &Hash) -> Result<Vec<StateProof>> {
    let verify = |(at, bytes): (usize, &&[u8])| {
        let verify = |proof: StateProof| proof.verify(suite, state_root).map(|()| proof);
        let verified = StateProof::decode(bytes).and_then(verify);
        verified.map_err(|error| error.within(&format!("state proof {at}")))
    };
    let verified: Vec<_> = proofs.par_iter().enumerate().with_min_len(TASK).map(verify).collect();
    verified.into_iter().collect()
}
