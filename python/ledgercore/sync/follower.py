"""Keep a copy up with its peers, believing none of them: a machine without I/O.

Ask ``next`` what to do: carry a request to the named peer, and give the answer to ``receive``, or
its absence to ``fail``; ``take`` a block that has come; or wait. For each peer that is: its newest
checkpoint; the proof that it goes on from ours; blocks, in ranges. The copy verifies them from when
they come, and takes one after the other while the next ones are fetched. What it has taken is
durable, so that a new follower goes on where one was cut off. A peer that lies, stalls or sends too
much is scored and another one asked. Two checkpoints that contradict are kept as evidence against
the operator. Memory is bounded by an answer of each peer, and two of blocks, as they came and
decoded; besides, what is dropped while it is being verified keeps its answer until that is done,
and what is under way and will be passed over is left to whoever carries it, for its time at most.

For one thread. Errors of the copy's own disk are raised; then nothing is blamed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from typing import NamedTuple, Protocol

from ledgercore._core import Anchor, Checkpoint, verify_consistency
from ledgercore.clock import Clock
from ledgercore.entropy import Entropy
from ledgercore.errors import (
    BusyError,
    DiskFullError,
    ForkError,
    InvalidError,
    InvalidProof,
    InvalidSignature,
    MalformedError,
    StoreError,
    UnavailableError,
    UntrustedError,
)
from ledgercore.ledger.published import is_published
from ledgercore.ledger.received import Received
from ledgercore.ledger.transfer import decode_transfer
from ledgercore.proofs import SplitView
from ledgercore.sync.messages import (
    BLOCKS_AT_ONCE,
    Kind,
    Request,
    Response,
    ask_blocks,
    ask_checkpoint,
    ask_consistency,
    ask_events,
    decode_hashes,
    decode_text,
    split_frames,
)
from ledgercore.sync.offences import Evidence, Standing

__all__ = ["Ask", "Copy", "Follower", "Take", "Wait"]

POLL_MS = 1_000
"""How long a peer that has nothing new is left alone."""

ALL = 1 << 62

ANSWERS_HELD = 2
"""Answers of blocks that are held in memory at most."""

SPLIT_VIEWS = 16
"""Contradictions that are kept at most: one is enough."""


class Copy(Protocol):
    """What verifies blocks ahead, takes them and keeps those that hold: a ``Replica``."""

    @property
    def trust_anchor(self) -> Anchor: ...
    @property
    def checkpoint(self) -> str: ...
    @property
    def height(self) -> int: ...
    def note(self, height: int) -> str: ...
    def expect(self, block: bytes | memoryview) -> Future[Received]: ...
    def take(self, expected: Future[Received]) -> int: ...


class Ask(NamedTuple):
    """A request to carry to a peer."""

    peer: str
    request: Request


class Take(NamedTuple):
    """A block to take that has come of a peer, while what is asked for is under way."""

    peer: str


class Wait(NamedTuple):
    """Nothing to do for so long, or until an answer that is under way has come."""

    duration_ms: int


class _Peer:
    """What is known of one peer, and what it is asked next."""

    def __init__(self, name: str) -> None:
        self.standing = Standing(name)
        self.asked: Ask | None = None
        self.claim: str | None = None
        """Its newest checkpoint, signed by the operator, if that is ahead of ours."""
        self.proven = False
        """Whether the claim was proven to go on from a checkpoint of ours."""
        self.asked_from: Checkpoint | None = None
        """The checkpoint of ours that it was last asked to prove that from."""
        self.disputed: int | None = None
        """The height at which its checkpoint is compared with ours."""
        self.highest = 0
        """The height of the newest published checkpoint that it showed."""
        self.level = False
        """Whether it had nothing new when it was asked last."""
        self.woken = False
        """Whether it has said that it has something new since it was asked for that last."""
        self.stalls = 0
        """How often it kept us waiting for blocks in vain since it gave some, whatever else it
        answered meanwhile."""


class _Block(NamedTuple):
    """A block that has come and is not taken yet."""

    height: int
    block: memoryview
    expected: Future[Received]


class _Answer(NamedTuple):
    """An answer of blocks that are not all taken yet."""

    peer: _Peer
    ask: Ask
    body: bytes
    """All that the peer answered, for evidence."""
    failures: int
    """How often in turn the peer had failed when it came."""
    blocks: deque[_Block]


class Follower:
    """One copy and the peers that it follows."""

    def __init__(self, copy: Copy, peers: Iterable[str], clock: Clock, entropy: Entropy) -> None:
        self._copy = copy
        self._clock = clock
        self._entropy = entropy
        self._peers = {name: _Peer(name) for name in peers}
        self._splits: dict[bytes, SplitView] = {}
        self._coming: deque[_Answer] = deque()
        """Each with a block at least."""

    @property
    def level(self) -> bool:
        """Whether no peer that is still asked had anything new when it answered last, and all that
        came was taken."""
        asked = [each for each in self._peers.values() if not each.standing.shut_out]
        return bool(asked) and not self.coming and all(each.level for each in asked)

    @property
    def coming(self) -> bool:
        """Whether blocks have come that are not taken yet."""
        return bool(self._coming)

    @property
    def caught_up(self) -> bool:
        """Whether the copy is level with every peer that answers, and with what others showed.

        A peer that is down must not keep a node from being ready.
        """
        height = self._copy.height
        asked = [each for each in self._peers.values() if not each.standing.shut_out]
        behind = [each for each in asked if not each.level]
        silent = all(each.standing.failures and each.highest <= height for each in behind)
        return silent and len(behind) < len(asked)

    def stalls_after(self, failures: int) -> bool:
        """Whether no peer brings anything more: each has nothing new, has failed so often in turn,
        or is not asked on."""
        return not self.coming and all(
            each.level or each.standing.shut_out or each.standing.failures >= failures
            for each in self._peers.values()
        )

    @property
    def newest(self) -> int:
        """The height of the newest published checkpoint that the copy or a peer showed."""
        return max([self._copy.height, *(each.highest for each in self._peers.values())])

    @property
    def split_views(self) -> list[SplitView]:
        """Evidence that the operator signed two histories: hand it to every member."""
        return list(self._splits.values())

    @property
    def evidence(self) -> list[Evidence]:
        """What peers did wrong, the newest of each."""
        return [each for peer in self._peers.values() for each in peer.standing.evidence]

    def check_asked(self) -> None:
        """Raise ``UnavailableError`` where no peer is asked any more: waiting changes nothing."""
        if all(each.standing.shut_out for each in self._peers.values()):
            offences = {f"{each.peer}: {each.offence}" for each in self.evidence}
            raise UnavailableError(
                "every peer has offended too much to be asked on: the copy is at height "
                f"{self._copy.height}, and goes on from there with another [[peer]]: "
                f"{'; '.join(sorted(offences)) or 'there was none'}"
            )

    def standing(self, peer: str) -> Standing:
        """A peer's score."""
        return self._peers[peer].standing

    def wake(self, peer: str, note: str) -> None:
        """Take the newer checkpoint that a peer tells by itself, as it does on its event stream.

        Where that cannot be now it is asked for it as soon as it may be; one that failed waits on.
        """
        found = self._peers[peer]
        if found.standing.failures:
            return
        found.standing.ready_ms = min(found.standing.ready_ms, self._now_ms())
        if self._is_idle(found) and self._is_news(found, note):
            self._take_checkpoint(found, Ask(peer, ask_events()), note.encode())
        else:
            found.woken = True

    def _is_idle(self, peer: _Peer) -> bool:
        return self._is_free(peer) and peer.claim is None and peer.disputed is None

    def _is_news(self, peer: _Peer, note: str) -> bool:
        """An older note is no offence: what is told and what is answered come by different ways."""
        with suppress(MalformedError):
            return Checkpoint.parse(note).height > max(peer.highest, self._copy.height)
        return False

    def next(self) -> Ask | Take | Wait:
        """What to do next; each peer is asked one thing at a time, but for what is passed over.

        Blocks are asked of one peer only, but beside one that stalled of one that has done so less:
        waiting for it again costs nothing then. Those that follow what has come are asked for
        before that is taken.
        """
        now = self._now_ms()
        asked = [each.stalls for each in self._peers.values() if _wants_blocks(each.asked)]
        free = [each for each in self._peers.values() if self._is_free(each)]
        ready = [each for each in free if each.standing.ready_ms <= now]
        # Whoever has blocks for us comes first, then whoever has offended and stalled least.
        ready.sort(
            key=lambda each: (each.claim is None, each.standing.score, each.stalls, self._draw())
        )
        for peer in ready:
            request = self._request(peer)
            if request is None:
                continue
            ask = Ask(peer.standing.peer, request)
            if _wants_blocks(ask) and peer.stalls >= min(asked, default=ALL):
                continue
            peer.asked = ask
            return ask
        if self._coming:
            return Take(self._coming[0].peer.standing.peer)
        times = [each.standing.ready_ms - now for each in free if each not in ready]
        return Wait(max(min([*times, POLL_MS]), 1))

    def _is_free(self, peer: _Peer) -> bool:
        return peer.asked is None and not peer.standing.shut_out

    def _request(self, peer: _Peer) -> Request | None:
        if peer.disputed is not None:
            return ask_checkpoint(peer.disputed)
        if peer.claim is not None:
            ours, claim = self._own(), Checkpoint.parse(peer.claim)
            if claim.height > ours.height:
                # The next block names ours itself, and is as good evidence where it does not.
                if claim.height > ours.height + 1 and not peer.proven:
                    peer.asked_from = ours
                    return ask_consistency(ours.size, claim.size)
                return self._next_blocks(claim)
            self._compare(peer.claim)
            peer.claim, peer.proven = None, False
        peer.woken = False
        return ask_checkpoint()

    def _next_blocks(self, claim: Checkpoint) -> Request | None:
        heights = self._next_heights(claim)
        return ask_blocks(heights.start, heights.stop) if heights else None

    def _next_heights(self, claim: Checkpoint) -> range:
        """Those after what has come; none while that is of two answers, or all of the claim."""
        coming = self._coming
        begin = 1 + (coming[-1].blocks[-1].height if coming else self._copy.height)
        most = BLOCKS_AT_ONCE if len(coming) < ANSWERS_HELD else 0
        return range(begin, min(claim.height + 1, begin + most))

    def forget(self) -> None:
        """Nothing that was asked for is under way any more, as after an interrupt."""
        for peer in self._peers.values():
            peer.asked = None

    def fail(self, ask: Ask, reason: str) -> None:
        """Nothing came back, or not all of it in time."""
        peer = self._taken(ask)
        if peer is not None:
            peer.stalls += _wants_blocks(ask)
            self._blame(peer, "unreachable", ask, reason)

    def receive(self, ask: Ask, response: Response) -> None:
        """Take what a peer answered; an answer to what is not asked any more is passed over."""
        peer = self._taken(ask)
        if peer is None:
            return
        body = response.body
        if len(body) > ask.request.limit_bytes:
            limit = ask.request.limit_bytes
            reason = f"answer has {len(body)} bytes, want at most {limit}"
            self._blame(peer, "malformed", ask, reason, body)
        elif response.status != 200:
            peer.claim, peer.proven, peer.disputed = None, False, None
            kind = "behind" if response.status == 404 else "refused"
            self._blame(peer, kind, ask, f"status is {response.status}", body)
        else:
            _TAKES[ask.request.kind](self, peer, ask, body)

    def _taken(self, ask: Ask) -> _Peer | None:
        peer = self._peers.get(ask.peer)
        if peer is None or peer.asked is not ask:
            return None
        peer.asked = None
        return peer

    def _take_checkpoint(self, peer: _Peer, ask: Ask, body: bytes) -> None:
        try:
            note = decode_text(body)
            seen = self._copy.trust_anchor.verify_operator(note)
        except MalformedError as error:
            self._blame(peer, "malformed", ask, str(error), body)
            return
        except InvalidError as error:
            self._blame(peer, "forged", ask, str(error), body)
            return
        # Whoever has not cosigned it: what the operator signed can contradict what it signed.
        contradicts, published = self._compare(note), is_published(self._copy.trust_anchor, note)
        if peer.disputed is not None:
            # The proof did not hold: either that shows in two checkpoints, or the peer lied.
            peer.disputed, peer.claim = None, None
            if contradicts:
                self._blame(peer, "other-history", ask, "operator signed two histories", body)
            return
        if contradicts:
            self._blame(peer, "other-history", ask, "operator signed two histories", body)
        elif seen.height < peer.highest:
            reason = f"newest height is {seen.height}, was {peer.highest}"
            self._blame(peer, "went-back", ask, reason, body)
        elif seen.height > self._copy.height and not published:
            self._blame(peer, "refused", ask, "too few witnesses have cosigned it so far", body)
        elif seen.height > self._copy.height:
            peer.claim, peer.proven, peer.level = note, False, False
        else:
            peer.standing.praise()
            self._rest(peer)
        if published:
            # Before its first one is cosigned a ledger shows its newest, and then an older one.
            peer.highest = max(peer.highest, seen.height)

    def _take_proof(self, peer: _Peer, ask: Ask, body: bytes) -> None:
        # We may be ahead of what was asked from by now, and then go on from it ourselves.
        ours = peer.asked_from
        if peer.claim is None or ours is None:
            return  # a block that it gave did not hold, or could not be taken
        claim, suite = Checkpoint.parse(peer.claim), self._copy.trust_anchor.suite
        try:
            proof = decode_hashes(body)
            verify_consistency(suite, ours.size, claim.size, proof, ours.root, claim.root)
        except MalformedError as error:
            peer.claim = None
            self._blame(peer, "malformed", ask, str(error), body)
        except InvalidProof as error:
            peer.disputed = ours.height
            self._blame(peer, "wrong-proof", ask, str(error), body)
        else:
            peer.proven = True

    def _take_blocks(self, peer: _Peer, ask: Ask, body: bytes) -> None:
        if peer.claim is None:
            return  # what came before did not hold
        heights = self._next_heights(Checkpoint.parse(peer.claim))
        if not heights or ask.request != ask_blocks(heights.start, heights.stop):
            return  # those of another peer have come meanwhile
        try:
            blocks = split_frames(body, len(heights))
        except MalformedError as error:
            self._blame(peer, "malformed", ask, str(error), body)
            return
        if not blocks:
            self._blame(peer, "empty", ask, "answer has no block", body)
            return
        peer.stalls = 0
        expected = map(self._copy.expect, blocks)
        coming = deque(map(_Block, heights, blocks, expected))
        self._coming.append(_Answer(peer, ask, body, peer.standing.failures, coming))

    def take(self) -> None:
        """Have the copy take the next block that has come; it is durable then.

        Where it cannot be taken, those that came after it are dropped, and asked for again.
        """
        if not self._coming:
            return
        answer = self._coming[0]
        if len(answer.blocks) == 1:
            self._coming.popleft()
        came = answer.blocks.popleft()
        # Where an interrupt has lost one between two lines here, the others go the same way.
        if came.height != self._copy.height + 1 or not self._holds(answer, came):
            self._drop()

    def _holds(self, answer: _Answer, came: _Block) -> bool:
        """Whether the copy has taken a block; who gave it is blamed where it does not hold."""
        peer = answer.peer
        try:
            self._copy.take(came.expected)
        except ForkError as error:
            self._keep_fork(self._copy.checkpoint, bytes(came.block))
            self._blame(peer, "other-history", answer.ask, str(error), answer.body)
            return False
        except (MalformedError, InvalidSignature, InvalidProof, UntrustedError) as error:
            self._blame(peer, "wrong-block", answer.ask, str(error), answer.body)
            # What is expected holds the error, and that the frames here, which hold what is
            # expected: the answer and all that was made of it would wait for the collector.
            error.with_traceback(None)
            return False
        except (BusyError, DiskFullError):
            # What passes may take long: peers are asked for their newest again before their blocks.
            for each in self._peers.values():
                each.claim, each.proven = None, False
            self._drop()
            raise
        if not answer.blocks and peer.standing.failures == answer.failures:
            peer.standing.praise()  # it has not failed since
        return True

    def _drop(self) -> None:
        """Let go what has come, and pass over what is still to come of what follows it."""
        for answer in self._coming:
            for each in answer.blocks:
                each.expected.cancel()
        self._coming.clear()
        for peer in self._peers.values():
            if _wants_blocks(peer.asked):
                peer.asked = None

    def _keep_fork(self, note: str, block: bytes) -> None:
        transfer, _, _ = decode_transfer(block)
        anchor = self._copy.trust_anchor
        self._keep(SplitView.of_next(anchor, note, transfer.note, transfer.header))

    def _compare(self, note: str) -> bool:
        """Whether a signed checkpoint contradicts ours; what contradicts anybody's is kept."""
        anchor = self._copy.trust_anchor
        for peer in self._peers.values():
            if peer.claim is not None:
                self._keep(SplitView.of(anchor, peer.claim, note))
        ours = self._held(min(Checkpoint.parse(note).height, self._copy.height))
        split = SplitView.of(anchor, ours, note)
        self._keep(split)
        return split is not None

    def _held(self, height: int) -> str:
        try:
            return self._copy.note(height)
        except StoreError:
            raise
        except UnavailableError:
            return self._copy.checkpoint  # a copy that began later lacks it

    def _keep(self, split: SplitView | None) -> None:
        if split is not None and len(self._splits) < SPLIT_VIEWS:
            self._splits.setdefault(split.encode(), split)

    def _own(self) -> Checkpoint:
        return Checkpoint.parse(self._copy.checkpoint)

    def _rest(self, peer: _Peer) -> None:
        peer.level = True
        peer.standing.ready_ms = self._now_ms() + (0 if peer.woken else POLL_MS)

    def _blame(self, peer: _Peer, kind: str, ask: Ask, reason: str, answer: bytes = b"") -> None:
        peer.level = False
        if kind in ("wrong-block", "other-history", "empty"):
            peer.claim, peer.proven = None, False
        now = self._now_ms()
        peer.standing.blame(kind, ask.request.path, reason, answer, now, self._entropy)

    def _draw(self) -> int:
        return self._entropy.bytes(1)[0]

    def _now_ms(self) -> int:
        return int(self._clock.elapsed_s() * 1000)


def _wants_blocks(ask: Ask | None) -> bool:
    return ask is not None and ask.request.kind == "blocks"


_TAKES: dict[Kind, Callable[[Follower, _Peer, Ask, bytes], None]] = {
    "checkpoint": Follower._take_checkpoint,
    "consistency": Follower._take_proof,
    "blocks": Follower._take_blocks,
}
"""What takes an answer, by what was asked for."""
