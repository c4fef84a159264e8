"""ristretto255 in whole numbers, from RFC 9496 alone: what the core's group is held to."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, PRIME) % PRIME
ROOT_OF_MINUS_ONE = pow(2, (PRIME - 1) // 4, PRIME)


def is_negative(value: int) -> bool:
    return value % PRIME % 2 == 1


def absolute(value: int) -> int:
    return -value % PRIME if is_negative(value) else value % PRIME


def sqrt_ratio(u: int, v: int) -> tuple[bool, int]:
    """Section 4.2: whether u/v is a square, and the root of it or of its multiple by sqrt(-1)."""
    root = u * pow(v, 3, PRIME) * pow(u * pow(v, 7, PRIME), (PRIME - 5) // 8, PRIME) % PRIME
    check = v * root * root % PRIME
    correct, flipped = check == u % PRIME, check == -u % PRIME
    flipped_again = check == -u * ROOT_OF_MINUS_ONE % PRIME
    if flipped or flipped_again:
        root = root * ROOT_OF_MINUS_ONE % PRIME
    return correct or flipped, absolute(root)


INVERT_ROOT_A_MINUS_D = sqrt_ratio(1, -1 - D)[1]
ROOT_AD_MINUS_ONE = 25063068953384623474111414158702152701244531502492656460079210482610430750235


class Point(NamedTuple):
    """An Edwards point in extended coordinates."""

    x: int
    y: int
    z: int
    t: int

    def __add__(self, other: Point) -> Point:  # type: ignore[override]
        a = (self.y - self.x) * (other.y - other.x) % PRIME
        b = (self.y + self.x) * (other.y + other.x) % PRIME
        c, d = 2 * self.t * other.t * D % PRIME, 2 * self.z * other.z % PRIME
        e, f, g, h = b - a, d - c, d + c, b + a
        return Point(e * f % PRIME, g * h % PRIME, f * g % PRIME, e * h % PRIME)

    def times(self, number: int) -> Point:
        total, addend = NEUTRAL, self
        for bit in bin(number % ORDER)[:1:-1]:
            if bit == "1":
                total = total + addend
            addend = addend + addend
        return total


NEUTRAL = Point(0, 1, 1, 0)


def decode(data: bytes) -> Point:
    """Section 4.3.1."""
    s = int.from_bytes(data, "little")
    if s >= PRIME or is_negative(s):
        raise ValueError("not canonical")
    u1, u2 = (1 - s * s) % PRIME, (1 + s * s) % PRIME
    v = (-D * u1 * u1 - u2 * u2) % PRIME
    square, inverse = sqrt_ratio(1, v * u2 * u2 % PRIME)
    x_part = inverse * u2 % PRIME
    y_part = inverse * x_part * v % PRIME
    x, y = absolute(2 * s * x_part), u1 * y_part % PRIME
    t = x * y % PRIME
    if not square or is_negative(t) or y == 0:
        raise ValueError("not a point")
    return Point(x, y, 1, t)


def encode(point: Point) -> bytes:
    """Section 4.3.2."""
    x, y, z, t = point
    u1, u2 = (z + y) * (z - y) % PRIME, x * y % PRIME
    inverse = sqrt_ratio(1, u1 * u2 * u2 % PRIME)[1]
    first, second = inverse * u1 % PRIME, inverse * u2 % PRIME
    z_inverse = first * second * t % PRIME
    if is_negative(t * z_inverse):
        x, y = y * ROOT_OF_MINUS_ONE % PRIME, x * ROOT_OF_MINUS_ONE % PRIME
        last = first * INVERT_ROOT_A_MINUS_D % PRIME
    else:
        last = second
    if is_negative(x * z_inverse):
        y = -y % PRIME
    return absolute(last * (z - y)).to_bytes(32, "little")


def from_uniform(data: bytes) -> Point:
    """Section 4.3.4."""
    return mapped(data[:32]) + mapped(data[32:])


def mapped(data: bytes) -> Point:
    t = int.from_bytes(data, "little") % 2**255 % PRIME
    r = ROOT_OF_MINUS_ONE * t * t % PRIME
    u = (r + 1) * (1 - D * D) % PRIME
    v = (-1 - r * D) * (r + D) % PRIME
    square, s = sqrt_ratio(u, v)
    c = -1
    if not square:
        s, c = -absolute(s * t) % PRIME, r
    n = (c * (r - 1) * (D - 1) ** 2 - v) % PRIME
    w0, w1 = 2 * s * v % PRIME, n * ROOT_AD_MINUS_ONE % PRIME
    w2, w3 = (1 - s * s) % PRIME, (1 + s * s) % PRIME
    return Point(w0 * w3 % PRIME, w2 * w1 % PRIME, w1 * w3 % PRIME, w0 * w2 % PRIME)


BASE = decode(bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76"))
BLINDING = from_uniform(hashlib.sha512(b"ledgercore pedersen v1\n").digest())
