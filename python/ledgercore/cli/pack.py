"""Write the evidence pack of an exchange."""

from __future__ import annotations

from pathlib import Path

import click

from ledgercore.cli.files import FILE, PATH, passphrase_option, read_passphrase
from ledgercore.cli.output import json_option, parse_hex, print_facts

DEMO_LEDGER = "exchange.ledger"
DEMO_VAULT = "bank.vault"


@click.command("pack")
@click.argument("place", type=PATH)
@click.argument("exchange")
@click.option("--vault", type=FILE, help="A party's vault, with its key in VAULT.key.")
@passphrase_option
@click.option("--output", required=True, type=FILE, help="The new file to write.")
@json_option
def command(
    place: str,
    exchange: str,
    vault: str | None,
    passphrase_file: str | None,
    output: str,
    as_json: bool,
) -> None:
    """Put all evidence of one EXCHANGE, by its id or its object's name, into one file.

    PLACE is a ledger, or a directory that ledgercore demo made: then the bank's vault is used.
    Without a vault the pack proves all but the content, of which it has no openings.
    """
    from ledgercore.disk import exists, write_new
    from ledgercore.errors import StoreError
    from ledgercore.exchange.pack import build_pack, verify_pack
    from ledgercore.ledger import Ledger
    from ledgercore.vault import Vault

    exchange_id = parse_hex("exchange id", exchange.removeprefix("exchange/"))
    if exists(Path(place) / DEMO_LEDGER):
        vault = vault or str(Path(place) / DEMO_VAULT)
        place = str(Path(place) / DEMO_LEDGER)
    if vault is not None and not exists(vault):
        raise StoreError(f"{vault} does not exist, want a party's vault")
    with Ledger.open(place, read_only=True) as ledger:
        passphrase = read_passphrase(passphrase_file)
        opened = None if vault is None else Vault(vault, passphrase=passphrase)
        try:
            data = build_pack(ledger, opened, exchange_id)
        finally:
            if opened is not None:
                opened.close()
        claims = verify_pack(data, ledger.trust_anchor)
    write_new(output, data)
    print_facts({"pack": output, "bytes": len(data), "claims": len(claims)}, as_json=as_json)
