"""Copy a ledger while it is in use."""

from __future__ import annotations

import click

from ledgercore.cli.files import FILE, PATH
from ledgercore.cli.output import json_option, print_facts


@click.command("backup")
@click.argument("ledger", type=PATH)
@click.argument("target", type=FILE)
@json_option
def command(ledger: str, target: str, as_json: bool) -> None:
    """Copy LEDGER to the new file TARGET and verify the copy; the key is not copied."""
    from ledgercore.ledger import Ledger

    with Ledger.open(ledger, read_only=True) as opened:
        report = opened.backup(target)
    print_facts({"backup": target, "records": report.records}, as_json=as_json)
