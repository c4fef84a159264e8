"""Make the receipts of records that were appended together, each when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import overload

from ledgercore._core import Receipt

__all__ = ["Receipts"]

_TOGETHER = 1024


class Receipts(Sequence[Receipt]):
    """As long as its ledger is open; ``indices`` are the records' and cost nothing."""

    def __init__(self, make: Callable[[Sequence[int]], list[Receipt]], indices: range) -> None:
        self._make = make
        self.indices = indices

    def __repr__(self) -> str:
        begin, end = self.indices.start, self.indices.stop
        return f"<receipts of {len(self)} records: indices {begin} to below {end}>"

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, at: int) -> Receipt: ...

    @overload
    def __getitem__(self, at: slice) -> Receipts: ...

    def __getitem__(self, at: int | slice) -> Receipt | Receipts:
        if isinstance(at, slice):
            return Receipts(self._make, self.indices[at])
        return self._make([self.indices[at]])[0]

    def __iter__(self) -> Iterator[Receipt]:
        for begin in range(0, len(self), _TOGETHER):
            yield from self._make(self.indices[begin : begin + _TOGETHER])
