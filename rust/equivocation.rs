//! Prove that a signer said two things where it may say one.
//!
//! Two different records of one key with one sequence on one network need no witness and no
//! ledger: whoever holds them can show them to anyone.
//!
//! `[1, first record, second record]`, the one with the smaller id first.

use crate::error::{Error, Result, malformed};
use crate::limits;
use crate::record::{Record, VerifiedRecord};
use crate::wire::{Reader, Writer};

/// The one version of the format.
const VERSION: u64 = 1;

/// Two verified records that cannot both be honest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Equivocation {
    first: VerifiedRecord,
    second: VerifiedRecord,
}

impl Equivocation {
    /// Verify both records and that they contradict each other.
    pub fn verify(one: Record, other: Record) -> Result<Self> {
        if one.id() == other.id() {
            return Err(Error::Proof("records are the same, want two that differ".into()));
        }
        if one.network() != other.network() || one.key() != other.key() {
            return Err(Error::Proof("records are of two networks or keys, want one".into()));
        }
        if one.sequence() != other.sequence() {
            let (got, want) = (other.sequence(), one.sequence());
            return Err(Error::Proof(format!("second record has sequence {got}, want {want}")));
        }
        let (first, second) = if one.id() < other.id() { (one, other) } else { (other, one) };
        Ok(Self { first: first.verify()?, second: second.verify()? })
    }

    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        reader.array_of("equivocation", 3)?;
        match reader.uint()? {
            VERSION => {}
            version => {
                return malformed(format!("equivocation version is {version}, want {VERSION}"));
            }
        }
        let first = Record::decode(reader.bin("record bytes", limits::RECORD_BYTES)?)?;
        let second = Record::decode(reader.bin("record bytes", limits::RECORD_BYTES)?)?;
        reader.finish()?;
        if first.id() > second.id() {
            return malformed("records of an equivocation are not in the order of their ids");
        }
        Self::verify(first, second)
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.array(3);
        writer.uint(VERSION);
        writer.bin(self.first.record().encode());
        writer.bin(self.second.record().encode());
        writer.into_bytes()
    }

    pub fn first(&self) -> &VerifiedRecord {
        &self.first
    }

    pub fn second(&self) -> &VerifiedRecord {
        &self.second
    }
}
