"""Show offline that a ledger goes on from a checkpoint that was kept.

    {"checkpoint": "tax.example/log\\n4\\n...", "proof": ["5c7d...", "91ab..."]}

A consistency proof (RFC 9162 section 2.1.4) with the newer signed checkpoint that it leads to, as
JSON, its hashes in hexadecimal. It is held to the older checkpoint, which whoever verifies kept.
Other members of the object are for people to read, and are held to nothing.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from ledgercore._core import PROOF_HASHES, Anchor, Checkpoint, verify_consistency
from ledgercore.errors import LimitError, MalformedError
from ledgercore.proofs.wire import verify_note
from ledgercore.wording import in_words

__all__ = ["CONSISTENCY_BYTES", "ConsistencyProof", "VerifiedConsistency"]

CONSISTENCY_BYTES = 64 * 1024
"""Bytes of JSON at most."""

_Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class VerifiedConsistency(NamedTuple):
    """Two checkpoints of one history: the newer one begins with all of the older one."""

    older: Checkpoint
    newer: Checkpoint


class ConsistencyProof(msgspec.Struct, frozen=True):
    """The newer signed checkpoint, and what leads to it from an older size."""

    checkpoint: str
    proof: Annotated[tuple[_Hash, ...], Meta(max_length=PROOF_HASHES)]

    @staticmethod
    def decode(data: bytes) -> ConsistencyProof:
        """The proof in JSON; raises ``MalformedError`` where there is none."""
        if len(data) > CONSISTENCY_BYTES:
            raise LimitError(
                f"consistency proof has {len(data)} bytes, want at most {CONSISTENCY_BYTES}"
            )
        try:
            return msgspec.json.decode(data, type=ConsistencyProof)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise MalformedError(f"consistency proof: {in_words(error)}") from error

    def verify(self, kept: bytes, anchor: Anchor) -> VerifiedConsistency:
        """Both checkpoints, if the anchor trusts both and the proof leads from one to the other.

        ``kept`` is the older signed checkpoint. Raises ``InvalidProof`` where the newer one is of
        another history, or is the older one.
        """
        older, newer = verify_note(anchor, kept), verify_note(anchor, self.checkpoint.encode())
        hashes = [bytes.fromhex(each) for each in self.proof]
        verify_consistency(anchor.suite, older.size, newer.size, hashes, older.root, newer.root)
        return VerifiedConsistency(older, newer)
