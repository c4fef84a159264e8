//! Prove to anyone, offline, that a record stands in a ledger.
//!
//! `[1, index, [path hash, ...], checkpoint note, envelope, nil or state proof]`
//!
//! The receipt carries the record without its body: whoever holds the body restores the record,
//! and a receipt alone gives nothing of it away but its header.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;

use rayon::prelude::*;

use crate::anchor::Anchor;
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result, at_most, malformed};
use crate::limits;
use crate::map::StateProof;
use crate::record::{self, Record, VerifiedRecord, split_bundle};
use crate::suite::{Hash, Suite};
use crate::tree::{self, Claim, Prover, Tiles};
use crate::wire::{Reader, Writer};

/// Receipts made or verified by one task.
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
    /// Of one object for each receipt, or none at all.
    pub states: &'a [StateProof],
}

/// Make the receipts of the records at these indices, each found to lead to the signed root.
pub fn make(source: &Source, indices: &[u64]) -> Result<Vec<Receipt>> {
    let Source { suite, first_index, size, root, .. } = *source;
    if !source.states.is_empty() && source.states.len() != indices.len() {
        let (got, want) = (source.states.len(), indices.len());
        return malformed(format!("there are {got} state proofs, want {want} or none"));
    }
    let bundle = split_bundle(source.bundle)?;
    let mut records = Vec::with_capacity(indices.len());
    for index in indices {
        let position = index.checked_sub(first_index).and_then(|at| bundle.get(at as usize));
        match position {
            Some(record) => records.push(*record),
            None => return malformed(format!("bundle has no record {index}")),
        }
    }
    let paths = Prover::new(suite, size, source.tiles).inclusions(indices)?;
    let leaves = suite.leaves(&records);
    let claim = |(at, path)| Claim { leaf: &leaves[at], index: indices[at], proof: path };
    let claims: Vec<Claim> = paths.iter().map(Vec::as_slice).enumerate().map(claim).collect();
    tree::verify_inclusions(suite, &claims, size, root)
        .map_err(|(at, error)| Error::Proof(format!("record {}: {error}", indices[at])))?;
    let make = |(at, path): (usize, Vec<Hash>)| {
        let index = indices[at];
        let envelope = Record::decode(records[at])?.envelope();
        let (checkpoint, state) = (source.note.to_owned(), source.states.get(at).cloned());
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
    pub fn verify(&self, body: &[u8], anchor: &Anchor) -> Result<VerifiedRecord> {
        self.verify_under(&anchor.verify_checkpoint(&self.checkpoint)?, body, anchor)
    }

    /// Check everything but the checkpoint, which the anchor's verifier found in this receipt.
    pub fn verify_under(
        &self,
        checkpoint: &Checkpoint,
        body: &[u8],
        anchor: &Anchor,
    ) -> Result<VerifiedRecord> {
        let record = self.restore(body, anchor)?.verify()?;
        let Checkpoint { size, root, .. } = checkpoint;
        let (suite, leaf) = (anchor.suite, record.leaf());
        tree::verify_inclusion(suite, leaf, self.index, *size, &self.path, root)?;
        self.verify_state(checkpoint, suite)?;
        Ok(record)
    }

    /// The record, its signature not yet checked.
    fn restore(&self, body: &[u8], anchor: &Anchor) -> Result<Record> {
        let record = Record::from_envelope(&self.envelope, body)?;
        check_network(&record, anchor)?;
        Ok(record)
    }

    /// Accept that the state proof, where there is one, leads to the checkpoint's state root.
    fn verify_state(&self, checkpoint: &Checkpoint, suite: Suite) -> Result<()> {
        let verify = |state: &StateProof| state.verify(suite, &checkpoint.state_root);
        self.state.as_ref().map_or(Ok(()), verify)
    }
}

/// Verify encoded receipts, each with its record's body, as each alone would be.
///
/// A checkpoint that many carry is verified once, and all records' signatures as one batch. The
/// error names the first receipt at fault, all whose record's signature does not hold, or the limit
/// or the note's signer where it is of those.
pub fn verify_all(
    receipts: &[&[u8]],
    bodies: &[&[u8]],
    anchor: &Anchor,
    seed: &[u8; 32],
) -> Result<Vec<VerifiedRecord>> {
    let (count, others) = (receipts.len(), bodies.len());
    if count != others {
        return malformed(format!("batch has {count} receipts and {others} bodies"));
    }
    at_most("receipts in a batch", count, limits::BATCH_RECORDS)?;
    let decoded = each(receipts, |_, bytes| Receipt::decode(bytes))?;
    let (of, checkpoints) = verify_checkpoints(&decoded, anchor)?;
    let records = restore_all(&decoded, bodies, anchor)?;
    let verified = record::verify_all(&records, seed)?;
    let paths = verify_paths(&decoded, &verified, (&of, &checkpoints), anchor.suite);
    let led = paths.as_ref().err().map_or(count, |(at, _)| *at);
    each(&decoded[..led], |at, receipt| receipt.verify_state(&checkpoints[of[at]], anchor.suite))?;
    paths.map_err(|(at, error)| error.within(&format!("receipt {at}")))?;
    Ok(verified)
}

/// The number of each receipt's checkpoint, and all checkpoints.
fn verify_checkpoints(
    receipts: &[Receipt],
    anchor: &Anchor,
) -> Result<(Vec<usize>, Vec<Checkpoint>)> {
    let (mut numbers, mut checkpoints) = (HashMap::new(), Vec::new());
    let mut of: Vec<usize> = Vec::with_capacity(receipts.len());
    for (at, receipt) in receipts.iter().enumerate() {
        let note = receipt.checkpoint.as_str();
        // Most carry the note of the one before; to hash it again takes longer than to compare.
        if at > 0 && receipts[at - 1].checkpoint == note {
            of.push(of[at - 1]);
            continue;
        }
        let number = match numbers.entry(note) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(vacant) => {
                let verified = anchor.verify_checkpoint(note);
                checkpoints.push(verified.map_err(|error| error.within(&format!("receipt {at}")))?);
                *vacant.insert(checkpoints.len() - 1)
            }
        };
        of.push(number);
    }
    Ok((of, checkpoints))
}

/// The records of receipts, restored from their bodies and hashed side by side.
fn restore_all(receipts: &[Receipt], bodies: &[&[u8]], anchor: &Anchor) -> Result<Vec<Record>> {
    let bundle = |(receipts, bodies): (&[Receipt], &[&[u8]])| {
        let each = receipts.iter().zip(bodies);
        let filled = each.map(|(receipt, body)| record::fill_envelope(&receipt.envelope, body));
        let filled = filled.collect::<Result<Vec<_>>>()?;
        let filled: Vec<&[u8]> = filled.iter().map(Vec::as_slice).collect();
        let records = record::decode_all(&filled, None)?;
        records.iter().try_for_each(|record| check_network(record, anchor))?;
        Ok(records)
    };
    let bundles = receipts.par_chunks(limits::BUNDLE_RECORDS);
    let bundles = bundles.zip(bodies.par_chunks(limits::BUNDLE_RECORDS)).map(bundle);
    let restored: Result<Vec<Vec<Record>>> = bundles.collect();
    // Where one is at fault, the first one is found one by one.
    restored
        .map(|bundles| bundles.into_iter().flatten().collect())
        .or_else(|_| each(receipts, |at, receipt| receipt.restore(bodies[at], anchor)))
}

fn check_network(record: &Record, anchor: &Anchor) -> Result<()> {
    if record.network() != &anchor.network || record.suite() != anchor.suite {
        return Err(Error::Untrusted("record is of another network or suite".into()));
    }
    Ok(())
}

/// Accept that every path leads to its checkpoint's root, or name the first receipt whose does
/// not. Paths of receipts that follow each other under one checkpoint are climbed side by side.
fn verify_paths(
    receipts: &[Receipt],
    records: &[VerifiedRecord],
    (of, checkpoints): (&[usize], &[Checkpoint]),
    suite: Suite,
) -> std::result::Result<(), (usize, Error)> {
    let claim = |(receipt, record): (_, _)| {
        let receipt: &Receipt = receipt;
        let record: &VerifiedRecord = record;
        Claim { leaf: record.leaf(), index: receipt.index, proof: &receipt.path }
    };
    let claims: Vec<Claim> = receipts.iter().zip(records).map(claim).collect();
    let mut runs = Vec::new();
    let mut begin = 0;
    for run in of.chunk_by(|one, other| one == other) {
        runs.push(begin..begin + run.len());
        begin += run.len();
    }
    let failure = |run: &Range<usize>| {
        let Checkpoint { size, root, .. } = &checkpoints[of[run.start]];
        let verdict = tree::verify_inclusions(suite, &claims[run.clone()], *size, root);
        verdict.err().map(|(at, error)| (run.start + at, error))
    };
    runs.par_iter().find_map_first(failure).map_or(Ok(()), Err)
}

/// What is made of each receipt, over all threads, or the error of the first that has one.
fn each<T: Sync, R: Send>(
    items: &[T],
    make: impl Fn(usize, &T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let make = |(at, item)| make(at, item).map_err(|error| error.within(&format!("receipt {at}")));
    let made: Vec<Result<R>> = items.par_iter().enumerate().with_min_len(TASK).map(make).collect();
    made.into_iter().collect()
}
