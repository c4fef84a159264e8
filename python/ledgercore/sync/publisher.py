"""Publish a checkpoint once k of n witnesses have cosigned it: a machine without I/O.

``begin`` takes the ledger's newest checkpoint; ``asks`` says which witness to ask what, by its name
in the trust anchor; answers go to ``receive``. Every cosignature that verifies is stored with the
ledger at once, so that a crash loses none. What a witness knew last is remembered between rounds,
and learnt from it where that is wrong.
"""

from __future__ import annotations

from typing import Protocol

from ledgercore._core import Anchor, Checkpoint
from ledgercore.errors import InvalidError, MalformedError
from ledgercore.sync.follower import Ask
from ledgercore.sync.messages import Response, ask_cosignature, decode_text

__all__ = ["Publishable", "Publisher"]

ATTEMPTS = 3
"""How often a witness is asked for one checkpoint: what it knew last may be news twice."""

_DIGITS = 20


class Publishable(Protocol):
    """The operator's ledger, as far as publishing needs it."""

    @property
    def trust_anchor(self) -> Anchor: ...
    @property
    def checkpoint(self) -> str: ...
    def prove_consistency(self, first_size: int, second_size: int) -> list[bytes]: ...
    def add_cosignatures(self, note: str) -> str: ...


class Publisher:
    """One ledger and the witnesses of its anchor."""

    def __init__(self, ledger: Publishable) -> None:
        self._ledger = ledger
        self._anchor = ledger.trust_anchor
        self._sizes = {name: 0 for name, _ in self._anchor.witnesses}
        self._attempts: dict[str, int] = {}
        self._asked: dict[str, Ask] = {}
        self._note = ""
        self.reasons: dict[str, str] = {}
        """Why a witness has not cosigned this checkpoint."""

    def begin(self) -> str:
        """Take the newest checkpoint to be published; the note as it is."""
        self._note = self._ledger.checkpoint
        self._asked.clear()
        self.reasons = {}
        self._attempts = dict.fromkeys(self._sizes, ATTEMPTS)
        return self._note

    @property
    def published(self) -> str | None:
        """The note, once the anchor's quorum has cosigned it."""
        try:
            self._anchor.verify_checkpoint(self._note)
        except (InvalidError, MalformedError):
            return None
        return self._note

    def asks(self) -> list[Ask]:
        """What to carry now; each is given once."""
        size = Checkpoint.parse(self._note).size
        asks = []
        for name, left in self._attempts.items():
            if left and name not in self._asked:
                old = min(self._sizes[name], size)
                proof = self._ledger.prove_consistency(old, size) if old else []
                self._asked[name] = Ask(name, ask_cosignature(old, proof, self._note))
                asks.append(self._asked[name])
        return asks

    def fail(self, ask: Ask, reason: str) -> None:
        """The witness could not be reached: it is not asked again for this checkpoint."""
        if self._asked.get(ask.peer) is ask:
            self._give_up(ask.peer, reason)

    def receive(self, ask: Ask, response: Response) -> None:
        """Take a witness's answer; a cosignature that does not verify is none."""
        name, size = ask.peer, Checkpoint.parse(self._note).size
        if self._asked.get(name) is not ask:
            return
        body = response.body[: ask.request.limit_bytes]
        if response.status == 409:
            known = _decode_size(body)
            if known is None or known > size:
                got = body[: _DIGITS + 1]
                self._give_up(name, f"witness knows size {got!r}, want at most {size}")
                return
            self._sizes[name] = known
            self._attempts[name] -= 1
            del self._asked[name]
            self.reasons[name] = f"witness knows size {known}"
        elif response.status != 200:
            self._give_up(name, f"status is {response.status}: {body[:200]!r}")
        else:
            self._take(name, size, body)

    def _take(self, name: str, size: int, body: bytes) -> None:
        try:
            merged = self._ledger.add_cosignatures(self._note + decode_text(body))
        except (InvalidError, MalformedError) as error:
            self._give_up(name, str(error))
            return
        if merged == self._note:
            self._give_up(name, "answer has no cosignature of a witness of the anchor")
            return
        self._note = merged
        self._sizes[name] = size
        self._attempts[name] = 0
        self.reasons.pop(name, None)

    def _give_up(self, name: str, reason: str) -> None:
        self._attempts[name] = 0
        self.reasons[name] = reason


def _decode_size(body: bytes) -> int | None:
    """The size in a witness's answer, which has one form; None for what is none."""
    digits = body.removesuffix(b"\n")
    if not digits.isdigit() or len(digits) > _DIGITS or str(int(digits)).encode() != digits:
        return None
    return int(digits)
