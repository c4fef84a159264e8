"""Write a receipt, or print a proof."""

from __future__ import annotations

from base64 import b64encode

import click

from ledgercore.cli.output import json_option, print_facts


@click.command("prove")
@click.argument("ledger", type=click.Path(dir_okay=False))
@click.option("--index", type=int, help="Prove that a record stands at this index: a receipt.")
@click.option("--state", "state", help="Add to the receipt the state of an object, as name/hex.")
@click.option("--since", type=int, help="Prove that the ledger goes on from this size.")
@click.option("--output", type=click.Path(dir_okay=False), help="The file to write a receipt to.")
@json_option
def command(
    ledger: str,
    index: int | None,
    state: str | None,
    since: int | None,
    output: str | None,
    as_json: bool,
) -> None:
    """Prove something of LEDGER under its newest checkpoint: --index or --since."""
    from ledgercore.cli.show import object_name
    from ledgercore.disk import write_new
    from ledgercore.ledger import Ledger

    if (index is None) == (since is None):
        raise click.UsageError("say one of --index and --since")
    with Ledger.open(ledger, read_only=True) as opened:
        if index is None:
            proof = [b64encode(each).decode() for each in opened.prove_consistency(since or 0)]
            facts = {"first_size": since, "second_size": opened.size, "proof": proof}
            print_facts(facts, as_json=as_json)
            return
        if not 0 <= index < opened.size:
            raise click.UsageError(f"index is {index}, want below {opened.size}")
        name = None if state is None else object_name(state)
        receipt = opened.receipt(index, state_of=name)
        receipt.verify(opened.record(index).body, opened.trust_anchor)
    if output is not None:
        write_new(output, receipt.encode())
        print_facts({"index": index, "receipt": output}, as_json=as_json)
    else:
        encoded = b64encode(receipt.encode()).decode()
        print_facts({"index": index, "receipt": encoded}, as_json=as_json)
