//! Make records that wait for their signatures, which may be made elsewhere.
//!
//! An id does not cover the signature, so that a whole chain can be drafted before any of it is
//! signed, and a batch crosses to its signer and back once.

use super::{Draft, Fields, Record, signed_bytes};
use crate::error::{Result, at_most, malformed};
use crate::key::{PublicKey, Signature};
use crate::limits;
use crate::suite::{Domain, Hash};
use crate::wire::Writer;

/// A record without its signature.
#[derive(Debug, Clone)]
pub struct Unsigned {
    header: Vec<u8>,
    id: Hash,
    message: [u8; 69],
}

impl Unsigned {
    /// What its key must sign.
    pub fn message(&self) -> &[u8; 69] {
        &self.message
    }

    /// The record with its signature, which is not checked. It is decoded from its bytes: what a
    /// signer may not send, it cannot sign either.
    pub fn attach(&self, signature: &Signature) -> Result<Record> {
        let mut writer = Writer::with_capacity(self.header.len() + 67);
        writer.array(2);
        writer.raw(&self.header);
        writer.bin(signature);
        let bytes = writer.into_bytes();
        let fields = Fields::decode(&bytes)?;
        Ok(Record::of(bytes, fields, self.id))
    }
}

impl Draft<'_> {
    /// The draft as a record of a key.
    pub fn unsigned(&self, key: &PublicKey) -> Result<Unsigned> {
        at_most("body bytes", self.body.len(), limits::BODY_BYTES)?;
        at_most("references", self.references.len(), limits::REFERENCES)?;
        let header = self.encode(key);
        let id = self.suite.hash(Domain::Record, &header);
        Ok(Unsigned { message: signed_bytes(&self.network, &id), header, id })
    }
}

/// A chain of records of a key, one a body: each follows the one before it.
///
/// Ids form the chain, so that hashing is serial.
pub fn draft_chain(first: &Draft, bodies: &[&[u8]], key: &PublicKey) -> Result<Vec<Unsigned>> {
    at_most("records in a batch", bodies.len(), limits::BATCH_RECORDS)?;
    let Some(end) = first.sequence.checked_add(bodies.len() as u64) else {
        let (sequence, count) = (first.sequence, bodies.len());
        return malformed(format!("sequence is {sequence}, want room for {count} records"));
    };
    let mut previous = first.previous;
    let mut chain = Vec::with_capacity(bodies.len());
    for (sequence, body) in (first.sequence..end).zip(bodies) {
        let unsigned = Draft { sequence, previous, body, ..first.clone() }.unsigned(key)?;
        previous = unsigned.id;
        chain.push(unsigned);
    }
    Ok(chain)
}
