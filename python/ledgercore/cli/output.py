"""Print for people on a terminal, and for machines as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from ledgercore.errors import MalformedError

__all__ = ["json_option", "parse_hex", "print_facts", "print_json", "progress_bar"]

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")


def print_json(value: Mapping[str, Any]) -> None:
    """One object on one line, flushed."""
    click.echo(json.dumps(value, ensure_ascii=False))


def print_facts(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Named values: a table for people, one object for machines."""
    if as_json:
        print_json(facts)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in facts.items():
        table.add_row(name.replace("_", " "), str(value))
    Console(highlight=False, soft_wrap=True).print(table)


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on the standard error of a terminal; nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def parse_hex(what: str, text: str, count: int = 32) -> bytes:
    """Bytes from their hexadecimal digits."""
    try:
        data = bytes.fromhex(text)
    except ValueError:
        raise MalformedError(f"{what} is {text!r}, want {2 * count} hexadecimal digits") from None
    if len(data) != count:
        raise MalformedError(f"{what} has {len(data)} bytes, want {count}")
    return data
