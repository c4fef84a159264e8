"""Keep a node's copy up with its peers.

``ledgercore.sync`` decides what to ask of whom and what to believe; here its requests are carried,
and it is woken when a peer's event stream says that there is something new. What a peer did wrong
is kept in files beside the copy, in ``<copy>.evidence``, and so is a split view of the operator's,
as the bytes that verifiers take.

The copy and what is decided about it are for one thread, which is not the loop's: the loop is told
what has been found, and looks at neither. A crash leaves it at its newest whole block, and so does
a full disk: it is answered from, and goes on when there is space.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ledgercore.disk import (
    exists,
    file_bytes,
    make_directory,
    read_bytes,
    remove,
    rename,
    write_new,
)
from ledgercore.entropy import Entropy
from ledgercore.errors import (
    PASSING,
    InvalidError,
    LedgerError,
    MalformedError,
    RefusedError,
    StoreError,
    UnavailableError,
    UntrustedError,
)
from ledgercore.ledger import Replica
from ledgercore.node.answers import failure_in, refusal_in
from ledgercore.node.carrying import carry_on_thread, run_on_thread
from ledgercore.node.channel import Caller, CertificateError, Channel
from ledgercore.node.freshness import Freshness
from ledgercore.node.logs import Log
from ledgercore.node.node import Node
from ledgercore.node.seldom import Seldom
from ledgercore.proofs import SplitView, verify_split_view
from ledgercore.proofs.split_view import SPLIT_VIEW_BYTES
from ledgercore.store import is_there, parse_address
from ledgercore.sync import Ask, Evidence, Follower, Request, Take, Transport, begin_copy
from ledgercore.sync.messages import Response, ask_checkpoint, ask_events
from ledgercore.waiting import deadline, sleep

__all__ = ["Following", "open_copy"]

EVIDENCE_FILES = 64
"""Files of each kind that are kept at most: a peer that lies does it again and again."""

RETRY_S = 1.0
"""Between two attempts at a peer's event stream, at a copy that cannot be written now, or the first
two at a genesis, but for a random part."""
LAST_RETRY_S = 30.0
"""Between two attempts at a genesis that has not come for long, at most."""

SILENT, REFUSES = "peer does not answer", "peer refuses this node"
"""What is logged of a peer that does not answer, or that does not let this node ask."""
UNTRUSTED = "peer shows a certificate that is not taken"
"""What is logged of one that answers, and is asked nothing: whose node it is is not known."""

TOLD_S = 1.0
"""Between two times that everybody is told of what is taken, while there is more to take."""


async def open_copy(
    path: str,
    channels: Sequence[Channel],
    caller: Caller,
    log: Log | None = None,
    *,
    attempts: int | None = None,
    tell: Callable[[str, str], None] = lambda peer, reason: None,
) -> Replica:
    """The copy, which is begun with the genesis of a peer where there is none; peers may come late.

    The log is told of each attempt in vain, with every peer's reason. Raises ``UnavailableError``
    when that many attempts found no peer that has it, and at once where every peer that answers
    refuses the key: to ask again helps only once governance, or the key, was changed.
    """
    entropy = caller.entropy
    if await run_on_thread(partial(is_there, parse_address(path))):
        return await run_on_thread(partial(Replica.open, path, caller.anchor, entropy=entropy))
    await run_on_thread(partial(Replica.check_free, path))  # before peers are waited for
    peers, wait_s, tried = [channel.member for channel in channels], RETRY_S, 0
    while True:
        reasons: list[str] = []
        met = _Met()
        begin = partial(_begin, met, path, caller, peers, reasons)
        tried += 1
        try:
            return await carry_on_thread(channels, begin, tell)
        except StoreError:
            raise  # our own disk
        except UnavailableError:
            if met.refused and not met.answered:
                raise _no_member(caller, met.refused) from None
            if tried == attempts:
                raise
        if log is not None:
            log.warning("no peer has the genesis yet", tried=reasons, again_s=wait_s)
        await sleep(_drawn(wait_s, entropy))
        wait_s = min(2 * wait_s, LAST_RETRY_S)


@dataclass
class _Met:
    """What peers had to say at one attempt, but for those that did not answer."""

    refused: dict[str, RefusedError] = field(default_factory=dict)
    answered: bool = False


def _begin(
    met: _Met,
    path: str,
    caller: Caller,
    peers: Sequence[str],
    reasons: list[str],
    transport: Transport,
) -> Replica:
    """Begin the copy, and note which peers refuse this node's key."""

    def carry(peer: str, request: Request) -> Response:
        try:
            answer = transport(peer, request)
        except RefusedError as error:
            met.refused[peer] = error
            raise
        met.answered = True
        return answer

    return begin_copy(path, caller.anchor, peers, carry, reasons=reasons, entropy=caller.entropy)


def _no_member(caller: Caller, refused: Mapping[str, RefusedError]) -> UnavailableError:
    told = "; ".join(f"{peer} says: {error}" for peer, error in refused.items())
    return UnavailableError(
        f"no peer that answers takes key {caller.key.public_key.hex()[:16]} of this node for that "
        f"of an active member: {told}"
    )


def _drawn(wait_s: float, entropy: Entropy) -> float:
    """A wait between half and all of that long, so that nodes do not come back together."""
    return wait_s * (1 + entropy.bytes(1)[0] / 256) / 2


class _Found(NamedTuple):
    """What stands after an answer or a block was taken, as the copy's thread saw it."""

    note: str
    height: int
    coming: bool
    """Whether there is more to take."""
    newest: int
    """The height of the newest published checkpoint that the copy or a peer showed."""
    caught_up: bool
    answered: bool
    """Whether the peer has answered now, and what holds."""
    shut_out: frozenset[str]
    evidence: list[Evidence]
    split_views: list[SplitView]


class Following:
    """The task that keeps one copy up with its peers."""

    def __init__(
        self, node: Node, copy: Replica, channels: Sequence[Channel], entropy: Entropy
    ) -> None:
        self._node = node
        self._copy = copy
        self._channels = {channel.member: channel for channel in channels}
        self._follower = Follower(copy, self._channels, node.clock, entropy)
        self._entropy = entropy
        self._thread = ThreadPoolExecutor(1, "ledgercore-copy")
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._asking: set[asyncio.Task[None]] = set()
        self._fetching: set[asyncio.Task[Any]] = set()
        """Of these, those that wait for blocks."""
        self._note = self._told_note = copy.checkpoint
        self._told_s = node.clock.elapsed_s()
        self._shut_out: frozenset[str] = frozenset()
        self._heard: dict[str, tuple[str, str]] = {}
        """What was logged of a peer last, and of what kind of request; nothing where it answers."""
        self._offences = Seldom(node.clock)
        self._kept: set[Evidence | bytes] = set()
        """What was kept of what the follower still remembers, which is bounded."""
        self._caught_up = False
        """Whether the copy once was level with every peer that answers; from then on it is to stay
        fresh."""
        self._answered = False
        """Whether a peer ever answered what holds."""
        self._height = self._newest = copy.height
        """What the copy has, and the newest that it or a peer showed."""
        self._fresh = Freshness(node.clock, node.limits.ready_s)
        self._forked = self._shown_before()
        """Whether there is evidence that the operator signed two histories, which a start does not
        undo: people decide which one goes on, and move it away."""
        self._unwritten = False
        """Whether the copy could not be written when that was tried last, and may be later."""

    def fault(self) -> str | None:
        """Why what this copy answers is not to be relied on; None where it is."""
        if self._forked:
            return "operator signed two histories: see its COPY.evidence, and tell every member"
        if self._refused():
            return "every peer that answers refuses this node: see its log"
        if not self._caught_up:
            return f"copy is not caught up with its peers yet: {self._lag()}"
        if self._unwritten:
            return "copy could not be written when that was tried last: see its log"
        missing, for_s = self._fresh.missing, f"for {self._node.limits.ready_s:g} s"
        if missing is not None:
            return f"copy lacks block {missing}, which a peer has shown, {for_s}: see its log"
        if self._fresh.silent:
            return f"no peer has answered {for_s}: its log says why"
        return None

    def _refused(self) -> bool:
        """Whether a peer refuses this node, and no other is known to answer it, or may do so.

        The block by which a member's key may ask nothing any more never comes to its own copy.
        """
        said = [self._heard.get(peer, ("", ""))[0] for peer in self._channels]
        return REFUSES in said and all(each in (REFUSES, SILENT, UNTRUSTED) for each in said)

    def _lag(self) -> str:
        """What a copy that was never level with its peers waits for."""
        if not self._answered:
            return "none has answered, and its log says why"
        has = f"it has block {self._height}"
        if self._newest > self._height:
            return f"{has}, and one has shown block {self._newest}"
        return f"{has}, and its log says which do not answer"

    def start(self) -> None:
        """Begin to follow."""
        self._tasks = [asyncio.create_task(self._follow())]
        for channel in self._channels.values():
            self._tasks.append(asyncio.create_task(self._listen(channel)))
        for task in self._tasks:
            task.add_done_callback(self._node.ended)

    async def stop(self) -> None:
        """End, and close the copy when the block that is being written is durable."""
        for task in [*self._tasks, *self._asking]:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._asking, return_exceptions=True)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._thread.shutdown)
        await loop.run_in_executor(None, self._copy.close)
        for channel in self._channels.values():
            await channel.close()

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if self._unwritten:
                await sleep(RETRY_S)  # each attempt fetches the blocks again
            self._wake.clear()
            what = await loop.run_in_executor(self._thread, self._follower.next)
            if isinstance(what, Ask):
                task = asyncio.create_task(self._ask(what))
                self._asking.add(task)
                task.add_done_callback(self._asking.discard)
                task.add_done_callback(self._node.ended)
                continue
            if isinstance(what, Take):
                await self._decide(what.peer, self._taken)
                continue
            with suppress(TimeoutError):
                async with deadline(what.duration_ms / 1000):
                    await self._wake.wait()

    def _take(self, ask: Ask, answer: Response | str) -> _Found:
        """Let the follower decide, and keep what witnesses have added to our own checkpoint.

        For the copy's thread. There is a reason in the place of an answer that has not come.
        """
        if isinstance(answer, str):
            self._follower.fail(ask, answer)
        else:
            self._follower.receive(ask, answer)
            if ask.request == ask_checkpoint() and answer.status == 200:
                # What passes on the disk passes here: the peer is asked again.
                with suppress(InvalidError, MalformedError, UnicodeDecodeError, *PASSING):
                    self._copy.add_cosignatures(answer.body.decode())
        return self._found(ask.peer)

    def _taken(self) -> _Found:
        """The same of a block that has come, maybe long ago."""
        self._follower.take()
        return self._found(None)

    def _told(self, peer: str, note: str) -> _Found:
        """The same of what a peer's event stream says."""
        self._follower.wake(peer, note)
        return self._found(peer)

    def _found(self, peer: str | None) -> _Found:
        """What stands after that peer has answered, or none has."""
        follower = self._follower
        shut_out = frozenset(each for each in self._channels if follower.standing(each).shut_out)
        return _Found(
            self._copy.checkpoint,
            self._copy.height,
            follower.coming,
            follower.newest,
            follower.caught_up,
            peer is not None and not follower.standing(peer).failures,
            shut_out,
            follower.evidence,
            follower.split_views,
        )

    async def _ask(self, ask: Ask) -> None:
        answer: Response | str
        silence = SILENT
        task = asyncio.current_task()
        if task is not None and ask.request.kind == "blocks":
            self._fetching.add(task)
        try:
            answer = await self._channels[ask.peer].send(ask.request)
        except LedgerError as error:
            answer = str(error)
            silence = UNTRUSTED if isinstance(error, CertificateError) else SILENT
        finally:
            self._fetching -= {task}
        self._hear(ask, answer, silence)
        await self._decide(ask.peer, partial(self._take, ask, answer))

    async def _decide(self, peer: str, take: Callable[[], _Found]) -> None:
        """Take what has come of a peer, on the copy's thread, and go on from there."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._thread, take)
        except LedgerError as error:
            passes = isinstance(error, PASSING)
            if not (passes and self._unwritten):
                said = {"error": type(error).__name__, "reason": str(error)}
                self._node.log.error("copy cannot be written", **said)
            self._unwritten = passes
            if not passes:
                self._node.end(error)
            # The follower passes over what they bring, and asks for it again at each attempt.
            for fetching in self._fetching:
                fetching.cancel()
            return
        self._look(peer, found)
        self._wake.set()
        if found.note != self._note:
            self._note = found.note
            if self._unwritten:
                self._unwritten = False
                self._node.log.info("copy is written again")
        # Among many blocks not of each: whoever is told may ask for them at once.
        now_s = self._node.clock.elapsed_s()
        due = not found.coming or now_s >= self._told_s + TOLD_S
        if due and found.note != self._told_note:
            self._told_note, self._told_s = found.note, now_s
            await self._node.announce()

    def _hear(self, ask: Ask, answer: Response | str, silence: str = SILENT) -> None:
        """Log when a peer falls silent, refuses this node or cannot answer, and when it is over.

        A peer that cannot answer one kind of request may well answer others in between. It may lack
        what it is asked for, but not a newest checkpoint: what answers so is no node.
        """
        newest = ask.request == ask_checkpoint()
        event, kind, said, peer = "", "", dict[str, str](), ask.peer
        if isinstance(answer, str):
            event, said = silence, {"reason": answer}
        elif (refusal := refusal_in(answer)) is not None:
            event, said = REFUSES, {"reason": str(refusal)}
        elif (failure := failure_in(answer)) is not None and (newest or answer.status != 404):
            event, kind = "peer cannot answer now", ask.request.kind
            said = {"asked": kind, "reason": str(failure)}
        before, of_kind = self._heard.get(peer, ("", ""))
        if not event and of_kind not in ("", ask.request.kind):
            return
        self._heard[peer] = event, kind
        if event and (event, kind) != (before, of_kind):
            self._node.log.warning(event, peer=peer, **said)
        elif before and not event:
            self._node.log.info("peer answers again", peer=peer)

    def _look(self, peer: str, found: _Found) -> None:
        """Notice what the follower has found out."""
        node = self._node
        self._caught_up = self._caught_up or found.caught_up
        self._height, self._newest = found.height, found.newest
        if found.answered:
            self._answered = True
            self._fresh.hear()
            node.metrics.answered.labels(peer).set(node.clock.now_ms() / 1000)
        self._fresh.see(found.height, found.newest)
        node.metrics.behind.set(found.newest - found.height)
        self._shut_out |= found.shut_out
        splits = [split.encode() for split in found.split_views]
        self._kept &= {*found.evidence, *splits}
        for evidence in found.evidence:
            if evidence in self._kept or evidence.offence in ("unreachable", "refused", "behind"):
                continue
            self._kept.add(evidence)
            self._node.metrics.refused.labels(evidence.peer).inc()
            left_out = self._offences.due(f"{evidence.peer}: {evidence.offence}")
            if left_out is not None:
                said = {"peer": evidence.peer, "offence": evidence.offence}
                self._node.log.warning("peer offends", **said, left_out=left_out)
            told = {
                "peer": evidence.peer,
                "offence": evidence.offence,
                "asked": evidence.path,
                "reason": evidence.reason,
                "answer": base64.b64encode(evidence.answer).decode(),
            }
            self._keep(msgspec.json.encode(told) + b"\n", "json")
        for data in splits:
            self._forked = True
            if data not in self._kept:
                self._kept.add(data)
                self._node.log.error("operator signed two histories", peer=peer)
                self._keep(data, "split-view")

    def _evidence(self) -> Path:
        return Path(f"{self._node.ledger.path}.evidence")

    def _shown_before(self) -> bool:
        """Whether evidence from before this start holds against the operator.

        Raises ``UnavailableError`` where none does, and some cannot be read or does not verify:
        nobody knows then what the operator did.
        """
        unread = ""
        for number in range(EVIDENCE_FILES):
            path = self._evidence() / f"{number}.split-view"
            try:
                if exists(path):
                    data = read_bytes(path, SPLIT_VIEW_BYTES, "a split view")
                    verify_split_view(data, self._copy.trust_anchor)
                    self._node.log.error("operator signed two histories", kept=path.name)
                    return True
            except UntrustedError:
                continue  # sound, and of another network's operator
            except LedgerError as error:
                unread = unread or f"{path}: {error}"
        if unread:
            raise UnavailableError(
                f"evidence that the operator signed two histories cannot be read: {unread}: mend "
                "what keeps it from being read; where it is damaged or is none, move it away, keep "
                "it, and start again: peers that have the other history show it anew"
            )
        return False

    def _keep(self, found: bytes, kind: str) -> None:
        """Write evidence down, unless it is there since an earlier start; if that fails there is
        the log. A crash leaves ``<number>.<kind>.new`` at most, which nobody takes for evidence."""
        directory = self._evidence()
        with suppress(StoreError):
            make_directory(directory)
            for number in range(EVIDENCE_FILES):
                path = directory / f"{number}.{kind}"
                if not exists(path):
                    remove(f"{path}.new")
                    write_new(f"{path}.new", found, owner_only=True)
                    rename(f"{path}.new", path)
                    return
                if file_bytes(path) == len(found) and read_bytes(path) == found:
                    return

    async def _listen(self, channel: Channel) -> None:
        """Have a peer tell when it has something new; without it the follower asks now and then."""
        while channel.member not in self._shut_out:
            with suppress(LedgerError):
                async for note in channel.events(ask_events()):
                    await self._decide(channel.member, partial(self._told, channel.member, note))
            await sleep(_drawn(2 * RETRY_S, self._entropy))
