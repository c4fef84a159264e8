"""Read the pages of the state map that are absent from memory, where something is done with them.

The map keeps the hash of every page, and of few pages their entries: those of the rest are the
states of the store, which stand there in the map's order. What is read is held to the hash that was
kept. Whoever reads has a snapshot of the store at the map's block, or is the one writer; a page
that a block changes is read before it, and stays with the map of the block before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from ledgercore._core import Map
from ledgercore.errors import CorruptError, InvalidProof
from ledgercore.store import Store

__all__ = [
    "ENTRIES_IN_MEMORY",
    "STATES_AT_ONCE",
    "fill_pages",
    "forget_pages",
    "in_pieces",
    "read_states",
]

ENTRIES_IN_MEMORY = 65_536
"""Entries of the map in memory, of about 100 bytes each, beside those that one block touches."""

PAGES_AT_ONCE = 128
"""Pages whose states are in memory while they are hashed."""

STATES_AT_ONCE = 512
"""States that are taken at once where all are read, each with those of its page where it changes
one that is absent: what they all take once stays with the interpreter, so it has to be little."""

Item = TypeVar("Item")


def fill_pages(store: Store, states: Map, names: Sequence[bytes]) -> None:
    """Have in memory what updates and proofs of these objects need.

    Raises ``CorruptError`` where the stored states of a page are not those of the map.
    """
    absent = states.absent(names)
    for pages in in_pieces(absent, PAGES_AT_ONCE) if absent else ():
        try:
            states.fill(pages, store.states_in(pages))
        except InvalidProof as error:
            raise CorruptError(f"{error}") from error


def forget_pages(states: Map) -> None:
    """Forget what is in memory, where it is too much: the store has it, as of this block."""
    states.forget(ENTRIES_IN_MEMORY)


def read_states(store: Store, states: Map, keys: Sequence[bytes] | None = None) -> Map:
    """The map with all states that are stored, or with those of ascending keys.

    A page that is absent is not what it was: it is made anew from all that is stored of it. That
    is right where the root is the signed one, to which whoever calls holds it.
    """
    stored = _all_states(store) if keys is None else _states_of(store, keys)
    for some in in_pieces(stored, STATES_AT_ONCE):
        changes: list[tuple[bytes, bytes | None]] = list(some)
        for pages in in_pieces(states.absent([name for name, _ in changes]), PAGES_AT_ONCE):
            changes += store.states_in(pages)
        states = states.overwrite(changes)
        # The next states may belong in the page of the last, whose range is wide while what
        # comes behind it is not there.
        states.forget(ENTRIES_IN_MEMORY, some[-1][0])
    return states


def _all_states(store: Store) -> Iterator[tuple[bytes, bytes]]:
    return ((state.name, state.value) for state in store.states())


def _states_of(store: Store, keys: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    for some in in_pieces(keys, STATES_AT_ONCE):
        yield from filter(None, store.states_of(some))


def in_pieces(items: Iterable[Item], most: int) -> Iterator[list[Item]]:
    """Lists of so many items at most."""
    rest = iter(items)
    while some := list(islice(rest, most)):
        yield some
