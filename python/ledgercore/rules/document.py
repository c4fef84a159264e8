"""Render the transition tables as Markdown and as diagrams, for the specification.

``python -m ledgercore.rules.document`` prints every block between the markers that stand around it
in ``docs/spec``. A test compares the documents with what is rendered here, so a table and its
document cannot part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ledgercore.records import BODIES
from ledgercore.rules import governance
from ledgercore.rules.codes import CODES
from ledgercore.rules.engine import FAMILIES
from ledgercore.rules.table import UNMADE, Family, Row

__all__ = ["blocks", "render"]


def blocks() -> Iterator[tuple[str, str]]:
    """Each block's name and Markdown text."""
    yield "governance", "\n\n".join((_transitions(governance.ROWS), _bodies(governance.ROWS)))
    for family in FAMILIES:
        yield family.name, "\n\n".join(_family(family))
    yield (
        "codes",
        _table(
            ("code", "meaning", "what its sender can do"),
            ((f"`{code}`", meaning, remedy) for code, (meaning, remedy) in CODES.items()),
        ),
    )


def render(name: str, text: str) -> str:
    """A block between its markers, as a document holds it."""
    return f"<!-- begin {name} -->\n\n{text}\n\n<!-- end {name} -->"


def _family(family: Family) -> Iterator[str]:
    yield _diagram(family.rows)
    yield _transitions(family.rows)
    if family.checks:
        yield _table(
            ("check", "holds when"),
            (
                (f"`{name}`", " ".join((check.__doc__ or "").split()))
                for name, check in family.checks.items()
            ),
        )
    yield _bodies(family.rows)
    fields = ", ".join(family.state_type.__struct_fields__)
    yield f"State of `{family.name}/<id>`: `[{fields}]`."


def _diagram(rows: Iterable[Row]) -> str:
    """The rows as a picture, in the words of Mermaid: an arrow from each state to each next one."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for begin in row.begin or (UNMADE,):
            arrows.setdefault((begin or "[*]", row.end or begin), []).append(
                row.kind.partition(".")[2]
            )
    lines = [f"    {a} --> {b} : {', '.join(kinds)}" for (a, b), kinds in arrows.items()]
    return "\n".join(("```mermaid", "stateDiagram-v2", *lines, "```"))


def _transitions(rows: Iterable[Row]) -> str:
    return _table(
        ("kind", "from", "signer", "to", "checks"),
        (
            (
                f"`{row.kind}`",
                ", ".join(each or "(new)" for each in row.begin or (UNMADE,)),
                row.signer.replace("_", " "),
                row.end or ("(same)" if row.begin else ""),
                ", ".join(f"`{check}`" for check in row.checks),
            )
            for row in rows
        ),
    )


def _bodies(rows: Iterable[Row]) -> str:
    return _table(
        ("kind", "body"),
        (
            (f"`{row.kind}`", f"`[{', '.join(BODIES[row.kind].__struct_fields__)}]`")
            for row in rows
            if row.kind in BODIES
        ),
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    for block_name, block_text in blocks():
        print(render(block_name, block_text), end="\n\n")
