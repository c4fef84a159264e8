//! Verify one signature.

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use sha2::{Digest, Sha512};

use super::Claim;
use crate::key::Signature;

/// The order of the base point, `2^252 + 27742317777372353535851937790883648493` (RFC 8032 section
/// 5.1), little endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// Whether the signature holds; see the module for the rule.
pub(super) fn holds(claim: &Claim) -> bool {
    let verdict = || {
        let a = CompressedEdwardsY(*claim.key).decompress()?;
        let (r_bytes, s) = split(claim.signature)?;
        let r = CompressedEdwardsY(r_bytes).decompress()?;
        let k = challenge(&[&r_bytes, claim.key, claim.message]);
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

/// Whether the scalar, little endian, is below the group order.
pub(super) fn is_below_order(scalar: &[u8; 32]) -> bool {
    words(scalar).iter().rev().lt(words(&ORDER).iter().rev())
}

fn words(bytes: &[u8; 32]) -> [u64; 4] {
    let (chunks, _) = bytes.as_chunks();
    std::array::from_fn(|at| u64::from_le_bytes(chunks[at]))
}

/// `k`, over the bytes of `R`, key and message as they were received.
pub(super) fn challenge(parts: &[&[u8]; 3]) -> Scalar {
    let mut hasher = Sha512::new();
    for part in parts {
        hasher.update(part);
    }
    Scalar::from_bytes_mod_order_wide(&hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Beside the order in every byte, and beside those of its multiples that fit.
    #[test]
    fn scalars_below_the_order_are_those_of_another_implementation() {
        let mut scalars = vec![[0; 32], ORDER, [0xff; 32]];
        for at in 0..32 {
            for (change, borrow) in [(1, 0), (0xff, 0xff), (0x80, 0)] {
                let mut scalar = ORDER;
                scalar[at] = scalar[at].wrapping_add(change);
                scalars.push(scalar);
                scalar[..at].fill(borrow);
                scalars.push(scalar);
            }
        }
        let below = |scalar: &[u8; 32]| bool::from(Scalar::from_canonical_bytes(*scalar).is_some());
        for scalar in &scalars {
            assert_eq!(is_below_order(scalar), below(scalar), "{scalar:?}");
        }
        assert!(scalars.iter().any(below) && !scalars.iter().all(below));
    }
}
