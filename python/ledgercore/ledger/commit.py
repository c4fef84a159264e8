"""Commit one block: store it, look at it again, sign it, make it durable.

One transaction. What was written is read back, and everything that the checkpoint will state is
made again from it before it is signed; then the signed checkpoint is read back too. Any
difference is a ``CorruptError`` with what was got and what was wanted, and nothing is left. A crash
before the commit leaves the ledger as it was; after it, the block is whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from ledgercore._core import (
    Anchor,
    Batch,
    Block,
    Checkpoint,
    Frontier,
    Map,
    VerifiedBatch,
    hash_bundles,
    state_keys,
)
from ledgercore.errors import CorruptError, LedgerError, MalformedError, UnavailableError
from ledgercore.ledger.ahead import map_ahead
from ledgercore.ledger.head import Head, stored_header, verify_block
from ledgercore.ledger.ids import (
    BUCKETS_AT_ONCE,
    Runs,
    extend_runs,
    read_run,
    recent_ids,
    run_buckets,
)
from ledgercore.ledger.pages import fill_pages, in_pieces
from ledgercore.ledger.touches import add_touches, check_touches
from ledgercore.rules import Touch, format_object
from ledgercore.store import BUNDLE_RECORDS, Store

__all__ = ["Draft", "commit_block", "draft_block"]

PIECE_BUNDLES = 8
"""Bundles that are hashed on another thread while the next ones are stored; a block of fewer is
hashed at once, for that costs less than to hand it over."""

_SHOWN_BYTES = 32

States = Sequence[tuple[bytes, bytes]]

Bundles = Sequence[bytes | memoryview]

Sign = Callable[[Checkpoint], str]


class Draft(NamedTuple):
    """A block, and the tree and states after it."""

    block: Block
    frontier: Frontier
    tiles: list[tuple[int, int, bytes]]
    states: Map


class Stored(NamedTuple):
    """What is made again of records that were read back: their ids and leaf hashes, joined; and the
    records themselves where their signatures are to be verified yet."""

    ids: bytes
    leaves: bytes
    unverified: Batch | None = None


def commit_block(
    store: Store,
    anchor: Anchor,
    sign: Sign,
    head: Head,
    batch: Batch | VerifiedBatch,
    states: States,
    touches: Sequence[Touch],
    time_ms: int,
    verifying: Callable[[], None] | None = None,
    *,
    held: Draft | None = None,
    bundles: Bundles | None = None,
) -> Head:
    """Append a batch that the rules accepted; the head after it, durable.

    ``sign`` has the operator sign a checkpoint, and gives its note or raises; it is asked after the
    second look. A batch that is not verified yet, because this process has just signed it, is
    verified there, as it is stored: with the checkpoint, for two signatures in one call take little
    longer than one.
    ``verifying`` waits for the verdict on a batch that is verified on other threads while all else
    is done, or raises, and nothing is left: it is asked before the checkpoint is signed.
    ``held`` is a draft that a copy has held to the operator's checkpoint: it signs nothing, and so
    does not make all of it again from what was stored, which every read does.
    ``bundles`` are those that the batch was decoded from, where they are at hand.
    """
    height, first_index = head.block.height + 1, head.checkpoint.size
    ids = batch.joined_ids()
    names = [name for name, _ in states]
    keys = state_keys(anchor.suite, names)
    with store.transaction():
        bundles = batch.bundles() if bundles is None else bundles
        look, alone = not held, verifying is not None
        stored = _store_records(
            store, anchor.suite, height, first_index, batch, bundles, look=look, alone=alone
        )
        runs = _extend_runs(store, head, ids)
        if runs.added:
            for buckets in in_pieces(runs.buckets(), BUCKETS_AT_ONCE):
                store.add_buckets(buckets)
        draft = held or draft_block(store, head, batch, states, time_ms)
        block, frontier, tiles, after = draft
        header = block.encode()
        if tiles:
            store.add_tiles(tiles)
        links = add_touches(store, anchor.suite, touches)
        store.put_states(height, keys, states, links.newest)
        check_touches(store, anchor.suite, links)
        again = _look_again(store, head, stored, keys, names, time_ms) if stored else block
        if again != block:
            raise _mismatch(height, "header", again.encode(), header)
        if stored and runs.added:  # as many records complete as many runs
            _look_at_runs(store, head, stored.ids)
        if verifying is not None:
            verifying()
        checkpoint = anchor.checkpoint(again)
        note = sign(checkpoint)
        store.add_header(height, first_index, header, note, keys)
        _look_at_header(store, anchor, again, checkpoint, stored.unverified if stored else None)
        for level, run in runs.merged:
            store.remove_run(level, run)
    return Head(block, checkpoint, note, frontier, after, recent_ids(head.recent, ids))


def draft_block(
    store: Store, head: Head, batch: Batch | VerifiedBatch, states: States, time_ms: int
) -> Draft:
    """The next block, and what it leads to; nothing is stored."""
    fill_pages(store, head.states, [name for name, _ in states])
    leaves = batch.leaf_hashes()
    return Draft(*head.block.next(head.frontier, head.states, leaves, states, time_ms))


def _store_records(
    store: Store,
    suite: str,
    height: int,
    first_index: int,
    batch: Batch | VerifiedBatch,
    bundles: Bundles,
    *,
    look: bool,
    alone: bool,
) -> Stored | None:
    """Store a block's records, and look at them again; the hashes of many are made meanwhile, of
    what is read back of each piece once it is stored. Or by this thread ``alone``, where the other
    ones verify. Those that nobody verifies are given back, whatever their number."""
    verified = alone or isinstance(batch, VerifiedBatch)
    try:
        if look and verified and len(bundles) > PIECE_BUNDLES:
            return _store_pieces(store, suite, height, first_index, bundles, alone=alone)
        store.add_bundles(height, first_index, bundles)
        if verified:
            return Stored(*hash_bundles(suite, store.bundles_from(first_index))) if look else None
        records = Batch.decode_bundles(store.bundles_from(first_index))
        return Stored(records.joined_ids(), records.leaf_hashes(), records)
    except MalformedError as error:
        raise CorruptError(f"block {height}: what was stored: {error}") from error


def _store_pieces(
    store: Store, suite: str, height: int, first_index: int, bundles: Bundles, *, alone: bool
) -> Stored:
    def stored() -> Iterator[list[bytes]]:
        at = first_index
        for piece in in_pieces(bundles, PIECE_BUNDLES):
            store.add_bundles(height, at, piece)
            yield store.bundles_from(at)
            at += BUNDLE_RECORDS * len(piece)

    def hashed(piece: list[bytes]) -> tuple[bytes, bytes]:
        return hash_bundles(suite, piece)

    pieces = map(hashed, stored()) if alone else map_ahead(hashed, stored(), len(bundles))
    ids, leaves = zip(*pieces, strict=True)
    return Stored(b"".join(ids), b"".join(leaves))


def _look_again(
    store: Store,
    head: Head,
    stored: Stored,
    keys: Sequence[bytes],
    names: Sequence[bytes],
    time_ms: int,
) -> Block:
    """The header as it follows from what is stored, and from the last signed checkpoint."""
    height = head.block.height + 1
    try:
        kept = _kept_states(store, keys, names)
        block, tiles = head.block.again(head.frontier, head.states, stored.leaves, kept, time_ms)
    except UnavailableError:
        raise  # the store failed, which says nothing of what is in it
    except LedgerError as error:
        raise CorruptError(f"block {height}: what was stored: {error}") from error
    if block.parent != head.checkpoint.block_hash:
        raise _mismatch(height, "parent", block.parent, head.checkpoint.block_hash)
    if tiles:
        _look_at_tiles(store, height, tiles)
    return block


def _look_at_runs(store: Store, head: Head, ids: bytes) -> None:
    height = head.block.height + 1
    for run, buckets in _extend_runs(store, head, ids).added.items():
        for begin, some in enumerate(in_pieces(buckets, BUCKETS_AT_ONCE)):
            at = begin * BUCKETS_AT_ONCE
            if store.buckets(*run, at, at + BUCKETS_AT_ONCE) != some:
                raise CorruptError(f"block {height}: run {run} of ids was not stored as made")
        if store.buckets(*run, run_buckets(run), 1 << 31):
            raise CorruptError(f"block {height}: run {run} of ids has more buckets than were made")


def _look_at_tiles(store: Store, height: int, tiles: Sequence[tuple[int, int, bytes]]) -> None:
    places = [(level, index) for level, index, _ in tiles]
    for (level, index, made), hashes in zip(tiles, store.tiles_of(places), strict=True):
        if hashes != made:
            raise CorruptError(f"block {height}: tile ({level}, {index}) was not stored as made")


def _kept_states(
    store: Store, keys: Sequence[bytes], names: Sequence[bytes]
) -> list[tuple[bytes, bytes]]:
    kept: list[tuple[bytes, bytes]] = []
    for name, state in zip(names, store.states_of(keys), strict=True):
        if state is None or state[0] != name:
            raise CorruptError(f"state of {format_object(name)} was not stored")
        kept.append(state)
    return kept


def _extend_runs(store: Store, head: Head, ids: bytes) -> Runs:
    return extend_runs(head.checkpoint.size, head.recent, ids, partial(read_run, store))


def _look_at_header(
    store: Store, anchor: Anchor, block: Block, checkpoint: Checkpoint, records: Batch | None
) -> None:
    """The header and its signed checkpoint as stored: they verify, with the roots as made again,
    and so do records that were not verified yet."""
    found, signed = verify_block(stored_header(store, block.height), anchor, records)
    if found != block:
        raise _mismatch(block.height, "stored header", found.encode(), block.encode())
    if signed != checkpoint:
        got, want = signed.format().encode(), checkpoint.format().encode()
        raise _mismatch(block.height, "stored checkpoint", got, want)


def _mismatch(height: int, what: str, got: bytes, want: bytes) -> CorruptError:
    """What was got and what was wanted, from the first byte on in which they differ."""
    pairs = enumerate(zip(got, want, strict=False))
    begin = next((at for at, (one, other) in pairs if one != other), 0)
    end = begin + _SHOWN_BYTES
    return CorruptError(
        f"block {height}: {what} is {got[begin:end].hex()} from byte {begin} on, "
        f"want {want[begin:end].hex()}"
    )
