"""Scorecards: one encoding, the same score everywhere, and decisions that follow from them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from ledgercore._core import hash_domain
from ledgercore.errors import InvalidError, MalformedError
from ledgercore.profiles import (
    Characteristic,
    Scorecard,
    assess,
    decode_scorecard,
    encode_scorecard,
    load_table,
    parse_mapping,
    parse_scorecard,
    verify_decision,
)
from ledgercore.records import DecisionRecord
from tests.test_tabular import REPOSITORY, SBA

EXAMPLE = REPOSITORY / "examples" / "sba_scorecard.toml"
STAFF = Characteristic("firm.staff", "R_STAFF", (3, 10), (), (0, 15, 30), -5)
AGE = Characteristic("firm.age", "R_AGE", (), (("OLD", "OLDER"), ("NEW",)), (20, 0), 4)
CARD = Scorecard(1, "small.firms", "1", -10, 30, 20, (STAFF, AGE))

points = st.integers(-100, 100)


@st.composite
def characteristics(draw: st.DrawFn, number: int) -> Characteristic:
    name = {"field": f"field.{number}", "reason": f"R_{number}", "otherwise": draw(points)}
    if draw(st.booleans()):
        bounds = sorted(draw(st.sets(st.integers(-50, 50), min_size=1, max_size=5)))
        marks = draw(st.lists(points, min_size=len(bounds) + 1, max_size=len(bounds) + 1))
        return Characteristic(bounds=tuple(bounds), codes=(), points=tuple(marks), **name)
    codes = draw(st.lists(st.sampled_from("ABCDEF"), min_size=1, unique=True))
    groups = (*((code,) for code in codes[1:]), (codes[0], "Z"))
    marks = draw(st.lists(points, min_size=len(groups), max_size=len(groups)))
    return Characteristic(bounds=(), codes=groups, points=tuple(marks), **name)


@st.composite
def scorecards(draw: st.DrawFn) -> Scorecard:
    parts = tuple(draw(characteristics(number)) for number in range(draw(st.integers(1, 6))))
    refer, approve = sorted((draw(points), draw(points)))
    return Scorecard(1, "drawn", "1", draw(points), approve, refer, parts)


values = st.dictionaries(
    st.sampled_from([f"field.{number}" for number in range(7)]),
    st.integers(-60, 60) | st.sampled_from("ABCDEFZ") | st.just("NOT_FILED"),
)


def slow(card: Scorecard, given_values: dict[str, Any]) -> tuple[int, str, list[str]]:
    """The same by the words of the specification, band by band."""
    score, lost = card.base, []
    for each in card.characteristics:
        value, got = given_values.get(each.field), each.otherwise
        if each.codes:
            for at, group in enumerate(each.codes):
                got = each.points[at] if value in group else got
        elif isinstance(value, int):
            edges = [-(10**9), *each.bounds, 10**9]
            for at, mark in enumerate(each.points):
                got = mark if edges[at] <= value < edges[at + 1] else got
        score += got
        lost.append((max(*each.points, each.otherwise) - got, each.reason))
    if score >= card.approve_from:
        return score, "approved", []
    reasons: list[str] = []
    while lost and len(reasons) < 4:
        most = max(points for points, _ in lost)
        at = [points for points, _ in lost].index(most)
        if most > 0:
            reasons.append(lost[at][1])
        del lost[at]
    return score, "referred" if score >= card.refer_from else "declined", reasons


@given(scorecards(), values)
def test_a_score_is_what_the_words_of_the_specification_make(
    card: Scorecard, given_values: dict[str, Any]
) -> None:
    got = assess(card, given_values)
    assert (got.score, got.outcome, list(got.reasons)) == slow(card, given_values)
    assert got.score == card.base + sum(mark for _, mark, _ in got.parts)


@given(scorecards())
def test_a_scorecard_has_one_encoding(card: Scorecard) -> None:
    data = encode_scorecard(card)
    assert decode_scorecard(data) == card
    assert msgpack.packb(msgpack.unpackb(data)) == data


def test_an_assessment_explains_itself_without_the_values() -> None:
    got = assess(CARD, {"firm.staff": 4, "firm.age": "NEW", "unknown": 7})
    assert got.explanation() == [
        "score 5: declined",
        "firm.staff: 15 of 30 points",
        "firm.age: 0 of 20 points",
    ]
    assert got.reasons == ("R_AGE", "R_STAFF")
    assert assess(CARD, {"firm.staff": 3, "firm.age": "OLDER"}).outcome == "referred"
    assert assess(CARD, {"firm.staff": 10, "firm.age": "OLD"}).reasons == ()
    assert assess(CARD, {"firm.staff": "NOT_FILED"}).score == -11


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"refer_from": 31}, "refer_from is 31, want at most approve_from, which is 30"),
        ({"characteristics": ()}, "at least 1|length >= 1"),
        ({"characteristics": (STAFF, STAFF)}, "two characteristics have one field"),
        ({"name": "Small Firms"}, "an id of lower-case"),
        ({"base": 10**7}, "<= 1000000"),
        ({"version": 2}, "version|2"),
    ],
)
def test_a_table_that_is_no_scorecard_is_refused(changes: dict[str, Any], reason: str) -> None:
    card = structs.replace(CARD, **changes)
    with pytest.raises(MalformedError, match=f"^scorecard: .*({reason})"):
        encode_scorecard(card)
    with pytest.raises(MalformedError, match=r"^scorecard"):
        decode_scorecard(
            msgpack.packb(
                structs.astuple(
                    structs.replace(
                        card, characteristics=tuple(map(structs.astuple, card.characteristics))
                    )
                )
            )
        )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bounds": (10, 3)}, r"bounds of firm.staff are \[10, 3\], want them ascending"),
        ({"bounds": (3, 3)}, "want them ascending"),
        ({"bounds": ()}, "has bounds and codes or neither"),
        ({"codes": (("A",),)}, "has bounds and codes or neither"),
        ({"points": (0, 15)}, "has points for 2 bands, want 3"),
        ({"bounds": (), "codes": (("A",), ("A",)), "points": (1, 2)}, "a code of firm.staff is in"),
        ({"bounds": (), "codes": (("A",), ()), "points": (1, 2)}, "or a group is empty"),
    ],
)
def test_bands_that_do_not_fit_are_refused(changes: dict[str, Any], reason: str) -> None:
    card = structs.replace(CARD, characteristics=(structs.replace(STAFF, **changes), AGE))
    with pytest.raises(MalformedError, match=f"^scorecard: .*{reason}"):
        encode_scorecard(card)


def test_bytes_that_are_no_scorecard_are_refused() -> None:
    data = encode_scorecard(CARD)
    for at in range(len(data)):
        with pytest.raises(MalformedError):
            decode_scorecard(data[:at])
    for wrong in (data + b"\0", b"", b"\xdc\x00\x07" + data[1:], b"\x80"):
        with pytest.raises(MalformedError, match=r"^scorecard"):
            decode_scorecard(wrong)
    with pytest.raises(MalformedError, match=r"want at most 262144$"):
        decode_scorecard(bytes(262145))


def test_a_text_that_is_no_scorecard_is_refused() -> None:
    text = EXAMPLE.read_text()
    for part, other in (
        ('edition = "1"', ""),
        ("base =", "basis ="),
        ("otherwise = 0", "otherwise = 0.5"),
        ("approve_from = 40", "approve_from = 4"),
        ("approve_from = 40", f"approve_from = {'9' * 5000}"),
    ):
        assert part in text
        with pytest.raises(MalformedError, match=r"^scorecard: "):
            parse_scorecard(text.replace(part, other, 1))
    with pytest.raises(MalformedError, match=r"^scorecard is nested too deeply"):
        parse_scorecard(f"base = {'[' * 100_000}")


def test_a_decision_is_held_to_the_model_and_the_data() -> None:
    firm = {"firm.staff": 4, "firm.age": "NEW"}
    found = assess(CARD, firm)
    model = hash_domain("std", "commitment", encode_scorecard(CARD))
    made = DecisionRecord((bytes(32),), found.outcome, model, found.reasons, bytes(32), None)
    assert verify_decision("std", CARD, firm, made) == found
    for changes, reason in (
        ({"outcome": "approved"}, "^decision is "),
        ({"reasons": ("R_STAFF", "R_AGE")}, "^decision is "),
        ({"model_hash": bytes(32)}, "^decision is by model 0000000000000000, not by "),
    ):
        with pytest.raises(InvalidError, match=reason):
            verify_decision("std", CARD, firm, structs.replace(made, **changes))
    with pytest.raises(InvalidError):
        verify_decision("std", CARD, {"firm.staff": 10, "firm.age": "OLD"}, made)
    with pytest.raises(InvalidError):
        verify_decision("c2sp", CARD, firm, made)


@pytest.mark.skipif(not SBA.exists(), reason="the SBA case table is not here")
def test_the_example_ranks_the_loans_that_it_was_not_fitted_on() -> None:
    """By the plain meaning of the area under the curve: pairs in the right order, ties by half."""
    data = SBA.read_bytes()
    mapping = parse_mapping((REPOSITORY / "examples" / "sba.toml").read_text())
    card = parse_scorecard(EXAMPLE.read_text())
    held_out = {
        row["LoanNr_ChkDgt"].strip(): row["Default"] == "1"
        for row in csv.DictReader(data.decode("utf-8-sig").splitlines())
        if row["Selected"] == "0"
    }
    scores: dict[bool, list[int]] = {True: [], False: []}
    for row in load_table(data, mapping).rows:
        if row.subject in held_out:
            scores[held_out[row.subject]].append(assess(card, row.values).score)
    pairs = [(bad, good) for bad in scores[True] for good in scores[False]]
    area = sum((bad < good) + (bad == good) / 2 for bad, good in pairs) / len(pairs)
    assert round(area, 3) == 0.769


def test_the_example_is_here() -> None:
    assert Path(EXAMPLE).exists() and len(parse_scorecard(EXAMPLE.read_text()).characteristics) == 7
