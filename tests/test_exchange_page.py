"""Run docs/exchange.md as it stands: one exchange in Python, and what it prints on the way."""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from ledgercore import Ledger, RefusedError, StoreError, Vault, ensure_signer, exchange
from ledgercore.exchange import Field, Provider, SchemaRegister, make_member, submit_one
from tests.conftest import REPOSITORY

DOCUMENT = (REPOSITORY / "docs" / "exchange.md").read_text()


def steps(text: str) -> list[tuple[str, str]]:
    """The document's blocks, each with its language."""
    return re.findall(r"^```(python|text|sh)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def run_shell(block: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "-eu", "-c", block],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def run_page(text: str, directory: Path) -> list[tuple[str, str]]:
    """Run all blocks in order; each text that is shown, with what was printed before it."""
    shown, printed = [], ""
    names: dict[str, Any] = {"__name__": "page"}
    if not (directory / "verifier").exists():
        (directory / "verifier").symlink_to(REPOSITORY / "verifier")
    for language, block in steps(text):
        if language == "text":
            shown.append((block, printed))
            printed = ""
        elif language == "sh":
            done = run_shell(block)
            assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        else:
            assert printed == "", f"no text shows {printed!r}"
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                exec(compile(block, "docs/exchange.md", "exec"), names)
            printed = output.getvalue()
    assert printed == "", f"no text shows {printed!r}"
    return shown


def test_the_page_runs_and_prints_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    for shown, printed in run_page(DOCUMENT, tmp_path):
        assert printed == shown


def test_a_page_that_shows_something_else_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: what is printed is compared, and what is printed and not shown is noticed."""
    monkeypatch.chdir(tmp_path)

    assert run_page("```python\nprint(1)\n```\n\n```text\n2\n```\n", tmp_path) == [("2\n", "1\n")]
    with pytest.raises(AssertionError, match="no text shows"):
        run_page("```python\nprint(1)\n```\n", tmp_path)


def test_links_of_the_page_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#:]+)", DOCUMENT)

    assert targets
    assert [each for each in targets if not (REPOSITORY / "docs" / each).exists()] == []


@pytest.mark.parametrize("page", ["README.md", "ARCHITECTURE.md"])
def test_the_front_pages_lead_to_it(page: str) -> None:
    assert "(docs/exchange.md)" in (REPOSITORY / page).read_text()


def test_every_name_that_is_exported_comes_from_where_type_checkers_see_it() -> None:
    tree = ast.parse(Path(str(exchange.__file__)).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom) and node.module
        seen |= {
            alias.name: getattr(import_module(node.module), alias.name) for alias in node.names
        }

    assert sorted(seen) == exchange.__all__ == sorted(exchange._HOMES)
    assert all(getattr(exchange, name) is value for name, value in seen.items())


def test_one_refused_draft_is_raised_and_an_accepted_one_has_its_place(tmp_path: Path) -> None:
    key = ensure_signer(tmp_path / "tax.key")
    with Vault(tmp_path / "tax.vault") as vault:
        member = make_member("tax", ["provider"], key, vault, name="Tax authority")
        with Ledger.create(tmp_path / "a.ledger", origin="a.example", members=[member]) as ledger:
            tax = Provider("tax", key, vault, ledger, {})
            schema = SchemaRegister("tax.sme", 1, "Tax data", (Field("cr.grade", "A/B", 3),))

            place = submit_one(ledger, tax.register_schema(schema))

            assert ledger.record(place.index).id == place.id
            with pytest.raises(RefusedError, match="E_EXISTS"):
                submit_one(ledger, tax.register_schema(schema))
            assert ledger.size == 2
        assert vault.names("sealing-key/") == [f"sealing-key/{member.sealing_key.hex()}"]
    with pytest.raises(StoreError):
        vault.load("sealing-key/")
