"""Count the bytes of bodies that have come and are not answered yet.

What counts is what came, and not what a caller says will come: who says much and sends nothing
takes nothing from others. What nobody has asked for yet is not read, so that it is not counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ledgercore.errors import UnavailableError
from ledgercore.node.rates import TooManyError

__all__ = ["Bodies"]


class Bodies:
    """The bodies of one kind of callers, bounded in all and for each caller."""

    def __init__(
        self,
        most_bytes: int,
        caller_bytes: int,
        counted: Callable[[int], object],
        limit: str = "member_bodies_bytes",
    ) -> None:
        """``counted`` is told of each change in bytes; what leaves is negative. ``limit`` is what
        settings call a caller's share."""
        self._limit = limit
        self._most_bytes = most_bytes
        self._caller_bytes = caller_bytes
        self._counted = counted
        self._of_caller: Counter[str] = Counter()

    @contextmanager
    def body(self, caller: str, claimed_bytes: int) -> Iterator[Callable[[int], None]]:
        """A function that counts the next bytes of one body, until it was answered.

        It raises ``TooManyError`` where the caller has its share, ``UnavailableError`` where all
        have theirs; so does a claim for which there is no room now, before any of it is sent.
        """
        held = 0

        def count(size: int) -> None:
            nonlocal held
            self._check(caller, size)
            held += size
            self._add(caller, size)

        self._check(caller, claimed_bytes)
        try:
            yield count
        finally:
            self._add(caller, -held)

    def _check(self, caller: str, more: int) -> None:
        of_caller, of_all = self._of_caller[caller], self._of_caller.total()
        if more and of_caller + more > self._caller_bytes:
            raise TooManyError.of_limit(
                f"{caller} has bodies of {of_caller} bytes under way, want at most "
                f"{self._caller_bytes}",
                f"limit {self._limit}",
            )
        if more and of_all + more > self._most_bytes:
            raise UnavailableError(
                f"bodies under way have {of_all} bytes, want at most {self._most_bytes}: wait"
            )

    def _add(self, caller: str, size: int) -> None:
        self._of_caller[caller] += size
        if not self._of_caller[caller]:
            del self._of_caller[caller]
        self._counted(size)
