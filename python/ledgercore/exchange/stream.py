"""Seal a payload of any size in chunks, and read it back with one chunk in memory.

Content is cut into chunks of 256 KiB, each sealed with AES-256-GCM in the STREAM construction: the
nonce is the chunk's number and whether it is the last, so that no chunk can be left out, moved,
doubled, or put behind the end. The key is derived for one exchange and seals nothing else.

What is admitted is a ``Manifest``: how long the content is, the root of the history tree over the
sealed chunks, and the sealed leaf that commits to the content itself. It stands where a small
payload's ciphertext does. So the sealed chunks can be held to the ledger before their key is
released (``ledgercore.exchange.transfer``), and the content after it. docs/spec/stream.md
has the form.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Annotated, BinaryIO, Literal, NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ledgercore._core import Frontier, leaf_hashes
from ledgercore.errors import InvalidError, LimitError
from ledgercore.records.base import Bytes32, Part

__all__ = [
    "CHUNK_BYTES",
    "STREAM_BYTES",
    "TAG_BYTES",
    "Manifest",
    "Sealed",
    "StreamReader",
    "TreeHash",
    "chunk_count",
    "content_value",
    "read_whole",
    "seal_stream",
    "stream_key",
]

CHUNK_BYTES = 256 * 1024
"""Content of every chunk but the last, which may be shorter; only that of no content is empty."""
TAG_BYTES = 16
STREAM_BYTES = 1 << 42
"""Bytes of content at most: 4 TiB, or 2^24 chunks."""
_GROUP_BYTES = 32 * 256


class Manifest(Part, frozen=True):
    """What an admit of a stream commits to; ``payload`` is the sealed leaf of the content."""

    form: Literal["ledgercore stream v1"]
    size_bytes: Annotated[int, msgspec.Meta(ge=0, le=STREAM_BYTES)]
    root: Bytes32
    payload: bytes

    @property
    def chunks(self) -> int:
        return chunk_count(self.size_bytes)

    @property
    def sealed_bytes(self) -> int:
        """Bytes of all sealed chunks."""
        return self.size_bytes + TAG_BYTES * self.chunks


class Sealed(NamedTuple):
    """What was sealed: its size, the root over its sealed chunks, the root over its content."""

    size_bytes: int
    root: bytes
    content_root: bytes


class TreeHash:
    """The root of the history tree over chunks, each a leaf, as they come."""

    def __init__(self, suite: str) -> None:
        self._suite = suite
        self._tree = Frontier(suite)
        self._waiting = b""

    def add(self, chunk: bytes | bytearray) -> bytes:
        """Add a chunk; its leaf hash."""
        leaf = leaf_hashes(self._suite, [chunk])  # type: ignore[list-item]  # takes both
        self.add_hashes(leaf)
        return leaf

    def add_hashes(self, hashes: bytes) -> None:
        """Add leaf hashes that stand one after the other."""
        self._waiting += hashes
        if len(self._waiting) >= _GROUP_BYTES:
            self._tree, _ = self._tree.append(self._waiting)
            self._waiting = b""

    def root(self) -> bytes:
        """The root over all that was added."""
        tree, _ = self._tree.append(self._waiting) if self._waiting else (self._tree, [])
        return tree.root()


def chunk_count(size_bytes: int) -> int:
    """How many chunks there are to a size."""
    return max(1, -(-size_bytes // CHUNK_BYTES))


def content_value(size_bytes: int, content_root: bytes) -> str:
    """The value of a streamed field: what its salted leaf says of the content."""
    return f"stream {size_bytes} {content_root.hex()}"


def stream_key(key: bytes, context: bytes) -> bytes:
    """The key of an exchange's chunks, from the key that is released."""
    info = b"ledgercore stream v1\n" + context
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(key)


def seal_stream(
    content: BinaryIO, sealed: BinaryIO, hashes: BinaryIO, key: bytes, suite: str
) -> Sealed:
    """Seal content up to its end; the sealed chunks and their leaf hashes go to two files.

    The key must be fresh: two contents under one key give both away. Where this fails or crashes,
    start again with another key.
    """
    cipher = AESGCM(key)
    tree, content_tree = TreeHash(suite), TreeHash(suite)
    size_bytes = number = 0
    chunk = read_whole(content, CHUNK_BYTES)
    while True:
        following = read_whole(content, CHUNK_BYTES)
        size_bytes += len(chunk)
        if size_bytes > STREAM_BYTES:
            raise LimitError(f"content has more than {STREAM_BYTES} bytes, the limit of a stream")
        content_tree.add(chunk)
        sealed_chunk = cipher.encrypt(_nonce(number, last=not following), chunk, None)
        sealed.write(sealed_chunk)
        hashes.write(tree.add(sealed_chunk))
        if not following:
            return Sealed(size_bytes, tree.root(), content_tree.root())
        chunk, number = following, number + 1


class StreamReader(io.RawIOBase):
    """Content of a sealed stream as a file that is read; one chunk is in memory.

    Every byte that it gives was authenticated, at its place. Raises ``InvalidError`` for a chunk
    that is not the one that was sealed there, or is missing.
    """

    def __init__(self, sealed: BinaryIO, size_bytes: int, key: bytes) -> None:
        """Read from a sealed file that can be sought; its length is checked here."""
        want = size_bytes + TAG_BYTES * chunk_count(size_bytes)
        got = sealed.seek(0, io.SEEK_END)
        if got != want:
            raise InvalidError(f"sealed stream has {got} bytes, want {want}")
        self._sealed = sealed
        self._size_bytes = size_bytes
        self._cipher = AESGCM(key)
        self._position = 0
        self._held = (-1, b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        begin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}
        self._position = max(0, begin[whence] + offset)
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill the buffer up to the end of a chunk; how many bytes."""
        number, begin = divmod(self._position, CHUNK_BYTES)
        if self._position >= self._size_bytes:
            return 0
        part = self._chunk(number)[begin : begin + len(buffer)]
        buffer[: len(part)] = part
        self._position += len(part)
        return len(part)

    def chunks(self) -> Iterator[bytes]:
        """All chunks of the content in order."""
        for number in range(chunk_count(self._size_bytes)):
            yield self._chunk(number)

    def verify(self, content_root: bytes, suite: str, output: BinaryIO | None = None) -> None:
        """Read everything, and hold the content to its root; it goes to an output if there is one.

        Raises ``InvalidError`` where it is other content: what the output has by then is worthless.
        """
        tree = TreeHash(suite)
        for chunk in self.chunks():
            tree.add(chunk)
            if output is not None:
                output.write(chunk)
        if tree.root() != content_root:
            raise InvalidError("content of the stream is not what was committed to")

    def _chunk(self, number: int) -> bytes:
        if self._held[0] != number:
            last = number == chunk_count(self._size_bytes) - 1
            self._sealed.seek(number * (CHUNK_BYTES + TAG_BYTES))
            sealed = read_whole(self._sealed, CHUNK_BYTES + TAG_BYTES)
            try:
                chunk = self._cipher.decrypt(_nonce(number, last=last), sealed, None)
            except (InvalidTag, ValueError) as error:
                raise InvalidError(f"chunk {number} is not what was sealed there") from error
            self._held = (number, chunk)
        return self._held[1]


def read_whole(file: BinaryIO, size: int) -> bytes:
    """So many bytes, or fewer at the end of the file: some files give less than is asked for."""
    data = file.read(size)
    if not data or len(data) == size:
        return data
    parts, left = [data], size - len(data)
    while left and (data := file.read(left)):
        parts.append(data)
        left -= len(data)
    return b"".join(parts)


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])
