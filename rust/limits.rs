//! Every bound that untrusted bytes are held to, in one place.
//!
//! A decoder checks the bound before it reads, and never allocates by a length it was only told.
//! Python has those that it needs from here (`ledgercore._core`).

/// Bytes of one encoded record: header, body and signature.
pub const RECORD_BYTES: usize = 64 * 1024;
/// Bytes of a record's body; what is larger stays off the ledger and is recorded by its hash.
pub const BODY_BYTES: usize = 63 * 1024;
/// Bytes of a record's kind, such as `consent.authorise`.
pub const KIND_BYTES: usize = 64;
/// Earlier records that one record may refer to.
pub const REFERENCES: usize = 16;
/// Arrays nested in one another in one canonical value; a map holds only scalars.
pub const DEPTH: usize = 8;
/// Records, or receipts, that are verified as one batch; a ledger makes smaller blocks.
pub const BATCH_RECORDS: usize = 65_536;
/// Records that are stored together as one value.
pub const BUNDLE_RECORDS: usize = 256;
/// Hashes in an inclusion or consistency proof: trees are smaller than 2^63 leaves.
pub const PROOF_HASHES: usize = 64;
/// Hashes in a multiproof.
pub const MULTIPROOF_HASHES: usize = 256 * 1024;
/// Sibling hashes in a state proof: one for each bit of a key.
pub const STATE_SIBLINGS: usize = 256;
/// Objects in one state multiproof.
pub const MULTIPROOF_OBJECTS: usize = 16 * 1024;
/// Bytes of an encoded state multiproof.
pub const STATE_MULTIPROOF_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of an object's name in the state map.
pub const OBJECT_BYTES: usize = 128;
/// Bytes of an object's state.
pub const STATE_BYTES: usize = 64 * 1024;
/// Bytes of a signed checkpoint with all its signature lines.
pub const CHECKPOINT_BYTES: usize = 16 * 1024;
/// Signature lines on one checkpoint.
pub const CHECKPOINT_SIGNATURES: usize = 64;
/// Bytes of an origin or of a cosigner's name.
pub const ORIGIN_BYTES: usize = 255;
/// Bytes of an encoded receipt.
pub const RECEIPT_BYTES: usize = 256 * 1024;
