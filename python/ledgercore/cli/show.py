"""Show a ledger, a record, a block or an object's state."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

import click

from ledgercore.cli.files import PATH
from ledgercore.cli.output import (
    json_option,
    parse_hex,
    plain,
    print_facts,
    print_json,
)
from ledgercore.cli.unpublished import check_waiting, tell_unpublished
from ledgercore.errors import AbsentError

if TYPE_CHECKING:
    from ledgercore._core import Block, Record
    from ledgercore.ledger import Ledger, Unpublished


@click.command("show")
@click.argument("ledger", type=PATH)
@click.option("--index", type=int, help="A record by its index.")
@click.option("--id", "record_id", help="A record by its id, in hexadecimal.")
@click.option("--block", "height", type=int, help="A block by its height.")
@click.option("--state", "state", help="An object by its name, such as consent/<hex>.")
@click.option("--objects", "prefix", help="All objects whose name begins so, such as exchange/.")
@click.option("--checkpoint", is_flag=True, help="The newest signed checkpoint, as it is.")
@click.option("--journal", is_flag=True, help="What is durable in the journal and in no block.")
@click.option("--body", is_flag=True, help="Only the record's body, byte for byte; base64 in JSON.")
@json_option
def command(
    ledger: str,
    index: int | None,
    record_id: str | None,
    height: int | None,
    state: str | None,
    prefix: str | None,
    checkpoint: bool,
    journal: bool,
    body: bool,
    as_json: bool,
) -> None:
    """Show LEDGER as a whole, or one thing in it; what is shown was checked.

    The bytes of --body are what ledgercore verify takes with --record. --journal lists what is
    durable and in no block yet, with the index that each record will have; one that stands behind
    a damaged or lost one has none.
    """
    from ledgercore.ledger import Ledger
    from ledgercore.store import shown

    chosen = [index, record_id, height, state, prefix, checkpoint or None, journal or None]
    if len(chosen) - chosen.count(None) > 1:
        raise click.UsageError("say one thing to show: a record, a block, a state, a checkpoint")
    if body and index is None and record_id is None:
        raise click.UsageError("--body goes with --index or --id")
    waiting: Unpublished | None = None
    with Ledger.open(ledger, read_only=True) as opened:
        if checkpoint:
            _print_checkpoint(opened.checkpoint, as_json)
            return
        if journal:
            _print_journal(opened, as_json)
            return
        if prefix is not None:
            _print_objects(_objects(opened, prefix), as_json)
            return
        if record_id is not None:
            index = opened.find(wanted := parse_hex("id", record_id))
            if index is None:
                check_waiting(shown(ledger), opened, record_id=wanted)
                raise AbsentError(f"no record has the id {record_id}")
        try:
            if index is not None and body:
                _print_body(opened.record(index).body, index, as_json)
                return
            if index is not None:
                facts = _record_facts(opened.record(index), index)
            elif height is not None:
                facts = _block_facts(opened.block(height))
            elif state is not None:
                facts = _state_facts(state, opened)
            else:
                waiting = opened.unpublished()
                facts = _ledger_facts(opened, waiting)
        except IndexError as error:
            if index is not None:
                check_waiting(shown(ledger), opened, index=index)
            raise AbsentError(str(error)) from None
    print_facts(facts, as_json=as_json)
    if waiting is not None:
        tell_unpublished(shown(ledger), waiting)


def _print_checkpoint(note: str, as_json: bool) -> None:
    if as_json:
        print_json({"checkpoint": note})
    else:
        click.echo(note.encode(), nl=False)  # UTF-8 whatever the locale, as it was signed


def _print_body(body: bytes, index: int, as_json: bool) -> None:
    if as_json:
        print_json({"index": index, "body_base64": b64encode(body).decode()})
    else:
        click.echo(body, nl=False)


def _print_journal(ledger: Ledger, as_json: bool) -> None:
    """Each record on a line: those that have an index, and then those that can have none."""
    found = ledger.unpublished()
    end = found.first_index + len(found.records)
    indices = [*range(found.first_index, end), *[None] * len(found.behind)]
    rows = [
        {
            "index": index,
            "sequence": record.sequence,
            "id": record.id.hex(),
            "body_hex": record.body.hex(),
        }
        for index, record in zip(indices, (*found.records, *found.behind), strict=True)
    ]
    for row in rows:
        if as_json:
            print_json(row)
        else:
            click.echo(" ".join(f"{name} {_or_none(value)}" for name, value in row.items()))
    if found.fault is not None:
        raise found.fault


def _or_none(value: object) -> object:
    return "none" if value in (None, "") else value


def _objects(ledger: Ledger, prefix: str) -> list[str]:
    """The names that begin so, of which an id may be there in part."""
    from ledgercore.rules import format_object

    family, slash, _ = prefix.partition("/")
    names = [format_object(name) for name, _ in ledger.states(f"{family}{slash}".encode())]
    found = [name for name in names if name.startswith(prefix)]
    if not found:
        raise AbsentError(
            f"no object's name begins with {prefix}: ledgercore show LEDGER --objects '' lists all"
        )
    return found


def _print_objects(names: list[str], as_json: bool) -> None:
    if as_json:
        print_json({"objects": names})
        return
    for name in names:
        click.echo(name)


def _ledger_facts(ledger: Ledger, waiting: Unpublished) -> dict[str, Any]:
    return {
        "origin": ledger.origin,
        "suite": ledger.suite,
        "network": ledger.network.hex(),
        "records": ledger.size,
        "blocks": ledger.height + 1,
        "unpublished": len(waiting.records),
        "members": len(ledger.genesis.members),
        "time_ms": ledger.time_ms,
    }


def _record_facts(record: Record, index: int) -> dict[str, Any]:
    from ledgercore.records import DATA, decode

    facts: dict[str, Any] = {
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
        facts["body"] = plain(decode(record.kind, record.body))
    return facts


def _block_facts(block: Block) -> dict[str, Any]:
    return {
        "height": block.height,
        "time_ms": block.time_ms,
        "first_index": block.first_index,
        "count": block.count,
        "parent": block.parent.hex(),
        "tree_root": block.tree_root.hex(),
        "state_root": block.state_root.hex(),
    }


def _state_facts(text: str, ledger: Ledger) -> dict[str, Any]:
    from ledgercore.rules import decode_object, parse_object

    name = parse_object(text)
    value = ledger.state(name)
    shown = None if value is None else plain(decode_object(name, value))
    return {"object": text, "present": value is not None, "state": shown}
