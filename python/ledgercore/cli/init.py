"""Make a ledger and its operator's key."""

from __future__ import annotations

from unicodedata import category

import click

from ledgercore.cli.files import PATH, key_option, passphrase_option, read_passphrase
from ledgercore.cli.output import json_option, print_facts
from ledgercore.errors import LimitError, MalformedError


@click.command("init")
@click.argument("ledger", type=PATH)
@click.option("--origin", required=True, help="The ledger's unique name, such as tax.example/log.")
@click.option("--suite", default="std", help="std (default), or c2sp for SHA-256 log tooling.")
@key_option
@passphrase_option
@json_option
def command(
    ledger: str,
    origin: str,
    suite: str,
    key_place: str | None,
    passphrase_file: str | None,
    as_json: bool,
) -> None:
    """Make LEDGER, and the operator's key in LEDGER.key, readable by its owner only.

    Without a passphrase whoever can read the key's file can sign as the operator. With --key the
    key that is there is used, or one is made there: in a PKCS#12 file under the passphrase, or in
    a token that the passphrase opens as its PIN.
    """
    from ledgercore.entropy import SystemEntropy
    from ledgercore.keys import ensure_signer
    from ledgercore.ledger import Ledger
    from ledgercore.store import parse_address, shown

    _check_origin(origin)
    passphrase = read_passphrase(passphrase_file)
    address = parse_address(ledger)
    key = None if key_place is None else ensure_signer(key_place, passphrase, SystemEntropy())
    with Ledger.create(ledger, origin=origin, suite=suite, key=key, passphrase=passphrase) as made:
        kept = f"{made.path}.key" if address.server else f"{ledger}.key"
        facts = {
            "ledger": shown(ledger),
            "key": kept if key_place is None else key_place.partition("?")[0],
            "origin": made.origin,
            "suite": made.suite,
            "network": made.network.hex(),
        }
    print_facts(facts, as_json=as_json)


def _check_origin(origin: str) -> None:
    """Say of the origin itself what would otherwise be said of a genesis or a checkpoint."""
    from ledgercore._core import ORIGIN_BYTES
    from ledgercore.ledger.arguments import check_origin

    check_origin(origin)
    count = len(origin.encode(errors="replace"))
    if count > ORIGIN_BYTES:
        raise LimitError(f"origin has {count} bytes, want at most {ORIGIN_BYTES}")
    if not origin or any(c.isspace() or category(c) == "Cc" or c == "+" for c in origin):
        raise MalformedError(
            f"origin is {origin!r}, want a name without spaces, control characters or plus signs, "
            "such as tax.example/log"
        )
