"""Write docs/performance.md's generated part, its plots and README's figures from a kept result.

``python benches/report.py [--result FILE] [--root DIR]``, after ``make bench`` or
``make bench-full``. What people wrote around the marks stays.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from plot import Bar, Group, Line, draw_bars, draw_lines
from table import format_boundary, format_figure, format_growth, format_rows, format_table

__all__ = ["main", "write_report"]

ROOT = Path(__file__).resolve().parent.parent
RESULT = Path(__file__).resolve().parent / "results" / "latest.json"
BEGIN, END = "<!-- written by benches/report.py -->", "<!-- end of what it writes -->"
STORING_ONLY = "same store, storing only"
"""What is no peer but a limit of ours: it stays in the table, and out of the README."""
README_ROWS = {
    "P1": "verify Ed25519 signatures, in a batch",
    "P3": "append 256 bytes in memory, in a batch",
    "P4": "append 400 bytes, each durable before the next",
    "P5-batches": "submit signed records: verified, durable, published",
    "P6-verify": "verify inclusion among a million leaves",
    "P7": "verify receipts with their signatures, one by one",
    "P7-batch": "the same, in a batch",
    "P8-p50": "a signed record until its receipt, half of all",
}


def main() -> int:
    """Write all of it."""
    parser = argparse.ArgumentParser(description="Write the report from a kept result.")
    parser.add_argument("--result", type=Path, default=RESULT, help="what a run has kept")
    parser.add_argument("--root", type=Path, default=ROOT, help="the tree to write in")
    arguments = parser.parse_args()
    if not arguments.result.exists():
        parser.error(f"{arguments.result} does not exist: run make bench first")
    for path in write_report(json.loads(arguments.result.read_text()), arguments.root):
        print(f"wrote {path}")
    return 0


def write_report(result: Mapping[str, Any], root: Path) -> list[Path]:
    """The files that were written."""
    plots = root / "docs" / "performance"
    plots.mkdir(parents=True, exist_ok=True)
    caption = describe_run(result)
    written = {
        plots / "rates.svg": draw_rates(result["rows"], caption),
        plots / "growth.svg": draw_growth(result["growth"], caption),
        plots / "boundary.svg": draw_boundary(result["boundary"], caption),
    }
    for name, text in {
        "docs/performance.md": format_report(result),
        "README.md": format_summary(result),
    }.items():
        written[root / name] = put_between((root / name).read_text(), text)
    for path, text in written.items():
        path.write_text(text)
    return list(written)


def put_between(text: str, part: str) -> str:
    """The text with a new part between the marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"text has not the marks {BEGIN} and {END}, want both")
    return f"{before}{begin}\n\n{part}\n\n{end}{after}"


def describe_run(result: Mapping[str, Any]) -> str:
    """Command, date and machine on one line: what a figure must not be quoted without."""
    machine = result["machine"]
    return (
        f"{result['command']}, {machine['date'][:10]}, {machine['processor']}, "
        f"{machine['cores']} cores, {machine['core']['signature_kernel']} kernel"
    )


def describe_machine(result: Mapping[str, Any]) -> str:
    """The rest of what a reader must know, as a sentence."""
    machine = result["machine"]
    packages = ", ".join(f"{name} {each}" for name, each in machine["packages"].items() if each)
    commit = machine["commit"][:12] + (" with changes" if machine["changed"] else "")
    others = [f"Python {machine['python']}", packages, f"SQLite {machine['sqlite']}"]
    others += [machine["openssl"], *([machine["go"]] if machine["go"] else [])]
    return (
        f"`{result['command']}` at {machine['date']}, commit {commit}; {machine['processor']}, "
        f"{machine['cores']} cores, {machine['memory_gib']} GiB, {machine['file_system']}, load "
        f"{machine['load']:.2f} at the start; {result['rounds']} rounds, "
        f"{result['seconds']:.0f} seconds. {'; '.join(others)}. "
        "Each cell is the median of the rounds with their range; a ratio is the median of the "
        "ratios within each round, above 1 where ledgercore is ahead."
    )


def format_report(result: Mapping[str, Any]) -> str:
    """The tables and the plots."""
    operations = {row["id"]: row["what"] for row in result["rows"]}
    met = [row for row in result["rows"] if row["met"] is not None]
    count = sum(row["met"] for row in met)
    skipped = [f"Skipped: {row['peer']}, for {row['skipped']}." for row in _skipped(result)]
    parts = [
        describe_machine(result),
        f"{count} of {len(met)} goals that this run could judge are met.",
        *skipped,
        format_rows(result["rows"]),
        "![Rates beside peers, with goals](performance/rates.svg)",
        "What each row measures:",
        "\n".join(f"- `{id}`: {what}" for id, what in operations.items() if _first(id, operations)),
        "### Growth",
        "![Rate as a ledger grows](performance/growth.svg)",
        format_growth(result["growth"]),
        "### The boundary between Python and Rust",
        "![Nanoseconds an item by batch](performance/boundary.svg)",
        format_boundary(result["boundary"]),
    ]
    return "\n\n".join(parts)


def _skipped(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [row for row in result["rows"] if row["skipped"]]


def _first(id: str, operations: Mapping[str, str]) -> bool:
    """Whether a row is the first of its operation: the others have its words and a longer id."""
    return not any(
        id != other and id.startswith(f"{other}-") and what == operations[id]
        for other, what in operations.items()
    )


def format_summary(result: Mapping[str, Any]) -> str:
    """One figure an operation, for the README."""
    rows = {row["id"]: row for row in result["rows"]}
    lines = []
    for id, what in README_ROWS.items():
        row = rows[id]
        beside = [
            each
            for each in result["rows"]
            if each["what"] == row["what"] and each["ratio"] and each["peer"] != STORING_ONLY
        ]
        peer = min(beside, key=lambda each: float(each["ratio"]), default=None)
        times = "" if peer is None else f"{peer['ratio']:.2g} times as fast as {peer['peer']}"
        lines.append((what, f"{format_figure(row['value'])} {row['unit']}", times))
    head = ("operation", "here", "beside its fastest peer")
    return f"{format_table(head, lines)}\n\n({describe_run(result)})"


def draw_rates(rows: Sequence[Mapping[str, Any]], caption: str) -> str:
    """Every operation that is told as a rate, with each of its peers."""
    groups: dict[str, Group] = {}
    for row in rows:
        if not row["unit"].endswith("/s") or row["id"] == "P10":
            continue
        found = groups.setdefault(
            row["what"],
            Group(f"{row['id']}: {row['what']}", [_bar("ledgercore", row, "value")], _goal(row)),
        )
        if row["peer_value"] is not None:
            groups[row["what"]] = Group(
                found.title, [*found.bars, _bar(row["peer"], row, "peer_value")], found.goal
            )
    return draw_bars("Rates beside peers, in one run", caption, list(groups.values()))


def _bar(name: str, row: Mapping[str, Any], key: str) -> Bar:
    low, high = row["value_range" if key == "value" else "peer_range"]
    return Bar(name, row[key], low, high, key == "value", format_figure(row[key]))


def _goal(row: Mapping[str, Any]) -> float | None:
    """The goal as a rate; one that is a share of the peer's, as that share."""
    if row["goal"] is None:
        return None
    if row["goal_of"] == "value":
        return float(row["goal"])
    return None if row["peer_value"] is None else float(row["goal"] * row["peer_value"])


def draw_growth(growth: Mapping[str, Any], caption: str) -> str:
    lines = [
        Line(name, [(row["records"], row["rate"]) for row in rows])
        for name, rows in (("ledgercore", growth["rows"]), (growth["peer"], growth["peer_rows"]))
    ]
    return draw_lines(
        "Rate as a ledger grows",
        caption,
        lines,
        across="records in the ledger",
        up="records a second: ours signed and verified, the peer's only stored",
        log=False,
    )


def draw_boundary(rows: Sequence[Mapping[str, Any]], caption: str) -> str:
    names = list(dict.fromkeys(row["operation"] for row in rows))
    lines = [
        Line(name, [(row["batch"], row["ns_an_item"]) for row in rows if row["operation"] == name])
        for name in names
    ]
    return draw_lines(
        "What an item costs, by how many cross the boundary together",
        caption,
        lines,
        across="items a call",
        up="nanoseconds an item",
        log=True,
    )


if __name__ == "__main__":
    sys.exit(main())
