"""The state map against the reference; what is there and what is not."""

from __future__ import annotations

import random

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgercore import InvalidProof, LedgerError, StateProof
from ledgercore._core import Map, verify_states
from tests import reference
from tests.examples import examples

SUITES = st.sampled_from(["std", "c2sp"])
OBJECTS = st.binary(max_size=4)
CHANGES = st.lists(st.tuples(OBJECTS, st.none() | st.binary(max_size=8)), max_size=60)


def built(suite: str, states: dict[bytes, bytes]) -> Map:
    return Map(suite).update(list(states.items()))


@examples(300)
@given(SUITES, st.lists(CHANGES, max_size=4))
def test_updates_give_the_root_of_the_content(suite: str, updates: list[list]) -> None:
    states: dict[bytes, bytes] = {}
    map_ = Map(suite)
    for changes in updates:
        map_ = map_.update(changes)
        for name, value in changes:
            states.pop(name, None)
            if value is not None:
                states[name] = value

    assert map_.root() == reference.map_root(suite, states)
    assert len(map_) == len(states)


def test_the_order_of_insertion_does_not_matter() -> None:
    states = {b"object/%d" % number: b"%d" % number for number in range(500)}
    want = reference.map_root("std", states)
    choose = random.Random(3)
    for _ in range(5):
        items = list(states.items())
        choose.shuffle(items)
        map_ = Map("std")
        for item in items:
            map_ = map_.update([item])
        assert map_.root() == want


def test_an_update_leaves_the_old_version_as_it_was() -> None:
    old = built("std", {b"a": b"1", b"b": b"2"})
    root = old.root()
    new = old.update([(b"a", b"9"), (b"b", None)])

    assert (old.root(), len(old)) == (root, 2)
    assert new.root() == built("std", {b"a": b"9"}).root()


@pytest.mark.parametrize("suite", ["std", "c2sp"])
def test_presence_and_absence_are_proven(suite: str) -> None:
    states = {b"object/%d" % number: b"state %d" % number for number in range(300)}
    map_ = built(suite, states)
    for name in [*states, *(b"absent/%d" % number for number in range(300))]:
        proof = StateProof.decode(map_.prove(name, states.get(name)).encode())
        proof.verify(suite, map_.root())
        assert (proof.object, proof.value) == (name, states.get(name))


def test_the_empty_map_proves_absence() -> None:
    Map("std").prove(b"anything", None).verify("std", bytes(32))


def test_what_is_not_so_is_not_proven() -> None:
    map_ = built("std", {b"a": b"1"})
    for name, value in ((b"a", b"2"), (b"a", None), (b"b", b"1")):
        with pytest.raises(InvalidProof):
            map_.prove(name, value)


@pytest.mark.parametrize("suite", ["std", "c2sp"])
@pytest.mark.parametrize("name", [b"object/7", b"absent"])
def test_every_changed_byte_of_a_proof_is_refused(suite: str, name: bytes) -> None:
    states = {b"object/%d" % number: b"state" for number in range(40)}
    map_ = built(suite, states)
    encoded = map_.prove(name, states.get(name)).encode()
    for at in range(len(encoded)):
        for change in (1, 0x80):
            wrong = bytearray(encoded)
            wrong[at] ^= change
            try:
                proof = StateProof.decode(bytes(wrong))
                proof.verify(suite, map_.root())
            except LedgerError as alone:
                with pytest.raises(type(alone), match=r"^state proof 3: |want at most"):
                    verify_states(suite, [encoded] * 3 + [bytes(wrong)] * 70, map_.root())
                continue
            # Another name that is absent too may end at the same place: a true claim, not this one.
            assert proof.value is None and proof.object != name and proof.object not in states


@examples(200)
@given(SUITES, st.dictionaries(OBJECTS, st.binary(max_size=4), min_size=1), st.data())
def test_true_siblings_prove_no_other_value(
    suite: str, states: dict[bytes, bytes], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(states)))
    wrong = data.draw(st.none() | st.binary(max_size=4).filter(lambda it: it != states[name]))
    map_ = built(suite, states)
    _, value, siblings, other = msgpack.unpackb(map_.prove(name, states[name]).encode())
    assert (value, other) == (states[name], None)
    entry = [
        reference.domain_hash(suite, "state-key", name),
        reference.domain_hash(suite, "state-value", value),
    ]
    true = StateProof.decode(msgpack.packb([name, value, siblings, None]))
    true.verify(suite, map_.root())
    for other in (None, entry) if wrong is None else (None,):
        false = StateProof.decode(msgpack.packb([name, wrong, siblings, other]))
        with pytest.raises(InvalidProof):
            false.verify(suite, map_.root())


def test_a_proof_does_not_hold_for_another_root() -> None:
    old = built("std", {b"a": b"1", b"b": b"2"})
    proof = old.prove(b"a", b"1")
    with pytest.raises(InvalidProof):
        proof.verify("std", old.update([(b"b", b"3")]).root())
