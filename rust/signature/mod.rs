//! Verify Ed25519 signatures under one rule: ZIP-215.
//!
//! A signature holds when `[8](sB - R - kA) = 0`, where `s` is below the group order, `R` and `A`
//! decode (non-canonical encodings included) and `k = SHA-512(R || A || message) mod l`. The
//! cofactor makes one signature and a batch of them agree on every input, so that two nodes which
//! group the same signatures differently cannot disagree.
//!
//! Keys that sign often have tables of their multiples. Few signatures of theirs are checked one by
//! one from these, half of them by a companion that is awake, and many as one equation in which
//! each of those keys is one term; where it does not hold, they are checked one by one. The others
//! of a batch are an equation of their own.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod batch;
mod buckets;
mod coefficient;
mod decoding;
mod encoding;
#[cfg(test)]
mod emulated;
mod equation;
mod few;
mod field;
#[cfg(target_arch = "x86_64")]
mod ifma;
mod inversion;
mod kernel;
mod known;
mod lanes;
mod point;
mod scalar;
mod sha512;
mod single;
mod square;
mod steps;
mod sum;
mod table;
mod terms;

use rayon::prelude::*;

use crate::companion;
use crate::error::{Error, Result};
use crate::key::{PublicKey, Signature};
use crate::numbering::Numbering;

pub use kernel::Kernel;

/// Below this many signatures a batch costs more than its parts.
const SINGLES: usize = 8;

/// One signature to verify.
#[derive(Clone, Copy)]
pub struct Claim<'a> {
    pub key: &'a PublicKey,
    pub message: &'a [u8],
    pub signature: &'a Signature,
}

/// In a forked process: use nothing that a thread of its parent may hold.
pub fn part_from_parent() {
    known::leave_held();
    companion::part();
}

/// Accept the signature, or raise; see the module for the rule.
pub fn verify(key: &PublicKey, message: &[u8], signature: &Signature) -> Result<()> {
    verify_all(&[Claim { key, message, signature }], &[0; 32])
}

/// Verify every claim, or name all that do not hold.
///
/// The seed hedges the batch's coefficients: 32 bytes that the signers could not know. It cannot
/// change the verdict on honest signatures.
pub fn verify_all(claims: &[Claim], seed: &[u8; 32]) -> Result<()> {
    verify_all_with(Kernel::detected(), claims, seed)
}

/// As `verify_all`, with a kernel that this processor has.
pub fn verify_all_with(kernel: Kernel, claims: &[Claim], seed: &[u8; 32]) -> Result<()> {
    verify_on(Some(rayon::current_num_threads), kernel, claims, seed)
}

/// As `verify_all`, on this thread alone as long as keys have tables and signatures hold: tables
/// are made, and what is without one or doubtful is judged, with what other threads there are.
pub fn verify_alone(claims: &[Claim], seed: &[u8; 32]) -> Result<()> {
    verify_on(None, Kernel::detected(), claims, seed)
}

/// On as many of those threads as have a share of the claims, or on this one alone.
fn verify_on(
    threads: Option<fn() -> usize>,
    kernel: Kernel,
    claims: &[Claim],
    seed: &[u8; 32],
) -> Result<()> {
    let (keys, positions) = by_key(claims);
    let tables = known::tables(&keys);
    let (mut known, mut rest) = (Vec::with_capacity(claims.len()), Vec::new());
    let mut positions = positions.into_iter();
    for ((_, count), table) in keys.iter().zip(&tables) {
        let of_key = positions.by_ref().take(*count);
        match table {
            Some(table) => known.extend(of_key.map(|position| (position, table))),
            None => rest.extend(of_key),
        }
    }
    let bad = |position: &usize| !single::holds(&claims[*position]);
    let doubtful = match threads {
        Some(_) if known.len() < 2 * kernel.share() => few::doubtful(kernel, claims, &known),
        _ => {
            let threads = threads.map_or(1, |threads| kernel.threads(known.len(), threads));
            equation::doubtful(threads, kernel, claims, &known, seed)
                .unwrap_or_else(|| known::doubtful(threads, kernel, claims, &known))
        }
    };
    let mut indices: Vec<usize> = match doubtful.len() <= kernel.share() {
        true => doubtful.into_iter().filter(bad).collect(),
        false => doubtful.into_par_iter().filter(bad).collect(),
    };
    if rest.len() < SINGLES {
        indices.extend(rest.into_iter().filter(bad));
    } else {
        let others: Vec<Claim> = rest.iter().map(|position| claims[*position]).collect();
        indices.extend(batch::bad_signatures(&others, seed).into_iter().map(|at| rest[at]));
    }
    if indices.is_empty() {
        return Ok(());
    }
    indices.sort_unstable();
    Err(Error::Signature { indices, count: claims.len() })
}

/// The distinct keys, and how many claims each has; and the positions of all claims, key by key.
fn by_key<'a>(claims: &[Claim<'a>]) -> (Vec<(&'a PublicKey, usize)>, Vec<usize>) {
    let mut numbering = Numbering::default();
    let mut keys: Vec<(&PublicKey, usize)> = Vec::new();
    let number = |claim: &Claim<'a>| {
        let number = numbering.number(claim.key);
        if number == keys.len() {
            keys.push((claim.key, 0));
        }
        keys[number].1 += 1;
        number
    };
    let of: Vec<usize> = claims.iter().map(number).collect();
    let mut begin = 0;
    let begins = keys.iter().map(|(_, count)| {
        begin += count;
        begin - count
    });
    let mut next: Vec<usize> = begins.collect();
    let mut positions = vec![0; claims.len()];
    for (position, number) in of.into_iter().enumerate() {
        positions[next[number]] = position;
        next[number] += 1;
    }
    (keys, positions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SigningKey;

    /// Of a key that has a table and of one that has none.
    #[test]
    fn few_claims_do_not_ask_for_threads() {
        let kernel = Kernel::detected();
        let keys = [51, 52].map(|seed| SigningKey::from_seed(&[seed; 32]));
        let public_keys = keys.each_ref().map(SigningKey::public_key);
        let signatures = keys.each_ref().map(|key| key.sign(b"few"));
        for (key, count) in [(0, 2 * kernel.share() - 1), (1, 1)] {
            let (key, signature) = (&public_keys[key], &signatures[key]);
            let claims = vec![Claim { key, message: b"few", signature }; count];
            let asked: fn() -> usize = || panic!("few claims asked for threads");
            assert!(verify_on(Some(asked), kernel, &claims, &[1; 32]).is_ok());
        }
    }
}
