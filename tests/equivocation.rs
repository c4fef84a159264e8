//! Two records of one key, network and sequence prove their signer's fault; nothing else does.

use ledgercore::Suite;
use ledgercore::equivocation::Equivocation;
use ledgercore::key::SigningKey;
use ledgercore::record::{Draft, Record};
use ledgercore::wire::{Reader, Writer};

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
    Record::sign(draft, &SigningKey::from_seed(&[7; 32])).expect("it is within every limit")
}

#[test]
fn two_records_of_one_sequence_are_a_proof() {
    let (one, other) = (signed(&draft(b"one")), signed(&draft(b"other")));

    let proof = Equivocation::verify(one.clone(), other.clone()).expect("they contradict");

    assert_eq!(proof, Equivocation::verify(other.clone(), one.clone()).expect("in either order"));
    assert_eq!(proof, Equivocation::decode(&proof.encode()).expect("it was encoded here"));
    assert!(proof.first().record().id() < proof.second().record().id());
    assert!([&one, &other].contains(&proof.first().record()));
}

#[test]
fn records_that_do_not_contradict_are_no_proof() {
    let one = signed(&draft(b"one"));
    let stranger = SigningKey::from_seed(&[8; 32]);
    let unsigned = Record::from_envelope(&one.envelope(), b"forged").expect("it is well formed");
    for other in [
        one.clone(),
        signed(&Draft { sequence: 6, ..draft(b"other") }),
        signed(&Draft { network: [9; 16], ..draft(b"other") }),
        Record::sign(&draft(b"other"), &stranger).expect("it is within every limit"),
        unsigned,
    ] {
        assert!(Equivocation::verify(one.clone(), other.clone()).is_err(), "{other:?}");
        assert!(Equivocation::verify(other, one.clone()).is_err());
    }
}

#[test]
fn every_flipped_byte_of_a_proof_is_refused() {
    let proof = Equivocation::verify(signed(&draft(b"one")), signed(&draft(b"other")))
        .expect("they contradict")
        .encode();
    for at in 0..proof.len() {
        let mut bytes = proof.clone();
        bytes[at] ^= 0x10;
        assert!(Equivocation::decode(&bytes).is_err(), "byte {at}");
    }
    let mut reader = Reader::new(&proof);
    reader.array_of("proof", 3).and_then(|()| reader.uint()).expect("its version");
    let first = reader.bin("record", proof.len()).expect("its first record");
    let second = reader.bin("record", proof.len()).expect("its second record");
    for pair in [[second, first], [first, first]] {
        let mut writer = Writer::default();
        writer.array(3);
        writer.uint(1);
        pair.iter().for_each(|record| writer.bin(record));
        assert!(Equivocation::decode(&writer.into_bytes()).is_err());
    }
}
