//! Hold a signing key, and sign with it.
//!
//! A key is named by its encoded public half, so that checking a signature needs no directory.

use curve25519_dalek::edwards::CompressedEdwardsY;
use ed25519_dalek::Signer;

use crate::error::{Result, malformed};

/// An Ed25519 public key as encoded (RFC 8032 section 5.1.2).
pub type PublicKey = [u8; 32];

/// Refuse a key that is no point, or one of small order: under ZIP-215 anyone can sign for that.
///
/// Verification takes such keys, for all must agree on every signature; whoever decides which keys
/// to trust does not.
pub fn check(what: &str, key: &PublicKey) -> Result<()> {
    match CompressedEdwardsY(*key).decompress() {
        None => malformed(format!("{what} is no point of the curve")),
        Some(point) if point.is_small_order() => {
            malformed(format!("{what} is of small order, so that anyone can sign for it"))
        }
        Some(_) => Ok(()),
    }
}

/// An Ed25519 signature as encoded (RFC 8032 section 5.1.6).
pub type Signature = [u8; 64];

/// A key that signs; its bytes are wiped when it is dropped.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    pub fn public_key(&self) -> PublicKey {
        self.0.verifying_key().to_bytes()
    }

    /// Sign as RFC 8032 says: the same message gives the same signature.
    pub fn sign(&self, message: &[u8]) -> Signature {
        self.0.sign(message).to_bytes()
    }
}
