"""Measure ways to do one piece of work, side by side.

Ways take turns, round by round, so that whatever slows the machine slows all of them. A rate is the
median of the rounds with its range; a ratio is the median of the ratios within each round.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["OURS", "Floor", "Operation", "Row", "Way", "measure", "timed"]

OURS = "ledgercore"

Way = Callable[[], tuple[int, float]]
"""Does the work once; how many items it did, and how many seconds the measured part took."""


@dataclass(frozen=True)
class Floor:
    """What ours must reach: items a second, or a ratio to the peer's rate."""

    of: Literal["value", "ratio"]
    at_least: float


@dataclass(frozen=True)
class Operation:
    """One piece of work, ours and the peers' ways to do it."""

    id: str
    what: str
    unit: str
    floor: Floor | None
    prepare: Callable[[Path], Mapping[str, Way]]
    """Make the ways in a directory of their own; the first is ours."""


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
    goal: float | None
    goal_of: str | None
    met: bool | None


def timed(work: Callable[[], object], count: int) -> Way:
    """A way whose whole work is measured."""

    def run() -> tuple[int, float]:
        begin = time.perf_counter()
        work()
        return count, time.perf_counter() - begin

    return run


def measure(operation: Operation, directory: Path, rounds: int) -> list[Row]:
    """Run every way in turn, after one unmeasured turn each, and compare."""
    ways = operation.prepare(directory)
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            gc.collect()
            count, seconds = way()
            if number:
                rates[name].append(count / seconds)
    ours = rates.pop(OURS)
    if not rates:
        return [_row(operation, ours, None, [])]
    return [_row(operation, ours, peer, peers) for peer, peers in rates.items()]


def _row(operation: Operation, ours: list[float], peer: str | None, peers: list[float]) -> Row:
    value = statistics.median(ours)
    ratio = None
    if peer is not None:
        ratio = statistics.median(own / other for own, other in zip(ours, peers, strict=True))
    floor = operation.floor
    reached = None
    if floor is not None:
        reached = value if floor.of == "value" else ratio
    return Row(
        id=operation.id,
        what=operation.what,
        value=value,
        value_range=(min(ours), max(ours)),
        unit=operation.unit,
        peer=peer,
        peer_value=statistics.median(peers) if peers else None,
        peer_range=(min(peers), max(peers)) if peers else None,
        ratio=ratio,
        goal=floor.at_least if floor else None,
        goal_of=floor.of if floor else None,
        met=None if floor is None or reached is None else reached >= floor.at_least,
    )
