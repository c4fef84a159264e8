"""Anchor the whole of a former ledger in a newer one, under the newer one's suite."""

from __future__ import annotations

import click

from ledgercore.cli.files import (
    FILE,
    PATH,
    check_operator,
    key_option,
    passphrase_option,
    read_passphrase,
)
from ledgercore.cli.output import json_option, print_facts, progress_bars
from ledgercore.errors import UnavailableError


@click.command("renew")
@click.argument("former", type=PATH)
@click.argument("newer", type=PATH)
@click.option(
    "--member-key",
    "member_place",
    type=FILE,
    help="Where the key of the member is that answers for it; the operator's if left out.",
)
@key_option
@passphrase_option
@json_option
def command(
    former: str,
    newer: str,
    member_place: str | None,
    key_place: str | None,
    passphrase_file: str | None,
    as_json: bool,
) -> None:
    """Verify all of FORMER, hash it anew, and anchor it in NEWER as a member's record.

    Whoever keeps a record of FORMER shows from then on, under the anchor of NEWER alone, that it
    stood there: ledgercore prove FORMER --index N --renewed-in NEWER. NEWER is opened to write
    before and after FORMER is verified, so its node is stopped then, and nothing else may sign with
    the member's key at the end.
    """
    from ledgercore.keys import load_signer, sign_record
    from ledgercore.ledger import Ledger
    from ledgercore.ledger.renewal import anchored_whole, renew
    from ledgercore.records import encode
    from ledgercore.store import parse_address, shown

    check_operator(newer, key_place)
    passphrase = read_passphrase(passphrase_file)
    key = load_signer(key_place or f"{parse_address(newer).beside()}.key", passphrase)
    member = key if member_place is None else load_signer(member_place, passphrase)
    # Whether it can be written shows before the former one is verified, which takes long: others
    # write it meanwhile.
    with Ledger.open(newer, key=key) as new, Ledger.open(former, read_only=True) as old:
        suite, there = new.suite, anchored_whole(old, new, member.public_key)
        if there is not None:
            raise UnavailableError(
                f"record {there} of {shown(newer)} anchors all of {shown(former)} already, in the "
                "name of this member: renew when there are newer records, or another member's word "
                "is wanted"
            )
    with Ledger.open(former, read_only=True) as old, progress_bars() as progress:
        body = renew(old, suite, lambda done, total: progress("verifying", done, total))
    with Ledger.open(newer, key=key) as new:
        sequence, previous = new.next_position(member.public_key)
        record = sign_record(
            member,
            new.suite,
            new.network,
            body.KIND,
            encode(body),
            sequence=sequence,
            previous=previous,
        )
        receipt = new.submit(record.encode())
    facts = {
        "index": receipt.index,
        "id": record.id.hex(),
        "former_network": body.former_network.hex(),
        "former_suite": body.former_suite,
        "former_size": body.former_size,
        "root": body.root.hex(),
    }
    print_facts(facts, as_json=as_json)
