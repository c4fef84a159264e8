"""Show a ledger, a record, a block or an object's state."""

from __future__ import annotations

from typing import Any

import click

from ledgercore.cli.output import json_option, parse_hex, print_facts


@click.command("show")
@click.argument("ledger", type=click.Path(dir_okay=False))
@click.option("--index", type=int, help="A record by its index.")
@click.option("--id", "record_id", help="A record by its id, in hexadecimal.")
@click.option("--block", "height", type=int, help="A block by its height.")
@click.option("--state", "state", help="An object by its name, such as consent/<hex>.")
@click.option("--checkpoint", is_flag=True, help="The newest signed checkpoint, as it is.")
@json_option
def command(
    ledger: str,
    index: int | None,
    record_id: str | None,
    height: int | None,
    state: str | None,
    checkpoint: bool,
    as_json: bool,
) -> None:
    """Show LEDGER as a whole, or one thing in it; what is shown was checked."""
    from ledgercore.ledger import Ledger

    with Ledger.open(ledger, read_only=True) as opened:
        if checkpoint:
            click.echo(opened.checkpoint, nl=False)
            return
        if record_id is not None:
            index = opened.find(parse_hex("id", record_id))
            if index is None:
                raise click.UsageError(f"no record has the id {record_id}")
        try:
            if index is not None:
                facts = _record_facts(opened.record(index), index)
            elif height is not None:
                facts = _block_facts(opened.block(height))
            elif state is not None:
                facts = _state_facts(state, opened.state(object_name(state)))
            else:
                facts = _ledger_facts(opened)
        except IndexError as error:
            raise click.UsageError(str(error)) from None
    print_facts(facts, as_json=as_json)


def object_name(text: str) -> bytes:
    """An object's name: family and id, in hexadecimal where ids are bytes."""
    family, slash, rest = text.partition("/")
    if slash and family in ("consent", "exchange", "decision", "key", "signer"):
        return family.encode() + b"/" + parse_hex("object id", rest)
    return text.encode()


def _ledger_facts(ledger: Any) -> dict[str, Any]:
    return {
        "origin": ledger.origin,
        "suite": ledger.suite,
        "network": ledger.network.hex(),
        "records": ledger.size,
        "blocks": ledger.height + 1,
        "members": len(ledger.genesis.members),
        "time_ms": ledger.block(ledger.height).time_ms,
    }


def _record_facts(record: Any, index: int) -> dict[str, Any]:
    from ledgercore.records import DATA, decode

    facts = {
        "index": index,
        "id": record.id.hex(),
        "kind": record.kind,
        "key": record.key.hex(),
        "sequence": record.sequence,
        "previous": record.previous.hex(),
        "body_bytes": len(record.body),
    }
    if record.kind == DATA:
        facts["body_hex"] = record.body.hex()
    else:
        facts["body"] = str(decode(record.kind, record.body))
    return facts


def _block_facts(block: Any) -> dict[str, Any]:
    return {
        "height": block.height,
        "time_ms": block.time_ms,
        "first_index": block.first_index,
        "count": block.count,
        "parent": block.parent.hex(),
        "tree_root": block.tree_root.hex(),
        "state_root": block.state_root.hex(),
    }


def _state_facts(name: str, value: bytes | None) -> dict[str, Any]:
    from msgspec import msgpack

    shown = None if value is None else str(msgpack.decode(value))
    return {"object": name, "present": value is not None, "state": shown}
