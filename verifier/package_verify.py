#!/usr/bin/env python3
"""Verify evidence with the package, behind the command line of ``ledgercore_verify.py``.

This is how an implementation is put before ``conformance.py``: it decides by its own code and
reports in the words of docs/spec/conformance.md.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ledgercore import primitives
from ledgercore._core import (
    Anchor,
    Checkpoint,
    Equivocation,
    Receipt,
    Record,
    StateProof,
    format_verifier_key,
)
from ledgercore.anchor import parse_anchor
from ledgercore.cli.verify import unwrapped
from ledgercore.errors import (
    InvalidProof,
    InvalidSignature,
    LedgerError,
    MalformedError,
    UntrustedError,
)
from ledgercore.exchange import verify_pack
from ledgercore.exchange.opening_proof import verify_opening
from ledgercore.exchange.totals import verify_totals_proof
from ledgercore.proofs import (
    holds_records,
    verify_broken_promise,
    verify_history,
    verify_renewed,
    verify_split_view,
    verify_state,
)

__all__ = ["kind_of", "main", "verify"]

Claims = list[tuple[str, str]]

KINDS: dict[type[LedgerError], str] = {
    MalformedError: "malformed",
    InvalidSignature: "invalid-signature",
    InvalidProof: "invalid-proof",
    UntrustedError: "untrusted",
}


def kind_of(error: LedgerError) -> str:
    """The specification's word for an error."""
    return next((kind for each, kind in KINDS.items() if isinstance(error, each)), "invalid")


def verify(data: bytes, anchor: Anchor, record: bytes | None, checkpoint: bytes | None) -> Claims:
    """The claims of a file of any kind, with their status."""
    data = unwrapped(data)
    decide = _DECISIONS.get(data[:1], _checkpoint)
    return decide(data, anchor, record or b"", checkpoint or b"")


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise MalformedError("text is not UTF-8") from None


def _own(record: Record, anchor: Anchor) -> None:
    if (record.network, record.suite) != (anchor.network, anchor.suite):
        raise UntrustedError("record is of another network or suite")


def _record(data: bytes, anchor: Anchor, _: bytes, __: bytes) -> Claims:
    record = Record.decode(data)
    _own(record, anchor)
    record.verify()
    return [("record", "proven")]


def _of_three(data: bytes, anchor: Anchor, _: bytes, __: bytes) -> Claims:
    return _equivocation(data, anchor) if holds_records(data) else _state_receipt(data, anchor)


def _equivocation(data: bytes, anchor: Anchor) -> Claims:
    _own(Equivocation.decode(data).first, anchor)
    return [("equivocation", "proven")]


def _state_receipt(data: bytes, anchor: Anchor) -> Claims:
    return [("absence" if verify_state(data, anchor).state is None else "state", "proven")]


def _history(data: bytes, anchor: Anchor, _: bytes, __: bytes) -> Claims:
    return [("history", "proven")] + [("record", "proven")] * len(
        verify_history(data, anchor).records
    )


def _totals(data: bytes, anchor: Anchor, _: bytes, __: bytes) -> Claims:
    verify_totals_proof(data, anchor)
    return [("totals", "proven")]


def _opening(data: bytes, anchor: Anchor, _: bytes, __: bytes) -> Claims:
    opened = verify_opening(data, anchor)
    return [("ordered", "proven")] + [("opened", "proven")] * len(opened.openers)


def _split_view(data: bytes, anchor: Anchor, _: bytes, __: bytes) -> Claims:
    verify_split_view(data, anchor)
    return [("split-view", "proven")]


def _of_four(data: bytes, anchor: Anchor, _: bytes, checkpoint: bytes) -> Claims:
    if data[1:2] != b"\x01":
        return _state(data, anchor, checkpoint)
    verify_broken_promise(data, anchor)
    return [("broken-promise", "proven")]


def _state(data: bytes, anchor: Anchor, checkpoint: bytes) -> Claims:
    proof = StateProof.decode(data)
    proof.verify(anchor.suite, anchor.verify_checkpoint(_text(checkpoint)).state_root)
    return [_claim_of(proof)]


def _claim_of(proof: StateProof) -> tuple[str, str]:
    return ("absence" if proof.value is None else "state", "proven")


def _receipt(data: bytes, anchor: Anchor, body: bytes, _: bytes) -> Claims:
    receipt = Receipt.decode(data)
    receipt.verify(body, anchor)
    return [("record", "proven")] + ([_claim_of(receipt.state)] if receipt.state else [])


def _renewed(data: bytes, anchor: Anchor, _: bytes, __: bytes) -> Claims:
    verify_renewed(data, anchor)
    return [("renewed", "proven")]


def _pack(data: bytes, anchor: Anchor, _: bytes, __: bytes) -> Claims:
    return [(claim.name, claim.status) for claim in verify_pack(data, anchor)]


def _consistency(data: bytes, anchor: Anchor, _: bytes, checkpoint: bytes) -> Claims:
    try:
        table = json.loads(data)
        note, path = table["checkpoint"], [bytes.fromhex(each) for each in table["proof"]]
    except (ValueError, KeyError, TypeError) as error:
        raise MalformedError(f"consistency proof: {error}") from error
    old = anchor.verify_checkpoint(_text(checkpoint))
    new: Checkpoint = anchor.verify_checkpoint(note)
    primitives.verify_consistency(anchor.suite, old.size, new.size, path, old.root, new.root)
    return [("consistency", "proven")]


def _checkpoint(data: bytes, anchor: Anchor, _: bytes, __: bytes) -> Claims:
    text = _text(data)
    anchor.verify_checkpoint(text)
    known = {name for name, _ in anchor.witnesses}
    cosigned = {}
    for line in text.partition("\n\n")[2].splitlines():
        name = line.split(" ")[1]
        if name in known and _is_of(line, name, anchor):
            cosigned[name] = ("cosignature", "proven")
    return [("checkpoint", "proven"), *cosigned.values()]


def _is_of(line: str, name: str, anchor: Anchor) -> bool:
    """Whether a signature line is of the anchor's key of that name."""
    key = dict(anchor.witnesses)[name]
    told = format_verifier_key(name, key, cosigner=True).split("+")[1]
    return base64.b64decode(line.split(" ")[2])[:4].hex() == told


_DECISIONS: dict[bytes, Callable[[bytes, Anchor, bytes, bytes], Claims]] = {
    b"\x92": _record,
    b"\x93": _of_three,
    b"\x94": _of_four,
    b"\x95": _split_view,
    b"\x96": _receipt,
    b"\x97": _history,
    b"\x98": _renewed,
    b"\x99": _totals,
    b"\x9a": _opening,
    b"\x9b": _pack,
    b"{": _consistency,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify a file; see docs/spec/conformance.md."""
    parser = argparse.ArgumentParser(description="Verify evidence with the package.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--anchor", type=Path, required=True)
    parser.add_argument("--record", type=Path)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--json", action="store_true", required=True)
    given = parser.parse_args(arguments)
    record = given.record.read_bytes() if given.record else None
    checkpoint = given.checkpoint.read_bytes() if given.checkpoint else None
    try:
        anchor = parse_anchor(given.anchor.read_text(encoding="utf-8"))
        claims = verify(given.file.read_bytes(), anchor, record, checkpoint)
    except LedgerError as error:
        print(json.dumps({"error": kind_of(error), "message": str(error)}), file=sys.stderr)
        return 5 if isinstance(error, MalformedError) else 1
    shown = [{"name": name, "status": status} for name, status in claims]
    print(json.dumps({"verified": True, "claims": shown}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
