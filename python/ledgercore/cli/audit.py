"""Verify everything in a ledger."""

from __future__ import annotations

from functools import partial

import click

from ledgercore.cli.files import FILE, PATH, read_checkpoint
from ledgercore.cli.output import json_option, print_facts, progress_bars
from ledgercore.cli.unpublished import tell_unpublished
from ledgercore.errors import UnavailableError


@click.command("audit")
@click.argument("ledger", type=PATH)
@click.option("--since", type=FILE, help="A checkpoint kept from before, to begin with.")
@json_option
def command(ledger: str, since: str | None, as_json: bool) -> None:
    """Verify all of LEDGER: blocks, signatures, tree, index, states and checkpoints.

    Exits 0, or 1 and says what is wrong and where; so where LEDGER is whole and its journal is
    not, and with 5 where what has the journal's name is none. What is durable in the journal and in
    no block is counted as unpublished. With --since FILE it also verifies that LEDGER goes on from
    a checkpoint that was kept elsewhere: only that shows a ledger cut short.
    """
    from ledgercore.ledger import Ledger
    from ledgercore.store import shown

    with Ledger.open(ledger, read_only=True) as opened:
        if since is not None:
            opened.verify_since(read_checkpoint(since))
        with progress_bars() as progress:
            report = opened.verify(partial(progress, "verifying"))
        facts = {
            "ledger": shown(ledger),
            "verified": True,
            "records": report.records,
            "blocks": report.blocks,
            "states": report.states,
            "unpublished": len(report.unpublished.records),
            "seconds": round(report.seconds, 3),
        }
    print_facts(facts, as_json=as_json)
    fault = report.unpublished.fault
    if fault is None or isinstance(fault, UnavailableError):  # as where it may not be read here
        tell_unpublished(shown(ledger), report.unpublished)
        return
    tell_unpublished(shown(ledger), report.unpublished._replace(fault=None))
    raise fault
