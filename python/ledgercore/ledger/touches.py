"""Keep the index of histories: which records touched an object, each leading to the one before.

A touch is one record in one object's history. Touches are numbered from 1 in the ledger's order, so
that adding one writes at the end of their table; each names the touch before it of the same object,
or 0, and the object's newest one stands beside its state. The index says nothing that the records
do not: what is read through it is held to the count and the running hash in the signed state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ledgercore._core import state_keys
from ledgercore.errors import CorruptError
from ledgercore.rules import Touch, format_object
from ledgercore.store import Store, StoredTouch

__all__ = ["Links", "add_touches", "check_touches", "link_touches", "walk_touches"]


class Links(NamedTuple):
    """Touches to add, from a number on, and each touched object's newest one."""

    first: int
    rows: list[StoredTouch]
    newest: dict[bytes, int]


_NONE = Links(0, [], {})


def link_touches(first: int, touches: Sequence[Touch], newest: Mapping[bytes, int]) -> Links:
    """Number the touches, and lead each to the one before it of the same object."""
    rows: list[StoredTouch] = []
    last: dict[bytes, int] = {}
    for number, (name, index) in enumerate(touches, first):
        rows.append(StoredTouch(index, last.get(name) or newest.get(name, 0)))
        last[name] = number
    return Links(first, rows, last)


def add_touches(store: Store, suite: str, touches: Sequence[Touch]) -> Links:
    """Add a block's touches; what touches nothing asks the store for nothing."""
    if not touches:
        return _NONE
    names = list({touch.name for touch in touches})
    newest = dict(zip(names, store.newest_touches(state_keys(suite, names)), strict=True))
    links = link_touches(store.touch_count() + 1, touches, newest)
    store.add_touches(links.first, links.rows)
    return links


def check_touches(store: Store, suite: str, links: Links) -> None:
    """Look at what was stored; raise CorruptError where it is not what was made."""
    if not links.rows:
        return
    if store.touches_from(links.first) != links.rows:
        raise CorruptError(f"touches from {links.first} on were not stored as made")
    newest = store.newest_touches(state_keys(suite, list(links.newest)))
    if newest != list(links.newest.values()):
        raise CorruptError("newest touches of the block's objects were not stored as made")


def walk_touches(store: Store, suite: str, name: bytes, count: int) -> Iterator[int]:
    """The indices of the records that touched an object, the newest first; ``count`` of them.

    Raises CorruptError where the way breaks off, goes on, or does not descend.
    """
    (number,), last = store.newest_touches(state_keys(suite, [name])), None
    for _ in range(count):
        touch = store.touch(number)
        if touch is None or touch.previous >= number or (last is not None and touch.record >= last):
            raise CorruptError(
                f"history of {format_object(name)}: touch {number} is damaged or missing"
            )
        yield touch.record
        number, last = touch.previous, touch.record
    if number:
        raise CorruptError(
            f"history of {format_object(name)}: more than the {count} records of its state"
        )
