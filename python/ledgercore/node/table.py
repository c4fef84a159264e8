"""Say what a row of a node's routes is: the table is served from, and described by OpenAPI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from ledgercore.node.guard import OPEN
from ledgercore.node.limits import Limits

__all__ = ["Parameter", "RouteRow"]


class Parameter(NamedTuple):
    """A part of a path or a query."""

    name: str
    meaning: str
    kind: str = "integer"
    required: bool = True


class RouteRow(NamedTuple):
    """One thing that can be asked."""

    method: str
    path: str
    answer: Callable[[Request], Awaitable[Response]]
    summary: str
    answers: str
    parameters: Sequence[Parameter] = ()
    takes: str = ""
    absent: bool = False
    """Whether it can be answered with 404."""
    refuses: Mapping[int, str] = MappingProxyType({})
    """Statuses of its own protocol, and what each says; their answers are text."""
    most_bytes: int = 2**31
    """Bytes of a body that makes sense here, whatever a node's limits are."""

    def body_bytes(self, limits: Limits) -> int:
        """Bytes of a body at most; 0 where none is taken."""
        if not self.takes:
            return 0
        limit = limits.open_body_bytes if self.path in OPEN else limits.body_bytes
        return min(limit, self.most_bytes)
