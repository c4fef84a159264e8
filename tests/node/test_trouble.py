"""What docs/trouble.md quotes of a node is what the code says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.conftest import REPOSITORY

TEXT = (REPOSITORY / "docs" / "trouble.md").read_text()
PACKAGE = REPOSITORY / "python" / "ledgercore"


def said() -> Iterator[str]:
    """Every text of the package; what is put into one is an ellipsis."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            elif isinstance(node, ast.JoinedStr):
                parts = (
                    each.value if isinstance(each, ast.Constant) else "…" for each in node.values
                )
                yield "".join(map(str, parts))


SAID = "\n".join(said())


def quoted(section: str, column: int) -> list[str]:
    """What stands between backquotes in a column of a section's table."""
    rows = TEXT.partition(f"## {section}")[2].partition("\n## ")[0].splitlines()
    cells = [row.split("|")[column] for row in rows if row.startswith("| ")][1:]
    return [each for cell in cells for each in re.findall(r"`([^`]+)`", cell)]


@pytest.mark.parametrize(
    ("section", "column", "least"),
    [
        ("How `node run` ended", 2, 10),
        ("Why a node is not ready", 1, 9),
        ("Why a node is not ready", 2, 3),
        ("What the log says", 1, 24),
    ],
)
def test_what_the_page_quotes_is_said(section: str, column: int, least: int) -> None:
    found = quoted(section, column)

    assert len(found) >= least
    assert [each for each in found if each not in SAID] == []


def test_every_warning_and_error_of_a_node_is_in_the_page() -> None:
    logged = []
    for path in (PACKAGE / "node").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("warning", "error")
                and node.args
                and isinstance(node.args[0], ast.Constant)
            ):
                logged.append(node.args[0].value)

    assert len(logged) > 20
    assert [each for each in logged if f"`{each}`" not in TEXT] == []
