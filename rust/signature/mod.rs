//! Verify Ed25519 signatures under one rule: ZIP-215.
//!
//! A signature holds when `[8](sB - R - kA) = 0`, where `s` is below the group order, `R` and `A`
//! decode (non-canonical encodings included) and `k = SHA-512(R || A || message) mod l`. The
//! cofactor makes one signature and a batch of them agree on every input, so that two nodes which
//! group the same signatures differently cannot disagree.

mod batch;
mod single;

use crate::error::{Error, Result};
use crate::key::{PublicKey, Signature};

pub use single::verify;

/// The kernel that batches are verified with.
pub const KERNEL: &str = "curve25519-dalek";

/// Below this many signatures a batch costs more than its parts.
const SINGLES: usize = 8;

/// One signature to verify.
#[derive(Clone, Copy)]
pub struct Claim<'a> {
    pub key: &'a PublicKey,
    pub message: &'a [u8],
    pub signature: &'a Signature,
}

/// Verify every claim, or name all that do not hold.
///
/// The seed hedges the batch's coefficients: 32 bytes that the signers could not know. It cannot
/// change the verdict on honest signatures.
pub fn verify_all(claims: &[Claim], seed: &[u8; 32]) -> Result<()> {
    let indices = if claims.len() < SINGLES {
        let bad = |claim: &Claim| verify(claim.key, claim.message, claim.signature).is_err();
        (0..claims.len()).filter(|index| bad(&claims[*index])).collect()
    } else {
        batch::bad_signatures(claims, seed)
    };
    if indices.is_empty() {
        return Ok(());
    }
    Err(Error::Signature { indices, count: claims.len() })
}
