"""Receipts verified in a batch, held to ``Receipt.verify`` on each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from ledgercore import Receipt
from ledgercore._core import Map
from ledgercore.errors import (
    InvalidError,
    InvalidProof,
    InvalidSignature,
    LimitError,
    MalformedError,
    UntrustedError,
)
from ledgercore.primitives import verify_receipts
from tests.test_receipt import BODIES, KNOWN, NETWORK, SUITES, anchor, made

SIZE = 13


def receipts(suite: str) -> list[bytes]:
    """Of every record under one checkpoint, and of the first three under an older one."""
    return [made(suite, at, SIZE) for at in range(SIZE)] + [made(suite, at, 5) for at in range(3)]


def bodies() -> list[bytes]:
    return [*BODIES[:SIZE], *BODIES[:3]]


def one_by_one(kept: Sequence[bytes], suite: str = "std") -> dict[int, type[Exception]]:
    """What is wrong with each receipt that an anchor of its own refuses."""
    wrong: dict[int, type[Exception]] = {}
    for at, (data, body) in enumerate(zip(kept, bodies(), strict=True)):
        try:
            Receipt.decode(data).verify(body, anchor(suite))
        except (InvalidError, MalformedError) as error:
            wrong[at] = type(error)
    return wrong


@SUITES
def test_a_batch_verifies_as_each_does_and_keeps_the_order(suite: str) -> None:
    kept = receipts(suite)
    verified = verify_receipts(kept, bodies(), anchor(suite))
    assert [verified[at].body for at in range(len(verified))] == bodies()
    assert one_by_one(kept, suite) == {}
    assert len(verify_receipts([], [], anchor(suite))) == 0


@SUITES
def test_every_flipped_byte_of_one_receipt_refuses_the_batch(suite: str) -> None:
    kept, trusted = receipts(suite), anchor(suite)
    for at in range(len(kept[4])):
        flipped = kept[4][:at] + bytes([kept[4][at] ^ 0x10]) + kept[4][at + 1 :]
        batch = [*kept[:4], flipped, *kept[5:]]
        (kind,) = one_by_one(batch, suite).values()
        with pytest.raises((InvalidError, MalformedError)) as caught:
            verify_receipts(batch, bodies(), trusted)
        assert type(caught.value) is kind, caught.value


def test_the_error_names_the_receipt_or_all_bad_signatures() -> None:
    kept, trusted = receipts("std"), anchor()
    swapped = [*kept[:2], kept[3], kept[2], *kept[4:]]
    with pytest.raises(InvalidSignature) as caught:
        verify_receipts(swapped, bodies(), trusted)
    assert caught.value.indices == (2, 3)
    other = made("std", 7, SIZE, path=Receipt.decode(kept[6]).path)
    with pytest.raises(InvalidProof, match=r"^receipt 7: "):
        verify_receipts([*kept[:7], other, *kept[8:]], bodies(), trusted)
    with pytest.raises(MalformedError, match=r"^receipt 9: "):
        verify_receipts([*kept[:9], kept[9][:-1], *kept[10:]], bodies(), trusted)
    with pytest.raises(UntrustedError, match=r"^receipt 0: checkpoint is cosigned by 2 witnesses"):
        verify_receipts(kept, bodies(), anchor(witnesses=KNOWN, quorum=3))
    with pytest.raises(UntrustedError, match=r"^receipt 0: record is of another network"):
        verify_receipts(kept, bodies(), anchor(network=bytes(16)))
    with pytest.raises(MalformedError, match=r"^batch has 16 receipts and 15 bodies$"):
        verify_receipts(kept, bodies()[1:], trusted)
    with pytest.raises(LimitError, match=r"^receipts in a batch is"):
        verify_receipts([b""] * 70_000, [b""] * 70_000, trusted)


def test_of_records_that_cannot_be_restored_the_first_is_named() -> None:
    kept, trusted = receipts("std"), anchor()
    envelope = Receipt.decode(kept[4]).envelope
    foreign = made("std", 4, SIZE, envelope=envelope.replace(NETWORK, bytes(16)))
    for at, first, kind in ((9, 4, UntrustedError), (2, 2, MalformedError)):
        cut = made("std", at, SIZE, envelope=Receipt.decode(kept[at]).envelope[1:])
        batch = [*kept[:4], foreign, *kept[5:]]
        batch[at] = cut
        with pytest.raises(kind, match=rf"^receipt {first}: "):
            verify_receipts(batch, bodies(), trusted)


def test_of_a_path_and_a_state_that_lead_nowhere_the_first_is_named() -> None:
    foreign = Map("std").update([(b"none", b"1")]).prove(b"none", b"1")

    def of(at: int, **changes: Any) -> list[bytes]:
        return [*kept[:at], made("std", at, SIZE, **changes), *kept[at + 1 :]]

    kept = receipts("std")
    kept = of(7, path=Receipt.decode(kept[6]).path)
    for at, first in ((3, 3), (7, 7), (9, 7)):
        with pytest.raises(InvalidProof, match=rf"^receipt {first}: "):
            verify_receipts(of(at, state=foreign), bodies(), anchor())
    last = [*receipts("std")[:-1], made("std", 2, 5, path=[bytes(32)] * 3)]
    with pytest.raises(InvalidProof, match=r"^receipt 15: root is"):
        verify_receipts(last, bodies(), anchor())


def test_a_note_that_was_verified_vouches_for_no_other() -> None:
    data, trusted = made(), anchor()
    note = Receipt.decode(data).checkpoint
    Receipt.decode(data).verify(BODIES[2], trusted)
    for at, character in enumerate(note):
        other = note[:at] + ("A" if character != "A" else "B") + note[at + 1 :]
        with pytest.raises((InvalidError, MalformedError)):
            Receipt.decode(made(checkpoint=other)).verify(BODIES[2], trusted)
    Receipt.decode(data).verify(BODIES[2], trusted)
