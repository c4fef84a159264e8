"""Histories of one operator as checkpoints and proofs, made without a ledger."""

from __future__ import annotations

from ledgercore import _core
from ledgercore._core import Anchor, Checkpoint, SigningKey

ORIGIN = "watched.example"
OPERATOR = SigningKey(bytes([1]) * 32)
NETWORK = bytes(range(16))


def anchor(suite: str = "std", **parts: object) -> Anchor:
    return Anchor(
        origin=ORIGIN,
        network=NETWORK,
        suite=suite,
        operator_key=OPERATOR.public_key,
        **parts,  # type: ignore[arg-type]
    )


class History:
    """Up to 256 records, one a block; ``branch`` makes others from a size on."""

    def __init__(self, suite: str = "std", size: int = 200, parts_at: int = 0, branch: int = 0):
        self.suite = suite
        records = [b"%d %d" % (branch if at >= parts_at else 0, at) for at in range(size)]
        self._leaves = _core.leaf_hashes(suite, records)
        self._branch, self._parts_at = branch, parts_at

    def checkpoint(self, size: int) -> Checkpoint:
        branch = self._branch if size > self._parts_at else 0
        return Checkpoint(
            origin=ORIGIN,
            size=size,
            root=_core.tree_root(self.suite, self._leaves[: 32 * size]),
            height=size - 1,
            block_hash=bytes([branch]) * 16 + size.to_bytes(16, "big"),
            state_root=bytes(32),
        )

    def note(self, size: int) -> str:
        return _core.sign_checkpoint(self.checkpoint(size), OPERATOR)

    def proof(self, old: int, new: int) -> list[bytes]:
        if not old:
            return []
        [tile] = _core.TileTree.build(self.suite, [self._leaves[: 32 * new]])
        return _core.prove_consistency(self.suite, old, new, {(0, 0): tile})
