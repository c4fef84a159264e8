"""Print a ledger's trust anchor."""

from __future__ import annotations

import click

from ledgercore.cli.files import PATH
from ledgercore.cli.output import json_option, print_json


@click.command("anchor")
@click.argument("ledger", type=PATH)
@json_option
def command(ledger: str, as_json: bool) -> None:
    """Print what a verifier must be given to check LEDGER's receipts, as TOML."""
    from ledgercore.anchor import format_anchor
    from ledgercore.ledger import Ledger

    with Ledger.open(ledger, read_only=True) as opened:
        anchor = opened.trust_anchor
    if as_json:
        print_json(
            {
                "origin": anchor.origin,
                "network": anchor.network.hex(),
                "suite": anchor.suite,
                "operator": anchor.operator_vkey,
                "quorum": anchor.quorum,
                "witnesses": {name: key.hex() for name, key in anchor.witnesses},
            }
        )
    else:
        click.echo(format_anchor(anchor).encode(), nl=False)  # UTF-8 whatever the locale
