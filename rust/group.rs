//! Share a key among holders, open with parts of it, and add commitments: ristretto255 (RFC 9496).
//!
//! A shared key is never in one place. Each holder deals a polynomial to all of them and shows
//! commitments to its coefficients (Feldman), with a proof that it knows the constant term: who
//! shows last could else take the others' away, and alone know the key. A holder's share is the sum
//! of what it was dealt, and the key's public half is the sum of the constant terms. Some of the
//! holders open what is sealed: each multiplies the ephemeral point by its share and proves it
//! (Chaum and Pedersen), and the points are combined by Lagrange. Who seals proves that it knows
//! the ephemeral number (Schnorr): parts of a multiple of another's point would open what the other
//! sealed. Commitments are Pedersen's; they are added up and never opened one by one. Secrets are
//! wiped when they go out of scope; who calls keeps copies of its own.

use std::sync::OnceLock;

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{Identity, IsIdentity};
use sha2::{Digest, Sha512};
use zeroize::{Zeroize, Zeroizing};

use crate::error::{Error, Result, malformed};
use crate::once::once;

/// The encoding of a point.
pub type Point = [u8; 32];
/// The encoding of a number below the group's order.
pub type Number = [u8; 32];
/// Random bytes from which a number is drawn: twice its length, so that none is likelier.
pub type Wide = [u8; 64];
/// A challenge and the response to it.
pub type Proof = [u8; 64];

/// What the challenge of a copy's proof begins with.
const SEAL: &[u8] = b"ledgercore audit copy proof v1\n";

/// The second generator. Nobody knows its logarithm: it is made from these words.
fn blinding_base() -> &'static RistrettoPoint {
    static BLINDING: OnceLock<RistrettoPoint> = OnceLock::new();
    once(&BLINDING, || {
        RistrettoPoint::from_uniform_bytes(&Sha512::digest(b"ledgercore pedersen v1\n").into())
    })
}

/// What one holder deals: commitments to its polynomial, the proof that it knows the constant term,
/// and a number for each holder.
pub struct Deal {
    pub commitments: Vec<Point>,
    pub proof: Proof,
    pub numbers: Vec<Zeroizing<Number>>,
}

/// A number drawn from random bytes.
pub fn number(wide: &Wide) -> Number {
    draw(wide).to_bytes()
}

/// Deal the polynomial with these random coefficients, the constant term first, to some holders.
///
/// The dealer is one of them, and they count from one.
pub fn deal(coefficients: &[Wide], dealer: u64, holders: u64) -> Result<Deal> {
    let before = dealt(coefficients.len(), dealer, holders)?;
    let drawn: Vec<_> = coefficients.iter().map(draw).collect();
    let commitments: Vec<_> =
        drawn.iter().map(|each| encode(&RistrettoPoint::mul_base(each))).collect();
    let hash = Sha512::new_with_prefix(b"ledgercore audit deal nonce v1\n");
    let hash = hash.chain_update(coefficients[0]).chain_update(&before);
    let mut wide: Wide = hash.chain_update(commitments.concat()).finalize().into();
    let nonce = draw(&wide);
    wide.zeroize();
    let proof = prove(&drawn[0], &nonce, &[&before], &commitments[1..].concat());
    let value = |at: u64| {
        let x = Scalar::from(at);
        let sum = drawn.iter().rev().fold(Scalar::ZERO, |sum, each| sum * x + **each);
        Zeroizing::new(sum.to_bytes())
    };
    Ok(Deal { commitments, proof, numbers: (1..=holders).map(value).collect() })
}

/// Accept a deal by the proof that its dealer knows the constant term.
pub fn verify_dealer(
    commitments: &[Point],
    proof: &Proof,
    dealer: u64,
    holders: u64,
) -> Result<()> {
    let before = dealt(commitments.len(), dealer, holders)?;
    if !knows(&decode(&commitments[0])?, proof, &[&before], &commitments[1..].concat())? {
        let what = "does not show that its dealer knows the constant term";
        return Err(Error::Proof(format!("deal {dealer} of {holders} {what}")));
    }
    Ok(())
}

/// Accept a number that a holder was dealt, by the commitments of who dealt it.
pub fn verify_deal(commitments: &[Point], holder: u64, number: &Number) -> Result<()> {
    let number = Zeroizing::new(decode_number(number)?);
    if RistrettoPoint::mul_base(&number) != evaluate(&points(commitments)?, holder) {
        return Err(Error::Proof(format!("number dealt to holder {holder} is not committed to")));
    }
    Ok(())
}

/// The shared key's public half and each holder's, from the commitments of all who dealt.
pub fn share_keys(dealt: &[Vec<Point>], holders: u64) -> Result<(Point, Vec<Point>)> {
    let dealt = dealt.iter().map(|each| points(each)).collect::<Result<Vec<_>>>()?;
    let at = |holder| dealt.iter().map(|each| evaluate(each, holder)).sum::<RistrettoPoint>();
    Ok((encode(&at(0)), (1..=holders).map(|holder| encode(&at(holder))).collect()))
}

/// Accept that any `threshold` of the holders, and no fewer, stand for the key.
pub fn verify_share_keys(key: &Point, share_keys: &[Point], threshold: usize) -> Result<()> {
    let (key, keys) = (decode(key)?, points(share_keys)?);
    if threshold < 1 || threshold > keys.len() || key.is_identity() {
        return malformed(format!("{threshold} of {} are no threshold of a key", keys.len()));
    }
    let first: Vec<u64> = (1..=threshold as u64).collect();
    let at = |x| interpolate(&first, &keys[..threshold], x);
    let rest = (threshold..keys.len()).all(|holder| at(holder as u64 + 1) == keys[holder]);
    if at(0) != key || !rest {
        return Err(Error::Proof("share keys are not of the shared key".to_owned()));
    }
    Ok(())
}

/// An ephemeral point, and the point that it and the key have in common: secret.
pub fn seal(key: &Point, wide: &Wide) -> Result<(Point, Zeroizing<Point>)> {
    let (key, ephemeral) = (decode_key(key)?, draw(wide));
    let shared = Zeroizing::new(encode(&(key * *ephemeral)));
    Ok((encode(&RistrettoPoint::mul_base(&ephemeral)), shared))
}

/// The proof that whoever sealed with these random bytes knows the ephemeral number.
///
/// The nonce is the caller's: another for each context, and as secret as the ephemeral number.
pub fn prove_seal(key: &Point, wide: &Wide, nonce: &Wide, context: &[u8]) -> Proof {
    prove(&draw(wide), &draw(nonce), &[SEAL, key], context)
}

/// Accept an ephemeral point by the proof of who sealed with it.
pub fn verify_seal(key: &Point, ephemeral: &Point, proof: &Proof, context: &[u8]) -> Result<()> {
    if !knows(&decode_key(ephemeral)?, proof, &[SEAL, key], context)? {
        return Err(Error::Proof("copy is not sealed by one that knows its number".to_owned()));
    }
    Ok(())
}

/// A holder's part of the point in common, and the proof that its share made it.
///
/// The nonce is drawn from the share and the seed, so that no bad seed can show the share.
pub fn open_part(
    share: &Number,
    ephemeral: &Point,
    context: &[u8],
    seed: &[u8; 32],
) -> Result<(Point, Proof)> {
    let (secret, point) = (Zeroizing::new(decode_number(share)?), decode_key(ephemeral)?);
    let hash = Sha512::new_with_prefix(b"ledgercore audit nonce v1\n");
    let hash = hash.chain_update(share).chain_update(seed).chain_update(ephemeral);
    let mut wide: Wide = hash.chain_update(context).finalize().into();
    let nonce = draw(&wide);
    wide.zeroize();
    let (key, part) = (RistrettoPoint::mul_base(&secret), point * *secret);
    let (first, second) = (RistrettoPoint::mul_base(&nonce), point * *nonce);
    let challenge = challenge(&[key, point, part, first, second], context);
    Ok((encode(&part), answer(&challenge, &secret, &nonce)))
}

/// Accept a holder's part, by the holder's public share.
pub fn verify_part(
    share_key: &Point,
    ephemeral: &Point,
    part: &Point,
    proof: &Proof,
    context: &[u8],
) -> Result<()> {
    let (key, point) = (decode_key(share_key)?, decode_key(ephemeral)?);
    let shown = decode(part)?;
    let (told, response) = decode_proof(proof)?;
    let first = RistrettoPoint::mul_base(&response) - key * told;
    let second = point * response - shown * told;
    if challenge(&[key, point, shown, first, second], context) != told {
        return Err(Error::Proof("part is not made by the holder's share".to_owned()));
    }
    Ok(())
}

/// The point in common, from the parts of enough holders, who count from one.
pub fn combine(holders: &[u64], parts: &[Point]) -> Result<Point> {
    let ascend = holders.is_sorted_by(|one, other| one < other);
    if holders.len() != parts.len() || holders.is_empty() || !ascend || holders[0] == 0 {
        return malformed(format!("{} parts of holders {holders:?}, want ascending", parts.len()));
    }
    Ok(encode(&interpolate(holders, &points(parts)?, 0)))
}

/// Commit to amounts, each with its blinding.
pub fn commit(amounts: &[u64], blindings: &[Number]) -> Result<Vec<Point>> {
    if amounts.len() != blindings.len() {
        let (amounts, blindings) = (amounts.len(), blindings.len());
        return malformed(format!("{amounts} amounts with {blindings} blindings, want one each"));
    }
    let one = |(amount, blinding): (&u64, &Number)| {
        let blinding = Zeroizing::new(decode_number(blinding)?);
        Ok(encode(
            &(RistrettoPoint::mul_base(&Scalar::from(*amount)) + blinding_base() * *blinding),
        ))
    };
    amounts.iter().zip(blindings).map(one).collect()
}

/// The sum of points: of commitments, the commitment to the sum.
pub fn add_points(items: &[Point]) -> Result<Point> {
    Ok(encode(&points(items)?.iter().sum()))
}

/// The sum of numbers below the group's order.
pub fn add_numbers(items: &[Number]) -> Result<Number> {
    let numbers = items.iter().map(decode_number).collect::<Result<Vec<_>>>()?;
    Ok(numbers.iter().sum::<Scalar>().to_bytes())
}

fn draw(wide: &Wide) -> Zeroizing<Scalar> {
    Zeroizing::new(Scalar::from_bytes_mod_order_wide(wide))
}

fn challenge(points: &[RistrettoPoint], context: &[u8]) -> Scalar {
    let mut hash = Sha512::new_with_prefix(b"ledgercore audit part v1\n");
    points.iter().for_each(|point| hash.update(encode(point)));
    Scalar::from_bytes_mod_order_wide(&hash.chain_update(context).finalize().into())
}

/// The proof (Schnorr) that the number of a point is known, bound to what is hashed around it.
fn prove(number: &Scalar, nonce: &Scalar, before: &[&[u8]], after: &[u8]) -> Proof {
    let (point, first) = (RistrettoPoint::mul_base(number), RistrettoPoint::mul_base(nonce));
    answer(&bound_challenge(before, &point, &first, after), number, nonce)
}

fn knows(point: &RistrettoPoint, proof: &Proof, before: &[&[u8]], after: &[u8]) -> Result<bool> {
    let (told, response) = decode_proof(proof)?;
    let first = RistrettoPoint::mul_base(&response) - point * told;
    Ok(bound_challenge(before, point, &first, after) == told)
}

fn bound_challenge(
    before: &[&[u8]],
    point: &RistrettoPoint,
    first: &RistrettoPoint,
    after: &[u8],
) -> Scalar {
    let mut hash = Sha512::new();
    before.iter().for_each(|part| hash.update(part));
    let hash = hash.chain_update(encode(point)).chain_update(encode(first)).chain_update(after);
    Scalar::from_bytes_mod_order_wide(&hash.finalize().into())
}

fn answer(challenge: &Scalar, secret: &Scalar, nonce: &Scalar) -> Proof {
    let mut proof = [0; 64];
    proof[..32].copy_from_slice(challenge.as_bytes());
    proof[32..].copy_from_slice((nonce + challenge * secret).as_bytes());
    proof
}

/// What the challenge of a deal's proof begins with.
fn dealt(threshold: usize, dealer: u64, holders: u64) -> Result<Vec<u8>> {
    if threshold < 1 || (threshold as u64) > holders {
        return malformed(format!("{threshold} of {holders} are no threshold"));
    }
    if dealer < 1 || dealer > holders {
        return malformed(format!("dealer is {dealer}, want 1 to {holders}"));
    }
    let numbers = [dealer, threshold as u64, holders].map(u64::to_be_bytes);
    Ok([b"ledgercore audit deal proof v1\n", &numbers.concat()[..]].concat())
}

/// The polynomial with these committed coefficients, at a place.
fn evaluate(commitments: &[RistrettoPoint], at: u64) -> RistrettoPoint {
    let x = Scalar::from(at);
    commitments.iter().rev().fold(RistrettoPoint::identity(), |sum, each| sum * x + each)
}

/// The polynomial that has these values at these places, at another place.
fn interpolate(places: &[u64], values: &[RistrettoPoint], at: u64) -> RistrettoPoint {
    let x = Scalar::from(at);
    let weight = |place: &u64| {
        let own = Scalar::from(*place);
        let others = places.iter().filter(|other| *other != place).map(|each| Scalar::from(*each));
        let (above, below) = others.fold((Scalar::ONE, Scalar::ONE), |(above, below), other| {
            (above * (x - other), below * (own - other))
        });
        above * below.invert()
    };
    places.iter().zip(values).map(|(place, value)| value * weight(place)).sum()
}

fn encode(point: &RistrettoPoint) -> Point {
    point.compress().to_bytes()
}

fn points(items: &[Point]) -> Result<Vec<RistrettoPoint>> {
    items.iter().map(decode).collect()
}

fn decode(point: &Point) -> Result<RistrettoPoint> {
    match CompressedRistretto(*point).decompress() {
        Some(point) => Ok(point),
        None => malformed("point is not the encoding of one"),
    }
}

/// A point that something is sealed for, or with: never the identity, which hides nothing.
fn decode_key(point: &Point) -> Result<RistrettoPoint> {
    let point = decode(point)?;
    if point.is_identity() {
        return malformed("point is the identity, want a key");
    }
    Ok(point)
}

/// A proof's challenge and response.
fn decode_proof(proof: &Proof) -> Result<(Scalar, Scalar)> {
    let (halves, _) = proof.as_chunks::<32>();
    Ok((decode_number(&halves[0])?, decode_number(&halves[1])?))
}

fn decode_number(number: &Number) -> Result<Scalar> {
    match Option::from(Scalar::from_canonical_bytes(*number)) {
        Some(number) => Ok(number),
        None => malformed("number is not below the group's order"),
    }
}
