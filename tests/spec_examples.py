"""Make the literal instances that the specifications show, from fixed seeds.

In a document, ``<!-- example: NAME -->`` stands before the fenced block that shows the example.
``python -m tests.spec_examples`` writes the blocks anew; a test holds the documents to them.
"""

from __future__ import annotations

import io
import re
import textwrap
from pathlib import Path
from tempfile import TemporaryDirectory

from ledgercore import _core
from ledgercore._core import (
    Anchor,
    Block,
    Checkpoint,
    Frontier,
    Map,
    Receipt,
    Record,
    SigningKey,
    TileTree,
)
from ledgercore.anchor import format_anchor
from ledgercore.clock import ManualClock
from ledgercore.entropy import SeededEntropy
from ledgercore.exchange.erasure import certify_erasure
from ledgercore.exchange.messages import encode_message
from ledgercore.exchange.stream import Manifest, seal_stream
from ledgercore.ledger.transfer import encode_transfer
from ledgercore.node.warrant import sign_request
from ledgercore.passphrase import seal_with_passphrase
from ledgercore.profiles import Characteristic, Scorecard, encode_scorecard
from ledgercore.proofs import BrokenPromise, HistoryProof, Promise, SplitView, StateReceipt
from ledgercore.proofs.wire import split_hashes
from ledgercore.records import ConsentRevoke, ProductPublish, ProductWithdraw, encode
from ledgercore.rules import (
    EMPTY_HISTORY,
    ProductState,
    SignerState,
    encode_state,
    extend_history,
    product_object,
    signer_object,
)
from ledgercore.store import StoredBlock
from ledgercore.vault import Vault
from ledgercore.vault.cipher import Cipher

SPEC = Path(__file__).resolve().parent.parent / "docs" / "spec"
BLOCK = re.compile(r"(<!-- example: ([a-z-]+) -->\n```\n)(.*?)(```\n)", re.DOTALL)

KEY = SigningKey(bytes(32))
WITNESS = SigningKey(bytes([1]) * 32)
NETWORK = bytes(range(16))
ORIGIN = "tax.example/exchange"


def hexdump(data: bytes) -> str:
    return "\n".join(textwrap.wrap(data.hex(), 64)) + "\n"


def vault_examples() -> dict[str, str]:
    """What a vault keeps, under keys that are no secret."""
    key = bytes(range(32))
    row = Cipher(key, NETWORK).seal("exchange/17/payload", 1, b"hello", SeededEntropy(0))
    sealed_key = seal_with_passphrase(key, "vault", b"correct horse", SeededEntropy(0))
    with TemporaryDirectory() as directory:
        vault = Vault(Path(directory) / "empty.vault", key)
        names = ["exchange/17/payload"]
        erasure = certify_erasure(vault, names, KEY, NETWORK, "std", 1_700_000_000_000)
        vault.close()
    return {
        "vault-row": "".join(hexdump(part) for part in (row.slot, row.wrapped, row.sealed)),
        "sealed-key": sealed_key.decode(),
        "erasure": hexdump(erasure),
    }


def warrant_example() -> str:
    """The header of one request."""
    request = ("GET", "/v1/blocks?begin=1&end=3", b"")
    clock, entropy = ManualClock(1_700_000_000_000), SeededEntropy(0)
    header = sign_request(KEY, NETWORK, "bank", bytes(range(32)), request, clock, entropy)
    return "\n".join(textwrap.wrap(header, 100)) + "\n"


def stream_examples() -> dict[str, str]:
    """A stream of one chunk."""
    sealed = io.BytesIO()
    stream = seal_stream(io.BytesIO(b"hello"), sealed, io.BytesIO(), bytes(range(32)), "std")
    manifest = Manifest("ledgercore stream v1", stream.size_bytes, stream.root, b"")
    return {
        "chunk": hexdump(sealed.getvalue()),
        "manifest": hexdump(encode_message(manifest)),
    }


def examples() -> dict[str, str]:
    """Every example by its name."""
    record = KEY.sign_record("std", NETWORK, "data", b"hello", sequence=0, previous=bytes(32))
    bundles = _core.Batch.decode([record.encode()]).verify(bytes(32)).bundles()
    leaves = _core.leaf_hashes("std", [record.encode(), b"second", b"third"])
    tree, _ = Frontier("std").append(leaves)
    tiles = dict(zip([(0, 0)], TileTree.build("std", [leaves]), strict=True))
    states = Map("std").update([(b"consent/1", b"\x91\x01"), (b"consent/2", b"\x91\x02")])
    block = Block(
        height=1,
        parent=bytes(32),
        time_ms=1_700_000_000_000,
        first_index=0,
        count=3,
        tree_root=tree.root(),
        state_root=states.root(),
    )
    checkpoint = Checkpoint(
        origin=ORIGIN,
        size=3,
        root=tree.root(),
        height=1,
        block_hash=block.hash("std"),
        state_root=states.root(),
    )
    note = _core.cosign_checkpoint(
        _core.sign_checkpoint(checkpoint, KEY), "witness.example", WITNESS, 1_700_000_000
    )
    anchor = Anchor(
        origin=ORIGIN,
        network=NETWORK,
        suite="std",
        operator_key=KEY.public_key,
        witnesses=[("witness.example", WITNESS.public_key)],
        quorum=1,
    )
    path = _core.prove_inclusion("std", 0, 3, tiles)
    receipt = Receipt(index=0, path=path, checkpoint=note, envelope=record.envelope())
    receipt.verify(b"hello", anchor)
    staff = Characteristic("firm.employees", "R_EMPLOYEES", (3,), (), (5, 20), 0)
    age = Characteristic("firm.age", "R_NEW_FIRM", (), (("EXISTING",), ("NEW",)), (10, 0), 0)
    scorecard = Scorecard(1, "small.firms", "1", 0, 25, 15, (staff, age))
    history, state_receipt = touched(anchor)
    return {
        "record": hexdump(record.encode()),
        "record-id": hexdump(record.id),
        "envelope": hexdump(record.envelope()),
        "leaf": hexdump(_core.leaf_hash("std", record.encode())),
        "tree": hexdump(tree.root()),
        "path": "".join(hexdump(each) for each in path),
        "map": hexdump(states.root()),
        "state-proof": hexdump(states.prove(b"consent/1", b"\x91\x01").encode()),
        "state-multiproof": hexdump(
            states.prove_multi([(b"consent/1", b"\x91\x01"), (b"consent/3", None)]).encode()
        ),
        "absence": hexdump(states.prove(b"consent/3", None).encode()),
        "block": hexdump(block.encode()),
        "block-hash": hexdump(block.hash("std")),
        "note": note,
        "anchor": format_anchor(anchor),
        "receipt": hexdump(receipt.encode()),
        "transfer": hexdump(encode_transfer(StoredBlock(1, 0, block.encode(), note, bundles))),
        "scorecard": hexdump(encode_scorecard(scorecard)),
        "state-receipt": hexdump(state_receipt.encode()),
        "history": hexdump(history.encode()),
        **vault_examples(),
        **stream_examples(),
        "warrant": warrant_example(),
        "split-view": hexdump(split_view(anchor, checkpoint)),
        **promise_examples(anchor, block, checkpoint),
    }


def promise_examples(anchor: Anchor, block: Block, checkpoint: Checkpoint) -> dict[str, str]:
    """A promise of a revocation, and a later block as of which its key has signed one record."""
    consent_key = SigningKey(bytes([2]) * 32)
    body = encode(ConsentRevoke(bytes(32)))
    record = consent_key.sign_record(
        "std", NETWORK, ConsentRevoke.KIND, body, sequence=1, previous=bytes(32)
    )
    promise = Promise.sign(KEY, record, block.time_ms - 1)
    name, value = signer_object(record.key), encode_state(SignerState(1, bytes(32)))
    states = Map("std").update([(name, value)])
    header = Block(
        height=block.height,
        parent=block.parent,
        time_ms=block.time_ms,
        first_index=block.first_index,
        count=block.count,
        tree_root=block.tree_root,
        state_root=states.root(),
    )
    later = Checkpoint(
        origin=ORIGIN,
        size=checkpoint.size,
        root=checkpoint.root,
        height=header.height,
        block_hash=header.hash("std"),
        state_root=header.state_root,
    )
    note = _core.cosign_checkpoint(
        _core.sign_checkpoint(later, KEY), "witness.example", WITNESS, 1_700_000_000
    )
    receipt = StateReceipt(1, note.encode(), states.prove(name, value).encode())
    broken = BrokenPromise.of(anchor, promise, header.encode(), receipt)
    assert broken is not None
    return {"promise": hexdump(promise.encode()), "broken-promise": hexdump(broken.encode())}


def split_view(anchor: Anchor, checkpoint: Checkpoint) -> bytes:
    """The operator's checkpoint, and another one of the same size."""
    other = Checkpoint(
        origin=checkpoint.origin,
        size=checkpoint.size,
        root=bytes(32),
        height=checkpoint.height,
        block_hash=checkpoint.block_hash,
        state_root=checkpoint.state_root,
    )
    notes = [_core.sign_checkpoint(each, KEY) for each in (checkpoint, other)]
    view = SplitView.of(anchor, *notes)
    assert view is not None
    return view.encode()


def touched(anchor: Anchor) -> tuple[HistoryProof, StateReceipt]:
    """A product that is published and withdrawn, its history and its state."""
    name = product_object("tax.v1")
    published = ProductPublish("tax.v1", "Tax", "1", "tax", 1, ("vat.sales_m",), ("credit",))
    chain: list[Record] = []
    for body in (published, ProductWithdraw("tax.v1")):
        previous = chain[-1].id if chain else bytes(32)
        chain.append(
            KEY.sign_record(
                "std",
                NETWORK,
                body.KIND,
                encode(body),
                sequence=len(chain),
                previous=previous,
            )
        )
    history = EMPTY_HISTORY
    for record in chain:
        history = extend_history("std", history, record.id)
    fields = (("vat.sales_m", "fen", 4),)
    state = ProductState("WITHDRAWN", 2, history, "tax", "Tax", "1", "tax", 1, fields, ("credit",))
    states = Map("std").update([(name, encode_state(state))])
    leaves = _core.leaf_hashes("std", [b"genesis", *(record.encode() for record in chain)])
    tree, _ = Frontier("std").append(leaves)
    checkpoint = Checkpoint(
        origin=ORIGIN,
        size=3,
        root=tree.root(),
        height=1,
        block_hash=bytes(32),
        state_root=states.root(),
    )
    signed = _core.sign_checkpoint(checkpoint, KEY)
    note = _core.cosign_checkpoint(signed, "witness.example", WITNESS, 1_700_000_000).encode()
    proof = states.prove(name, encode_state(state)).encode()
    [tile] = TileTree.build("std", [leaves])
    hashes = _core.prove_multi("std", [1, 2], 3, {(0, 0): tile})
    listed = tuple((at + 1, record.encode()) for at, record in enumerate(chain))
    whole = HistoryProof(1, note, proof, listed, tuple(split_hashes(hashes)), None, ())
    receipt = StateReceipt(1, note, proof)
    whole.verify(anchor)
    receipt.verify(anchor)
    return whole, receipt


def written(text: str, made: dict[str, str]) -> str:
    """A document with its examples as they are made now."""
    return BLOCK.sub(lambda found: found[1] + made[found[2]] + found[4], text)


if __name__ == "__main__":
    made = examples()
    for document in sorted(SPEC.glob("*.md")):
        document.write_text(written(document.read_text(), made))
