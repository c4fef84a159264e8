"""Row 7: what a flipped bit made is never signed and seen (as happened to CT's Yeti log).

Each hook stands between two steps of a block: signatures to records to hashes to tree and states to
header to checkpoint to signature, and each of them to the store.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ledgercore import CorruptError, Ledger, SigningKey
from ledgercore._core import Anchor, Batch, Block, Checkpoint, Frontier
from ledgercore.ledger import commit as commit_module
from ledgercore.ledger import sequencer as sequencer_module
from ledgercore.store import SqliteStore
from tests.faults.row import reliability_row

SEED = 20261126
BITS = 64
KEY = SigningKey(bytes([7]) * 32)
FULL_TILE = 256


def flipped(data: bytes, choose: random.Random) -> bytes:
    bit = choose.randrange(8 * len(data))
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def flipped_text(text: str, choose: random.Random) -> str:
    while True:
        try:
            return flipped(text.encode(), choose).decode()
        except UnicodeDecodeError:
            continue


Hook = Callable[[pytest.MonkeyPatch, Ledger, random.Random], None]


def change_draft(
    patch: pytest.MonkeyPatch,
    leaves: Callable[[bytes], bytes] = lambda leaves: leaves,
    block: Callable[[Block], Block] = lambda block: block,
) -> None:
    """Change what the draft of a block is made from, or its header; not the second look."""
    draft = commit_module.draft_block

    def change_and_draft(store: Any, head: Any, batch: Any, states: Any, time_ms: int) -> Any:
        changed: Any = SimpleNamespace(leaf_hashes=lambda: leaves(batch.leaf_hashes()))
        made = draft(store, head, changed, states, time_ms)
        return made._replace(block=block(made.block))

    patch.setattr(commit_module, "draft_block", change_and_draft)


def signature_to_record(patch: pytest.MonkeyPatch, ledger: Ledger, choose: random.Random) -> None:
    sign = sequencer_module.sign_batch

    def sign_and_flip(*arguments: Any, **more: Any) -> Batch:
        (record,) = sign(*arguments, **more)
        data = record.encode()
        return Batch.decode([data[:-64] + flipped(data[-64:], choose)])

    patch.setattr(sequencer_module, "sign_batch", sign_and_flip)


def hash_to_tree(patch: pytest.MonkeyPatch, ledger: Ledger, choose: random.Random) -> None:
    change_draft(patch, leaves=lambda leaves: flipped(leaves, choose))


def tree_between_blocks(patch: pytest.MonkeyPatch, ledger: Ledger, choose: random.Random) -> None:
    head = ledger._reader.head
    size, tails = head.frontier.size, head.frontier.tails()
    tails[0] = flipped(tails[0], choose)
    ledger._reader.set_head(head._replace(frontier=Frontier(ledger.suite, size, tails)))


def states_between_blocks(patch: pytest.MonkeyPatch, ledger: Ledger, choose: random.Random) -> None:
    head = ledger._reader.head
    states = head.states.update([(b"network", flipped(ledger.state(b"network") or b"", choose))])
    ledger._reader.set_head(head._replace(states=states))


def flipped_block(block: Block, choose: random.Random) -> Block:
    names = ["height", "parent", "time_ms", "first_index", "count", "tree_root", "state_root"]
    fields = {name: getattr(block, name) for name in names}
    name = choose.choice(["parent", "tree_root", "state_root"])
    return Block(**{**fields, name: flipped(fields[name], choose)})


def tree_to_header(patch: pytest.MonkeyPatch, ledger: Ledger, choose: random.Random) -> None:
    change_draft(patch, block=lambda block: flipped_block(block, choose))


class FlippingAnchor:
    """An anchor, of whose checkpoints each has a bit flipped."""

    def __init__(self, anchor: Anchor, choose: random.Random) -> None:
        self._anchor = anchor
        self._choose = choose

    def __getattr__(self, name: str) -> Any:
        return getattr(self._anchor, name)

    def checkpoint(self, block: Block) -> Checkpoint:
        made = self._anchor.checkpoint(block)
        names = ["origin", "size", "root", "height", "block_hash", "state_root"]
        fields = {name: getattr(made, name) for name in names}
        name = self._choose.choice(["root", "state_root", "block_hash"])
        return Checkpoint(**{**fields, name: flipped(fields[name], self._choose)})


def header_to_checkpoint(patch: pytest.MonkeyPatch, ledger: Ledger, choose: random.Random) -> None:
    patch.setattr(ledger._reader, "anchor", FlippingAnchor(ledger._reader.anchor, choose))


def checkpoint_to_signature(
    patch: pytest.MonkeyPatch, ledger: Ledger, choose: random.Random
) -> None:
    sign = sequencer_module.sign_checkpoint
    patch.setattr(
        sequencer_module,
        "sign_checkpoint",
        lambda checkpoint, signer: flipped_text(sign(checkpoint, signer), choose),
    )


def record_to_store(patch: pytest.MonkeyPatch, ledger: Ledger, choose: random.Random) -> None:
    add = SqliteStore.add_bundles

    def flip_and_add(
        store: SqliteStore, height: int, first_index: int, bundles: Sequence[bytes]
    ) -> None:
        add(store, height, first_index, [flipped(each, choose) for each in bundles])

    patch.setattr(SqliteStore, "add_bundles", flip_and_add)


def header_to_store(patch: pytest.MonkeyPatch, ledger: Ledger, choose: random.Random) -> None:
    add = SqliteStore.add_header

    def flip_and_add(
        store: SqliteStore, height: int, first_index: int, header: bytes, note: str, keys: Any
    ) -> None:
        add(store, height, first_index, flipped(header, choose), note, keys)

    patch.setattr(SqliteStore, "add_header", flip_and_add)


def tile_to_store(patch: pytest.MonkeyPatch, ledger: Ledger, choose: random.Random) -> None:
    add = SqliteStore.add_tiles

    def flip_and_add(store: SqliteStore, tiles: Sequence[tuple[int, int, bytes]]) -> None:
        assert tiles, "the block must complete a tile"
        add(store, [(level, index, flipped(tile, choose)) for level, index, tile in tiles])

    patch.setattr(SqliteStore, "add_tiles", flip_and_add)


def id_to_store(patch: pytest.MonkeyPatch, ledger: Ledger, choose: random.Random) -> None:
    add = SqliteStore.add_buckets

    def flip_and_add(store: SqliteStore, buckets: Sequence[tuple[int, int, int, bytes]]) -> None:
        assert buckets, "the block must complete a run"
        add(store, [(*place, flipped(entries, choose)) for *place, entries in buckets])

    patch.setattr(SqliteStore, "add_buckets", flip_and_add)


def state_to_store(patch: pytest.MonkeyPatch, ledger: Ledger, choose: random.Random) -> None:
    put = SqliteStore.put_states

    def flip_and_put(store: SqliteStore, height: int, keys: Any, states: Any, touches: Any) -> None:
        flipped_states = [(name, flipped(value, choose)) for name, value in states]
        put(store, height, keys, flipped_states, touches)

    patch.setattr(SqliteStore, "put_states", flip_and_put)


def note_to_store(patch: pytest.MonkeyPatch, ledger: Ledger, choose: random.Random) -> None:
    add = SqliteStore.add_header

    def flip_and_add(
        store: SqliteStore, height: int, first_index: int, header: bytes, note: str, keys: Any
    ) -> None:
        add(store, height, first_index, header, flipped_text(note, choose), keys)

    patch.setattr(SqliteStore, "add_header", flip_and_add)


HOOKS: list[Hook] = [
    signature_to_record,
    hash_to_tree,
    tree_between_blocks,
    states_between_blocks,
    tree_to_header,
    header_to_checkpoint,
    checkpoint_to_signature,
    record_to_store,
    header_to_store,
    tile_to_store,
    id_to_store,
    state_to_store,
    note_to_store,
]


def test_a_flipped_bit_is_not_signed(tmp_path: Path) -> None:
    path = tmp_path / "yeti.ledger"
    with Ledger.create(path, origin="fault.example/log", key=KEY) as ledger:
        ledger.append_many([b"%d" % number for number in range(FULL_TILE - 2)])
    choose = random.Random(SEED)
    with reliability_row(7, "bit flip in memory", seed=SEED, want=BITS * len(HOOKS)) as row:
        for hook in HOOKS:
            for _ in range(BITS):
                with Ledger.open(path, key=KEY) as ledger, pytest.MonkeyPatch.context() as patch:
                    before = ledger.checkpoint
                    hook(patch, ledger, choose)
                    with pytest.raises(CorruptError) as evidence:
                        ledger.append(b"payload")
                    patch.undo()
                    with pytest.raises(CorruptError, match="writer has stopped") as stopped:
                        ledger.append(b"another")
                    assert str(evidence.value) in str(stopped.value)
                with Ledger.open(path, key=KEY) as ledger:
                    assert ledger.checkpoint == before
                row.count(hook.__name__)
    with Ledger.open(path, key=KEY) as ledger:
        ledger.append(b"payload")
        ledger.verify()


def test_a_bit_that_flips_in_any_piece_of_a_large_block_is_not_signed(tmp_path: Path) -> None:
    """Such a block is read back and hashed piece by piece, while it is stored."""
    path = tmp_path / "large.ledger"
    Ledger.create(path, origin="fault.example/log", key=KEY).close()
    payloads = [b"%d" % number for number in range(3 * FULL_TILE + 1)]
    choose, add = random.Random(SEED), SqliteStore.add_bundles
    for piece in range(len(payloads) // FULL_TILE + 1):
        added: list[int] = []

        def flip_one(
            store: SqliteStore,
            height: int,
            first_index: int,
            bundles: Sequence[bytes],
            piece: int = piece,
            added: list[int] = added,
        ) -> None:
            hit = len(added) == piece
            added.append(first_index)
            add(store, height, first_index, [flipped(bundles[0], choose)] if hit else bundles)

        with Ledger.open(path, key=KEY) as ledger, pytest.MonkeyPatch.context() as patch:
            patch.setattr(commit_module, "PIECE_BUNDLES", 1)
            patch.setattr(SqliteStore, "add_bundles", flip_one)
            with pytest.raises(CorruptError):
                ledger.append_many(payloads)
        assert len(added) > piece
    with Ledger.open(path, key=KEY) as ledger:
        assert ledger.size == 1
        ledger.append_many(payloads)
        ledger.verify()


def test_the_control_run_signs_a_flipped_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the second look a flip is signed, and the ledger is beyond repair."""
    path = tmp_path / "control.ledger"
    Ledger.create(path, origin="fault.example/log", key=KEY).close()
    choose = random.Random(SEED)

    with Ledger.open(path, key=KEY) as ledger:
        hash_to_tree(monkeypatch, ledger, choose)
        draft = commit_module.draft_block
        blocks: list[Block] = []

        def remember(*arguments: Any) -> Any:
            made = draft(*arguments)
            blocks.append(made.block)
            return made

        monkeypatch.setattr(commit_module, "draft_block", remember)
        monkeypatch.setattr(commit_module, "_look_again", lambda *arguments: blocks[-1])
        ledger.append_many([b"payload"])
    monkeypatch.undo()

    with pytest.raises(CorruptError, match="do not lead to the signed tree root"):
        Ledger.open(path, key=KEY)
