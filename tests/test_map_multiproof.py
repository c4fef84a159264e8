"""Many states with one proof, held to a reading of the specification by hand."""

from __future__ import annotations

import random
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgercore import InvalidProof, LedgerError, LimitError, MalformedError
from ledgercore._core import Map, StateMultiproof, verify_states
from tests import reference
from tests.examples import examples
from tests.test_map import CHANGES, OBJECTS, SUITES, built

EMPTY = bytes(32)
States = dict[bytes, bytes]
Claims = list[tuple[bytes, bytes | None]]


def key(suite: str, name: bytes) -> bytes:
    return reference.domain_hash(suite, "state-key", name)


def bits(data: bytes) -> str:
    return "".join(f"{byte:08b}" for byte in data)


def judge(suite: str, data: bytes) -> bytes:
    """The root that a multiproof leads to; KeyError, IndexError or AssertionError where none."""
    claims, shape, hashes, ends = msgpack.unpackb(data)
    ways = [bits(key(suite, name)) for name, _ in claims]
    assert ways == sorted(set(ways))
    marks = list(bits(shape).rstrip("0")[:-1])

    def leaf(entry_key: bytes, value_hash: bytes) -> bytes:
        return reference.domain_hash(suite, "state-leaf", entry_key + value_hash)

    def fold(prefix: str) -> bytes:
        here = [at for at, way in enumerate(ways) if way.startswith(prefix)]
        if not here:
            return hashes.pop(0)
        if marks.pop(0) == "1":
            left = fold(prefix + "0")
            return reference.domain_hash(suite, "state-node", left + fold(prefix + "1"))
        present = [claims[at] for at in here if claims[at][1] is not None]
        assert len(present) < 2
        if present:
            ((name, value),) = present
            return leaf(key(suite, name), reference.domain_hash(suite, "state-value", value))
        end = ends.pop(0)
        if end is None:
            return EMPTY
        way = bits(end[0])
        assert way.startswith(prefix) and way not in [ways[at] for at in here]
        return leaf(*end)

    root = fold("")
    assert not (marks or hashes or ends)
    return root


def claims_of(states: States, names: list[bytes]) -> Claims:
    return [(name, states.get(name)) for name in names]


@examples(300)
@given(SUITES, st.dictionaries(OBJECTS, st.binary(max_size=4)), st.sets(OBJECTS), st.randoms())
def test_any_set_of_objects_is_proven(
    suite: str, states: States, others: set[bytes], choose: random.Random
) -> None:
    names = [*others, *(name for name in states if choose.random() < 0.5 and name not in others)]
    choose.shuffle(names)
    map_ = built(suite, states)
    data = map_.prove_multi(claims_of(states, names)).encode()
    proof = StateMultiproof.decode(data)
    proof.verify(suite, map_.root())
    assert proof.encode() == data
    assert sorted(proof.states) == sorted(claims_of(states, names))
    assert judge(suite, data) == map_.root() == reference.map_root(suite, states)


@examples(150)
@given(SUITES, st.lists(CHANGES, min_size=1, max_size=5))
def test_every_version_of_a_history_proves_its_own_content(suite: str, updates: list[Any]) -> None:
    """Whatever was set and removed before, and whatever comes after."""
    states: States = {}
    versions = [(Map(suite), states)]
    for changes in updates:
        map_ = versions[-1][0].update(changes)
        for name, value in changes:
            states = {other: kept for other, kept in states.items() if other != name}
            if value is not None:
                states[name] = value
        versions.append((map_, states))
    names = sorted({name for changes in updates for name, _ in changes})
    for map_, content in versions:
        claims = claims_of(content, names)
        assert map_.root() == reference.map_root(suite, content)
        proofs = [proof.encode() for proof in map_.prove_all(claims)]
        verified = verify_states(suite, proofs, map_.root())
        assert [(proof.object, proof.value) for proof in verified] == claims
        assert judge(suite, map_.prove_multi(claims).encode()) == map_.root()


@examples(200)
@given(SUITES, st.dictionaries(OBJECTS, st.binary(max_size=4), min_size=1), st.data())
def test_no_other_claim_is_proven(suite: str, states: States, data: st.DataObject) -> None:
    """One claim is changed to what is not so; what else the proof says may be anything drawn."""
    names = data.draw(st.lists(st.sampled_from(sorted(states)) | OBJECTS, min_size=1, unique=True))
    map_ = built(suite, states)
    claims, shape, hashes, ends = msgpack.unpackb(
        map_.prove_multi(claims_of(states, names)).encode()
    )
    at = data.draw(st.integers(0, len(claims) - 1))
    true = claims[at][1]
    claims[at][1] = data.draw(st.none() | st.binary(max_size=4).filter(lambda it: it != true))
    if claims[at][1] == true:
        claims[at][1] = b"now present"
    shape = data.draw(st.just(shape) | st.binary(min_size=1, max_size=4))
    extra = [key(suite, claims[at][0]), reference.domain_hash(suite, "state-value", true or b"")]
    ends = data.draw(st.just(ends) | st.lists(st.none() | st.just(extra), max_size=3))
    hashes = data.draw(st.just(hashes) | st.permutations(hashes))
    wrong = msgpack.packb([claims, shape, hashes, ends])
    with pytest.raises(LedgerError):
        StateMultiproof.decode(wrong).verify(suite, map_.root())


@pytest.mark.parametrize("suite", ["std", "c2sp"])
def test_every_changed_byte_is_refused_or_as_true(suite: str) -> None:
    states = {b"object/%d" % number: b"state" for number in range(40)}
    map_ = built(suite, states)
    claims = claims_of(states, [b"object/3", b"object/19", b"absent/1", b"absent/2", b"absent/3"])
    data = map_.prove_multi(claims).encode()
    for at in range(len(data)):
        for change in (1, 0x10, 0x80):
            wrong = bytearray(data)
            wrong[at] ^= change
            try:
                proof = StateMultiproof.decode(bytes(wrong))
                proof.verify(suite, map_.root())
            except LedgerError:
                continue
            # Another absent name may end at the same place: a true claim, not one of these.
            assert all(states.get(name) == value for name, value in proof.states)
            assert sorted(proof.states) != sorted(claims)


def test_more_or_less_than_is_needed_is_refused() -> None:
    states = {b"object/%d" % number: b"state" for number in range(64)}
    map_ = built("std", states)
    claims = claims_of(states, [b"object/3", b"object/4", b"absent"])
    named, shape, hashes, ends = msgpack.unpackb(map_.prove_multi(claims).encode())
    other = reference.domain_hash("std", "state-key", b"object/5")
    for changed in (
        [named, shape, [*hashes, EMPTY], ends],
        [named, shape, hashes[:-1], ends],
        [named, shape, hashes, [*ends, None]],
        [named, shape, hashes, []],
        [named, shape + b"\x80", hashes, ends],
        [named, b"\x80", hashes, ends],
        [named[::-1], shape, hashes, ends],
        [[*named, named[-1]], shape, hashes, ends],
        [named, shape, hashes, [[other, EMPTY]]],
    ):
        with pytest.raises(InvalidProof):
            StateMultiproof.decode(msgpack.packb(changed)).verify("std", map_.root())
    for malformed in (
        [named, b"", hashes, ends],
        [named, b"\x80\x00", hashes, ends],
        [named, shape, [EMPTY[:31]], ends],
        [named, shape, hashes, [[other]]],
        [[[b"a"]], shape, hashes, ends],
        [named, shape, hashes],
    ):
        with pytest.raises(MalformedError):
            StateMultiproof.decode(msgpack.packb(malformed))
    deep = [named[:1], b"\xff" * 33 + b"\x80", [EMPTY] * 300, []]
    with pytest.raises(InvalidProof, match=r"deeper than a key has bits|less than"):
        StateMultiproof.decode(msgpack.packb(deep)).verify("std", map_.root())


def test_headers_of_what_is_not_there_cost_nothing() -> None:
    many = b"\xdd\xff\xff\xff\xff"
    with pytest.raises(LimitError):
        StateMultiproof.decode(b"\x94" + many)
    for data in (b"\x94\x90\xc4\x01\x80" + many, b"\x94\x90\xc4\x01\x80\x90" + many):
        with pytest.raises(MalformedError):
            StateMultiproof.decode(data)


def test_what_is_not_so_is_not_proven_by_many_either() -> None:
    map_ = built("std", {b"a": b"1", b"b": b"2"})
    for claims in ([(b"a", b"1"), (b"b", b"3")], [(b"a", None)], [(b"c", b"1")]):
        with pytest.raises(InvalidProof, match="is not what the map holds"):
            map_.prove_multi(claims)
        with pytest.raises(InvalidProof, match="is not what the map holds"):
            map_.prove_all(claims)
    with pytest.raises(MalformedError, match="want each object once"):
        map_.prove_multi([(b"a", b"1"), (b"a", b"1")])
    with pytest.raises(LimitError):
        map_.prove_multi([(b"%d" % number, None) for number in range(16385)])


@pytest.mark.parametrize("suite", ["std", "c2sp"])
def test_one_proof_of_many_is_smaller_than_many_proofs(suite: str) -> None:
    states = {b"object/%d" % number: b"state %d" % number for number in range(20_000)}
    map_ = built(suite, states)
    names = [*list(states)[::40], *(b"absent/%d" % number for number in range(500))]
    claims = claims_of(states, names)
    one = len(map_.prove_multi(claims).encode())
    assert one < 0.45 * sum(len(proof.encode()) for proof in map_.prove_all(claims))


def outcome(call: Any) -> Any:
    try:
        call()
    except LedgerError as error:
        return type(error), str(error).partition(": ")[2] or str(error)
    return None


@pytest.mark.parametrize("suite", ["std", "c2sp"])
def test_many_proofs_are_made_and_verified_as_each_alone(suite: str) -> None:
    states = {b"object/%d" % number: b"state %d" % number for number in range(900)}
    map_ = built(suite, states)
    claims = claims_of(states, [*states, *(b"absent/%d" % number for number in range(900))])
    proofs = map_.prove_all(claims)
    encoded = [proof.encode() for proof in proofs]
    assert encoded == [map_.prove(name, value).encode() for name, value in claims]
    verified = verify_states(suite, encoded, map_.root())
    assert [(proof.object, proof.value) for proof in verified] == claims
    wrong = [*encoded[:700], encoded[0].replace(b"state 0", b"state 1"), *encoded[701:]]
    with pytest.raises(InvalidProof, match=r"^state proof 700: does not|^state proof 700: state"):
        verify_states(suite, wrong, map_.root())
    with pytest.raises(MalformedError, match=r"^state proof 3: "):
        verify_states(suite, [*encoded[:3], b"", *encoded[4:]], map_.root())
    assert verify_states(suite, [], map_.root()) == map_.prove_all([]) == []


def test_a_large_update_gives_the_root_of_many_small_ones() -> None:
    choose = random.Random(5)
    states = {choose.randbytes(20): choose.randbytes(30) for _ in range(12_000)}
    whole = built("std", states)
    parts, items = Map("std"), list(states.items())
    for begin in range(0, len(items), 700):
        parts = parts.update(items[begin : begin + 700])
    assert (whole.root(), len(whole)) == (parts.root(), len(parts) == 12_000 and 12_000)
    gone = whole.update([(name, None) for name, _ in items[50:]])
    assert (len(gone), gone.root()) == (50, reference.map_root("std", dict(items[:50])))
    assert (len(whole), whole.root()) == (12_000, parts.root())
