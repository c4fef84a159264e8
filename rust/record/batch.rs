//! Decode, verify and sign many records at once, and keep them in bundles.
//!
//! The records of a bundle share their bytes; what each hash is over lies in them, so that hashes
//! of equal length go side by side.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use rayon::ThreadPool;
use rayon::prelude::*;

use super::{
    Decoded, Draft, Entry, Fields, HEADER_BEGIN, Record, SIGNATURE_BYTES, Unsigned, VerifiedRecord,
    draft_chain,
};
use crate::error::{Error, Result, at_most, malformed};
use crate::key::SigningKey;
use crate::limits;
use crate::signature::{self, Claim};
use crate::suite::{Domain, Hash, Suite};
use crate::tasks;
use crate::wire::{Reader, Writer};

/// Records for which it is worth waking another thread where little is done with each.
const TASK: usize = 1024;

/// Bundles for which it is worth waking another thread: while all cores are at work, whoever waits
/// for one waits until the system has it run.
const TASK_BUNDLES: usize = 8;

/// Decode the records of a batch; the error names the first that is malformed. The caller takes
/// bundles as the threads of the pool do, or those of its own.
///
/// A thread decodes, copies and hashes the records of one bundle after the other, so that they stay
/// in its cache meanwhile, and stand in memory as they will be stored.
pub fn decode_all(records: &[&[u8]], pool: Option<&ThreadPool>) -> Result<Vec<Record>> {
    at_most("records in a batch", records.len(), limits::BATCH_RECORDS)?;
    let bundles: Vec<&[&[u8]]> = records.chunks(limits::BUNDLE_RECORDS).collect();
    let decode = |number: usize| {
        let records = bundles[number];
        let fields = decode_each(number * limits::BUNDLE_RECORDS, records)?;
        let mut writer = bundle_writer(records.iter().map(|record| record.len()));
        let span = |record: &&[u8]| {
            writer.bin(record);
            writer.len() - record.len()..writer.len()
        };
        let spans = records.iter().map(span).collect();
        Ok(share(writer.into_bytes(), spans, fields))
    };
    let threads = match pool {
        _ if bundles.len() < 2 => 1,
        Some(pool) => pool.current_num_threads() + 1,
        None => rayon::current_num_threads(),
    };
    in_order(tasks::each(pool, threads, bundles.len(), decode))
}

/// Decode the records of bundles that follow each other, as `decode_all` would.
pub fn decode_bundles(bundles: &[&[u8]]) -> Result<Vec<Record>> {
    in_order(each_bundle(bundles, |begin, bundle| {
        // Read once, from one end to the other, and then from the cache.
        let bytes = bundle.to_vec();
        let spans = split(&bytes)?;
        let fields = decode_each(begin, &parts(&bytes, &spans))?;
        Ok(share(bytes, spans, fields))
    })?)
}

/// The ids and the leaf hashes of stored bundles' records, for looking at them again. What is said
/// in them is not looked at: with the hashes of records that were decoded they are these.
pub fn hash_bundles(suite: Suite, bundles: &[&[u8]]) -> Result<(Vec<Hash>, Vec<Hash>)> {
    let hashes = each_bundle(bundles, |_, bundle| {
        let records = split_bundle(bundle)?;
        let headers = records.iter().map(|record| header(record)).collect::<Result<Vec<_>>>()?;
        let ids = suite.hash_each(Domain::Record, &headers);
        Ok(ids.into_iter().zip(suite.leaves(&records)).collect())
    })?;
    Ok(in_order(hashes)?.into_iter().unzip())
}

/// The bytes that a record's id is the hash of: all but a marker, and the signature with its own.
fn header(record: &[u8]) -> Result<&[u8]> {
    match record.len().checked_sub(SIGNATURE_BYTES) {
        Some(end @ HEADER_BEGIN..) => Ok(&record[HEADER_BEGIN..end]),
        _ => malformed(format!("record has {} bytes, want a header and a signature", record.len())),
    }
}

/// Work on each bundle over all threads: the position of its first record, and its bytes.
fn each_bundle<T: Send>(
    bundles: &[&[u8]],
    work: impl Fn(usize, &[u8]) -> Result<T> + Sync,
) -> Result<Vec<Result<T>>> {
    let (mut begins, mut end) = (Vec::with_capacity(bundles.len()), 0);
    for bundle in bundles {
        begins.push(end);
        end += bundle_count(&mut Reader::new(bundle))?;
    }
    at_most("records in a batch", end, limits::BATCH_RECORDS)?;
    let each = bundles.par_iter().zip(begins).with_min_len(TASK_BUNDLES);
    Ok(each.map(|(bundle, begin)| work(begin, bundle)).collect())
}

/// What the pieces give, or the error of the first one that has one.
fn in_order<T>(pieces: Vec<Result<Vec<T>>>) -> Result<Vec<T>> {
    let pieces = pieces.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(pieces.into_iter().flatten().collect())
}

/// What each record says; the first one stands at `begin`.
fn decode_each(begin: usize, records: &[&[u8]]) -> Result<Vec<Fields>> {
    let mut fields = Vec::with_capacity(records.len());
    for (index, bytes) in (begin..).zip(records) {
        match Fields::decode(bytes) {
            Ok(decoded) => fields.push(decoded),
            Err(error) => return Err(Error::MalformedItem { index, reason: error.to_string() }),
        }
    }
    Ok(fields)
}

/// Records that share their bytes, in which they stand at these spans.
fn share(bytes: Vec<u8>, spans: Vec<Range<usize>>, fields: Vec<Fields>) -> Vec<Record> {
    let hashes = hash_both(&parts(&bytes, &spans), &fields);
    let each = spans.into_iter().zip(fields).zip(hashes);
    let entry = |((span, fields), (id, leaf)): ((Range<usize>, _), _)| Entry {
        begin: span.start,
        fields,
        id,
        leaf: Some(leaf),
    };
    let entries: Vec<Entry> = each.map(entry).collect();
    let count = entries.len();
    let decoded = Arc::new(Decoded { bytes, entries });
    (0..count).map(|at| Record { decoded: decoded.clone(), at }).collect()
}

/// The ids of records and the hashes of their leaves, made while the records are in the cache.
fn hash_both(records: &[&[u8]], fields: &[Fields]) -> impl Iterator<Item = (Hash, Hash)> + use<> {
    let suites: Vec<Suite> = fields.iter().map(|fields| fields.suite).collect();
    let both = records.iter().zip(fields);
    let headers: Vec<&[u8]> = both.map(|(bytes, fields)| fields.header(bytes)).collect();
    let hash_ids = |suite: Suite, headers: &[&[u8]]| suite.hash_each(Domain::Record, headers);
    let ids = by_suite(&suites, &headers, hash_ids);
    ids.into_iter().zip(by_suite(&suites, records, Suite::leaves))
}

fn parts<'a>(bytes: &'a [u8], spans: &[Range<usize>]) -> Vec<&'a [u8]> {
    spans.iter().map(|span| &bytes[span.clone()]).collect()
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

/// Records with the messages that their keys are to have signed.
pub struct Signed<'a> {
    records: &'a [Record],
    messages: Vec<[u8; 69]>,
}

impl<'a> Signed<'a> {
    pub fn of(records: &'a [Record]) -> Self {
        let each = records.par_iter().with_min_len(TASK);
        Self { records, messages: each.map(Record::signed_bytes).collect() }
    }

    /// The same, written on this thread alone.
    fn alone(records: &'a [Record]) -> Self {
        Self { records, messages: records.iter().map(Record::signed_bytes).collect() }
    }

    /// What has to hold of each record.
    pub fn claims(&self) -> Vec<Claim<'_>> {
        let both = self.records.iter().zip(&self.messages);
        both.map(|(record, message)| {
            let (key, signature) = (record.key(), record.signature());
            Claim { key, message, signature }
        })
        .collect()
    }
}

/// Verify every record of a batch, or name all whose signature does not hold.
pub fn verify_all(records: &[Record], seed: &[u8; 32]) -> Result<Vec<VerifiedRecord>> {
    signature::verify_all(&Signed::of(records).claims(), seed)?;
    Ok(verified(records))
}

/// As `verify_all`, on this thread alone, and the verdict only.
pub(super) fn verify_alone(records: &[Record], seed: &[u8; 32]) -> Result<()> {
    signature::verify_alone(&Signed::alone(records).claims(), seed)
}

/// Records whose signatures hold.
pub(super) fn verified(records: &[Record]) -> Vec<VerifiedRecord> {
    let leaves = leaf_hashes(records);
    records.iter().cloned().zip(leaves).map(VerifiedRecord::with_leaf).collect()
}

/// The hashes of the leaves that records stand as.
pub fn leaf_hashes(records: &[Record]) -> Vec<Hash> {
    if let Some(made) = records.iter().map(|record| record.entry().leaf).collect() {
        return made;
    }
    let same = |one: &Record, other: &Record| one.suite() == other.suite();
    records.chunk_by(same).flat_map(|run| run[0].suite().leaves(run)).collect()
}

/// Sign a chain of records, one a body: the signatures are made over all threads.
pub fn sign_chain(first: &Draft, bodies: &[&[u8]], key: &SigningKey) -> Result<Vec<Record>> {
    let chain = draft_chain(first, bodies, &key.public_key())?;
    let sign = |unsigned: &Unsigned| unsigned.attach(&key.sign(unsigned.message()));
    chain.par_iter().with_min_len(16).map(sign).collect()
}

/// Records as bundles, each of which is one canonical array of up to 256 encoded records and is
/// stored as one value. Those that were decoded as one bundle stand so already.
pub fn encode_bundles<T: AsRef<Record>>(records: &[T]) -> impl Iterator<Item = Cow<'_, [u8]>> {
    records.chunks(limits::BUNDLE_RECORDS).map(|bundle| {
        whole(bundle)
            .map_or_else(|| Cow::Owned(encode_bundle(bundle.iter().map(T::as_ref))), Cow::Borrowed)
    })
}

/// The bytes of a bundle, where these are its records and no others.
fn whole<T: AsRef<Record>>(records: &[T]) -> Option<&[u8]> {
    let decoded = &records.first()?.as_ref().decoded;
    let mut each = records.iter().map(T::as_ref).enumerate();
    let are_its = each.all(|(at, record)| record.at == at && Arc::ptr_eq(&record.decoded, decoded));
    // A record alone stands at the beginning of its bytes.
    let is_bundle = decoded.entries[0].begin > 0;
    (are_its && is_bundle && decoded.entries.len() == records.len()).then_some(&decoded.bytes)
}

/// One bundle of these records.
pub fn encode_bundle<'a>(records: impl ExactSizeIterator<Item = &'a Record> + Clone) -> Vec<u8> {
    let mut writer = bundle_writer(records.clone().map(|record| record.encode().len()));
    records.for_each(|record| writer.bin(record.encode()));
    writer.into_bytes()
}

/// A bundle that has no records yet, with room for records of these lengths.
fn bundle_writer(lengths: impl ExactSizeIterator<Item = usize>) -> Writer {
    let count = lengths.len();
    let mut writer = Writer::with_capacity(lengths.map(|length| length + 5).sum::<usize>() + 5);
    writer.array(count);
    writer
}

/// The encoded records of a bundle.
pub fn split_bundle(bundle: &[u8]) -> Result<Vec<&[u8]>> {
    Ok(parts(bundle, &split(bundle)?))
}

/// Where the records of a bundle stand in it.
fn split(bundle: &[u8]) -> Result<Vec<Range<usize>>> {
    let mut reader = Reader::new(bundle);
    let count = bundle_count(&mut reader)?;
    let mut spans = Vec::with_capacity(count);
    for _ in 0..count {
        let record = reader.bin("record bytes", limits::RECORD_BYTES)?;
        spans.push(reader.position() - record.len()..reader.position());
    }
    reader.finish()?;
    Ok(spans)
}

fn bundle_count(reader: &mut Reader) -> Result<usize> {
    let count = reader.array()?;
    at_most("records in a bundle", count, limits::BUNDLE_RECORDS)?;
    Ok(count)
}
