"""Take a sealed stream chunk by chunk, hold each to what was admitted, and go on after a cut.

Who sends gives the manifest and the leaf hashes of all chunks first. The hashes must lead to the
manifest's root; then every chunk is held to its hash when it comes, without any key. Nothing that
was not admitted is ever written. After a cut or a crash ``Receiver`` is made again over the same
files: it reads what is there, keeps it up to the first chunk that is not right, and goes on.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO

from ledgercore._core import leaf_hash
from ledgercore.disk import flush
from ledgercore.errors import InvalidError
from ledgercore.exchange.stream import CHUNK_BYTES, TAG_BYTES, Manifest, TreeHash, read_whole

__all__ = ["Receiver", "sealed_chunk_bytes", "send_chunks"]

_HASH_BYTES = 32
_GROUP = 256


class Receiver:
    """A file that a sealed stream is written to, in order; ``next`` is the chunk it wants."""

    def __init__(self, manifest: Manifest, hashes: BinaryIO, partial: BinaryIO, suite: str) -> None:
        """Begin, or go on: ``partial`` is read, written and cut, and may hold anything.

        Raises ``InvalidError`` where the hashes are not those of the manifest.
        """
        self.manifest = manifest
        self._suite = suite
        self._hashes = hashes
        self._partial = partial
        self._check_hashes()
        self.next = self._resume()

    def take(self, chunk: bytes) -> None:
        """Write the next chunk, or raise ``InvalidError`` and write nothing if it is another."""
        number = self.next
        if number >= self.manifest.chunks:
            raise InvalidError(f"chunk {number} is past the end, want {self.manifest.chunks}")
        want = sealed_chunk_bytes(self.manifest, number)
        if len(chunk) != want:
            raise InvalidError(f"chunk {number} has {len(chunk)} bytes, want {want}")
        if leaf_hash(self._suite, chunk) != self._hash(number):
            raise InvalidError(f"chunk {number} is not the one that was admitted")
        self._partial.write(chunk)
        self.next = number + 1

    def finish(self) -> None:
        """Make the whole stream durable; raises ``InvalidError`` where chunks are missing."""
        if self.next != self.manifest.chunks:
            raise InvalidError(f"stream has {self.next} chunks, want {self.manifest.chunks}")
        flush(self._partial)

    def _check_hashes(self) -> None:
        tree, left = TreeHash(self._suite), self.manifest.chunks
        self._hashes.seek(0)
        while left:
            count = min(left, _GROUP)
            data = read_whole(self._hashes, count * _HASH_BYTES)
            if len(data) != count * _HASH_BYTES:
                raise InvalidError(f"hashes of {left} chunks are missing")
            tree.add_hashes(data)
            left -= count
        if self._hashes.read(1):
            raise InvalidError(f"there are more hashes than of {self.manifest.chunks} chunks")
        if tree.root() != self.manifest.root:
            raise InvalidError("hashes of the chunks do not lead to the root that was admitted")

    def _resume(self) -> int:
        """How many chunks are there and right; whatever follows them is cut off."""
        number = 0
        self._partial.seek(0)
        while number < self.manifest.chunks:
            chunk = read_whole(self._partial, sealed_chunk_bytes(self.manifest, number))
            if leaf_hash(self._suite, chunk) != self._hash(number):
                break
            number += 1
        end = min(number * (CHUNK_BYTES + TAG_BYTES), self.manifest.sealed_bytes)
        self._partial.seek(end)
        self._partial.truncate()
        return number

    def _hash(self, number: int) -> bytes:
        self._hashes.seek(number * _HASH_BYTES)
        return read_whole(self._hashes, _HASH_BYTES)


def send_chunks(sealed: BinaryIO, manifest: Manifest, begin: int = 0) -> Iterator[bytes]:
    """The sealed chunks from one on, as a receiver takes them."""
    sealed.seek(begin * (CHUNK_BYTES + TAG_BYTES), io.SEEK_SET)
    for number in range(begin, manifest.chunks):
        yield read_whole(sealed, sealed_chunk_bytes(manifest, number))


def sealed_chunk_bytes(manifest: Manifest, number: int) -> int:
    """How long a sealed chunk is."""
    return min(CHUNK_BYTES, manifest.size_bytes - number * CHUNK_BYTES) + TAG_BYTES
