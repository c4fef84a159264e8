"""Print facts for people: what is empty is none, and no text of others leaves its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledgercore.cli.output import print_facts
from tests.cli.command import run_well


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ([], "none"),
        ({}, "none"),
        ("", "none"),
        (None, "none"),
        (0, "0"),
        (False, "no"),
        ({"witnesses": [], "quorum": 0}, "witnesses none, quorum 0"),
        ({"code": "", "open": True, "until": None}, "code none, open yes, until none"),
        ({"status": "OPEN", "roles": ["a", "b"]}, 'status OPEN, roles ["a", "b"]'),
        ({"inner": {"title": "税\u202e"}}, 'inner {"title": "税\\u202e"}'),
        ("a\n\x1b[1A", "a\\n\\x1b[1A"),
        ({"basis": "a\nproven  yes"}, "basis a\\nproven  yes"),
    ],
)
def test_value_is_shown_on_one_line(
    value: object, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_facts({"name": value}, as_json=False)

    assert capsys.readouterr().out == f"name  {shown}\n"


def test_genesis_without_members_and_witnesses_has_none(ledger: Path) -> None:
    shown = run_well("show", ledger, "--index", "0").decode()

    assert ", witnesses none, quorum 0, members none\n" in shown
    assert "[]" not in shown
