"""Let each member ask so often, and so much at a time.

A member has a bucket of tokens that fills at a steady rate; a request takes one. What a member may
have under way at a time is counted beside it. Members are as many as the ledger has, so that what
is kept is bounded by them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ledgercore.clock import Clock
from ledgercore.errors import UnavailableError
from ledgercore.node.limits import Limits

__all__ = ["Rates", "TooManyError"]


class TooManyError(UnavailableError):
    """More than the caller may have now; ``wait_s`` says when to ask again."""

    def __init__(self, message: str, wait_s: float) -> None:
        super().__init__(message)
        self.wait_s = wait_s


@dataclass
class _Bucket:
    tokens: float
    filled_s: float
    under_way: int = 0


class Rates:
    """What each member has left."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    @contextmanager
    def request(self, member: str) -> Iterator[None]:
        """Count one request of a member while it is under way, or raise ``TooManyError``."""
        limits, now = self._limits, self._clock.elapsed_s()
        bucket = self._buckets.setdefault(member, _Bucket(limits.requests_burst, now))
        gained = (now - bucket.filled_s) * limits.requests_per_s
        bucket.tokens = min(limits.requests_burst, bucket.tokens + gained)
        bucket.filled_s = now
        if bucket.tokens < 1:
            raise TooManyError(
                f"member {member} asks more than {limits.requests_per_s} times a second: wait",
                (1 - bucket.tokens) / limits.requests_per_s,
            )
        if bucket.under_way >= limits.requests_under_way:
            raise TooManyError(
                f"member {member} has {bucket.under_way} requests under way, want at most "
                f"{limits.requests_under_way}: wait for answers",
                1,
            )
        bucket.tokens -= 1
        bucket.under_way += 1
        try:
            yield
        finally:
            bucket.under_way -= 1
