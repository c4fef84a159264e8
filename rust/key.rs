//! Hold a signing key, and sign with it.
//!
//! A key is named by its encoded public half, so that checking a signature needs no directory.

use ed25519_dalek::Signer;

/// An Ed25519 public key as encoded (RFC 8032 section 5.1.2).
pub type PublicKey = [u8; 32];

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
