"""Format results as Markdown tables, which read as plain text too.

Takes what stands in ``latest.json``, so that a kept result gives the same tables again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["format_boundary", "format_figure", "format_growth", "format_rows", "format_table"]

MET = {None: "", True: "yes", False: "no"}


def format_rows(rows: Sequence[Mapping[str, Any]]) -> str:
    """Operations beside their peers: medians, with the range of the rounds."""
    head = ("id", "ledgercore", "unit", "peer", "its figure", "ratio", "goal", "met", "floor")
    return format_table(head, [_cells(row) for row in rows])


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    floor = _bound(row["floor"], row["floor_of"], less=row["less_is_better"])
    if row["floor_met"] is False:
        floor += ", missed"
    return (
        row["id"],
        _with_range(row["value"], row["value_range"]),
        row["unit"],
        row["peer"] or "",
        "skipped" if row["skipped"] else _with_range(row["peer_value"], row["peer_range"]),
        "" if row["ratio"] is None else f"{row['ratio']:.2f}",
        _bound(row["goal"], row["goal_of"], less=row["less_is_better"]),
        MET[row["met"]],
        floor,
    )


def _bound(limit: float | None, of: str | None, *, less: bool) -> str:
    if limit is None:
        return ""
    if of == "ratio":
        return f"{limit:g} of peer"
    return f"≤ {limit:,g}" if less else f"{limit:,.0f}"


def _with_range(median: float | None, span: Sequence[float] | None) -> str:
    """A median and the range of its rounds."""
    if median is None:
        return ""
    if span is None or span[0] == span[1]:
        return format_figure(median)
    return f"{format_figure(median)} ({format_figure(span[0])} to {format_figure(span[1])})"


def format_figure(figure: float) -> str:
    """Three digits that count, or all of a whole number."""
    if figure >= 100:
        return f"{figure:,.0f}"
    return f"{figure:.3g}"


def format_boundary(rows: Sequence[Mapping[str, Any]]) -> str:
    """Nanoseconds an item, an operation a row and a batch a column."""
    batches = sorted({row["batch"] for row in rows})
    names = list(dict.fromkeys(row["operation"] for row in rows))
    costs = {(row["operation"], row["batch"]): row["ns_an_item"] for row in rows}
    head = ("ns an item, in a batch of", *(f"{batch:,}" for batch in batches))
    lines = [(name, *(format_figure(costs[name, batch]) for batch in batches)) for name in names]
    return format_table(head, lines)


def format_growth(growth: Mapping[str, Any]) -> str:
    """A row whenever the ledger had doubled."""
    peers = {row["records"]: row["rate"] for row in growth["peer_rows"]}
    head = (
        "records",
        "records/s",
        growth["peer"],
        "bytes a record",
        "its own",
        "MiB",
        "opens in s",
    )
    lines = [
        (
            f"{row['records']:,}",
            f"{row['rate']:,.0f}",
            f"{peers[row['records']]:,.0f}" if row["records"] in peers else "",
            f"{row['bytes_a_record']:.0f}",
            f"{row['own_bytes_a_record']:.0f}",
            f"{row['memory_mib']:.0f}",
            f"{row['open_s']:.3f}",
        )
        for row in growth["rows"]
    ]
    return format_table(head, lines)


def format_table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; figures stand to the right."""
    every = [head, *lines]
    widths = [max(len(line[column]) for line in every) for column in range(len(head))]
    right = [
        all(line[column][:1].isdigit() or not line[column] for line in lines)
        for column in range(len(head))
    ]
    rule = "|".join(
        "-" * (width + 1) + ("-:"[one]) for width, one in zip(widths, right, strict=True)
    )
    padded = [
        "| "
        + " | ".join(
            cell.rjust(width) if one else cell.ljust(width)
            for cell, width, one in zip(line, widths, right, strict=True)
        )
        + " |"
        for line in every
    ]
    return "\n".join([padded[0], f"|{rule}|", *padded[1:]])
