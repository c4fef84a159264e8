"""A block's checkpoint is signed after the second look, whoever keeps the key."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from ledgercore import (
    Anchor,
    CorruptError,
    InvalidSignature,
    Ledger,
    LedgerError,
    SigningKey,
    UntrustedError,
    keys,
)
from ledgercore._core import Batch, Block
from ledgercore.ledger import commit as commit_module
from ledgercore.ledger import sequencer as sequencer_module
from ledgercore.ledger.group import Waiting
from ledgercore.ledger.head import verify_block
from ledgercore.store import BUNDLE_RECORDS, SqliteStore, StoredBlock

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


def test_a_block_is_verified_with_those_of_its_records_that_are_given() -> None:
    header, note = BLOCK.encode(), keys.sign_checkpoint(ANCHOR.checkpoint(BLOCK), KEY)
    signed = keys.sign_batch(
        KEY, "std", bytes(16), "data", [b"a", b"b", b"c"], sequence=0, previous=bytes(32)
    )
    assert ANCHOR.verify_block(header, note, signed) == ANCHOR.verify_block(header, note)

    changed = [signed[at].encode() for at in range(3)]
    for at in (0, 2):
        changed[at] = changed[at][:-1] + bytes([changed[at][-1] ^ 1])
    with pytest.raises(InvalidSignature) as bad:
        ANCHOR.verify_block(header, note, Batch.decode(changed))
    assert bad.value.indices == (0, 2)

    other = keys.sign_checkpoint(ANCHOR.checkpoint(BLOCK), SigningKey(bytes(32)))
    with pytest.raises(UntrustedError):
        ANCHOR.verify_block(header, other, signed)
    line = note.rstrip().rpartition(" ")[2]
    wrong = base64.b64encode(base64.b64decode(line)[:4] + bytes(64)).decode()
    with pytest.raises(InvalidSignature, match=ORIGIN):
        ANCHOR.verify_block(header, note.replace(line, wrong), signed)


def test_a_record_is_verified_as_it_is_stored_and_with_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int | None, bool]] = []

    def verify(stored: StoredBlock, anchor: Anchor, records: Batch | None = None) -> Any:
        alike = (
            records is not None
            and records[0].encode() in ledger._reader.store.bundles_from(stored.first_index)[0]
        )
        seen.append((None if records is None else len(records), alike))
        return verify_block(stored, anchor, records)

    for signer in (KEY, KeyElsewhere()):
        path = tmp_path / f"{type(signer).__name__}.ledger"
        with Ledger.create(path, origin=ORIGIN, key=signer) as ledger:
            monkeypatch.setattr(commit_module, "verify_block", verify)
            ledger.append_many([b"x", b"y"])
            ledger.append_many([b"x"] * (BUNDLE_RECORDS + 1))
            ledger.submit(
                KEY.sign_record(
                    "std",
                    ledger.trust_anchor.network,
                    "data",
                    b"z",
                    sequence=ledger.size,
                    previous=ledger.record(ledger.size - 1).id,
                ).encode()
            )
            monkeypatch.undo()

    assert seen == [(2, True), (None, False), (None, False)] + [(None, False)] * 3


@pytest.mark.parametrize("count", [1, BUNDLE_RECORDS + 1])
@pytest.mark.parametrize("joined", [False, True])
def test_a_wrong_signature_made_here_stops_the_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, joined: bool
) -> None:
    def sign_wrong(*arguments: Any, **more: Any) -> Batch:
        signed = keys.sign_batch(*arguments, **more)
        records = [signed[at].encode() for at in range(len(signed))]
        return Batch.decode([*records[:-1], records[-1][:-1] + bytes([records[-1][-1] ^ 1])])

    with Ledger.create(tmp_path / "a.ledger", origin=ORIGIN, key=KEY) as ledger:
        other = SigningKey(b"\7" * 32).sign_record(
            "std", ledger.trust_anchor.network, "data", b"x", sequence=0, previous=bytes(32)
        )
        some = [Waiting(count, 0, [b"x"] * count)]
        if joined:
            some.append(Waiting(1, 0, batch=Batch.decode([other.encode()]).verify(bytes(32))))
        monkeypatch.setattr(sequencer_module, "sign_batch", sign_wrong)
        with pytest.raises(CorruptError):
            ledger._writer._serve(some)
        monkeypatch.undo()

        assert ledger.size == 1
        with pytest.raises(CorruptError, match="writer has stopped"):
            ledger.append(b"y")
    with Ledger.open(tmp_path / "a.ledger", key=KEY) as ledger:
        assert ledger.append(b"y").index == 1
