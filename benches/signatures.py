"""Verify signatures of 32 signers: 16,384 in one batch, in small batches, and one by one.

Messages have 69 bytes, as many as a record signs.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import peers
from ledgercore import testing
from ledgercore.primitives import verify_signatures
from measure import OURS, Operation, Way, timed

__all__ = ["OPERATIONS"]

SIGNERS = 32
COUNT = 16_384
MESSAGE_BYTES = 69
PEER_COUNT = 2_048


def prepare(together: int, directory: Path) -> Mapping[str, Way]:
    """Sign once, verify in every round."""
    keys = [testing.signing_key(number) for number in range(SIGNERS)]
    signed = []
    for number in range(COUNT):
        key, message = keys[number % SIGNERS], number.to_bytes(MESSAGE_BYTES, "big")
        signed.append((key.public_key, message, key.sign(message)))
    count = COUNT if together > 1 else PEER_COUNT
    pieces = [signed[begin : begin + together] for begin in range(0, count, together)]
    batches = [[list(column) for column in zip(*piece, strict=True)] for piece in pieces]
    few = signed[:PEER_COUNT]

    def verify() -> None:
        for public_keys, messages, signatures in batches:
            verify_signatures(public_keys, messages, signatures)

    return {
        OURS: timed(verify, count),
        "cryptography": timed(lambda: peers.verify_cryptography(few), PEER_COUNT),
        "PyNaCl": timed(lambda: peers.verify_nacl(few), PEER_COUNT),
    }


OPERATIONS = [
    Operation(
        id=name,
        what=f"verify Ed25519 signatures of 32 signers, {together:,} a call",
        unit="signatures/s",
        floor=None,
        prepare=partial(prepare, together),
    )
    for name, together in (
        ("signature-batch", COUNT),
        ("signature-1024", 1_024),
        ("signature-64", 64),
        ("signature-one", 1),
    )
]
