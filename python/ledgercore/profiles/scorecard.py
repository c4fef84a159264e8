"""Score a firm on consented fields with a table of whole numbers, the same on every machine.

A scorecard gives points for the band that each field's value falls in. The sum decides; the fields
that cost the most points are the reasons. The encoded table is the model whose hash a decision
record carries, so that whoever holds the fields and the table can follow the decision.

A characteristic in its wire form, a field of two bands and what a missing value gets:

    ["firm.employees", "R_EMPLOYEES", [3], [], [5, 20], 0]
"""

from __future__ import annotations

import tomllib
from bisect import bisect_right
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from ledgercore._core import hash_domain
from ledgercore.arguments import LIMIT_COUNT
from ledgercore.errors import InvalidError, MalformedError
from ledgercore.records import DecisionRecord
from ledgercore.records.base import LIMIT_ITEMS, Code, Identifier, Part, Text, Value
from ledgercore.records.decision import DecisionOutcome
from ledgercore.wording import in_words, unknown_keys

__all__ = [
    "LIMIT_POINTS",
    "LIMIT_REASONS",
    "Assessment",
    "Characteristic",
    "Scorecard",
    "assess",
    "decode_scorecard",
    "encode_scorecard",
    "parse_scorecard",
    "verify_decision",
]

LIMIT_POINTS = 1_000_000
"""Points of one band, above or below zero, at most."""

LIMIT_REASONS = 4
"""Reasons that an assessment gives at most: what a person can act on."""

SCORECARD_BYTES = 256 * 1024
"""Bytes of an encoded scorecard at most."""

Points = Annotated[int, Meta(ge=-LIMIT_POINTS, le=LIMIT_POINTS)]
Total = Annotated[int, Meta(ge=-LIMIT_POINTS * LIMIT_ITEMS, le=LIMIT_POINTS * LIMIT_ITEMS)]


class Characteristic(Part, frozen=True):
    """One field's bands, and the reason that is given where it cost points.

    A number is in band ``i`` if ``i`` of the ascending ``bounds`` are at or below it, so that there
    is one band more than bounds. A code is in the band of the group of ``codes`` that lists it.
    Whatever else a value is, and where there is none, it gets ``otherwise``.
    """

    field: Identifier
    reason: Code
    bounds: tuple[Annotated[int, Meta(ge=-LIMIT_COUNT, le=LIMIT_COUNT)], ...]
    codes: tuple[tuple[Text, ...], ...]
    points: tuple[Points, ...]
    otherwise: Points

    def points_of(self, value: Value | None) -> int:
        """The points of a value."""
        if isinstance(value, int) and not self.codes:
            return self.points[bisect_right(self.bounds, value)]
        for group, points in zip(self.codes, self.points, strict=False):
            if value in group:
                return points
        return self.otherwise

    @property
    def best(self) -> int:
        """The most points that a value can get."""
        return max(*self.points, self.otherwise)


class Scorecard(Part, frozen=True):
    """A model: a score of ``approve_from`` is approved, one of ``refer_from`` goes to a person."""

    version: Literal[1]
    name: Identifier
    edition: Text
    base: Points
    approve_from: Total
    refer_from: Total
    characteristics: Annotated[
        tuple[Characteristic, ...], Meta(min_length=1, max_length=LIMIT_ITEMS)
    ]


class Assessment(Struct, frozen=True):
    """What a scorecard says of one firm: score, outcome, reasons, and how each field counted.

    ``parts`` holds each characteristic's field, points, and the most that it could have given.
    """

    score: int
    outcome: DecisionOutcome
    reasons: tuple[str, ...]
    parts: tuple[tuple[str, int, int], ...]

    def explanation(self) -> list[str]:
        """The assessment in words, a line a field; it says nothing of the values themselves."""
        lines = [f"score {self.score}: {self.outcome}"]
        return lines + [f"{field}: {got} of {best} points" for field, got, best in self.parts]


def assess(scorecard: Scorecard, values: Mapping[str, Value]) -> Assessment:
    """Score the values. A field that the scorecard does not know counts nothing."""
    parts, lost = [], []
    for characteristic in scorecard.characteristics:
        points = characteristic.points_of(values.get(characteristic.field))
        parts.append((characteristic.field, points, characteristic.best))
        lost.append((characteristic.best - points, characteristic.reason))
    score = scorecard.base + sum(points for _, points, _ in parts)
    # The sort is stable: of two that cost as much, the one that stands first is named first.
    worst = sorted((each for each in lost if each[0] > 0), key=lambda each: -each[0])
    outcome: DecisionOutcome = "declined"
    if score >= scorecard.approve_from:
        outcome = "approved"
    elif score >= scorecard.refer_from:
        outcome = "referred"
    reasons = () if outcome == "approved" else tuple(reason for _, reason in worst[:LIMIT_REASONS])
    return Assessment(score, outcome, reasons, tuple(parts))


def verify_decision(
    suite: str, scorecard: Scorecard, values: Mapping[str, Value], decision: DecisionRecord
) -> Assessment:
    """The assessment that a recorded decision rests on; raise where it does not follow from it."""
    model = hash_domain(suite, "commitment", encode_scorecard(scorecard))
    if decision.model_hash != model:
        got, want = decision.model_hash.hex()[:16], model.hex()[:16]
        raise InvalidError(f"decision is by model {got}, not by {want}")
    assessment = assess(scorecard, values)
    recorded, follows = (
        (decision.outcome, decision.reasons),
        (assessment.outcome, assessment.reasons),
    )
    if recorded != follows:
        raise InvalidError(f"decision is {recorded}, and by the model it is {follows}")
    return assessment


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Scorecard)


def encode_scorecard(scorecard: Scorecard) -> bytes:
    """The bytes whose hash names the model; raise MalformedError for a table that is none."""
    _check(scorecard)
    return _ENCODER.encode(scorecard)


def decode_scorecard(data: bytes) -> Scorecard:
    """The scorecard in its one encoding."""
    if len(data) > SCORECARD_BYTES:
        raise MalformedError(f"scorecard has {len(data)} bytes, want at most {SCORECARD_BYTES}")
    try:
        scorecard = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedError(f"scorecard: {in_words(error)}") from error
    if _ENCODER.encode(scorecard) != data:
        raise MalformedError("scorecard is not in its canonical form")
    _check(scorecard)
    return scorecard


def _check(scorecard: Scorecard) -> None:
    """Hold the table to what its types do not say."""
    try:
        msgspec.convert(msgspec.to_builtins(scorecard), Scorecard)
    except msgspec.ValidationError as error:
        raise MalformedError(f"scorecard: {in_words(error)}") from error
    if scorecard.refer_from > scorecard.approve_from:
        raise MalformedError(
            f"scorecard: refer_from is {scorecard.refer_from}, "
            f"want at most approve_from, which is {scorecard.approve_from}"
        )
    for what in ("field", "reason"):
        named = [getattr(each, what) for each in scorecard.characteristics]
        if len(set(named)) != len(named):
            raise MalformedError(
                f"scorecard: two characteristics have one {what}, want each its own"
            )
    for characteristic in scorecard.characteristics:
        _check_bands(characteristic)


def _check_bands(characteristic: Characteristic) -> None:
    name, bounds, codes = characteristic.field, characteristic.bounds, characteristic.codes
    if bool(bounds) == bool(codes):
        raise MalformedError(f"scorecard: {name} has bounds and codes or neither, want one of them")
    if any(one >= other for one, other in pairwise(bounds)):
        raise MalformedError(f"scorecard: bounds of {name} are {list(bounds)}, want them ascending")
    listed = [code for group in codes for code in group]
    if not all(codes) or len(set(listed)) != len(listed):
        raise MalformedError(f"scorecard: a code of {name} is in two groups, or a group is empty")
    want = len(codes) or len(bounds) + 1
    if len(characteristic.points) != want:
        got = len(characteristic.points)
        raise MalformedError(f"scorecard: {name} has points for {got} bands, want {want}")


class _Written(Struct, frozen=True, forbid_unknown_fields=True):
    """A characteristic as a person writes it."""

    field: str
    reason: str
    points: tuple[int, ...]
    otherwise: int
    bounds: tuple[int, ...] = ()
    codes: tuple[tuple[str, ...], ...] = ()


class _Document(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    edition: str
    base: int
    approve_from: int
    refer_from: int
    characteristic: tuple[_Written, ...]


def parse_scorecard(text: str) -> Scorecard:
    """The scorecard in a TOML text such as ``examples/sba_scorecard.toml``."""
    try:
        table = tomllib.loads(text)
        if unknown := unknown_keys(table, _Document):
            raise MalformedError(f"scorecard: {'; '.join(unknown)}")
        document = msgspec.convert(table, _Document)
    except (ValueError, msgspec.ValidationError) as error:  # no TOML, or a number too long
        raise MalformedError(f"scorecard: {in_words(error)}") from error
    except RecursionError:
        raise MalformedError("scorecard is nested too deeply, want tables of bands") from None
    characteristics = tuple(
        Characteristic(
            each.field, each.reason, each.bounds, each.codes, each.points, each.otherwise
        )
        for each in document.characteristic
    )
    scorecard = Scorecard(
        version=1,
        name=document.name,
        edition=document.edition,
        base=document.base,
        approve_from=document.approve_from,
        refer_from=document.refer_from,
        characteristics=characteristics,
    )
    _check(scorecard)
    return scorecard
