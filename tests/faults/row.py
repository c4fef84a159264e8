"""Print what a reliability row ran, and fail if it ran fewer cases than it promises."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Row:
    """One row's cases, counted."""

    def __init__(self) -> None:
        self.cases = 0
        self.details: dict[str, int] = {}

    def count(self, detail: str = "", cases: int = 1) -> None:
        self.cases += cases
        if detail:
            self.details[detail] = self.details.get(detail, 0) + cases


@contextmanager
def reliability_row(number: int, what: str, *, seed: int, want: int) -> Iterator[Row]:
    row, begin = Row(), time.perf_counter()
    yield row
    details = ", ".join(f"{name} {count}" for name, count in sorted(row.details.items()))
    seconds = time.perf_counter() - begin
    print(f"\nrow {number}, {what}: seed {seed}, {row.cases} cases, {seconds:.1f} s; {details}")
    assert row.cases >= want, f"row {number} ran {row.cases} cases, want {want}"
