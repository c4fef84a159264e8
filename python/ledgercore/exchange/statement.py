"""Keep what is said off the ledger, and give the commitment that the ledger holds.

A statement is 32 random bytes and then its content, so that no guess at the content can be tested.
Whoever is shown a statement holds it to its commitment with ``open_statement``.
"""

from __future__ import annotations

from ledgercore._core import hash_domain
from ledgercore.entropy import Entropy
from ledgercore.errors import InvalidProof
from ledgercore.vault import Vault

__all__ = ["SALT_BYTES", "keep_statement", "open_statement"]

SALT_BYTES = 32


def keep_statement(vault: Vault, entropy: Entropy, suite: str, name: str, content: bytes) -> bytes:
    """Salt the content, keep it under a name, and give its commitment."""
    statement = entropy.bytes(SALT_BYTES) + content
    vault.store([(name, statement)])
    return hash_domain(suite, "commitment", statement)


def open_statement(statement: bytes, commitment: bytes, suite: str) -> bytes:
    """The content of a statement, or ``InvalidProof`` if it is not what was committed to."""
    if len(statement) < SALT_BYTES or hash_domain(suite, "commitment", statement) != commitment:
        raise InvalidProof("statement is not the one that the record commits to")
    return statement[SALT_BYTES:]
