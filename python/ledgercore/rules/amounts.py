"""Notice amounts that only move: decisions in a row whose commitments add up to nothing.

That is rule T7, and how a transfer shows that it makes nothing and loses nothing: what one record
takes the next ones give. The running sum over all books then comes back to where it was, which
amounts that are blinded each for itself never do. A heuristic: a row that is longer is not noticed,
nor one that others' decisions interrupt.
"""

from __future__ import annotations

from typing import Any

from ledgercore._core import group_add_points
from ledgercore.rules.lint import Finding
from ledgercore.rules.state import AMOUNTS, AmountsState
from ledgercore.rules.table import Case

__all__ = ["NOTHING", "ROW", "add_amount", "find_transfer"]

NOTHING = bytes(32)
"""The commitment to nothing: the neutral point."""
ROW = 64
"""So many decisions are looked back at."""


def find_transfer(case: Case[Any, Any], commitment: bytes) -> Finding | None:
    """The finding that with this commitment the newest ones add up to nothing, or None."""
    sums = _sums(case)
    new_sum = group_add_points([sums[-1], commitment])
    if new_sum not in sums:
        return None
    count = len(sums) - sums.index(new_sum)
    return Finding("T7", (f"amounts of the last {count} that add up to nothing",))


def add_amount(case: Case[Any, Any], commitment: bytes) -> None:
    """Count the commitment in the running sum."""
    sums = _sums(case)
    sums = (*sums[-ROW + 1 :], group_add_points([sums[-1], commitment]))
    case.view.put(AMOUNTS, AmountsState(sums))


def _sums(case: Case[Any, Any]) -> tuple[bytes, ...]:
    state = case.view.get(AMOUNTS, AmountsState)
    return state.sums if state else (NOTHING,)
