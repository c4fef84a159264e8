//! Prove to anyone, offline, that a record stands in a ledger.
//!
//! `[1, index, [path hash, ...], checkpoint note, envelope, nil or state proof]`
//!
//! The receipt carries the record without its body: whoever holds the body restores the record,
//! and a receipt alone gives nothing of it away but its header.

use rayon::prelude::*;

use crate::anchor::Anchor;
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result, at_most, malformed};
use crate::limits;
use crate::map::StateProof;
use crate::record::{Record, VerifiedRecord, split_bundle};
use crate::suite::{Hash, Suite};
use crate::tree::{self, Prover, Tiles};
use crate::wire::{Reader, Writer};

/// Receipts made by one task.
const TASK: usize = 64;

/// The one version of the format.
const VERSION: u64 = 1;

/// The evidence for one record, and optionally for the state of one object at the same size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    pub index: u64,
    pub path: Vec<Hash>,
    pub checkpoint: String,
    pub envelope: Vec<u8>,
    pub state: Option<StateProof>,
}

/// What receipts of one block are made from.
pub struct Source<'a> {
    pub suite: Suite,
    /// The records, as bundled from `first_index` on.
    pub bundle: &'a [u8],
    pub first_index: u64,
    /// The tree's size and root that the note signs.
    pub size: u64,
    pub root: &'a Hash,
    pub note: &'a str,
    pub tiles: &'a Tiles<'a>,
    pub state: Option<&'a StateProof>,
}

/// Make the receipts of the records at these indices, each found to lead to the signed root.
pub fn make(source: &Source, indices: &[u64]) -> Result<Vec<Receipt>> {
    let Source { suite, first_index, size, root, .. } = *source;
    let bundle = split_bundle(source.bundle)?;
    let mut records = Vec::with_capacity(indices.len());
    for index in indices {
        let position = index.checked_sub(first_index).and_then(|at| bundle.get(at as usize));
        match position {
            Some(record) => records.push(*record),
            None => return malformed(format!("bundle has no record {index}")),
        }
    }
    let mut prover = Prover::new(suite, size, source.tiles);
    let paths = indices.iter().map(|index| prover.inclusion(*index));
    let paths = paths.collect::<Result<Vec<_>>>()?;
    let leaves = suite.leaves(&records);
    let make = |(at, path): (usize, Vec<Hash>)| {
        let index = indices[at];
        tree::verify_inclusion(suite, &leaves[at], index, size, &path, root)
            .map_err(|error| Error::Proof(format!("record {index}: {error}")))?;
        let envelope = Record::decode(records[at])?.envelope();
        let (checkpoint, state) = (source.note.to_owned(), source.state.cloned());
        Ok(Receipt { index, path, checkpoint, envelope, state })
    };
    paths.into_par_iter().enumerate().with_min_len(TASK).map(make).collect()
}

impl Receipt {
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        at_most("receipt bytes", bytes.len(), limits::RECEIPT_BYTES)?;
        let mut reader = Reader::new(bytes);
        reader.array_of("receipt", 6)?;
        match reader.uint()? {
            VERSION => {}
            version => return malformed(format!("receipt version is {version}, want {VERSION}")),
        }
        let index = reader.uint()?;
        let count = reader.array()?;
        at_most("path hashes", count, limits::PROOF_HASHES)?;
        let path = (0..count).map(|_| reader.bin_of("path hash")).collect::<Result<_>>()?;
        let checkpoint = reader.bin("checkpoint bytes", limits::CHECKPOINT_BYTES)?;
        let Ok(checkpoint) = std::str::from_utf8(checkpoint) else {
            return malformed("checkpoint is not UTF-8");
        };
        let envelope = reader.bin("envelope bytes", limits::RECORD_BYTES)?.to_vec();
        let state = match reader.nil() {
            true => None,
            false => Some(StateProof::decode(reader.bin("state proof", limits::RECEIPT_BYTES)?)?),
        };
        reader.finish()?;
        Ok(Self { index, path, checkpoint: checkpoint.to_owned(), envelope, state })
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(1024 + 34 * self.path.len());
        writer.array(6);
        writer.uint(VERSION);
        writer.uint(self.index);
        writer.array(self.path.len());
        self.path.iter().for_each(|hash| writer.bin(hash));
        writer.bin(self.checkpoint.as_bytes());
        writer.bin(&self.envelope);
        match &self.state {
            Some(state) => writer.bin(&state.encode()),
            None => writer.nil(),
        }
        writer.into_bytes()
    }

    /// Restore the record from its body and check everything that leads to the anchor: the
    /// operator's and the witnesses' signatures, the signer's signature, the path, the state.
    pub fn verify(&self, body: &[u8], anchor: &Anchor) -> Result<(VerifiedRecord, Checkpoint)> {
        let checkpoint = anchor.verify_checkpoint(&self.checkpoint)?;
        let record = Record::from_envelope(&self.envelope, body)?;
        if record.network() != &anchor.network || record.suite() != anchor.suite {
            return Err(Error::Untrusted("record is of another network or suite".into()));
        }
        let record = record.verify()?;
        let (leaf, size, root) = (record.leaf(), checkpoint.size, &checkpoint.root);
        tree::verify_inclusion(anchor.suite, leaf, self.index, size, &self.path, root)?;
        if let Some(state) = &self.state {
            state.verify(anchor.suite, &checkpoint.state_root)?;
        }
        Ok((record, checkpoint))
    }
}
