"""Measure ways to do one piece of work, side by side.

Ways take turns, round by round, so that whatever slows the machine slows all of them. A figure is
the median of the rounds with its range; a ratio is the median of the ratios within each round, and
above 1 wherever ours is ahead, whether more is better (a rate) or less (a time).
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = [
    "OURS",
    "Bound",
    "Floor",
    "Goal",
    "Operation",
    "Row",
    "Skipped",
    "Way",
    "compare",
    "measure",
    "sustained",
    "timed",
]

OURS = "ledgercore"

TURN = 0.1
"""Seconds that a sustained turn lasts at least."""

Way = Callable[[], tuple[int, float]]
"""Does the work once; how many items it did, and how many seconds the measured part took."""


@dataclass(frozen=True)
class Bound:
    """A limit on our figure, or on its ratio to the peer's: at least, for a time at most."""

    of: Literal["value", "ratio"]
    limit: float


Floor = Bound
"""What ours must not fall below."""

Goal = Bound
"""What ours is meant to reach."""


@dataclass(frozen=True)
class Skipped:
    """Stands where a way would, for a peer that cannot run here."""

    reason: str


@dataclass(frozen=True)
class Operation:
    """One piece of work, ours and the peers' ways to do it."""

    id: str
    what: str
    unit: str
    floor: Floor | None
    prepare: Callable[[Path], Mapping[str, Way | Skipped]]
    """Make the ways in a directory of their own; the first is ours, the bounds are of the next."""

    goal: Goal | None = None
    less_is_better: bool = False
    units_a_second: float | None = None
    """Set where the figure is the time of one item: 1e9 for ``ns``; else it is items a second."""


@dataclass(frozen=True)
class Row:
    """Ours beside one peer, or alone."""

    id: str
    what: str
    value: float
    value_range: tuple[float, float]
    unit: str
    peer: str | None
    peer_value: float | None
    peer_range: tuple[float, float] | None
    ratio: float | None
    ratio_range: tuple[float, float] | None
    goal: float | None
    goal_of: str | None
    met: bool | None
    floor: float | None
    floor_of: str | None
    floor_met: bool | None
    less_is_better: bool
    skipped: str | None


def timed(work: Callable[[], object], count: int) -> Way:
    """A way whose whole work is measured."""

    def run() -> tuple[int, float]:
        begin = time.perf_counter()
        work()
        return count, time.perf_counter() - begin

    return run


def sustained(work: Callable[[], object], count: int) -> Way:
    """A way that does its work again until ``TURN`` has passed.

    After another way's turn caches are cold and threads asleep: work of a few milliseconds would
    measure little else, beside a peer's that lasts for longer.
    """

    def run() -> tuple[int, float]:
        times, begin = 0, time.perf_counter()
        while True:
            work()
            times += 1
            seconds = time.perf_counter() - begin
            if seconds >= TURN:
                return times * count, seconds

    return run


def measure(operation: Operation, directory: Path, rounds: int) -> list[Row]:
    """Run every way in turn, after one unmeasured turn each, and compare."""
    ways = operation.prepare(directory)
    figures: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        for name, way in ways.items():
            if isinstance(way, Skipped):
                continue
            gc.collect()
            count, seconds = way()
            if number:
                scale = operation.units_a_second
                figure = count / seconds if scale is None else seconds / count * scale
                figures.setdefault(name, []).append(figure)
    skipped = {name: way.reason for name, way in ways.items() if isinstance(way, Skipped)}
    return compare(operation, figures, skipped)


def compare(
    operation: Operation, figures: Mapping[str, Sequence[float]], skipped: Mapping[str, str]
) -> list[Row]:
    """A row a peer. The first has the operation's id and bounds, the others a suffix."""
    ours = figures[OURS]
    peers = [name for name in (*figures, *skipped) if name != OURS]
    if not peers:
        return [_row(operation, operation.id, ours, None, (), None)]
    return [
        _row(
            operation,
            f"{operation.id}-{_slug(peer)}" if number else operation.id,
            ours,
            peer,
            figures.get(peer, ()),
            skipped.get(peer),
        )
        for number, peer in enumerate(peers)
    ]


def _slug(peer: str) -> str:
    """A peer's name as the end of an id: its first word."""
    return peer.replace(",", " ").split()[0].lower()


def _row(
    operation: Operation,
    id: str,
    ours: Sequence[float],
    peer: str | None,
    peers: Sequence[float],
    skipped: str | None,
) -> Row:
    less = operation.less_is_better
    ratios = [other / own if less else own / other for own, other in zip(ours, peers, strict=False)]
    value = statistics.median(ours)
    ratio = statistics.median(ratios) if ratios else None
    bounded = id == operation.id
    goal, floor = (operation.goal, operation.floor) if bounded else (None, None)
    return Row(
        id=id,
        what=operation.what,
        value=value,
        value_range=(min(ours), max(ours)),
        unit=operation.unit,
        peer=peer,
        peer_value=statistics.median(peers) if peers else None,
        peer_range=(min(peers), max(peers)) if peers else None,
        ratio=ratio,
        ratio_range=(min(ratios), max(ratios)) if ratios else None,
        goal=goal.limit if goal else None,
        goal_of=goal.of if goal else None,
        met=_holds(goal, value, ratio, less),
        floor=floor.limit if floor else None,
        floor_of=floor.of if floor else None,
        floor_met=_holds(floor, value, ratio, less),
        less_is_better=less,
        skipped=skipped,
    )


def _holds(bound: Bound | None, value: float, ratio: float | None, less: bool) -> bool | None:
    """Whether a bound holds; None where there is none, or nothing that it could be held to."""
    if bound is None:
        return None
    if bound.of == "ratio":
        return None if ratio is None else ratio >= bound.limit
    return value <= bound.limit if less else value >= bound.limit
