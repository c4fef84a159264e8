"""Ask a node, and say of each answer what of it was verified: the asyncio client.

* ``submit`` and ``receipt``: the record, and its receipt under the trust anchor.
* ``checkpoint``, ``state``, ``next_position``, ``history``: the same, and that the checkpoint goes
  on from the newest that this client had seen when it asked.
* ``events``: each under the anchor, of one history with the newest seen, and not going back.
* ``promise``: the operator's signature, and that it is of the record.
* ``broken_promise``: all that a third party verifies again.
* ``find``: the record's id and signature, not that it is on the ledger.
* ``submit_many``, ``receipts``, ``blocks``, ``ready``, ``unready``: nothing; that is for who uses
  the receipts, with the records' bodies, or takes the blocks into a copy. Until then it is the
  node's word.

What is newest is remembered as long as the client is there: keep a checkpoint to hold a later one
to it. A request that fails for want of a connection, or that the node cannot answer now, is made
again, signed anew: that is safe for records too, because the same record has the same index at any
time.

For one event loop. ``ledgercore.node.blocking`` is the same for threads.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Literal
from urllib.parse import quote

from ledgercore._core import (
    Anchor,
    Checkpoint,
    Receipt,
    Record,
    VerifiedRecord,
    verify_consistency,
)
from ledgercore.arguments import typed_methods
from ledgercore.errors import (
    ForkError,
    InvalidProof,
    LimitError,
    MalformedError,
    RefusedError,
    RollbackError,
    UnavailableError,
    UntrustedError,
)
from ledgercore.ledger.transfer import decode_transfer
from ledgercore.ledger.writer import Outcome
from ledgercore.node.answers import error_of
from ledgercore.node.channel import Caller, Channel
from ledgercore.node.rates import TooManyError
from ledgercore.node.submission import Ordered, check_receipt, decode_ordered
from ledgercore.proofs import (
    BrokenPromise,
    History,
    Promise,
    StateReceipt,
    VerifiedState,
    verify_history,
)
from ledgercore.rules import SignerState, format_object, parse_object, signer_object
from ledgercore.rules.governance import FIRST_POSITION
from ledgercore.sync.messages import (
    NOTE_BYTES,
    Request,
    ask_blocks,
    ask_checkpoint,
    ask_consistency,
    ask_events,
    decode_frames,
    decode_hashes,
    decode_text,
    encode_frames,
)
from ledgercore.waiting import sleep

__all__ = ["NodeClient", "Patience"]

ANSWER_BYTES = 24 * 1024 * 1024
"""Bytes of one answer at most, where its kind has no smaller bound."""

READY_MS = 5_000

_JITTER_BYTES = 2


@dataclass(frozen=True)
class Patience:
    """How long is waited, and how often a request is made again.

    A node that is started anew refuses connections for some seconds, and at once, so that a count
    alone would be over before it is there.
    """

    attempts: int = 6
    """1 asks once, and more at least so often and for ``least_s``."""
    answer_ms: int = 40_000
    first_wait_s: float = 0.1
    longest_wait_s: float = 5.0
    least_s: float = 20.0
    silence_s: float = 60.0
    """Without a sign of life on an event stream."""


@typed_methods
class NodeClient:
    """One member's view of one node."""

    def __init__(
        self, url: str, member: str, caller: Caller, patience: Patience | None = None
    ) -> None:
        """``member`` is whose node it is."""
        self._channel = Channel(url, member, caller)
        self._patience = patience or Patience()
        self._newest: Checkpoint | None = None

    @property
    def member(self) -> str:
        """Whose node is asked."""
        return self._channel.member

    @property
    def anchor(self) -> Anchor:
        """Whom this client trusts."""
        return self._channel.caller.anchor

    # Submit.

    async def submit(self, record: bytes) -> Receipt:
        """Have one signed record ordered; its receipt, verified. ``RefusedError`` has the code."""
        submitted = await self.submit_all([record])
        (outcome,) = submitted.outcomes
        if isinstance(outcome, RefusedError):
            raise outcome
        if outcome in submitted.receipts:
            return submitted.receipts[outcome]
        receipt = Receipt.decode(await self.fetch("GET", f"/v1/receipts/{outcome}"))
        check_receipt(receipt, record, self.anchor)
        return receipt

    async def submit_many(self, records: Sequence[bytes]) -> list[Outcome]:
        """Have signed records ordered; each one's index, or the rule it was refused by.

        An index is the node's word until its receipt is asked for.
        """
        return (await self.submit_all(records)).outcomes

    async def submit_all(self, records: Sequence[bytes]) -> Ordered:
        """The same, with the receipts that come along where the records end the caller's key."""
        frames = encode_frames(records, limit_bytes=2**62)
        body = await self.fetch("POST", "/v1/records", frames)
        return decode_ordered(body, records, self.anchor)

    async def promise(self, record: bytes) -> Promise:
        """The operator's promise that a revocation will be on the ledger; keep it till it is."""
        frames = encode_frames([record], limit_bytes=2**62)
        made = Promise.decode(await self.fetch("POST", "/v1/promises", frames)).verify(self.anchor)
        asked = Record.decode(record).verify()
        if (made.record, made.key, made.sequence) != (asked.id, asked.key, asked.sequence):
            raise UntrustedError("promise is of another record than was sent")
        return made

    async def broken_promise(self, promise: Promise) -> BrokenPromise | None:
        """Evidence that a promise was not kept, as of this node's newest block; None if it is kept,
        or if its time is not over. Ask a node that the operator does not run.
        """
        name = quote(format_object(signer_object(promise.key)))
        receipt = StateReceipt.decode(await self.fetch("GET", f"/v1/states/{name}"))
        height = receipt.verify(self.anchor).checkpoint.height
        (encoded,) = await self.blocks(height, height + 1)
        transfer, _, _ = decode_transfer(encoded)
        return BrokenPromise.of(self.anchor, promise, transfer.header, receipt)

    async def next_position(self, key: bytes) -> tuple[int, bytes]:
        """The sequence and previous id that a key's next record must have, proven."""
        found = (await self.state(signer_object(key))).state
        if found is None:
            return FIRST_POSITION
        assert isinstance(found, SignerState)
        return found.sequence, found.previous

    # Read, verified.

    async def checkpoint(self) -> str:
        """The newest signed checkpoint, which goes on from the newest that was seen before."""
        before = self._newest
        note = decode_text(await self._carry(ask_checkpoint()))
        await self._check_grown(before, self.anchor.verify_checkpoint(note))
        return note

    async def receipt(self, index: int) -> tuple[Receipt, VerifiedRecord]:
        """A record with its receipt, verified."""
        receipt = Receipt.decode(await self.fetch("GET", f"/v1/receipts/{index}"))
        record = Record.decode(await self.fetch("GET", f"/v1/records/{index}"))
        verified = receipt.verify(record.body, self.anchor)
        if receipt.index != index:
            raise UntrustedError(f"receipt is of record {receipt.index}, want {index}")
        return receipt, verified

    async def receipts(self, begin: int, end: int) -> list[Receipt]:
        """Receipts of records from ``begin`` on, as many of ``[begin, end)`` as one answer has.

        Each is verified with its record's body, by who has it.
        """
        body = await self.fetch("GET", f"/v1/receipts?begin={begin}&end={end}")
        found = [Receipt.decode(each) for each in decode_frames(body, end - begin)]
        if [each.index for each in found] != list(range(begin, begin + len(found))):
            raise UntrustedError(f"receipts are of other records than {begin} and those after it")
        return found

    async def find(self, record_id: bytes) -> VerifiedRecord:
        """The record with an id; that its signature holds is verified, its place is not."""
        body = await self.fetch("GET", f"/v1/records?id={record_id.hex()}")
        record = Record.decode(body).verify()
        if record.id != record_id:
            raise UntrustedError(f"record is {record.id.hex()[:16]}, want {record_id.hex()[:16]}")
        return record

    async def state(self, name: bytes) -> VerifiedState:
        """An object's state, or that it has none, proven under a checkpoint not older than seen."""
        before = self._newest
        body = await self.fetch("GET", f"/v1/states/{_in_path(name)}")
        found = StateReceipt.decode(body).verify(self.anchor)
        if found.object != name:
            raise UntrustedError(f"state is of {found.object!r}, want {name!r}")
        await self._check_grown(before, found.checkpoint)
        return found

    async def history(self, name: bytes) -> History:
        """Every record that touched an object, proven complete as of a checkpoint not older than
        seen."""
        before = self._newest
        body = await self.fetch("GET", f"/v1/history/{_in_path(name)}")
        found = verify_history(body, self.anchor)
        if found.object != name:
            raise UntrustedError(f"history is of {found.object!r}, want {name!r}")
        await self._check_grown(before, found.checkpoint)
        return found

    async def blocks(self, begin: int, end: int) -> list[bytes]:
        """Blocks ``[begin, end)`` for a copy, which verifies them; fewer where they are large."""
        return decode_frames(await self._carry(ask_blocks(begin, end)), end - begin)

    async def events(self) -> AsyncGenerator[str, None]:
        """Each new checkpoint, verified, until the node ends the stream.

        One may be older than what another call has seen meanwhile, and must be of one history with
        it; none is older than the one before.
        """
        last: Checkpoint | None = None
        request = ask_events(round(self._patience.silence_s * 1000))
        async with aclosing(self._channel.events(request)) as notes:
            async for note in notes:
                now = self.anchor.verify_checkpoint(note)
                if last is not None:
                    self._check_not_back(last, now)
                if self._newest is not None:
                    await self._check_one_history(self._newest, now)
                self._remember(now)
                last = now
                yield note

    async def _check_grown(self, before: Checkpoint | None, now: Checkpoint) -> None:
        """Hold a checkpoint to the one before: one history, which does not go back."""
        if before is not None:
            self._check_not_back(before, now)
            await self._check_one_history(before, now)
        self._remember(now)

    def _check_not_back(self, before: Checkpoint, now: Checkpoint) -> None:
        if now.size < before.size:
            raise RollbackError(
                f"node of {self.member} shows size {now.size}, was {before.size}: it is "
                "behind, or its history was cut"
            )

    async def _check_one_history(self, one: Checkpoint, other: Checkpoint) -> None:
        """Raise ``ForkError`` unless the smaller of two is a beginning of the greater."""
        if one == other:
            return
        first, second = sorted((one, other), key=lambda each: each.size)
        proof = decode_hashes(await self._carry(ask_consistency(first.size, second.size)))
        suite = self.anchor.suite
        try:
            verify_consistency(suite, first.size, second.size, proof, first.root, second.root)
        except InvalidProof as error:
            raise ForkError(
                f"checkpoint of size {second.size} does not go on from the one of size "
                f"{first.size} that was seen as well: keep both as evidence"
            ) from error

    def _remember(self, now: Checkpoint) -> None:
        if self._newest is None or self._newest.size <= now.size:
            self._newest = now

    async def ready(self) -> bool:
        """Whether the node says that it is caught up."""
        return await self.unready() is None

    async def unready(self) -> str | None:
        """Why the node is not ready, as it says, or why it does not answer; None where it is."""
        try:
            await self._carry_once(ask_ready())
        except UnavailableError as error:
            if self._channel.closed:
                raise
            return str(error)
        return None

    # Carry.

    async def fetch(self, method: Literal["GET", "POST"], path: str, body: bytes = b"") -> bytes:
        """What is answered to a request, which is made again while that may help."""
        return await self._carry(
            Request(method, path, ANSWER_BYTES, self._patience.answer_ms, body)
        )

    async def _carry(self, request: Request) -> bytes:
        patience, caller = self._patience, self._channel.caller
        if patience.attempts < 1:
            raise UnavailableError(f"attempts are {patience.attempts}, want one at least")
        least_s = patience.least_s if patience.attempts > 1 else 0.0
        longest_s, slept_s, begin_s = patience.first_wait_s, 0.0, caller.clock.elapsed_s()
        for attempt in count(1):
            try:
                return await self._carry_once(request)
            except UnavailableError as error:
                # What was slept counts as well: a clock that stands still ends this, too.
                past_s = max(slept_s, caller.clock.elapsed_s() - begin_s)
                enough = attempt >= patience.attempts and past_s >= least_s
                if enough or self._channel.closed:
                    raise
                first_s = error.wait_s if isinstance(error, TooManyError) else 0.0
                first_s = min(first_s, patience.longest_wait_s)  # it is the node's word
            # Full jitter: those who failed together do not come back together.
            drawn = int.from_bytes(caller.entropy.bytes(_JITTER_BYTES), "big")
            wait_s = first_s + longest_s * drawn / (1 << 8 * _JITTER_BYTES)
            await sleep(wait_s)
            slept_s, longest_s = slept_s + wait_s, min(2 * longest_s, patience.longest_wait_s)
        raise AssertionError("it is asked until there is an answer, or enough")

    async def _carry_once(self, request: Request) -> bytes:
        answer = await self._channel.send(request)
        if len(answer.body) > request.limit_bytes:
            raise LimitError(
                f"answer of {self.member} has more than {request.limit_bytes} bytes, "
                "want at most that"
            )
        if answer.status != 200:
            error = error_of(answer.status, answer.body, answer.wait_s)
            if isinstance(error, TooManyError):  # a node passes on what another one answered it
                error = TooManyError(f"node of {self.member}: {error}", error.wait_s)
            raise error
        return answer.body

    async def close(self) -> None:
        """Close every connection; what is called from then on is refused, but for this."""
        await self._channel.close()

    async def __aenter__(self) -> NodeClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def ask_ready() -> Request:
    """Whether a node is caught up."""
    return Request("GET", "/readyz", NOTE_BYTES, READY_MS)


def _in_path(name: bytes) -> str:
    """An object's name in a path, or ``MalformedError`` where that would be another's."""
    text = format_object(name)
    if parse_object(text) != name:
        raise MalformedError(f"object's name is {name!r:.80}, want UTF-8 before any id")
    return quote(text)
