"""Carry what the machines ask, one request after the other, by whatever transport is given.

What has come is verified while the next is fetched and while what was before it is stored. Nothing
is stored while a request is carried: where a peer stalls, what was verified waits as long. Whoever
has a thread for requests, as a node has, drives the machine itself, and takes meanwhile.

A transport is a callable: it sends a request to a named peer and returns the response, or raises
``LedgerError`` or ``OSError``. It must not read more than the request's ``limit_bytes``, and not
wait longer than its ``timeout_ms`` for the whole. ``pause`` waits so many seconds and says whether
to stop: ``threading.Event().wait`` is one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ledgercore._core import Anchor
from ledgercore.entropy import Entropy
from ledgercore.errors import (
    LedgerError,
    LimitError,
    MalformedError,
    StoreError,
    UnavailableError,
)
from ledgercore.ledger import Replica
from ledgercore.ledger.snapshot import SNAPSHOT_BYTES, decode_head
from ledgercore.sync.follower import Follower, Take, Wait
from ledgercore.sync.messages import (
    Request,
    Response,
    ask_blocks,
    ask_checkpoint,
    ask_snapshot,
    decode_frames,
    decode_text,
)
from ledgercore.sync.publisher import Publisher

__all__ = ["Pause", "Transport", "begin_copy", "catch_up", "follow", "join_copy", "publish"]

SNAPSHOT_ITEMS = 1 << 20
"""Items of one part of a snapshot at most."""

Transport = Callable[[str, Request], Response]
Pause = Callable[[float], bool | None]


def catch_up(follower: Follower, transport: Transport, pause: Pause) -> None:
    """Follow until no peer has anything new, or ``pause`` says to stop.

    Raises ``UnavailableError`` where every peer has offended too much to be asked on.
    """
    follower.forget()  # what an interrupt may have cut off
    while not follower.level:
        if _step(follower, transport, pause):
            return


def follow(follower: Follower, transport: Transport, pause: Pause) -> None:
    """Follow until ``pause`` says to stop; raises as ``catch_up``."""
    follower.forget()
    while not _step(follower, transport, pause):
        pass


def _step(follower: Follower, transport: Transport, pause: Pause) -> bool:
    what = follower.next()
    if isinstance(what, Wait):
        follower.check_asked()
        return bool(pause(what.duration_ms / 1000))
    if isinstance(what, Take):
        follower.take()
        return False
    try:
        response = transport(what.peer, what.request)
    except (LedgerError, OSError) as error:
        follower.fail(what, str(error))
    else:
        follower.receive(what, response)
    return False


def join_copy(
    path: str | Path,
    anchor: Anchor,
    peers: Sequence[str],
    transport: Transport,
    reasons: list[str] | None = None,
    *,
    entropy: Entropy | None = None,
) -> Replica:
    """Make a copy that begins at a snapshot of the first peer whose snapshot holds.

    ``reasons`` takes why each peer before that one was passed over. Raises ``UnavailableError``
    where none has one: then begin with the genesis.
    """
    reasons = [] if reasons is None else reasons
    for peer in peers:
        try:
            items = _fetch_snapshot(peer, anchor, transport)
            return Replica.join(path, anchor, items, entropy=entropy)
        except StoreError:
            raise  # our own disk
        except (LedgerError, OSError) as error:
            reasons.append(f"{peer}: {error}")
    raise UnavailableError(f"no peer has a snapshot that holds: {'; '.join(reasons)}")


def _fetch_snapshot(peer: str, anchor: Anchor, transport: Transport) -> list[bytes]:
    newest = anchor.verify_checkpoint(decode_text(_body(peer, ask_checkpoint(), transport)))
    height, part, total = newest.height, 0, 0
    items: list[bytes] = []
    left = 1
    while left > 0:
        body = _body(peer, ask_snapshot(height, part), transport)
        total += len(body)
        if total > SNAPSHOT_BYTES:
            raise LimitError(f"snapshot has more than {SNAPSHOT_BYTES} bytes")
        items += decode_frames(body, SNAPSHOT_ITEMS)
        if part == 0:
            height, count = decode_head(b"".join(items[:1]))
        part, left = part + 1, count - len(items)
        if len(items) < part:
            raise MalformedError(f"part {part - 1} of the snapshot has no item")
    return items


def _body(peer: str, request: Request, transport: Transport) -> bytes:
    response = transport(peer, request)
    if response.status != 200:
        raise UnavailableError(f"status of {request.path} is {response.status}")
    return response.body[: request.limit_bytes + 1]


def begin_copy(
    path: str | Path,
    anchor: Anchor,
    peers: Sequence[str],
    transport: Transport,
    reasons: list[str] | None = None,
    *,
    entropy: Entropy | None = None,
) -> Replica:
    """Make a copy that holds the genesis, from the first peer whose genesis is the anchor's.

    ``reasons`` takes why each peer before that one was passed over. Raises ``UnavailableError``
    where none has it.
    """
    reasons = [] if reasons is None else reasons
    for peer in peers:
        try:
            response = transport(peer, ask_blocks(0, 1))
            if response.status != 200:
                raise UnavailableError(f"status is {response.status}")
            blocks = decode_frames(response.body, 1)
        except (LedgerError, OSError) as error:
            reasons.append(f"{peer}: {error}")
            continue
        try:
            return Replica.create(path, anchor, b"".join(blocks), entropy=entropy)
        except UnavailableError:
            raise  # our own disk
        except LedgerError as error:
            reasons.append(f"{peer}: {error}")
    told = "; ".join(reasons) or "there is no peer: add a [[peer]] to the settings"
    raise UnavailableError(f"no peer gave the genesis of this network: {told}")


def publish(publisher: Publisher, transport: Transport) -> str:
    """Have the newest checkpoint cosigned, one witness after the other; the published note.

    Raises ``UnavailableError`` with every witness's reason where the quorum is not reached.
    """
    publisher.begin()
    while publisher.published is None:
        asks = publisher.asks()
        if not asks:
            told = "; ".join(f"{name}: {reason}" for name, reason in publisher.reasons.items())
            raise UnavailableError(f"checkpoint is not cosigned by the quorum: {told}")
        for ask in asks:
            if publisher.published is not None:
                break
            try:
                response = transport(ask.peer, ask.request)
            except (LedgerError, OSError) as error:
                publisher.fail(ask, str(error))
            else:
                publisher.receive(ask, response)
    return publisher.published
