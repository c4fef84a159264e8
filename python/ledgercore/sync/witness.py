"""Cosign checkpoints, each only after a proof that it goes on from the last (C2SP tlog-witness).

What was cosigned last is durable before a cosignature leaves, and is replaced in one step: no crash
and no race makes a witness cosign two histories, or go back. Where an operator shows it two that
contradict, the evidence is kept. It knows the ledgers whose anchors it is given, and no others.
"""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock
from typing import NamedTuple

from ledgercore._core import (
    Anchor,
    Checkpoint,
    verify_consistency,
)
from ledgercore.clock import Clock
from ledgercore.errors import (
    CorruptError,
    DiskFullError,
    InvalidError,
    InvalidProof,
    LedgerError,
    MalformedError,
    StoreError,
    UnavailableError,
)
from ledgercore.keys import Signer, cosign_checkpoint
from ledgercore.proofs import SplitView
from ledgercore.store import WitnessStore
from ledgercore.sync.messages import (
    NOTE_BYTES,
    SIZE,
    TEXT,
    Request,
    Response,
    decode_hashes,
    decode_text,
)

__all__ = ["COSIGNING_REFUSALS", "Witness"]

COSIGNING_REFUSALS = {
    400: "not in the one form",
    403: "the operator has not signed it",
    404: "this node is no witness, or not of this ledger",
    409: "the proof is from another size than the witness knows, which the answer says",
    422: "the proof does not hold, or the checkpoint contradicts the one cosigned before",
}
"""What C2SP tlog-witness has each refusal say; 503 beside, where the witness cannot cosign now."""

_DIGITS = 20


class _Asked(NamedTuple):
    old_size: int
    proof: list[bytes]
    note: str


class _Refusal(Exception):  # noqa: N818
    """An answer other than a cosignature."""

    def __init__(self, status: int, reason: str, content_type: str = TEXT) -> None:
        assert status in COSIGNING_REFUSALS, "what is answered is documented"
        super().__init__(reason)
        self.response = Response(status, f"{reason}\n".encode(errors="replace"), content_type)


class Witness:
    """One name, one key, and the ledgers it watches; safe to share between threads."""

    def __init__(
        self,
        name: str,
        key: Signer,
        anchors: Iterable[Anchor],
        store: WitnessStore,
        clock: Clock,
    ) -> None:
        self._name = name
        self._key = key
        self._anchors = {anchor.origin: anchor for anchor in anchors}
        self._store = store
        self._clock = clock
        self._lock = Lock()
        self._stopped = ""

    def answer(self, request: Request) -> Response:
        """The answer to ``POST /v1/add-checkpoint``; no request raises for what is in it."""
        if (request.method, request.path) != ("POST", "/v1/add-checkpoint"):
            return Response(404, b"want POST /v1/add-checkpoint\n", TEXT)
        return self.add_checkpoint(request.body)

    def add_checkpoint(self, body: bytes) -> Response:
        """Cosign the checkpoint in a request's body, or say why not."""
        try:
            with self._lock:
                if self._stopped:
                    return _unavailable(f"witness has stopped: {self._stopped}; start it anew")
                return Response(200, self._cosign(_decode(body)).encode(), TEXT)
        except _Refusal as refusal:
            return refusal.response
        except DiskFullError as error:
            return _unavailable(str(error))  # passes, and has left what is known as it was
        except LedgerError as error:
            if isinstance(error, UnavailableError) and not isinstance(error, StoreError):
                return _unavailable(str(error))  # passes too: a busy file, a signer that is away
            # What is on disk now shows only to a new start: after a failed flush none may follow.
            self._stopped = str(error)
            return _unavailable(self._stopped)

    def cosigned(self, origin: str) -> Checkpoint | None:
        """The newest checkpoint that was cosigned of a ledger; CorruptError if it is damaged."""
        with self._lock:
            return self._cosigned(origin)

    def split_views(self) -> list[SplitView]:
        """Evidence that operators signed two histories."""
        with self._lock:
            return [SplitView.decode(data) for data in self._store.evidence()]

    def close(self) -> None:
        """Close the store, once no answer is under way."""
        with self._lock:
            self._store.close()

    def _cosigned(self, origin: str) -> Checkpoint | None:
        note = self._store.cosigned(origin)
        if note is None:
            return None
        try:
            return self._anchors[origin].verify_operator(note)
        except LedgerError as error:
            raise CorruptError(f"what was cosigned of {origin} is damaged: {error}") from error

    def _cosign(self, asked: _Asked) -> str:
        anchor, new = self._verified(asked)
        known = self._store.cosigned(anchor.origin)
        old = self._cosigned(anchor.origin)
        known_size = 0 if old is None else old.size
        if asked.old_size > new.size:
            raise _Refusal(400, f"old size is {asked.old_size}, want at most {new.size}")
        split = None if known is None else SplitView.of(anchor, known, asked.note)
        if split is not None:
            self._store.add_evidence(split.encode())
        if asked.old_size != known_size:
            raise _Refusal(409, str(known_size), SIZE)
        if split is not None:
            raise _Refusal(422, "checkpoint contradicts the one that was cosigned last")
        if old is not None:
            _check_goes_on(anchor, old, new, asked.proof)
        elif asked.proof:
            raise _Refusal(422, "proof from size 0 has hashes, want none")
        if old != new:
            self._store.replace(anchor.origin, known, asked.note)
        # A crash here has moved the witness on without a cosignature: it is asked for again.
        time_s = self._clock.now_ms() // 1000
        cosigned = cosign_checkpoint(asked.note, self._name, self._key, time_s)
        return cosigned.splitlines(keepends=True)[-1]

    def _verified(self, asked: _Asked) -> tuple[Anchor, Checkpoint]:
        origin = asked.note.partition("\n")[0]
        anchor = self._anchors.get(origin)
        if anchor is None:
            raise _Refusal(404, f"{origin!r:.80} is no ledger that is watched here")
        try:
            return anchor, anchor.verify_operator(asked.note)
        except MalformedError as error:
            raise _Refusal(400, str(error)) from error
        except InvalidError as error:
            raise _Refusal(403, str(error)) from error


def _unavailable(reason: str) -> Response:
    return Response(503, f"{reason}\n".encode(errors="replace"), TEXT)


def _check_goes_on(anchor: Anchor, old: Checkpoint, new: Checkpoint, proof: list[bytes]) -> None:
    try:
        verify_consistency(anchor.suite, old.size, new.size, proof, old.root, new.root)
    except InvalidProof as error:
        raise _Refusal(422, str(error)) from error


def _decode(body: bytes) -> _Asked:
    if len(body) > NOTE_BYTES:
        raise _Refusal(400, f"request has {len(body)} bytes, want at most {NOTE_BYTES}")
    head, gap, note = body.partition(b"\n\n")
    first, newline, hashes = (head + b"\n").partition(b"\n")
    digits = first.removeprefix(b"old ")
    sound = gap and newline and first.startswith(b"old ") and digits.isdigit()
    if not sound or len(digits) > _DIGITS or str(int(digits)).encode() != digits:
        raise _Refusal(400, "request begins with no line of old and a size")
    try:
        return _Asked(int(digits), decode_hashes(hashes), decode_text(note))
    except MalformedError as error:
        raise _Refusal(400, str(error)) from error
