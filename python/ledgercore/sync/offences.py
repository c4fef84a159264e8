"""Score what peers do wrong, and keep the evidence of it.

A peer that cannot be reached, or answers late, waits longer each time and is never given up: an
honest one behind a bad line does the same. Only what an honest peer does not do counts towards
being shut out. What a peer is scored for is a table.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from ledgercore.entropy import Entropy

__all__ = ["LAST_DELAY_MS", "OFFENCES", "SHUT_OUT", "Evidence", "Standing"]

SHUT_OUT = 100
"""From this score on a peer is not asked again."""

OFFENCES = {
    "unreachable": 0,  # no answer, or not a whole one in time
    "refused": 0,  # another status than 200
    "behind": 0,  # it lacks what it said that it has, or never had
    "went-back": 5,  # its newest checkpoint was a later one before
    "empty": 10,  # an answer without a block
    "malformed": 20,  # bytes that are not in the one accepted form, or too many
    "wrong-proof": 25,  # a proof that does not lead from our checkpoint to its own
    "forged": 50,  # a checkpoint that the operator did not sign
    "wrong-block": 50,  # a block that does not hold
    "other-history": 0,  # what the operator signed beside ours: the operator's doing
}
"""What each kind counts."""

_FIRST_DELAY_MS = 250
LAST_DELAY_MS = 8_000
"""How long a peer that fails is left alone at most."""

_EVIDENCE = 32
_EVIDENCE_BYTES = 64 * 1024


class Evidence(NamedTuple):
    """What a peer answered, cut to a bounded size, and what was wrong with it."""

    peer: str
    offence: str
    path: str
    reason: str
    answer: bytes


class Standing:
    """One peer's score, and when it may be asked again."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.score = 0
        self.failures = 0
        self.ready_ms = 0
        self.evidence: deque[Evidence] = deque(maxlen=_EVIDENCE)

    @property
    def shut_out(self) -> bool:
        """Whether the peer has done too much that no honest one does."""
        return self.score >= SHUT_OUT

    def blame(
        self, offence: str, path: str, reason: str, answer: bytes, now_ms: int, entropy: Entropy
    ) -> None:
        """Count an offence, and let the peer wait: twice as long each time, and never alike."""
        self.score += OFFENCES[offence]
        self.failures += 1
        delay_ms = min(_FIRST_DELAY_MS << min(self.failures - 1, 16), LAST_DELAY_MS)
        self.ready_ms = now_ms + delay_ms // 2 + entropy.bytes(1)[0] * delay_ms // 512
        kept = answer[:_EVIDENCE_BYTES]
        self.evidence.append(Evidence(self.peer, offence, path, reason, kept))

    def praise(self) -> None:
        """Count an answer that held."""
        self.failures = 0
        self.score = max(self.score - 1, 0) if not self.shut_out else self.score
