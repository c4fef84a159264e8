//! Verify many signatures as one equation, and find the bad ones when it fails.
//!
//! With coefficients `z` that no signer could foresee, all signatures hold if
//! `[8](sum(z s) B - sum(z R) - sum over keys(sum(z k) A)) = 0`. A key that signed many times
//! costs one term. The 8 is applied to the sum, never folded into scalars: reducing `8 k` modulo
//! the group order would change what it does to points of small order.

use std::collections::HashMap;

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{Identity, IsIdentity, VartimeMultiscalarMul};
use rayon::prelude::*;

use super::Claim;
use super::single::{self, challenge, split};
use crate::key::PublicKey;

/// Claims hashed or decompressed by one task.
const TASK: usize = 256;

/// Fewest terms that one task sums: enough that the doublings they share are small.
const SUM: usize = 2048;

/// Parts that a failing set is cut into. Cutting deep is dear when many are bad, and a sum of few
/// terms saves little; halving would cost both an honest and a hostile batch more.
const PARTS: usize = 16;

/// A failing set at or below this size is checked one by one.
const SEARCH: usize = 64;

/// A claim that decoded, with all that its term of the equation needs.
struct Term {
    position: usize,
    key: usize,
    r: EdwardsPoint,
    s: Scalar,
    k: Scalar,
    z: Scalar,
}

/// The positions of every claim that does not hold, ascending.
pub(super) fn bad_signatures(claims: &[Claim], seed: &[u8; 32]) -> Vec<usize> {
    let (keys, points) = coalesce(claims);
    let decoded = decode(claims, &keys, &points);
    let mut bad: Vec<usize> =
        (0..claims.len()).filter(|position| decoded[*position].is_none()).collect();
    let mut terms: Vec<Term> = decoded.into_iter().flatten().collect();
    draw_coefficients(&mut terms, claims, seed);
    bad.extend(search(&terms, &points));
    bad.sort_unstable();
    bad
}

/// The index of each claim's key, and the point of each distinct key where it decodes.
fn coalesce(claims: &[Claim]) -> (Vec<usize>, Vec<Option<EdwardsPoint>>) {
    let mut distinct = Vec::new();
    let mut known = HashMap::new();
    let keys = claims
        .iter()
        .map(|claim| {
            *known.entry(claim.key).or_insert_with(|| {
                distinct.push(*claim.key);
                distinct.len() - 1
            })
        })
        .collect();
    let point = |key: &PublicKey| CompressedEdwardsY(*key).decompress();
    let points = match distinct.len() <= TASK {
        true => distinct.iter().map(point).collect(),
        false => distinct.par_iter().with_min_len(TASK).map(point).collect(),
    };
    (keys, points)
}

/// A term for each claim whose key, `R` and `s` decode; its coefficient is drawn later.
fn decode(claims: &[Claim], keys: &[usize], points: &[Option<EdwardsPoint>]) -> Vec<Option<Term>> {
    let term = |(position, claim): (usize, &Claim)| {
        points[keys[position]]?;
        let (r_bytes, s) = split(claim.signature)?;
        let r = CompressedEdwardsY(r_bytes).decompress()?;
        let k = challenge(&[&r_bytes, claim.key, claim.message]);
        Some(Term { position, key: keys[position], r, s, k, z: Scalar::ZERO })
    };
    match claims.len() <= TASK {
        true => claims.iter().enumerate().map(term).collect(),
        false => claims.par_iter().enumerate().with_min_len(TASK).map(term).collect(),
    }
}

/// Odd 128-bit coefficients, of which none is zero, from the seed and from everything they
/// multiply: sound if either the seed is secret from the signers or the hash binds it.
fn draw_coefficients(terms: &mut [Term], claims: &[Claim], seed: &[u8; 32]) {
    let mut hasher = blake3::Hasher::new_keyed(seed);
    for term in &*terms {
        hasher.update(claims[term.position].key);
        hasher.update(claims[term.position].signature);
        hasher.update(term.k.as_bytes());
    }
    let mut stream = hasher.finalize_xof();
    let mut block = [0; 16];
    for term in terms {
        stream.fill(&mut block);
        term.z = Scalar::from(u128::from_le_bytes(block) | 1);
    }
}

/// The positions of terms that do not hold, ascending: cut what fails until few terms are left.
fn search(terms: &[Term], points: &[Option<EdwardsPoint>]) -> Vec<usize> {
    if sum_holds(terms, points) {
        return Vec::new();
    }
    if terms.len() <= SEARCH {
        let bad = terms.iter().filter(|term| !term.holds(points));
        return bad.map(|term| term.position).collect();
    }
    let part = terms.len().div_ceil(PARTS);
    terms.par_chunks(part).flat_map(|part| search(part, points)).collect()
}

impl Term {
    /// The rule for one signature, on what is already prepared.
    fn holds(&self, points: &[Option<EdwardsPoint>]) -> bool {
        single::equation_holds(point(points, self.key), &self.r, &self.s, &self.k)
    }
}

fn point(points: &[Option<EdwardsPoint>], key: usize) -> &EdwardsPoint {
    points[key].as_ref().expect("terms have keys that decode")
}

/// The equation of the module over these terms, each thread a share of them.
fn sum_holds(terms: &[Term], points: &[Option<EdwardsPoint>]) -> bool {
    let sum = if terms.len() <= SUM {
        weighted_sum(terms, points)
    } else {
        let share = terms.len().div_ceil(rayon::current_num_threads()).max(SUM);
        terms
            .par_chunks(share)
            .map(|share| weighted_sum(share, points))
            .reduce(EdwardsPoint::identity, |left, right| left + right)
    };
    sum.mul_by_cofactor().is_identity()
}

/// `sum(z R) + sum over keys(sum(z k) A) - sum(z s) B`.
fn weighted_sum(terms: &[Term], points: &[Option<EdwardsPoint>]) -> EdwardsPoint {
    let mut by_key: HashMap<usize, Scalar> = HashMap::new();
    let mut base = Scalar::ZERO;
    for term in terms {
        *by_key.entry(term.key).or_insert(Scalar::ZERO) += term.z * term.k;
        base -= term.z * term.s;
    }
    let scalars = terms.iter().map(|term| &term.z).chain(by_key.values()).chain([&base]);
    let multiplied = terms
        .iter()
        .map(|term| &term.r)
        .chain(by_key.keys().map(|key| point(points, *key)))
        .chain([&ED25519_BASEPOINT_POINT]);
    EdwardsPoint::vartime_multiscalar_mul(scalars, multiplied)
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::EIGHT_TORSION;

    use super::*;
    use crate::key::{Signature, SigningKey};

    /// Searching would find the same verdict, at many times the cost.
    #[test]
    fn signatures_that_hold_pass_without_a_search() {
        let keys: Vec<SigningKey> = (1..4).map(|seed| SigningKey::from_seed(&[seed; 32])).collect();
        let mut signed: Vec<(PublicKey, Signature)> = (0..5000)
            .map(|at| &keys[at % 3])
            .map(|key| (key.public_key(), key.sign(b"a")))
            .collect();
        for point in EIGHT_TORSION {
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(point.compress().as_bytes());
            signed.push((point.compress().to_bytes(), signature));
        }
        let claims: Vec<Claim> =
            signed.iter().map(|(key, signature)| Claim { key, message: b"a", signature }).collect();

        let (keys, points) = coalesce(&claims);
        let mut terms: Vec<Term> = decode(&claims, &keys, &points).into_iter().flatten().collect();
        draw_coefficients(&mut terms, &claims, &[1; 32]);

        assert_eq!((terms.len(), points.len()), (5008, 11));
        assert!(sum_holds(&terms, &points));
        terms[4000].s += Scalar::ONE;
        assert!(!sum_holds(&terms, &points));
    }
}
