"""Read the files that users name, each up to the limit of what it should be."""

from __future__ import annotations

from ledgercore.disk import read_bytes

__all__ = ["read_anchor", "read_evidence", "read_note", "read_record"]

ANCHOR_BYTES = 64 * 1024
NOTE_BYTES = 64 * 1024
PACK_BYTES = 16 * 1024 * 1024
RECEIPT_BYTES = -(-256 * 1024 // 3) * 4 + len("\r\n")
"""A receipt at its largest, as a line of base64 with its end."""
RECORD_BYTES = 64 * 1024


def read_anchor(path: str) -> bytes:
    """The bytes of a trust anchor."""
    return read_bytes(path, ANCHOR_BYTES, "an anchor")


def read_note(path: str) -> bytes:
    """The bytes of a signed checkpoint."""
    return read_bytes(path, NOTE_BYTES, "a checkpoint")


def read_record(path: str) -> bytes:
    """The bytes of a record's body."""
    return read_bytes(path, RECORD_BYTES, "a record")


def read_evidence(path: str, *, receipt: bool) -> bytes:
    """The bytes of a receipt, or of what may be a pack."""
    if receipt:
        return read_bytes(path, RECEIPT_BYTES, "a receipt")
    return read_bytes(path, PACK_BYTES, "an evidence pack")
