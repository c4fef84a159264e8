"""Row 7: a bit that flips in memory before signing is never signed (as happened to CT's Yeti log)."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ledgercore import CorruptError, Ledger, LedgerError, SigningKey
from ledgercore._core import Block, Checkpoint, Frontier
from ledgercore.ledger import writer as writer_module
from ledgercore.store import SqliteStore, StoredBlock

from tests.faults.row import reliability_row

SEED = 20261126
BITS = 64
KEY = SigningKey(bytes([7]) * 32)


def flipped(data: bytes, choose: random.Random) -> bytes:
    bit = choose.randrange(8 * len(data))
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


class FlippingFrontier:
    """Flips a bit of the leaf hashes on their way into the tree, the first time only."""

    def __init__(self, frontier: Frontier, choose: random.Random) -> None:
        self._frontier, self._choose, self._done = frontier, choose, False

    def append(self, leaves: bytes) -> Any:
        if not self._done:
            leaves, self._done = flipped(leaves, self._choose), True
        return self._frontier.append(leaves)


def hash_to_tree(patch: pytest.MonkeyPatch, ledger: Ledger, choose: random.Random) -> None:
    head = ledger._reader._head
    object.__setattr__(head, "frontier", FlippingFrontier(head.frontier, choose))


def tree_to_header(patch: pytest.MonkeyPatch, ledger: Ledger, choose: random.Random) -> None:
    def make(**fields: Any) -> Block:
        name = choose.choice(["tree_root", "state_root"])
        return Block(**{**fields, name: flipped(fields[name], choose)})

    patch.setattr(writer_module, "Block", make)


def header_to_signature(patch: pytest.MonkeyPatch, ledger: Ledger, choose: random.Random) -> None:
    def make(**fields: Any) -> Checkpoint:
        name = choose.choice(["root", "state_root"])
        return Checkpoint(**{**fields, name: flipped(fields[name], choose)})

    make.parse = Checkpoint.parse  # type: ignore[attr-defined]
    patch.setattr(writer_module, "Checkpoint", make)


def record_to_store(patch: pytest.MonkeyPatch, ledger: Ledger, choose: random.Random) -> None:
    add = SqliteStore.add_block

    def flip_and_add(store: SqliteStore, block: StoredBlock) -> None:
        add(store, block._replace(bundles=[flipped(each, choose) for each in block.bundles]))

    patch.setattr(SqliteStore, "add_block", flip_and_add)


def header_to_store(patch: pytest.MonkeyPatch, ledger: Ledger, choose: random.Random) -> None:
    add = SqliteStore.add_block

    def flip_and_add(store: SqliteStore, block: StoredBlock) -> None:
        add(store, block._replace(header=flipped(block.header, choose)))

    patch.setattr(SqliteStore, "add_block", flip_and_add)


def state_to_store(patch: pytest.MonkeyPatch, ledger: Ledger, choose: random.Random) -> None:
    put = SqliteStore.put_states

    def flip_and_put(store: SqliteStore, height: int, states: Any) -> None:
        put(store, height, [(name, flipped(value, choose)) for name, value in states])

    patch.setattr(SqliteStore, "put_states", flip_and_put)


HOOKS: list[Callable[[pytest.MonkeyPatch, Ledger, random.Random], None]] = [
    hash_to_tree,
    tree_to_header,
    header_to_signature,
    record_to_store,
    header_to_store,
    state_to_store,
]


def test_a_flipped_bit_is_not_signed(tmp_path: Path) -> None:
    path = tmp_path / "yeti.ledger"
    Ledger.create(path, origin="fault.example/log", key=KEY).close()
    choose = random.Random(SEED)
    with reliability_row(7, "bit flip in memory", seed=SEED, want=BITS * len(HOOKS)) as row:
        for hook in HOOKS:
            for _ in range(BITS):
                with Ledger.open(path, key=KEY) as ledger, pytest.MonkeyPatch.context() as patch:
                    before = ledger.checkpoint
                    hook(patch, ledger, choose)
                    with pytest.raises(LedgerError):
                        ledger.append(b"payload")
                    patch.undo()
                    with pytest.raises(CorruptError, match="writer has stopped"):
                        ledger.append(b"another")
                with Ledger.open(path, key=KEY) as ledger:
                    assert ledger.checkpoint == before
                row.count(hook.__name__)
    with Ledger.open(path, key=KEY) as ledger:
        ledger.append(b"payload")
        ledger.verify()
