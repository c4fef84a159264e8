"""Tell where the time of a batch goes: the wall clock and the processors' work of each phase.

``python benches/phases.py [--rounds N] [--only TEXT] [--directory DIR]``

Three ways: P5's single batches, its batches one after another, and P9's following. The calls that
the interpreter makes (``sys.setprofile``), of Python and of the core, are booked on the phase that
they belong to, without those of another phase inside. Told are nanoseconds a record: how long a
phase took on its thread, and how long the process's threads worked meanwhile, those of the core
and of phases beside it included. Their quotient is the number of cores that were at work. Booking
takes time of its own, mostly where there are many calls of Python: rates are those of ``run.py``.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from copies import prepare_follow
from ledgercore import Ledger
from measure import OURS, Skipped, Way
from submit import (
    BATCHES,
    COUNT,
    Submit,
    create_ledger,
    make_ours,
    submit_in_batches,
    submit_once,
)

__all__ = ["PHASES", "Booking", "main"]

PHASES = {
    "Batch.decode": "decode, ids, copy",
    "Batch.decode_within": "decode, ids, copy",
    "decode_transfer": "decode, ids, copy",
    "check_list": "types, lengths",
    "weight": "types, lengths",
    "Batch.verify": "signatures, leaf hashes",
    "Verification.verify": "signatures that are left",
    "Verification.result": "signatures that are left",
    "apply_plain": "rules",
    "draft_block": "tree, states",
    "Batch.bundles": "bundles encoded",
    "VerifiedBatch.bundles": "bundles encoded",
    "VerifiedBatch.ids": "ids as objects",
    "_extend_runs": "runs of ids",
    "SqliteStore.add_bundles": "bundles written",
    "SqliteStore.add_buckets": "runs, tiles, states written",
    "SqliteStore.remove_run": "runs, tiles, states written",
    "SqliteStore.add_tiles": "runs, tiles, states written",
    "SqliteStore.put_states": "runs, tiles, states written",
    "SqliteStore.bundles_from": "bundles read again",
    "Block.again": "hashed again",
    "hash_bundles": "hashed again",
    "_look_at_runs": "runs, tiles, states compared",
    "_look_again": "runs, tiles, states compared",
    "SqliteStore._begin": "transaction begun",
    "SqliteStore._end": "committed, flushed",
    "LogMover._move": "log moved (a thread of its own)",
    "HeadFile.store": "head file",
    "Future.result": "waiting for what is ahead",
    "SqliteStore.close": "closed and removed (in no rate)",
    "Path.unlink": "closed and removed (in no rate)",
}
"""Calls by qualified name, and the phase that begins with each."""

OTHER = "all else"


class Booking:
    """Books calls while it is entered; what threads do that were started before is not seen."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._codes: dict[CodeType, str | None] = {}
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.wall: dict[str, int] = defaultdict(int)
        self.worked: dict[str, int] = defaultdict(int)
        self.all = (0, 0)

    def __enter__(self) -> Booking:
        threading.setprofile(self._called)
        self._local.stack = [(None, OTHER)]
        self._begin = self._local.since = (time.perf_counter_ns(), time.process_time_ns())
        sys.setprofile(self._called)
        return self

    def __exit__(self, *error: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)
        self._book()
        end, begin = self._local.since, self._begin
        self.all = (self.all[0] + end[0] - begin[0], self.all[1] + end[1] - begin[1])

    def _book(self) -> None:
        """What passed since the last time goes to the phase that the thread is in."""
        local, now = self._local, (time.perf_counter_ns(), time.process_time_ns())
        phase = local.stack[-1][1]
        self.wall[phase] += now[0] - local.since[0]
        self.worked[phase] += now[1] - local.since[1]
        local.since = now

    def _called(self, frame: FrameType, event: str, what: Any) -> None:
        if event in ("call", "return"):
            call: object = frame
            code = frame.f_code
            if code not in self._codes:
                self._codes[code] = PHASES.get(code.co_qualname)
            phase = self._codes[code]
        else:
            call = what
            phase = PHASES.get(getattr(what, "__qualname__", ""))
        if phase is None:
            return
        local = self._local
        if not hasattr(local, "stack"):
            local.stack = [(None, "")]
            local.since = (time.perf_counter_ns(), time.process_time_ns())
        if event in ("call", "c_call"):
            self._book()
            local.stack.append((call, phase))
        elif local.stack[-1][0] is call:
            self._book()
            local.stack.pop()


def main() -> int:
    """Measure, print."""
    parser = argparse.ArgumentParser(description="Tell where the time of a batch goes.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", metavar="TEXT")
    parser.add_argument("--directory", type=Path, default=None)
    arguments = parser.parse_args()
    for name, make in WAYS.items():
        if arguments.only in name:
            with tempfile.TemporaryDirectory(dir=arguments.directory) as scratch:
                show(name, make, Path(scratch), arguments.rounds)
    return 0


def make_submit(submit: Submit, records: int, directory: Path, booking: Booking) -> Way:
    """As P5's; what signs the records is not booked."""

    def booked(ledger: Ledger, batch: list[bytes]) -> list[object]:
        with booking:
            return submit(ledger, batch)

    return make_ours(create_ledger(directory / "bench.ledger"), booked, records)


def make_follow(directory: Path, booking: Booking) -> Way:
    """As P9's."""
    way = prepare_follow(directory)[OURS]
    assert not isinstance(way, Skipped)

    def booked() -> tuple[int, float]:
        with booking:
            return way()

    return booked


WAYS: dict[str, Callable[[Path, Booking], Way]] = {
    "P5": partial(make_submit, submit_once, COUNT),
    "P5-batches": partial(make_submit, submit_in_batches, BATCHES * COUNT),
    "P9": make_follow,
}


def show(name: str, make: Callable[[Path, Booking], Way], directory: Path, rounds: int) -> None:
    """Print the phases of one way, after a round that does not count."""
    booking = Booking()
    way = make(directory, booking)
    way()
    booking.clear()
    records, taken = 0, 0.0
    for _ in range(rounds):
        gc.collect()
        count, seconds = way()
        records += count
        taken += seconds
    print(f"\n{name}: {records / taken:,.0f} records/s while it is booked")
    print(f"{'phase':36}{'ns a record':>14}{'worked':>10}{'cores':>8}")
    for phase in sorted(booking.wall, key=booking.wall.__getitem__, reverse=True):
        if phase:
            wall, worked = booking.wall[phase] / records, booking.worked[phase] / records
            print(f"{phase:36}{wall:14,.0f}{worked:10,.0f}{worked / wall:8.2f}")
    wall, worked = booking.all[0] / records, booking.all[1] / records
    print(f"{'all of it':36}{wall:14,.0f}{worked:10,.0f}{worked / wall:8.2f}")


if __name__ == "__main__":
    sys.exit(main())
