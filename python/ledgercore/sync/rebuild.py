"""Make a damaged or incomplete copy whole: of its own blocks that hold, and peers' for the rest.

One that passes the audit stays where it is. Else a new copy is made beside the old one, every block
of it verified as it is taken; so it does not matter what was damaged: records, tiles, indexes,
states or the pages of the file. Then it takes the old one's place, which is kept as
``<copy>.damaged``, and so is a head file that holds no checkpoint of the network. A crash leaves
the old copy as it was, or, at the very end, the new one under its own name: call it again, and it
goes on. Close the ledger first.

Where nothing here tells how far the old one went, whoever calls has to say it: an operator that
goes on from an earlier block than its last signs a second history.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ledgercore._core import Anchor, Checkpoint
from ledgercore.disk import HeadFile, exists, remove, rename, write_new
from ledgercore.entropy import Entropy
from ledgercore.errors import (
    ForkError,
    InconsistentError,
    InvalidError,
    LedgerError,
    MalformedError,
    StoreError,
    UnavailableError,
)
from ledgercore.ledger import Ledger, Replica
from ledgercore.ledger.transfer import encode_transfer
from ledgercore.locks import WriterLock
from ledgercore.proofs import SplitView
from ledgercore.store import SqliteStore, parse_address
from ledgercore.sync.driver import Transport, begin_copy
from ledgercore.sync.messages import (
    BLOCKS_AT_ONCE,
    ask_blocks,
    ask_checkpoint,
    decode_frames,
    decode_text,
)

__all__ = ["Rebuilt", "rebuild_copy"]

_FILES = ("", "-wal", "-shm")
_HEAD = ".head"


@dataclass
class Rebuilt:
    """Up to which height the copy is whole, and which blocks it has from peers."""

    height: int = -1
    fetched: list[int] = field(default_factory=list)
    whole: bool = False
    """Whether it was so before: then nothing was replaced."""


def rebuild_copy(
    path: str | Path,
    anchor: Anchor,
    peers: Sequence[str],
    transport: Transport,
    *,
    entropy: Entropy | None = None,
    end: int | None = None,
    orders: bool = False,
) -> Rebuilt:
    """Make the copy, or the operator's own ledger, in a file whole again.

    It reaches at least the height that the old one, or the head file beside it, shows, and ``end``,
    and goes on as far as peers have blocks. ``orders`` says that blocks are to be signed on it.
    ``end`` must be given where the head file holds no checkpoint and nothing of the file can be
    read; and, where it orders, without a head file and whatever the file shows, as it may have lost
    its newest blocks: then every peer must say which block is its newest, too.

    Raises ``MalformedError`` where the end is below what is shown, ``UnavailableError`` where it is
    not given, or no peer gave a block that is not whole here, ``ForkError`` or ``RollbackError``
    where what was made does not go on from what was acknowledged, and ``ForkError`` where the
    operator signed another history for a peer: evidence is then in ``<path>.split-view``.
    """
    address = parse_address(path)
    if address.server:
        raise UnavailableError("copy is on a server: make a new one in another schema")
    file = address.beside()
    made, done = file.with_name(file.name + ".rebuilt"), Rebuilt()
    lock = WriterLock(f"{file}.lock")
    try:
        with _Salvage(file, anchor, end) as old:
            old.check_end(end)
            if _stays(file, anchor, old, peers, transport, orders):
                done.height, done.whole = old.known, True
                return done
        aside = _FILES if old.has_head else (*_FILES, _HEAD)
        _check_free(file, aside)
        with (
            _Salvage(file, anchor, end) as old,
            _begin(made, anchor, old, peers, transport, done, entropy) as copy,
        ):
            _take_all(copy, old, peers, transport, done)
            _hold_to_peers(copy, peers, transport, file)
            if orders and not old.has_head:
                _hold_to_newest(copy, peers, transport)
            # An end below what was found is wrong, and so may what it leaves out be.
            unsure = orders and not old.has_head and (end is None or end < copy.height)
            if unsure or (end is None and old.end_unknown):
                raise _asking_for_end(copy, peers, transport, file, orders)
            done.height, newest = copy.height, copy.checkpoint
        _hold_to_head(made, anchor, file)
        for suffix in aside:
            if exists(f"{file}{suffix}"):
                rename(f"{file}{suffix}", f"{file}.damaged{suffix}")
        # A crash here leaves the new copy under its own name, and nothing in its place. What is to
        # be beside it is there before it is, and what must not be left over is gone.
        if not old.has_head:
            with closing(HeadFile(f"{file}{_HEAD}", newest)) as head_file:
                head_file.remember(newest)
        for suffix in (_HEAD, ".lock"):
            remove(f"{made}{suffix}")
        rename(made, file)
    except ForkError:
        # Which history is right is not known: the next call begins anew.
        for suffix in (*_FILES, ".head"):
            remove(f"{made}{suffix}")
        raise
    finally:
        lock.close()
    return done


def _check_free(file: Path, aside: Sequence[str]) -> None:
    for suffix in aside:
        if exists(f"{file}.damaged{suffix}") and exists(f"{file}{suffix}"):
            raise StoreError(f"{file}.damaged{suffix} exists already: move it away")


class _Salvage:
    """What can be read of an old copy; whoever takes it verifies it."""

    def __init__(self, file: Path, anchor: Anchor, end: int | None) -> None:
        """``end`` is the height of a block that there was, as far as others know."""
        self._store: SqliteStore | None = None
        self.height = -1
        self.has_head = False
        for note in HeadFile.load(f"{file}.head"):
            with suppress(LedgerError):
                self.height = max(self.height, anchor.verify_operator(note).height)
                self.has_head = True
        self._there = exists(file)
        with suppress(LedgerError):
            if self._there:
                self._store = SqliteStore(file)
                self.height = max(self.height, self._store.height())
        self.end_unknown = self.height < 0 and exists(f"{file}.head")
        """Whether something was acknowledged here, and nothing tells what."""
        self.known = self.height
        """How far it shows by itself that it went."""
        self.height = max(self.height, -1 if end is None else end)

    def check_end(self, end: int | None) -> None:
        """Refuse an end that is none, or that what is here contradicts."""
        if end is not None and end < 0:
            raise MalformedError(f"end is {end}, want the height of a block, 0 or more")
        if end is not None and end < self.known:
            raise MalformedError(
                f"end is {end}, and block {self.known} was here: leave it out, or give the height "
                "of the newest block that anybody has"
            )

    def block(self, height: int) -> bytes | None:
        """A block as it is stored, or nothing."""
        with suppress(LedgerError):
            stored = None if self._store is None else self._store.block(height)
            return None if stored is None else encode_transfer(stored)
        return None

    def blocks(self, begin: int) -> Iterator[bytes]:
        """Blocks from a height on, up to the first that cannot be read."""
        while (block := self.block(begin)) is not None:
            yield block
            begin += 1

    def next_block(self, begin: int) -> int:
        """The height above one at which the next block can be read, or up to which to ask peers."""
        end, most = begin + 1, begin + BLOCKS_AT_ONCE
        while end < most and self.block(end) is None:
            end += 1
        return end

    def state(self, height: int) -> str:
        """How a block is, of which there is nothing here that holds."""
        if height > self.known:
            return "is wanted by the end that was given"
        with suppress(LedgerError):
            if self._store is None and not self._there:
                return "is not here"
            if self._store is not None and self._store.header(height) is None:
                return "is not here"
        return "is damaged here"

    def __enter__(self) -> _Salvage:
        return self

    def __exit__(self, *error: object) -> None:
        if self._store is not None:
            with suppress(LedgerError):
                self._store.close()


def _stays(
    file: Path,
    anchor: Anchor,
    old: _Salvage,
    peers: Sequence[str],
    transport: Transport,
    orders: bool,
) -> bool:
    """Whether the file goes as far as it should, and passes the audit.

    One that blocks are signed on goes as far as its head file and every peer that answers show.
    """
    if orders and not old.has_head:
        return False
    try:
        with Ledger.open(file, read_only=True) as ledger:
            ledger.verify()
            whole = ledger.trust_anchor == anchor and ledger.height >= old.height
    except LedgerError:
        return False
    for peer in peers if orders else ():
        with suppress(LedgerError, OSError):
            whole = whole and _newest_of(anchor, peer, transport) <= old.height
    if whole:
        with Ledger.open(file, read_only=True) as ledger:
            _hold_to_peers(ledger, peers, transport, file)
    return whole


def _begin(
    made: Path,
    anchor: Anchor,
    old: _Salvage,
    peers: Sequence[str],
    transport: Transport,
    done: Rebuilt,
    entropy: Entropy | None,
) -> Replica:
    """The new copy where it was left, or with the genesis alone."""
    if exists(made):
        try:
            return Replica.open(made, anchor, entropy=entropy)
        except (InconsistentError, InvalidError):
            for suffix in (*_FILES, ".head"):
                remove(f"{made}{suffix}")
    first = old.block(0)
    if first is not None:
        with suppress(MalformedError, InvalidError):
            return Replica.create(made, anchor, first, entropy=entropy)
    done.fetched.append(0)
    return begin_copy(made, anchor, peers, transport, entropy=entropy)


def _take_all(
    copy: Replica, old: _Salvage, peers: Sequence[str], transport: Transport, done: Rebuilt
) -> None:
    while True:
        with suppress(MalformedError, InvalidError, InconsistentError):
            copy.append(old.blocks(copy.height + 1))
        begin = copy.height + 1
        beyond = begin > old.height
        end = old.next_block(begin)
        reasons = _fetch(copy, begin, end, peers, transport)
        if reasons and beyond:
            return
        if reasons:
            raise UnavailableError(
                f"block {begin} {old.state(begin)}, and no peer gave one that holds: "
                f"{'; '.join(reasons)}"
            )
        done.fetched += range(begin, copy.height + 1)


def _fetch(
    copy: Replica, begin: int, end: int, peers: Sequence[str], transport: Transport
) -> list[str]:
    """Take blocks ``[begin, end)``, or some, from the first peer that has one; or why none has."""
    reasons = []
    for peer in peers:
        try:
            request = ask_blocks(begin, end)
            response = transport(peer, request)
            if response.status != 200:
                raise UnavailableError(f"status is {response.status}")
            blocks = decode_frames(response.body[: request.limit_bytes + 1], end - begin)
        except (LedgerError, OSError) as error:
            reasons.append(f"{peer}: {error}")
            continue
        try:
            copy.append(blocks)
            reasons.append(f"{peer}: answer has no block")
        except (MalformedError, InvalidError, InconsistentError) as error:
            reasons.append(f"{peer}: {error}")
        if copy.height >= begin:
            return []
    return reasons or ["there is no peer: add a [[peer]] to the settings"]


def _hold_to_peers(
    copy: Replica | Ledger, peers: Sequence[str], transport: Transport, file: Path
) -> None:
    """Refuse what a peer has another history of: which one is right is for people to say."""
    for peer in peers:
        note = _note_beside(copy, peer, transport)
        height = copy.height if note is None else Checkpoint.parse(note).height
        split = note and SplitView.of(copy.trust_anchor, copy.note(height), note)
        if split:
            evidence = f"{file}.split-view"
            if not exists(evidence):
                write_new(evidence, split.encode(), owner_only=True)
            raise ForkError(
                f"{peer} has another block {height} than was verified here, and the operator "
                f"signed both: nothing was replaced; {evidence} shows it to anyone who runs "
                "ledgercore verify"
            )


def _hold_to_newest(copy: Replica, peers: Sequence[str], transport: Transport) -> None:
    """Refuse to end where a peer has a newer block, or does not say which is its newest."""
    for peer in peers:
        try:
            newest = _newest_of(copy.trust_anchor, peer, transport)
        except (LedgerError, OSError) as error:
            raise UnavailableError(
                f"{peer} does not say which block is its newest, and nothing here does: {error}: "
                "try again when it answers, or take its [[peer]] away"
            ) from error
        if newest > copy.height:
            raise UnavailableError(
                f"{peer} has block {newest}, and gave none after {copy.height}: try again, or add "
                "the [[peer]] of another member, whose node may have it"
            )


def _newest_of(anchor: Anchor, peer: str, transport: Transport) -> int:
    request = ask_checkpoint()
    response = transport(peer, request)
    if response.status != 200:
        raise UnavailableError(f"status is {response.status}")
    note = decode_text(response.body[: request.limit_bytes])
    return anchor.verify_operator(note).height


def _asking_for_end(
    copy: Replica, peers: Sequence[str], transport: Transport, file: Path, orders: bool
) -> UnavailableError:
    holds = "holds no checkpoint" if exists(f"{file}.head") else "is not there"
    newest, told = Checkpoint.parse(copy.checkpoint), list[str]()
    for peer in peers:
        try:
            told.append(f"{peer} has block {_newest_of(copy.trust_anchor, peer, transport)}")
        except (LedgerError, OSError):
            told.append(f"{peer} does not say")
    of_peers = f" ({', '.join(told)})" if told else ""
    danger = ", as to order after an earlier block is to sign a second history" if orders else ""
    return UnavailableError(
        f"nothing here tells which block of {file} was its newest: {file}.head {holds}; the newest "
        f"that was found is block {newest.height}, of size {newest.size}{of_peers}: see that no "
        f"other member has a newer one{danger}, and give it as the end: ledgercore node repair "
        f"SETTINGS --end {newest.height}"
    )


def _note_beside(copy: Replica | Ledger, peer: str, transport: Transport) -> str | None:
    """A peer's checkpoint of the copy's height, or its newest where it is behind."""
    for request in (ask_checkpoint(copy.height), ask_checkpoint()):
        with suppress(LedgerError, OSError):
            response = transport(peer, request)
            note = decode_text(response.body[: request.limit_bytes])
            # What the operator did not sign shows nothing.
            if copy.trust_anchor.verify_operator(note).height <= copy.height:
                return note
    return None


def _hold_to_head(made: Path, anchor: Anchor, file: Path) -> None:
    """Open the new copy with the head file of the old one, which it must go on from."""
    for note in HeadFile.load(f"{file}.head"):
        try:
            anchor.verify_operator(note)
        except LedgerError:
            continue  # an empty slot, or a damaged one
        with Replica.open(made, anchor) as copy:
            copy.verify_since(note)
