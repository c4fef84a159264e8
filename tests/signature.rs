//! One signature, a batch and ed25519-zebra give one verdict, on honest, odd and hostile input.

use std::collections::BTreeSet;
use std::path::Path;

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::scalar::Scalar;
use ed25519_zebra::{Signature as JudgeSignature, VerificationKey};
use ledgercore::Error;
use ledgercore::key::{PublicKey, Signature, SigningKey};
use ledgercore::signature::{Claim, Kernel, verify, verify_all, verify_all_with};
use proptest::collection::vec;
use proptest::prelude::*;
use sha2::{Digest, Sha512};

/// The order of the group, little endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// Signatures of one key that give it a table of its multiples.
const OFTEN: usize = 32;

/// Signatures from which on those of such keys are verified as one equation, by two threads too.
const MANY: usize = 1536;

#[derive(Debug, Clone)]
struct Case {
    key: PublicKey,
    message: Vec<u8>,
    signature: Signature,
}

/// The verdict of code that nobody here wrote.
fn judge_accepts(case: &Case) -> bool {
    VerificationKey::try_from(case.key)
        .and_then(|key| key.verify(&JudgeSignature::from(case.signature), &case.message))
        .is_ok()
}

fn single_accepts(case: &Case) -> bool {
    verify(&case.key, &case.message, &case.signature).is_ok()
}

/// The positions that the batch names, with every kernel of this processor.
fn batch_refuses(cases: &[Case], seed: &[u8; 32]) -> Vec<usize> {
    let claims: Vec<Claim> = cases
        .iter()
        .map(|case| Claim { key: &case.key, message: &case.message, signature: &case.signature })
        .collect();
    let named = refused(verify_all(&claims, seed), cases.len());
    for kernel in Kernel::available() {
        let forced = refused(verify_all_with(kernel, &claims, seed), cases.len());
        assert_eq!(forced, named, "{kernel:?}");
    }
    named
}

/// The positions that an error names, and the message that it would show.
fn refused(verdict: Result<(), Error>, want_count: usize) -> Vec<usize> {
    match verdict {
        Ok(()) => Vec::new(),
        Err(Error::Signature { indices, count }) => {
            assert_eq!(count, want_count);
            assert!(!indices.is_empty());
            indices
        }
        Err(other) => panic!("unexpected: {other}"),
    }
}

/// All three agree; gives how many are accepted.
fn agree(cases: &[Case], seed: &[u8; 32]) -> usize {
    let bad: Vec<usize> = (0..cases.len()).filter(|at| !judge_accepts(&cases[*at])).collect();
    for (at, case) in cases.iter().enumerate() {
        assert_eq!(single_accepts(case), !bad.contains(&at), "{at}: {case:02x?}");
    }
    assert_eq!(batch_refuses(cases, seed), bad);
    cases.len() - bad.len()
}

/// They agree as well when every key has signed so often that it has a table.
fn agree_on_known_keys(cases: &[Case], seed: &[u8; 32]) {
    let bad: Vec<usize> = (0..cases.len()).filter(|at| !judge_accepts(&cases[*at])).collect();
    let named = |copy: usize| bad.iter().map(move |at| copy * cases.len() + at);
    let want: Vec<usize> = (0..OFTEN).flat_map(named).collect();
    let repeated: Vec<Case> = std::iter::repeat_n(cases, OFTEN).flatten().cloned().collect();
    assert_eq!(batch_refuses(&repeated, seed), want);
    for (at, case) in cases.iter().enumerate() {
        assert_eq!(single_accepts(case), !bad.contains(&at), "{at}: {case:02x?}");
    }
}

/// Every encoding of a point of small order: eight points, and six more ways to write four of them.
fn small_order_encodings() -> Vec<[u8; 32]> {
    let mut y: BTreeSet<[u8; 32]> = EIGHT_TORSION
        .iter()
        .map(|point| {
            let mut bytes = point.compress().to_bytes();
            bytes[31] &= 0x7f;
            bytes
        })
        .collect();
    y.extend([field_prime_plus(0), field_prime_plus(1)]);
    y.iter()
        .flat_map(|y| [0, 0x80].map(|sign| std::array::from_fn(|at| y[at] | last(at, sign))))
        .collect()
}

fn last(at: usize, byte: u8) -> u8 {
    if at == 31 { byte } else { 0 }
}

/// `2^255 - 19 + small`: an encoding that is not reduced.
fn field_prime_plus(small: u8) -> [u8; 32] {
    let mut bytes = [0xff; 32];
    bytes[0] = 0xed + small;
    bytes[31] = 0x7f;
    bytes
}

fn challenge(r: &[u8; 32], key: &[u8; 32], message: &[u8]) -> Scalar {
    let hash = Sha512::new().chain_update(r).chain_update(key).chain_update(message).finalize();
    Scalar::from_bytes_mod_order_wide(&hash.into())
}

/// A half of a signature's equation: a multiple of the base point, a point of small order, or both.
#[derive(Debug, Clone)]
enum Half {
    Scalar(u64),
    WithTorsion(u64, usize),
    SmallOrder(usize),
}

impl Half {
    /// The scalar that leads to the point, up to small order; and the encoded point.
    fn encode(&self) -> (Scalar, [u8; 32]) {
        match *self {
            Half::Scalar(number) => {
                let scalar = Scalar::from(number);
                (scalar, (ED25519_BASEPOINT_POINT * scalar).compress().to_bytes())
            }
            Half::WithTorsion(number, torsion) => {
                let scalar = Scalar::from(number);
                let point = ED25519_BASEPOINT_POINT * scalar + EIGHT_TORSION[torsion];
                (scalar, point.compress().to_bytes())
            }
            Half::SmallOrder(at) => (Scalar::ZERO, small_order_encodings()[at]),
        }
    }
}

#[derive(Debug, Clone)]
enum Damage {
    None,
    /// Add the group's order to `s`: the same residue, out of range.
    OrderAdded,
    Bit(usize),
    Message,
    Key([u8; 32]),
    /// A key whose encoding is not reduced; whether it decodes depends on the number.
    KeyNotReduced(u8),
    R([u8; 32]),
}

fn build(key: &Half, r: &Half, message: Vec<u8>, damage: &Damage) -> Case {
    let (secret, mut key) = key.encode();
    let (nonce, r) = r.encode();
    let s = nonce + challenge(&r, &key, &message) * secret;
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&r);
    signature[32..].copy_from_slice(s.as_bytes());
    let mut message = message;
    match damage {
        Damage::None => {}
        Damage::OrderAdded => add_order(&mut signature),
        Damage::Bit(bit) => signature[bit / 8] ^= 1 << (bit % 8),
        Damage::Message => message.push(0),
        Damage::Key(other) => key = *other,
        Damage::KeyNotReduced(small) => key = field_prime_plus(*small),
        Damage::R(other) => signature[..32].copy_from_slice(other),
    }
    Case { key, message, signature }
}

fn add_order(signature: &mut Signature) {
    let mut carry = 0;
    for (byte, order) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
}

fn halves() -> impl Strategy<Value = Half> {
    prop_oneof![
        // Few numbers, so that keys repeat inside a batch.
        3 => (1_u64..6).prop_map(Half::Scalar),
        2 => ((1_u64..6), 0..8_usize).prop_map(|(number, at)| Half::WithTorsion(number, at)),
        2 => (0..14_usize).prop_map(Half::SmallOrder),
    ]
}

fn damages() -> impl Strategy<Value = Damage> {
    prop_oneof![
        8 => Just(Damage::None),
        1 => Just(Damage::OrderAdded),
        1 => (0..512_usize).prop_map(Damage::Bit),
        1 => Just(Damage::Message),
        1 => any::<[u8; 32]>().prop_map(Damage::Key),
        1 => (0..19_u8).prop_map(Damage::KeyNotReduced),
        1 => any::<[u8; 32]>().prop_map(Damage::R),
    ]
}

fn cases() -> impl Strategy<Value = Case> {
    (halves(), halves(), vec(any::<u8>(), 0..80), damages())
        .prop_map(|(key, r, message, damage)| build(&key, &r, message, &damage))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: ProptestConfig::default().cases / 2, ..Default::default() })]

    #[test]
    fn single_batch_and_judge_agree(cases in vec(cases(), 1..24), seed in any::<[u8; 32]>()) {
        agree(&cases, &seed);
    }

    #[test]
    fn they_agree_on_known_keys(cases in vec(cases(), 1..6), seed in any::<[u8; 32]>()) {
        agree_on_known_keys(&cases, &seed);
    }

    #[test]
    fn they_agree_on_many_of_known_keys(
        cases in vec(cases(), 1..5), seed in any::<[u8; 32]>(), damaged in any::<bool>(),
    ) {
        let mut cases = cases;
        cases.retain(|case| damaged || judge_accepts(case));
        let repeated = cases.iter().cycle().take(MANY * cases.len().min(1)).cloned();
        let repeated: Vec<Case> = repeated.collect();
        let bad: Vec<bool> = cases.iter().map(|case| !judge_accepts(case)).collect();
        let want: Vec<usize> = (0..repeated.len()).filter(|at| bad[at % bad.len()]).collect();
        prop_assert_eq!(batch_refuses(&repeated, &seed), want);
    }

    #[test]
    fn what_we_sign_holds_and_nothing_near_it(
        secret in any::<[u8; 32]>(), message in vec(any::<u8>(), 0..200), bit in 0..512_usize,
    ) {
        let key = SigningKey::from_seed(&secret);
        let mut case =
            Case { key: key.public_key(), signature: key.sign(&message), message };
        prop_assert!(judge_accepts(&case) && single_accepts(&case));
        case.signature[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!single_accepts(&case));
    }
}

#[test]
fn every_pair_of_small_order_encodings_is_accepted() {
    let encodings = small_order_encodings();
    let all = encodings.iter().flat_map(|key| encodings.iter().map(move |r| (key, r)));
    let cases: Vec<Case> = all
        .map(|(key, r)| {
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(r);
            Case { key: *key, message: b"any message".to_vec(), signature }
        })
        .collect();

    assert_eq!(encodings.len(), 14);
    assert_eq!(agree(&cases, &[1; 32]), 196);
    agree_on_known_keys(&cases, &[1; 32]);
}

#[test]
fn vectors_of_others_are_accepted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let vectors = std::env::var_os("LEDGERCORE_VECTORS")
        .map_or_else(|| root.join("../shared/vectors"), |given| root.join(given));
    let Ok(text) = std::fs::read_to_string(vectors.join("ed25519_zip215_small_order.json")) else {
        println!("skipped: no shared vectors here");
        return;
    };
    let field = |case: &str, name: &str| -> String {
        let from = case.find(name).expect("every case has it") + name.len();
        case[from..].split('"').nth(2).expect("it is text").to_owned()
    };
    let cases: Vec<Case> = text
        .split('{')
        .filter(|part| part.contains("public_key"))
        .map(|part| Case {
            key: decode_hex(&field(part, "public_key")).try_into().expect("32 bytes"),
            message: field(part, "message_utf8").into_bytes(),
            signature: decode_hex(&field(part, "\"signature")).try_into().expect("64 bytes"),
        })
        .collect();

    assert_eq!(cases.len(), 196);
    assert_eq!(agree(&cases, &[2; 32]), 196);
    agree_on_known_keys(&cases, &[2; 32]);
}

fn decode_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().map(|digit| digit.to_digit(16).expect("hexadecimal") as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Non-canonical encodings of points of large order, too: those that decode are keys like others.
#[test]
fn encodings_that_are_not_reduced_decode_where_they_are_points() {
    let keys: Vec<[u8; 32]> = (0..19).map(field_prime_plus).collect();
    let points = keys.iter().filter(|key| CompressedEdwardsY(**key).decompress().is_some());

    assert!((2..19).contains(&points.count()));
    for key in keys {
        assert_eq!(
            CompressedEdwardsY(key).decompress().is_some(),
            VerificationKey::try_from(key).is_ok()
        );
    }
}

#[test]
fn a_scalar_out_of_range_is_refused() {
    for number in [1, 2, 3] {
        let half = Half::Scalar(number);
        let good = build(&half, &half, b"message".to_vec(), &Damage::None);
        let wrong = build(&half, &half, b"message".to_vec(), &Damage::OrderAdded);
        let cases = [vec![good; 9], vec![wrong]].concat();

        assert_eq!(agree(&cases, &[3; 32]), 9);
    }
}

/// Signatures of that many keys in turn, which no other test uses under another name.
fn honest(count: usize, keys: usize, name: &str) -> Vec<Case> {
    let seed = |number: usize| blake3::hash(format!("{name} {number}").as_bytes());
    let keys: Vec<SigningKey> =
        (0..keys).map(|number| SigningKey::from_seed(seed(number).as_bytes())).collect();
    (0..count)
        .map(|at| {
            let key = &keys[at % keys.len()];
            let message = (at as u64).to_le_bytes().to_vec();
            Case { key: key.public_key(), signature: key.sign(&message), message }
        })
        .collect()
}

#[test]
fn every_bad_signature_of_a_thousand_is_named() {
    // Seven keys have tables of their multiples; a thousand have none, and make one equation.
    for (keys, step) in [7, 1000]
        .into_iter()
        .flat_map(|keys| [1000, 333, 64, 17, 2, 1].into_iter().map(move |step| (keys, step)))
    {
        let mut cases = honest(1000, keys, "a thousand");
        assert_eq!(batch_refuses(&cases, &[4; 32]), [0_usize; 0]);
        let bad: Vec<usize> = (step / 2..1000).step_by(step).collect();
        for at in &bad {
            // Equations that fail, points that do not decode, and scalars out of range.
            match at % 3 {
                0 => cases[*at].message.push(1),
                1 => cases[*at].signature[..32].copy_from_slice(&field_prime_plus(2)),
                _ => add_order(&mut cases[*at].signature),
            }
        }
        assert_eq!(batch_refuses(&cases, &[5; 32]), bad, "one in {step} of {keys} keys");
    }
}

#[test]
fn errors_that_cancel_out_are_named() {
    for count in [8, 100] {
        let mut cases = honest(count, count, "cancel out");
        for (at, amount) in [(2, Scalar::ONE), (5, -Scalar::ONE)] {
            let s: [u8; 32] = cases[at].signature[32..].try_into().expect("half of 64 bytes");
            let moved = Scalar::from_canonical_bytes(s).expect("signed just now") + amount;
            cases[at].signature[32..].copy_from_slice(moved.as_bytes());
        }
        assert_eq!(batch_refuses(&cases, &[6; 32]), [2, 5]);
    }
}

#[test]
fn sizes_around_the_thresholds_agree() {
    for count in [0, 1, 7, 8, 9, 63, 64, 65, 129] {
        let mut cases = honest(count, count / 2 + 1, "thresholds");
        assert_eq!(batch_refuses(&cases, &[7; 32]), [0_usize; 0], "{count} good");
        if let Some(last) = cases.last_mut() {
            last.signature[63] ^= 0x80;
            assert_eq!(batch_refuses(&cases, &[7; 32]), [count - 1], "{count} with one bad");
        }
    }
}
