"""Append one record a line."""

from __future__ import annotations

from base64 import b64encode

import click

from ledgercore.cli.output import json_option, print_json
from ledgercore.disk import open_lines
from ledgercore.errors import MalformedError

LINE_BYTES = 63 * 1024
"""What a record's body holds at most."""


@click.command("append")
@click.argument("ledger", type=click.Path(dir_okay=False))
@click.option("--lines", "source", required=True, help="A file of lines, or - for standard input.")
@json_option
def command(ledger: str, source: str, as_json: bool) -> None:
    """Append each line of a file to LEDGER as one record: its bytes without the newline.

    A line is reported once its record is durable and its receipt verifies. Lines that are at hand
    together share a block; no line waits for a later one.
    """
    from ledgercore.ledger import Ledger

    with Ledger.open(ledger) as opened, open_lines(source) as batches:
        count = 0
        for lines in batches:
            _check_lengths(lines, count)
            receipts = opened.append_many(lines)
            for line, receipt in zip(lines, receipts, strict=True):
                record = receipt.verify(line, opened.trust_anchor)
                if as_json:
                    encoded = b64encode(receipt.encode()).decode()
                    print_json({"index": receipt.index, "id": record.id.hex(), "receipt": encoded})
                else:
                    click.echo(f"{receipt.index} {record.id.hex()}")
            count += len(lines)


def _check_lengths(lines: list[bytes], before: int) -> None:
    for number, line in enumerate(lines, before + 1):
        if len(line) > LINE_BYTES:
            raise MalformedError(
                f"line {number} has {len(line)} bytes, want at most {LINE_BYTES}: keep the data "
                "off the ledger and append its hash; earlier lines are appended"
            )
