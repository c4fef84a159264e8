"""Write a receipt of a record or a state, a history, a renewed record, or a proof of growth."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

import click

from ledgercore.cli.files import FILE, PATH
from ledgercore.cli.output import json_line, json_option, on_terminal, print_facts
from ledgercore.cli.unpublished import check_waiting
from ledgercore.errors import AbsentError, InvalidProof

if TYPE_CHECKING:
    from ledgercore.ledger import Ledger


@click.command("prove")
@click.argument("ledger", type=PATH)
@click.option("--index", type=int, help="Prove that a record stands at this index: a receipt.")
@click.option(
    "--state", help="Prove the state of an object, such as consent/<hex>, or its absence."
)
@click.option("--history", help="Prove which records are all that touched an object.")
@click.option("--height", type=int, help="With --history: as of this block's checkpoint.")
@click.option("--since", type=int, help="Prove that the ledger goes on from this size.")
@click.option(
    "--renewed-in",
    "newer",
    type=FILE,
    help="With --index: by the anchor that ledgercore renew put into this newer ledger.",
)
@click.option(
    "--anchored-at", type=int, help="With --renewed-in: the anchor's index, not the newest."
)
@click.option("--output", type=FILE, help="A new file to write it to.")
@json_option
def command(
    ledger: str,
    index: int | None,
    state: str | None,
    history: str | None,
    height: int | None,
    since: int | None,
    newer: str | None,
    anchored_at: int | None,
    output: str | None,
    as_json: bool,
) -> None:
    """Prove one thing of LEDGER: --index, --state, --history or --since.

    With --index and --state together a receipt has the state beside it, with --index and
    --renewed-in it is a record of LEDGER, led to the anchor of a newer ledger. What is not JSON is
    written to a file as its bytes, and into a pipe as a line of base64 alone: ledgercore verify
    takes both. The proof of --since is JSON, its hashes in hexadecimal.
    """
    from ledgercore.disk import write_new
    from ledgercore.ledger import Ledger
    from ledgercore.rules import parse_object

    chosen = [index if index is not None else state, history, since]
    if chosen.count(None) != len(chosen) - 1:
        raise click.UsageError("say one of --index, --state, --history and --since")
    if state is not None and (history is not None or since is not None):
        raise click.UsageError("--state goes alone or with --index")
    if height is not None and history is None:
        raise click.UsageError("--height goes with --history")
    if newer is not None and (index is None or state is not None):
        raise click.UsageError("--renewed-in goes with --index, and without --state")
    if anchored_at is not None and newer is None:
        raise click.UsageError("--anchored-at goes with --renewed-in")
    with Ledger.open(ledger, read_only=True) as opened:
        if since is not None:
            facts = _consistency(opened, since)
            data, text = json_line(facts).encode() + b"\n", None
        elif history is not None:
            data = _history(opened, history, height)
            facts = {"object": history, "history": (text := b64encode(data).decode())}
        elif index is not None and newer is not None:
            _check_index(ledger, opened, index)
            data = _renewed(opened, index, newer, anchored_at)
            facts = {"index": index, "renewed": (text := b64encode(data).decode())}
        elif index is not None:
            _check_index(ledger, opened, index)
            data = _receipt(opened, index, state)
            facts = {"index": index, "receipt": (text := b64encode(data).decode())}
        else:
            data = opened.state_receipt(parse_object(state or "")).encode()
            facts = {"object": state, "receipt": (text := b64encode(data).decode())}
    if output is not None:
        write_new(output, data)
        print_facts({"output": output, "bytes": len(data)}, as_json=as_json)
    elif as_json or on_terminal():
        print_facts(facts, as_json=as_json)
    else:  # in a pipe, what verify takes and nothing beside it
        click.echo(data if text is None else text, nl=text is not None)


def _receipt(ledger: Ledger, index: int, state: str | None) -> bytes:
    from ledgercore.rules import parse_object

    name = None if state is None else parse_object(state)
    return ledger.receipt(index, state_of=name).encode()


def _renewed(ledger: Ledger, index: int, newer: str, anchored_at: int | None) -> bytes:
    """A renewed record that verifies: an anchor of another root would prove nothing."""
    from ledgercore.ledger import Ledger
    from ledgercore.ledger.renewal import find_renewal, prove_renewed

    with Ledger.open(newer, read_only=True) as opened:
        if anchored_at is None:
            anchored_at = find_renewal(ledger, opened, index)
        _check_index(newer, opened, anchored_at)
        renewed = prove_renewed(ledger, opened, anchored_at, index)
        try:
            renewed.verify(opened.trust_anchor)
        except InvalidProof as error:
            raise InvalidProof(
                f"record {anchored_at} of the newer ledger anchors another history: {error}; name "
                "another anchor with --anchored-at"
            ) from error
    return renewed.encode()


def _check_index(place: str, ledger: Ledger, index: int) -> None:
    from ledgercore.store import shown

    if not 0 <= index < ledger.size:
        check_waiting(shown(place), ledger, index=index)
        raise AbsentError(f"index is {index}, want 0 or more and below {ledger.size}")


def _history(ledger: Ledger, name: str, height: int | None) -> bytes:
    from ledgercore.rules import parse_object

    if height is not None and not 0 <= height <= ledger.height:
        raise AbsentError(f"height is {height}, want 0 or more and at most {ledger.height}")
    return ledger.prove_history(parse_object(name), height=height).encode()


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
