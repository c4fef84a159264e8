//! Verify many signatures of keys that have tables as one equation.
//!
//! With coefficients `z` that no signer could foresee, all of them hold if
//! `[8](sum over keys([sum(z s)]B - [sum(z k)]A) - sum(z R)) = 0`. Multiples of keys and of the
//! base point come from tables, once for all signatures of a key; what is left for each signature
//! is to decode its `R` and to add it to one bucket at each place of its coefficient. The 8 is
//! applied to the sum, never folded into scalars: these are reduced modulo the group order, which
//! only changes by how much a point of small order counts.

use std::sync::{Mutex, PoisonError};

use super::Claim;
use super::buckets::Buckets;
use super::coefficient::{Coefficient, DIGIT_BITS, PLACES, WeightedSum};
use super::kernel::Kernel;
use super::known::{Challenged, KeyTable, Prepared, base_table, challenged};
use super::point::Point;
use super::terms::Terms;
use crate::tasks;

/// Claims of one thread from which on one equation costs less than a sum for each.
const MANY: usize = 640;

/// Claims that are hashed, or decoded, by one task.
const TASK: usize = 256;

/// The claims of one task, a hash of all that they multiply, and those that have no term.
struct Hashed<'a> {
    number: usize,
    terms: Vec<Challenged<'a>>,
    digest: blake3::Hash,
    doubtful: Vec<usize>,
}

/// What one thread sums.
struct Part<'a> {
    buckets: Buckets,
    by_key: Vec<(&'a KeyTable, WeightedSum, WeightedSum)>,
    doubtful: Vec<usize>,
}

/// The positions of the claims that have no term in the equation, where it holds for all others;
/// nothing where it does not, where they are too few, or where the kernel has no buckets.
pub(super) fn doubtful(
    threads: usize,
    kernel: Kernel,
    claims: &[Claim],
    prepared: &[Prepared],
    seed: &[u8; 32],
) -> Option<Vec<usize>> {
    if prepared.len() < threads * MANY {
        return None;
    }
    let buckets = kernel.buckets()?;
    let hashed = hash(kernel, claims, prepared, threads);
    let stream = stream(&hashed, seed);
    let found = Mutex::new((Point::IDENTITY, Vec::new()));
    tasks::in_tasks(None, threads, hashed.len(), |numbers| {
        let (by_key, doubtful) = (Vec::new(), Vec::new());
        let mut part = Part { buckets: buckets.clone(), by_key, doubtful };
        for number in numbers {
            let task = &hashed[number];
            part.add(kernel, task, &task.coefficients(stream.clone()));
        }
        let sum = part.sum(kernel);
        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
        found.0 = found.0.add(&sum);
        found.1.append(&mut part.doubtful);
    });
    let (sum, doubtful) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    sum.is_of_small_order().then_some(doubtful)
}

/// The terms of all claims, task by task.
fn hash<'a>(
    kernel: Kernel,
    claims: &[Claim<'a>],
    prepared: &[Prepared<'a>],
    threads: usize,
) -> Vec<Hashed<'a>> {
    let shares: Vec<&[Prepared]> = prepared.chunks(TASK).collect();
    let hash = |number: usize| Hashed::new(kernel, claims, shares[number], number);
    tasks::each(None, threads, shares.len(), hash)
}

/// What all coefficients are drawn from: bound to whatever they multiply, in its order.
fn stream(hashed: &[Hashed], seed: &[u8; 32]) -> blake3::OutputReader {
    let mut hasher = blake3::Hasher::new_keyed(seed);
    for task in hashed {
        hasher.update(task.digest.as_bytes());
    }
    hasher.finalize_xof()
}

impl<'a> Hashed<'a> {
    fn new(kernel: Kernel, claims: &[Claim<'a>], prepared: &[Prepared<'a>], number: usize) -> Self {
        let (terms, doubtful) = challenged(kernel, claims, prepared);
        let mut multiplied = Vec::with_capacity(96 * terms.len());
        for Challenged { r, s, k, .. } in &terms {
            multiplied.extend_from_slice(*r);
            multiplied.extend_from_slice(*s);
            multiplied.extend_from_slice(k);
        }
        Self { number, terms, digest: blake3::hash(&multiplied), doubtful }
    }

    /// One for each term, from where no other task draws: none has more than `TASK` terms.
    fn coefficients(&self, mut stream: blake3::OutputReader) -> Vec<Coefficient> {
        let mut bytes = vec![0; PLACES * self.terms.len()];
        stream.set_position((self.number * TASK * PLACES) as u64);
        stream.fill(&mut bytes);
        bytes.as_chunks().0.iter().map(|bytes| Coefficient(*bytes)).collect()
    }
}

impl<'a> Part<'a> {
    /// Add a task's terms, each times its coefficient.
    fn add(&mut self, kernel: Kernel, task: &Hashed<'a>, coefficients: &[Coefficient]) {
        self.doubtful.extend(&task.doubtful);
        let encodings: Vec<&[u8; 32]> = task.terms.iter().map(|term| term.r).collect();
        let are_points = kernel.add(&mut self.buckets, &encodings, coefficients);
        for ((term, coefficient), is_point) in task.terms.iter().zip(coefficients).zip(are_points) {
            if !is_point {
                self.doubtful.push(term.position);
                continue;
            }
            if self.by_key.last().is_none_or(|(key, ..)| !std::ptr::eq(*key, term.key)) {
                self.by_key.push((term.key, WeightedSum::default(), WeightedSum::default()));
            }
            let (_, s, k) = self.by_key.last_mut().expect("one was pushed");
            s.add(term.s, coefficient);
            k.add(&term.k, coefficient);
        }
    }

    /// What it adds to the equation's left side.
    fn sum(&self, kernel: Kernel) -> Point {
        let totals = kernel.totals(&self.buckets);
        let of_signatures = totals.iter().rev().fold(Point::IDENTITY, |sum, total| {
            (0..DIGIT_BITS).fold(sum, |sum, _| sum.doubled()).add(total)
        });
        let scalars = self.by_key.iter().map(|(_, s, k)| [s, k].map(|sum| sum.total().to_bytes()));
        let scalars: Vec<[[u8; 32]; 2]> = scalars.collect();
        let (keys, base) = (self.by_key.iter().zip(&scalars), base_table());
        let terms: Vec<_> = keys.map(|((key, ..), [s, k])| Terms { base, s, key, k }).collect();
        let of_keys = kernel.sums(&terms);
        of_keys.iter().fold(of_signatures.negated(), |sum, of_key| sum.add(of_key))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use curve25519_dalek::scalar::Scalar;

    use super::*;
    use crate::key::{PublicKey, Signature, SigningKey};

    const COUNT: usize = 2 * MANY + 5;

    /// Signatures of three keys, key by key.
    fn signed() -> Vec<(PublicKey, [u8; 8], Signature)> {
        let keys: Vec<_> = (40..43).map(|seed| SigningKey::from_seed(&[seed; 32])).collect();
        let sign = |at: usize| {
            let key = &keys[3 * at / COUNT];
            (key.public_key(), at.to_le_bytes(), key.sign(&at.to_le_bytes()))
        };
        (0..COUNT).map(sign).collect()
    }

    fn claims(signed: &[(PublicKey, [u8; 8], Signature)]) -> Vec<Claim<'_>> {
        let signed = signed.iter();
        signed.map(|(key, message, signature)| Claim { key, message, signature }).collect()
    }

    /// The table of each key, and how many signatures that follow each other are of it.
    fn tables(signed: &[(PublicKey, [u8; 8], Signature)]) -> Vec<(Arc<KeyTable>, usize)> {
        let table = |of: &[(PublicKey, [u8; 8], Signature)]| {
            let point = Point::decode(&of[0].0).expect("a point").negated();
            (Arc::new(Kernel::detected().table(&point)), of.len())
        };
        signed.chunk_by(|a, b| a.0 == b.0).map(table).collect()
    }

    fn prepared(tables: &[(Arc<KeyTable>, usize)]) -> Vec<Prepared<'_>> {
        let of_key = tables.iter().flat_map(|(table, count)| std::iter::repeat_n(table, *count));
        of_key.enumerate().collect()
    }

    /// What the equation says with each kernel that has one.
    fn verdicts(signed: &[(PublicKey, [u8; 8], Signature)]) -> Vec<Option<Vec<usize>>> {
        let (claims, tables) = (claims(signed), tables(signed));
        let prepared = prepared(&tables);
        let kernels = Kernel::available().filter(|kernel| kernel.buckets().is_some());
        let verdict = |(kernel, threads)| {
            let mut doubtful = doubtful(threads, kernel, &claims, &prepared, &[9; 32])?;
            doubtful.sort_unstable();
            Some(doubtful)
        };
        kernels.flat_map(|kernel| [(kernel, 1), (kernel, 2)]).map(verdict).collect()
    }

    #[test]
    fn the_equation_holds_where_all_signatures_do() {
        let mut signed = signed();
        for verdict in verdicts(&signed) {
            assert_eq!(verdict, Some(Vec::new()));
        }
        // What cannot be in it is left out: an `s` that is not below the order, an `R` that is no
        // point.
        signed[300].2[63] |= 0xf0;
        let mut no_point = [2; 32];
        while Point::decode(&no_point).is_some() {
            no_point[0] += 1;
        }
        signed[700].2[..32].copy_from_slice(&no_point);
        for verdict in verdicts(&signed) {
            assert_eq!(verdict, Some(vec![300, 700]));
        }
    }

    #[test]
    fn one_wrong_signature_breaks_it() {
        let good = signed();
        for at in [0, 1, TASK - 1, TASK, COUNT - 1] {
            let mut signed = good.clone();
            signed[at].1[7] ^= 1;
            assert!(verdicts(&signed).iter().all(Option::is_none), "message {at}");
            let mut signed = good.clone();
            signed[at].2[32] ^= 1;
            assert!(verdicts(&signed).iter().all(Option::is_none), "scalar {at}");
        }
        // Two that would make up for each other without coefficients.
        for (one, other) in [(3, 4), (3, TASK + 3), (TASK - 1, 2 * TASK), (0, 3 * TASK)] {
            let mut signed = good.clone();
            signed[one].2[32..].copy_from_slice(&good[other].2[32..]);
            signed[other].2[32..].copy_from_slice(&good[one].2[32..]);
            assert!(verdicts(&signed).iter().all(Option::is_none), "{one} and {other}");
        }
    }

    /// Scalars in which one makes up for the other with the coefficients that were drawn before.
    #[test]
    fn who_knows_the_seed_does_not_foresee_coefficients() {
        let mut signed = signed();
        let tables = tables(&signed);
        let drawn = |signed: &[_]| -> Vec<Scalar> {
            let hashed = hash(Kernel::detected(), &claims(signed), &prepared(&tables), 1);
            let stream = stream(&hashed, &[9; 32]);
            let tasks = hashed.iter().flat_map(|task| task.coefficients(stream.clone()));
            let value = |coefficient: Coefficient| {
                let mut sum = WeightedSum::default();
                sum.add(Scalar::ONE.as_bytes(), &coefficient);
                sum.total()
            };
            tasks.map(value).collect()
        };
        let foreseen = drawn(&signed);
        let (one, other) = (3, TASK + 3);
        for (at, change) in [(one, foreseen[other]), (other, -foreseen[one])] {
            let s = signed[at].2[32..].try_into().expect("half of 64 bytes");
            let s = Scalar::from_bytes_mod_order(s) + change;
            signed[at].2[32..].copy_from_slice(s.as_bytes());
        }
        assert!(verdicts(&signed).iter().all(Option::is_none));
        let found = drawn(&signed);
        assert!(foreseen.iter().zip(&found).all(|(foreseen, found)| foreseen != found));
        let distinct: HashSet<_> = found.iter().map(Scalar::to_bytes).collect();
        assert_eq!(distinct.len(), COUNT);
    }
}
