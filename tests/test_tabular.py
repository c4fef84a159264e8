"""Tables: every row is accepted or rejected with its line and reason, and none is lost."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from ledgercore import MalformedError
from ledgercore.profiles import load_table, parse_mapping

REPOSITORY = Path(__file__).resolve().parent.parent
SBA = REPOSITORY.parent / "shared" / "data" / "sba" / "sba_case_2017.csv"
MAPPING = """
subject = "id"
[offer]
product = "p"
title = "t"
version = "1"
purpose = "credit.assess"
period_begin = "a"
period_end = "b"
[approval]
field = "n"
at_least = 1
[[field]]
code = "n"
column = "count"
type = "uint"
unit = "pieces"
level = 1
maximum = 100
missing = "NOT_FILED"
[[field]]
code = "c"
column = "flag"
type = "code"
unit = "flag"
level = 1
trim = true
allowed = { Y = "YES", N = "NO" }
unclear = ["0"]
[[field]]
code = "t"
column = "words"
type = "text"
unit = "text"
level = 1
"""


def table(rows: str) -> object:
    return load_table(f"id,count,flag,words\n{rows}".encode(), parse_mapping(MAPPING))


def test_cells_become_values_only_as_the_mapping_says() -> None:
    read = table('a,5,Y,"one, two"\nb,, N ,x\nc,0,0,y\n')

    values = [row.values for row in read.rows]
    assert values == [
        {"n": 5, "c": "YES", "t": "one, two"},
        {"n": "NOT_FILED", "c": "NO", "t": "x"},
        {"n": 0, "c": "UNCLEAR", "t": "y"},
    ]
    assert [(note.line, note.text) for note in read.notes] == [
        (3, "flag is ' N ': blanks around it are cut"),
        (4, "flag is '0': taken as UNCLEAR"),
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a,1.5,Y,x", "count is '1.5', want a whole number"),
        ("a,-1,Y,x", "count is '-1', want a whole number"),
        ("a, 1,Y,x", "count is ' 1', want a whole number"),
        ("a,007,Y,x", "count is '007', want a whole number"),
        ("a,\u0661,Y,x", "count is '\u0661', want a whole number"),
        ("a,101,Y,x", "count is 101, want at most 100"),
        (f"a,{'9' * 5000},Y,x", f"count is {'9' * 5000}, want at most 100"),
        ("a,1,T,x", "flag is 'T', want one of N, Y"),
        ("a,1,,x", "flag is empty"),
        ("a,1,Y,", "words is empty"),
        ("a,1,Y, x", "words is ' x', want printable text without blanks around it"),
        ("a,1,Y", "row has 3 cells, want 4"),
        (",1,Y,x", "id is '', want a name without blanks around it"),
    ],
)
def test_a_row_that_does_not_fit_is_rejected_and_kept(row: str, reason: str) -> None:
    read = table(f"ok,1,Y,x\n{row}\n")

    assert [(r.line, r.reason, r.cells) for r in read.rejected] == [
        (3, reason, tuple(row.split(",")))
    ]
    assert read.count == 2


def test_a_subject_stands_for_one_row() -> None:
    read = table("a,1,Y,x\na,2,Y,y\n")

    assert [(r.line, r.reason) for r in read.rejected] == [
        (3, "id is 'a', which an earlier row has")
    ]


def test_a_mapping_that_is_none_is_refused() -> None:
    for part, other in (
        ("maximum = 100", "maximum"),
        ("maximum = 100", f"maximum = {'9' * 5000}"),
        ("maximum = 100", "least = 1"),
        ('code = "c"', 'code = "n"'),
        ('field = "n"', 'field = "x"'),
    ):
        with pytest.raises(MalformedError, match=r"^mapping: "):
            parse_mapping(MAPPING.replace(part, other))
    with pytest.raises(MalformedError, match=r"^mapping is nested too deeply"):
        parse_mapping(f"field = {'[' * 100_000}")


def test_a_table_that_is_none_is_refused_as_a_whole() -> None:
    with pytest.raises(MalformedError, match="not one column each of id"):
        load_table(b"a,b\n1,2\n", parse_mapping(MAPPING))
    with pytest.raises(MalformedError, match="not UTF-8"):
        load_table(b"id,\xff\n", parse_mapping(MAPPING))


@pytest.mark.skipif(not SBA.is_file(), reason="the shared data is not here")
def test_the_real_table_is_read_whole() -> None:
    mapping = parse_mapping((REPOSITORY / "examples" / "sba.toml").read_text())
    data = SBA.read_bytes()
    read = load_table(data, mapping)

    lines = list(csv.reader(data.decode("utf-8-sig").splitlines()))
    assert read.count == len(lines) - 1 == 2101
    assert len(read.rows) + len(read.rejected) == 2101
    for rejection in read.rejected:
        assert list(rejection.cells) == lines[rejection.line - 1]
    for row in read.rows:
        cells = dict(zip(read.header, lines[row.line - 1], strict=True))
        assert row.values["firm.employees"] == int(cells["NoEmp"])
        assert cells["LowDoc"] in ("Y", "N") and cells["NewExist"] in ("1", "2")
        assert (row.values["loan.revolving"] == "UNCLEAR") == (cells["RevLineCr"] in ("0", "T"))
