//! A record has one encoding, and no byte of it can change under its signature.

use ed25519_zebra::{Signature as JudgeSignature, VerificationKey};
use ledgercore::key::SigningKey;
use ledgercore::record::{
    Draft, Record, VerifiedRecord, decode_all, encode_bundle, hash_bundles, leaf_hashes,
    sign_chain, split_bundle, verify_all,
};
use ledgercore::wire::Writer;
use ledgercore::{Error, Hash, Suite, limits};
use proptest::collection::vec;
use proptest::prelude::*;

const SUITES: [Suite; 2] = [Suite::Std, Suite::C2sp];

fn signing_key() -> SigningKey {
    SigningKey::from_seed(&[7; 32])
}

fn draft(body: &[u8]) -> Draft<'_> {
    Draft {
        network: [1; 16],
        kind: "data",
        suite: Suite::Std,
        sequence: 5,
        previous: [2; 32],
        references: &[],
        not_before_ms: 0,
        expiry_ms: 0,
        body,
    }
}

fn signed(draft: &Draft) -> Record {
    Record::sign(draft, &signing_key()).expect("the draft is within every limit")
}

/// Header values as bytes, each of which a test may replace by another encoding.
struct Parts(Vec<Vec<u8>>);

impl Parts {
    fn new(body: &[u8]) -> Self {
        let part = |write: &dyn Fn(&mut Writer)| {
            let mut writer = Writer::default();
            write(&mut writer);
            writer.into_bytes()
        };
        Self(vec![
            part(&|writer| writer.uint(1)),
            part(&|writer| writer.bin(&[1; 16])),
            part(&|writer| writer.text("data")),
            part(&|writer| writer.uint(1)),
            part(&|writer| writer.bin(&signing_key().public_key())),
            part(&|writer| writer.uint(5)),
            part(&|writer| writer.bin(&[2; 32])),
            part(&|writer| writer.array(0)),
            part(&|writer| writer.uint(0)),
            part(&|writer| writer.uint(0)),
            part(&|writer| writer.bin(body)),
        ])
    }

    fn with(mut self, position: usize, bytes: &[u8]) -> Self {
        self.0[position] = bytes.to_vec();
        self
    }

    /// The record, with a signature of zeros: decoding does not look at it.
    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.array(2);
        writer.array(self.0.len());
        self.0.iter().for_each(|part| writer.raw(part));
        writer.bin(&[0; 64]);
        writer.into_bytes()
    }

    fn refusal(&self) -> String {
        match Record::decode(&self.encode()) {
            Ok(record) => panic!("accepted: {:02x?}", record.encode()),
            Err(error) => error.to_string(),
        }
    }
}

fn text(value: &str) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.text(value);
    writer.into_bytes()
}

fn bins(count: usize) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.array(count);
    (0..count).for_each(|_| writer.bin(&[3; 32]));
    writer.into_bytes()
}

prop_compose! {
    fn bodies()(size in prop_oneof![0..40_usize, 250..260_usize, Just(limits::BODY_BYTES)],
        fill in any::<u8>()) -> Vec<u8> { vec![fill; size] }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn every_field_survives(
        kind in prop_oneof!["data", "[a-z.-]{1,64}"],
        c2sp in any::<bool>(),
        sequence in any::<u64>(),
        times in any::<(u64, u64)>(),
        references in vec(any::<Hash>(), 0..=limits::REFERENCES),
        network in any::<[u8; 16]>(),
        previous in any::<Hash>(),
        data in bodies(),
    ) {
        // One byte string in an array, for kinds that want an array.
        let mut array = Writer::default();
        array.array(1);
        array.bin(&data[..data.len().min(limits::BODY_BYTES - 4)]);
        let array = array.into_bytes();
        let draft = Draft {
            network,
            kind: &kind,
            suite: SUITES[usize::from(c2sp)],
            sequence,
            previous,
            references: &references,
            not_before_ms: times.0,
            expiry_ms: times.1,
            body: if kind == "data" { &data } else { &array },
        };

        let record = signed(&draft);
        let again = Record::decode(record.encode()).expect("it was encoded here");

        prop_assert_eq!(&again, &record);
        prop_assert_eq!(again.id(), record.id());
        prop_assert_eq!(again.network(), &draft.network);
        prop_assert_eq!(again.kind(), draft.kind);
        prop_assert_eq!(again.suite(), draft.suite);
        prop_assert_eq!(again.key(), &signing_key().public_key());
        prop_assert_eq!(again.sequence(), draft.sequence);
        prop_assert_eq!(again.previous(), &draft.previous);
        prop_assert_eq!(again.references(), draft.references);
        prop_assert_eq!(again.not_before_ms(), draft.not_before_ms);
        prop_assert_eq!(again.expiry_ms(), draft.expiry_ms);
        prop_assert_eq!(again.body(), draft.body);
        prop_assert_eq!(&Record::from_envelope(&again.envelope(), draft.body).unwrap(), &record);
        let verified = again.verify().expect("it was signed here");
        prop_assert_eq!(verified.leaf(), &draft.suite.leaf(record.encode()));
    }

    #[test]
    fn bytes_that_decode_are_the_one_encoding(bytes in vec(any::<u8>(), 0..400)) {
        // Bare noise hardly ever decodes; noise in place of the body and signature does.
        let mut record = signed(&draft(&[0; 40])).encode().to_vec();
        let from = record.len() - 107;
        let count = bytes.len().min(107);
        record[from..from + count].copy_from_slice(&bytes[..count]);
        for bytes in [bytes, record] {
            if let Ok(record) = Record::decode(&bytes) {
                prop_assert_eq!(record.encode(), &bytes[..]);
            }
        }
    }
}

#[test]
fn a_signature_covers_context_network_and_id() {
    for suite in SUITES {
        let record = signed(&Draft { suite, ..draft(b"payload") });
        let mut message = b"\x14ledgercore record v1".to_vec();
        message.extend(record.network());
        message.extend(record.id());

        assert_eq!(message.len(), 69);
        VerificationKey::try_from(*record.key())
            .and_then(|key| key.verify(&JudgeSignature::from(*record.signature()), &message))
            .expect("another implementation accepts it");
    }
}

#[test]
fn stored_bundles_have_the_hashes_of_their_records() {
    for suite in SUITES {
        let bodies: Vec<Vec<u8>> = (0..300).map(|at| vec![at as u8; at % 70]).collect();
        let body = |at: &usize| signed(&Draft { suite, ..draft(&bodies[*at]) });
        let records: Vec<Record> = (0..300).collect::<Vec<_>>().iter().map(body).collect();
        let bundles: Vec<Vec<u8>> =
            records.chunks(256).map(|some| encode_bundle(some.iter())).collect();
        let bundles: Vec<&[u8]> = bundles.iter().map(Vec::as_slice).collect();
        let (ids, leaves) = hash_bundles(suite, &bundles).expect("whole bundles");
        assert_eq!(ids, records.iter().map(|record| *record.id()).collect::<Vec<_>>());
        assert_eq!(leaves, leaf_hashes(&records));
    }
    let mut writer = Writer::with_capacity(80);
    writer.array(1);
    writer.bin(&[0; 66]);
    let refused = hash_bundles(Suite::Std, &[&writer.into_bytes()]).expect_err("no header");
    assert_eq!(refused.to_string(), "record has 66 bytes, want a header and a signature");
}

#[test]
fn every_flipped_bit_is_refused() {
    for suite in SUITES {
        let references = [[4; 32]];
        let body = [0x91, 0xa1, b'x'];
        let draft =
            Draft { suite, kind: "a.b", references: &references, expiry_ms: 300, ..draft(&body) };
        let record = signed(&draft);
        let (mut malformed, mut unsigned) = (0, 0);
        for bit in 0..record.encode().len() * 8 {
            let mut bytes = record.encode().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            match Record::decode(&bytes) {
                Err(_) => malformed += 1,
                Ok(other) => {
                    let same_id = other.id() == record.id();
                    assert_eq!(same_id, other.signature() != record.signature(), "bit {bit}");
                    assert!(other.verify().is_err(), "bit {bit}");
                    unsigned += 1;
                }
            }
        }
        assert!(malformed > 100 && unsigned > 1000, "{malformed} {unsigned}");
    }
}

#[test]
fn a_record_that_is_cut_or_followed_is_refused() {
    let record = signed(&draft(b"payload"));
    for end in 0..record.encode().len() {
        assert!(Record::decode(&record.encode()[..end]).is_err(), "cut at {end}");
    }
    for byte in 0..=0xff {
        let bytes = [record.encode(), &[byte]].concat();
        assert!(Record::decode(&bytes).is_err(), "followed by {byte}");
    }
}

#[test]
fn values_out_of_bounds_are_refused() {
    assert!(Record::decode(&Parts::new(b"").encode()).is_ok(), "the control");
    for (position, bytes, reason) in [
        (0, vec![2], "record version is 2, want 1"),
        (1, vec![0xc4, 1, 0], "network has 1 bytes, want 16"),
        (2, text(""), "kind is \"\""),
        (2, text("Data"), "kind is \"Data\""),
        (2, text("data\0"), "kind is"),
        (2, text(&"a".repeat(65)), "kind is 65, want at most 64"),
        (3, vec![0], "suite id is 0"),
        (3, vec![2], "suite gm is reserved"),
        (3, vec![4], "suite id is 4"),
        (4, vec![0xc4, 0], "key has 0 bytes, want 32"),
        (5, vec![0xcc, 5], "5 is not in its shortest form"),
        (5, vec![0xff], "want an unsigned integer"),
        (6, vec![0xc0], "want a byte string"),
        (7, bins(17), "references is 17, want at most 16"),
        (7, vec![0xdd, 0xff, 0xff, 0xff, 0xff], "references is 4294967295"),
        (8, vec![0xca, 0, 0, 0, 0], "want an unsigned integer"),
        (10, vec![0xc0], "want a byte string"),
        (10, vec![0xc5, 0, 1, 9], "1 is not in its shortest form"),
        (10, vec![0xc6, 0xff, 0xff, 0xff, 0xff], "body bytes is 4294967295"),
    ] {
        let got = Parts::new(b"").with(position, &bytes).refusal();
        assert!(got.contains(reason), "{got:?} has no {reason:?}");
    }
}

#[test]
fn a_body_that_is_not_opaque_is_one_canonical_array() {
    for (body, accepted) in [
        (&[0x90][..], true),
        (&[0x92, 1, 0xa1, b'a'], true),
        (&[], false),
        (&[1], false),
        (&[0x80], false),
        (&[0x90, 0], false),
        (&[0x91, 0xcc, 1], false),
        (&[0x91, 0xca, 0, 0, 0, 0], false),
        (&[0xdd, 0xff, 0xff, 0xff, 0xff], false),
        (&[0x91; 9], false),
    ] {
        let of_kind = Parts::new(body).with(2, &text("x.y")).encode();
        assert_eq!(Record::decode(&of_kind).is_ok(), accepted, "{body:02x?}");
        assert!(Record::decode(&Parts::new(body).encode()).is_ok(), "data is opaque");
    }
}

#[test]
fn nobody_can_sign_what_does_not_decode() {
    let long = vec![0; limits::BODY_BYTES + 1];
    let references = vec![[0; 32]; limits::REFERENCES + 1];
    let key = signing_key();

    assert!(matches!(Record::sign(&draft(&long), &key), Err(Error::Limit { .. })));
    assert!(matches!(sign_chain(&draft(b""), &[&long], &key), Err(Error::Limit { .. })));
    for wrong in [
        Draft { references: &references, ..draft(b"") },
        Draft { kind: "Data", ..draft(b"") },
        Draft { kind: "x.y", ..draft(b"not an array") },
    ] {
        assert!(Record::sign(&wrong, &key).is_err(), "{wrong:?}");
    }
    assert!(Record::sign(&draft(&long[1..]), &key).is_ok(), "the limit itself is allowed");
}

#[test]
fn an_envelope_takes_one_body_and_no_other() {
    let record = signed(&draft(b"payload"));
    let envelope = record.envelope();

    let other = Record::from_envelope(&envelope, b"Payload").expect("it is well formed");
    assert_ne!(other.id(), record.id());
    assert!(other.verify().is_err());
    assert!(Record::from_envelope(record.encode(), b"payload").is_err());
    for end in 0..envelope.len() {
        assert!(Record::from_envelope(&envelope[..end], b"payload").is_err(), "cut at {end}");
    }
    let long = vec![0; limits::BODY_BYTES + 1];
    assert!(matches!(Record::from_envelope(&envelope, &long), Err(Error::Limit { .. })));
}

fn chain(count: usize) -> Vec<Record> {
    let bodies: Vec<[u8; 8]> = (0..count as u64).map(u64::to_le_bytes).collect();
    let bodies: Vec<&[u8]> = bodies.iter().map(<[u8; 8]>::as_slice).collect();
    sign_chain(&draft(b""), &bodies, &signing_key()).expect("the bodies are short")
}

#[test]
fn a_chain_is_its_records_signed_one_by_one() {
    let mut previous = draft(b"").previous;
    for (number, record) in (0_u64..).zip(chain(40)) {
        let body = number.to_le_bytes();
        let alone = signed(&Draft { sequence: 5 + number, previous, ..draft(&body) });
        assert_eq!(record, alone);
        previous = *alone.id();
    }
}

#[test]
fn a_chain_ends_before_its_numbers_do() {
    let first = |sequence| Draft { sequence, ..draft(b"") };

    assert!(sign_chain(&first(u64::MAX - 2), &[b"a", b"b"], &signing_key()).is_ok());
    assert!(sign_chain(&first(u64::MAX - 1), &[b"a", b"b"], &signing_key()).is_err());
    assert!(sign_chain(&first(u64::MAX), &[b"a"], &signing_key()).is_err());
}

#[test]
fn a_batch_names_what_is_wrong_with_it() {
    let mut records = chain(600);
    let encoded: Vec<Vec<u8>> = records.iter().map(|record| record.encode().to_vec()).collect();
    let mut slices: Vec<&[u8]> = encoded.iter().map(Vec::as_slice).collect();
    assert_eq!(decode_all(&slices, None).as_ref(), Ok(&records));

    slices[300] = &[];
    slices[500] = &[];
    assert!(matches!(decode_all(&slices, None), Err(Error::MalformedItem { index: 300, .. })));

    let verified = verify_all(&records, &[1; 32]).expect("all were signed");
    let leaves: Vec<Hash> = verified.iter().map(|record| *record.leaf()).collect();
    assert_eq!(leaves, leaf_hashes(&records));
    assert!(verified.iter().map(VerifiedRecord::record).eq(&records));

    for at in [0, 299, 599] {
        let body = [at as u8; 9];
        records[at] = Record::from_envelope(&records[at].envelope(), &body).expect("well formed");
    }
    let refused = Error::Signature { indices: vec![0, 299, 599], count: 600 };
    assert_eq!(verify_all(&records, &[1; 32]), Err(refused));
}

#[test]
fn a_bundle_splits_into_its_records() {
    let records = chain(limits::BUNDLE_RECORDS);
    for count in [0, 1, 15, 16, 256] {
        let bundle = encode_bundle(records[..count].iter());
        let parts = split_bundle(&bundle).expect("it was encoded here");
        assert!(parts.into_iter().eq(records[..count].iter().map(Record::encode)));
        assert!(split_bundle(&[&bundle[..], &[0]].concat()).is_err());
        assert!(split_bundle(&bundle[..bundle.len() - 1]).is_err());
    }
    for hostile in [&[0xdc, 1, 1][..], &[0xdd, 0xff, 0xff, 0xff, 0xff], &[0x91, 1], &[]] {
        assert!(split_bundle(hostile).is_err(), "{hostile:02x?}");
    }
}
