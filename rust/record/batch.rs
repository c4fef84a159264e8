//! Decode, verify and sign many records at once, and keep them in bundles.
//!
//! The records of a batch share one buffer; what each hash is over lies in it, so that hashes of
//! equal length go side by side.

use std::sync::Arc;

use rayon::prelude::*;

use super::{Draft, Fields, Record, Unsigned, VerifiedRecord, draft_chain};
use crate::error::{Error, Result, at_most};
use crate::key::SigningKey;
use crate::limits;
use crate::signature::{self, Claim};
use crate::suite::{Domain, Hash, Suite};
use crate::wire::{Reader, Writer};

/// Records decoded by one task.
const TASK: usize = 256;

/// Decode the records of a batch over all threads; the error names the first that is malformed.
pub fn decode_all(records: &[&[u8]]) -> Result<Vec<Record>> {
    let fields = map_decoded(records, |fields| fields)?;
    let suites: Vec<Suite> = fields.iter().map(|fields| fields.suite).collect();
    let both = records.iter().zip(&fields);
    let headers: Vec<&[u8]> = both.map(|(bytes, fields)| &bytes[fields.header.clone()]).collect();
    let ids = hash_ids(&suites, &headers);
    let buffer = Arc::new(records.concat());
    let mut begin = 0;
    let record = |((fields, id), bytes): ((Fields, Hash), &&[u8])| {
        let span = begin..begin + bytes.len();
        begin = span.end;
        Record { buffer: buffer.clone(), span, fields, id }
    };
    Ok(fields.into_iter().zip(ids).zip(records).map(record).collect())
}

/// The ids and the leaf hashes of records that are stored already, for looking at them again.
pub fn hash_all(records: &[&[u8]]) -> Result<(Vec<Hash>, Vec<Hash>)> {
    let parts = map_decoded(records, |fields| (fields.suite, fields.header))?;
    let suites: Vec<Suite> = parts.iter().map(|(suite, _)| *suite).collect();
    let both = records.iter().zip(parts);
    let headers: Vec<&[u8]> = both.map(|(bytes, (_, header))| &bytes[header]).collect();
    Ok((hash_ids(&suites, &headers), by_suite(&suites, records, Suite::leaves)))
}

/// What is kept of each record, once it is decoded.
fn map_decoded<T: Send>(records: &[&[u8]], keep: impl Fn(Fields) -> T + Sync) -> Result<Vec<T>> {
    at_most("records in a batch", records.len(), limits::BATCH_RECORDS)?;
    let decode = |bytes: &&[u8]| Fields::decode(bytes).map(&keep);
    let decoded: Vec<Result<T>> = records.par_iter().with_min_len(TASK).map(decode).collect();
    let named = |(index, result): (usize, Result<T>)| {
        result.map_err(|error| Error::MalformedItem { index, reason: error.to_string() })
    };
    decoded.into_iter().enumerate().map(named).collect()
}

fn hash_ids(suites: &[Suite], headers: &[&[u8]]) -> Vec<Hash> {
    by_suite(suites, headers, |suite, headers| suite.hash_each(Domain::Record, headers))
}

/// The hash of each item in its suite; neighbours of one suite are hashed together.
fn by_suite<'a>(
    suites: &[Suite],
    items: &[&'a [u8]],
    hash: impl Fn(Suite, &[&'a [u8]]) -> Vec<Hash>,
) -> Vec<Hash> {
    let mut hashes = Vec::with_capacity(items.len());
    for run in suites.chunk_by(Suite::eq) {
        let begin = hashes.len();
        hashes.append(&mut hash(run[0], &items[begin..begin + run.len()]));
    }
    hashes
}

/// Verify every record of a batch, or name all whose signature does not hold.
pub fn verify_all(records: &[Record], seed: &[u8; 32]) -> Result<Vec<VerifiedRecord>> {
    let messages: Vec<[u8; 69]> = records.iter().map(Record::signed_bytes).collect();
    let claim = |(record, message): (_, _)| -> Claim {
        let record: &Record = record;
        let message: &[u8; 69] = message;
        Claim { key: record.key(), message, signature: record.signature() }
    };
    let claims: Vec<Claim> = records.iter().zip(&messages).map(claim).collect();
    signature::verify_all(&claims, seed)?;
    let leaves = leaf_hashes(records);
    Ok(records.iter().cloned().zip(leaves).map(VerifiedRecord::with_leaf).collect())
}

/// The hashes of the leaves that records stand as.
pub fn leaf_hashes(records: &[Record]) -> Vec<Hash> {
    let same = |one: &Record, other: &Record| one.suite() == other.suite();
    records.chunk_by(same).flat_map(|run| run[0].suite().leaves(run)).collect()
}

/// Sign a chain of records, one a body: the signatures are made over all threads.
pub fn sign_chain(first: &Draft, bodies: &[&[u8]], key: &SigningKey) -> Result<Vec<Record>> {
    let chain = draft_chain(first, bodies, &key.public_key())?;
    let sign = |unsigned: &Unsigned| unsigned.attach(&key.sign(unsigned.message()));
    chain.par_iter().with_min_len(16).map(sign).collect()
}

/// A bundle: one canonical array of up to 256 encoded records, which are stored as one value.
pub fn encode_bundle<'a>(records: impl ExactSizeIterator<Item = &'a Record> + Clone) -> Vec<u8> {
    let bytes = records.clone().map(|record| record.span.len() + 5).sum::<usize>() + 5;
    let mut writer = Writer::with_capacity(bytes);
    writer.array(records.len());
    records.for_each(|record| writer.bin(record.encode()));
    writer.into_bytes()
}

/// The encoded records of a bundle.
pub fn split_bundle(bundle: &[u8]) -> Result<Vec<&[u8]>> {
    let mut reader = Reader::new(bundle);
    let count = reader.array()?;
    at_most("records in a bundle", count, limits::BUNDLE_RECORDS)?;
    let records = (0..count)
        .map(|_| reader.bin("record bytes", limits::RECORD_BYTES))
        .collect::<Result<Vec<_>>>()?;
    reader.finish()?;
    Ok(records)
}

/// The encoded records of bundles that follow each other.
pub fn split_bundles<'a>(bundles: &[&'a [u8]]) -> Result<Vec<&'a [u8]>> {
    let mut records = Vec::new();
    for bundle in bundles {
        records.append(&mut split_bundle(bundle)?);
    }
    Ok(records)
}
