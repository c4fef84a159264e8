"""Show offline that an operator signed two histories.

    [1, network, first note, second note, header]

Two checkpoints of one height or one size that are not the same, or of which the higher one has no
more records, cannot both be of one ledger. Nor can a checkpoint and the next one, whose block names
another parent: then its header is shown too, which is empty otherwise. Whoever has the anchor can
check it; who showed what to whom does not matter. It begins ``95 01 c4 10``.

An operator that begins anew under the same origin with the same key has signed two histories.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from msgspec import Meta

from ledgercore._core import Anchor, Block, Checkpoint
from ledgercore.errors import InvalidProof, MalformedError, UntrustedError
from ledgercore.proofs.wire import decode_part, encode_part
from ledgercore.records.base import Part

__all__ = ["SPLIT_VIEW_BYTES", "SplitView", "VerifiedSplit", "verify_split_view"]

SPLIT_VIEW_BYTES = 128 * 1024
"""Bytes of encoded evidence at most: two notes, each with as many signatures as there may be."""


class VerifiedSplit(NamedTuple):
    """Two checkpoints that the operator signed, and that cannot both be of one history."""

    first: Checkpoint
    second: Checkpoint


class SplitView(Part, frozen=True):
    """Two signed notes, the one with fewer records first, and a header where it takes one."""

    version: Literal[1]
    network: Annotated[bytes, Meta(min_length=16, max_length=16)]
    first: bytes
    second: bytes
    header: bytes

    @staticmethod
    def of(anchor: Anchor, one: str, other: str) -> SplitView | None:
        """The evidence that two notes are, if the operator signed both and they contradict."""
        return _made(anchor, one, other, b"")

    @staticmethod
    def of_next(anchor: Anchor, note: str, following: str, header: bytes) -> SplitView | None:
        """The evidence that a note and the next block are, if its parent is another block."""
        return _made(anchor, note, following, b"") or _made(anchor, note, following, header)

    @staticmethod
    def decode(data: bytes) -> SplitView:
        return decode_part(data, SplitView, "split view", SPLIT_VIEW_BYTES)

    def encode(self) -> bytes:
        return encode_part(self)

    def verify(self, anchor: Anchor) -> VerifiedSplit:
        """Both checkpoints, or raise: ``InvalidProof`` where they may be of one history."""
        if self.network != anchor.network:
            raise UntrustedError("split view is of another network than the anchor's")
        # That the operator signed is all that matters: whom witnesses believed does not.
        first, second = (anchor.verify_operator(_text(note)) for note in (self.first, self.second))
        if _place(first) > _place(second):
            raise MalformedError("notes of a split view are not in the order of their sizes")
        if self.header:
            _check_parents(anchor.suite, first, second, self.header)
        elif first == second:
            raise InvalidProof("notes have the same checkpoint, want two that contradict")
        elif first.size < second.size and first.height < second.height:
            raise InvalidProof("notes may be of one history: the larger one is the later one")
        return VerifiedSplit(first, second)


def verify_split_view(data: bytes, anchor: Anchor) -> VerifiedSplit:
    """Verify encoded evidence of a split view, or raise with what is wrong."""
    return SplitView.decode(data).verify(anchor)


def _made(anchor: Anchor, one: str, other: str, header: bytes) -> SplitView | None:
    pair = sorted((one, other), key=lambda note: _place(Checkpoint.parse(note)))
    first, second = (note.encode() for note in pair)
    made = SplitView(1, anchor.network, first, second, header)
    try:
        made.verify(anchor)
    except InvalidProof:
        return None
    return made


def _place(checkpoint: Checkpoint) -> tuple[int, int, bytes]:
    return checkpoint.size, checkpoint.height, checkpoint.format().encode()


def _text(note: bytes) -> str:
    try:
        return note.decode()
    except UnicodeDecodeError:
        raise MalformedError("checkpoint is not UTF-8") from None


def _check_parents(suite: str, first: Checkpoint, second: Checkpoint, header: bytes) -> None:
    block = Block.decode(header)
    if block.hash(suite) != second.block_hash or block.height != second.height:
        raise InvalidProof("header is not that of the second note's block")
    if second.height != first.height + 1:
        raise InvalidProof(f"second note is of height {second.height}, want {first.height + 1}")
    if block.parent == first.block_hash:
        raise InvalidProof("second note's block follows the first note's, want another parent")
