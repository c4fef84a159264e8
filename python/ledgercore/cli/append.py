"""Append one record a line.

A line's record is its bytes up to the newline and without it. Nothing else is taken away: a
carriage return before the newline stays, and an empty line is an empty record. A last line that
has no newline is a record too.
"""

from __future__ import annotations

import sys
from base64 import b64encode
from typing import TYPE_CHECKING

import click

from ledgercore._core import BODY_BYTES, verify_receipts
from ledgercore.cli.files import (
    FILE,
    PATH,
    check_operator,
    key_option,
    passphrase_option,
    read_passphrase,
)
from ledgercore.cli.output import json_line, json_option
from ledgercore.disk import open_lines
from ledgercore.entropy import SystemEntropy
from ledgercore.errors import LimitError, UnavailableError

if TYPE_CHECKING:
    from ledgercore.ledger import Ledger

TOGETHER = 1024
"""Lines whose receipts are verified and reported at once; their block is durable before."""


@click.command("append")
@click.argument("ledger", type=PATH)
@click.option(
    "--lines", "source", type=FILE, required=True, help="A file of lines, or - for standard input."
)
@key_option
@passphrase_option
@json_option
def command(
    ledger: str,
    source: str,
    key_place: str | None,
    passphrase_file: str | None,
    as_json: bool,
) -> None:
    """Append each line of a file to LEDGER as one record: its bytes without the newline.

    A line is reported once its record is durable and its receipt verifies. Lines that are at hand
    together share a block; no line waits for a later one.
    """
    from ledgercore.keys import load_signer
    from ledgercore.ledger import Ledger

    if source == "-" and sys.stdin is None:
        raise UnavailableError("standard input is closed, want lines on it")
    check_operator(ledger, key_place)
    passphrase = read_passphrase(passphrase_file)
    key = None if key_place is None else load_signer(key_place, passphrase)
    with (
        Ledger.open(ledger, key=key, passphrase=passphrase) as opened,
        open_lines(source, BODY_BYTES) as batches,
    ):
        _check_quorum(opened)
        count = 0
        for lines in batches:
            fitting = _fitting(lines)
            # A block of its own for each list: durable before its lines are reported.
            _append(opened, lines[:fitting], as_json)
            count += len(lines)
            if fitting < len(lines):
                raise LimitError(
                    f"line {count - len(lines) + fitting + 1} has more than {BODY_BYTES} bytes: "
                    "keep the data off the ledger and append its hash; the lines before it are "
                    "appended"
                )


def _append(ledger: Ledger, lines: list[bytes], as_json: bool) -> None:
    """Append the lines as one block, then verify receipts and report lines, many at a time."""
    receipts = ledger.append_many(lines)
    anchor, entropy = ledger.trust_anchor, SystemEntropy()
    for begin in range(0, len(lines), TOGETHER):
        part = receipts[begin : begin + TOGETHER]
        encoded = [receipt.encode() for receipt in part]
        bodies = lines[begin : begin + TOGETHER]
        ids = verify_receipts(encoded, bodies, anchor, entropy.bytes(32)).ids()
        each = zip(part.indices, ids, encoded, strict=True)
        # Flushed: none of it waits for what comes later.
        click.echo("\n".join(_shown(*record, as_json) for record in each))


def _shown(index: int, record: bytes, receipt: bytes, as_json: bool) -> str:
    if not as_json:
        return f"{index} {record.hex()}"
    encoded = b64encode(receipt).decode()
    return json_line({"index": index, "id": record.hex(), "receipt": encoded})


def _fitting(lines: list[bytes]) -> int:
    """How many lines stand before the first that is too long."""
    return next((at for at, line in enumerate(lines) if len(line) > BODY_BYTES), len(lines))


def _check_quorum(ledger: Ledger) -> None:
    """A receipt that lacks cosignatures does not verify, so nothing could be reported."""
    quorum = ledger.trust_anchor.quorum
    if quorum:
        raise UnavailableError(
            f"ledger's checkpoints need {quorum} cosignatures, which no witness gives here: "
            "append from Python and have the checkpoint cosigned"
        )
