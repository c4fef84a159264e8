"""A block's checkpoint is signed after the second look, whoever keeps the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledgercore import (
    Anchor,
    CorruptError,
    Ledger,
    LedgerError,
    SigningKey,
    UntrustedError,
    keys,
)
from ledgercore._core import Block
from ledgercore.store import SqliteStore

ORIGIN = "signing.example/log"
KEY = SigningKey(bytes(range(32)))
ANCHOR = Anchor(origin=ORIGIN, network=bytes(16), suite="std", operator_key=KEY.public_key)
BLOCK = Block(
    height=1,
    parent=bytes(32),
    time_ms=5,
    first_index=1,
    count=1,
    tree_root=b"\1" * 32,
    state_root=b"\2" * 32,
)


class KeyElsewhere:
    """A signer that remembers what it was asked for."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.public_key = KEY.public_key

    def sign(self, message: bytes) -> bytes:
        self.messages.append(message)
        return KEY.sign(message)


def test_a_key_elsewhere_is_asked_for_a_checkpoint_only_after_the_second_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, add = KeyElsewhere(), SqliteStore.add_bundles
    with Ledger.create(tmp_path / "a.ledger", origin=ORIGIN, key=service) as ledger:
        ledger.append(b"x")
        record, checkpoint = service.messages[-2:]
        monkeypatch.setattr(
            SqliteStore,
            "add_bundles",
            lambda store, height, first, bundles: add(store, height, first, [b"\0" + bundles[0]]),
        )
        with pytest.raises(CorruptError, match="what was stored"):
            ledger.append(b"x")

    assert ORIGIN.encode() in checkpoint and ORIGIN.encode() not in record
    assert len(service.messages) == 5, "genesis, its checkpoint, x, its checkpoint, x"


def test_a_block_is_signed_alike_wherever_the_key_is() -> None:
    checkpoint = ANCHOR.checkpoint(BLOCK)
    notes = [keys.sign_checkpoint(checkpoint, signer) for signer in (KEY, KeyElsewhere())]

    assert notes[0] == notes[1]
    assert ANCHOR.verify_block(BLOCK.encode(), notes[0]) == (BLOCK, checkpoint)
    other = keys.sign_checkpoint(checkpoint, SigningKey(bytes(32)))
    with pytest.raises(UntrustedError):
        ANCHOR.verify_block(BLOCK.encode(), other)


def test_a_note_vouches_for_one_header_and_is_read_to_the_letter() -> None:
    note = keys.sign_checkpoint(ANCHOR.checkpoint(BLOCK), KEY)
    other = Block(
        height=BLOCK.height,
        parent=BLOCK.parent,
        time_ms=BLOCK.time_ms,
        first_index=BLOCK.first_index,
        count=BLOCK.count,
        tree_root=BLOCK.tree_root,
        state_root=b"\3" * 32,
    )
    with pytest.raises(UntrustedError, match="not the one that was signed"):
        ANCHOR.verify_block(other.encode(), note)
    with pytest.raises(LedgerError):
        ANCHOR.verify_block(BLOCK.encode(), note.replace("\u2014", "-"))
