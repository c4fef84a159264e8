"""Show offline that a ledger goes on from a checkpoint that was kept.

    {"checkpoint": "tax.example/log\\n4\\n...", "proof": ["5c7d...", "91ab..."]}

A consistency proof (RFC 9162 section 2.1.4) with the newer signed checkpoint that it leads to, as
JSON, its hashes in hexadecimal. It is held to the older checkpoint, which whoever verifies kept.
Other members of the object are for people to read, and are held to nothing: the size
that a proof was made for, ``first_size``, is shown where it does not lead from the kept one.
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from ledgercore._core import PROOF_HASHES, Anchor, Checkpoint, verify_consistency
from ledgercore.errors import InvalidProof, LimitError, MalformedError
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
    first_size: Any = None

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
        another history, is the older one, or where the proof was made for another size.
        """
        older, newer = verify_note(anchor, kept), verify_note(anchor, self.checkpoint.encode())
        hashes = [bytes.fromhex(each) for each in self.proof]
        sizes = older.size, newer.size
        try:
            verify_consistency(anchor.suite, *sizes, hashes, older.root, newer.root)
        except InvalidProof as error:
            raise InvalidProof(f"{self._why(*sizes)} ({error})") from error
        return VerifiedConsistency(older, newer)

    def _why(self, kept: int, newest: int) -> str:
        """What may be wrong where the proof does not lead from one size to the other."""
        if kept > newest:
            return (
                f"kept checkpoint has size {kept}, and the proof's has {newest}, which is older: "
                "give the checkpoint that was kept first"
            )
        made = self.first_size
        if isinstance(made, int) and made != kept:
            return (
                f"proof was made for size {made}, and the kept checkpoint has size {kept}: make it "
                f"with ledgercore prove LEDGER --since {kept}"
            )
        return (
            f"history of {newest} records does not go on from the kept checkpoint of {kept}: it is "
            "another one, or the proof is not that of ledgercore prove LEDGER --since "
            f"{kept}: keep both checkpoints as evidence"
        )
