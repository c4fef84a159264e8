"""Dispute an exchange as one of its parties: the draft, and the statement behind it."""

from __future__ import annotations

from dataclasses import dataclass

from ledgercore.arguments import typed_methods
from ledgercore.entropy import Entropy
from ledgercore.exchange.signer import RecordSigner
from ledgercore.exchange.statement import encode_text, keep_statement, statement_folder
from ledgercore.exchange.submission import Draft
from ledgercore.records import DisputeEvidence, DisputeOpen

__all__ = ["Complainant"]


@typed_methods
@dataclass(frozen=True)
class Complainant:
    """A party that disputes: who signs, and the suite that its commitments are of."""

    key: RecordSigner
    entropy: Entropy
    suite: str

    def open(self, exchange: bytes, grounds: str, statement: str) -> Draft:
        """Contest an exchange, on grounds that are a code."""
        commitment = self._keep(DisputeOpen.KIND, exchange, encode_text("statement", statement))
        return Draft(self.key, DisputeOpen(exchange, grounds, commitment))

    def show(self, exchange: bytes, evidence: bytes) -> Draft:
        """Bring evidence, which is kept here and handed to the supervisor off the ledger.

        The ledger refuses more than 16 pieces of a party in one dispute with ``E_LIMIT``: one piece
        may be a list of many documents.

        ``show_statement`` takes it from there, by the record's id, and ``read_statement`` reads it.
        """
        commitment = self._keep(DisputeEvidence.KIND, exchange, evidence)
        return Draft(self.key, DisputeEvidence(exchange, commitment))

    def _keep(self, kind: str, exchange: bytes, content: bytes) -> bytes:
        folder = statement_folder(kind, key=self.key.public_key, exchange=exchange)
        return keep_statement(self.key.vault, self.entropy, self.suite, folder, content)
