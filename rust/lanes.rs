//! Hash inputs of equal length side by side with keyed BLAKE3, one in each lane of a vector.
//!
//! An input of whole 64-byte blocks, at most a 1024-byte chunk of them, is one chain of
//! compressions from the key on (BLAKE3 specification section 2.4), so that as many chains run
//! beside each other as the processor has lanes. An input with a rest has its whole blocks hashed
//! so, and the rest by itself. The crate's own kernels are called for it
//! directly: its public interface hashes one input at a time.

use std::sync::OnceLock;

use blake3::IncrementCounter;
use blake3::platform::{MAX_SIMD_DEGREE_OR_2, Platform};

use crate::once::once;

type Hash = [u8; 32];

const BLOCK_BYTES: usize = 64;
const CHUNK_BLOCKS: usize = 16;
const CHUNK_BYTES: usize = BLOCK_BYTES * CHUNK_BLOCKS;

/// Blocks that a kernel takes in one call: a call for each sixteen of them costs a tenth more.
const TOGETHER: usize = 128;

// Flags of a compression (BLAKE3 specification table 3).
const CHUNK_START: u8 = 1;
const CHUNK_END: u8 = 2;
const ROOT: u8 = 8;
const KEYED_HASH: u8 = 16;

static PLATFORM: OnceLock<Platform> = OnceLock::new();

fn platform() -> &'static Platform {
    once(&PLATFORM, Platform::detect)
}

/// A BLAKE3 key, as the words that a chain begins with.
pub struct Key([u32; 8]);

impl Key {
    pub fn new(key: &Hash) -> Self {
        Self(words(key))
    }

    /// The keyed hash of one block.
    pub fn hash_block(&self, block: &[u8; BLOCK_BYTES]) -> Hash {
        self.hash_block_of(block)
    }

    /// The keyed hash of each item. All blocks but the last of items that have as many go side by
    /// side.
    pub fn hash_each(&self, items: &[&[u8]]) -> Vec<Hash> {
        let mut hashes = vec![[0; 32]; items.len()];
        let before_last = |at: usize| items[at].len().saturating_sub(1) / BLOCK_BYTES;
        let mut order: Vec<usize> = (0..items.len()).collect();
        order.sort_by_key(|at| before_last(*at));
        for equal in order.chunk_by(|one, other| before_last(*one) == before_last(*other)) {
            let out = &mut hashes;
            macro_rules! by_blocks {
                ($($count:literal)*) => {
                    match before_last(equal[0]) {
                        0 => equal.iter().for_each(|at| out[*at] = self.hash_block_of(items[*at])),
                        $($count => self.hash_whole::<{ 64 * $count }>(items, equal, out),)*
                        _ => equal.iter().for_each(|at| out[*at] = self.hash_alone(items[*at])),
                    }
                };
            }
            by_blocks!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        }
        hashes
    }

    /// Hash the items at these positions, each of which has `N` bytes before its last block.
    fn hash_whole<const N: usize>(&self, items: &[&[u8]], positions: &[usize], out: &mut [Hash]) {
        let mut states = [[0; 32]; MAX_SIMD_DEGREE_OR_2];
        for group in positions.chunks(MAX_SIMD_DEGREE_OR_2) {
            let whole = |at: usize| items[at].first_chunk::<N>().expect("items are longer");
            let mut lanes = [whole(group[0]); MAX_SIMD_DEGREE_OR_2];
            lanes.iter_mut().zip(group).for_each(|(lane, at)| *lane = whole(*at));
            self.hash_many(&lanes[..group.len()], 0, &mut states);
            for (at, state) in group.iter().zip(&states) {
                out[*at] = hash_last(words(state), &items[*at][N..], 0);
            }
        }
    }

    /// The keyed hash of each block.
    pub fn hash_blocks(&self, blocks: &[[u8; BLOCK_BYTES]]) -> Vec<Hash> {
        let mut hashes = vec![[0; 32]; blocks.len()];
        self.hash_blocks_into(blocks, &mut hashes);
        hashes
    }

    /// The same, into a room for as many.
    pub fn hash_blocks_into(&self, blocks: &[[u8; BLOCK_BYTES]], hashes: &mut [Hash]) {
        assert_eq!(blocks.len(), hashes.len(), "each hash has its room");
        let (many, few) = blocks.as_chunks::<TOGETHER>();
        let (many_out, few_out) = hashes.as_chunks_mut::<TOGETHER>();
        for (blocks, out) in many.iter().zip(many_out) {
            self.hash_many(&blocks.each_ref(), CHUNK_END | ROOT, out);
        }
        let groups = few.chunks(MAX_SIMD_DEGREE_OR_2);
        for (group, out) in groups.zip(few_out.chunks_mut(MAX_SIMD_DEGREE_OR_2)) {
            self.hash_group(group, out);
        }
    }

    /// Hash each item in its frame: its length as 8 bytes little endian, the item, and zeros up to
    /// whole blocks. Items whose frames have as many blocks go side by side.
    pub fn hash_framed(&self, items: &[&[u8]]) -> Vec<Hash> {
        let mut hashes = vec![[0; 32]; items.len()];
        let blocks = |at: usize| (8 + items[at].len()).div_ceil(BLOCK_BYTES);
        let mut order: Vec<usize> = (0..items.len()).collect();
        order.sort_by_key(|at| blocks(*at));
        for equal in order.chunk_by(|one, other| blocks(*one) == blocks(*other)) {
            let out = &mut hashes;
            macro_rules! by_blocks {
                ($($count:literal)*) => {
                    match blocks(equal[0]) {
                        $($count => self.hash_equal::<{ 64 * $count }>(items, equal, out),)*
                        _ => equal.iter().for_each(|at| out[*at] = self.hash_long(items[*at])),
                    }
                };
            }
            by_blocks!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
        }
        hashes
    }

    /// Frame and hash the items at these positions, whose frames all have `N` bytes.
    fn hash_equal<const N: usize>(&self, items: &[&[u8]], positions: &[usize], out: &mut [Hash]) {
        const { assert!(N <= CHUNK_BYTES) };
        let mut frames = [[0; N]; MAX_SIMD_DEGREE_OR_2];
        let mut hashes = [[0; 32]; MAX_SIMD_DEGREE_OR_2];
        for group in positions.chunks(MAX_SIMD_DEGREE_OR_2) {
            for (frame, at) in frames.iter_mut().zip(group) {
                let item = items[*at];
                frame[..8].copy_from_slice(&(item.len() as u64).to_le_bytes());
                frame[8..8 + item.len()].copy_from_slice(item);
                frame[8 + item.len()..].fill(0);
            }
            self.hash_group(&frames[..group.len()], &mut hashes);
            group.iter().zip(hashes).for_each(|(at, hash)| out[*at] = hash);
        }
    }

    fn hash_group<const N: usize>(&self, inputs: &[[u8; N]], out: &mut [Hash]) {
        let mut lanes = [inputs.first().expect("a group has inputs"); MAX_SIMD_DEGREE_OR_2];
        lanes.iter_mut().zip(inputs).for_each(|(lane, input)| *lane = input);
        self.hash_many(&lanes[..inputs.len()], CHUNK_END | ROOT, out);
    }

    /// Compress each input's blocks, beginning with the key; `end` are the flags of its last one.
    fn hash_many<const N: usize>(&self, inputs: &[&[u8; N]], end: u8, out: &mut [Hash]) {
        let out = out.as_flattened_mut();
        let no = IncrementCounter::No;
        platform().hash_many(inputs, &self.0, 0, no, KEYED_HASH, CHUNK_START, end, out);
    }

    /// An item that is longer than a chunk, framed: BLAKE3's own tree, which has lanes of its own.
    fn hash_long(&self, item: &[u8]) -> Hash {
        let mut hasher = blake3::Hasher::new_keyed(&bytes(&self.0));
        hasher.update(&(item.len() as u64).to_le_bytes());
        hasher.update(item);
        let rest = (8 + item.len()) % BLOCK_BYTES;
        if rest > 0 {
            hasher.update(&[0; BLOCK_BYTES][rest..]);
        }
        *hasher.finalize().as_bytes()
    }

    fn hash_block_of(&self, item: &[u8]) -> Hash {
        hash_last(self.0, item, CHUNK_START)
    }

    fn hash_alone(&self, item: &[u8]) -> Hash {
        *blake3::keyed_hash(&bytes(&self.0), item).as_bytes()
    }
}

/// The hash that the last block of an item leads to, at most 64 bytes, from the state before it.
fn hash_last(mut state: [u32; 8], rest: &[u8], begin: u8) -> Hash {
    let mut block = [0; BLOCK_BYTES];
    block[..rest.len()].copy_from_slice(rest);
    let flags = KEYED_HASH | begin | CHUNK_END | ROOT;
    platform().compress_in_place(&mut state, &block, rest.len() as u8, 0, flags);
    bytes(&state)
}

fn words(hash: &Hash) -> [u32; 8] {
    let (words, _) = hash.as_chunks::<4>();
    std::array::from_fn(|at| u32::from_le_bytes(words[at]))
}

fn bytes(words: &[u32; 8]) -> Hash {
    let mut hash = [0; 32];
    for (bytes, word) in hash.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Hash = [7; 32];

    fn framed(item: &[u8]) -> Vec<u8> {
        let mut frame = (item.len() as u64).to_le_bytes().to_vec();
        frame.extend(item);
        frame.resize(frame.len().next_multiple_of(BLOCK_BYTES), 0);
        frame
    }

    /// Every length up to two blocks beyond a chunk, mixed, in full groups and not.
    #[test]
    fn items_of_every_length_are_hashed_as_their_frames() {
        let bytes: Vec<u8> = (0..1200).map(|at| (at * 31 % 251) as u8).collect();
        let items: Vec<&[u8]> = (0..1160).map(|at| &bytes[..at * 7 % 1160]).collect();
        let hashes = Key::new(&KEY).hash_framed(&items);
        for (item, hash) in items.iter().zip(hashes) {
            assert_eq!(hash, *blake3::keyed_hash(&KEY, &framed(item)).as_bytes(), "{}", item.len());
        }
    }

    #[test]
    fn items_of_every_length_are_hashed_as_each_alone() {
        let bytes: Vec<u8> = (0..1200).map(|at| (at * 31 % 251) as u8).collect();
        let items: Vec<&[u8]> = (0..2400).map(|at| &bytes[..at * 7 % 1160]).collect();
        let hashes = Key::new(&KEY).hash_each(&items);
        for (item, hash) in items.iter().zip(hashes) {
            assert_eq!(hash, *blake3::keyed_hash(&KEY, item).as_bytes(), "{}", item.len());
        }
    }

    #[test]
    fn blocks_are_hashed_as_each_alone() {
        for count in (0..40).chain([127, 128, 129, 144, 255, 256, 300]) {
            let blocks: Vec<[u8; 64]> = (0..count).map(|at| [(at % 251) as u8; 64]).collect();
            let hashes = Key::new(&KEY).hash_blocks(&blocks);
            assert_eq!(hashes.len(), blocks.len());
            for (block, hash) in blocks.iter().zip(hashes) {
                assert_eq!(hash, *blake3::keyed_hash(&KEY, block).as_bytes());
                assert_eq!(hash, Key::new(&KEY).hash_block(block));
            }
        }
    }
}
