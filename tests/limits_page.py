"""Write the table of docs/limits.md from the code: ``python -m tests.limits_page``.

A bound's text is what stands below it in ``ledgercore.node.limits``.
"""

from __future__ import annotations

import ast
import inspect
import re

from ledgercore.node import limits
from ledgercore.node.limits import Limits, bounds_of, wholes_of
from tests.conftest import REPOSITORY

__all__ = ["PAGE", "table"]

PAGE = REPOSITORY / "docs" / "limits.md"

_BEGIN = "<!-- written by tests/limits_page.py -->"
_END = "<!-- end of what it writes -->"


def table() -> str:
    """The table between the page's marks."""
    rows = ["| bound | default | may be | what it bounds, and how what is beyond is answered |"]
    rows.append("|---|---|---|---|")
    default = Limits()
    for name, text in _texts().items():
        least, most = bounds_of(name)
        allowed = [f"{_number(least)} to {_number(most)}"]
        for other, less in wholes_of(name):
            allowed.append(f"{'less than' if less else 'at most'} `{other}`")
        number = _number(getattr(default, name))
        rows.append(f"| `{name}` | {number} | {', '.join(allowed)} | {text} |")
    return "\n".join([_BEGIN, *rows, _END])


def _texts() -> dict[str, str]:
    """What is written below each bound, on one line."""
    tree = ast.parse(inspect.getsource(limits))
    (found,) = (
        node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Limits"
    )
    texts, name = {}, ""
    for node in found.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
        elif name and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            texts[name] = " ".join(str(node.value.value).split())
            name = ""
    return texts


def _number(number: float) -> str:
    return f"{int(number):,}" if number == int(number) else f"{number:g}"


def write() -> None:
    """Put the table into the page."""
    text = PAGE.read_text()
    assert text.count(_BEGIN) == text.count(_END) == 1, "the page has its marks once"
    PAGE.write_text(re.sub(f"{_BEGIN}.*{_END}", lambda _: table(), text, flags=re.DOTALL))


if __name__ == "__main__":
    write()
