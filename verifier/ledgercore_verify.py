#!/usr/bin/env python3
"""Verify evidence of a ledgercore ledger, with this one file and nothing else.

    python3 ledgercore_verify.py FILE --anchor FILE [--record FILE] [--checkpoint FILE] [--json]

FILE is a receipt (with --record: the record's body), a state receipt, the history of an object,
totals, an opening by order, an evidence pack, a checkpoint, a state proof or a consistency proof
(both with --checkpoint: the one it is held to), a record of this or a former ledger, an
equivocation, a split view, or a broken promise. The anchor says whom to trust: ``ledgercore
anchor`` prints it, and it must have come from somewhere else than the evidence. Each claim is
printed, and the exit code is 0; or one line says why not, and it is 1 (does not verify), 5
(malformed), 4 (cannot be read, or nobody reads the claims) or 2 (wrong usage).

Written from docs/spec alone, for Python 3.11 and its standard library. It shares no code with the
package that makes the evidence, so that the two can judge each other. It is to be read from top to
bottom: hashes, curve, group, wire, tree, map, notes, records, receipt, bodies and states,
histories, totals, openings, pack, command line. It prefers the obvious way to the fast one, and
holds no secret, so it need not hide its timing.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import itertools
import json
import re
import sys
import tomllib
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

__all__ = ["Anchor", "Claim", "Refusal", "main", "parse_anchor", "verify"]


class Refusal(Exception):  # noqa: N818
    """Why something is not accepted; ``kind`` is one of the stable names below."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


MALFORMED = "malformed"  # not in the one accepted form, or past a limit
INVALID_SIGNATURE = "invalid-signature"  # a signature that does not verify
INVALID_PROOF = "invalid-proof"  # it does not lead to the hash that it should
UNTRUSTED = "untrusted"  # sound, and not of this network, signer or policy
INVALID = "invalid"  # sound, and it contradicts what else is shown


def refuse(kind: str, message: str) -> NoReturn:
    raise Refusal(kind, message)


def need(holds: bool, kind: str, message: str) -> None:
    if not holds:
        raise Refusal(kind, message)


# ------------------------------------------------------------------------------------------ hashes
#
# Suite `std` hashes with BLAKE3, suite `c2sp` with SHA-256. Every use has a domain of its own, so
# that no hash of one use can be shown as one of another.

BLAKE3_START = (
    *(0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A),
    *(0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19),
)
BLAKE3_ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)  # of the next round's words
BLAKE3_MIXED = (
    *((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)),
    *((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)),
)
CHUNK_START, CHUNK_END, PARENT, ROOT, KEYED, CONTEXT, MATERIAL = (1 << bit for bit in range(7))
CHUNK_BYTES, BLOCK_BYTES = 1024, 64

Words = tuple[int, ...]


def words_of(data: bytes) -> Words:
    return tuple(int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4))


def blake3_compress(chain: Words, block: Words, counter: int, length: int, flags: int) -> Words:
    """One compression: the chain value that follows from a block of 16 words."""
    mask = 0xFFFFFFFF
    v = [*chain, *BLAKE3_START[:4], counter & mask, counter >> 32, length, flags]
    for _ in range(7):
        for at, (a, b, c, d) in enumerate(BLAKE3_MIXED):
            v[a] = (v[a] + v[b] + block[2 * at]) & mask
            turned = v[d] ^ v[a]
            v[d] = (turned >> 16 | turned << 16) & mask
            v[c] = (v[c] + v[d]) & mask
            turned = v[b] ^ v[c]
            v[b] = (turned >> 12 | turned << 20) & mask
            v[a] = (v[a] + v[b] + block[2 * at + 1]) & mask
            turned = v[d] ^ v[a]
            v[d] = (turned >> 8 | turned << 24) & mask
            v[c] = (v[c] + v[d]) & mask
            turned = v[b] ^ v[c]
            v[b] = (turned >> 7 | turned << 25) & mask
        block = tuple(block[at] for at in BLAKE3_ORDER)
    return tuple(v[at] ^ v[at + 8] for at in range(8))


def blake3_chunk(data: bytes, start: Words, counter: int, flags: int) -> Words:
    """The chain value of up to 1024 bytes."""
    chain = start
    for at in range(0, max(len(data), 1), BLOCK_BYTES):
        block = data[at : at + BLOCK_BYTES]
        marks = CHUNK_START * (at == 0) | CHUNK_END * (at + BLOCK_BYTES >= len(data))
        padded = words_of(block.ljust(BLOCK_BYTES, b"\0"))
        # Only the very last compression has the root's flag.
        final = flags if marks & CHUNK_END else flags & ~ROOT
        chain = blake3_compress(chain, padded, counter, len(block), final | marks)
    return chain


def blake3_tree(data: bytes, start: Words, counter: int, flags: int) -> Words:
    """The chain value of a whole number of chunks; the left half is a power of two of them."""
    if len(data) <= CHUNK_BYTES:
        return blake3_chunk(data, start, counter, flags)
    chunks = (len(data) + CHUNK_BYTES - 1) // CHUNK_BYTES
    left = largest_power_below(chunks)
    cut, below = left * CHUNK_BYTES, flags & ~ROOT
    block = blake3_tree(data[:cut], start, counter, below)
    block += blake3_tree(data[cut:], start, counter + left, below)
    return blake3_compress(start, block, 0, BLOCK_BYTES, flags | PARENT)


def blake3(data: bytes, start: Words = BLAKE3_START, flags: int = 0) -> bytes:
    words = blake3_tree(data, start, 0, flags | ROOT)
    return b"".join(word.to_bytes(4, "little") for word in words)


def blake3_keyed(key: bytes, data: bytes) -> bytes:
    return blake3(data, words_of(key), KEYED)


def blake3_derive_key(context: str, material: bytes) -> bytes:
    return blake3(material, words_of(blake3(context.encode(), flags=CONTEXT)), MATERIAL)


def largest_power_below(count: int) -> int:
    """The largest power of two below a number of at least 2."""
    return 1 << (count - 1).bit_length() - 1


class Suite:
    """The hashes of a network."""

    def __init__(self, name: str, number: int) -> None:
        self.name, self.number = name, number
        self._keys: dict[str, bytes] = {}

    def hash(self, domain: str, data: bytes) -> bytes:
        """The hash of data for one use."""
        if self.name == "c2sp":
            return hashlib.sha256(f"ledgercore/v1/{domain}\0".encode() + data).digest()
        if domain not in self._keys:
            self._keys[domain] = blake3_derive_key(f"ledgercore v1 {domain}", b"")
        return blake3_keyed(self._keys[domain], data)

    def leaf(self, data: bytes) -> bytes:
        if self.name == "c2sp":
            return hashlib.sha256(b"\x00" + data).digest()
        framed = len(data).to_bytes(8, "little") + data
        return self.hash("leaf", framed + bytes(-len(framed) % BLOCK_BYTES))

    def node(self, left: bytes, right: bytes) -> bytes:
        if self.name == "c2sp":
            return hashlib.sha256(b"\x01" + left + right).digest()
        return self.hash("node", left + right)

    def empty(self) -> bytes:
        return hashlib.sha256().digest() if self.name == "c2sp" else self.hash("empty", b"")


SUITES = {suite.name: suite for suite in (Suite("std", 1), Suite("c2sp", 3))}

# ------------------------------------------------------------------------------------------- curve
#
# Ed25519 with the acceptance of ZIP-215. Points are (X, Y, Z, T) with x = X/Z, y = Y/Z, xy = T/Z.

PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
CURVE_D = -121665 * pow(121666, -1, PRIME) % PRIME
ROOT_OF_MINUS_ONE = pow(2, (PRIME - 1) // 4, PRIME)

Point = tuple[int, int, int, int]
NEUTRAL: Point = (0, 1, 1, 0)


def add_points(p: Point, q: Point) -> Point:
    """The sum of any two points, equal ones too."""
    a = (p[1] - p[0]) * (q[1] - q[0])
    b = (p[1] + p[0]) * (q[1] + q[0])
    c = 2 * CURVE_D * p[3] * q[3]
    d = 2 * p[2] * q[2]
    e, f, g, h = (b - a) % PRIME, (d - c) % PRIME, (d + c) % PRIME, (b + a) % PRIME
    return e * f % PRIME, g * h % PRIME, f * g % PRIME, e * h % PRIME


def negate_point(p: Point) -> Point:
    return -p[0] % PRIME, p[1], p[2], -p[3] % PRIME


def decode_point(data: bytes) -> Point | None:
    """The point that 32 bytes stand for; y may be at or above the prime, and x may be minus 0."""
    number = int.from_bytes(data, "little")
    y, odd = (number & (1 << 255) - 1) % PRIME, number >> 255
    # x² = (y² - 1) / (d y² + 1)
    above, below = (y * y - 1) % PRIME, (CURVE_D * y * y + 1) % PRIME
    square = above * pow(below, -1, PRIME) % PRIME
    x = pow(square, (PRIME + 3) // 8, PRIME)
    if x * x % PRIME != square:
        x = x * ROOT_OF_MINUS_ONE % PRIME
    if x * x % PRIME != square:
        return None
    if x & 1 != odd:
        x = -x % PRIME
    return x, y, 1, x * y % PRIME


BASE = decode_point((4 * pow(5, -1, PRIME) % PRIME).to_bytes(32, "little")) or NEUTRAL


def add_multiples(a: int, p: Point, b: int, q: Point) -> Point:
    """a p + b q, one doubling a bit for both."""
    table = (None, p, q, add_points(p, q))
    total = NEUTRAL
    for bit in reversed(range(max(a.bit_length(), b.bit_length()))):
        total = add_points(total, total)
        term = table[(a >> bit & 1) + 2 * (b >> bit & 1)]
        if term is not None:
            total = add_points(total, term)
    return total


def verify_signature(key: bytes, message: bytes, signature: bytes, what: str) -> None:
    """Accept where [8](sB - R - kA) = 0 and s is below the order."""
    nonce, s = signature[:32], int.from_bytes(signature[32:], "little")
    point, commitment = decode_point(key), decode_point(nonce)
    if len(signature) != 64 or s >= ORDER or point is None or commitment is None:
        refuse(INVALID_SIGNATURE, f"{what}: signature or key is not in its form")
    k = int.from_bytes(hashlib.sha512(nonce + key + message).digest(), "little") % ORDER
    rest = add_multiples(s, BASE, k, negate_point(point))
    rest = add_points(rest, negate_point(commitment))
    for _ in range(3):
        rest = add_points(rest, rest)
    need(rest[0] == 0 and rest[1] == rest[2], INVALID_SIGNATURE, f"{what} does not verify")


# ------------------------------------------------------------------------------------------- group
#
# ristretto255 (RFC 9496): elements are points of the same curve, and those that differ by a small
# order are one element, with one encoding. Field elements are whole numbers below the prime.

INVERSE_ROOT_A_MINUS_D = (
    54469307008909316920995813868745141605393597292927456921205312896311721017578
)
ROOT_AD_MINUS_ONE = 25063068953384623474111414158702152701244531502492656460079210482610430750235


def absolute(value: int) -> int:
    """The number or its opposite: the even one."""
    value %= PRIME
    return PRIME - value if value & 1 else value


def root_of_ratio(above: int, below: int) -> tuple[bool, int]:
    """Whether a ratio is a square, and the root of it, or of its product with the root of -1."""
    ratio = above * pow(below, -1, PRIME) % PRIME if below % PRIME else 0
    root = pow(ratio, (PRIME + 3) // 8, PRIME)
    for candidate in (root, root * ROOT_OF_MINUS_ONE):
        if candidate * candidate % PRIME == ratio:
            return ratio != 0 or above % PRIME == 0, absolute(candidate)
    ratio = ratio * ROOT_OF_MINUS_ONE % PRIME
    root = pow(ratio, (PRIME + 3) // 8, PRIME)
    if root * root % PRIME != ratio:
        root = root * ROOT_OF_MINUS_ONE
    return False, absolute(root)


def decode_element(data: bytes, what: str) -> Point:
    """The element that 32 bytes stand for, by section 4.3.1."""
    s = int.from_bytes(data, "little")
    need(s < PRIME and s & 1 == 0, MALFORMED, f"{what} is no element of the group")
    first, second = (1 - s * s) % PRIME, (1 + s * s) % PRIME
    v = (-CURVE_D * first * first - second * second) % PRIME
    square, inverse = root_of_ratio(1, v * second * second)
    x_part = inverse * second % PRIME
    x, y = absolute(2 * s * x_part), first * inverse * x_part * v % PRIME
    t = x * y % PRIME
    need(square and t & 1 == 0 and y != 0, MALFORMED, f"{what} is no element of the group")
    return x, y, 1, t


def encode_element(point: Point) -> bytes:
    """The one encoding of an element, by section 4.3.2."""
    x, y, z, t = point
    first, second = (z + y) * (z - y) % PRIME, x * y % PRIME
    inverse = root_of_ratio(1, first * second * second)[1]
    scaled = inverse * first % PRIME, inverse * second % PRIME
    z_inverse = scaled[0] * scaled[1] * t % PRIME
    last = scaled[1]
    if t * z_inverse % PRIME & 1:
        x, y = y * ROOT_OF_MINUS_ONE % PRIME, x * ROOT_OF_MINUS_ONE % PRIME
        last = scaled[0] * INVERSE_ROOT_A_MINUS_D % PRIME
    if x * z_inverse % PRIME & 1:
        y = -y % PRIME
    return absolute(last * (z - y)).to_bytes(32, "little")


def draw_element(data: bytes) -> Point:
    """The element that 64 uniform bytes make, by section 4.3.4."""
    return add_points(map_to_element(data[:32]), map_to_element(data[32:]))


def map_to_element(data: bytes) -> Point:
    t = (int.from_bytes(data, "little") & (1 << 255) - 1) % PRIME
    r = ROOT_OF_MINUS_ONE * t * t % PRIME
    v = (-1 - r * CURVE_D) * (r + CURVE_D) % PRIME
    square, s = root_of_ratio((r + 1) * (1 - CURVE_D * CURVE_D), v)
    s, c = (s, -1) if square else (-absolute(s * t), r)
    n = c * (r - 1) * (CURVE_D - 1) ** 2 - v
    parts = (2 * s * v, n * ROOT_AD_MINUS_ONE, 1 - s * s, 1 + s * s)
    a, b, c, d = (part % PRIME for part in parts)
    return a * d % PRIME, c * b % PRIME, b * d % PRIME, a * c % PRIME


def decode_scalar(data: bytes, what: str) -> int:
    number = int.from_bytes(data, "little")
    need(number < ORDER, MALFORMED, f"{what} is not below the group's order")
    return number


# -------------------------------------------------------------------------------------------- wire
#
# Canonical MessagePack: one value, one encoding. What reads here refuses every other.

DEPTH = 8
RECORD_BYTES, BODY_BYTES = 64 * 1024, 63 * 1024
RECEIPT_BYTES, PACK_BYTES = 256 * 1024, 32 * 1024 * 1024
STATE_RECEIPT_BYTES, HISTORY_BYTES, HISTORY_RECORDS = 256 * 1024, 16 * 1024 * 1024, 64 * 1024
PROOF_HASHES, MULTIPROOF_HASHES, STATE_SIBLINGS = 64, 256 * 1024, 256
OPENING_BYTES = 64 * 1024
OBJECT_BYTES, STATE_BYTES = 128, 64 * 1024
CHECKPOINT_BYTES, CHECKPOINT_SIGNATURES, NAME_BYTES = 16 * 1024, 64, 255


class Reader:
    """Reads one value from bytes; checks before each step that there is as much as was told."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        need(count <= len(self.data) - self.at, MALFORMED, "bytes end in the middle of a value")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, size: int, least: int) -> int:
        """A number in some bytes; one below ``least`` has a shorter form."""
        value = int.from_bytes(self.take(size), "big")
        need(value >= least, MALFORMED, f"{value} is not in its shortest form")
        return value

    def negative(self, size: int, most: int) -> int:
        value = int.from_bytes(self.take(size), "big", signed=True)
        need(value <= most, MALFORMED, f"{value} is not in its shortest form")
        return value

    def value(self, depth: int = 0) -> Any:
        """An array, a map or a scalar."""
        mark = self.take(1)[0]
        match mark:
            case _ if 0x80 <= mark < 0x90:
                return self.map(mark & 0x0F)
            case _ if 0x90 <= mark < 0xA0:
                return self.array(mark & 0x0F, depth)
            case 0xDC:
                return self.array(self.number(2, 16), depth)
            case 0xDD:
                return self.array(self.number(4, 1 << 16), depth)
            case 0xDE:
                return self.map(self.number(2, 16))
            case 0xDF:
                return self.map(self.number(4, 1 << 16))
        return self.scalar(mark)

    def scalar(self, mark: int) -> Any:
        """Nil, a truth value, a number, bytes or text."""
        if mark < 0x80:
            return mark
        if mark >= 0xE0:
            return mark - 0x100
        if 0xA0 <= mark < 0xC0:
            return self.text(mark & 0x1F)
        size = 1 << (mark & 3)  # of numbers, and of the length of bytes
        match mark:
            case 0xC0:
                return None
            case 0xC2 | 0xC3:
                return mark == 0xC3
            case 0xC4 | 0xC5 | 0xC6:
                return self.take(self.number(size, (0, 1 << 8, 1 << 16)[mark - 0xC4]))
            case 0xCC | 0xCD | 0xCE | 0xCF:
                return self.number(size, (1 << 7, 1 << 8, 1 << 16, 1 << 32)[mark - 0xCC])
            case 0xD0 | 0xD1 | 0xD2 | 0xD3:
                least = (1 << 5, 1 << 7, 1 << 15, 1 << 31)[mark - 0xD0]
                return self.negative(size, -least - 1)
            case 0xD9 | 0xDA | 0xDB:
                size, least = ((1, 32), (2, 1 << 8), (4, 1 << 16))[mark - 0xD9]
                return self.text(self.number(size, least))
        refuse(MALFORMED, f"byte {mark:#04x} begins no value that may stand there")

    def text(self, size: int) -> str:
        try:
            text = self.take(size).decode()
        except UnicodeDecodeError:
            refuse(MALFORMED, "text is not UTF-8")
        need(unicodedata.is_normalized("NFC", text), MALFORMED, "text is not in normal form C")
        return text

    def array(self, count: int, depth: int) -> list[Any]:
        need(depth < DEPTH, MALFORMED, f"arrays are nested deeper than {DEPTH}")
        return [self.value(depth + 1) for _ in range(count)]  # ends where the bytes do

    def map(self, count: int) -> dict[str, Any]:
        """Scalars by text; no format uses a map, but a body of an unknown kind may hold one."""
        found: dict[str, Any] = {}
        for _ in range(count):
            key, value = self.scalar(self.take(1)[0]), self.scalar(self.take(1)[0])
            need(isinstance(key, str), MALFORMED, "key of a map is not text")
            ascends = not found or list(found)[-1].encode() < key.encode()
            need(ascends, MALFORMED, "keys of a map do not ascend")
            found[key] = value
        return found


def decode(data: bytes, what: str) -> Any:
    """The one value that the bytes are."""
    reader = Reader(data)
    try:
        value = reader.value()
        need(reader.at == len(data), MALFORMED, "something follows the end")
    except Refusal as refusal:
        refuse(MALFORMED, f"{what}: {refusal}, at byte {reader.at}")
    return value


def encode(value: Any) -> bytes:
    """The encoding of nil, a number, text, bytes, or an array of these."""
    match value:
        case None:
            return b"\xc0"
        case int() if value < 0:
            if value >= -32:
                return bytes([value & 0xFF])
            size = next(size for size in (1, 2, 4, 8) if value >= -(1 << 8 * size - 1))
            return bytes([0xCF + size.bit_length()]) + value.to_bytes(size, "big", signed=True)
        case int():
            return encode_head(value, 0x00, 128, (0xCC, 0xCD, 0xCE, 0xCF))
        case bytes():
            return encode_head(len(value), 0, 0, (0xC4, 0xC5, 0xC6)) + value
        case str():
            data = value.encode()
            return encode_head(len(data), 0xA0, 32, (0xD9, 0xDA, 0xDB)) + data
        case list():
            head = encode_head(len(value), 0x90, 16, (None, 0xDC, 0xDD))
            return head + b"".join(encode(item) for item in value)
    raise TypeError(f"{type(value).__name__} has no encoding here")


def encode_head(number: int, short: int, below: int, marks: tuple[int | None, ...]) -> bytes:
    """A number or length: in the first byte itself, or in 1, 2, 4 or 8 bytes after their mark."""
    if number < below:
        return bytes([short | number])
    for power, mark in enumerate(marks):
        if mark is not None and number < 1 << (8 << power):
            return bytes([mark]) + number.to_bytes(1 << power, "big")
    raise OverflowError(f"{number} has no encoding here")


# A shape says what a decoded value must be. ``row`` names the items of an array.

Shape = Callable[[Any, str], Any]


def count_below(limit: int, least: int = 0) -> Shape:
    def check(value: Any, what: str) -> int:
        if type(value) is not int or not least <= value < limit:
            refuse(MALFORMED, f"{what} is {value!r}, want a whole number below {limit}")
        return value

    return check


def whole_number(value: Any, what: str) -> int:
    if type(value) is not int:
        refuse(MALFORMED, f"{what} is {value!r}, want a whole number")
    return value


def bytes_of(least: int, most: int | None = None) -> Shape:
    def check(value: Any, what: str) -> bytes:
        if type(value) is not bytes or not least <= len(value) <= (most or least):
            refuse(MALFORMED, f"{what} is not {least} to {most or least} bytes")
        return value

    return check


def text_of(most: int, pattern: str = "") -> Shape:
    def check(value: Any, what: str) -> str:
        if type(value) is not str or len(value) > most or not re.search(pattern, value):
            refuse(MALFORMED, f"{what} is {value!r}, want {pattern or 'text'} of {most} at most")
        return value

    return check


def one_of(*values: Any) -> Shape:
    def check(value: Any, what: str) -> Any:
        if type(value) is not type(values[0]) or value not in values:
            refuse(MALFORMED, f"{what} is {value!r}, want {' or '.join(map(repr, values))}")
        return value

    return check


def list_of(item: Shape, most: int, least: int = 0) -> Shape:
    def check(value: Any, what: str) -> list[Any]:
        if type(value) is not list or not least <= len(value) <= most:
            refuse(MALFORMED, f"{what} is not a list of {least} to {most} items")
        return [item(each, f"{what} {at}") for at, each in enumerate(value)]

    return check


def optional(shape: Shape) -> Shape:
    return lambda value, what: None if value is None else shape(value, what)


def row(**shapes: Shape) -> Shape:
    """An array with one item for each name; read as a dictionary by name."""

    def check(value: Any, what: str) -> dict[str, Any]:
        if type(value) is not list or len(value) != len(shapes):
            refuse(MALFORMED, f"{what} is not an array of {len(shapes)} items")
        pairs = zip(shapes.items(), value, strict=True)
        return {name: shape(item, f"{what}: {name}") for (name, shape), item in pairs}

    return check


U64 = count_below(1 << 64)
COUNT = count_below(1 << 53)
HASH = bytes_of(32)
ANY_BYTES = bytes_of(0, PACK_BYTES)
VERSION = one_of(1)

# -------------------------------------------------------------------------------------------- tree
#
# The history tree of RFC 9162: n leaves are split at the largest power of two below n.


def verify_inclusion(
    suite: Suite, leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes
) -> None:
    """Accept that a leaf hash stands at an index of the tree of a size."""
    need(index < size, INVALID_PROOF, f"index is {index}, want one below the size {size}")
    hashes = list(path)

    def climb(index: int, size: int) -> bytes:
        """The root of a subtree, from the leaf and the end of the path."""
        if size == 1:
            return leaf
        left = largest_power_below(size)
        need(bool(hashes), INVALID_PROOF, "inclusion proof has too few hashes")
        sibling = hashes.pop()
        if index < left:
            return suite.node(climb(index, left), sibling)
        return suite.node(sibling, climb(index - left, size - left))

    found = climb(index, size)
    need(not hashes, INVALID_PROOF, "inclusion proof has too many hashes")
    need(found == root, INVALID_PROOF, f"record {index} does not lead to the checkpoint's root")


def verify_consistency(
    suite: Suite, old: int, new: int, path: Sequence[bytes], old_root: bytes, new_root: bytes
) -> None:
    """Accept that the tree of the new size begins with all of the old one."""
    need(old <= new, INVALID_PROOF, f"the older size is {old}, the newer {new}")
    if old == 0:
        need(old_root == suite.empty(), INVALID_PROOF, "root of no records is not that of none")
        need(not path, INVALID_PROOF, "nothing is to be proven of no records, want no hashes")
        return
    hashes = list(path)

    def climb(old: int, new: int, whole: bool) -> tuple[bytes, bytes]:
        """The two roots of a subtree; ``whole`` while all of the old tree is in it."""
        if old == new and whole:
            return old_root, old_root
        need(bool(hashes), INVALID_PROOF, "consistency proof has too few hashes")
        sibling = hashes.pop()
        if old == new:
            return sibling, sibling
        left = largest_power_below(new)
        if old <= left:
            before, after = climb(old, left, whole)
            return before, suite.node(after, sibling)
        before, after = climb(old - left, new - left, False)
        return suite.node(sibling, before), suite.node(sibling, after)

    before, after = climb(old, new, True)
    need(not hashes, INVALID_PROOF, "consistency proof has too many hashes")
    need(before == old_root, INVALID_PROOF, "proof does not lead to the older root")
    need(after == new_root, INVALID_PROOF, "proof does not lead to the newer root")


def verify_multiproof(
    suite: Suite, leaves: dict[int, bytes], size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Accept that leaf hashes stand at their indices, which ascend."""
    indices, hashes = list(leaves), iter(proof)
    need(bool(indices), INVALID_PROOF, "multiproof shows no leaf")
    need(indices[-1] < size, INVALID_PROOF, f"index {indices[-1]} is not below the size {size}")

    def walk(begin: int, size: int, shown: Sequence[int]) -> bytes:
        """The root of the subtree over ``size`` leaves from ``begin`` on."""
        if not shown:
            sibling = next(hashes, None)
            if sibling is None:
                refuse(INVALID_PROOF, "multiproof has too few hashes")
            return sibling
        if size == 1:
            return leaves[begin]
        left = largest_power_below(size)
        below = [index for index in shown if index < begin + left]
        above = [index for index in shown if index >= begin + left]
        first = walk(begin, left, below)
        return suite.node(first, walk(begin + left, size - left, above))

    found = walk(0, size, indices)
    need(next(hashes, None) is None, INVALID_PROOF, "multiproof has too many hashes")
    need(found == root, INVALID_PROOF, "records do not lead to the checkpoint's root")


def tree_root(suite: Suite, hashes: Sequence[bytes]) -> bytes:
    """The root over leaf hashes."""
    if len(hashes) < 2:
        return hashes[0] if hashes else suite.empty()
    left = largest_power_below(len(hashes))
    return suite.node(tree_root(suite, hashes[:left]), tree_root(suite, hashes[left:]))


# --------------------------------------------------------------------------------------------- map
#
# The state of every object, in a binary tree by the bits of the hash of the object's name.


@dataclass(frozen=True)
class StateProof:
    """An object has this state, or none."""

    object: bytes
    state: bytes | None
    siblings: list[bytes]
    other: list[bytes] | None


STATE_PROOF = row(
    object=bytes_of(0, OBJECT_BYTES),
    state=optional(bytes_of(0, STATE_BYTES)),
    siblings=list_of(HASH, STATE_SIBLINGS),
    other=optional(list_of(HASH, 2, 2)),
)


def decode_state_proof(data: bytes) -> StateProof:
    proof = StateProof(**STATE_PROOF(decode(data, "state proof"), "state proof"))
    both = proof.state is not None and proof.other is not None
    need(not both, MALFORMED, "state proof has a state and another entry, want one at most")
    return proof


def verify_state(suite: Suite, proof: StateProof, root: bytes) -> None:
    """Accept that the root commits to the object's state, or to its absence."""
    key = suite.hash("state-key", proof.object)
    bits = [key[at // 8] >> 7 - at % 8 & 1 for at in range(len(proof.siblings))]
    found = bytes(32)  # a subtree without entries
    if proof.state is not None:
        found = suite.hash("state-leaf", key + suite.hash("state-value", proof.state))
    elif proof.other is not None:
        other, value = proof.other
        need(other != key, INVALID_PROOF, "the entry in the object's place is its own")
        same = all(other[at // 8] >> 7 - at % 8 & 1 == bit for at, bit in enumerate(bits))
        need(same, INVALID_PROOF, "the entry in the object's place is of another way")
        found = suite.hash("state-leaf", other + value)
    for bit, sibling in zip(reversed(bits), reversed(proof.siblings), strict=True):
        found = suite.hash("state-node", sibling + found if bit else found + sibling)
    shown = proof.object.partition(b"/")[0].decode(errors="replace")
    need(found == root, INVALID_PROOF, f"state of {shown} does not lead to the state root")


# ------------------------------------------------------------------------------------------- notes
#
# Checkpoints are signed notes, and cosigned, as C2SP describes them.

OPERATOR_KEY, WITNESS_KEY = 0x01, 0x04  # algorithms of a note's keys
DECIMAL = re.compile(r"0|[1-9][0-9]{0,19}")


def decode_base64(text: str, what: str) -> bytes:
    """The bytes of base64 in its one form: padded, and no bit to spare set."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        refuse(MALFORMED, f"{what} is not base64")
    need(base64.b64encode(data).decode() == text, MALFORMED, f"{what} is not the one base64")
    return data


def check_name(name: str) -> None:
    """Hold the name of a ledger or a witness to what may stand in a line."""
    sound = 0 < len(name.encode(errors="replace")) <= NAME_BYTES and "+" not in name
    sound = sound and not any(each.isspace() or unicodedata.category(each) == "Cc" for each in name)
    need(sound, MALFORMED, f"{name!r} cannot be a name")


def key_id(name: str, algorithm: int, key: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + bytes([algorithm]) + key).digest()[:4]


@dataclass(frozen=True)
class Anchor:
    """Whom to trust."""

    origin: str
    network: bytes
    suite: Suite
    operator: bytes
    witnesses: dict[str, bytes]
    quorum: int


def parse_key(text: str, algorithm: int) -> tuple[str, bytes]:
    """Name and key of ``name+id+base64(algorithm, key)``."""
    parts = text.split("+", 2)
    need(len(parts) == 3, MALFORMED, f"{text!r} is not name+id+key")
    name, told, key = parts[0], parts[1], decode_base64(parts[2], "key")
    check_name(name)
    need(len(key) == 33 and key[0] == algorithm, MALFORMED, f"key of {name} is of another kind")
    need(told == key_id(name, algorithm, key[1:]).hex(), MALFORMED, f"key of {name} has another id")
    return name, key[1:]


def parse_anchor(text: str) -> Anchor:
    """The anchor in a TOML text: every key once, and no other."""
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        refuse(MALFORMED, f"anchor is not TOML: {error}")
    entries = table.pop("witness", [])
    kinds = {"origin": str, "network": str, "suite": str, "operator": str, "quorum": int}
    check_table("anchor", table, kinds)
    need(isinstance(entries, list), MALFORMED, "witness is not a list of tables")
    witnesses: dict[str, bytes] = {}
    for entry in entries:
        check_table("witness", entry, {"name": str, "key": str})
        name, key = parse_key(entry["key"], WITNESS_KEY)
        need(name == entry["name"], MALFORMED, f"key of witness {entry['name']} is named {name}")
        need(name not in witnesses, MALFORMED, f"witness {name} is listed twice")
        witnesses[name] = key
    name, operator = parse_key(table["operator"], OPERATOR_KEY)
    need(name == table["origin"], MALFORMED, f"key of operator {table['origin']} is named {name}")
    network = re.fullmatch("[0-9a-f]{32}", table["network"])
    need(network is not None, MALFORMED, "network is not 32 hexadecimal digits")
    need(table["suite"] in SUITES, MALFORMED, f"suite is {table['suite']!r}, want std or c2sp")
    need(0 <= table["quorum"] <= len(witnesses), MALFORMED, "quorum is more than the witnesses")
    return Anchor(
        origin=name,
        network=bytes.fromhex(table["network"]),
        suite=SUITES[table["suite"]],
        operator=operator,
        witnesses=witnesses,
        quorum=table["quorum"],
    )


def check_table(what: str, table: Any, kinds: dict[str, type]) -> None:
    sound = isinstance(table, dict) and table.keys() == kinds.keys()
    sound = sound and all(type(table[name]) is kind for name, kind in kinds.items())
    need(sound, MALFORMED, f"{what} has not exactly the keys {', '.join(kinds)}")


@dataclass(frozen=True)
class Checkpoint:
    """What was signed of a ledger at one size."""

    origin: str
    size: int
    root: bytes
    height: int
    block: bytes
    state_root: bytes


def parse_checkpoint(text: str) -> Checkpoint:
    """The checkpoint of a note's text; formatted anew it must be the same text."""
    lines = text.split("\n")
    need(len(lines) == 6 and lines[5] == "", MALFORMED, "checkpoint has not five lines")
    origin, size, root, block, state, _ = lines
    check_name(origin)
    parts = block.split(" ")
    need(len(parts) == 3 and parts[0] == "block", MALFORMED, "line 4 is not block, height, hash")
    need(state.startswith("state "), MALFORMED, "line 5 is not state and root")
    return Checkpoint(
        origin=origin,
        size=parse_number(size, "size"),
        root=parse_hash(root, "root"),
        height=parse_number(parts[1], "height"),
        block=parse_hash(parts[2], "block"),
        state_root=parse_hash(state.removeprefix("state "), "state"),
    )


def parse_number(text: str, what: str) -> int:
    need(DECIMAL.fullmatch(text) is not None, MALFORMED, f"{what} is {text!r}, want a number")
    return int(U64(int(text), what))


def parse_hash(text: str, what: str) -> bytes:
    return bytes(HASH(decode_base64(text, what), what))


def parse_note(data: bytes) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """A note's text, and of each signature line the name, the key's id and the signature."""
    need(len(data) <= CHECKPOINT_BYTES, MALFORMED, f"checkpoint is above {CHECKPOINT_BYTES} bytes")
    try:
        text, gap, tail = data.decode().partition("\n\n")
    except UnicodeDecodeError:
        refuse(MALFORMED, "checkpoint is not UTF-8")
    need(gap != "" and tail.endswith("\n"), MALFORMED, "checkpoint has no signature line")
    lines = tail.removesuffix("\n").split("\n")
    need(len(lines) <= CHECKPOINT_SIGNATURES, MALFORMED, f"checkpoint has {len(lines)} signatures")
    found = []
    for line in lines:
        parts = line.split(" ")
        need(len(parts) == 3 and parts[0] == "—", MALFORMED, f"{line[:40]!r} is no signature line")
        check_name(parts[1])
        signature = decode_base64(parts[2], "signature line")
        need(len(signature) > 4, MALFORMED, f"signature line of {parts[1]} is too short")
        found.append((parts[1], signature[:4], signature[4:]))
    return text + "\n", found


def verify_checkpoint(data: bytes, anchor: Anchor) -> tuple[Checkpoint, dict[str, int]]:
    """The checkpoint in a note, with the witnesses that cosigned and when, in seconds."""
    text, signatures = parse_note(data)
    checkpoint = parse_checkpoint(text)
    same = checkpoint.origin == anchor.origin
    need(same, UNTRUSTED, f"checkpoint is of {checkpoint.origin}, want {anchor.origin}")
    operator_id = key_id(anchor.origin, OPERATOR_KEY, anchor.operator)
    signed, cosigned = False, dict[str, int]()
    for name, told, signature in signatures:
        if (name, told) == (anchor.origin, operator_id):
            verify_signature(anchor.operator, text.encode(), signature, "operator's signature")
            signed = True
        elif name in anchor.witnesses:
            key = anchor.witnesses[name]
            if told == key_id(name, WITNESS_KEY, key):
                cosigned[name] = verify_cosignature(key, name, signature, text)
    need(signed, UNTRUSTED, "checkpoint is not signed by the anchor's operator")
    enough = len(cosigned) >= anchor.quorum
    need(enough, UNTRUSTED, f"{len(cosigned)} witnesses cosigned, want {anchor.quorum}")
    return checkpoint, cosigned


def verify_cosignature(key: bytes, name: str, signature: bytes, text: str) -> int:
    """The time at which a witness cosigned."""
    time_s = int.from_bytes(signature[:8], "big")
    message = f"cosignature/v1\ntime {time_s}\n{text}".encode()
    verify_signature(key, message, signature[8:], f"cosignature of {name}")
    return time_s


# ----------------------------------------------------------------------------------------- records
#
# A record is what a member signed: a header, a body and the signature.

ZERO_HASH = bytes(32)


@dataclass(frozen=True)
class Record:
    """A record of which the form is checked, and nothing else yet."""

    encoded: bytes
    id: bytes
    network: bytes
    kind: str
    suite: Suite
    key: bytes
    sequence: int
    previous: bytes
    body: bytes
    signature: bytes


def record_shape(body: Shape) -> Shape:
    """A record, or an envelope that has nil in the body's place."""
    header = row(
        version=VERSION,
        network=bytes_of(16),
        kind=text_of(64, r"\A[a-z.-]+\Z"),
        suite=one_of(*(suite.number for suite in SUITES.values())),
        key=HASH,
        sequence=U64,
        previous=HASH,
        references=list_of(HASH, 16),
        not_before_ms=U64,
        expiry_ms=U64,
        body=body,
    )
    return row(header=header, signature=bytes_of(64))


RECORD, ENVELOPE = record_shape(bytes_of(0, BODY_BYTES)), record_shape(one_of(None))


def decode_record(data: bytes) -> Record:
    need(len(data) <= RECORD_BYTES, MALFORMED, f"record is above {RECORD_BYTES} bytes")
    value = decode(data, "record")
    record = RECORD(value, "record")
    header, signature = record["header"], record["signature"]
    suite = next(suite for suite in SUITES.values() if suite.number == header["suite"])
    if header["kind"] != "data":
        body = decode(header["body"], "body")
        need(type(body) is list, MALFORMED, "body is not an array")
    return Record(
        encoded=data,
        id=suite.hash("record", encode(value[0])),
        suite=suite,
        signature=signature,
        **{
            name: header[name]
            for name in ("network", "kind", "key", "sequence", "previous", "body")
        },
    )


def restore_record(envelope: bytes, body: bytes) -> Record:
    """The record whose envelope and body these are."""
    value = decode(envelope, "envelope")
    ENVELOPE(value, "envelope")
    value[0][-1] = body
    return decode_record(encode(value))


def verify_record(record: Record, anchor: Anchor, what: str = "record") -> None:
    """Accept a record of the anchor's network that its key signed."""
    same = (record.network, record.suite) == (anchor.network, anchor.suite)
    need(same, UNTRUSTED, f"{what} is of another network or suite")
    verify_signature_of(record, what)


def verify_signature_of(record: Record, what: str = "record") -> None:
    """Accept a record that its key signed, of whatever network."""
    message = b"\x14ledgercore record v1" + record.network + record.id
    verify_signature(record.key, message, record.signature, f"signature of {what}")


# ----------------------------------------------------------------------------------------- receipt


@dataclass(frozen=True)
class Claim:
    """One thing that is shown: ``status`` is proven, erased or withheld."""

    name: str
    statement: str
    status: str = "proven"


@dataclass(frozen=True)
class Receipt:
    """A receipt that verifies."""

    index: int
    checkpoint: Checkpoint
    record: Record
    state: StateProof | None


RECEIPT = row(
    version=VERSION,
    index=U64,
    path=list_of(HASH, PROOF_HASHES),
    checkpoint=bytes_of(0, CHECKPOINT_BYTES),
    envelope=bytes_of(0, RECORD_BYTES),
    state=optional(bytes_of(0, RECEIPT_BYTES)),
)


def verify_receipt(data: bytes, body: bytes, anchor: Anchor) -> Receipt:
    """Accept that the record with this body stands in the anchor's ledger."""
    need(len(data) <= RECEIPT_BYTES, MALFORMED, f"receipt is above {RECEIPT_BYTES} bytes")
    receipt = RECEIPT(decode(data, "receipt"), "receipt")
    record = restore_record(receipt["envelope"], body)
    state = None if receipt["state"] is None else decode_state_proof(receipt["state"])
    checkpoint, _ = verify_checkpoint(receipt["checkpoint"], anchor)
    verify_record(record, anchor)
    leaf, index = anchor.suite.leaf(record.encoded), receipt["index"]
    verify_inclusion(anchor.suite, leaf, index, checkpoint.size, receipt["path"], checkpoint.root)
    if state is not None:
        verify_state(anchor.suite, state, checkpoint.state_root)
    return Receipt(index, checkpoint, record, state)


# ------------------------------------------------------------------------------ bodies and states
#
# What the records of an exchange say, and what the map holds of the objects that they made.

IDENTIFIER = text_of(64, r"\A[a-z0-9][a-z0-9._-]*\Z")
CODE = text_of(64, r"\A[A-Z][A-Z0-9_]*\Z")
TEXT = text_of(256)
NAME = text_of(255, "(?s:.)")
ITEMS = 256  # of any list in a body
WITNESS = row(name=NAME, key=HASH)
MEMBER = row(
    member=IDENTIFIER,
    name=TEXT,
    roles=list_of(IDENTIFIER, ITEMS),
    signing_key=HASH,
    sealing_key=HASH,
)
FIELD = row(code=IDENTIFIER, unit=TEXT, level=one_of(1, 2, 3, 4, 5))

FIELDS: dict[str, Shape] = {
    **dict.fromkeys(("agreement", "consent", "exchange", "decision", "contest"), HASH),
    **dict.fromkeys(("terms_root", "disclosure_root", "ciphertext_hash", "model_hash"), HASH),
    **dict.fromkeys(("request_commitment", "explanation_commitment"), HASH),
    **dict.fromkeys(("evidence_commitment", "release_commitment"), HASH),
    **dict.fromkeys(("objection_commitment", "statement_commitment"), HASH),
    "correction_commitment": HASH,
    **dict.fromkeys(("reasons_commitment", "order_commitment"), HASH),
    **dict.fromkeys(("grounds_commitment", "reviewer_commitment"), HASH),
    **dict.fromkeys(("amount_commitment", "audit_copy"), optional(HASH)),
    **dict.fromkeys(("audit_key", "audit", "scope_commitment", "salt", "report_commitment"), HASH),
    **dict.fromkeys(("embargo_until_ms", "threshold"), COUNT),
    "holders": list_of(row(member=IDENTIFIER, share_key=HASH), ITEMS),
    "scope": list_of(HASH, ITEMS, least=1),
    "result": one_of("upheld", "changed"),
    **dict.fromkeys(("leaves", "proof"), list_of(HASH, ITEMS)),
    "positions": list_of(COUNT, ITEMS),
    **dict.fromkeys(("operator_key", "consent_key", "delivery_key"), HASH),
    **dict.fromkeys(("created_ms", "expires_ms", "lapses_ms", "until_ms"), COUNT),
    "deadline_ms": COUNT,
    **dict.fromkeys(("quorum", "max_uses", "size_bucket_bytes", "size"), COUNT),
    **dict.fromkeys(("product", "purpose", "basis"), IDENTIFIER),
    **dict.fromkeys(("name", "title", "version"), TEXT),
    "origin": NAME,
    "suite": one_of(*SUITES),
    "witnesses": list_of(WITNESS, ITEMS),
    "members": list_of(MEMBER, ITEMS),
    "fields": list_of(FIELD, ITEMS),
    "schema_hash": HASH,
    "former_network": bytes_of(16),
    "former_suite": one_of(*SUITES),
    "former_size": COUNT,
    "former_checkpoint": bytes_of(0, 16 * 1024),
    "root": HASH,
    "infrastructure": TEXT,
    **dict.fromkeys(("schema", "jurisdiction"), IDENTIFIER),
    "schema_version": count_below(1 << 53, least=1),
    "codes": list_of(IDENTIFIER, ITEMS),
    "processors": list_of(IDENTIFIER, ITEMS),
    "purposes": list_of(IDENTIFIER, ITEMS),
    "needs_agreement": one_of(False, True),
    "contract_commitment": HASH,
    "consumer": IDENTIFIER,
    **dict.fromkeys(("endorsement", "key_proof"), bytes_of(64)),
    **dict.fromkeys(("proposal", "signing_key", "sealing_key"), HASH),
    "member": IDENTIFIER,
    "roles": list_of(IDENTIFIER, ITEMS),
    "kind": text_of(64, r"\A[a-z.-]+\Z"),
    **dict.fromkeys(("body", "evidence"), bytes_of(0, 32 * 1024)),
    **dict.fromkeys(("code", "grounds"), CODE),
    "ruling": one_of("upheld", "dismissed"),
    "inputs": list_of(HASH, ITEMS, least=1),
    "outcome": one_of("approved", "declined", "referred"),
    "reasons": list_of(TEXT, ITEMS),
}
"""What each field of a body must be, whatever the kind."""

BODIES: dict[str, str] = {
    "genesis": "origin suite created_ms operator_key witnesses quorum members",
    "governance.propose": "proposal kind body lapses_ms",
    "governance.report": "proposal member evidence lapses_ms",
    "governance.approve": "proposal",
    "member.admit": "proposal member name roles signing_key sealing_key key_proof",
    "member.suspend": "proposal member",
    "member.reinstate": "proposal member",
    "member.retire": "proposal member",
    "key.rotate": "member signing_key sealing_key key_proof",
    "key.compromise": "member",
    "key.replace": "proposal member signing_key sealing_key key_proof",
    "authorisation.grant": "schema_hash member infrastructure jurisdiction basis"
    " max_uses expires_ms",
    "authorisation.revoke": "schema_hash basis",
    "schema.register": "schema schema_version title fields",
    "schema.retire": "schema schema_version",
    "product.publish": "product title version schema schema_version codes purposes needs_agreement",
    "product.withdraw": "product",
    "agreement.request": "agreement product purposes contract_commitment expires_ms",
    "agreement.offer": "agreement product purposes contract_commitment expires_ms consumer",
    "agreement.accept": "agreement",
    "agreement.agree": "agreement",
    "agreement.verify": "agreement",
    "agreement.finalize": "agreement",
    "agreement.terminate": "agreement code",
    "agreement.suspend": "agreement code",
    "agreement.resume": "agreement",
    "agreement.retire": "agreement code",
    "consent.request": "consent product purpose terms_root consent_key"
    " expires_ms max_uses lapses_ms processors agreement",
    "consent.authorise": "consent endorsement",
    "consent.reject": "consent",
    "consent.narrow": "consent terms_root expires_ms max_uses processors size positions leaves"
    " proof",
    "consent.stay": "consent basis order_commitment",
    "consent.lift": "consent",
    "consent.revoke": "consent",
    "consent.revoke-on-behalf": "consent evidence_commitment",
    "exchange.intent": "consent request_commitment delivery_key lapses_ms",
    "exchange.admit": "exchange ciphertext_hash disclosure_root size_bucket_bytes deadline_ms"
    " audit_copy",
    "exchange.refuse": "exchange code",
    "exchange.release": "exchange release_commitment",
    "exchange.void": "exchange code",
    "exchange.time-out": "exchange",
    "exchange.acknowledge": "exchange",
    "exchange.decline": "exchange code objection_commitment",
    "exchange.use": "exchange decision purpose",
    "exchange.restrict": "exchange basis until_ms",
    "exchange.erase": "exchange basis",
    "exchange.forget": "exchange basis",
    "exchange.correct": "exchange correction_commitment",
    "dispute.open": "exchange grounds statement_commitment",
    "dispute.evidence": "exchange evidence_commitment",
    "dispute.rule": "exchange ruling reasons_commitment",
    "decision.record": "inputs outcome model_hash reasons explanation_commitment amount_commitment",
    "audit.key": "audit_key threshold holders",
    "audit.accept": "audit_key",
    "audit.order": "audit_key basis scope_commitment expires_ms embargo_until_ms",
    "audit.open": "audit",
    "audit.disclose": "audit scope salt",
    "audit.report": "audit report_commitment",
    "renewal.anchor": "former_network former_suite former_size former_checkpoint root",
    "decision.explain": "decision",
    "decision.contest": "decision grounds_commitment",
    "decision.review": "decision contest result outcome reviewer_commitment explanation_commitment",
}
"""The fields of each kind's body."""

SPECIAL: dict[tuple[str, str], Shape] = {("consent.request", "agreement"): optional(HASH)}
"""The fields of one kind that are otherwise than those of the same name."""


def hash_or_empty(value: Any, what: str) -> Any:
    return value if value == b"" else HASH(value, what)


ANY_TEXT, ANY_COUNT = text_of(STATE_BYTES), U64
BEGIN = {"status": ANY_TEXT, "count": ANY_COUNT, "history": HASH}
PARTIES = {"consumer": ANY_TEXT, "provider": ANY_TEXT}
STATES: dict[str, Shape] = {
    "network": row(
        network=bytes_of(16), suite=ANY_TEXT, origin=ANY_TEXT, operator_key=HASH, genesis=HASH
    ),
    "key": row(member=ANY_TEXT, consent=hash_or_empty, status=ANY_TEXT),
    "signer": row(sequence=ANY_COUNT, previous=HASH),
    "amounts": row(sums=list_of(HASH, ITEMS)),
    "book": row(**BEGIN, sum=HASH),
    "authorisation": row(
        **BEGIN,
        authority=ANY_TEXT,
        member=ANY_TEXT,
        infrastructure=ANY_TEXT,
        jurisdiction=ANY_TEXT,
        basis=ANY_TEXT,
        max_uses=ANY_COUNT,
        uses=ANY_COUNT,
        expires_ms=ANY_COUNT,
    ),
    "schema": row(
        **BEGIN,
        provider=ANY_TEXT,
        title=ANY_TEXT,
        fields=list_of(FIELD, ITEMS),
        hash=HASH,
        token_rule=ANY_TEXT,
    ),
    "audit-key": row(
        **BEGIN,
        supervisor=ANY_TEXT,
        threshold=ANY_COUNT,
        holders=list_of(row(member=ANY_TEXT, share_key=HASH), ITEMS),
        accepted=list_of(ANY_TEXT, ITEMS),
    ),
    "renewal": row(
        **BEGIN,
        member=ANY_TEXT,
        former_network=bytes_of(16),
        former_suite=ANY_TEXT,
        former_size=ANY_COUNT,
        root=HASH,
    ),
    "member": row(
        **BEGIN,
        name=ANY_TEXT,
        roles=list_of(ANY_TEXT, ITEMS),
        signing_key=HASH,
        sealing_key=hash_or_empty,
        rotations=ANY_COUNT,
    ),
    "governance": row(**BEGIN, members=list_of(ANY_TEXT, STATE_BYTES)),
    "proposal": row(
        **BEGIN,
        kind=ANY_TEXT,
        content=HASH,
        lapses_ms=ANY_COUNT,
        approvals=list_of(HASH, STATE_BYTES),
        enacted_ms=ANY_COUNT,
    ),
    "product": row(
        **BEGIN,
        provider=ANY_TEXT,
        title=ANY_TEXT,
        version=ANY_TEXT,
        schema=ANY_TEXT,
        schema_version=ANY_COUNT,
        fields=list_of(FIELD, ITEMS),
        purposes=list_of(ANY_TEXT, ITEMS),
        needs_agreement=one_of(False, True),
    ),
    "agreement": row(
        **BEGIN,
        **PARTIES,
        product=ANY_TEXT,
        purposes=list_of(ANY_TEXT, ITEMS),
        contract_commitment=HASH,
        expires_ms=ANY_COUNT,
        ended_by=ANY_TEXT,
        code=ANY_TEXT,
        finalized_ms=ANY_COUNT,
        suspensions=list_of(row(party=ANY_TEXT, times=ANY_COUNT), ITEMS),
    ),
    "consent": row(
        **BEGIN,
        **PARTIES,
        product=ANY_TEXT,
        purpose=ANY_TEXT,
        terms_root=HASH,
        consent_key=HASH,
        expires_ms=ANY_COUNT,
        lapses_ms=ANY_COUNT,
        max_uses=ANY_COUNT,
        uses=ANY_COUNT,
        processors=list_of(ANY_TEXT, ITEMS),
        agreement=optional(HASH),
        revoked_by=list_of(ANY_TEXT, ITEMS),
    ),
    "trail": row(
        subject=ANY_COUNT,
        consumer=ANY_COUNT,
        processors=ANY_COUNT,
        provider=ANY_COUNT,
        supervisor=ANY_COUNT,
    ),
    "exchange": row(
        **BEGIN,
        consent=HASH,
        **PARTIES,
        processor=ANY_TEXT,
        request_commitment=HASH,
        delivery_key=HASH,
        lapses_ms=ANY_COUNT,
        code=ANY_TEXT,
        forgotten=one_of(False, True),
        corrected_since=one_of(False, True),
        correction=optional(HASH),
        admission=optional(
            row(
                consent_status=ANY_TEXT,
                consent_count=ANY_COUNT,
                terms_root=HASH,
                use_number=ANY_COUNT,
                height=ANY_COUNT,
                index=ANY_COUNT,
                time_ms=ANY_COUNT,
                ciphertext_hash=HASH,
                disclosure_root=HASH,
                size_bucket_bytes=ANY_COUNT,
                deadline_ms=ANY_COUNT,
                audit_copy=optional(HASH),
            )
        ),
    ),
    "audit": row(
        **BEGIN,
        supervisor=ANY_TEXT,
        audit_key=HASH,
        basis=ANY_TEXT,
        scope_commitment=HASH,
        expires_ms=ANY_COUNT,
        embargo_until_ms=ANY_COUNT,
        threshold=ANY_COUNT,
        openers=list_of(row(member=ANY_TEXT, time_ms=ANY_COUNT), ITEMS),
        disclosed=one_of(False, True),
    ),
    "dispute": row(
        **BEGIN,
        complainants=list_of(ANY_TEXT, ITEMS),
        grounds=ANY_TEXT,
        ruling=ANY_TEXT,
        evidence=list_of(row(party=ANY_TEXT, pieces=ANY_COUNT), ITEMS),
    ),
    "decision": row(
        **BEGIN,
        consumer=ANY_TEXT,
        inputs=list_of(HASH, ITEMS),
        outcome=ANY_TEXT,
        model_hash=HASH,
        explanation_commitment=HASH,
        contest_until_ms=ANY_COUNT,
        contests=list_of(
            row(record=HASH, consent=HASH, review_until_ms=ANY_COUNT, review=ANY_TEXT), ITEMS
        ),
    ),
}
"""What the state of an object is, by the word that its name begins with."""


def decode_body(record: Record, what: str) -> dict[str, Any]:
    """The fields of a record's body, by name."""
    fields = BODIES.get(record.kind)
    if fields is None:
        refuse(MALFORMED, f"{what} is of kind {record.kind}, which has no place here")
    kind = record.kind
    shape = row(**{name: SPECIAL.get((kind, name), FIELDS[name]) for name in fields.split()})
    body: dict[str, Any] = shape(decode(record.body, what), f"{what}: {record.kind}")
    return body


def decode_state(word: str, state: bytes) -> dict[str, Any]:
    found: dict[str, Any] = STATES[word](decode(state, f"state of {word}"), f"state of {word}")
    return found


SINGLE = ("network", "governance", "amounts")
"""Words that are the whole name of the one object of their family."""
NAMED = ("member", "schema", "product", "book")
"""Words that a name follows; 32 bytes follow the others."""
UNCOUNTED = ("network", "key", "signer", "trail", "amounts")
"""Words of objects that have no history."""


def word_of(name: bytes) -> str:
    """The word that an object's name begins with; refuse what can be no object's name.

    That nothing has a name which nothing can have would show nothing.
    """
    begin, slash, rest = name.partition(b"/")
    word = begin.decode(errors="replace")
    known = word in STATES and bool(slash) == (word not in SINGLE)
    known = known and (not slash or word in NAMED or len(rest) == 32)
    need(known, MALFORMED, f"{name_of(name)} can be no object's name")
    return word


def name_of(name: bytes) -> str:
    """An object's name for people."""
    word, slash, rest = name.partition(b"/")
    shown = rest.hex() if len(rest) == 32 else rest.decode(errors="replace")
    return word.decode(errors="replace") + slash.decode() + shown


# --------------------------------------------------------------------------------------- histories
#
# What an object's state is as of a checkpoint, and which records are all that ever touched it.


@dataclass(frozen=True)
class ObjectState:
    """An object's state under a verified checkpoint; None where it has none."""

    object: bytes
    word: str
    state: dict[str, Any] | None
    checkpoint: Checkpoint

    def claim(self) -> Claim:
        name, size = name_of(self.object), self.checkpoint.size
        if self.state is None:
            return Claim("absence", f"{name} does not exist as of {size} records")
        fields = ", ".join(f"{field} {format_value(value)}" for field, value in self.state.items())
        return Claim("state", f"{name} as of {size} records: {fields}")


def format_value(value: Any) -> str:
    """A value of a state for people."""
    if isinstance(value, list):
        return f"[{', '.join(map(format_value, value))}]"
    if isinstance(value, dict):
        return f"({', '.join(f'{name} {format_value(each)}' for name, each in value.items())})"
    return value.hex() if isinstance(value, bytes) else str(value)


def verify_object(data: bytes, checkpoint: Checkpoint, anchor: Anchor) -> ObjectState:
    """The state that an encoded state proof leads to under a verified checkpoint."""
    proof = decode_state_proof(data)
    word = word_of(proof.object)
    verify_state(anchor.suite, proof, checkpoint.state_root)
    state = None if proof.state is None else decode_state(word, proof.state)
    return ObjectState(proof.object, word, state, checkpoint)


STATE_RECEIPT = row(version=VERSION, checkpoint=ANY_BYTES, proof=ANY_BYTES)


def verify_state_receipt(data: bytes, anchor: Anchor) -> ObjectState:
    limit = STATE_RECEIPT_BYTES
    need(len(data) <= limit, MALFORMED, f"state receipt is above {limit} bytes")
    receipt = STATE_RECEIPT(decode(data, "state receipt"), "state receipt")
    checkpoint, _ = verify_checkpoint(receipt["checkpoint"], anchor)
    return verify_object(receipt["proof"], checkpoint, anchor)


@dataclass(frozen=True)
class History:
    """All records that touched an object below the size of a checkpoint, with their indices."""

    newest: ObjectState
    checkpoint: Checkpoint
    records: list[tuple[int, Record]]


HISTORY = row(
    version=VERSION,
    checkpoint=ANY_BYTES,
    state=ANY_BYTES,
    records=list_of(row(index=COUNT, record=ANY_BYTES), HISTORY_RECORDS),
    proof=list_of(HASH, MULTIPROOF_HASHES),
    earlier=optional(ANY_BYTES),
    consistency=list_of(HASH, PROOF_HASHES),
)


def verify_history(data: bytes, anchor: Anchor) -> History:
    """Accept that no record of an object is left out, and none is added."""
    need(len(data) <= HISTORY_BYTES, MALFORMED, f"history is above {HISTORY_BYTES} bytes")
    history = HISTORY(decode(data, "history"), "history")
    checkpoint, _ = verify_checkpoint(history["checkpoint"], anchor)
    newest = verify_object(history["state"], checkpoint, anchor)
    name = name_of(newest.object)
    need(newest.word not in UNCOUNTED, MALFORMED, f"{name} is an object without a history")
    records = verify_records(history["records"], history["proof"], checkpoint, anchor)
    count, want = 0, ZERO_HASH
    if newest.state is not None:
        count, want = newest.state["count"], newest.state["history"]
    found = ZERO_HASH
    for _, record in records:
        found = anchor.suite.hash("history", found + record.id)
    exact = f"records of {name} are not exactly those that its state counts"
    need((len(records), found) == (count, want), INVALID_PROOF, exact)
    held = checkpoint
    if history["earlier"] is not None:
        held = verify_earlier(history["earlier"], history["consistency"], checkpoint, anchor)
    else:
        alone = "consistency proof is there without an earlier checkpoint"
        need(not history["consistency"], MALFORMED, alone)
    kept = [(index, record) for index, record in records if index < held.size]
    return History(newest, held, kept)


def verify_records(
    rows: list[dict[str, Any]], proof: list[bytes], checkpoint: Checkpoint, anchor: Anchor
) -> list[tuple[int, Record]]:
    """Records that stand at their indices, which ascend; each of the network, and signed."""
    if not rows:
        need(not proof, INVALID_PROOF, "multiproof shows no record, and has hashes")
        return []
    records = [(each["index"], decode_record(each["record"])) for each in rows]
    ascend = all(one[0] < other[0] for one, other in itertools.pairwise(records))
    need(ascend, INVALID_PROOF, "indices of the records do not ascend")
    leaves = {index: anchor.suite.leaf(record.encoded) for index, record in records}
    verify_multiproof(anchor.suite, leaves, checkpoint.size, proof, checkpoint.root)
    for index, record in records:
        verify_record(record, anchor, f"record {index}")
    return records


def verify_earlier(
    note: bytes, path: list[bytes], newest: Checkpoint, anchor: Anchor
) -> Checkpoint:
    """An earlier checkpoint, from which the newest one goes on."""
    earlier, _ = verify_checkpoint(note, anchor)
    older = earlier.size < newest.size
    need(older, INVALID_PROOF, f"earlier checkpoint has size {earlier.size}, not below the newest")
    roots = (earlier.root, newest.root)
    verify_consistency(anchor.suite, earlier.size, newest.size, path, *roots)
    return earlier


# ------------------------------------------------------------------------------------------ totals
#
# A decision commits to its amount: amount times the generator and a blinding times another element.
# The sum of commitments is the commitment to the sums, so a total is checked and no part is shown.

BLINDING_WORDS = b"ledgercore pedersen v1\n"
TOTALS = row(
    version=VERSION,
    network=bytes_of(16),
    consumer=IDENTIFIER,
    begin=COUNT,
    end=COUNT,
    count=COUNT,
    amount=whole_number,
    blinding=HASH,
    history=ANY_BYTES,
)


def verify_totals(data: bytes, anchor: Anchor) -> dict[str, Any]:
    """A report that is the sum of all decisions of its period in the consumer's book."""
    need(len(data) <= HISTORY_BYTES, MALFORMED, f"totals are above {HISTORY_BYTES} bytes")
    report: dict[str, Any] = TOTALS(decode(data, "totals"), "totals")
    none = f"period is [{report['begin']}, {report['end']}), want its begin first"
    need(report["begin"] <= report["end"], MALFORMED, none)
    need(report["network"] == anchor.network, UNTRUSTED, "totals are of another network")
    history = verify_history(report["history"], anchor)
    book = b"book/" + report["consumer"].encode()
    need(history.newest.object == book, INVALID_PROOF, "history is of another object than the book")
    over = f"period ends at record {report['end']}, and {history.checkpoint.size} are shown"
    need(report["end"] <= history.checkpoint.size, INVALID_PROOF, over)
    booked = [(index, amount_of(index, record)) for index, record in history.records]
    period = [point for index, point in booked if report["begin"] <= index < report["end"]]
    counted = f"report counts {report['count']} decisions, want {len(period)}"
    need(len(period) == report["count"], INVALID_PROOF, counted)
    need(0 <= report["amount"] < 1 << 64, INVALID_PROOF, f"total is {report['amount']}")
    blinding = decode_scalar(report["blinding"], "blinding")
    second = draw_element(hashlib.sha512(BLINDING_WORDS).digest())
    told = add_multiples(report["amount"], BASE, blinding, second)
    total = NEUTRAL
    for point in period:
        total = add_points(total, decode_element(point, "commitment to an amount"))
    same = encode_element(told) == encode_element(total)
    need(same, INVALID_PROOF, "total is not the sum of what the decisions commit to")
    return report | {"size": history.checkpoint.size}


def amount_of(index: int, record: Record) -> bytes:
    """What a decision in a book commits to."""
    need(record.kind == "decision.record", INVALID_PROOF, f"record {index} is no decision")
    commitment = decode_body(record, f"record {index}")["amount_commitment"]
    need(commitment is not None, INVALID_PROOF, f"record {index} commits to no amount")
    return bytes(commitment)


# ---------------------------------------------------------------------------------------- openings
#
# Holders of shares of an audit key open one exchange's copy: each multiplies the copy's point by
# its share and proves it, and only who had signed on the ledger counts. Who made the copy proves
# that it knows the point's number: parts of another copy's point would open the other copy.

HOLDER_PART = row(holder=COUNT, part=HASH, proof=bytes_of(64))
AUDIT_COPY = row(audit_key=HASH, ephemeral=HASH, sealed=ANY_BYTES, proof=bytes_of(64))
OPENING = row(
    version=VERSION,
    network=bytes_of(16),
    checkpoint=ANY_BYTES,
    key=ANY_BYTES,
    audit=ANY_BYTES,
    exchange=ANY_BYTES,
    scope=list_of(HASH, ITEMS),
    salt=HASH,
    copy=AUDIT_COPY,
    parts=list_of(HOLDER_PART, ITEMS),
)
OPENING_SIZE = 256 * 1024


@dataclass(frozen=True)
class Opened:
    """An order, the exchange that was opened under it, and the members who opened it."""

    exchange: bytes
    order: dict[str, Any]
    openers: list[str]


def verify_opening(data: bytes, anchor: Anchor) -> Opened:
    """Accept that enough holders opened this exchange, as the order on the ledger allows."""
    need(len(data) <= OPENING_SIZE, MALFORMED, f"opening is above {OPENING_SIZE} bytes")
    opening = OPENING(decode(data, "opening"), "opening")
    need(opening["network"] == anchor.network, UNTRUSTED, "opening is of another network")
    checkpoint, _ = verify_checkpoint(opening["checkpoint"], anchor)
    key_name, key = state_of(opening["key"], "audit-key", checkpoint, anchor)
    audit_name, audit = state_of(opening["audit"], "audit", checkpoint, anchor)
    exchange_name, exchange = state_of(opening["exchange"], "exchange", checkpoint, anchor)
    named = key_name == audit["audit_key"]
    need(named, INVALID_PROOF, "audit key is not the one that the order names")
    missing = {each["member"] for each in key["holders"]} - set(key["accepted"])
    need(not missing, INVALID_PROOF, f"audit key is not accepted by {sorted(missing)}")
    scope = anchor.suite.hash("commitment", encode([opening["scope"], opening["salt"]]))
    same = scope == audit["scope_commitment"]
    need(same, INVALID_PROOF, "scope is not the one that the order commits to")
    inside = exchange_name in opening["scope"]
    need(inside, INVALID_PROOF, "exchange is not in the order's scope")
    copy, admission = opening["copy"], exchange["admission"]
    copied = anchor.suite.hash("commitment", encode(list(copy.values())))
    admitted = admission is not None and admission["audit_copy"] == copied
    need(admitted, INVALID_PROOF, "audit copy is not the one that was admitted")
    own = copy["audit_key"] == audit["audit_key"]
    need(own, INVALID_PROOF, "audit copy is for another audit key than the order's")
    verify_copy(copy, anchor.network + exchange_name)
    context = anchor.network + audit_name + exchange_name
    openers = check_parts(opening["parts"], key, audit, copy["ephemeral"], context)
    return Opened(exchange_name, audit, openers)


def state_of(
    data: bytes, word: str, checkpoint: Checkpoint, anchor: Anchor
) -> tuple[bytes, dict[str, Any]]:
    """The id and the state of an object of a family, which must be there."""
    found = verify_object(data, checkpoint, anchor)
    if found.word != word or found.state is None:
        refuse(INVALID_PROOF, f"opening shows no {word} where it should")
    return found.object[-32:], found.state


def check_parts(
    parts: list[dict[str, Any]],
    key: dict[str, Any],
    audit: dict[str, Any],
    ephemeral: bytes,
    context: bytes,
) -> list[str]:
    """The members whose parts these are: enough of them, all of whom had signed in time."""
    numbers, holders = [each["holder"] for each in parts], key["holders"]
    ascend = all(one < other for one, other in itertools.pairwise(numbers))
    sound = ascend and all(1 <= number <= len(holders) for number in numbers)
    need(sound, MALFORMED, f"parts are of holders {numbers}, want some of the key's, ascending")
    enough = len(numbers) >= key["threshold"]
    need(enough, INVALID_PROOF, f"parts are of {len(numbers)} holders, want {key['threshold']}")
    signed = {each["member"]: each["time_ms"] for each in audit["openers"]}
    openers = []
    for each in parts:
        holder = holders[each["holder"] - 1]
        member = holder["member"]
        in_time = member in signed and signed[member] < audit["expires_ms"]
        need(in_time, UNTRUSTED, f"{member} has not signed to open under the order")
        verify_part(holder["share_key"], ephemeral, each["part"], each["proof"], context)
        openers.append(member)
    return openers


def verify_copy(copy: dict[str, Any], context: bytes) -> None:
    """Accept a copy whose maker knows the number that makes its point of the generator."""
    ephemeral, proof = copy["ephemeral"], copy["proof"]
    need(ephemeral != bytes(32), MALFORMED, "ephemeral point is the identity")
    point = decode_element(ephemeral, "ephemeral point")
    told, response = (decode_scalar(half, "proof") for half in (proof[:32], proof[32:]))
    first = add_multiples(response, BASE, told, negate_point(point))
    message = b"ledgercore audit copy proof v1\n" + copy["audit_key"] + ephemeral
    message += encode_element(first) + context + copy["sealed"]
    found = int.from_bytes(hashlib.sha512(message).digest(), "little") % ORDER
    need(found == told, INVALID_PROOF, "audit copy is not of one that knows its ephemeral number")


def verify_part(key: bytes, ephemeral: bytes, part: bytes, proof: bytes, context: bytes) -> None:
    """Accept that the number that makes the key of the generator makes the part of the point."""
    for name, data in (("share key", key), ("ephemeral point", ephemeral)):
        need(data != bytes(32), MALFORMED, f"{name} is the identity")
    own, point = decode_element(key, "share key"), decode_element(ephemeral, "ephemeral point")
    shown = decode_element(part, "part")
    told, response = (decode_scalar(half, "proof") for half in (proof[:32], proof[32:]))
    first = add_multiples(response, BASE, told, negate_point(own))
    second = add_multiples(response, point, told, negate_point(shown))
    message = b"ledgercore audit part v1\n" + key + ephemeral + part
    message += encode_element(first) + encode_element(second) + context
    found = int.from_bytes(hashlib.sha512(message).digest(), "little") % ORDER
    need(found == told, INVALID_PROOF, "part is not made by the holder's share")


# -------------------------------------------------------------------------------------------- pack
#
# All evidence of one exchange. First everything is led to the checkpoint, then read as claims.


def check_value(value: Any, what: str) -> int | str:
    need(type(value) in (int, str), MALFORMED, f"{what} is neither a number nor text")
    return value  # type: ignore[no-any-return]


LEAF = row(
    use=ANY_TEXT,
    scope=ANY_TEXT,
    name=ANY_TEXT,
    position=COUNT,
    salt=ANY_BYTES,
    value=check_value,
)
REQUEST = row(
    consent=HASH,
    fields=list_of(ANY_TEXT, PACK_BYTES),
    period_begin=ANY_TEXT,
    period_end=ANY_TEXT,
    purpose=ANY_TEXT,
    nonce=HASH,
)
RELEASE = row(admit=ANY_BYTES, receipt=ANY_BYTES)
OBJECTION = row(
    exchange=HASH,
    code=CODE,
    nonce=HASH,
    size=COUNT,
    leaves=list_of(LEAF, PACK_BYTES),
    proof=list_of(HASH, MULTIPROOF_HASHES),
)
PACK = row(
    version=VERSION,
    exchange=HASH,
    checkpoint=ANY_BYTES,
    proof=list_of(HASH, MULTIPROOF_HASHES),
    records=list_of(row(index=COUNT, record=ANY_BYTES), HISTORY_RECORDS),
    states=list_of(ANY_BYTES, PACK_BYTES),
    terms=optional(list_of(LEAF, PACK_BYTES)),
    request=optional(REQUEST),
    payload=optional(list_of(LEAF, PACK_BYTES)),
    release=optional(RELEASE),
    objection=optional(OBJECTION),
)
TERM_USE, FIELD_USE = "ledgercore term v1", "ledgercore field v1"
TERMS: dict[str, Shape] = {
    **dict.fromkeys(("subject", "provider", "consumer", "product", "purpose"), ANY_TEXT),
    **dict.fromkeys(("period_begin", "period_end", "onward", "signatory", "mandate"), ANY_TEXT),
    **dict.fromkeys(("expires_ms", "max_uses", "retain_until_ms"), COUNT),
}
"""The terms that stand in one leaf each."""
BOUNDS = ("terms_root", "expires_ms", "max_uses", "processors")
"""What a narrowing sets anew."""
LISTS = ("fields", "processors")
"""The terms that stand in one leaf for each item."""


MEMBER_KINDS = (
    *("member.admit", "member.suspend", "member.reinstate", "member.retire"),
    *("key.rotate", "key.compromise", "key.replace"),
)
"""The kinds that touch the member that they name."""
QUORUM_KINDS = tuple(kind for kind in MEMBER_KINDS if "proposal" in BODIES[kind].split())
"""Those of them that a quorum of governance has to stand behind."""
VOTES = ("governance.propose", "governance.approve", "governance.report")
AGREEMENT_KINDS: dict[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    "agreement.request": (("", "OFFERED"), ("consumer",), "REQUESTED"),
    "agreement.offer": (("", "REQUESTED"), ("provider",), "OFFERED"),
    "agreement.accept": (("OFFERED",), ("consumer",), "ACCEPTED"),
    "agreement.agree": (("REQUESTED", "ACCEPTED"), ("provider",), "AGREED"),
    "agreement.verify": (("AGREED",), ("consumer",), "VERIFIED"),
    "agreement.finalize": (("VERIFIED",), ("provider",), "FINALIZED"),
    "agreement.terminate": (
        ("REQUESTED", "OFFERED", "ACCEPTED", "AGREED", "VERIFIED"),
        ("provider", "consumer"),
        "TERMINATED",
    ),
    "agreement.suspend": (("FINALIZED",), ("provider", "consumer"), "SUSPENDED"),
    "agreement.resume": (("SUSPENDED",), ("provider", "consumer"), "FINALIZED"),
    "agreement.retire": (("FINALIZED", "SUSPENDED"), ("provider", "consumer"), "RETIRED"),
}
"""From which states of an agreement each kind leads, whose it is, and to which state."""
AFTER_DECISIONS = ("decision.explain", "decision.contest", "decision.review")


@dataclass(frozen=True)
class Entry:
    """A verified record of a pack, where it stands and what it says."""

    index: int
    record: Record
    body: dict[str, Any]


@dataclass(frozen=True)
class Member:
    """A member's roles; its keys, each after one record up to another; compromises."""

    roles: list[str]
    keys: list[tuple[bytes, int, int]]
    compromises: list[int]

    def has(self, key: bytes, index: int) -> bool:
        """Whether the record at an index may be by this key."""
        return any(key == own and begin < index <= end for own, begin, end in self.keys)


def text_in(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        refuse(MALFORMED, "name of a member is not UTF-8")


class Evidence:
    """The records and states of a pack, each led to the checkpoint."""

    def __init__(self, pack: dict[str, Any], anchor: Anchor) -> None:
        self.anchor, self.suite = anchor, anchor.suite
        self.checkpoint, _ = verify_checkpoint(pack["checkpoint"], anchor)
        self.entries = self._entries(pack)
        self._check_genesis()
        self._states: dict[bytes, dict[str, Any]] = {}
        for data in pack["states"]:
            shown = verify_object(data, self.checkpoint, anchor)
            if shown.state is None:
                refuse(INVALID_PROOF, "a state of the pack is shown to be absent")
            self._states[shown.object] = shown.state
        words = [name.partition(b"/") for name in self._states]
        members = [text_in(name) for word, _, name in words if word == b"member"]
        self.members = {member: self._member(member) for member in members}

    def _entries(self, pack: dict[str, Any]) -> list[Entry]:
        need(bool(pack["records"]), INVALID_PROOF, "pack has no records")
        found = verify_records(pack["records"], pack["proof"], self.checkpoint, self.anchor)
        return [Entry(at, record, decode_body(record, f"record {at}")) for at, record in found]

    def _check_genesis(self) -> None:
        """Hold the genesis to the network that is named for it."""
        first = self.entries[0]
        is_genesis = first.index == 0 and first.record.kind == "genesis"
        need(is_genesis, UNTRUSTED, "first record is not the genesis")
        named = self.suite.hash("network", first.record.body)[:16] == self.anchor.network
        named = named and first.body["operator_key"] == self.anchor.operator
        need(named, UNTRUSTED, "genesis is not the one that the anchor's network is named for")

    def _member(self, member: str) -> Member:
        """A member's keys, followed through every record that touched it."""
        first = {each["member"]: each for each in self.entries[0].body["members"]}.get(member)
        own = [] if first is None else [self.entries[0]]
        for entry in self.entries:
            if entry.record.kind in MEMBER_KINDS and entry.body["member"] == member:
                own.append(entry)
        state, size = self.state("member", member.encode()), self.checkpoint.size
        self.check_complete(f"member {member}", state, own)
        begun = first is not None or (bool(own) and own[0].record.kind == "member.admit")
        need(begun, INVALID_PROOF, f"records of {member} do not begin with its admission")
        admitted = [entry.body for entry in own if entry.record.kind == "member.admit"]
        given = [each["roles"] for each in ([] if first is None else [first]) + admitted]
        same = bool(given) and given[-1] == state["roles"]
        need(same, INVALID_PROOF, f"roles of {member} are not those that it was given")
        found = Member(list(state["roles"]), [], [])
        if first is not None:
            found.keys.append((first["signing_key"], 0, size))
        for entry in own if first is None else own[1:]:
            self._follow(found, member, entry, size)
        same = bool(found.keys) and found.keys[-1][0] == state["signing_key"]
        need(same, INVALID_PROOF, f"key of {member} is not the one in its state")
        return found

    def _follow(self, found: Member, member: str, entry: Entry, size: int) -> None:
        kind, index = entry.record.kind, entry.index
        if kind in ("key.rotate", "key.compromise"):
            own = found.has(entry.record.key, index)
            need(own, UNTRUSTED, f"record {index} is not signed by {member}")
        if found.keys and found.keys[-1][2] > index:
            found.keys[-1] = (*found.keys[-1][:2], index)
        if kind in ("key.compromise", "key.replace"):
            found.compromises.append(index)
        if kind in ("member.admit", "key.rotate", "key.replace"):
            key = entry.body["signing_key"]
            message = b"ledgercore member key v1\n" + self.anchor.network + key + member.encode()
            verify_signature(key, message, entry.body["key_proof"], f"new key of {member}")
            found.keys.append((key, index, size))
        elif kind == "member.reinstate" and found.keys[-1][2] not in found.compromises:
            found.keys.append((found.keys[-1][0], index, size))

    def member(self, member: str) -> Member:
        if member not in self.members:
            refuse(INVALID_PROOF, f"state of member {member} is missing")
        return self.members[member]

    def has_role(self, entry: Entry, role: str) -> bool:
        """Whether a member with the role signed the record."""
        members = self.members.values()
        return any(
            role in each.roles and each.has(entry.record.key, entry.index) for each in members
        )

    def of_kind(self, kind: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.record.kind == kind]

    def state(self, word: str, name: bytes) -> dict[str, Any]:
        """The state of an object, as the checkpoint has it."""
        state = self._states.get(b"/".join([word.encode(), name] if name else [word.encode()]))
        if state is None:
            refuse(INVALID_PROOF, f"state of the {word} is missing")
        return state

    def check_complete(self, what: str, state: dict[str, Any], entries: list[Entry]) -> None:
        """Hold the records that touched an object to its count and running hash."""
        history = ZERO_HASH
        for entry in entries:
            history = self.suite.hash("history", history + entry.record.id)
        same = (len(entries), history) == (state["count"], state["history"])
        need(same, INVALID_PROOF, f"records of the {what} are not exactly those that it counts")

    def is_signer(self, entry: Entry, member: str) -> bool:
        return self.member(member).has(entry.record.key, entry.index)

    def check_signer(self, entry: Entry, member: str) -> None:
        own = self.is_signer(entry, member)
        need(own, UNTRUSTED, f"record {entry.index} is not signed by {member}")


class Case:
    """One exchange: what it is about, and which records are whose."""

    def __init__(self, pack: dict[str, Any], anchor: Anchor) -> None:
        self.evidence = Evidence(pack, anchor)
        self.suite = anchor.suite
        self.id: bytes = pack["exchange"]
        self.terms, self.request = pack["terms"], pack["request"]
        self.payload, self.release = pack["payload"], pack["release"]
        self.objection: dict[str, Any] | None = pack["objection"]
        self.request_entry = self._only_request()
        self.consent_id: bytes = self.request_entry.body["consent"]
        intents = self.evidence.of_kind("exchange.intent")
        own = [each for each in intents if each.body["consent"] == self.consent_id]
        self.exchanges = {each.record.id for each in own}
        self._check_related()
        self.state = self.evidence.state("exchange", self.id)
        same = self.state["consent"] == self.consent_id
        need(same, INVALID_PROOF, "records are of another consent than the exchange's")
        self.consent = self.evidence.state("consent", self.consent_id)
        for party in ("consumer", "provider"):
            same = self.state[party] == self.consent[party]
            need(same, INVALID_PROOF, f"{party} of the exchange is not that of its consent")
        self.product = self.evidence.state("product", self.consent["product"].encode())
        same = self.product["provider"] == self.consent["provider"]
        need(same, INVALID_PROOF, "provider of the product is not that of the consent")
        self.admission: dict[str, Any] | None = self.state["admission"]
        self.consumer: str = self.state["consumer"]
        processor = self.state["processor"]
        self.processor: str = processor if processor in self.evidence.members else ""
        self.erasure = self._erasure()

    def _only_request(self) -> Entry:
        found = self.evidence.of_kind("consent.request")
        need(len(found) == 1, MALFORMED, f"pack has {len(found)} consents, want 1")
        return found[0]

    def touches_consent(self, entry: Entry) -> bool:
        """Whether a record is the consent's own, or one of its exchanges'."""
        if entry.record.kind in AFTER_DECISIONS:
            return False
        if entry.body.get("consent") == self.consent_id:
            return True
        if entry.record.kind == "audit.disclose":
            return not self.exchanges.isdisjoint(entry.body["scope"])
        return entry.body.get("exchange") in self.exchanges

    def touches_exchange(self, entry: Entry) -> bool:
        """Whether a record is the exchange's own, or of a decision that rests on it."""
        if self.id in (entry.record.id, entry.body.get("exchange")):
            return True
        if entry.record.kind in AFTER_DECISIONS:
            return entry.body["decision"] in self._decisions({self.id})
        return self.id in entry.body.get("inputs", []) + entry.body.get("scope", [])

    def _decisions(self, exchanges: set[bytes]) -> set[bytes]:
        found = self.evidence.of_kind("decision.record")
        return {each.record.id for each in found if not exchanges.isdisjoint(each.body["inputs"])}

    def _check_related(self) -> None:
        """Refuse what is of another consent: it could only be taken for one of this."""
        enacted = [each for each in self.evidence.entries if each.record.kind in QUORUM_KINDS]
        proposals = {each.body["proposal"] for each in enacted}
        for entry in self.evidence.entries[1:]:
            related = self.touches_consent(entry)
            if entry.record.kind == "product.publish":
                related = entry.body["product"] == self.request_entry.body["product"]
            elif entry.record.kind in AGREEMENT_KINDS:
                related = entry.body["agreement"] == self.request_entry.body["agreement"]
            elif entry.record.kind == "decision.record":
                related = not self.exchanges.isdisjoint(entry.body["inputs"])
            elif entry.record.kind in VOTES:
                related = entry.body["proposal"] in proposals
            elif entry.record.kind in MEMBER_KINDS:
                related = entry.body["member"] in self.evidence.members
            elif entry.record.kind in AFTER_DECISIONS:
                related = entry.body["decision"] in self._decisions(self.exchanges)
            need(related, MALFORMED, f"record {entry.index} is of another consent or product")

    def own(self, kind: str) -> list[Entry]:
        """The records of a kind that name this exchange."""
        found = self.evidence.of_kind(kind)
        return [entry for entry in found if entry.body["exchange"] == self.id]

    def _erasure(self) -> str | None:
        """The basis on which the consumer signed that the data is erased."""
        for entry in self.own("exchange.erase")[:1]:
            self.evidence.check_signer(entry, self.consumer)
            return str(entry.body["basis"])
        return None

    def received_by(self, entry: Entry) -> str:
        """Which of the processor, if one acts in the exchange, and the consumer signed a record."""
        if self.processor and self.evidence.is_signer(entry, self.processor):
            return self.processor
        self.evidence.check_signer(entry, self.consumer)
        return self.consumer

    def narrowings(self) -> list[Entry]:
        """Where the subject narrowed the consent: its own key alone may."""
        found = self.evidence.of_kind("consent.narrow")
        for entry in found:
            own = entry.record.key == self.consent["consent_key"]
            need(own, UNTRUSTED, "consent is not narrowed by its own key")
        return found

    def bounds_at(self, index: int) -> dict[str, Any]:
        """The body by which the consent reached as far as it did for the record at an index."""
        before = [entry for entry in self.narrowings() if entry.index < index]
        return (before[-1] if before else self.request_entry).body

    def stays(self) -> list[tuple[int, int]]:
        """Between which records a supervisor stayed the consent; the size where it still does."""
        found: list[tuple[int, int]] = []
        for entry in self.evidence.entries:
            if entry.record.kind not in ("consent.stay", "consent.lift"):
                continue
            own = self.evidence.has_role(entry, "supervisor")
            need(own, UNTRUSTED, f"record {entry.index} is not signed by a supervisor")
            if entry.record.kind == "consent.stay":
                found.append((entry.index, self.evidence.checkpoint.size))
            elif found:
                found[-1] = (found[-1][0], entry.index)
        return found

    def revocations(self) -> list[int]:
        """Where the consent's own key revoked it, or its provider for one who lost that key."""
        own = self.evidence.of_kind("consent.revoke")
        for entry in own:
            signed = entry.record.key == self.consent["consent_key"]
            need(signed, UNTRUSTED, "consent is not revoked by its own key")
        others = self.evidence.of_kind("consent.revoke-on-behalf")
        for entry in others:
            self.evidence.check_signer(entry, self.consent["provider"])
        signers = [(entry.index, "") for entry in own]
        signers += [(entry.index, self.consent["provider"]) for entry in others]
        held = [who for _, who in sorted(signers)] == self.consent["revoked_by"]
        need(held, INVALID_PROOF, "revocations of the consent are not those of its state")
        return [index for index, _ in signers]

    def closed(self, name: str, what: str) -> Claim:
        """The claim about content that the pack does not open."""
        if self.erasure is None:
            return Claim(name, f"the pack does not open {what}", "withheld")
        promise = f"{self.consumer} signed that the data is erased ({self.erasure})"
        return Claim(name, f"the pack does not open {what}: {promise}", "erased")


def show_complete(case: Case) -> Iterator[Claim]:
    evidence = case.evidence
    trail = [entry for entry in evidence.entries if case.touches_consent(entry)]
    evidence.check_complete("consent", case.consent, trail)
    own = [entry for entry in evidence.entries if case.touches_exchange(entry)]
    evidence.check_complete("exchange", case.state, own)
    yield Claim(
        "complete",
        f"all {len(trail)} records of the consent and all {len(own)} of the exchange, "
        f"of {evidence.checkpoint.size} in the ledger",
    )


def show_product(case: Case) -> Iterator[Claim]:
    name, purpose = case.consent["product"], case.consent["purpose"]
    found = case.evidence.of_kind("product.publish")
    published = [entry for entry in found if entry.body["product"] == name]
    need(bool(published), INVALID_PROOF, f"publication of {name} is missing")
    case.evidence.check_signer(published[0], case.product["provider"])
    offered = purpose in published[0].body["purposes"]
    need(offered, INVALID_PROOF, f"{name} is not offered for {purpose}")
    yield Claim("product", f"{case.product['provider']} offers {name} for {purpose}")


def show_agreement(case: Case) -> Iterator[Claim]:
    """That the agreement was in force for the request, the intent and the admit."""
    consent, evidence = case.consent, case.evidence
    if consent["agreement"] is None:
        none = not case.product["needs_agreement"]
        need(none, INVALID_PROOF, f"{consent['product']} needs an agreement, and none is named")
        return
    state = evidence.state("agreement", consent["agreement"])
    spans = follow_agreement(evidence, state)
    for name in ("consumer", "provider", "product"):
        need(state[name] == consent[name], INVALID_PROOF, f"agreement is of another {name}")
    asked = case.request_entry.body
    within = asked["purpose"] in state["purposes"] and asked["expires_ms"] <= state["expires_ms"]
    need(within, INVALID_PROOF, "consent was asked for beyond its agreement")
    own = [case.request_entry.index]
    own += [entry.index for entry in evidence.entries if entry.record.id == case.id]
    if case.admission is not None:
        in_time = case.admission["time_ms"] < state["expires_ms"]
        need(in_time, INVALID_PROOF, "agreement had ended when the exchange was admitted")
        later = state["finalized_ms"] <= case.admission["time_ms"]
        need(later, INVALID_PROOF, "agreement was finalized later than the exchange was admitted")
        own.append(case.admission["index"])
    for index in own:
        in_force = any(begin < index < end for begin, end in spans)
        need(in_force, INVALID_PROOF, f"agreement was not in force at record {index}")
    agreed = f"{state['consumer']} and {state['provider']} agreed by record {spans[0][0]}"
    yield Claim("agreement", f"{agreed}; in force until record {own[-1]} of the exchange")


def follow_agreement(evidence: Evidence, state: dict[str, Any]) -> list[tuple[int, int]]:
    """Between which records an agreement was in force, by all of its records."""
    own = [entry for entry in evidence.entries if entry.record.kind in AGREEMENT_KINDS]
    evidence.check_complete("agreement", state, own)
    status, suspended, proposed = "", "", dict[str, Any]()
    spans: list[tuple[int, int]] = []
    for entry in own:
        before, sides, after = AGREEMENT_KINDS[entry.record.kind]
        follows = status in before
        need(follows, INVALID_PROOF, f"record {entry.index} does not follow in its agreement")
        names = [state[side] for side in sides]
        signed = [
            name for name in names if evidence.member(name).has(entry.record.key, entry.index)
        ]
        need(bool(signed), UNTRUSTED, f"record {entry.index} is not signed by {names}")
        if entry.record.kind == "agreement.suspend":
            suspended = signed[0]
        if entry.record.kind == "agreement.resume":
            need(signed[0] == suspended, UNTRUSTED, f"agreement was suspended by {suspended}")
        if entry.record.kind in ("agreement.request", "agreement.offer"):
            proposed = entry.body
        if status == "FINALIZED":
            spans[-1] = (spans[-1][0], entry.index)
        if after == "FINALIZED":
            spans.append((entry.index, evidence.checkpoint.size))
        status = after
    same = status == state["status"]
    same = same and all(state[name] == each for name, each in proposed.items() if name in state)
    need(same, INVALID_PROOF, "agreement is not the one that was negotiated")
    in_time = state["finalized_ms"] < state["expires_ms"]
    need(in_time, INVALID_PROOF, "agreement had ended before it was finalized")
    return spans


def show_consent(case: Case) -> Iterator[Claim]:
    evidence, consent, asked = case.evidence, case.consent, case.request_entry
    evidence.check_signer(asked, consent["consumer"])
    bounds, narrowed = asked.body, case.narrowings()
    for entry in narrowed:
        follow_narrowing(case.suite, bounds, entry.body)
        bounds = entry.body
    told = asked.body | {name: bounds[name] for name in BOUNDS}
    same = all(consent[name] == value for name, value in told.items() if name != "consent")
    need(same, INVALID_PROOF, "consent is not the one that was requested")
    given = evidence.of_kind("consent.authorise")
    need(bool(given), INVALID_PROOF, "consent was never authorised")
    own = given[0].record.key == consent["consent_key"]
    need(own, UNTRUSTED, "consent is not authorised by its own key")
    provider = consent["provider"]
    at, keys = given[0].index, evidence.member(provider).keys
    held = [key for key, begin, end in keys if begin < at <= end]
    need(bool(held), UNTRUSTED, f"provider {provider} has no key at record {at}")
    message = b"ledgercore endorsement v1\n" + evidence.anchor.network
    message += consent["consent_key"] + asked.body["terms_root"]
    endorsement = given[0].body["endorsement"]
    verify_signature(held[0], message, endorsement, "endorsement of the consent key")
    yield Claim("consent", f"the subject authorised it; {provider} endorsed the subject's key")
    for entry in narrowed:
        yield Claim("narrowed", f"the subject narrowed it by record {entry.index}")


def follow_narrowing(suite: Suite, before: dict[str, Any], body: dict[str, Any]) -> None:
    """Accept that the terms after it are some of those before, and its bounds no wider."""
    positions, hashes = body["positions"], body["leaves"]
    ascend = all(one < other for one, other in itertools.pairwise(positions))
    sound = bool(positions) and ascend and len(positions) == len(hashes)
    need(sound, INVALID_PROOF, "leaves that are kept are not at ascending positions")
    leaves = dict(zip(positions, hashes, strict=True))
    verify_multiproof(suite, leaves, body["size"], body["proof"], before["terms_root"])
    same = tree_root(suite, hashes) == body["terms_root"]
    need(same, INVALID_PROOF, "terms root is not over the leaves that are kept")
    for name in ("expires_ms", "max_uses"):
        need(body[name] <= before[name], INVALID_PROOF, f"{name} is widened by a narrowing")
    kept = [name for name in before["processors"] if name in body["processors"]]
    need(kept == body["processors"], INVALID_PROOF, "processors are widened by a narrowing")


def show_live(case: Case) -> Iterator[Claim]:
    admission = case.admission
    if admission is None:
        yield Claim("outcome", f"the exchange was not admitted: it is {case.state['status']}")
        return
    admitted = case.own("exchange.admit")
    need(bool(admitted), INVALID_PROOF, "admit of the exchange is missing")
    entry = admitted[0]
    case.evidence.check_signer(entry, case.state["provider"])
    live = entry.index == admission["index"] and admission["consent_status"] == "AUTHORISED"
    given = [each.index for each in case.evidence.of_kind("consent.authorise")]
    live = live and bool(given) and given[0] < entry.index
    live = live and not any(begin < entry.index < end for begin, end in case.stays())
    need(live, INVALID_PROOF, "consent was not live when the exchange was admitted")
    same = admission["terms_root"] == case.bounds_at(entry.index)["terms_root"]
    need(same, INVALID_PROOF, "exchange was admitted under other terms than the consent's")
    sealed = ("ciphertext_hash", "disclosure_root")
    same = all(entry.body[name] == admission[name] for name in sealed)
    need(same, INVALID_PROOF, "admit is not the one that the state was made by")
    before = [at for at in case.revocations() if at < entry.index]
    need(not before, INVALID_PROOF, "consent was revoked before the exchange was admitted")
    at_ms = admission["time_ms"]
    yield Claim("live", f"consent was live when record {entry.index} admitted it, at {at_ms} ms")


def show_processor(case: Case) -> Iterator[Claim]:
    processor = case.state["processor"]
    if processor:
        begun = [case.admission["index"]] if case.admission else []
        for entry in case.evidence.of_kind("exchange.intent"):
            if entry.record.id == case.id:
                case.evidence.check_signer(entry, processor)
                begun.append(entry.index)
        named = all(processor in case.bounds_at(index)["processors"] for index in begun)
        need(named, INVALID_PROOF, f"{processor} acted, and the consent did not name it")
        yield Claim("processor", f"{processor} acted for {case.consumer}, as the consent allowed")


def show_request(case: Case) -> Iterator[Claim]:
    found = case.evidence.of_kind("exchange.intent")
    intents = [entry for entry in found if entry.record.id == case.id]
    need(bool(intents), INVALID_PROOF, "intent of the exchange is missing")
    who = case.received_by(intents[0])
    if case.request is None:
        yield case.closed("request", "the request")
        return
    encoded = encode(list(case.request.values()))
    need(len(encoded) <= OPENING_BYTES, MALFORMED, f"request is above {OPENING_BYTES} bytes")
    same = case.suite.hash("commitment", encoded) == intents[0].body["request_commitment"]
    need(same, INVALID_PROOF, "request is not the one that the intent commits to")
    yield Claim("request", f"{who} asked for {', '.join(case.request['fields'])}")


def commit(suite: Suite, leaves: Iterable[dict[str, Any]]) -> bytes:
    """The root over salted leaves."""
    return tree_root(suite, [suite.leaf(encode(list(leaf.values()))) for leaf in leaves])


def check_leaves(leaves: Sequence[dict[str, Any]], use: str) -> None:
    """Narrowed terms have lost leaves, so that the positions of the others only ascend."""
    least = 0
    for number, leaf in enumerate(leaves):
        position = leaf["position"]
        placed = position >= least if use == TERM_USE else position == number
        sound = placed and (leaf["use"], len(leaf["salt"])) == (use, 32)
        need(sound, MALFORMED, f"leaf {number} is not a salted {use} at its position")
        short = len(encode(list(leaf.values()))) <= OPENING_BYTES
        need(short, MALFORMED, f"leaf {number} is above {OPENING_BYTES} bytes")
        least = position + 1


def open_terms(case: Case) -> dict[str, Any]:
    """The terms, held to all that the consent on the ledger says of them."""
    in_force = case.bounds_at(case.admission["index"]) if case.admission else case.consent
    root = (case.admission or case.consent)["terms_root"]
    same = commit(case.suite, case.terms) == root
    need(same, INVALID_PROOF, "terms are not the ones that the consent commits to")
    check_leaves(case.terms, TERM_USE)
    terms: dict[str, Any] = {}
    for name, shape in TERMS.items():
        values = [leaf["value"] for leaf in case.terms if leaf["name"] == name]
        need(len(values) == 1, MALFORMED, f"terms have {len(values)} values of {name}, want 1")
        terms[name] = shape(values[0], f"term {name}")
    for name in LISTS:
        items = [leaf["value"] for leaf in case.terms if leaf["name"] == name]
        terms[name] = list_of(ANY_TEXT, len(items))(items, f"term {name}")
    stated = case.consent | {name: in_force[name] for name in BOUNDS}
    equal = ("consumer", "provider", "product", "purpose", "processors")
    for name in (*equal, "expires_ms", "max_uses"):
        got, want = stated[name], terms[name]
        fits = got <= want if name in ("expires_ms", "max_uses") else got == want
        need(fits, INVALID, f"{name} of the consent is {got}, want {want} as in the terms")
    return terms


def show_scope(case: Case) -> Iterator[Claim]:
    if case.terms is None:
        yield case.closed("scope", "the terms")
        return
    terms = open_terms(case)
    if case.admission is None:
        yield Claim("terms", f"the consent covers {', '.join(terms['fields'])}")
        return
    if case.request is None:
        yield case.closed("scope", "the request")
        return
    covered = {field["code"] for field in case.product["fields"]} & set(terms["fields"])
    outside = [field for field in case.request["fields"] if field not in covered]
    need(not outside, INVALID_PROOF, f"fields {outside} were admitted, and are not consented to")
    same = case.request["purpose"] == terms["purpose"]
    need(same, INVALID_PROOF, "purpose of the request is not that of the terms")
    yield Claim("scope", "every field that was asked for is in the consent")
    yield Claim("purpose", f"consent and request have one purpose, {terms['purpose']}")


def show_payload(case: Case) -> Iterator[Claim]:
    if case.admission is None:
        need(case.payload is None, INVALID_PROOF, "payload is opened, and nothing was admitted")
        return
    if case.payload is None:
        yield case.closed("payload", "the payload")
        return
    check_leaves(case.payload, FIELD_USE)
    same = commit(case.suite, case.payload) == case.admission["disclosure_root"]
    need(same, INVALID_PROOF, "payload is not what the provider committed to")
    count, provider = len(case.payload), case.state["provider"]
    yield Claim("payload", f"{provider} committed to these {count} values, unchanged")
    if case.request is None:
        yield case.closed("answer", "the request")
        return
    names = [leaf["name"] for leaf in case.payload]
    need(names == case.request["fields"], INVALID_PROOF, "payload answers another request")
    yield Claim("answer", "the payload has exactly the fields of the request")


def show_release(case: Case) -> Iterator[Claim]:
    if case.admission is None:
        need(case.release is None, INVALID_PROOF, "release is opened, and nothing was admitted")
        return
    if case.release is None:
        yield case.closed("release", "the release")
        return
    anchor = case.evidence.anchor
    receipt = verify_receipt(case.release["receipt"], case.release["admit"], anchor)
    shown = receipt.state
    if shown is None or shown.state is None or shown.object != b"exchange/" + case.id:
        refuse(UNTRUSTED, "receipt of the release does not show the state of the exchange")
    admission = decode_state("exchange", shown.state)["admission"]
    by_this = admission is not None and admission["index"] == receipt.index
    need(by_this, UNTRUSTED, "receipt of the release is of no admit of the exchange")
    need(admission == case.admission, INVALID_PROOF, "release rests on another admit")
    yield Claim("release", "the key was sealed for a receipt that shows the exchange admitted")


def show_key(case: Case) -> Iterator[Claim]:
    """Whether the key was sent: the provider's word, or in the end the consumer's."""
    evidence, provider = case.evidence, case.state["provider"]
    for entry in case.own("exchange.release"):
        evidence.check_signer(entry, provider)
        shown = entry.body["release_commitment"].hex()[:16]
        yield Claim("released", f"{provider} signed that the key was sent ({shown})")
    for entry in case.own("exchange.void"):
        evidence.check_signer(entry, provider)
        statement = f"{provider} signed that no key was sent ({entry.body['code']})"
        yield Claim("voided", f"{statement}; the use was given back")
    for entry in case.own("exchange.time-out"):
        consumer = case.received_by(entry)
        if case.admission is None:
            refuse(INVALID_PROOF, "exchange was timed out, and never admitted")
        until = f"no key came until {case.admission['deadline_ms']} ms"
        yield Claim("timed-out", f"{consumer} signed that {until}; the use was given back")


def show_delivery(case: Case) -> Iterator[Claim]:
    for entry in case.own("exchange.acknowledge")[:1]:
        yield Claim("delivery", f"{case.received_by(entry)} acknowledged the delivery")


def show_objection(case: Case) -> Iterator[Claim]:
    objection, declines = case.objection, case.own("exchange.decline")
    if not declines:
        need(objection is None, INVALID_PROOF, "objection is opened, and nothing was declined")
        return
    who = case.received_by(declines[0])
    code = declines[0].body["code"]
    yield Claim("declined", f"{who} declined the delivery ({code})")
    if objection is None:
        yield case.closed("objection", "the objection")
        return
    admission = case.admission
    if admission is None:
        refuse(INVALID_PROOF, "objection is to what was never admitted")
    need(objection["exchange"] == case.id, INVALID_PROOF, "objection is to another exchange")
    need(objection["code"] == code, INVALID_PROOF, "objection is for another code")
    parts = [list(leaf.values()) for leaf in objection["leaves"]]
    encoded = encode([*list(objection.values())[:4], parts, objection["proof"]])
    same = case.suite.hash("commitment", encoded) == declines[0].body["objection_commitment"]
    need(same, INVALID_PROOF, "objection is not the one that the decline commits to")
    need(len(encoded) <= OPENING_BYTES, MALFORMED, f"objection is above {OPENING_BYTES} bytes")
    for leaf in objection["leaves"]:
        sound = (leaf["use"], len(leaf["salt"])) == (FIELD_USE, 32)
        need(sound, MALFORMED, "a leaf of the objection is not a salted field")
    positions = [leaf["position"] for leaf in objection["leaves"]]
    if positions:
        ascend = all(one < other for one, other in itertools.pairwise(positions))
        need(ascend, INVALID_PROOF, "leaves of the objection do not ascend")
        leaves = {
            at: case.suite.leaf(encode(leaf)) for at, leaf in zip(positions, parts, strict=True)
        }
        size, root = objection["size"], admission["disclosure_root"]
        verify_multiproof(case.suite, leaves, size, objection["proof"], root)
    else:
        need(not objection["proof"], INVALID_PROOF, "objection opens no leaf, and has a proof")
    names = ", ".join(leaf["name"] for leaf in objection["leaves"])
    yield Claim("objection", f"{case.state['provider']} committed to what is shown: {names}")


def show_decisions(case: Case) -> Iterator[Claim]:
    for entry in case.evidence.of_kind("decision.record"):
        if case.id not in entry.body["inputs"]:
            continue
        case.evidence.check_signer(entry, case.consumer)
        state = case.evidence.state("decision", entry.record.id)
        later = [
            each
            for each in case.evidence.entries
            if each.record.kind in AFTER_DECISIONS and each.body["decision"] == entry.record.id
        ]
        told = entry.body
        for each in later:
            if each.record.kind == "decision.review":
                told = told | {"outcome": each.body["outcome"]}
                told["explanation_commitment"] = each.body["explanation_commitment"]
        names = ("inputs", "outcome", "model_hash", "explanation_commitment")
        claims = [
            claim for kind in AFTER_DECISIONS for claim in show_later(case, entry, later, kind)
        ]
        same = all(told[name] == state[name] for name in names)
        need(same, INVALID_PROOF, "decision is not the one that the ledger holds")
        check_contests(case, state["contests"], later)
        count, outcome = len(entry.body["inputs"]), entry.body["outcome"]
        model = entry.body["model_hash"].hex()[:16]
        yield Claim("decision", f"{outcome}, on exactly {count} exchange(s), by model {model}")
        yield from claims


def check_contests(case: Case, held: list[dict[str, Any]], later: list[Entry]) -> None:
    """Hold a decision's contests to their records, and each review to the one that it names."""
    own_key = case.consent["consent_key"]
    waiting = [each.record for each in later if each.record.kind == "decision.contest"]
    reviews = [each.body for each in later if each.record.kind == "decision.review"]
    same = [each.id for each in waiting] == [each["record"] for each in held]
    own = [each.key == own_key for each in waiting]
    same = same and own == [each["consent"] == case.consent_id for each in held]
    for each in held:
        answers = [body["result"] for body in reviews if body["contest"] == each["record"]]
        same = same and answers == [each["review"]] * (each["review"] != "")
    same = same and all(body["contest"] in [each["record"] for each in held] for body in reviews)
    need(same, INVALID_PROOF, "contests of the decision are not those that the ledger holds")


def show_later(case: Case, decision: Entry, later: list[Entry], kind: str) -> Iterator[Claim]:
    """What became of a decision: explained, contested, reviewed."""
    for entry in later:
        if entry.record.kind != kind:
            continue
        if kind == "decision.contest":
            own = entry.record.key == case.consent["consent_key"]
            other = len(decision.body["inputs"]) > 1
            need(own or other, UNTRUSTED, "decision is not contested by the consent's own key")
            whose = "the subject" if own else "a subject of another of its exchanges"
            yield Claim("contested", f"{whose} contested the decision")
            continue
        case.evidence.check_signer(entry, case.consumer)
        if kind == "decision.explain":
            yield Claim("explained", f"{case.consumer} signed that it explained the decision")
        else:
            result, outcome = entry.body["result"], entry.body["outcome"]
            statement = f"{case.consumer} signed that a person {result} it: {outcome}"
            yield Claim("reviewed", statement)


def show_uses(case: Case) -> Iterator[Claim]:
    revoked, stays = min(case.revocations(), default=None), case.stays()
    for entry in case.own("exchange.use"):
        case.evidence.check_signer(entry, case.consumer)
        purpose, want = entry.body["purpose"], case.consent["purpose"]
        need(purpose == want, INVALID_PROOF, f"data was used for {purpose}, want {want}")
        in_time = revoked is None or entry.index < revoked
        need(in_time, INVALID_PROOF, "data was used after the consent was revoked")
        stayed = any(begin < entry.index < end for begin, end in stays)
        need(not stayed, INVALID_PROOF, "data was used while the consent was stayed")
        yield Claim("use", f"the data was used for {purpose}, as consented")
    if revoked is not None:
        yield Claim("revoked", f"consent was revoked by record {revoked}; no use after it")
    for begin, _ in stays:
        yield Claim("stayed", f"a supervisor stayed the consent by record {begin}")


def show_dispute(case: Case) -> Iterator[Claim]:
    kinds = ("dispute.open", "dispute.evidence", "dispute.rule")
    own = sorted((entry for kind in kinds for entry in case.own(kind)), key=lambda each: each.index)
    complainants, grounds, ruling = list[str](), "", "dismissed"
    evidence, barred, claims = dict[str, int](), list[tuple[int, int]](), list[Claim]()
    for entry in own:
        opens = entry.record.kind == "dispute.open"
        in_turn = opens == (ruling == "dismissed")
        need(in_turn, INVALID_PROOF, f"record {entry.index} does not follow in its disputes")
        if entry.record.kind == "dispute.rule":
            signed = case.evidence.has_role(entry, "supervisor")
            need(signed, UNTRUSTED, f"record {entry.index} is not signed by a supervisor")
            ruling = entry.body["ruling"]
            claims.append(Claim("ruled", f"a supervisor ruled that the complaint is {ruling}"))
            if ruling == "dismissed":
                barred[-1] = (barred[-1][0], entry.index)
            continue
        party = party_of(case, entry)
        if opens:
            complainants.append(party)
            grounds, ruling, evidence = entry.body["grounds"], "", {}
            barred.append((entry.index, case.evidence.checkpoint.size))
            said = f"{party or 'the subject'} disputed the exchange ({grounds})"
            claims.append(Claim("disputed", said))
        else:
            evidence[party] = evidence.get(party, 0) + 1
    if not complainants:
        return
    state = case.evidence.state("dispute", case.id)
    brought = [{"party": party, "pieces": pieces} for party, pieces in evidence.items()]
    told = {"complainants": complainants, "grounds": grounds, "ruling": ruling, "evidence": brought}
    same = all(state[name] == each for name, each in told.items())
    need(same, INVALID_PROOF, "dispute is not that of the ledger")
    for entry in case.own("exchange.use"):
        used = any(begin < entry.index < end for begin, end in barred)
        need(not used, INVALID_PROOF, "data was used while a dispute barred it")
    yield from claims


def party_of(case: Case, entry: Entry) -> str:
    """Which of provider and consumer signed a record, or nothing where the subject's key did."""
    if entry.record.key == case.consent["consent_key"]:
        return ""
    names = [str(case.state[name]) for name in ("provider", "consumer")]
    signed = [name for name in names if case.evidence.is_signer(entry, name)]
    need(bool(signed), UNTRUSTED, f"record {entry.index} is not signed by a party of the exchange")
    return signed[0]


def show_restrictions(case: Case) -> Iterator[Claim]:
    for entry in case.own("exchange.restrict"):
        case.evidence.check_signer(entry, case.consumer)
        basis, until_ms = entry.body["basis"], entry.body["until_ms"]
        promise = f"{case.consumer} signed that the data is only kept ({basis})"
        yield Claim("restricted", f"{promise} until {until_ms} ms; a promise")


def show_erasure(case: Case) -> Iterator[Claim]:
    if case.erasure is not None:
        promise = f"{case.consumer} signed that the data is erased ({case.erasure})"
        yield Claim("erased", f"{promise}; this is a promise, not a proof")


def show_forgetting(case: Case) -> Iterator[Claim]:
    for entry in case.own("exchange.forget")[:1]:
        provider, basis = case.state["provider"], entry.body["basis"]
        case.evidence.check_signer(entry, provider)
        promise = f"{provider} signed that it keeps nothing of what it sealed ({basis})"
        yield Claim("forgotten", f"{promise}; this is a promise, not a proof")


def show_corrections(case: Case) -> Iterator[Claim]:
    for entry in case.own("exchange.correct"):
        provider, shown = case.state["provider"], entry.body["correction_commitment"].hex()[:16]
        case.evidence.check_signer(entry, provider)
        yield Claim("corrected", f"{provider} signed that what it delivered is corrected ({shown})")


def show_audits(case: Case) -> Iterator[Claim]:
    """That content was ordered to be opened, and who signed to open it when."""
    for entry in case.evidence.of_kind("audit.disclose"):
        scope, salt = entry.body["scope"], entry.body["salt"]
        if case.id not in scope:
            continue
        state = case.evidence.state("audit", entry.body["audit"])
        same = case.suite.hash("commitment", encode([scope, salt])) == state["scope_commitment"]
        need(same, INVALID_PROOF, "audit is not the one that was disclosed")
        openers = ", ".join(
            f"{each['member']} at {each['time_ms']} ms" for each in state["openers"]
        )
        ordered = f"{state['supervisor']} ordered it opened ({state['basis']})"
        yield Claim("audited", f"{ordered}; signed to open: {openers or 'nobody'}")


def show_compromises(case: Case) -> Iterator[Claim]:
    """What a key signed before it was called compromised stands, and is worth less."""
    for name in filter(None, (case.state["provider"], case.processor, case.consumer)):
        for index in case.evidence.member(name).compromises:
            called = f"a key of {name} was called compromised by record {index}"
            yield Claim("compromised", f"{called}: what it signed before needs corroboration")


def show_quorums(case: Case) -> Iterator[Claim]:
    """That more than half of governance approved each record that needs it."""
    evidence = case.evidence
    enacted = [entry for entry in evidence.entries if entry.record.kind in QUORUM_KINDS]
    if not enacted:
        return
    governed = follow_governance(evidence)
    for entry in enacted:
        approved, governors = follow_proposal(evidence, entry), governed[entry.index]
        own = evidence.has_role(entry, "governance")
        need(own, UNTRUSTED, f"record {entry.index} is not signed by governance")
        count, want = len(approved), len(governors) // 2 + 1
        few = f"record {entry.index} has {count} approvals of governance, want {want}"
        need(count >= want, INVALID_PROOF, few)
        what = f"{entry.record.kind} of {entry.body['member']}"
        yield Claim("quorum", f"{count} of {len(governors)} of governance approved {what}")


def follow_governance(evidence: Evidence) -> dict[int, set[str]]:
    """Who governed when each record was ordered, from the genesis on."""
    founded = evidence.entries[0].body["members"]
    governors = {each["member"] for each in founded if "governance" in each["roles"]}
    state = evidence.state("governance", b"")
    touching, found = evidence.entries[:1], dict[int, set[str]]()
    for entry in evidence.entries[1:]:
        found[entry.index] = set(governors)
        if entry.record.kind not in MEMBER_KINDS or entry.record.kind == "key.rotate":
            continue
        name = entry.body["member"]
        if "governance" in evidence.member(name).roles:
            touching.append(entry)
            governors.discard(name)
            if any(begin == entry.index for _, begin, _ in evidence.member(name).keys):
                governors.add(name)
    evidence.check_complete("governance", state, touching)
    same = sorted(governors) == state["members"]
    need(same, INVALID_PROOF, "governance is not the one that its history makes")
    return found


def follow_proposal(evidence: Evidence, enacted: Entry) -> set[str]:
    """Who of governance had approved a record, with a key that could sign when it was ordered."""
    proposal, index = enacted.body["proposal"], enacted.index
    own = [entry for entry in evidence.entries if entry.body.get("proposal") == proposal]
    state = evidence.state("proposal", proposal)
    evidence.check_complete("proposal", state, own)
    closed = (state["status"], own[-1].index) == ("ENACTED", index)
    need(closed, INVALID_PROOF, f"proposal is not the one that record {index} closed")
    check_proposed(evidence, own[0], enacted)
    lapses_ms = own[0].body["lapses_ms"]
    in_time = state["lapses_ms"] == lapses_ms and state["enacted_ms"] < lapses_ms
    need(in_time, INVALID_PROOF, f"proposal of record {index} had lapsed before it was enacted")
    found = set()
    for entry in own:
        if entry.record.kind not in ("governance.propose", "governance.approve"):
            continue
        key = entry.record.key
        names = [name for name, each in evidence.members.items() if each.has(key, entry.index)]
        governs = bool(names) and "governance" in evidence.member(names[0]).roles
        need(governs, UNTRUSTED, f"record {entry.index} is not signed by governance")
        if evidence.member(names[0]).has(key, index):
            found.add(names[0])
    return found


def check_proposed(evidence: Evidence, first: Entry, enacted: Entry) -> None:
    """Hold a record to what was proposed, or to the member whose equivocation was reported."""
    kind, body = enacted.record.kind, first.body
    if first.record.kind == "governance.propose":
        same = (body["kind"], body["body"]) == (kind, enacted.record.body)
        need(same, INVALID_PROOF, f"what was proposed is another record than {enacted.index}")
        return
    reported = (first.record.kind, kind) == ("governance.report", "member.suspend")
    need(reported, INVALID_PROOF, f"record {enacted.index} was never proposed")
    convicted = check_equivocation(body["evidence"], evidence.anchor)
    member = enacted.body["member"]
    own = convicted.key in [key for key, _, _ in evidence.member(member).keys]
    own = own and body["member"] == member
    need(own, INVALID_PROOF, f"evidence is not by a key of {member}")


CLAIMS = (
    *(show_complete, show_product, show_agreement, show_consent, show_live, show_processor),
    *(show_request, show_scope, show_payload, show_release),
    *(show_key, show_delivery, show_objection, show_corrections, show_decisions, show_uses),
    *(show_dispute, show_restrictions, show_erasure, show_forgetting, show_audits),
    *(show_compromises, show_quorums),
)


def verify_pack(data: bytes, anchor: Anchor) -> list[Claim]:
    """Everything that a pack shows, in the order of the exchange; one contradiction refuses it."""
    need(len(data) <= PACK_BYTES, MALFORMED, f"pack is above {PACK_BYTES} bytes")
    case = Case(PACK(decode(data, "pack"), "pack"), anchor)
    return [claim for show in CLAIMS for claim in show(case)]


# ------------------------------------------------------------------------------------ command line
#
# What a file is can be seen from its first byte: text, or an array of a length that no other has.


@dataclass(frozen=True)
class Given:
    """What the command line gives beside the evidence."""

    anchor: Anchor
    record: bytes | None = None
    checkpoint: bytes | None = None
    compared: set[str] = field(default_factory=set)

    def body(self) -> bytes:
        self.compared.add("--record")
        return self._given(self.record, "--record FILE, with the record's body")

    def held_to(self) -> Checkpoint:
        """The checkpoint that the evidence is held to, verified."""
        self.compared.add("--checkpoint")
        data = self._given(self.checkpoint, "--checkpoint FILE, with the one to hold it to")
        return verify_checkpoint(data, self.anchor)[0]

    def check_compared(self) -> None:
        """Refuse what was given and not looked at: nobody may think that it was compared."""
        for option, data in (("--record", self.record), ("--checkpoint", self.checkpoint)):
            if data is not None and option not in self.compared:
                refuse(MALFORMED, f"evidence of this kind is not compared with {option}")

    def _given(self, data: bytes | None, option: str) -> bytes:
        if data is None:
            raise WrongUsage(f"this needs {option}")
        return data


class WrongUsage(Exception):  # noqa: N818
    """The command line lacks something."""


def show_record(data: bytes, given: Given) -> list[Claim]:
    record = decode_record(data)
    verify_record(record, given.anchor)
    signed = f"key {record.key.hex()} signed {record.kind}, its record {record.sequence}"
    return [Claim("record", f"{signed}, with id {record.id.hex()}")]


EQUIVOCATION = row(version=VERSION, first=ANY_BYTES, second=ANY_BYTES)


def check_equivocation(data: bytes, anchor: Anchor) -> Record:
    """The first of two records that one key signed with one sequence."""
    pair = EQUIVOCATION(decode(data, "equivocation"), "equivocation")
    first, second = decode_record(pair["first"]), decode_record(pair["second"])
    need(first.id <= second.id, MALFORMED, "records are not in the order of their ids")
    need(first.id != second.id, INVALID_PROOF, "records are the same")
    named = ("network", "key", "sequence")
    one = all(getattr(first, name) == getattr(second, name) for name in named)
    need(one, INVALID_PROOF, "records are of two networks, keys or sequences")
    verify_record(first, anchor, "first record")
    verify_record(second, anchor, "second record")
    return first


def show_equivocation(data: bytes, given: Given) -> list[Claim]:
    first = check_equivocation(data, given.anchor)
    signed = f"key {first.key.hex()} signed two records of sequence {first.sequence}"
    return [Claim("equivocation", signed)]


SPLIT_VIEW_BYTES = 128 * 1024
SPLIT_VIEW = row(
    version=VERSION, network=bytes_of(16), first=ANY_BYTES, second=ANY_BYTES, header=ANY_BYTES
)


def show_opening(data: bytes, given: Given) -> list[Claim]:
    opened = verify_opening(data, given.anchor)
    order, exchange = opened.order, opened.exchange.hex()
    ordered = f"{order['supervisor']} ordered it ({order['basis']}) until {order['expires_ms']} ms"
    times = {each["member"]: each["time_ms"] for each in order["openers"]}
    claims = [Claim("ordered", f"{ordered}; exchange {exchange} is in the order's scope")]
    for member in opened.openers:
        gave = f"{member} signed to open at {times[member]} ms, and its share made its part"
        claims.append(Claim("opened", gave))
    return claims


def show_split_view(data: bytes, given: Given) -> list[Claim]:
    """Two checkpoints that one operator signed, and that cannot both be of one history."""
    need(len(data) <= SPLIT_VIEW_BYTES, MALFORMED, f"split view is above {SPLIT_VIEW_BYTES} bytes")
    shown = SPLIT_VIEW(decode(data, "split view"), "split view")
    need(shown["network"] == given.anchor.network, UNTRUSTED, "split view is of another network")
    operator = replace(given.anchor, witnesses={}, quorum=0)
    first = verify_checkpoint(shown["first"], operator)[0]
    second = verify_checkpoint(shown["second"], operator)[0]
    texts = [parse_note(shown[name])[0].encode() for name in ("first", "second")]
    places = [(first.size, first.height, texts[0]), (second.size, second.height, texts[1])]
    need(places[0] <= places[1], MALFORMED, "notes are not in the order of their sizes")
    if shown["header"]:
        check_parents(given.anchor.suite, first, second, shown["header"])
    else:
        need(first != second, INVALID_PROOF, "both notes have one checkpoint")
        later = first.size < second.size and first.height < second.height
        need(not later, INVALID_PROOF, "the notes may be of one history")
    signed = f"{first.origin} signed {first.size} records with root {first.root.hex()}"
    return [Claim("split-view", f"{signed}, and {second.size} with root {second.root.hex()}")]


BLOCK = row(
    version=VERSION,
    height=U64,
    parent=HASH,
    time_ms=U64,
    first_index=U64,
    count=U64,
    tree_root=HASH,
    state_root=HASH,
)


def check_parents(suite: Suite, first: Checkpoint, second: Checkpoint, header: bytes) -> None:
    """Accept a header that is the second checkpoint's, and names another parent than the first."""
    block = BLOCK(decode(header, "header"), "header")
    need(block["count"] > 0, MALFORMED, "block has no records")
    same = (suite.hash("block", header), block["height"]) == (second.block, second.height)
    need(same, INVALID_PROOF, "header is not that of the second note's block")
    need(second.height == first.height + 1, INVALID_PROOF, "the heights do not follow")
    need(block["parent"] != first.block, INVALID_PROOF, "the second block follows the first")


PROMISE = row(
    version=VERSION,
    network=bytes_of(16),
    record=HASH,
    key=HASH,
    sequence=COUNT,
    by_ms=COUNT,
    signature=bytes_of(64),
)
PROMISE_BYTES = 512
BROKEN_PROMISE_BYTES = STATE_RECEIPT_BYTES + 1024
BROKEN_PROMISE = row(version=VERSION, promise=ANY_BYTES, header=ANY_BYTES, receipt=ANY_BYTES)


def verify_promise(data: bytes, anchor: Anchor) -> dict[str, Any]:
    """What the operator promised, by the name of each field."""
    need(len(data) <= PROMISE_BYTES, MALFORMED, f"promise is above {PROMISE_BYTES} bytes")
    items = decode(data, "promise")
    promise: dict[str, Any] = PROMISE(items, "promise")
    need(promise["network"] == anchor.network, UNTRUSTED, "promise is of another network")
    message = b"ledgercore promise v1\n" + encode(items[:-1])
    verify_signature(anchor.operator, message, promise["signature"], "promise")
    return promise


def show_broken_promise(data: bytes, given: Given) -> list[Claim]:
    """A record that the operator promised, and that a later block's state does not have."""
    limit, anchor = BROKEN_PROMISE_BYTES, given.anchor
    need(len(data) <= limit, MALFORMED, f"broken promise is above {limit} bytes")
    broken = BROKEN_PROMISE(decode(data, "broken promise"), "broken promise")
    promise = verify_promise(broken["promise"], anchor)
    signer = verify_state_receipt(broken["receipt"], anchor)
    checkpoint, block = signer.checkpoint, BLOCK(decode(broken["header"], "header"), "header")
    need(block["count"] > 0, MALFORMED, "block has no records")
    hashed = anchor.suite.hash("block", broken["header"])
    same = (hashed, block["height"]) == (checkpoint.block, checkpoint.height)
    need(same, INVALID_PROOF, "header is not that of the checkpoint's block")
    own = signer.object == b"signer/" + promise["key"]
    need(own, INVALID_PROOF, "state is not that of the promised record's signer")
    by_ms, time_ms = promise["by_ms"], block["time_ms"]
    need(time_ms > by_ms, INVALID_PROOF, f"block's time is {time_ms}, want one after {by_ms}")
    following = 0 if signer.state is None else signer.state["sequence"]
    kept = following > promise["sequence"]
    need(not kept, INVALID_PROOF, f"signer has gone on to {following}: the promise may be kept")
    promised = f"{checkpoint.origin} promised record {promise['record'].hex()} by {by_ms} ms"
    return [Claim("broken-promise", f"{promised}, and did not have it at {time_ms} ms")]


def show_of_four(data: bytes, given: Given) -> list[Claim]:
    """A broken promise begins with its version, and a state proof with bytes."""
    return (show_broken_promise if data[1:2] == b"\x01" else show_state)(data, given)


def show_state(data: bytes, given: Given) -> list[Claim]:
    proof, checkpoint = decode_state_proof(data), given.held_to()
    verify_state(given.anchor.suite, proof, checkpoint.state_root)
    return [claim_of_state(proof, checkpoint)]


def claim_of_state(proof: StateProof, checkpoint: Checkpoint) -> Claim:
    name, size = name_of(proof.object), checkpoint.size
    if proof.state is None:
        return Claim("absence", f"{name} has no state at size {size}")
    return Claim("state", f"{name} has state {proof.state.hex()} at size {size}")


def show_of_three(data: bytes, given: Given) -> list[Claim]:
    """An equivocation where the second item begins as a record does, and no text: with ``92``."""
    value = decode(data, "evidence")
    pair = type(value[1]) is bytes and value[1][:1] == b"\x92"
    return (show_equivocation if pair else show_state_receipt)(data, given)


def show_state_receipt(data: bytes, given: Given) -> list[Claim]:
    return [verify_state_receipt(data, given.anchor).claim()]


def show_history(data: bytes, given: Given) -> list[Claim]:
    history = verify_history(data, given.anchor)
    size, name = history.checkpoint.size, name_of(history.newest.object)
    complete = f"these are all {len(history.records)} records of {name} below {size}"
    claims = [Claim("history", complete)]
    for index, record in history.records:
        signed = f"record {index} is {record.kind} {record.id.hex()}"
        claims.append(Claim("record", f"{signed}, signed by {record.key.hex()}"))
    return claims


def show_totals(data: bytes, given: Given) -> list[Claim]:
    told = verify_totals(data, given.anchor)
    period = f"records {told['begin']} to {told['end']} of {told['size']}"
    decided = f"{told['consumer']} decided on {told['amount']} by {told['count']} decisions"
    return [Claim("totals", f"{decided} in {period}: the sum of what they commit to")]


def show_receipt(data: bytes, given: Given) -> list[Claim]:
    receipt = verify_receipt(data, given.body(), given.anchor)
    record, checkpoint = receipt.record, receipt.checkpoint
    stands = f"{record.kind} {record.id.hex()} is record {receipt.index} of {checkpoint.size}"
    claims = [Claim("record", f"{stands} in {checkpoint.origin}, signed by {record.key.hex()}")]
    if receipt.state is not None:
        claims.append(claim_of_state(receipt.state, checkpoint))
    return claims


RENEWED = row(
    version=VERSION,
    network=bytes_of(16),
    suite=one_of(*SUITES),
    index=COUNT,
    record=ANY_BYTES,
    proof=list_of(HASH, MULTIPROOF_HASHES),
    body=ANY_BYTES,
    receipt=ANY_BYTES,
)
RENEWED_BYTES = 512 * 1024


def show_renewed(data: bytes, given: Given) -> list[Claim]:
    """A record of a former ledger, by the tree that a newer one anchors over the same bytes."""
    need(len(data) <= RENEWED_BYTES, MALFORMED, f"renewed record is above {RENEWED_BYTES} bytes")
    renewed = RENEWED(decode(data, "renewed record"), "renewed record")
    receipt = verify_receipt(renewed["receipt"], renewed["body"], given.anchor)
    named = receipt.record.kind == "renewal.anchor"
    need(named, MALFORMED, f"receipt is of {receipt.record.kind}, want renewal.anchor")
    body = decode_body(receipt.record, "anchor")
    record = decode_record(renewed["record"])
    former = (renewed["network"], renewed["suite"])
    same = former == (body["former_network"], body["former_suite"])
    need(same, INVALID_PROOF, "anchor is of another former network or suite")
    own = former == (record.network, record.suite.name)
    need(own, UNTRUSTED, "record is of another network or suite than the former ledger's")
    leaves = {renewed["index"]: given.anchor.suite.leaf(renewed["record"])}
    verify_multiproof(
        given.anchor.suite, leaves, body["former_size"], renewed["proof"], body["root"]
    )
    verify_signature_of(record)
    stood = f"{record.kind} {record.id.hex()} was record {renewed['index']} of {former[0].hex()}"
    return [Claim("renewed", f"{stood}; {receipt.record.id.hex()} anchors it")]


def show_pack(data: bytes, given: Given) -> list[Claim]:
    return verify_pack(data, given.anchor)


def show_checkpoint(data: bytes, given: Given) -> list[Claim]:
    checkpoint, cosigned = verify_checkpoint(data, given.anchor)
    origin, root = checkpoint.origin, checkpoint.root.hex()
    claims = [Claim("checkpoint", f"{origin} signed {checkpoint.size} records with root {root}")]
    for name, time_s in cosigned.items():
        claims.append(Claim("cosignature", f"{name} cosigned at {time_s} s"))
    return claims


def show_consistency(data: bytes, given: Given) -> list[Claim]:
    """The proof that ``ledgercore prove --since`` writes, as JSON."""
    try:
        table = json.loads(data)
        newer = table["checkpoint"].encode()
        path = [bytes(HASH(bytes.fromhex(each), "hash of the proof")) for each in table["proof"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        refuse(MALFORMED, "consistency proof is not JSON with checkpoint and proof")
    need(len(path) <= PROOF_HASHES, MALFORMED, f"proof is above {PROOF_HASHES} hashes")
    old, (new, _) = given.held_to(), verify_checkpoint(newer, given.anchor)
    try:
        verify_consistency(given.anchor.suite, old.size, new.size, path, old.root, new.root)
    except Refusal as error:
        refuse(error.kind, f"{error}: a proof for the kept checkpoint is of size {old.size}")
    return [Claim("consistency", f"{new.size} records go on from the {old.size} of the older one")]


KINDS: dict[int, Callable[[bytes, Given], list[Claim]]] = {
    0x92: show_record,
    0x93: show_of_three,
    0x94: show_of_four,
    0x95: show_split_view,
    0x96: show_receipt,
    0x97: show_history,
    0x98: show_renewed,
    0x99: show_totals,
    0x9A: show_opening,
    0x9B: show_pack,
    ord("{"): show_consistency,
}
"""What verifies a file, by its first byte; any other may be a checkpoint, by its signature line."""

SIGNATURE_LINE = "\n\n— ".encode()
"""How the first one begins that a checkpoint has."""


def verify(data: bytes, given: Given) -> list[Claim]:
    """The claims of a file of any kind."""
    data = unwrap(data)
    if not data:
        refuse(MALFORMED, "file is empty")
    what = "file is no evidence, nor base64 of it, and has no signature line of a checkpoint"
    need(data[0] in KINDS or SIGNATURE_LINE in data, MALFORMED, what)
    show = KINDS.get(data[0], show_checkpoint)
    claims = show(data, given)
    given.check_compared()
    return claims


def unwrap(data: bytes) -> bytes:
    """The bytes themselves, or those that base64 stands for, on lines of one length."""
    lines = data.replace(b"\r\n", b"\n").removesuffix(b"\n").split(b"\n")
    text, width = b"".join(lines), len(lines[0])
    if any(len(line) != width for line in lines[:-1]) or not 0 < len(lines[-1]) <= width:
        return data
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return data
    return decoded if decoded and base64.b64encode(decoded) == text else data


def read(path: str, limit: int) -> bytes:
    """A file's bytes, unless it is larger than what it should be."""
    with Path(path).open("rb") as file:
        data = file.read(limit + 1)
    need(len(data) <= limit, MALFORMED, f"{path} has more than {limit} bytes")
    return data


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Verify evidence of a ledgercore ledger: a receipt, a state receipt, a "
        "history, totals, an opening, an evidence pack, a checkpoint, a state proof, a "
        "consistency proof, a record, an equivocation, a split view or a broken promise."
    )
    parser.add_argument("file", metavar="FILE", help="the evidence")
    parser.add_argument("--anchor", required=True, metavar="FILE", help="whom to trust")
    parser.add_argument("--record", metavar="FILE", help="the body of a receipt's record")
    parser.add_argument("--checkpoint", metavar="FILE", help="what a proof is held to")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> list[Claim]:
    try:
        anchor = parse_anchor(read(options.anchor, 64 * 1024).decode())
    except UnicodeDecodeError:
        refuse(MALFORMED, "anchor is not UTF-8")
    record = options.record and read(options.record, RECORD_BYTES)
    checkpoint = options.checkpoint and read(options.checkpoint, RECORD_BYTES)
    # Base64 is longer than what it stands for, by a third and the ends of lines of 64 characters.
    evidence = read(options.file, PACK_BYTES // 48 * 66 + 66)
    return verify(evidence, Given(anchor, record, checkpoint))


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)
    try:
        claims = run(options)
    except Refusal as refusal:
        return report(options, refusal.kind, str(refusal), 5 if refusal.kind == MALFORMED else 1)
    except WrongUsage as wrong:
        return report(options, "usage", str(wrong), 2)
    except OSError as error:
        return report(options, "unavailable", str(error), 4)
    try:
        show(options, claims)
    except BrokenPipeError:
        # Whoever read the output has left. Without a stdout the interpreter has nothing to flush,
        # and to complain of, at its end.
        sys.stdout = None
        return 4
    return 0


def show(options: argparse.Namespace, claims: Sequence[Claim]) -> None:
    if options.json:
        shown = [vars(claim) for claim in claims]
        print(json.dumps({"verified": True, "claims": shown}))
    else:
        for claim in claims:
            print(one_line(f"{claim.status:8} {claim.name}: {claim.statement}"))
    sys.stdout.flush()


def report(options: argparse.Namespace, kind: str, message: str, exit_code: int) -> int:
    shown = {"error": kind, "message": message, "exit_code": exit_code}
    print(json.dumps(shown) if options.json else one_line(f"{kind}: {message}"), file=sys.stderr)
    return exit_code


def one_line(text: str) -> str:
    """Text of others on one line: nothing in it can be taken for a claim of its own."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


if __name__ == "__main__":
    sys.exit(main())
