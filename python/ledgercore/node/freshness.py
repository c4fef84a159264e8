"""Judge whether what a node answers is still the newest, as far as it can know.

A copy is fresh while a peer answers, and while it comes to have each block that one shows; the
operator's ledger, while witnesses cosign it. What lasts longer than the bound is a reason not to be
ready: what is answered then is proven, and may be old. How long is measured, whatever time it is;
a start does not begin it anew.
"""

from __future__ import annotations

from math import inf

from ledgercore.clock import Clock

__all__ = ["Freshness"]


class Freshness:
    """What one ledger or copy has, and ought to have; for one event loop."""

    def __init__(self, clock: Clock, within_s: float) -> None:
        """``within_s`` is how long what is missing may be missing, and every peer be silent."""
        self._clock = clock
        self._within_s = within_s
        self._heard_s = clock.elapsed_s()
        self._lacks: tuple[int, float] | None = None

    def hear(self) -> None:
        """Take that a peer has answered what holds."""
        self._heard_s = self._clock.elapsed_s()

    def see(self, height: int, newest: int) -> None:
        """Take the height that there is, and the newest that there is to be had.

        The first one that is missing counts until it is there: under load there is always a newer.
        """
        if self._lacks is not None and height >= self._lacks[0]:
            self._lacks = None
        if newest > height and self._lacks is None:
            self._lacks = newest, self._clock.elapsed_s()

    def lack(self, height: int) -> None:
        """Take a height that has been missing since nobody knows when: that is too long."""
        self._lacks = height, -inf

    @property
    def silent(self) -> bool:
        """Whether no peer has answered for too long."""
        return self._clock.elapsed_s() - self._heard_s > self._within_s

    @property
    def missing(self) -> int | None:
        """The height that has been missing for too long, if there is one."""
        if self._lacks is None or self._clock.elapsed_s() - self._lacks[1] <= self._within_s:
            return None
        return self._lacks[0]
