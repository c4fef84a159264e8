"""Sign records, checkpoints and receipts without a ledger, for the vectors of the specification."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from ledgercore import _core
from ledgercore._core import Anchor, Checkpoint, Map, Receipt, SigningKey

SUITES = {"std": 1, "c2sp": 3}
ORIGIN = "tax.example/exchange"
NETWORK = bytes(range(16))
OPERATOR, MEMBER, STRANGER = (SigningKey(bytes([number]) * 32) for number in (1, 2, 3))
WITNESSES = {"a.example": SigningKey(bytes([4]) * 32), "b.example": SigningKey(bytes([5]) * 32)}
TIME_S = 1_700_000_000
ZERO = bytes(32)
LEAVES = 7

PROVEN = "proven"
RECORD, STATE, ABSENCE = (("record", PROVEN), ("state", PROVEN), ("absence", PROVEN))
ORDER = 2**252 + 27742317777372353535851937790883648493


class Vector(NamedTuple):
    """One piece of evidence; ``want`` is the claims with their status, or a kind of error."""

    name: str
    data: bytes
    want: str | list[tuple[str, str]]
    record: bytes | None = None
    checkpoint: bytes | None = None


def encode(value: Any) -> bytes:
    return msgspec.msgpack.encode(value)


def changed(data: bytes, at: int = -1) -> bytes:
    """The bytes with one bit of one byte flipped."""
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


class World:
    """A ledger of seven records and three objects, made without a ledger."""

    def __init__(self, suite: str) -> None:
        self.suite = suite
        witnesses = [(name, key.public_key) for name, key in WITNESSES.items()]
        self.anchor = Anchor(
            origin=ORIGIN,
            network=NETWORK,
            suite=suite,
            operator_key=OPERATOR.public_key,
            witnesses=witnesses,
            quorum=1,
        )
        self.records: list[bytes] = []
        previous = ZERO
        for sequence in range(LEAVES):
            body = b"statement %d" % sequence
            made = MEMBER.sign_record(
                suite, NETWORK, "data", body, sequence=sequence, previous=previous
            )
            previous = made.id
            self.records.append(made.encode())
        self.leaves = _core.leaf_hashes(suite, self.records)
        objects = [(b"consent/%d" % each, bytes([0x91, each])) for each in range(3)]
        self.states = Map(suite).update(objects)

    def note(self, size: int = LEAVES, cosigners: str = "a", **changes: Any) -> str:
        root = _core.tree_root(self.suite, self.leaves[: 32 * size])
        parts: dict[str, Any] = {"origin": ORIGIN, "size": size, "root": root, "height": size}
        parts |= {"block_hash": bytes([7]) * 32, "state_root": self.states.root()} | changes
        note = _core.sign_checkpoint(Checkpoint(**parts), OPERATOR)
        for name in cosigners:
            name = f"{name}.example"
            note = _core.cosign_checkpoint(note, name, WITNESSES[name], TIME_S)
        return note

    def tiles(self, size: int) -> dict[tuple[int, int], _core.TileTree]:
        return {(0, 0): _core.TileTree.build(self.suite, [self.leaves[: 32 * size]])[0]}

    def path(self, index: int, size: int) -> list[bytes]:
        return list(_core.prove_inclusion(self.suite, index, size, self.tiles(size)))

    def receipt(self, of: int, size: int = LEAVES, **changes: Any) -> bytes:
        envelope = _core.Record.decode(self.records[of]).envelope()
        parts = {"index": of, "path": self.path(of, size), "checkpoint": self.note(size)}
        parts |= {"envelope": envelope, "state": None} | changes
        return bytes(Receipt(**parts).encode())

    def consistency(self, old: int, new: int) -> list[bytes]:
        return list(_core.prove_consistency(self.suite, old, new, self.tiles(new)))

    def forge(self, signer: SigningKey = MEMBER, **changes: Any) -> bytes:
        """A record of any header, signed as if it were sound."""
        header: dict[str, Any] = {"version": 1, "network": NETWORK, "kind": "data"}
        header |= {"suite": SUITES[self.suite], "key": signer.public_key, "sequence": 0}
        header |= {"previous": ZERO, "references": [], "not_before_ms": 0, "expiry_ms": 0}
        header |= {"body": b"statement"} | changes
        values = list(header.values())
        record_id = _core.hash_domain(self.suite, "record", encode(values))
        message = b"\x14ledgercore record v1" + header["network"] + record_id
        return encode([values, signer.sign(message)])
