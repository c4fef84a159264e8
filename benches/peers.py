"""The same work done with other libraries, each in the way that its documentation shows."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import blake3
import nacl.signing
import pymerkle
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

__all__ = [
    "append_pymerkle",
    "hash_blake3",
    "prove_pymerkle",
    "store_sqlite",
    "verify_cryptography",
    "verify_nacl",
    "verify_pymerkle",
    "write_and_flush",
]

Signed = Sequence[tuple[bytes, bytes, bytes]]
"""Public key, message, signature."""


def verify_cryptography(signed: Signed) -> None:
    """One after another; each key is loaded once."""
    keys = {key: Ed25519PublicKey.from_public_bytes(key) for key, _, _ in signed}
    for key, message, signature in signed:
        keys[key].verify(signature, message)


def verify_nacl(signed: Signed) -> None:
    """One after another; each key is loaded once."""
    keys = {key: nacl.signing.VerifyKey(key) for key, _, _ in signed}
    for key, message, signature in signed:
        keys[key].verify(message, signature)


def append_pymerkle(items: Sequence[bytes]) -> pymerkle.InmemoryTree:
    """Append one after another, then ask for the root."""
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    for item in items:
        tree.append_entry(item)
    tree.get_root()
    return tree


def hash_blake3(items: Sequence[bytes]) -> None:
    """Leaf hashes only, and no tree: a bound for whoever hashes from Python."""
    for item in items:
        blake3.blake3(b"\x00" + item).digest()


def prove_pymerkle(tree: pymerkle.InmemoryTree, indices: Sequence[int]) -> list[object]:
    """One proof after another."""
    size = tree.get_size()
    return [tree.prove_inclusion(index + 1, size) for index in indices]


def verify_pymerkle(
    leaves: Sequence[bytes], root: bytes, proofs: Sequence[pymerkle.MerkleProof]
) -> None:
    """One proof after another."""
    for leaf, proof in zip(leaves, proofs, strict=True):
        pymerkle.verify_inclusion(leaf, root, proof)


def store_sqlite(path: Path, records: Sequence[bytes]) -> None:
    """Store records in one transaction that is durable: no signatures, tree or receipts."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        with connection:
            connection.execute("CREATE TABLE IF NOT EXISTS record (data BLOB NOT NULL)")
            connection.executemany("INSERT INTO record VALUES (?)", ((each,) for each in records))


def store_sqlite_each(path: Path, items: Sequence[bytes]) -> None:
    """Store one row after another, each durable before the next."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE IF NOT EXISTS record (data BLOB NOT NULL)")
        for item in items:
            connection.execute("INSERT INTO record VALUES (?)", (item,))


def write_and_flush(path: Path, items: Sequence[bytes]) -> None:
    """Append to a file with one flush an item: what a durable append costs at least."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        for item in items:
            os.write(descriptor, item)
            os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
