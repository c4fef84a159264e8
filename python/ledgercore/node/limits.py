"""Every bound that a node holds its callers to, in one place.

A bound is checked before what it bounds is allocated or begun. Each can be set in the settings'
``[limits]``; the defaults stand here, with what passing one is answered with. The default of a
share, such as ``connections_of_certificate``, is never more than the whole. Bounds that were set
and cannot be meant are refused, all of them in one error, alone or beside each other: by some a
sound request would be refused for ever, by others one caller would have what is everybody's.
"""

from __future__ import annotations

from typing import get_type_hints

from msgspec import Struct
from msgspec.structs import force_setattr

from ledgercore._core import RECORD_BYTES
from ledgercore.errors import MalformedError
from ledgercore.sync.messages import SILENCE_MS
from ledgercore.sync.offences import LAST_DELAY_MS

__all__ = ["WARRANT_CHARACTERS", "Limits", "bounds_of", "wholes_of"]

WARRANT_CHARACTERS = 4096
"""Characters of a request's warrant at most, as its header holds it."""

_SHARES = (
    ("member_bodies_bytes", "bodies_bytes", 0, "one member would have room for more than all have"),
    ("body_bytes", "member_bodies_bytes", 0, "larger bodies would get 429 for ever"),
    ("open_body_bytes", "open_bodies_bytes", 0, "larger bodies would get 429 for ever"),
    ("connections_of_certificate", "connections", 0, "one certificate would have more than all"),
    ("handshakes_of_address", "handshakes", 0, "one address would have more than all"),
    ("streams", "connections", 1, "event streams would leave no connection for requests"),
    ("member_streams", "streams", 0, "one member would have more than all"),
    (
        "member_streams",
        "connections_of_certificate",
        1,
        "a member's event streams would leave it no connection for requests",
    ),
    ("answer_s", "promise_s", 0, "records that are ordered in time would break their promises"),
)
"""Which bound is at most which other, or less by so much, or what would be. What a bound is at most
comes before it, so that a default follows another that follows a third."""

_ONE_RECORD = (
    4 + RECORD_BYTES,
    "one record takes so many, for which all bodies of a member and of all must have room",
)
_ONE_CHECKPOINT = (
    20 * 1024,
    "a checkpoint to be cosigned takes so many, with its signatures and the proof that it goes on",
)
_ONE_MORE = (2, "an event stream takes one, and requests need another")

_AT_LEAST: dict[str, tuple[float, str]] = {
    "body_bytes": _ONE_RECORD,
    "bodies_bytes": _ONE_RECORD,
    "member_bodies_bytes": _ONE_RECORD,
    "open_body_bytes": _ONE_CHECKPOINT,
    "open_bodies_bytes": _ONE_CHECKPOINT,
    "connections": _ONE_MORE,
    "connections_of_certificate": _ONE_MORE,
    "skew_s": (1, "a request is on its way for some of it, and no two clocks are the same"),
    "header_bytes": (2 * WARRANT_CHARACTERS, "a warrant and a target take so many"),
    "ready_s": (
        LAST_DELAY_MS / 1000,
        "a peer or witness that failed is asked again only after as long",
    ),
}
_AT_MOST: dict[str, tuple[float, str]] = {
    "heartbeat_s": (SILENCE_MS / 2000, "who listens takes a stream without one for broken"),
}
"""What else bounds one, and why."""


class _Follows(int):
    """A default that is lower where what it is a share of was set to less."""


_RANGES: dict[type, tuple[float, float]] = {int: (1, 2**31), float: (0.1, 3600)}
"""What makes sense of a count, and of a time in seconds: in less no caller of another machine does
anything."""


class Limits(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The bounds of one node."""

    body_bytes: int = _Follows(16 * 1024 * 1024)
    """Bytes of a request's body that comes with a warrant: 413."""
    bodies_bytes: int = 64 * 1024 * 1024
    """Bytes of all members' bodies that have come and are not answered yet: 503."""
    member_bodies_bytes: int = _Follows(32 * 1024 * 1024)
    """The same of one member's: 429."""
    open_body_bytes: int = _Follows(64 * 1024)
    """Bytes of a body that needs no warrant, as of a checkpoint to be cosigned: 413."""
    open_bodies_bytes: int = 4 * 1024 * 1024
    """Bytes of all bodies without a warrant that have come and are not answered yet: 503."""
    records_at_once: int = 16_384
    """Records in one submission: 413."""
    promises: int = 1_024
    """Promised records that are not ordered yet: 503."""
    promise_s: float = 60.0
    """From a promise to the time by which its record is on the ledger."""
    receipts_at_once: int = 4_096
    """Receipts or records in one answer: 400."""
    snapshot_bytes: int = 256 * 1024 * 1024
    """Bytes of the snapshot that is kept in memory for those who join, at most: 503."""
    requests_per_s: int = 200
    """Requests of one member a second, in the long run: 429.

    So often may one certificate have checkpoints cosigned, too: there is one with each block.
    """
    requests_burst: int = 400
    """Requests of one member that may come at once, and likewise checkpoints: 429."""
    requests_under_way: int = 64
    """Requests of one member that are answered at a time: 429."""
    open_requests_per_s: int = 20
    """Requests without a warrant by one certificate a second, in the long run: 429.

    Probes are counted apart from the rest, here as in the two bounds below.
    """
    open_requests_burst: int = 100
    """Requests without a warrant by one certificate that may come at once: 429."""
    open_requests_under_way: int = 8
    """Requests without a warrant by one certificate that are answered at a time: 429.

    So many, counted apart, are the checkpoints that it has cosigned at a time.
    """
    connections: int = 1_024
    """Open connections: what comes beyond is closed, or an idle one of the same certificate."""
    connections_of_certificate: int = _Follows(128)
    """Open connections with one certificate: what comes beyond is closed, or one that is idle."""
    streams: int = _Follows(256)
    """Open event streams: 503."""
    member_streams: int = _Follows(64)
    """The same of one member's, which are none of its requests under way: 429."""
    header_bytes: int = 32 * 1024
    """Bytes of a request's line and headers: 400, or closed."""
    handshakes: int = 256
    """TLS handshakes under way: what comes beyond is closed."""
    handshakes_of_address: int = _Follows(64)
    """TLS handshakes under way with one address: what comes beyond is closed."""
    handshake_s: float = 5.0
    """From an accepted connection to the end of its TLS handshake: closed."""
    headers_s: float = 10.0
    """From a connection, or the first byte of a request, to the end of its headers: closed."""
    body_s: float = 20.0
    """For reading a body: 408."""
    answer_s: float = _Follows(30)
    """For making an answer, but not for sending it: 503."""
    write_s: float = 20.0
    """For a caller to take one piece of an answer: closed."""
    idle_s: float = 60.0
    """A connection without a request: closed."""
    stop_s: float = 20.0
    """For answers that are under way when the node is told to stop."""
    skew_s: float = 30.0
    """Between a request's time and the node's: 401."""
    nonces: int = 200_000
    """Requests whose nonces are remembered while their time is valid: 503 beyond."""
    ready_s: float = 30.0
    """How long every peer may be silent, or a newer block be missing or not cosigned, before the
    node is not ready."""
    heartbeat_s: float = 15.0
    """Between two signs of life on an event stream without events."""

    def __post_init__(self) -> None:
        """Raise ``MalformedError`` with all that makes no sense, once defaults have followed."""
        wrong = {name: why for name in _KINDS if (why := self._out_of_range(name))}
        sound = [share for share in _SHARES if not {share[0], share[1]} & set(wrong)]
        follow = {name for name in _KINDS if isinstance(self._of(name), _Follows)}
        told = [*wrong.values()]
        for name, other, less, why in sound:
            most = self._of(other) - less
            if name in follow:
                force_setattr(self, name, +max(less, min(self._of(name), most)))
            if self._of(name) > most:
                than = "less than" if less else "at most"
                told.append(
                    f"limits.{name} is {_shown(self._of(name))}, want {than} {other}, which is "
                    f"{_shown(self._of(other))}, else {why}: lower {name}, or raise {other}"
                )
        # For as long as a nonce is kept a member may ask, and open streams, as often as it may.
        asks = not {"nonces", "skew_s", "requests_per_s", "requests_burst"} & set(wrong)
        kept = 2 * round(2 * self.skew_s * self.requests_per_s + self.requests_burst) if asks else 0
        if asks and self.nonces < kept:
            told.append(
                f"limits.nonces is {self.nonces}, want at least {kept}: with skew_s "
                f"{self.skew_s:g} and requests_per_s {self.requests_per_s} one member would take "
                "all of them: raise it, or lower one of these"
            )
        if told:
            raise MalformedError("; ".join(told))

    def _out_of_range(self, name: str) -> str | None:
        """What is wrong with one bound by itself."""
        (least, most), got = bounds_of(name), self._of(name)
        if least <= got <= most:  # which a NaN is not
            return None
        _, why = (_AT_MOST if got > most else _AT_LEAST).get(name, (0, ""))
        want = f"limits.{name} is {_shown(got)}, want {_shown(least)} to {_shown(most)}"
        return f"{want}: {why}" if why else want

    def _of(self, name: str) -> float:
        found: float = getattr(self, name)
        return found


_KINDS: dict[str, type] = get_type_hints(Limits)


def bounds_of(name: str) -> tuple[float, float]:
    """From what to what one bound may be set, whatever the others are."""
    least, most = _RANGES[_KINDS[name]]
    if name in _AT_LEAST:
        least = _AT_LEAST[name][0]
    if name in _AT_MOST:
        most = _AT_MOST[name][0]
    return least, most


def wholes_of(name: str) -> list[tuple[str, bool]]:
    """What one bound is at most, or where it says so less than."""
    return [(other, less > 0) for each, other, less, _ in _SHARES if each == name]


def _shown(number: float) -> str:
    """A number in digits, however large it is."""
    return str(number) if isinstance(number, int) else f"{number:.12g}"
