"""The canonical encoding against msgpack: one encoding a value, and hostile bytes fail fast."""

from __future__ import annotations

import time
import unicodedata
from typing import Any

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledgercore import LimitError, MalformedError
from ledgercore._core import check_canonical
from tests.examples import examples

TEXT = st.text(max_size=40).map(lambda text: unicodedata.normalize("NFC", text))
INTEGERS = st.integers(-(2**63), 2**64 - 1)
SCALARS = st.none() | st.booleans() | INTEGERS | st.binary(max_size=300) | TEXT
# Eight containers deep at most; a map holds only scalars.
MAPS = st.dictionaries(TEXT, SCALARS, max_size=20)
VALUES = st.recursive(SCALARS | MAPS, lambda inner: st.lists(inner, max_size=20), max_leaves=30)

HEADS = st.sampled_from([0, 1, 0x7F, 0x80, 0x81, 0x90, 0x91, 0xA0, 0xA1, *range(0xC0, 0xE1), 0xFF])
NOISE = st.lists(HEADS | st.integers(0, 255), max_size=12).map(bytes)
"""Bytes of which half begin some value."""


def depth(value: Any) -> int:
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def canonical(value: Any) -> bytes:
    """The encoding by msgpack, which writes shortest forms, with keys in the order of bytes."""
    if isinstance(value, list):
        head = msgpack.Packer().pack_array_header(len(value))
        return head + b"".join(map(canonical, value))
    if isinstance(value, dict):
        value = dict(sorted(value.items(), key=lambda item: item[0].encode()))
    return msgpack.packb(value)


def is_canonical(data: bytes) -> bool:
    try:
        check_canonical(data)
    except MalformedError:
        return False
    return True


@examples(500)
@given(VALUES)
@example([-(2**63), -(2**31) - 1, -(2**15) - 1, -129, -128, -33, -32, 0, 127, 128, 2**64 - 1])
def test_every_value_has_its_shortest_encoding(value: Any) -> None:
    if depth(value) <= 8:
        check_canonical(canonical(value))


@examples(1000)
@given(VALUES, st.data())
def test_what_is_accepted_encodes_to_the_same_bytes(value: Any, data: st.DataObject) -> None:
    """Change bytes of a canonical value: it is refused, or it is some other canonical value."""
    changed = bytearray(canonical(value))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(changed) - 1))
        changed[at] = data.draw(st.integers(0, 255))
    if is_canonical(bytes(changed)):
        again = msgpack.unpackb(bytes(changed), strict_map_key=False, use_list=True)
        assert canonical(again) == bytes(changed)


@examples(1000)
@given(NOISE)
def test_noise_that_is_accepted_encodes_to_the_same_bytes(data: bytes) -> None:
    if is_canonical(data):
        assert canonical(msgpack.unpackb(data, strict_map_key=False)) == data


def test_every_two_bytes_are_judged_like_msgpack() -> None:
    """All 65,536 pairs: accepted are those that msgpack reads and writes back the same."""
    accepted = 0
    for number in range(1 << 16):
        data = number.to_bytes(2)
        try:
            value = msgpack.unpackb(data, strict_map_key=False)
            known = not isinstance(value, float | msgpack.ExtType | dict)
            want = known and canonical(value) == data
        except (ValueError, msgpack.exceptions.UnpackException):
            want = False
        assert is_canonical(data) == want, data.hex()
        accepted += want
    assert accepted > 300


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "ends early"),
        (b"\x91", "ends early"),
        (b"\x01\x01", "1 bytes follow the end"),
        (b"\xc1", "nothing uses"),
        (b"\xcc\x7f", "shortest form"),
        (b"\xd0\x05", "shortest form"),
        (b"\xd9\x01a", "shortest form"),
        (b"\xc5\x00\x01a", "shortest form"),
        (b"\xdc\x00\x01\x01", "shortest form"),
        (b"\xca\x00\x00\x00\x00", "floats"),
        (b"\xd4\x01\x00", "extension types"),
        (b"\xa1\xff", "not UTF-8"),
        (b"\xa3\xed\xa0\x80", "not UTF-8"),
        (b"\xa3e\xcc\x81", "normal form C"),
        (b"\x82\xa1b\x01\xa1a\x01", "ascending order"),
        (b"\x82\xa1a\x01\xa1a\x01", "ascending order"),
        (b"\x81\x01\x01", "want text"),
        (b"\x81\xa1a\x90", "only scalars"),
        (b"\x81\xa1a\x80", "only scalars"),
    ],
)
def test_other_forms_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(MalformedError, match=reason):
        check_canonical(data)


def test_nesting_has_its_limit() -> None:
    check_canonical(b"\x91" * 7 + b"\x90")
    with pytest.raises(LimitError, match="nesting is 9, want at most 8"):
        check_canonical(b"\x91" * 8 + b"\x90")


def test_size_has_its_limit() -> None:
    check_canonical(b"\xc5\xff\xfd" + bytes(0xFFFD))
    with pytest.raises(LimitError, match="value bytes is 65537, want at most 65536"):
        check_canonical(b"\xc5\xff\xfe" + bytes(0xFFFE))


@pytest.mark.parametrize("marker", [0xC6, 0xDB, 0xDD, 0xDF])
def test_a_told_length_costs_nothing(marker: int) -> None:
    """Four thousand million items are announced and none follows."""
    begin = time.perf_counter()
    for _ in range(1000):
        with pytest.raises(MalformedError):
            check_canonical(bytes([marker]) + b"\xff\xff\xff\xff")

    assert time.perf_counter() - begin < 5


def test_a_full_value_of_the_worst_shape_is_read_once() -> None:
    """Nested arrays of nothing, as many as fit, take time in proportion to their bytes."""
    items = (1 << 16) - 4
    value = b"\xdc" + items.to_bytes(2) + b"\x90" * items
    begin = time.perf_counter()
    check_canonical(value)

    assert time.perf_counter() - begin < 1
