"""Print for people on a terminal, as plain lines in a pipe, and as JSON for machines."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from ledgercore.errors import MalformedError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

__all__ = [
    "json_line",
    "json_option",
    "on_terminal",
    "one_line",
    "parse_hex",
    "plain",
    "print_facts",
    "print_json",
    "progress_bars",
]

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")


def json_line(value: Mapping[str, Any]) -> str:
    """One object on one line, in ASCII whatever the locale."""
    return json.dumps(value)


def print_json(value: Mapping[str, Any]) -> None:
    """One object on one line, flushed."""
    click.echo(json_line(value))


def one_line(text: str) -> str:
    """Text of others on one line: nothing in it ends the line or moves a terminal's cursor."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def on_terminal() -> bool:
    """Whether a person is to read what is printed."""
    return sys.stdout.isatty()


def print_facts(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Named values: a table on a terminal, plain lines in a pipe, one object for machines."""
    if as_json:
        print_json(facts)
        return
    names = {name: name.replace("_", " ") for name in facts}
    if on_terminal():
        _print_table({names[name]: _shown(value) for name, value in facts.items()})
        return
    width = max(map(len, names.values()))
    for name, value in facts.items():
        click.echo(f"{names[name]:{width}}  {_shown(value)}")


def _shown(value: Any, *, within: bool = False) -> str:
    """A value on one line: named ones beside each other, and what is nested in them as JSON."""
    if value is None or value in ("", [], {}):
        return "none"
    if isinstance(value, dict) and not within:
        return ", ".join(f"{name} {_shown(each, within=True)}" for name, each in value.items())
    if isinstance(value, list | dict):
        return one_line(json.dumps(value, ensure_ascii=False))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return one_line(str(value))


def _print_table(rows: Mapping[str, str]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, Text(value))
    _console().print(table)


def _console(*, stderr: bool = False) -> Console:
    """A terminal; where no colour is wanted, no other style is either."""
    from rich.console import Console

    plain = bool(os.environ.get("NO_COLOR"))
    return Console(highlight=False, stderr=stderr, color_system=None if plain else "auto")


@contextmanager
def progress_bars() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each thing that is being done, on a terminal's standard error; nothing elsewhere.

    What it yields is called with the thing, how much of it is done, and how much there is.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=_console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what)
            bars.update(tasks[what], completed=done, total=total)

        yield show


def plain(value: Any) -> Any:
    """A decoded body or state with bytes in hexadecimal, as JSON can hold it."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if hasattr(value, "__struct_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    return value


def parse_hex(what: str, text: str, count: int = 32) -> bytes:
    """Bytes from their hexadecimal digits."""
    if len(text) != 2 * count or text.strip("0123456789abcdefABCDEF"):
        raise MalformedError(f"{what} is {text!r}, want {2 * count} hexadecimal digits")
    return bytes.fromhex(text)
