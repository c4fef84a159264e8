//! Prove an object's state, or that it has none.
//!
//! ```text
//! [object, state or nil, [sibling, ...], nil or [key, value hash]]
//! ```
//!
//! Siblings stand root first. The last item is the single entry that stands where an absent
//! object would; it is nil for a present object, and where nothing stands there.

use rayon::prelude::*;

use super::node::Entry;
use super::{EMPTY, bit, key, leaf_hash, node_hash};
use crate::error::{Error, Result, at_most, malformed};
use crate::limits;
use crate::suite::{Domain, Hash, Suite};
use crate::wire::{Reader, Writer};

/// Proofs that are hashed side by side.
const GROUP: usize = 64;

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
        let end =
            self.end(suite, &key)?.map_or(EMPTY, |[key, value]| leaf_hash(suite, &key, &value));
        let fold = |hash: Hash, depth: usize| {
            let [left, right] = self.pair(&key, hash, depth);
            node_hash(suite, &left, &right)
        };
        let root = (0..self.siblings.len()).rev().fold(end, fold);
        if root == *state_root {
            return Ok(());
        }
        Err(Error::Proof("state proof does not lead to the state root".into()))
    }

    /// The entry that stands where the way ends.
    fn end(&self, suite: Suite, key: &Hash) -> Result<Option<Entry>> {
        match (&self.value, &self.other) {
            (Some(value), _) => Ok(Some([*key, suite.hash(Domain::StateValue, value)])),
            (None, Some((other, value_hash))) => {
                self.check_other(key, other)?;
                Ok(Some([*other, *value_hash]))
            }
            (None, None) => Ok(None),
        }
    }

    /// The hash of the half at `depth` that the way goes through, beside its sibling.
    fn pair(&self, key: &Hash, hash: Hash, depth: usize) -> [Hash; 2] {
        match bit(key, depth) {
            false => [hash, self.siblings[depth]],
            true => [self.siblings[depth], hash],
        }
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
    let verify = |(group, proofs): (usize, &[&[u8]])| match verify_group(suite, proofs, state_root)
    {
        Some(verified) => Ok(verified),
        None => verify_in_turn(suite, proofs, state_root, group * GROUP),
    };
    let groups: Vec<_> = proofs.par_chunks(GROUP).enumerate().map(verify).collect();
    let mut verified = Vec::with_capacity(proofs.len());
    groups.into_iter().try_for_each(|group| group.map(|group| verified.extend(group)))?;
    Ok(verified)
}

fn verify_in_turn(
    suite: Suite,
    proofs: &[&[u8]],
    state_root: &Hash,
    first: usize,
) -> Result<Vec<StateProof>> {
    let verify = |(bytes, at): (&&[u8], usize)| {
        let verify = |proof: StateProof| proof.verify(suite, state_root).map(|()| proof);
        let verified = StateProof::decode(bytes).and_then(verify);
        verified.map_err(|error| error.within(&format!("state proof {at}")))
    };
    proofs.iter().zip(first..).map(verify).collect()
}

/// The proofs, where all lead to the root. Their ways are hashed side by side, from the deepest
/// level up.
fn verify_group(suite: Suite, proofs: &[&[u8]], state_root: &Hash) -> Option<Vec<StateProof>> {
    let decode = |bytes: &&[u8]| StateProof::decode(bytes).ok();
    let proofs: Vec<StateProof> = proofs.iter().map(decode).collect::<Option<_>>()?;
    let keys: Vec<Hash> = proofs.iter().map(|proof| key(suite, &proof.object)).collect();
    let end = |(proof, key): (&StateProof, &Hash)| proof.end(suite, key).ok();
    let ends: Vec<Option<Entry>> = proofs.iter().zip(&keys).map(end).collect::<Option<_>>()?;
    let entries: Vec<Entry> = ends.iter().flatten().copied().collect();
    let mut leaves = suite.hash_pairs(Domain::StateLeaf, entries.as_flattened()).into_iter();
    let leaf = |end: &Option<Entry>| end.map_or(Some(EMPTY), |_| leaves.next());
    let mut hashes: Vec<Hash> = ends.iter().map(leaf).collect::<Option<_>>()?;
    let deepest = proofs.iter().map(|proof| proof.siblings.len()).max().unwrap_or(0);
    for depth in (0..deepest).rev() {
        let reaches = |at: &usize| depth < proofs[*at].siblings.len();
        let level: Vec<usize> = (0..proofs.len()).filter(reaches).collect();
        let pair = |at: &usize| proofs[*at].pair(&keys[*at], hashes[*at], depth);
        let pairs: Vec<[Hash; 2]> = level.iter().map(pair).collect();
        let nodes = suite.hash_pairs(Domain::StateNode, pairs.as_flattened());
        level.iter().zip(nodes).for_each(|(at, node)| hashes[*at] = node);
    }
    hashes.iter().all(|hash| hash == state_root).then_some(proofs)
}
