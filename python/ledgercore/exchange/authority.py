"""Act for a supervisor where it signs: rule on disputes, stay consents, order audits, authorise.

What a supervisor only watches is in ``supervisor``, which needs no key. Statements and reasons
stay in its vault, behind commitments.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledgercore.arguments import typed_methods
from ledgercore.errors import LimitError
from ledgercore.exchange.holder import Scope
from ledgercore.exchange.messages import encode_message
from ledgercore.exchange.party import Party
from ledgercore.exchange.statement import encode_text, keep_statement, statement_folder
from ledgercore.exchange.submission import Draft
from ledgercore.records import (
    AuditDisclose,
    AuditKey,
    AuditOrder,
    AuditReport,
    AuthorisationGrant,
    AuthorisationRevoke,
    ConsentLift,
    ConsentStay,
    DisputeRule,
    SchemaRegister,
)
from ledgercore.records.base import LIMIT_ITEMS
from ledgercore.rules import schema_hash
from ledgercore.rules.audit import scope_commitment

__all__ = ["Authority"]


@typed_methods
class Authority(Party):
    """One member with the role ``supervisor``. Its methods give drafts.

    To authorise token-like schemas it needs the role ``competent-authority``, from the genesis.
    """

    def rule(self, exchange: bytes, ruling: str, reasons: str) -> Draft:
        """Uphold or dismiss the complaint in a dispute: ``upheld`` or ``dismissed``."""
        commitment = self._keep(DisputeRule.KIND, reasons, exchange=exchange)
        return Draft(self._key, DisputeRule(exchange, ruling, commitment))  # type: ignore[arg-type]

    def stay(self, consent: bytes, basis: str, order: str) -> Draft:
        """Let nothing be given or used under a consent; the order stays here, behind its hash."""
        commitment = self._keep(ConsentStay.KIND, order, consent=consent)
        return Draft(self._key, ConsentStay(consent, basis, commitment))

    def lift(self, consent: bytes) -> Draft:
        """End the stay of a consent."""
        return Draft(self._key, ConsentLift(consent))

    def authorise(
        self,
        schema: SchemaRegister,
        member: str,
        *,
        infrastructure: str,
        jurisdiction: str,
        basis: str,
        max_uses: int,
        expires_ms: int,
    ) -> Draft:
        """Let a member register and issue a token-like schema, just as it is here."""
        body = AuthorisationGrant(
            schema_hash=schema_hash(self._ledger.suite, schema),
            member=member,
            infrastructure=infrastructure,
            jurisdiction=jurisdiction,
            basis=basis,
            max_uses=max_uses,
            expires_ms=expires_ms,
        )
        return Draft(self._key, body)

    def withdraw_authorisation(self, schema: SchemaRegister, basis: str) -> Draft:
        """Freeze a token-like schema, with all that is under it."""
        hashed = schema_hash(self._ledger.suite, schema)
        return Draft(self._key, AuthorisationRevoke(hashed, basis))

    def register(self, key: AuditKey) -> Draft:
        """Register an audit key that its holders have made (``exchange.sharing``)."""
        return Draft(self._key, key)

    def order(
        self,
        audit_key: bytes,
        basis: str,
        exchanges: Sequence[bytes],
        *,
        expires_ms: int,
        embargo_until_ms: int,
    ) -> tuple[Draft, Scope]:
        """Order that exchanges be opened; the scope is for the holders, and hidden from all else.

        It is kept here until it is disclosed, which is due at the end of the embargo. Raises
        ``LimitError`` for more exchanges than one record can disclose.
        """
        if (got := len(exchanges)) > LIMIT_ITEMS:
            raise LimitError(
                f"scope has {got} exchanges, want at most {LIMIT_ITEMS}: order the others apart"
            )
        scope = Scope(tuple(exchanges), self._entropy.bytes(32))
        commitment = scope_commitment(self._ledger.suite, scope.exchanges, scope.salt)
        self._vault.store([(f"audit-scope/{commitment.hex()}", encode_message(scope))])
        body = AuditOrder(audit_key, basis, commitment, expires_ms, embargo_until_ms)
        return Draft(self._key, body), scope

    def disclose(self, audit: bytes, scope: Scope) -> Draft:
        """Say what was ordered to be opened, into the trail of those whom it concerns."""
        return Draft(self._key, AuditDisclose(audit, scope.exchanges, scope.salt))

    def report(self, audit: bytes, findings: str) -> Draft:
        """Close an audit; the findings stay here, behind a commitment."""
        commitment = self._keep(AuditReport.KIND, findings, audit=audit)
        return Draft(self._key, AuditReport(audit, commitment))

    def _keep(self, kind: str, text: str, **named: bytes) -> bytes:
        suite, folder = self._ledger.suite, statement_folder(kind, **named)
        return keep_statement(self._vault, self._entropy, suite, folder, encode_text("text", text))
