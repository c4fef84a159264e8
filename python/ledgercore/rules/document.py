"""Render the transition tables as Markdown and as pictures, for the specification.

``python -m ledgercore.rules.document`` prints every block between the markers that stand around it
in ``docs/spec``; ``python -m tests.diagram_files`` writes the pictures. Tests compare both with
what is rendered here, so a table and its document cannot part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ledgercore.records import BODIES
from ledgercore.rules import governance
from ledgercore.rules.codes import CODES
from ledgercore.rules.drawing import draw_transitions
from ledgercore.rules.engine import FAMILIES
from ledgercore.rules.lint import RULES
from ledgercore.rules.table import UNMADE, Family, Row

__all__ = ["blocks", "diagrams", "render"]


def blocks() -> Iterator[tuple[str, str]]:
    """Each block's name and Markdown text."""
    yield "governance", "\n\n".join((_transitions(governance.ROWS), _bodies(governance.ROWS)))
    for family in FAMILIES:
        yield family.name, "\n\n".join(_family(family))
    yield (
        "token-rules",
        _table(
            ("rule", "what is like a token", "seen by", "code", "an authorisation allows it"),
            (
                (
                    name,
                    rule.forbids,
                    rule.seen_by,
                    f"`{rule.code}`",
                    "yes" if rule.authorised else "never",
                )
                for name, rule in RULES.items()
            ),
        ),
    )
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


def diagrams() -> Iterator[tuple[str, str]]:
    """Each family's name and its picture, which stands in ``docs/spec/diagrams``."""
    for family in FAMILIES:
        yield family.name, draw_transitions(_title(family), family.rows)


def _title(family: Family) -> str:
    return f"How records move {family.name}"


def _family(family: Family) -> Iterator[str]:
    yield f"![{_title(family)}](diagrams/{family.name}.svg)"
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
