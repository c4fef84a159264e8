//! Prove to anyone, offline, that a record stands in a ledger.
//!
//! `[1, index, [path hash, ...], checkpoint note, envelope, nil or state proof]`
//!
//! The receipt carries the record without its body: whoever holds the body restores the record,
//! and a receipt alone gives nothing of it away but its header.

use crate::anchor::Anchor;
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result, at_most, malformed};
use crate::limits;
use crate::map::StateProof;
use crate::record::{Record, VerifiedRecord};
use crate::suite::Hash;
use crate::tree;
use crate::wire::{Reader, Writer};

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
    /// operator's and the witnesses' signatures, the path, the signer's signature, the state.
    pub fn verify(&self, body: &[u8], anchor: &Anchor) -> Result<(VerifiedRecord, Checkpoint)> {
        let checkpoint = anchor.verify_checkpoint(&self.checkpoint)?;
        let record = Record::from_envelope(&self.envelope, body)?;
        if record.network() != &anchor.network || record.suite() != anchor.suite {
            return Err(Error::Untrusted("record is of another network or suite".into()));
        }
        let leaf = anchor.suite.leaf(record.encode());
        let (size, root) = (checkpoint.size, &checkpoint.root);
        tree::verify_inclusion(anchor.suite, &leaf, self.index, size, &self.path, root)?;
        if let Some(state) = &self.state {
            state.verify(anchor.suite, &checkpoint.state_root)?;
        }
        Ok((record.verify()?, checkpoint))
    }
}
