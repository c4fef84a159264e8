//! Prove the states of many objects, or that they have none, with one proof.
//!
//! ```text
//! [[[object, state or nil], ...], shape, [hash, ...], [nil or [key, value hash], ...]]
//! ```
//!
//! Objects stand in the order of their keys. The shape has one bit for each subtree that objects of
//! the proof belong in, a subtree before its halves: 1 where it is a branch, 0 where the way ends
//! at one entry or none. The hashes are those of halves in which no object belongs; the last array
//! says what stands where the way of absent objects ends. All are in the order of the way.

use super::node::Subtree;
use super::proof::same_way;
use super::subtree::{Content, Place};
use super::{Claim, EMPTY, bit, check, check_state, hash_claims, leaf_hash, node_hash};
use crate::error::{Error, Result, at_most, malformed};
use crate::limits;
use crate::suite::{Hash, Suite};
use crate::wire::{Reader, Writer};

type Entry = (Hash, Hash);

/// Claims about many objects' states, and the way to the root that shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateMultiproof {
    claims: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    shape: Vec<bool>,
    hashes: Vec<Hash>,
    ends: Vec<Option<Entry>>,
}

/// A claim's key, the hash of its state, and its position among the claims.
type Wanted = (Hash, Option<Hash>, usize);

impl StateMultiproof {
    pub(super) fn make(suite: Suite, root: &Subtree, claims: &[Claim]) -> Result<Self> {
        at_most("objects in a state multiproof", claims.len(), limits::MULTIPROOF_OBJECTS)?;
        claims.iter().try_for_each(check)?;
        let mut wanted = wanted(suite, claims);
        wanted.sort_unstable();
        if wanted.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return malformed("two claims are of one object, want each object once");
        }
        let owned =
            |(_, _, at): &Wanted| (claims[*at].0.to_vec(), claims[*at].1.map(<[u8]>::to_vec));
        let claims = wanted.iter().map(owned).collect();
        let mut proof = Self { claims, shape: Vec::new(), hashes: Vec::new(), ends: Vec::new() };
        for (at, claim) in wanted.iter_mut().enumerate() {
            claim.2 = at;
        }
        proof.show(suite, Place::Subtree(root), &wanted, 0)?;
        Ok(proof)
    }

    /// Show a place at `depth` as far as these objects need it; recursion is as deep as a key
    /// has bits at most.
    fn show(&mut self, suite: Suite, place: Place, wanted: &[Wanted], depth: usize) -> Result<()> {
        if wanted.is_empty() {
            self.hashes.push(place.hash(suite, depth));
            return Ok(());
        }
        let mut opened = None;
        let end = match place.content(depth, &mut opened)? {
            Content::Halves([left, right]) => {
                self.shape.push(true);
                let (below, above) = split(wanted, depth);
                self.show(suite, left, below, depth + 1)?;
                return self.show(suite, right, above, depth + 1);
            }
            Content::One([key, value_hash]) => Some((*key, *value_hash)),
            Content::Nothing => None,
        };
        self.shape.push(false);
        for (key, value_hash, at) in wanted {
            let stored = end.filter(|(stored, _)| stored == key).map(|(_, stored)| stored);
            check_state(&self.claims[*at].0, stored, *value_hash)?;
        }
        if wanted.iter().all(|claim| claim.1.is_none()) {
            self.ends.push(end);
        }
        Ok(())
    }

    /// What is claimed: each object's name, and its state or nothing; in the order of keys.
    pub fn claims(&self) -> &[(Vec<u8>, Option<Vec<u8>>)] {
        &self.claims
    }

    /// Accept all claims under the root of a state map.
    pub fn verify(&self, suite: Suite, state_root: &Hash) -> Result<()> {
        let claims: Vec<Claim> =
            self.claims.iter().map(|(object, value)| (&object[..], value.as_deref())).collect();
        let wanted = wanted(suite, &claims);
        if wanted.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
            return Err(Error::Proof("objects do not stand in the order of their keys".into()));
        }
        let mut way = Way {
            suite,
            shape: self.shape.iter(),
            hashes: self.hashes.iter(),
            ends: self.ends.iter(),
        };
        let root = way.fold(&wanted, 0)?;
        if way.shape.next().is_some() || way.hashes.next().is_some() || way.ends.next().is_some() {
            return Err(Error::Proof("state multiproof has more than its objects need".into()));
        }
        if root != *state_root {
            return Err(Error::Proof("state multiproof does not lead to the state root".into()));
        }
        Ok(())
    }

    pub fn decode(bytes: &[u8]) -> Result<Self> {
        at_most("state multiproof bytes", bytes.len(), limits::STATE_MULTIPROOF_BYTES)?;
        let mut reader = Reader::new(bytes);
        reader.array_of("state multiproof", 4)?;
        let count = reader.array()?;
        at_most("objects in a state multiproof", count, limits::MULTIPROOF_OBJECTS)?;
        let claims = (0..count).map(|_| decode_claim(&mut reader)).collect::<Result<_>>()?;
        let shape = decode_shape(reader.bin("shape bytes", limits::STATE_MULTIPROOF_BYTES)?)?;
        let count = reader.array()?;
        let hashes = (0..count).map(|_| reader.bin_of("hash")).collect::<Result<_>>()?;
        let count = reader.array()?;
        let ends = (0..count).map(|_| decode_end(&mut reader)).collect::<Result<_>>()?;
        reader.finish()?;
        Ok(Self { claims, shape, hashes, ends })
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(64 * self.claims.len() + 34 * self.hashes.len());
        writer.array(4);
        writer.array(self.claims.len());
        for (object, value) in &self.claims {
            writer.array(2);
            writer.bin(object);
            match value {
                Some(value) => writer.bin(value),
                None => writer.nil(),
            }
        }
        writer.bin(&encode_shape(&self.shape));
        writer.array(self.hashes.len());
        self.hashes.iter().for_each(|hash| writer.bin(hash));
        writer.array(self.ends.len());
        for end in &self.ends {
            match end {
                Some((key, value_hash)) => {
                    writer.array(2);
                    writer.bin(key);
                    writer.bin(value_hash);
                }
                None => writer.nil(),
            }
        }
        writer.into_bytes()
    }
}

/// What is left of a proof while its root is made.
struct Way<'a> {
    suite: Suite,
    shape: std::slice::Iter<'a, bool>,
    hashes: std::slice::Iter<'a, Hash>,
    ends: std::slice::Iter<'a, Option<Entry>>,
}

impl Way<'_> {
    /// The hash of the subtree at `depth` that these objects belong in.
    fn fold(&mut self, wanted: &[Wanted], depth: usize) -> Result<Hash> {
        if wanted.is_empty() {
            return self.hashes.next().copied().ok_or_else(too_short);
        }
        if !*self.shape.next().ok_or_else(too_short)? {
            return self.end(wanted, depth);
        }
        if depth == limits::STATE_SIBLINGS {
            return Err(Error::Proof("state multiproof is deeper than a key has bits".into()));
        }
        let (below, above) = split(wanted, depth);
        let left = self.fold(below, depth + 1)?;
        let right = self.fold(above, depth + 1)?;
        Ok(node_hash(self.suite, &left, &right))
    }

    /// The hash of a subtree with one entry at most: one of the objects, or what stands in the
    /// place of them all.
    fn end(&mut self, wanted: &[Wanted], depth: usize) -> Result<Hash> {
        let mut present = wanted.iter().filter_map(|(key, value, _)| value.map(|it| (*key, it)));
        if let Some((key, value_hash)) = present.next() {
            if present.next().is_some() {
                return Err(Error::Proof("two present objects end in one place".into()));
            }
            return Ok(leaf_hash(self.suite, &key, &value_hash));
        }
        let Some((key, value_hash)) = self.ends.next().ok_or_else(too_short)? else {
            return Ok(EMPTY);
        };
        let same = wanted.iter().any(|claim| claim.0 == *key);
        if same || !same_way(key, &wanted[0].0, depth) {
            return Err(Error::Proof("way of absent objects ends at an entry not in it".into()));
        }
        Ok(leaf_hash(self.suite, key, value_hash))
    }
}

fn too_short() -> Error {
    Error::Proof("state multiproof has less than its objects need".into())
}

fn wanted(suite: Suite, claims: &[Claim]) -> Vec<Wanted> {
    let hashed = hash_claims(suite, claims).into_iter().enumerate();
    hashed.map(|(at, (key, value_hash))| (key, value_hash, at)).collect()
}

/// Those in the left half at `depth`, and those in the right.
fn split(wanted: &[Wanted], depth: usize) -> (&[Wanted], &[Wanted]) {
    wanted.split_at(wanted.partition_point(|claim| !bit(&claim.0, depth)))
}

fn decode_claim(reader: &mut Reader) -> Result<(Vec<u8>, Option<Vec<u8>>)> {
    reader.array_of("claim", 2)?;
    let object = reader.bin("object name bytes", limits::OBJECT_BYTES)?.to_vec();
    let value = match reader.nil() {
        true => None,
        false => Some(reader.bin("state bytes", limits::STATE_BYTES)?.to_vec()),
    };
    Ok((object, value))
}

fn decode_end(reader: &mut Reader) -> Result<Option<Entry>> {
    if reader.nil() {
        return Ok(None);
    }
    reader.array_of("other entry", 2)?;
    Ok(Some((reader.bin_of("key")?, reader.bin_of("value hash")?)))
}

/// The bits from the most significant on, then a one and zeros to whole bytes, so that the bytes
/// say how many bits there are.
fn encode_shape(shape: &[bool]) -> Vec<u8> {
    let mut bytes = vec![0; shape.len() / 8 + 1];
    for (at, set) in shape.iter().chain(&[true]).enumerate() {
        bytes[at / 8] |= u8::from(*set) << (7 - at % 8);
    }
    bytes
}

fn decode_shape(bytes: &[u8]) -> Result<Vec<bool>> {
    let Some(last) = bytes.last().filter(|last| **last != 0) else {
        return malformed("shape does not end in a set bit and zeros");
    };
    let bits = 8 * bytes.len() - 1 - last.trailing_zeros() as usize;
    Ok((0..bits).map(|at| bytes[at / 8] >> (7 - at % 8) & 1 == 1).collect())
}
