"""Let each caller ask so often, and so much at a time.

A caller has a bucket of tokens that fills at a steady rate; a request takes one. What it may have
under way at a time is counted beside it. A caller is a name: a member, or a certificate and what it
asks for. A bucket that is full, with nothing under way, is as none, and is let go.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

from ledgercore.clock import Clock
from ledgercore.errors import UnavailableError

__all__ = ["Allowance", "Rates", "TooManyError"]

BUCKETS = 4_096
"""Buckets from which on those that are as none are looked for."""


class TooManyError(UnavailableError):
    """More than the caller may have now; ``wait_s`` says when to ask again, in whole seconds."""

    def __init__(self, message: str, wait_s: float) -> None:
        super().__init__(message)
        self.wait_s = max(1, ceil(wait_s))

    @classmethod
    def of_limit(cls, passed: str, limit: str, wait_s: float = 1) -> TooManyError:
        """That a caller passed one of the limits of the node that says so."""
        error = cls("", wait_s)
        return cls(f"{passed}: this node's {limit}; ask again in {error.wait_s} s", wait_s)


class Allowance(NamedTuple):
    """Requests of one caller: a second in the long run, at once, and under way at a time; and what
    the settings call these limits."""

    per_s: int
    burst: int
    under_way: int
    often: str = "requests"
    at_a_time: str = "requests_under_way"


@dataclass
class _Bucket:
    allowance: Allowance
    tokens: float
    filled_s: float
    under_way: int = 0

    def fill(self, now_s: float) -> None:
        gained = (now_s - self.filled_s) * self.allowance.per_s
        self.tokens = min(self.allowance.burst, self.tokens + gained)
        self.filled_s = now_s

    def is_as_none(self, now_s: float) -> bool:
        self.fill(now_s)
        return not self.under_way and self.tokens == self.allowance.burst


class Rates:
    """What each caller has left."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    @contextmanager
    def request(self, caller: str, allowance: Allowance) -> Iterator[None]:
        """Count one request of a caller while it is under way, or raise ``TooManyError``."""
        bucket = self._bucket(caller, allowance)
        if bucket.tokens < 1:
            raise TooManyError.of_limit(
                f"{caller} asks more than {allowance.per_s} times a second and {allowance.burst} "
                "at once",
                f"limits {allowance.often}_per_s and {allowance.often}_burst",
                (1 - bucket.tokens) / allowance.per_s,
            )
        if bucket.under_way >= allowance.under_way:
            raise TooManyError.of_limit(
                f"{caller} has {bucket.under_way} requests under way, want at most "
                f"{allowance.under_way}",
                f"limit {allowance.at_a_time}",
            )
        bucket.tokens -= 1
        bucket.under_way += 1
        try:
            yield
        finally:
            bucket.under_way -= 1

    def _bucket(self, caller: str, allowance: Allowance) -> _Bucket:
        now_s = self._clock.elapsed_s()
        bucket = self._buckets.get(caller)
        if bucket is None:
            if len(self._buckets) >= BUCKETS:
                kept = self._buckets.items()
                self._buckets = {name: each for name, each in kept if not each.is_as_none(now_s)}
            bucket = self._buckets[caller] = _Bucket(allowance, allowance.burst, now_s)
        bucket.fill(now_s)
        return bucket
