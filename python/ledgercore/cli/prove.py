"""Write a receipt, or a proof that the ledger goes on from a size."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

import click

from ledgercore.cli.files import FILE
from ledgercore.cli.objects import parse_object
from ledgercore.cli.output import AbsentError, json_line, json_option, on_terminal, print_facts

if TYPE_CHECKING:
    from ledgercore.ledger import Ledger


@click.command("prove")
@click.argument("ledger", type=FILE)
@click.option("--index", type=int, help="Prove that a record stands at this index: a receipt.")
@click.option("--state", help="Add the state of an object to the receipt, such as consent/<hex>.")
@click.option("--since", type=int, help="Prove that the ledger goes on from this size.")
@click.option("--output", type=FILE, help="A new file to write it to.")
@json_option
def command(
    ledger: str,
    index: int | None,
    state: str | None,
    since: int | None,
    output: str | None,
    as_json: bool,
) -> None:
    """Prove something of LEDGER under its newest checkpoint: --index or --since.

    A receipt is written to a file as its bytes, and into a pipe as a line of base64 alone:
    ledgercore verify takes both. The proof of --since is JSON, its hashes in hexadecimal.
    """
    from ledgercore.disk import write_new
    from ledgercore.ledger import Ledger

    if (index is None) == (since is None):
        raise click.UsageError("say one of --index and --since")
    if since is not None and state is not None:
        raise click.UsageError("--state goes with --index")
    with Ledger.open(ledger, read_only=True) as opened:
        if since is not None:
            facts = _consistency(opened, since)
            data = json_line(facts).encode() + b"\n"
        else:
            data = _receipt(opened, index or 0, state)
            facts = {"index": index, "receipt": b64encode(data).decode()}
    if output is not None:
        write_new(output, data)
        print_facts({"output": output, "bytes": len(data)}, as_json=as_json)
    elif as_json or on_terminal():
        print_facts(facts, as_json=as_json)
    else:  # in a pipe, what verify takes and nothing beside it
        click.echo(facts["receipt"] if since is None else data, nl=since is None)


def _receipt(ledger: Ledger, index: int, state: str | None) -> bytes:
    if not 0 <= index < ledger.size:
        raise AbsentError(f"index is {index}, want 0 or more and below {ledger.size}")
    name = None if state is None else parse_object(state)
    return ledger.receipt(index, state_of=name).encode()


def _consistency(ledger: Ledger, since: int) -> dict[str, Any]:
    from ledgercore._core import Checkpoint

    checkpoint = ledger.checkpoint
    newest = Checkpoint.parse(checkpoint)
    if not 0 < since <= newest.size:
        raise AbsentError(f"size is {since}, want above 0 and at most {newest.size}")
    return {
        "suite": ledger.suite,
        "first_size": since,
        "second_size": newest.size,
        "second_root": newest.root.hex(),
        "proof": [each.hex() for each in ledger.prove_consistency(since, newest.size)],
        "checkpoint": checkpoint,
    }
