"""Read a table of records through a mapping that says what every column may hold.

Nothing is coerced in silence. A cell becomes a value only as its mapping says; blanks around it
are cut and unclear codes taken as ``UNCLEAR`` only where the mapping allows it, and then there is a
note. A row with any other cell is rejected with its line and the reason, and kept as it was.
"""

from __future__ import annotations

import csv
import io
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from ledgercore.arguments import LIMIT_COUNT
from ledgercore.errors import MalformedError
from ledgercore.profiles.scorecard import Characteristic, Scorecard
from ledgercore.records import Field, ProductPublish, SchemaRegister
from ledgercore.records.base import Value
from ledgercore.wording import in_words, unknown_keys

__all__ = ["Column", "Mapping", "Note", "Rejection", "Row", "Table", "load_table", "parse_mapping"]

UNCLEAR = "UNCLEAR"
"""The value of a cell whose code the mapping lists as unclear."""


class Column(Struct, frozen=True, forbid_unknown_fields=True):
    """One field: its code and unit, the column it is read from, and what a cell may hold."""

    code: str
    column: str
    type: Literal["uint", "text", "code"]
    unit: str
    level: Annotated[int, Meta(ge=1, le=5)]
    allowed: dict[str, str] = {}
    unclear: tuple[str, ...] = ()
    missing: str = ""
    trim: bool = False
    maximum: int = LIMIT_COUNT
    consented: bool = True


class Approval(Struct, frozen=True, forbid_unknown_fields=True):
    """The simplest decision: approve where a field reaches a value, refer where it is none."""

    field: str
    at_least: int

    def scorecard(self) -> Scorecard:
        """The same as a scorecard of one field."""
        rule = Characteristic(self.field, "R_APPROVAL", (self.at_least,), (), (0, 2), 1)
        return Scorecard(1, "approval", "1", 0, 2, 1, (rule,))


class Offer(Struct, frozen=True, forbid_unknown_fields=True):
    """The product that the table is offered as."""

    product: str
    title: str
    version: str
    purpose: str
    period_begin: str
    period_end: str
    needs_agreement: bool = True


class Mapping(Struct, frozen=True, forbid_unknown_fields=True):
    """How a table is read: see examples/sba.toml."""

    subject: str
    offer: Offer
    approval: Approval
    field: tuple[Column, ...]

    def schema(self) -> SchemaRegister:
        """What the provider registers: a schema of the table's own, which its product is named as.

        Its version is always 1: a table with other fields is offered as another product.
        """
        fields = tuple(Field(column.code, column.unit, column.level) for column in self.field)
        return SchemaRegister(self.offer.product, 1, self.offer.title, fields)

    def product(self) -> ProductPublish:
        """What the provider publishes on that schema."""
        offer, codes = self.offer, tuple(column.code for column in self.field)
        return ProductPublish(
            product=offer.product,
            title=offer.title,
            version=offer.version,
            schema=offer.product,
            schema_version=1,
            codes=codes,
            purposes=(offer.purpose,),
            needs_agreement=offer.needs_agreement,
        )


@dataclass(frozen=True)
class Row:
    """One accepted row: the line it ends on, its subject, its values by field."""

    line: int
    subject: str
    values: dict[str, Value]


@dataclass(frozen=True)
class Rejection:
    """One rejected row: the line it ends on, why, and its cells as they were."""

    line: int
    reason: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Note:
    """What was taken otherwise than it stood, as the mapping allows."""

    line: int
    text: str


@dataclass
class Table:
    """What a file held: every row is either accepted or rejected."""

    header: tuple[str, ...] = ()
    rows: list[Row] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many rows there were."""
        return len(self.rows) + len(self.rejected)


class _UnfitError(Exception):
    """A cell that its column does not take."""


def parse_mapping(text: str) -> Mapping:
    """The mapping in a TOML text, or ``MalformedError`` with what is wrong in it."""
    try:
        table = tomllib.loads(text)
        if unknown := unknown_keys(table, Mapping):
            raise MalformedError(f"mapping: {'; '.join(unknown)}")
        mapping = msgspec.convert(table, Mapping)
    except (ValueError, msgspec.ValidationError) as error:  # no TOML, or a number too long
        raise MalformedError(f"mapping: {in_words(error)}") from error
    except RecursionError:
        raise MalformedError("mapping is nested too deeply, want tables of fields") from None
    codes = [column.code for column in mapping.field]
    if len(set(codes)) != len(codes):
        raise MalformedError("mapping: two fields have one code, want each its own")
    if mapping.approval.field not in codes:
        raise MalformedError(f"mapping: approval is by {mapping.approval.field}, want a field")
    return mapping


def load_table(data: bytes, mapping: Mapping) -> Table:
    """The rows of a CSV file with a header, in UTF-8."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedError(f"table is not UTF-8 at byte {error.start}") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    table = Table(header=tuple(next(_cells(reader), [])))
    wanted = [mapping.subject, *(column.column for column in mapping.field)]
    absent = [name for name in wanted if table.header.count(name) != 1]
    if absent:
        raise MalformedError(f"table has not one column each of {', '.join(absent)}")
    subjects: set[str] = set()
    for cells in _cells(reader):
        line = reader.line_num
        try:
            row, notes = _read_row(line, table.header, cells, mapping)
            if row.subject in subjects:
                raise _UnfitError(f"{mapping.subject} is {row.subject!r}, which an earlier row has")
        except _UnfitError as unfit:
            table.rejected.append(Rejection(line, str(unfit), tuple(cells)))
        else:
            subjects.add(row.subject)
            table.rows.append(row)
            table.notes += notes
    return table


def _cells(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    try:
        yield from (cells for cells in reader if cells)
    except csv.Error as error:
        raise MalformedError(f"table is not CSV after line {reader.line_num}: {error}") from error  # type: ignore[attr-defined]


def _read_row(
    line: int, header: tuple[str, ...], cells: list[str], mapping: Mapping
) -> tuple[Row, list[Note]]:
    if len(cells) != len(header):
        raise _UnfitError(f"row has {len(cells)} cells, want {len(header)}")
    by_name = dict(zip(header, cells, strict=True))
    subject = by_name[mapping.subject]
    if not subject or subject != subject.strip() or len(subject) > 64:
        raise _UnfitError(f"{mapping.subject} is {subject!r}, want a name without blanks around it")
    values: dict[str, Value] = {}
    notes: list[Note] = []
    for column in mapping.field:
        cell = by_name[column.column]
        if column.trim and cell != cell.strip():
            notes.append(Note(line, f"{column.column} is {cell!r}: blanks around it are cut"))
            cell = cell.strip()
        if cell in column.unclear:
            notes.append(Note(line, f"{column.column} is {cell!r}: taken as {UNCLEAR}"))
        values[column.code] = _read_cell(column, cell)
    return Row(line, subject, values), notes


def _read_cell(column: Column, cell: str) -> Value:
    if cell == "":
        if not column.missing:
            raise _UnfitError(f"{column.column} is empty")
        return column.missing
    if cell in column.unclear:
        return UNCLEAR
    if column.type == "code":
        if cell not in column.allowed:
            want = ", ".join(sorted(column.allowed))
            raise _UnfitError(f"{column.column} is {cell!r}, want one of {want}")
        return column.allowed[cell]
    if column.type == "uint":
        if not (cell.isascii() and cell.isdigit()) or (cell != "0" and cell[0] == "0"):
            raise _UnfitError(f"{column.column} is {cell!r}, want a whole number")
        # Python reads no number of thousands of digits.
        if len(cell) > len(str(column.maximum)) or int(cell) > column.maximum:
            raise _UnfitError(f"{column.column} is {cell}, want at most {column.maximum}")
        return int(cell)
    if cell != cell.strip() or not cell.isprintable() or len(cell) > 256:
        raise _UnfitError(
            f"{column.column} is {cell!r}, want printable text without blanks around it"
        )
    return cell
