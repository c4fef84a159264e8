"""Verify a receipt or an evidence pack, offline."""

from __future__ import annotations

import binascii
from base64 import b64decode

import click

from ledgercore.cli.output import json_option, print_facts, print_json
from ledgercore.errors import InvalidProof, LedgerError, MalformedError


@click.command("verify")
@click.argument("evidence", type=click.Path(dir_okay=False))
@click.option("--anchor", "anchor_path", required=True, type=click.Path(), help="The trust anchor.")
@click.option("--record", "record_path", type=click.Path(), help="A receipt's record: its body.")
@json_option
def command(evidence: str, anchor_path: str, record_path: str | None, as_json: bool) -> None:
    """Verify EVIDENCE with nothing but the trust anchor.

    With --record FILE it is a receipt, as bytes or in base64, and FILE is the record's body.
    Otherwise it is an evidence pack, and each claim that it proves is printed.
    """
    from ledgercore.anchor import parse_anchor
    from ledgercore.disk import read_bytes

    anchor = parse_anchor(read_bytes(anchor_path).decode(errors="replace"))
    data = read_bytes(evidence)
    if record_path is None:
        _verify_pack(data, anchor, as_json)
        return
    from ledgercore._core import Checkpoint, Receipt

    receipt = Receipt.decode(_receipt_bytes(data))
    body = read_bytes(record_path)
    try:
        record = receipt.verify(body, anchor)
    except InvalidProof as error:
        _explain_newline(receipt, body, anchor, error)
        raise
    checkpoint = Checkpoint.parse(receipt.checkpoint)
    facts = {
        "verified": True,
        "origin": anchor.origin,
        "index": receipt.index,
        "size": checkpoint.size,
        "id": record.id.hex(),
        "kind": record.kind,
        "key": record.key.hex(),
    }
    print_facts(facts, as_json=as_json)


def _receipt_bytes(data: bytes) -> bytes:
    """A receipt's bytes, which begin with an array's marker, or their base64 on one line."""
    if data[:1] == b"\x96":
        return data
    try:
        return b64decode(data.removesuffix(b"\n"), validate=True)
    except binascii.Error:
        raise MalformedError("receipt is neither encoded bytes nor base64 of them") from None


def _explain_newline(receipt: object, body: bytes, anchor: object, error: InvalidProof) -> None:
    from ledgercore._core import Anchor, Receipt

    assert isinstance(receipt, Receipt) and isinstance(anchor, Anchor)
    if not body.endswith(b"\n"):
        return
    try:
        receipt.verify(body[:-1], anchor)
    except LedgerError:
        return
    raise InvalidProof(
        f"{error}: the record file ends in a newline that the record does not have; "
        "write it without one (printf '%s')"
    ) from None


def _verify_pack(data: bytes, anchor: object, as_json: bool) -> None:
    from ledgercore._core import Anchor
    from ledgercore.exchange.pack import verify_pack

    assert isinstance(anchor, Anchor)
    claims = verify_pack(data, anchor)
    if as_json:
        shown = [
            {"name": claim.name, "statement": claim.statement, "status": claim.status}
            for claim in claims
        ]
        print_json({"verified": True, "claims": shown})
        return
    for claim in claims:
        click.echo(f"{claim.status:8} {claim.name}: {claim.statement}")
