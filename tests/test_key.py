"""Keys that nobody should trust, found on the curve by a plain reading of RFC 8032."""

from __future__ import annotations

import pytest

from ledgercore import SigningKey
from ledgercore.errors import InvalidSignature, MalformedError
from ledgercore.primitives import check_public_key, verify_signature
from tests.test_checkpoint import NAMES
from tests.test_receipt import anchor

FIELD = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, FIELD) % FIELD

Point = tuple[int, int]


def decode(data: bytes) -> Point | None:
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, (y & (1 << 255) - 1) % FIELD
    square = (y * y - 1) * pow(D * y * y + 1, -1, FIELD) % FIELD
    x = pow(square, (FIELD + 3) // 8, FIELD)
    if (x * x - square) % FIELD:
        x = x * pow(2, (FIELD - 1) // 4, FIELD) % FIELD
    if (x * x - square) % FIELD:
        return None
    return (x if x & 1 == sign else -x % FIELD), y


def encode(point: Point) -> bytes:
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def add(one: Point, other: Point) -> Point:
    (x1, y1), (x2, y2) = one, other
    product = D * x1 * x2 * y1 * y2 % FIELD
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, FIELD) % FIELD
    return x, (y1 * y2 + x1 * x2) * pow(1 - product, -1, FIELD) % FIELD


def multiply(number: int, point: Point) -> Point:
    total = (0, 1)
    for bit in f"{number:b}":
        total = add(total, total)
        total = add(total, point) if bit == "1" else total
    return total


def small_order() -> list[bytes]:
    """The eight points of small order, and their encodings with y of 2^255 - 19 or more."""
    found: set[Point] = set()
    y = 2
    while len(found) < 8:
        point = decode(y.to_bytes(32, "little"))
        if point is not None:
            torsion = multiply(ORDER, point)
            found |= {multiply(times, torsion) for times in range(8)}
        y += 1
    plain = [encode(point) for point in found]
    sign = 1 << 255
    lifted = [(y + FIELD | high).to_bytes(32, "little") for y in (0, 1) for high in (0, sign)]
    return plain + lifted + [(1 | sign).to_bytes(32, "little")]


def test_keys_of_small_order_are_refused_though_they_verify() -> None:
    keys = small_order()
    assert len(set(keys)) == 13
    for key in keys:
        verify_signature(key, b"anything", b"\x01" + bytes(63))
        with pytest.raises(MalformedError, match="small order"):
            check_public_key(key)
        with pytest.raises(MalformedError, match=r"^operator key is of small order"):
            anchor(operator_key=key)
        with pytest.raises(MalformedError, match=rf"^key of witness {NAMES[0]} is of small order"):
            anchor(witnesses=[(NAMES[0], key)], quorum=1)


def test_what_is_no_point_is_refused_and_honest_keys_are_not() -> None:
    points = 0
    for number in range(256):
        data = number.to_bytes(32, "little")
        if decode(data) is None:
            with pytest.raises(MalformedError, match=r"^public key is no point of the curve$"):
                check_public_key(data)
        elif multiply(8, decode(data) or (0, 1)) != (0, 1):
            check_public_key(data)
            points += 1
    assert 100 < points < 150
    for seed in range(20):
        check_public_key(SigningKey(bytes([seed]) * 32).public_key)
    with pytest.raises(MalformedError, match=r"^public key has 31 bytes, want 32$"):
        check_public_key(bytes(31))
    with pytest.raises(InvalidSignature):
        verify_signature(SigningKey(bytes(32)).public_key, b"anything", b"\x01" + bytes(63))
