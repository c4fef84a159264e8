"""The same work done with other libraries, each in the way that its documentation shows.

What only the bench requirements bring is imported where it is used.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from measure import Skipped, Way

if TYPE_CHECKING:
    import pymerkle

__all__ = [
    "IndexedSqlite",
    "append_local_log",
    "append_pymerkle",
    "hash_blake3",
    "make_scitt_receipts",
    "openssl_speed",
    "prove_pymerkle",
    "sqlite_rows",
    "store_sqlite",
    "store_sqlite_each",
    "verify_cryptography",
    "verify_nacl",
    "verify_pymerkle",
    "verify_scitt",
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
    import nacl.signing

    keys = {key: nacl.signing.VerifyKey(key) for key, _, _ in signed}
    for key, message, signature in signed:
        keys[key].verify(message, signature)


def openssl_speed() -> Way | Skipped:
    """What OpenSSL says of itself, in C and on one core, in a second."""
    if shutil.which("openssl") is None:
        return Skipped("openssl is not installed")
    command = ["openssl", "speed", "-seconds", "1", "-mr", "ed25519"]

    def run() -> tuple[int, float]:
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found = re.search(r"^\+F6:\d+:\d+:[^:]*Ed25519[^:]*:[\d.]+:([\d.]+)$", printed, re.M)
        if found is None:
            raise AssertionError(f"openssl speed printed no rate: {printed!r}")
        return 1, 1 / float(found[1])

    return run


def append_pymerkle(items: Sequence[bytes]) -> pymerkle.InmemoryTree:
    """Append one after another, then ask for the root."""
    import pymerkle

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
    import pymerkle

    for leaf, proof in zip(leaves, proofs, strict=True):
        pymerkle.verify_inclusion(leaf, root, proof)


def make_scitt_receipts(leaves: int, count: int) -> tuple[bytes, list[tuple[str, bytes]]]:
    """The log's public key, and leaves with their COSE receipts; Ed25519, as ours."""
    import scitt_cose

    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    entries = [number.to_bytes(400, "big").hex() for number in range(leaves)]
    receipts = []
    for index in range(0, leaves, leaves // count):
        receipt = scitt_cose.build_receipt(
            leaf_entry_hex=entries[index],
            leaf_index=index,
            tree_entries_hex=entries,
            alg="EdDSA",
            log_private_key_pem=private,
        )
        receipts.append((entries[index], receipt))
    return public, receipts


def verify_scitt(public: bytes, receipts: Sequence[tuple[str, bytes]], times: int) -> None:
    """One receipt after another; one signature each, the log's."""
    import scitt_cose

    for _ in range(times):
        for entry, receipt in receipts:
            result = scitt_cose.verify_receipt(
                receipt, leaf_entry_hex=entry, log_public_key_pem=public
            )
            if not result.ok:
                raise AssertionError(f"receipt does not verify: {result.errors}")


def append_local_log(path: Path, digests: Sequence[bytes]) -> None:
    """Append 32-byte hashes to its journal, each durable before the next."""
    import cll.log.jsonl

    cll.log.jsonl.init(path)
    log = cll.log.jsonl.open(path)
    try:
        for digest in digests:
            log.append(cll.log.AppendInput(digest, datetime.now(UTC).replace(microsecond=0)))
    finally:
        log.close()


def store_sqlite(path: Path, records: Sequence[bytes]) -> None:
    """Store records in one transaction that is durable: no signatures, tree or receipts."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        with connection:
            connection.execute("CREATE TABLE IF NOT EXISTS record (data BLOB NOT NULL)")
            connection.executemany("INSERT INTO record VALUES (?)", ((each,) for each in records))


@contextmanager
def sqlite_rows(path: Path) -> Iterator[Callable[[bytes], object]]:
    """What stores one row, durable when it returns."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE IF NOT EXISTS record (data BLOB NOT NULL)")
        yield lambda item: connection.execute("INSERT INTO record VALUES (?)", (item,))


def store_sqlite_each(path: Path, items: Sequence[bytes]) -> None:
    """Store one row after another, each durable before the next."""
    with sqlite_rows(path) as store:
        for item in items:
            store(item)


class IndexedSqlite:
    """A row a record with an index on its id: how a ledger in SQLite is built at first thought."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute(
            "CREATE TABLE record (id BLOB NOT NULL UNIQUE, data BLOB NOT NULL)"
        )

    def store(self, records: Sequence[bytes]) -> None:
        """Records with the hash of each as its id, in one durable transaction."""
        rows = ((hashlib.sha256(record).digest(), record) for record in records)
        self._connection.execute("BEGIN")
        self._connection.executemany("INSERT INTO record VALUES (?, ?)", rows)
        self._connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()


def write_and_flush(path: Path, items: Sequence[bytes]) -> None:
    """Append to a file with one flush an item: what a durable append costs at least."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        for item in items:
            os.write(descriptor, item)
            os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
