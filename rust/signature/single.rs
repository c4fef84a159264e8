//! Verify one signature.

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use sha2::{Digest, Sha512};

use super::Claim;
use crate::key::{PublicKey, Signature};

/// Whether the signature holds; see the module for the rule.
pub(super) fn holds(claim: &Claim) -> bool {
    let verdict = || {
        let a = CompressedEdwardsY(*claim.key).decompress()?;
        let (r_bytes, s) = split(claim.signature)?;
        let r = CompressedEdwardsY(r_bytes).decompress()?;
        let k = challenge(&r_bytes, claim.key, claim.message);
        Some(equation_holds(&a, &r, &s, &k))
    };
    verdict().unwrap_or(false)
}

/// `[8](sB - R - kA) = 0`.
pub(super) fn equation_holds(a: &EdwardsPoint, r: &EdwardsPoint, s: &Scalar, k: &Scalar) -> bool {
    let difference = EdwardsPoint::vartime_double_scalar_mul_basepoint(k, &-a, s) - r;
    difference.mul_by_cofactor().is_identity()
}

/// The encoded `R` and the scalar `s`, which must be below the group order.
pub(super) fn split(signature: &Signature) -> Option<([u8; 32], Scalar)> {
    let (r, s) = signature.split_at(32);
    let r: [u8; 32] = r.try_into().expect("half of 64 bytes");
    let s: [u8; 32] = s.try_into().expect("half of 64 bytes");
    Some((r, Option::from(Scalar::from_canonical_bytes(s))?))
}

/// `k`, over the bytes as they were received.
pub(super) fn challenge(r: &[u8; 32], key: &PublicKey, message: &[u8]) -> Scalar {
    Scalar::from_bytes_mod_order_wide(&hash(&[r, key, message]))
}

/// The SHA-512 hash of the parts one after the other.
pub(super) fn hash(parts: &[&[u8]; 3]) -> [u8; 64] {
    let mut hasher = Sha512::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}
