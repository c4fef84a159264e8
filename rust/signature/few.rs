//! Verify few signatures, half of them by a companion where such batches follow each other.

use std::sync::Arc;

use super::Claim;
use super::kernel::Kernel;
use super::known::{KeyTable, Prepared, doubtful_in_turn};
use crate::companion::Piece;
use crate::key::{PublicKey, Signature};

/// Signatures of which half are worth handing over: their copies, and another inversion.
const FEW: usize = 32;

/// Bytes of messages that are copied at most, so that the copy costs next to nothing.
const COPIED_BYTES: usize = 16 * 1024;

/// Signatures that fill the lanes of every kernel.
const LANES: usize = 8;

/// The positions of the claims that are doubtful, as `known::doubtful` finds them.
pub(super) fn doubtful(kernel: Kernel, claims: &[Claim], prepared: &[Prepared]) -> Vec<usize> {
    if prepared.len() < FEW {
        return doubtful_in_turn(kernel, claims, prepared);
    }
    let piece = Piece::begin();
    let half = prepared.len().div_ceil(2).next_multiple_of(LANES);
    let (own, theirs) = prepared.split_at(half);
    let bytes: usize = theirs.iter().map(|(at, _)| claims[*at].message.len()).sum();
    if bytes > COPIED_BYTES || !piece.is_shared() {
        return doubtful_in_turn(kernel, claims, prepared);
    }
    let copies = Copies::new(claims, theirs);
    let own = || doubtful_in_turn(kernel, claims, own);
    let (mut doubtful, others) = piece.share(own, move || copies.doubtful(kernel));
    doubtful.extend(others.into_iter().map(|at| theirs[at].0));
    doubtful
}

/// Claims for a thread that may come to them when their batch is gone.
struct Copies {
    signed: Vec<(PublicKey, Signature, Arc<KeyTable>)>,
    messages: Vec<u8>,
    /// Where each message ends.
    ends: Vec<usize>,
}

impl Copies {
    fn new(claims: &[Claim], prepared: &[Prepared]) -> Self {
        let mut copies = Self {
            signed: Vec::with_capacity(prepared.len()),
            messages: Vec::with_capacity(
                prepared.iter().map(|(at, _)| claims[*at].message.len()).sum(),
            ),
            ends: Vec::with_capacity(prepared.len()),
        };
        for (position, table) in prepared {
            let Claim { key, message, signature } = claims[*position];
            copies.signed.push((*key, *signature, Arc::clone(table)));
            copies.messages.extend_from_slice(message);
            copies.ends.push(copies.messages.len());
        }
        copies
    }

    /// The positions among them of those that are doubtful.
    fn doubtful(&self, kernel: Kernel) -> Vec<usize> {
        let mut begin = 0;
        let each = self.signed.iter().zip(&self.ends);
        let claims: Vec<Claim> = each
            .map(|((key, signature, _), end)| {
                let message = &self.messages[begin..*end];
                begin = *end;
                Claim { key, message, signature }
            })
            .collect();
        let prepared = self.signed.iter().enumerate();
        let prepared: Vec<Prepared> = prepared.map(|(at, (_, _, table))| (at, table)).collect();
        doubtful_in_turn(kernel, &claims, &prepared)
    }
}

#[cfg(test)]
mod tests {
    use super::super::point::Point;
    use super::*;
    use crate::key::SigningKey;

    /// Batch after batch, of which most are shared where there is another core, and the halves that
    /// would be.
    #[test]
    fn halves_find_what_one_finds_in_turn() {
        let keys = [61, 62, 63].map(|seed| SigningKey::from_seed(&[seed; 32]));
        let table = |key: &SigningKey| {
            let point = Point::decode(&key.public_key()).expect("a point");
            Arc::new(Kernel::detected().table(&point.negated()))
        };
        let tables = keys.each_ref().map(table);
        let public_keys = keys.each_ref().map(SigningKey::public_key);
        for round in 0..200 {
            let count = round % 127;
            let messages: Vec<Vec<u8>> =
                (0..count).map(|at| vec![u8::try_from(round).unwrap_or(0); at]).collect();
            let mut signatures: Vec<Signature> =
                (0..count).map(|at| keys[at % 3].sign(&messages[at])).collect();
            let damaged = [round % 5, round % 31, round % 64, round % 101];
            for at in damaged.into_iter().filter(|at| *at < count) {
                signatures[at][round % 64] ^= 0x10;
            }
            let claims: Vec<Claim> = (0..count)
                .map(|at| Claim {
                    key: &public_keys[at % 3],
                    message: &messages[at],
                    signature: &signatures[at],
                })
                .collect();
            let prepared: Vec<Prepared> =
                (0..count).rev().map(|at| (at, &tables[at % 3])).collect();
            let mut want = doubtful_in_turn(Kernel::Portable, &claims, &prepared);
            want.sort_unstable();
            let kernel = Kernel::detected();
            let copied = Copies::new(&claims, &prepared).doubtful(kernel);
            let copied = copied.into_iter().map(|at| prepared[at].0).collect();
            let shared = (0..3).map(|_| doubtful(kernel, &claims, &prepared));
            for mut got in shared.chain([copied]) {
                got.sort_unstable();
                assert_eq!(got, want, "round {round}");
            }
        }
    }
}
