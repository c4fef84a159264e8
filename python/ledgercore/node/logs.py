"""Write a node's log: one JSON object a line, events and numbers, and never content.

What a node logs is chosen word by word: names of events, members, routes, heights, counts and types
of errors. Messages of errors are not logged, for they quote what they refuse; but those are that
say why a node cannot begin, reload its key, reach a peer, or read or write its own store: they
are of settings, connections, disks and files.
"""

from __future__ import annotations

from typing import Any, TextIO

import structlog

__all__ = ["Log", "make_log"]

Log = structlog.types.FilteringBoundLogger


def make_log(stream: TextIO, **named: str | int) -> Log:
    """A log that writes to a stream; what is named stands in every line."""
    log: Any = structlog.wrap_logger(
        structlog.PrintLogger(stream),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
    )
    bound: Log = log.bind(**named)
    return bound
