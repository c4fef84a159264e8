"""Act for a consumer within a consent that names this member as its processor.

A processor receives what the consumer may receive, and hands it over; it decides nothing, and it
says of no use. What it holds the consumer answers for, whose promise to erase covers it: so it
destroys its own part first.
"""

from __future__ import annotations

from ledgercore.arguments import typed_methods
from ledgercore.errors import UntrustedError
from ledgercore.exchange.kept import keep_proposal
from ledgercore.exchange.messages import (
    Handover,
    Proposal,
    Release,
    Terms,
    decode_message,
)
from ledgercore.exchange.recipient import Recipient, check_not_ended
from ledgercore.rules import refuse

__all__ = ["Processor"]


@typed_methods
class Processor(Recipient):
    """One member that receives data for consumers."""

    def instruct(self, proposal: Proposal) -> Terms:
        """Take the terms under which it is to act, from the consumer, and keep them.

        Raises ``RefusedError`` with ``E_RECIPIENT`` where they do not name this member, and
        ``UntrustedError`` for terms in the place of others of the same consent.
        """
        terms = Terms.from_leaves(proposal.terms)
        if self.member not in terms.processors:
            named = list(terms.processors)
            refuse("E_RECIPIENT", f"processors in the terms are {named}, not {self.member}")
        keep_proposal(self._vault, self._ledger, proposal)
        return terms

    def hand_over(self, intent: bytes) -> Handover:
        """What was opened here, for the consumer and nobody else; it stays until ``forget``."""
        kept = f"exchange/{intent.hex()}"
        payload, release = self._vault.load(f"{kept}/payload"), self._vault.load(f"{kept}/release")
        if payload is None or release is None:
            raise UntrustedError(f"nothing of exchange {intent.hex()[:16]} was opened here")
        state = self._state(intent)
        check_not_ended(intent, state)
        request = self._requested(state)
        return Handover(intent, request, payload, decode_message(release, Release))
