"""Verify evidence of any kind offline: receipts, states, histories, totals, packs, and more."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

import click

from ledgercore.cli.files import (
    CONSISTENCY_LOOK,
    FILE,
    looks_like,
    read_anchor,
    read_checkpoint,
    read_evidence,
    read_record,
)
from ledgercore.cli.output import json_option, one_line, plain, print_facts, print_json
from ledgercore.errors import (
    InvalidError,
    InvalidProof,
    InvalidSignature,
    LedgerError,
    MalformedError,
    UntrustedError,
)

if TYPE_CHECKING:
    from ledgercore._core import Anchor, Receipt
    from ledgercore.proofs import VerifiedState

RECEIPT_MARK = b"\x96"
"""How an encoded receipt begins: an array of six."""


@click.command("verify")
@click.argument("evidence", type=FILE)
@click.option("--anchor", "anchor_path", required=True, type=FILE, help="The anchor.")
@click.option("--record", "record_path", type=FILE, help="A receipt's record: its body.")
@click.option("--checkpoint", "kept_path", type=FILE, help="The checkpoint of prove --since.")
@json_option
def command(
    evidence: str,
    anchor_path: str,
    record_path: str | None,
    kept_path: str | None,
    as_json: bool,
) -> None:
    """Verify EVIDENCE, as bytes or in base64, with nothing but the trust anchor.

    With --record FILE it is a receipt, and FILE is the record's body. With --checkpoint FILE it
    is what prove --since wrote, and FILE the checkpoint that was kept. Otherwise it is a state
    receipt, the history of an object, totals with the history that they are held to, an opening by
    order, an evidence pack, evidence that a member or the operator signed two histories or that
    the operator broke a promise, or a record of a former ledger; what it proves is printed.
    """
    if record_path is not None and kept_path is not None:
        raise click.UsageError("say one of --record and --checkpoint")
    anchor = read_anchor(anchor_path)
    data = unwrapped(read_evidence(evidence, receipt=record_path is not None))
    try:
        _verify(evidence, data, anchor, record_path, kept_path, as_json=as_json)
    except (MalformedError, InvalidProof, InvalidSignature) as error:
        named = (evidence, record_path, kept_path)
        if not any(path in str(error) for path in named if path is not None):
            error.add_note(f"{evidence} was changed or cut off: ask for it again")
        raise


def _verify(
    evidence: str,
    data: bytes,
    anchor: Anchor,
    record_path: str | None,
    kept_path: str | None,
    *,
    as_json: bool,
) -> None:
    """Verify what the evidence looks like, as what it was said to be."""
    if kept_path is not None:
        if not data.startswith(b"{"):
            looks = looks_like(data)
            raise MalformedError(f"{evidence} is not {CONSISTENCY_LOOK}: it looks like {looks}")
        _verify_consistency(data, read_checkpoint(kept_path).encode(), anchor, as_json)
    elif data.startswith(RECEIPT_MARK):
        if record_path is None:
            raise click.UsageError("a receipt is verified with its record: add --record FILE")
        _verify_receipt(data, record_path, anchor, as_json)
    elif record_path is None and data[:1] in _VERIFIERS:
        _VERIFIERS[data[:1]](data, anchor, as_json)
    elif record_path is None and looks_like(data) == CONSISTENCY_LOOK:
        raise click.UsageError(
            "growth is verified with the checkpoint that was kept: add --checkpoint FILE"
        )
    else:
        wanted = "an evidence pack or a receipt" if record_path is None else "a receipt"
        raise MalformedError(f"{evidence} is not {wanted}: it looks like {looks_like(data)}")


def unwrapped(data: bytes) -> bytes:
    """The bytes themselves, or those that base64 stands for, on lines of one length.

    Base64 is ASCII, and no evidence begins with an ASCII byte, so there is never a choice.
    """
    lines = data.replace(b"\r\n", b"\n").removesuffix(b"\n").split(b"\n")
    text, width = b"".join(lines), len(lines[0])
    if any(len(line) != width for line in lines[:-1]) or not 0 < len(lines[-1]) <= width:
        return data
    try:
        decoded = b64decode(text, validate=True)
    except binascii.Error:
        return data
    # Bits that the last letter has to spare must be zero: one receipt, one text but for its lines.
    return decoded if decoded and b64encode(decoded) == text else data


def _verify_receipt(data: bytes, record_path: str, anchor: Anchor, as_json: bool) -> None:
    from ledgercore._core import Receipt
    from ledgercore.proofs.state import verify_object

    body = read_record(record_path)
    receipt = Receipt.decode(data)
    checkpoint = anchor.verify_checkpoint(receipt.checkpoint)
    try:
        record = receipt.verify(body, anchor)
    except LedgerError as error:
        _explain_newline(receipt, body, anchor, error)
        if isinstance(error, InvalidSignature):  # and so not the checkpoint's, which was verified
            raise InvalidSignature(
                f"{error}: {record_path} is not the body of record {receipt.index} of "
                f"{anchor.origin}, of which this receipt is, or the receipt was changed; whoever "
                "has the ledger writes that body with ledgercore show LEDGER --index "
                f"{receipt.index} --body"
            ) from None
        raise
    facts = {
        "verified": True,
        "origin": anchor.origin,
        "index": receipt.index,
        "size": checkpoint.size,
        "id": record.id.hex(),
        "kind": record.kind,
        "key": record.key.hex(),
    }
    if receipt.state is not None:
        facts |= _state_facts(verify_object(anchor, checkpoint, receipt.state.encode()))
    print_facts(facts, as_json=as_json)


def _verify_consistency(data: bytes, kept: bytes, anchor: Anchor, as_json: bool) -> None:
    from ledgercore.proofs import ConsistencyProof

    older, newer = ConsistencyProof.decode(data).verify(kept, anchor)
    facts = {"verified": True, "origin": anchor.origin}
    facts |= {"first_size": older.size, "second_size": newer.size}
    facts |= {"second_root": newer.root.hex()}
    print_facts(facts, as_json=as_json)


def _explain_newline(receipt: Receipt, body: bytes, anchor: Anchor, error: LedgerError) -> None:
    """Say so where all that is wrong with a record's file is the newline at its end."""
    shorter = {body.removesuffix(ending) for ending in (b"\n", b"\r\n")} - {body}
    for candidate in shorter:
        try:
            receipt.verify(candidate, anchor)
        except (InvalidError, MalformedError):
            continue
        raise InvalidSignature(
            f"{error}: the record's file ends in a newline that the record does not have; "
            "write it without one, for example with printf %s"
        ) from None


def _verify_three(data: bytes, anchor: Anchor, as_json: bool) -> None:
    from ledgercore.proofs import holds_records

    verify = _verify_equivocation if holds_records(data) else _verify_state
    verify(data, anchor, as_json)


def _verify_equivocation(data: bytes, anchor: Anchor, as_json: bool) -> None:
    from ledgercore._core import Equivocation

    first = Equivocation.decode(data).first
    if (first.network, first.suite) != (anchor.network, anchor.suite):
        raise UntrustedError("equivocation is of another network or suite than the anchor's")
    facts = {"verified": True, "equivocation": True, "key": first.key.hex()}
    print_facts(facts | {"sequence": first.sequence}, as_json=as_json)


def _verify_state(data: bytes, anchor: Anchor, as_json: bool) -> None:
    from ledgercore.proofs import verify_state

    verified = verify_state(data, anchor)
    size = verified.checkpoint.size
    facts = {"verified": True, "origin": anchor.origin, "size": size}
    print_facts(facts | _state_facts(verified), as_json=as_json)


def _verify_split_view(data: bytes, anchor: Anchor, as_json: bool) -> None:
    from ledgercore.proofs import verify_split_view

    first, second = verify_split_view(data, anchor)
    facts = {"verified": True, "split_view": True, "origin": anchor.origin}
    facts |= {"first_size": first.size, "first_height": first.height}
    facts |= {"second_size": second.size, "second_height": second.height}
    facts |= {"first_root": first.root.hex(), "second_root": second.root.hex()}
    print_facts(facts, as_json=as_json)


def _verify_broken_promise(data: bytes, anchor: Anchor, as_json: bool) -> None:
    from ledgercore.proofs import verify_broken_promise

    promise, checkpoint, time_ms = verify_broken_promise(data, anchor)
    facts = {"verified": True, "broken_promise": True, "origin": anchor.origin}
    facts |= {"record": promise.record.hex(), "key": promise.key.hex()}
    facts |= {"sequence": promise.sequence, "promised_by_ms": promise.by_ms}
    facts |= {"size": checkpoint.size, "height": checkpoint.height, "time_ms": time_ms}
    print_facts(facts, as_json=as_json)


def _verify_history(data: bytes, anchor: Anchor, as_json: bool) -> None:
    from ledgercore.proofs import verify_history

    history = verify_history(data, anchor)
    size, newest = history.checkpoint.size, history.newest.checkpoint.size
    facts = {"verified": True, "complete": True, "origin": anchor.origin, "size": size}
    facts |= {"records": len(history.records), "state_size": newest}
    facts |= _state_facts(history.newest)
    if as_json:
        listed = [
            {"index": index, "id": record.id.hex(), "kind": record.kind, "key": record.key.hex()}
            for index, record in history.records
        ]
        print_json(facts | {"history": listed})
        return
    print_facts(facts, as_json=False)
    for index, record in history.records:
        click.echo(f"{index:8} {record.kind}: {record.id.hex()}")


def _verify_totals(data: bytes, anchor: Anchor, as_json: bool) -> None:
    from ledgercore.exchange.totals import verify_totals_proof

    verified = verify_totals_proof(data, anchor)
    report = verified.report
    facts = {
        "verified": True,
        "origin": anchor.origin,
        "size": verified.history.checkpoint.size,
        "consumer": report.consumer,
        "begin": report.begin,
        "end": report.end,
        "decisions": report.count,
        "amount": report.amount,
    }
    print_facts(facts, as_json=as_json)


def _verify_opening(data: bytes, anchor: Anchor, as_json: bool) -> None:
    from ledgercore.exchange.opening_proof import verify_opening

    opened = verify_opening(data, anchor)
    facts = {
        "verified": True,
        "origin": anchor.origin,
        "audit": opened.audit.hex(),
        "supervisor": opened.state.supervisor,
        "basis": opened.state.basis,
        "exchange": opened.exchange.hex(),
        "opened_by": ", ".join(opened.openers),
    }
    print_facts(facts, as_json=as_json)


def _verify_renewed(data: bytes, anchor: Anchor, as_json: bool) -> None:
    from ledgercore.proofs import verify_renewed

    renewed = verify_renewed(data, anchor)
    facts = {
        "verified": True,
        "origin": anchor.origin,
        "anchored_by": renewed.anchored_by.id.hex(),
        "former_network": renewed.former.former_network.hex(),
        "former_suite": renewed.former.former_suite,
        "former_size": renewed.former.former_size,
        "index": renewed.index,
        "id": renewed.record.id.hex(),
        "kind": renewed.record.kind,
        "key": renewed.record.key.hex(),
    }
    print_facts(facts, as_json=as_json)


def _state_facts(verified: VerifiedState) -> dict[str, Any]:
    """An object and its state by field, with the status that the newest record left."""
    from ledgercore.rules import format_object

    state = plain(verified.state)
    facts = {"object": format_object(verified.object), "present": state is not None}
    if state is not None and "status" in state:
        facts["status"] = state["status"]
    return facts | {"state": state}


def _verify_pack(data: bytes, anchor: Anchor, as_json: bool) -> None:
    from ledgercore.exchange.pack import verify_pack

    claims = verify_pack(data, anchor)
    if as_json:
        shown = [
            {"name": claim.name, "statement": claim.statement, "status": claim.status}
            for claim in claims
        ]
        print_json({"verified": True, "claims": shown})
        return
    for claim in claims:
        click.echo(one_line(f"{claim.status:8} {claim.name}: {claim.statement}"))


_VERIFIERS = {
    b"\x93": _verify_three,
    b"\x94": _verify_broken_promise,
    b"\x95": _verify_split_view,
    b"\x97": _verify_history,
    b"\x98": _verify_renewed,
    b"\x99": _verify_totals,
    b"\x9a": _verify_opening,
    b"\x9b": _verify_pack,
}
"""By how they begin: arrays of three to five, seven to eleven."""
