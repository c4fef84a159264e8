"""The map with pages that are absent from memory, against the reference and the map that has all.

The obvious slow judge: a dictionary of states is what a store would hold.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgercore import InvalidProof, UnavailableError
from ledgercore._core import Map, hash_domain, state_keys
from tests import reference
from tests.examples import examples

SUITES = st.sampled_from(["std", "c2sp"])
NAMES = st.integers(0, 300).map(lambda number: b"object/%d" % number)
CHANGES = st.lists(st.tuples(NAMES, st.none() | st.binary(max_size=4)), max_size=150)
STEPS = st.lists(st.tuples(CHANGES, st.sampled_from(["keep", "forget", "replace"])), max_size=6)

States = dict[bytes, bytes]


def built(states: States, suite: str = "std") -> Map:
    return Map(suite).update(list(states.items()))


def many(count: int) -> States:
    return {b"object/%d" % number: b"state %d" % number for number in range(count)}


def within(states: States, pages: list[tuple[bytes, bytes]], suite: str = "std") -> list:
    """What a store has between the keys: every name is looked at."""
    keyed = [(hash_domain(suite, "state-key", name), name) for name in states]
    return [
        (name, states[name]) for first, last in pages for key, name in keyed if first <= key <= last
    ]


def fill(map_: Map, states: States, names: list[bytes], suite: str = "std") -> None:
    pages = map_.absent(names)
    map_.fill(pages, within(states, pages, suite))
    assert map_.absent(names) == []


def changed(states: States, changes: list) -> States:
    after = dict(states)
    for name, value in changes:
        after.pop(name, None)
        if value is not None:
            after[name] = value
    return after


@examples(100)
@given(SUITES, STEPS, st.lists(NAMES, max_size=20))
def test_forgetting_and_filling_changes_no_root_and_no_proof(
    suite: str, steps: list[tuple[list, str]], asked: list[bytes]
) -> None:
    states: States = {}
    map_ = Map(suite)
    for changes, way in steps:
        names = [name for name, _ in changes]
        after = changed(states, changes)
        if way == "replace":  # as whoever follows does, who has only the states after
            pages = map_.absent(names)
            map_ = map_.overwrite(changes + within(after, pages, suite))
        else:
            fill(map_, states, names, suite)
            map_ = map_.update(changes)
        states = after
        assert map_.root() == reference.map_root(suite, states)
        assert len(map_) == len(states)
        if way != "keep":
            map_.forget(0)
            assert map_.in_memory == 0

    whole = built(states, suite)
    claims = [(name, states.get(name)) for name in dict.fromkeys(asked)]
    fill(map_, states, asked, suite)
    got = [proof.encode() for proof in map_.prove_all(claims)]
    assert got == [proof.encode() for proof in whole.prove_all(claims)]
    assert map_.prove_multi(claims).encode() == whole.prove_multi(claims).encode()
    assert [map_.value_hash(name) for name in asked] == [whole.value_hash(name) for name in asked]


@pytest.mark.parametrize("suite", ["std", "c2sp"])
def test_every_small_map_is_forgotten_filled_and_proven(suite: str) -> None:
    """Up to two pages and more, with every object gone from it once."""
    for count in (*range(8), *range(28, 40), 64, 65, 66, 97):
        states = many(count)
        map_ = built(states, suite)
        map_.forget(0)
        for name in [*states, b"absent"]:
            fill(map_, states, [name], suite)
            map_.prove(name, states.get(name)).verify(suite, map_.root())
            less = map_.update([(name, None)])
            assert less.root() == reference.map_root(suite, changed(states, [(name, None)]))
            map_.forget(0)


def test_whatever_meets_an_absent_page_is_an_error_and_no_answer() -> None:
    states = many(200)
    map_ = built(states)
    map_.forget(0)
    name = b"object/7"
    for call in (
        lambda: map_.value_hash(name),
        lambda: map_.value_hash(b"absent"),
        lambda: map_.prove(name, states[name]),
        lambda: map_.prove(b"absent", None),
        lambda: map_.prove_all([(name, states[name])]),
        lambda: map_.prove_multi([(name, states[name])]),
        lambda: map_.update([(name, b"new")]),
        lambda: map_.update([(name, None)]),
        lambda: map_.update([(name, b"new")] * 2000),
        lambda: map_.update([*many(2000).items()]),
    ):
        with pytest.raises(UnavailableError, match="absent"):
            call()
    assert map_.root() == built(states).root()
    assert map_.update([]).root() == map_.root()


def test_a_page_is_filled_with_nothing_but_its_states() -> None:
    states = many(200)
    map_ = built(states)
    map_.forget(0)
    (page,) = map_.absent([b"object/7"])
    right = within(states, [page])
    wrong = [
        [],
        right[1:],
        [*right[1:], (right[0][0], b"another")],
        [*right[1:], (b"another", right[0][1])],
        [*right, *within(many(999), [page])],
        [right[0]] * len(right),
    ]
    for given_states in wrong:
        with pytest.raises(InvalidProof, match=r"states with keys from .* are not the \d+ that"):
            map_.fill([page], given_states)
        assert map_.absent([b"object/7"]) == [page]
    # What belongs elsewhere is passed over.
    map_.fill([page], list(states.items()))
    assert map_.in_memory == len(right)
    map_.fill([page], [])  # it is there already


def test_a_version_keeps_what_the_next_one_replaced() -> None:
    states = many(1000)
    old = built(states)
    changes = [(b"object/%d" % number, b"new") for number in range(0, 1000, 100)]
    new = old.update(changes)
    new.forget(0)

    for name, _ in changes:
        old.prove(name, states[name]).verify("std", old.root())
        with pytest.raises(UnavailableError):
            new.prove(name, b"new")
    # What both share is filled for both.
    name = next(n for n in states if old.absent([n]))
    fill(new, changed(states, changes), [name])
    old.prove(name, states[name]).verify("std", old.root())


def test_entries_in_memory_are_bounded_where_pages_are_forgotten() -> None:
    """The same changes without forgetting, as a control, pass the bound."""
    choose, limit, block = random.Random(5), 500, 20
    states = many(4000)
    map_, control, most = built(states), built(states), 0
    map_.forget(0)
    for number in range(100):
        names = choose.sample(sorted(states), block)
        changes = [(name, b"%d" % number) for name in names]
        fill(map_, states, names)
        map_ = map_.update(changes)
        control = control.update(changes)
        states.update(changes)
        map_.forget(limit)
        most = max(most, map_.in_memory)
    assert map_.root() == control.root()
    assert most <= limit
    assert control.in_memory == 4000 > limit


def test_keys_are_those_of_the_map() -> None:
    for suite in ("std", "c2sp"):
        names = [b"", b"object/1", b"n" * 128] * 200
        assert state_keys(suite, names) == [
            reference.domain_hash(suite, "state-key", name) for name in names
        ]
    assert state_keys("std", []) == []
