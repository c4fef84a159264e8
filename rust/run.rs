//! Find a record's index by its id: sorted runs, sixteen of which are merged into one.
//!
//! An entry is the first 8 bytes of an id and the record's offset in the run, 4 bytes big endian.
//! A run of level `n` holds the entries of `256 * 16^n` records, cut into `16^n` buckets by the
//! first `4 n` bits of the id. Ids are hashes, so a bucket has about 256 entries at every level,
//! and a record's entry is written once a level: what a record costs does not grow with the tree.

use std::iter::repeat_with;

use rayon::prelude::*;

use crate::error::{Result, malformed};
use crate::suite::Hash;

/// Records of a run of level 0.
pub const RUN_RECORDS: usize = 256;

/// Runs that are merged into one, and buckets that one bucket is cut into.
pub const FAN_OUT: usize = 16;

const ENTRY_BYTES: usize = 12;
const FAN_OUT_BITS: u32 = FAN_OUT.ilog2();

type Entry = [u8; ENTRY_BYTES];

/// The buckets of each run of `level` over these ids, a run after the other.
pub fn sort_ids(level: u32, ids: &[Hash]) -> Result<Vec<Vec<u8>>> {
    if level >= 4 || !ids.len().is_multiple_of(run_records(level)) {
        let count = ids.len();
        return malformed(format!("{count} ids make no whole runs of level {level}, want 0 to 3"));
    }
    let sort = |ids: &[Hash]| {
        let sorted = |(offset, id): (u32, &Hash)| sortable(prefix(id), offset);
        let mut entries: Vec<u128> = (0..).zip(ids).map(sorted).collect();
        entries.sort_unstable();
        let empty = || Vec::with_capacity(2 * RUN_RECORDS * ENTRY_BYTES);
        let mut buckets: Vec<Vec<u8>> = repeat_with(empty).take(buckets(level)).collect();
        for entry in entries {
            buckets[bucket_in(level, prefix_of(entry)) as usize].extend(encode(entry));
        }
        buckets
    };
    // In turn: a block's take less than a thread may be waited for while all cores are at work.
    Ok(ids.chunks(run_records(level)).flat_map(sort).collect())
}

/// Merge buckets of sixteen consecutive runs into the buckets of a run of `level`, which is 1 or
/// more: the first of each, then the second of each, and so on.
pub fn merge_buckets(level: u32, buckets: &[&[u8]]) -> Result<Vec<Vec<u8>>> {
    if buckets.is_empty() || !buckets.len().is_multiple_of(FAN_OUT) || !(1..16).contains(&level) {
        let got = buckets.len();
        return malformed(format!(
            "merge is of {got} buckets to level {level}, want sixteen of each to 1 or more"
        ));
    }
    if buckets.len() == FAN_OUT {
        return merge_same(level, buckets);
    }
    let merged: Vec<Result<Vec<Vec<u8>>>> =
        buckets.par_chunks(FAN_OUT).map(|same| merge_same(level, same)).collect();
    Ok(merged.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// Merge the same bucket of sixteen runs into sixteen buckets.
fn merge_same(level: u32, buckets: &[&[u8]]) -> Result<Vec<Vec<u8>>> {
    let run_records = (RUN_RECORDS as u64) << (FAN_OUT_BITS * (level - 1));
    let mut merged = vec![Vec::new(); FAN_OUT];
    for (number, bucket) in (0..).zip(buckets) {
        for entry in entries(bucket)? {
            let (prefix, offset) = split(entry);
            let Ok(offset) = u32::try_from(number * run_records + u64::from(offset)) else {
                return malformed(format!("run has offset {offset}, want below {run_records}"));
            };
            let position = bucket_in(level, prefix) & (FAN_OUT as u64 - 1);
            merged[position as usize].push(sortable(prefix, offset));
        }
    }
    let sorted = merged.into_iter().map(|mut entries| {
        entries.sort_unstable();
        entries.into_iter().flat_map(encode).collect()
    });
    Ok(sorted.collect())
}

/// An entry as a number, of the order that entries stand in: to compare two takes one step.
fn sortable(prefix: u64, offset: u32) -> u128 {
    u128::from(prefix) << 32 | u128::from(offset)
}

fn prefix_of(entry: u128) -> u64 {
    (entry >> 32) as u64
}

fn encode(entry: u128) -> Entry {
    *entry.to_be_bytes().last_chunk().expect("12 of 16 bytes")
}

/// Records of a run.
fn run_records(level: u32) -> usize {
    RUN_RECORDS << (FAN_OUT_BITS * level)
}

fn buckets(level: u32) -> usize {
    1 << (FAN_OUT_BITS * level)
}

fn prefix(id: &Hash) -> u64 {
    u64::from_be_bytes(*id.first_chunk().expect("8 of 32 bytes"))
}

/// The bucket of the entries that begin so, in a run of `level`.
fn bucket_in(level: u32, prefix: u64) -> u64 {
    prefix.checked_shr(64 - FAN_OUT_BITS * level).unwrap_or(0)
}

/// The bucket that an id's entry stands in, in a run of `level`.
pub fn bucket_of(level: u32, id: &Hash) -> u64 {
    bucket_in(level, prefix(id))
}

/// The offsets of the entries that may be an id's: others' ids may begin as it does.
pub fn find_id(bucket: &[u8], id: &Hash) -> Result<Vec<u32>> {
    let entries = entries(bucket)?;
    let begin = entries.partition_point(|entry| entry[..8] < id[..8]);
    let equal = entries[begin..].iter().take_while(|entry| entry[..8] == id[..8]);
    Ok(equal.map(|entry| split(entry).1).collect())
}

fn entries(bucket: &[u8]) -> Result<&[Entry]> {
    let (entries, rest) = bucket.as_chunks();
    if !rest.is_empty() {
        return malformed(format!("bucket has {} bytes, want a multiple of 12", bucket.len()));
    }
    Ok(entries)
}

fn split(entry: &Entry) -> (u64, u32) {
    let (prefix, offset) = entry.split_at(8);
    let prefix = u64::from_be_bytes(prefix.try_into().expect("8 of 12 bytes"));
    (prefix, u32::from_be_bytes(offset.try_into().expect("4 of 12 bytes")))
}
