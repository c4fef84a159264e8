"""Keep what is said off the ledger, and give the commitment that the ledger holds.

A statement is 32 random bytes and then its content, so that no guess at the content can be tested.
It is kept under its commitment: a draft that is refused or never submitted takes nothing from the
statement that the ledger commits to, and after a crash whichever record is ordered can be opened.
Whoever is shown a statement holds it to its commitment with ``open_statement``.

    contest/<decision>/<commitment>: salt(32) and the grounds
"""

from __future__ import annotations

from ledgercore._core import hash_domain
from ledgercore.entropy import Entropy
from ledgercore.errors import InvalidProof, MalformedError, UntrustedError
from ledgercore.vault import Vault

__all__ = ["encode_text", "keep_statement", "kept_statement", "open_statement"]

SALT_BYTES = 32


def keep_statement(
    vault: Vault, entropy: Entropy, suite: str, folder: str, content: bytes
) -> bytes:
    """Salt the content, keep it in a folder under its commitment, and give that.

    Text is made content by ``encode_text``.
    """
    statement = entropy.bytes(SALT_BYTES) + content
    commitment = hash_domain(suite, "commitment", statement)
    vault.store([(f"{folder}/{commitment.hex()}", statement)])
    return commitment


def encode_text(what: str, text: str) -> bytes:
    """A statement's text as UTF-8, or ``MalformedError`` where it holds what is no character."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise MalformedError(f"{what}: lone surrogate at {error.start}, want text") from error


def kept_statement(vault: Vault, folder: str, commitment: bytes) -> bytes:
    """The statement behind a commitment, or ``UntrustedError`` if it is not kept."""
    statement = vault.load(f"{folder}/{commitment.hex()}")
    if statement is None:
        raise UntrustedError(f"no statement behind {commitment.hex()[:16]} is kept in {folder}/")
    return statement


def open_statement(statement: bytes, commitment: bytes, suite: str) -> bytes:
    """The content of a statement, or ``InvalidProof`` if it is not what was committed to."""
    if len(statement) < SALT_BYTES or hash_domain(suite, "commitment", statement) != commitment:
        raise InvalidProof("statement is not the one that the record commits to")
    return statement[SALT_BYTES:]
