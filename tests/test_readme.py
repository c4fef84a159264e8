"""Run what the README shows, and compare what it prints with what it says."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from ledgercore import Ledger
from ledgercore.clock import ManualClock
from ledgercore.entropy import SeededEntropy

README = (Path(__file__).resolve().parent.parent / "README.md").read_text()
LINES_OF_EXAMPLE = 15


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def shown_checkpoint(directory: Path) -> str:
    """The README's checkpoint: its example's records, with a fixed key and a fixed time."""
    clock, entropy = ManualClock(1_767_225_600_000), SeededEntropy(0)
    with Ledger.create(
        directory / "deliveries.ledger",
        origin="tax.example/deliveries",
        clock=clock,
        entropy=entropy,
    ) as ledger:
        ledger.append_many([b"delivery 17 accepted", b"delivery 18 accepted"])
        return ledger.checkpoint


def test_example_runs_and_refuses_the_changed_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (example,) = blocks("python")
    monkeypatch.chdir(tmp_path)
    printed = io.StringIO()

    with contextlib.redirect_stdout(printed):
        exec(compile(example, "README.md", "exec"), {"__name__": "readme"})

    assert printed.getvalue() == "refused: signature does not verify\n"
    assert (tmp_path / "deliveries.ledger").exists()
    assert len(example.splitlines()) <= LINES_OF_EXAMPLE


def test_example_fails_where_the_changed_byte_is_not_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: with the right byte nothing is refused, so the test above can fail."""
    (example,) = blocks("python")
    monkeypatch.chdir(tmp_path)
    printed = io.StringIO()

    with contextlib.redirect_stdout(printed):
        exec(compile(example.replace("acceptee", "accepted"), "README.md", "exec"), {})

    assert printed.getvalue() == ""


def test_checkpoint_is_the_one_that_is_made(tmp_path: Path) -> None:
    (shown,) = blocks("text")

    assert shown_checkpoint(tmp_path) == shown


def test_links_lead_somewhere() -> None:
    root = Path(__file__).resolve().parent.parent
    targets = re.findall(r"\]\(([^)#:]+)\)", README)

    assert targets
    assert [target for target in targets if not (root / target).exists()] == []


def test_make_targets_exist() -> None:
    makefile = (Path(__file__).resolve().parent.parent / "Makefile").read_text()
    named = set(re.findall(r"\bmake ([a-z]+)", README))

    assert named >= {"demo", "test", "bench"}
    assert {name for name in named if not re.search(rf"^{name}:", makefile, re.MULTILINE)} == set()
