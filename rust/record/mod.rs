//! Decode, sign and verify a record: the signed envelope with its body.
//!
//! ```text
//! [[1, network, kind, suite, key, sequence, previous, references, not_before_ms, expiry_ms, body],
//!  signature]
//! ```
//!
//! The id is the hash of the inner array's bytes. The signature covers
//! `0x14 || "ledgercore record v1" || network || id`. `Record` is decoded and nothing more; only
//! verification makes a `VerifiedRecord`.

mod batch;
mod parts;
mod unsigned;

use std::ops::Range;
use std::sync::Arc;

use crate::error::{Result, at_most, malformed};
use crate::key::{PublicKey, Signature, SigningKey};
use crate::limits;
use crate::signature;
use crate::suite::{Domain, Hash, Suite};
use crate::wire::{self, Reader, Writer};

pub use batch::{
    Signed, decode_all, decode_bundles, encode_bundle, encode_bundles, hash_bundles, leaf_hashes,
    sign_chain, split_bundle, verify_all,
};
pub use parts::{Parts, Verdict, Verified};
pub use unsigned::{Unsigned, draft_chain};

/// What a record's signature is for, framed by its length: no other message begins like this.
const CONTEXT: &[u8; 21] = b"\x14ledgercore record v1";

/// The one version of the envelope.
const VERSION: u64 = 1;

/// Bytes whose meaning the ledger does not know; every other kind has a canonical array as body.
pub const DATA: &str = "data";

/// Sixteen bytes that name a network: the hash of its genesis, cut.
pub type Network = [u8; 16];

/// A decoded record: well formed, its signature not yet checked. Cloning shares its bytes, and
/// what was decoded from them.
#[derive(Debug, Clone)]
pub struct Record {
    decoded: Arc<Decoded>,
    at: usize,
}

/// Bytes with the records in them: one record alone, or a bundle.
#[derive(Debug)]
struct Decoded {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    begin: usize,
    fields: Fields,
    id: Hash,
    /// The hash of its leaf, where that was made with those of its bundle.
    leaf: Option<Hash>,
}

/// What a record's bytes say, or where in them it stands: what is long stays there alone. All but
/// the id, which is the hash of its header.
#[derive(Debug, Clone)]
struct Fields {
    suite: Suite,
    is_data: bool,
    kind: Place,
    key: u32,
    sequence: u64,
    previous: u32,
    references: Place,
    not_before_ms: u64,
    expiry_ms: u64,
    body: Place,
    end: u32,
}

/// Where in its record something stands: a record's bound fits into 32 bits.
type Place = Range<u32>;

/// The bytes before a record's header, and before its network: markers, and the version in one.
const HEADER_BEGIN: usize = 1;
const NETWORK_BEGIN: usize = 5;

/// A signature with its marker and its length, which a record ends with.
const SIGNATURE_BYTES: usize = 2 + size_of::<Signature>();

/// A reference is a byte string with its marker and its length.
const REFERENCE_BYTES: usize = 2 + size_of::<Hash>();

/// What a signer decides about a record; the signature follows from it.
#[derive(Debug, Clone)]
pub struct Draft<'a> {
    pub network: Network,
    pub kind: &'a str,
    pub suite: Suite,
    pub sequence: u64,
    pub previous: Hash,
    pub references: &'a [Hash],
    pub not_before_ms: u64,
    pub expiry_ms: u64,
    pub body: &'a [u8],
}

impl Fields {
    /// Decode one record; its encoding is the only one it has.
    #[inline]
    fn decode(bytes: &[u8]) -> Result<Self> {
        at_most("record bytes", bytes.len(), limits::RECORD_BYTES)?;
        let mut reader = Reader::new(bytes);
        reader.array_of("record", 2)?;
        reader.array_of("header", 11)?;
        match reader.uint()? {
            VERSION => {}
            version => return malformed(format!("record version is {version}, want {VERSION}")),
        }
        reader.bin_of::<16>("network")?;
        let kind = reader.text("kind", limits::KIND_BYTES)?;
        check_kind(kind)?;
        let is_data = kind == DATA;
        let kind = read(&reader, kind.len());
        let suite = Suite::from_id(reader.uint()?)?;
        let key = read_hash(&mut reader, "key")?;
        let sequence = reader.uint()?;
        let previous = read_hash(&mut reader, "previous")?;
        let count = reader.array()?;
        at_most("references", count, limits::REFERENCES)?;
        for _ in 0..count {
            read_hash(&mut reader, "reference")?;
        }
        let references = read(&reader, count * REFERENCE_BYTES);
        let not_before_ms = reader.uint()?;
        let expiry_ms = reader.uint()?;
        let body = reader.bin("body bytes", limits::BODY_BYTES)?;
        if !is_data {
            check_body(body)?;
        }
        let body = read(&reader, body.len());
        reader.bin_of::<64>("signature")?;
        let end = reader.position() as u32;
        reader.finish()?;
        Ok(Self {
            suite,
            is_data,
            kind,
            key,
            sequence,
            previous,
            references,
            not_before_ms,
            expiry_ms,
            body,
            end,
        })
    }

    /// The bytes that the id is the hash of.
    fn header<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[HEADER_BEGIN..self.body.end as usize]
    }
}

/// Where the last so many bytes stand that were read.
#[inline]
fn read(reader: &Reader, count: usize) -> Place {
    let end = reader.position();
    (end - count) as u32..end as u32
}

/// Where a hash, or a key, stands that is read.
#[inline]
fn read_hash(reader: &mut Reader, what: &'static str) -> Result<u32> {
    reader.bin_of::<32>(what)?;
    Ok(read(reader, 32).start)
}

impl Record {
    /// Decode one record.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let fields = Fields::decode(bytes)?;
        let id = fields.suite.hash(Domain::Record, fields.header(bytes));
        Ok(Self::of(bytes.to_vec(), fields, id))
    }

    fn of(bytes: Vec<u8>, fields: Fields, id: Hash) -> Self {
        let entries = vec![Entry { begin: 0, fields, id, leaf: None }];
        Self { decoded: Arc::new(Decoded { bytes, entries }), at: 0 }
    }

    /// The same record in bytes of its own, for whoever keeps it longer than its batch.
    pub fn alone(&self) -> Self {
        Self::of(self.encode().to_vec(), self.fields().clone(), *self.id())
    }

    fn entry(&self) -> &Entry {
        &self.decoded.entries[self.at]
    }

    fn fields(&self) -> &Fields {
        &self.entry().fields
    }

    /// Restore a record from its envelope, which has nil where the body was.
    pub fn from_envelope(envelope: &[u8], body: &[u8]) -> Result<Self> {
        Self::decode(&fill_envelope(envelope, body)?)
    }

    /// Sign a draft.
    pub fn sign(draft: &Draft, key: &SigningKey) -> Result<Self> {
        let unsigned = draft.unsigned(&key.public_key())?;
        unsigned.attach(&key.sign(unsigned.message()))
    }

    pub fn encode(&self) -> &[u8] {
        let Entry { begin, fields, .. } = self.entry();
        &self.decoded.bytes[*begin..begin + fields.end as usize]
    }

    /// The record without its body.
    pub fn envelope(&self) -> Vec<u8> {
        let (bytes, Range { start, end }) = (self.encode(), &self.fields().body);
        let (begin, end) = (*start as usize, *end as usize);
        let marker = match end - begin {
            0..=0xff => 2,
            0x100..=0xffff => 3,
            _ => 5,
        };
        let mut writer = Writer::with_capacity(bytes.len() - (end - begin));
        writer.raw(&bytes[..begin - marker]);
        writer.nil();
        writer.raw(&bytes[end..]);
        writer.into_bytes()
    }

    /// Check the signature.
    pub fn verify(self) -> Result<VerifiedRecord> {
        signature::verify(self.key(), &self.signed_bytes(), self.signature())?;
        Ok(VerifiedRecord::new(self))
    }

    fn signed_bytes(&self) -> [u8; 69] {
        signed_bytes(self.network(), self.id())
    }

    pub fn id(&self) -> &Hash {
        &self.entry().id
    }

    pub fn network(&self) -> &Network {
        self.array(NETWORK_BEGIN)
    }

    pub fn kind(&self) -> &str {
        std::str::from_utf8(self.part(&self.fields().kind)).expect("checked when decoded")
    }

    /// Whether its kind is `DATA`.
    pub fn is_data(&self) -> bool {
        self.fields().is_data
    }

    pub fn suite(&self) -> Suite {
        self.fields().suite
    }

    pub fn key(&self) -> &PublicKey {
        self.array(self.fields().key as usize)
    }

    pub fn sequence(&self) -> u64 {
        self.fields().sequence
    }

    pub fn previous(&self) -> &Hash {
        self.array(self.fields().previous as usize)
    }

    pub fn references(&self) -> Vec<Hash> {
        let (each, _) = self.part(&self.fields().references).as_chunks::<REFERENCE_BYTES>();
        each.iter().map(|reference| *reference.last_chunk().expect("32 bytes of 34")).collect()
    }

    pub fn not_before_ms(&self) -> u64 {
        self.fields().not_before_ms
    }

    pub fn expiry_ms(&self) -> u64 {
        self.fields().expiry_ms
    }

    pub fn body(&self) -> &[u8] {
        self.part(&self.fields().body)
    }

    pub fn signature(&self) -> &Signature {
        self.encode().last_chunk().expect("checked when decoded")
    }

    fn part(&self, place: &Place) -> &[u8] {
        &self.encode()[place.start as usize..place.end as usize]
    }

    fn array<const N: usize>(&self, begin: usize) -> &[u8; N] {
        self.encode()[begin..].first_chunk().expect("checked when decoded")
    }
}

impl AsRef<[u8]> for Record {
    fn as_ref(&self) -> &[u8] {
        self.encode()
    }
}

impl AsRef<Record> for Record {
    fn as_ref(&self) -> &Record {
        self
    }
}

impl AsRef<Record> for VerifiedRecord {
    fn as_ref(&self) -> &Record {
        &self.record
    }
}

impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        self.encode() == other.encode()
    }
}

impl Eq for Record {}

impl Draft<'_> {
    /// The header's bytes, which the id is the hash of.
    fn encode(&self, key: &PublicKey) -> Vec<u8> {
        let mut writer = Writer::with_capacity(180 + self.kind.len() + self.body.len());
        writer.array(11);
        writer.uint(VERSION);
        writer.bin(&self.network);
        writer.text(self.kind);
        writer.uint(self.suite.id());
        writer.bin(key);
        writer.uint(self.sequence);
        writer.bin(&self.previous);
        writer.array(self.references.len());
        self.references.iter().for_each(|reference| writer.bin(reference));
        writer.uint(self.not_before_ms);
        writer.uint(self.expiry_ms);
        writer.bin(self.body);
        writer.into_bytes()
    }
}

/// An encoded record, from its envelope, which has nil where the body was.
pub fn fill_envelope(envelope: &[u8], body: &[u8]) -> Result<Vec<u8>> {
    at_most("envelope bytes", envelope.len(), limits::RECORD_BYTES)?;
    at_most("body bytes", body.len(), limits::BODY_BYTES)?;
    // An envelope ends in nil, the two marker bytes of a signature, and its 64 bytes.
    let Some(nil) = envelope.len().checked_sub(67).filter(|at| envelope[*at] == 0xc0) else {
        return malformed("envelope has a body already, or is cut short");
    };
    let mut writer = Writer::with_capacity(envelope.len() + body.len() + 5);
    writer.raw(&envelope[..nil]);
    writer.bin(body);
    writer.raw(&envelope[nil + 1..]);
    Ok(writer.into_bytes())
}

fn signed_bytes(network: &Network, id: &Hash) -> [u8; 69] {
    let mut bytes = [0; 69];
    bytes[..21].copy_from_slice(CONTEXT);
    bytes[21..37].copy_from_slice(network);
    bytes[37..].copy_from_slice(id);
    bytes
}

fn check_kind(kind: &str) -> Result<()> {
    let words = |byte: u8| byte.is_ascii_lowercase() || byte == b'.' || byte == b'-';
    if kind.is_empty() || !kind.bytes().all(words) {
        return malformed(format!("kind is {kind:?}, want letters a to z, dots and hyphens"));
    }
    Ok(())
}

fn check_body(body: &[u8]) -> Result<()> {
    if !matches!(body.first(), Some(0x90..=0x9f | 0xdc | 0xdd)) {
        return malformed("body is not an array, which every kind but data has");
    }
    wire::check_canonical(body)
}

/// A record whose signature was checked; only verification makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRecord {
    record: Record,
    leaf: Hash,
}

impl VerifiedRecord {
    fn new(record: Record) -> Self {
        let leaf = record.suite().leaf(record.encode());
        Self { record, leaf }
    }

    fn with_leaf((record, leaf): (Record, Hash)) -> Self {
        Self { record, leaf }
    }

    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The hash of the leaf that this record is, once it has an index.
    pub fn leaf(&self) -> &Hash {
        &self.leaf
    }
}
