"""Give fields one meaning for a whole network: codes, units, levels, and how values may be missing.

A dictionary is data. A provider registers it as a schema, and products take their fields from that,
so that who reads the catalogue knows what a field is without asking; whoever delivers holds values
to it first. A value
that is not there is one of ``MISSING``, never zero and never nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ledgercore.errors import MalformedError
from ledgercore.records import Field, SchemaRegister
from ledgercore.records.base import Value

__all__ = ["MISSING", "Dictionary", "Entry"]

MISSING = ("NOT_FILED", "NOT_APPLICABLE", "WITHHELD")
"""Why there is no value: it was due and not filed; there can be none; it may not be given."""

_DATE = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])", re.ASCII)
_LEVELS = ("public", "internal", "restricted", "confidential", "secret")


@dataclass(frozen=True)
class Entry:
    """One field: what it means and what its values are.

    ``unit`` is ``fen``, ``count``, ``bp``, ``date`` (``2026-11-30``), ``text``, or the codes that
    a value is one of, parted by ``/``. A series has ``periods`` fields, ``<code>.1`` for the last
    closed period and so on back. Only a ``signed`` number may be below zero. ``modes``: R raw, B in
    bins, P as a predicate, C as a count or a flag.
    """

    code: str
    meaning: str
    unit: str
    level: int
    modes: str
    periods: int = 0
    signed: bool = False

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes that a value is one of; empty where it is no code."""
        return tuple(self.unit.split("/")) if "/" in self.unit else ()

    @property
    def field_codes(self) -> tuple[str, ...]:
        """The codes of its fields: its own, or one a period."""
        periods = range(1, self.periods + 1)
        return tuple(f"{self.code}.{period}" for period in periods) or (self.code,)

    @property
    def is_number(self) -> bool:
        """Whether a value is a whole number."""
        return self.unit in ("fen", "count", "bp")


class Dictionary:
    """The entries of one profile, by code."""

    def __init__(self, name: str, entries: Sequence[Entry]) -> None:
        self.name = name
        self.entries = tuple(entries)
        self._by_code = {entry.code: entry for entry in entries}

    def entry(self, code: str) -> Entry:
        """The entry of a field's code; MalformedError where there is none."""
        entry = self._by_code.get(code)
        if entry is not None and not entry.periods:
            return entry
        series, _, period = code.rpartition(".")
        entry = self._by_code.get(series)
        if entry is not None and period in map(str, range(1, entry.periods + 1)):
            return entry
        raise MalformedError(f"field is {code!r}, want a code of the dictionary {self.name}")

    @property
    def codes(self) -> tuple[str, ...]:
        """Every field's code, each period of a series too."""
        return tuple(code for entry in self.entries for code in entry.field_codes)

    def schema(self, version: int, title: str) -> SchemaRegister:
        """The whole dictionary as a schema; it has a new version where the dictionary changed."""
        entries = ((code, self.entry(code)) for code in self.codes)
        fields = tuple(Field(code, entry.unit, entry.level) for code, entry in entries)
        return SchemaRegister(self.name, version, title, fields)

    def check_value(self, code: str, value: Value) -> None:
        """Raise MalformedError where a field cannot have the value."""
        entry = self.entry(code)
        if value in MISSING:
            return
        if entry.is_number:
            if type(value) is not int or (value < 0 and not entry.signed):
                raise MalformedError(f"{code} is {value!r}, want a whole number of {entry.unit}")
        elif type(value) is not str or not value:
            raise MalformedError(f"{code} is {value!r}, want text, or one of {list(MISSING)}")
        elif entry.codes and value not in entry.codes:
            raise MalformedError(f"{code} is {value!r}, want one of {list(entry.codes)}")
        elif entry.unit == "date" and not _DATE.fullmatch(value):
            raise MalformedError(f"{code} is {value!r}, want a date such as 2026-11-30")

    def document(self) -> str:
        """The dictionary as a Markdown table."""
        lines = [
            "| code | meaning | unit | level | modes | periods |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        for entry in self.entries:
            unit = f"{entry.unit}, signed" if entry.signed else entry.unit
            level = f"{entry.level} {_LEVELS[entry.level - 1]}"
            cells = (f"`{entry.code}`", entry.meaning, unit, level, entry.modes)
            lines.append(f"| {' | '.join(cells)} | {entry.periods or ''} |")
        return "\n".join(lines)
