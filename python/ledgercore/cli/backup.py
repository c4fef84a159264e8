"""Copy a ledger while it is in use."""

from __future__ import annotations

import click

from ledgercore.cli.files import FILE, PATH
from ledgercore.cli.output import json_option, print_facts
from ledgercore.cli.unpublished import tell_copied


@click.command("backup")
@click.argument("ledger", type=PATH)
@click.argument("target", type=FILE)
@json_option
def command(ledger: str, target: str, as_json: bool) -> None:
    """Copy LEDGER to the new file TARGET and verify the copy; the key is not copied.

    What is durable and in no block yet is copied to TARGET.journal, and told. Where that cannot all
    be copied, as of a damaged journal, the copy is made, and the exit code is not 0.
    """
    from ledgercore.ledger import Ledger
    from ledgercore.store import shown

    with Ledger.open(ledger, read_only=True) as opened:
        report = opened.backup(target)
    unpublished = len(report.unpublished.records)
    facts = {"backup": target, "records": report.records, "unpublished": unpublished}
    print_facts(facts, as_json=as_json)
    tell_copied(shown(ledger), target, report.unpublished)
    if report.unpublished.fault is not None:  # no schedule is to take that copy for a whole one
        raise report.unpublished.fault
