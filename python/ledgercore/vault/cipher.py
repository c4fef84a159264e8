"""Seal a vault's items, each under a key of its own, and hide their names.

From the vault's key come three others, by HKDF-SHA256 with the vault's id as salt: one hides the
names, one wraps the data keys, one authenticates the header. Every write of an item draws a new
data key, so the item's nonce is always 12 zero bytes and no data key meets it twice. A wrapped
data key has a random nonce of 12 bytes; the key that wraps is used at most 2^32 times.

An item's *slot* is where it stands: for each part of its name the keyed BLAKE2b hash of the name
up to there. So items of one folder stand together, and whoever reads the file learns how many items
share a folder, but no name. The name itself is sealed beside the data key.
"""

from __future__ import annotations

import hmac
from hashlib import blake2b
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ledgercore.entropy import Entropy
from ledgercore.errors import CorruptError, LimitError
from ledgercore.passphrase import KEY_BYTES

__all__ = ["ID_BYTES", "Cipher", "SealedItem"]

ID_BYTES = 16
_PART_BYTES = 16
_NONCE_BYTES = 12
_ZERO_NONCE = bytes(_NONCE_BYTES)


class SealedItem(NamedTuple):
    """An item as it is stored: ``wrapped`` holds its data key and its name."""

    slot: bytes
    version: int
    wrapped: bytes
    sealed: bytes


class Cipher:
    """All that a vault's key is good for."""

    def __init__(self, key: bytes, vault_id: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise LimitError(f"vault's key has {len(key)} bytes, want {KEY_BYTES}")
        self._id = vault_id
        self._names = blake2b(key=self._derive(key, b"names"), digest_size=_PART_BYTES)
        self._wrap = AESGCM(self._derive(key, b"wrap"))
        self._header = self._derive(key, b"header")
        self.check = self._derive(key, b"check")

    def _derive(self, key: bytes, use: bytes) -> bytes:
        info = b"ledgercore vault " + use + b" v1"
        return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=self._id, info=info).derive(key)

    def slot(self, name: str) -> bytes:
        """Where an item stands, or a folder by its name without the last slash."""
        parts = []
        path = self._names.copy()
        for part in name.encode().split(b"/"):
            path.update(part)
            parts.append(path.digest())
            path.update(b"/")
        return b"".join(parts)

    def folder(self, name: str) -> tuple[bytes, bytes]:
        """The range of slots of all items below a folder; of the whole vault for no name."""
        begin = self.slot(name) if name else b""
        return begin, begin + b"\xff" * (_PART_BYTES + 1)

    def seal(self, name: str, version: int, value: bytes, entropy: Entropy) -> SealedItem:
        """An item under a new data key."""
        drawn = entropy.bytes(KEY_BYTES + _NONCE_BYTES)
        key, nonce = drawn[:KEY_BYTES], drawn[KEY_BYTES:]
        sealed = AESGCM(key).encrypt(_ZERO_NONCE, value, self._bound(version, name.encode()))
        slot = self.slot(name)
        return SealedItem(
            slot, version, self._wrapped(nonce, key + name.encode(), version, slot), sealed
        )

    def rewrap(self, to: Cipher, row: SealedItem, entropy: Entropy) -> tuple[bytes, bytes]:
        """The slot and the wrapped key that another cipher gives; what is sealed stays."""
        key, name = self._unwrap(row)
        slot = to.slot(name)
        nonce = entropy.bytes(_NONCE_BYTES)
        return slot, to._wrapped(nonce, key + name.encode(), row.version, slot)

    def name(self, row: SealedItem) -> str:
        """An item's name."""
        return self._unwrap(row)[1]

    def open(self, row: SealedItem, name: str) -> bytes:
        """An item's value, or ``CorruptError`` if it is not what was stored under the name."""
        key, found = self._unwrap(row)
        if found != name:
            raise CorruptError(f"item {name} holds another item")
        try:
            return AESGCM(key).decrypt(
                _ZERO_NONCE, row.sealed, self._bound(row.version, name.encode())
            )
        except InvalidTag as error:
            raise CorruptError(f"item {name} is not what was stored") from error

    def authenticate(self, version: int, since: int) -> bytes:
        """The header's code: how often the vault was written, and where its key began."""
        return hmac.digest(self._header, self._bound(version, since.to_bytes(8, "big")), "sha256")

    def _wrapped(self, nonce: bytes, content: bytes, version: int, slot: bytes) -> bytes:
        return nonce + self._wrap.encrypt(nonce, content, self._bound(version, slot))

    def _unwrap(self, row: SealedItem) -> tuple[bytes, str]:
        nonce, wrapped = row.wrapped[:_NONCE_BYTES], row.wrapped[_NONCE_BYTES:]
        try:
            content = self._wrap.decrypt(nonce, wrapped, self._bound(row.version, row.slot))
        except (InvalidTag, ValueError) as error:
            raise CorruptError(f"key of item {row.slot.hex()[:16]} is not what was stored") from (
                error
            )
        return content[:KEY_BYTES], content[KEY_BYTES:].decode()

    def _bound(self, version: int, place: bytes) -> bytes:
        """Associated data: two parts of a fixed length, then the place."""
        return self._id + version.to_bytes(8, "big") + place
