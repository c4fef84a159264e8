"""Keep what is said off the ledger, and give the commitment that the ledger holds.

A statement is 32 random bytes and then its content, so that no guess at the content can be tested.
It is kept under its commitment: a draft that is refused or never submitted takes nothing from the
statement that the ledger commits to, and after a crash whichever record is ordered can be opened.
Who keeps one takes it with ``show_statement``, by the record that commits to it, and hands it over
off the ledger; whoever is shown it reads it with ``read_statement``.

    contest/<decision>/<commitment>: salt(32) and the grounds
"""

from __future__ import annotations

from ledgercore import records
from ledgercore._core import Record, hash_domain
from ledgercore.arguments import typed
from ledgercore.entropy import Entropy
from ledgercore.errors import InvalidProof, MalformedError, UntrustedError
from ledgercore.ledger import Ledger
from ledgercore.records import (
    AuditReport,
    ConsentRevokeOnBehalf,
    ConsentStay,
    DecisionContest,
    DecisionRecord,
    DecisionReview,
    DisputeEvidence,
    DisputeOpen,
    DisputeRule,
)
from ledgercore.rules import refuse
from ledgercore.vault import Vault

__all__ = [
    "encode_text",
    "keep_statement",
    "kept_statement",
    "open_statement",
    "read_statement",
    "show_statement",
    "statement_folder",
]

SALT_BYTES = 32
_STATEMENTS = {
    AuditReport.KIND: ("report_commitment", "audit/{audit}/findings"),
    ConsentRevokeOnBehalf.KIND: ("evidence_commitment", "revocation/{consent}"),
    ConsentStay.KIND: ("order_commitment", "stay/{consent}"),
    DecisionContest.KIND: ("grounds_commitment", "contest/{decision}"),
    DecisionRecord.KIND: ("explanation_commitment", "explanation"),
    DecisionReview.KIND: ("reviewer_commitment", "review/{decision}"),
    DisputeEvidence.KIND: ("evidence_commitment", "dispute/{exchange}/{key}/evidence"),
    DisputeOpen.KIND: ("statement_commitment", "dispute/{exchange}/{key}/statement"),
    DisputeRule.KIND: ("reasons_commitment", "dispute/{exchange}/reasons"),
}
"""What each kind of record commits to, and where its signer keeps it, by what the record names."""


@typed
def show_statement(ledger: Ledger, vault: Vault, record: bytes) -> bytes:
    """What its signer's vault keeps behind the record of an id, for whoever is to read it.

    Of a decision it is the explanation that its record commits to, though a review followed. Of a
    review it is who reviewed: its reasons are the decision's newest explanation, which
    ``Consumer.explanation`` gives. Raises ``RefusedError`` with ``E_UNKNOWN`` for no such record,
    and with ``E_KIND`` for one that commits to no statement; ``UnavailableError`` where it is not
    in a copy that began after the genesis; and ``UntrustedError`` where no statement is kept.
    """
    found, body, commitment = _committed(ledger, record)
    ids = ("audit", "consent", "decision", "exchange")
    named = {name: getattr(body, name) for name in ids if hasattr(body, name)}
    folder = statement_folder(found.kind, key=found.key, **named)
    return kept_statement(vault, folder, commitment)


@typed
def read_statement(ledger: Ledger, record: bytes, statement: bytes) -> bytes:
    """What a statement says that was shown, held to what the record of an id commits to.

    It is text in UTF-8 but for evidence, which is as it was given. Raises ``InvalidProof`` where
    the record commits to another, and for the record's id what ``show_statement`` does.
    """
    _, _, commitment = _committed(ledger, record)
    return open_statement(statement, commitment, ledger.suite)


def _committed(ledger: Ledger, record: bytes) -> tuple[Record, records.RecordBody, bytes]:
    """A record on the ledger, its body, and the commitment to a statement in it."""
    index = ledger.find(record)
    if index is None:
        refuse("E_UNKNOWN", f"record {record.hex()[:16]} does not exist")
    found = ledger.record(index)
    if found.kind not in _STATEMENTS:
        refuse("E_KIND", f"record {index} is {found.kind}, want one of {', '.join(_STATEMENTS)}")
    body = records.decode(found.kind, found.body)
    commitment: bytes = getattr(body, _STATEMENTS[found.kind][0])
    return found, body, commitment


def statement_folder(kind: str, **named: bytes) -> str:
    """Where the signer of a kind of record keeps what it says, by what the record names."""
    return _STATEMENTS[kind][1].format(**{name: value.hex() for name, value in named.items()})


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
