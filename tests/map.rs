//! The state map's root is that of its content, and its proofs show that content only.

use std::collections::BTreeMap;

use ledgercore::map::{EMPTY, Map, StateProof};
use ledgercore::wire::Writer;
use ledgercore::{Domain, Error, Hash, Suite, limits};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

const SUITES: [Suite; 2] = [Suite::Std, Suite::C2sp];

type States = BTreeMap<Vec<u8>, Vec<u8>>;

/// The map's root by plain recursion over keys and hashes of values.
fn naive_root(suite: Suite, states: &States) -> Hash {
    let entry = |(name, value): (&Vec<u8>, &Vec<u8>)| {
        (suite.hash(Domain::StateKey, name), suite.hash(Domain::StateValue, value))
    };
    subtree(suite, &states.iter().map(entry).collect::<Vec<_>>(), 0)
}

fn subtree(suite: Suite, entries: &[(Hash, Hash)], depth: usize) -> Hash {
    match entries {
        [] => EMPTY,
        [(key, value)] => suite.hash(Domain::StateLeaf, &[*key, *value].concat()),
        _ => {
            let (right, left): (Vec<_>, Vec<_>) =
                entries.iter().partition(|(key, _)| key[depth / 8] << (depth % 8) & 0x80 != 0);
            let halves = [subtree(suite, &left, depth + 1), subtree(suite, &right, depth + 1)];
            suite.hash(Domain::StateNode, &halves.concat())
        }
    }
}

fn built(suite: Suite, states: &States) -> Map {
    let changes: Vec<(&[u8], Option<&[u8]>)> =
        states.iter().map(|(name, value)| (name.as_slice(), Some(value.as_slice()))).collect();
    Map::new(suite).update(&changes).unwrap()
}

fn numbered(count: u32) -> States {
    (0..count).map(|number| (number.to_be_bytes().to_vec(), vec![number as u8])).collect()
}

/// The wire form of a claim, true or not.
fn encoded(
    object: &[u8],
    value: Option<&[u8]>,
    siblings: &[Hash],
    other: Option<(Hash, Hash)>,
) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.array(4);
    writer.bin(object);
    match value {
        Some(value) => writer.bin(value),
        None => writer.nil(),
    }
    writer.array(siblings.len());
    siblings.iter().for_each(|sibling| writer.bin(sibling));
    match other {
        Some((key, value_hash)) => {
            writer.array(2);
            writer.bin(&key);
            writer.bin(&value_hash);
        }
        None => writer.nil(),
    }
    writer.into_bytes()
}

fn accepts(suite: Suite, claim: &[u8], root: &Hash) -> bool {
    match StateProof::decode(claim).unwrap().verify(suite, root) {
        Ok(()) => true,
        Err(Error::Proof(_)) => false,
        Err(other) => panic!("unexpected: {other}"),
    }
}

fn any_suite() -> impl Strategy<Value = Suite> {
    prop::sample::select(SUITES.to_vec())
}

fn names() -> impl Strategy<Value = Vec<u8>> {
    vec(0..4_u8, 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_updates_give_the_root_of_the_content(
        suite in any_suite(),
        updates in vec(vec((names(), prop::option::of(vec(any::<u8>(), 0..3))), 0..40), 0..5),
    ) {
        let mut states = States::new();
        let mut map = Map::new(suite);
        for changes in &updates {
            let root = naive_root(suite, &states);
            let slices: Vec<(&[u8], Option<&[u8]>)> =
                changes.iter().map(|(name, value)| (&name[..], value.as_deref())).collect();
            let before = std::mem::replace(&mut map, Map::new(suite));
            map = before.update(&slices).unwrap();
            for (name, value) in changes {
                match value {
                    Some(value) => states.insert(name.clone(), value.clone()),
                    None => states.remove(name),
                };
            }
            prop_assert_eq!(map.root(), naive_root(suite, &states));
            prop_assert_eq!(map.len(), states.len());
            prop_assert_eq!(before.root(), root);
        }
    }

    #[test]
    fn every_name_has_one_proof_and_only_for_what_it_is(
        suite in any_suite(),
        states in btree_map(names(), vec(any::<u8>(), 0..3), 0..60),
        name in names(),
        wrong in vec(any::<u8>(), 0..3),
    ) {
        let map = built(suite, &states);
        let truth = states.get(&name).map(Vec::as_slice);
        let proof = map.prove(&name, truth).unwrap();
        prop_assert_eq!(&StateProof::decode(&proof.encode()).unwrap(), &proof);
        proof.verify(suite, &map.root()).unwrap();
        prop_assert_eq!((proof.object(), proof.value()), (&name[..], truth));
        let value_hash = truth.map(|it| suite.hash(Domain::StateValue, it));
        prop_assert_eq!(map.value_hash(&name), Ok(value_hash));
        if truth != Some(&wrong) {
            prop_assert!(matches!(map.prove(&name, Some(&wrong)), Err(Error::Proof(_))));
        }
        if truth.is_some() {
            prop_assert!(matches!(map.prove(&name, None), Err(Error::Proof(_))));
        }
    }

    #[test]
    fn no_proof_panics_whatever_its_bytes(
        bytes in vec(any::<u8>(), 0..200), cut in any::<usize>(),
    ) {
        let good = built(Suite::Std, &numbered(50)).prove(&[1, 2, 3], None).unwrap().encode();
        for claim in [&bytes[..], &good[..cut % good.len()], &[&good[..], &bytes, &[0]].concat()] {
            let refused = StateProof::decode(claim).unwrap_err();
            let expected = matches!(refused, Error::Malformed(_) | Error::Limit { .. });
            prop_assert!(expected, "{refused:?}");
        }
    }
}

#[test]
fn true_siblings_prove_no_false_claim() {
    for suite in SUITES {
        let states = numbered(100);
        let (map, root) = (built(suite, &states), built(suite, &states).root());
        for (name, value) in &states {
            let without = map.update(&[(name, None)]).unwrap();
            let key = suite.hash(Domain::StateKey, name);
            let value_hash = suite.hash(Domain::StateValue, value);
            let siblings = siblings_of(&map.prove(name, Some(value)).unwrap());
            let claim = |value, siblings: &[Hash], other| encoded(name, value, siblings, other);
            assert!(accepts(suite, &claim(Some(&value[..]), &siblings, None), &root));
            assert!(!accepts(suite, &claim(Some(b"another"), &siblings, None), &root));
            assert!(!accepts(suite, &claim(Some(&[]), &siblings, None), &root));
            assert!(!accepts(suite, &claim(None, &siblings, None), &root));
            assert!(!accepts(suite, &claim(None, &siblings, Some((key, value_hash))), &root));
            assert!(!accepts(suite, &claim(Some(&value[..]), &siblings[1..], None), &root));
            assert!(!accepts(suite, &claim(Some(&value[..]), &siblings, None), &without.root()));
            let absent = without.prove(name, None).unwrap().encode();
            assert!(accepts(suite, &absent, &without.root()));
            assert!(!accepts(suite, &absent, &root));
        }
    }
}

/// The siblings of an encoded proof of presence.
fn siblings_of(proof: &StateProof) -> Vec<Hash> {
    let bytes = proof.encode();
    let mut reader = ledgercore::wire::Reader::new(&bytes);
    reader.array_of("state proof", 4).unwrap();
    reader.bin("object", limits::OBJECT_BYTES).unwrap();
    reader.bin("value", limits::STATE_BYTES).unwrap();
    let count = reader.array().unwrap();
    (0..count).map(|_| reader.bin_of("sibling").unwrap()).collect()
}

#[test]
fn another_entry_proves_absence_only_where_it_is_in_the_way() {
    let suite = Suite::Std;
    let only = States::from([(b"only".to_vec(), b"state".to_vec())]);
    let root = built(suite, &only).root();
    let key = suite.hash(Domain::StateKey, b"only");
    let entry = Some((key, suite.hash(Domain::StateValue, b"state")));
    assert!(accepts(suite, &encoded(b"absent", None, &[], entry), &root));
    assert!(!accepts(suite, &encoded(b"only", None, &[], entry), &root));

    // A tree that no map makes: the entry stands on one side at the root, the object's way leads
    // to the other. The hashes are right, the entry is not in the object's way.
    let leaf = naive_root(suite, &only);
    let absent = (0..)
        .map(|number: u8| vec![number])
        .find(|name| suite.hash(Domain::StateKey, name)[0] >> 7 != key[0] >> 7)
        .unwrap();
    let pair = if key[0] >> 7 == 0 { [EMPTY, leaf] } else { [leaf, EMPTY] };
    let odd = suite.hash(Domain::StateNode, &pair.concat());
    assert!(!accepts(suite, &encoded(&absent, None, &[EMPTY], entry), &odd));
}

#[test]
fn names_states_and_proofs_have_limits() {
    let map = Map::new(Suite::Std);
    let (name, state) = (vec![0; limits::OBJECT_BYTES + 1], vec![0; limits::STATE_BYTES + 1]);
    let refuse = |changes: &[(&[u8], Option<&[u8]>)]| map.update(changes).unwrap_err().to_string();
    assert_eq!(refuse(&[(&name, None)]), "object name bytes is 129, want at most 128");
    assert_eq!(refuse(&[(b"a", Some(&state))]), "state bytes is 65537, want at most 65536");
    map.update(&[(&name[1..], Some(&state[1..]))]).unwrap();
    let long = encoded(b"a", None, &[EMPTY; limits::STATE_SIBLINGS + 1], None);
    assert!(matches!(StateProof::decode(&long), Err(Error::Limit { got: 257, .. })));
    let both = encoded(b"a", Some(b"b"), &[], Some((EMPTY, EMPTY)));
    assert!(matches!(StateProof::decode(&both), Err(Error::Malformed(_))));
}
