"""Hold a ledger to the newest checkpoint that it acknowledged.

The head file remembers it outside the ledger, so that a ledger that lost its tail, or an older copy
in its place, is found out before a second block is signed at a height.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledgercore._core import Checkpoint
from ledgercore.errors import CorruptError, ForkError, InvalidError, MalformedError, RollbackError
from ledgercore.ledger.reader import Reader

__all__ = ["check_continues", "check_watermark"]

_LOST = (
    "restore a newer backup, or on a node run ledgercore node repair, which takes them from its "
    "peers; where nobody has them move the .head and .journal files away, which gives them up: "
    "docs/cli.md, Restore"
)

_NO_CHECKPOINT = (
    "on a node run ledgercore node repair, which wants the .head file left where it is; elsewhere "
    "move it away where the ledger goes on from the newest checkpoint that anyone kept: "
    "docs/cli.md, Restore"
)


def check_watermark(reader: Reader, slots: Sequence[str]) -> int:
    """Refuse a ledger that is behind its head file; the slot of the newest note, or -1.

    The slots must have been read before the ledger: it may have grown since.
    """
    newest: Checkpoint | None = None
    newest_slot = -1
    for slot, note in enumerate(slots):
        try:
            seen = reader.anchor.verify_operator(note)
        except (MalformedError, InvalidError):
            continue  # empty, or torn by a power cut: then the other is one block older at most
        if newest is None or seen.size > newest.size:
            newest, newest_slot = seen, slot
    if newest is None and slots:
        # The file is made with a note, and slots are written in turn: a torn one leaves the other.
        raise CorruptError("head file holds no checkpoint of this ledger", remedy=_NO_CHECKPOINT)
    if newest is not None:
        try:
            check_continues(reader, newest, f"its newest blocks are lost: {_LOST}")
        except RollbackError as error:
            error.add_note(_LOST)
            raise
    return newest_slot


def check_continues(reader: Reader, kept: Checkpoint, remedy: str) -> None:
    """Refuse a ledger that does not go on from a verified checkpoint."""
    size = reader.head.checkpoint.size
    if kept.size > size:
        raise RollbackError(f"ledger has {size} records, had {kept.size}: {remedy}")
    root = reader.root_at(kept.size)
    if root != kept.root:
        raise ForkError(
            f"root at size {kept.size} is {root.hex()[:16]}, was {kept.root.hex()[:16]}: the "
            "operator signed two histories; keep both as evidence"
        )
