"""Verify signatures of 32 signers: 16,384 in one batch, in small batches, and one by one.

Messages have 69 bytes, as many as a record signs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import peers
from ledgercore import build_info, testing
from ledgercore.primitives import verify_signatures
from measure import OURS, Goal, Operation, Skipped, Way, sustained

__all__ = ["OPERATIONS", "sign", "verify_in_batches"]

SIGNERS = 32
COUNT = 16_384
MESSAGE_BYTES = 69
PEER_COUNT = 2_048

HAS_IFMA = "avx512ifma" in build_info()["cpu_features"].split()
GOAL_RATE = 1_000_000 if HAS_IFMA else 300_000
"""AVX-512 IFMA multiplies 52-bit limbs in eight lanes; AVX2 has half of both."""


def sign(count: int) -> list[tuple[bytes, bytes, bytes]]:
    """Public key, message and signature of signers in turn."""
    keys = [testing.signing_key(number) for number in range(SIGNERS)]
    signed = []
    for number in range(count):
        key, message = keys[number % SIGNERS], number.to_bytes(MESSAGE_BYTES, "big")
        signed.append((key.public_key, message, key.sign(message)))
    return signed


def verify_in_batches(
    signed: list[tuple[bytes, bytes, bytes]], together: int
) -> Callable[[], None]:
    """All of them, so many in one call."""
    pieces = [signed[begin : begin + together] for begin in range(0, len(signed), together)]
    batches = [[list(column) for column in zip(*piece, strict=True)] for piece in pieces]

    def verify() -> None:
        for public_keys, messages, signatures in batches:
            verify_signatures(public_keys, messages, signatures)

    return verify


def prepare(together: int, directory: Path) -> Mapping[str, Way | Skipped]:
    """Sign once, verify in every round. Small batches stand beside the large one first."""
    signed = sign(COUNT)
    few = signed[:PEER_COUNT]
    own = signed if together > 1 else few
    ways: dict[str, Way | Skipped] = {OURS: sustained(verify_in_batches(own, together), len(own))}
    if 1 < together < COUNT:
        ways[f"large batch, {COUNT:,}"] = sustained(verify_in_batches(signed, COUNT), COUNT)
    ways["cryptography"] = sustained(lambda: peers.verify_cryptography(few), PEER_COUNT)
    ways["PyNaCl"] = sustained(lambda: peers.verify_nacl(few), PEER_COUNT)
    if together == COUNT:
        ways["OpenSSL speed, one core"] = peers.openssl_speed()
    return ways


OPERATIONS = [
    Operation(
        id=name,
        what=f"verify Ed25519 signatures of 32 signers, {together:,} a call",
        unit="signatures/s",
        floor=None,
        goal=goal,
        prepare=partial(prepare, together),
    )
    for name, together, goal in (
        ("P1", COUNT, Goal("value", GOAL_RATE)),
        ("P1-1024", 1_024, Goal("ratio", 0.5)),
        ("P1-64", 64, Goal("ratio", 0.5)),
        ("signature-one", 1, None),
    )
]
