"""What the map from law to product names is there: each page, and each test."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parent
DOCS = TESTS.parent / "docs"
ANSWERS = ("held", "promise", "not yet")


def rows(text: str) -> list[list[str]]:
    table = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[1:]]


def faults(text: str) -> list[str]:
    """What is wrong with each row."""
    found = []
    for demand, source, answer, how, page, test in rows(text):
        if answer not in ANSWERS or not source:
            found.append(f"{demand}: answer is {answer!r}")
        if answer == "not yet":
            continue
        link = re.fullmatch(r"\[[a-z]+\]\(((?:spec/)?[a-z]+\.md)\)", page)
        if not how or link is None or not (DOCS / link[1]).exists():
            found.append(f"{demand}: no page {page!r}")
        named = re.fullmatch(r"`((?:cli/)?test_[a-z_]+\.py)::(test_[a-z0-9_]+)`", test)
        if named is None or f"def {named[2]}(" not in (TESTS / named[1]).read_text():
            found.append(f"{demand}: no test {test!r}")
    return found


def test_every_answer_has_its_page_and_its_test() -> None:
    text = (DOCS / "compliance.md").read_text()
    assert len(rows(text)) > 15 and faults(text) == []


def test_an_answer_without_them_is_noticed() -> None:
    head = "| demand | source | answer | how | page | test |\n|---|---|---|---|---|---|\n"
    good = "`test_pack.py::test_every_changed_byte_is_refused`"
    for page, test in (
        ("[pack](spec/pack.md)", "`test_pack.py::test_nothing`"),
        ("[pack](spec/none.md)", good),
        ("", good),
    ):
        assert len(faults(f"{head}| a | law | held | so | {page} | {test} |")) == 1
    assert faults(f"{head}| a | law | held | so | [pack](spec/pack.md) | {good} |") == []
    assert faults(f"{head}| a | law | perhaps | | | |") != []
