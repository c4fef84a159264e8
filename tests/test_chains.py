"""A batch of plain records applied at once changes what it changes record by record."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgercore import rules
from ledgercore._core import Batch, VerifiedBatch, VerifiedRecord
from ledgercore.errors import RefusedError
from ledgercore.rules import Position, View
from tests.network import KEYS, NETWORKS, START, begin, sign

MEMBERS = ("operator", "provider", "consumer")

DEFECTS = {
    "a gap": {"sequence": 40},
    "the largest sequence": {"sequence": 2**64 - 1},
    "a fork": {"previous": b"p" * 32},
    "another network": {"network": b"n" * 16},
    "another suite": {"suite": "c2sp"},
    "not yet": {"not_before_ms": START + 10_000_000},
    "a window that holds": {"not_before_ms": START - 1},
    "no longer": {"expiry_ms": START - 10_000_000},
    "a kind of the tables": {"kind": "product.withdraw", "body": b"\x91\xa6tax.v1"},
    "an unknown kind": {"kind": "unknown", "body": b"\x90"},
}


def batch_of(records: list[VerifiedRecord]) -> VerifiedBatch:
    return Batch.decode([record.encode() for record in records]).verify(bytes(32))


def chained(signers: list[str], suite: str = "std") -> list[VerifiedRecord]:
    """Records that each follow their signer's last one."""
    view, records = begin(suite), []
    for number, signer in enumerate(signers):
        records.append(sign(view, signer, b"%d" % number))
        rules.apply(view, records[-1], Position(7, number, START))
    return records


def applied_each(view: View, records: list[VerifiedRecord]) -> bool:
    """Whether every one of the records is accepted."""
    try:
        for record in records:
            rules.apply(view, record, Position(7, 9, START))
    except RefusedError:
        return False
    return True


@given(signers=st.lists(st.sampled_from(MEMBERS), max_size=40), suite=st.sampled_from([*NETWORKS]))
def test_plain_records_change_the_same_at_once_and_one_by_one(
    signers: list[str], suite: str
) -> None:
    records = chained(signers, suite)
    at_once, one_by_one = begin(suite), begin(suite)

    assert rules.apply_plain(at_once, batch_of(records))
    assert applied_each(one_by_one, records)
    assert at_once.changes() == one_by_one.changes()


@pytest.mark.parametrize("defect", DEFECTS)
@given(data=st.data())
def test_one_record_that_is_not_plain_leaves_the_view_as_it_was(
    data: st.DataObject, defect: str
) -> None:
    signers = data.draw(st.lists(st.sampled_from(MEMBERS), min_size=1, max_size=20))
    place = data.draw(st.integers(0, len(signers) - 1))
    records = chained(signers)
    good = records[place]
    fields = {
        "suite": good.suite,
        "network": good.network,
        "kind": good.kind,
        "body": good.body,
        "sequence": good.sequence,
        "previous": good.previous,
    }
    records[place] = KEYS[signers[place]].sign_record(**fields | DEFECTS[defect]).verify()
    view = begin()
    before = view.changes()

    assert not rules.apply_plain(view, batch_of(records))
    assert view.changes() == before


def test_a_stranger_is_left_to_the_rules() -> None:
    view = begin()
    records = [sign(view, "consumer", b"a"), sign(view, "stranger", b"b")]
    before = view.changes()

    assert not rules.apply_plain(view, batch_of(records))
    assert view.changes() == before
    assert not applied_each(view, records)


def test_records_that_are_there_already_are_left_to_the_rules() -> None:
    view = begin()
    batch = batch_of(chained(["consumer", "consumer"]))

    assert rules.apply_plain(view, batch)
    assert not rules.apply_plain(view, batch)
    assert not rules.apply_plain(view, batch.select([1]))


def test_a_record_twice_is_left_to_the_rules() -> None:
    assert not rules.apply_plain(begin(), batch_of(chained(["consumer"]) * 2))


def test_nothing_is_plain_before_the_genesis() -> None:
    assert not rules.apply_plain(View(lambda name: None), batch_of(chained(["consumer"])))
