"""Run the whole exchange: four parties, real records or generated ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ledgercore.cli.files import FILE
from ledgercore.cli.output import json_option, print_facts, print_json, progress_bars
from ledgercore.disk import check_writable, exists, is_empty, write_new
from ledgercore.errors import LedgerError

if TYPE_CHECKING:
    from ledgercore.demo import DemoResult

FIRMS = 200
NODES_FIRMS = 40
LIMIT_FIRMS = 100_000
SHOWN_REJECTED = 10


@click.command("demo")
@click.option("--data", type=FILE, help="A CSV table, one row a firm.")
@click.option("--mapping", type=FILE, help="How the table is read, as TOML.")
@click.option("--scorecard", type=FILE, help="The model that decides, as TOML.")
@click.option(
    "--firms",
    type=click.IntRange(1, LIMIT_FIRMS),
    help=f"Firms to generate ({FIRMS}); all are held in memory, so at most {LIMIT_FIRMS:,}.",
)
@click.option(
    "--nodes",
    type=click.IntRange(4, 4),
    help="4: each party has a node of its own; one is killed and rejoins, one lies.",
)
@click.option("--html", "page", type=FILE, help="A new file: what happened, as one page.")
@click.option("--directory", type=FILE, help="A new or empty directory (demo/1, demo/2, ...).")
@json_option
def command(
    data: str | None,
    mapping: str | None,
    scorecard: str | None,
    firms: int | None,
    nodes: int | None,
    page: str | None,
    directory: str | None,
    as_json: bool,
) -> None:
    """Run the bank-tax exchange for every firm of a table, or for generated firms.

    A tax authority, a bank, the enterprises and a regulator act with their own keys and vaults,
    each in a process of its own, on one ledger, which the regulator then verifies. What refusals
    happen on the way is counted by code; packs of evidence are written and verified with the anchor
    alone.
    """
    if (data is None) != (mapping is None):
        raise click.UsageError("--data and --mapping go together")
    if data is not None and firms is not None:
        raise click.UsageError("--firms is for generated firms: leave it out with --data")
    if nodes is not None:
        from ledgercore.cli.node import check_extra

        check_extra()
    if page is not None:
        check_writable(page)  # and not at the end of all the work
    from ledgercore.demo import render_page, run_demo
    from ledgercore.heaps import share_heaps

    share_heaps()
    place = Path(directory) if directory else _fresh_directory()
    with _telling(place), progress_bars() as progress:
        result = run_demo(
            place,
            data=data,
            mapping=mapping,
            scorecard=scorecard,
            firms=firms or (FIRMS if nodes is None else NODES_FIRMS),
            nodes=nodes is not None,
            progress=progress,
        )
    if as_json:
        print_json(result.to_json())
    else:
        _print_result(result)
    if page is not None:
        write_new(page, render_page(result).encode())


def _fresh_directory() -> Path:
    """The first of demo/1, demo/2 and so on that is not there."""
    return next(path for number in count(1) if not exists(path := Path("demo") / str(number)))


@contextmanager
def _telling(directory: Path) -> Iterator[None]:
    """Say of a run that breaks off where that is which it made: nothing can go on with it."""
    fresh = is_empty(directory)
    try:
        yield
    except (LedgerError, KeyboardInterrupt) as error:
        if fresh and not is_empty(directory):
            error.add_note(f"what it made so far is in {directory}, and can be removed")
        raise


def _print_result(result: DemoResult) -> None:
    facts = result.to_json()
    rejected = facts.pop("rejected")
    packs = facts.pop("packs")
    facts["rejected"] = len(rejected)
    print_facts(facts, as_json=False)
    for row in rejected[:SHOWN_REJECTED]:
        click.echo(f"rejected line {row['line']}: {row['reason']}")
    if len(rejected) > SHOWN_REJECTED:
        click.echo(f"and {len(rejected) - SHOWN_REJECTED} more, all in {facts['rejects']}")
    for name, claims in result.claims.items():
        click.echo(f"\n{result.packs[name]}, verified with the anchor alone:")
        for claim in claims:
            click.echo(f"  {claim.status:8} {claim.name}: {claim.statement}")
        if name == "plain":
            break
    if result.note_of_time:
        click.echo(f"\n{result.note_of_time}")
    if packs:
        click.echo(f"\nTry: ledgercore verify {packs[-1]} --anchor {facts['anchor']}")
