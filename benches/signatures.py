"""Verify a batch of signatures: 32 signers, 48-byte messages, the size that a record signs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import peers
from ledgercore import testing
from ledgercore.primitives import verify_signatures
from measure import OURS, Operation, Way, timed

__all__ = ["OPERATIONS"]

SIGNERS = 32
COUNT = 16_384
PEER_COUNT = 2_048


def prepare(directory: Path) -> Mapping[str, Way]:
    """Sign once, verify in every round."""
    keys = [testing.signing_key(number) for number in range(SIGNERS)]
    signed = []
    for number in range(COUNT):
        key, message = keys[number % SIGNERS], number.to_bytes(48, "big")
        signed.append((key.public_key, message, key.sign(message)))
    public_keys, messages, signatures = (list(column) for column in zip(*signed, strict=True))
    few = signed[:PEER_COUNT]
    return {
        OURS: timed(lambda: verify_signatures(public_keys, messages, signatures), COUNT),
        "cryptography": timed(lambda: peers.verify_cryptography(few), PEER_COUNT),
        "PyNaCl": timed(lambda: peers.verify_nacl(few), PEER_COUNT),
    }


OPERATIONS = [
    Operation(
        id="signature-batch",
        what="verify Ed25519 signatures of 32 signers in one batch",
        unit="signatures/s",
        floor=None,
        prepare=prepare,
    )
]
