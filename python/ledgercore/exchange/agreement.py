"""Negotiate agreements: what a consumer and a provider say to each other, and the drafts they sign.

The contract goes from one to the other off the ledger. Who answers holds it to what the other
proposed on the ledger before it signs, and keeps it; so the one text that both have is the one that
the ledger commits to. Call ``draw_up``, then ``request`` or ``offer``; then what the Dataspace
Protocol has follow: ``accept`` an offer, ``agree``, ``verify``, ``finalize``.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledgercore._core import hash_domain
from ledgercore.arguments import typed_methods
from ledgercore.entropy import Entropy
from ledgercore.errors import InvalidError, LimitError, UntrustedError
from ledgercore.exchange.reading import read_state
from ledgercore.exchange.signer import RecordSigner
from ledgercore.exchange.submission import Draft
from ledgercore.ledger import Ledger
from ledgercore.proofs.wire import decode_part, encode_part
from ledgercore.records import (
    AgreementAccept,
    AgreementAgree,
    AgreementFinalize,
    AgreementOffer,
    AgreementRequest,
    AgreementResume,
    AgreementRetire,
    AgreementSuspend,
    AgreementTerminate,
    AgreementVerify,
)
from ledgercore.records.base import Bytes32, Part, TimeMs
from ledgercore.rules import AgreementState, agreement_object

__all__ = [
    "TEXT_BYTES",
    "ConsumerAgreements",
    "Contract",
    "Negotiator",
    "ProviderAgreements",
    "contract_commitment",
]

TEXT_BYTES = 512 * 1024
"""Bytes of a contract's text that is drawn up; one that was signed is read whatever its size."""


class Contract(Part, frozen=True):
    """What is to be agreed, in words and in what the rules hold both to; the salt hides it.

    Another proposal in the same negotiation is another contract with the same ``agreement``.
    """

    agreement: Bytes32
    consumer: str
    product: str
    purposes: tuple[str, ...]
    expires_ms: TimeMs
    text: str
    salt: Bytes32


def contract_commitment(suite: str, contract: Contract) -> bytes:
    """What the ledger holds of a contract."""
    return hash_domain(suite, "commitment", encode_part(contract))


@typed_methods
@dataclass(frozen=True)
class Negotiator:
    """One party of agreements: who signs, and the ledger that it reads."""

    key: RecordSigner
    entropy: Entropy
    ledger: Ledger

    def contract(self, agreement: bytes) -> Contract:
        """The contract that the agreement on the ledger commits to: proposed last, or agreed to.

        Raises ``RefusedError`` with ``E_UNKNOWN`` where nothing was proposed there, and
        ``UntrustedError`` where what was proposed is not kept here.
        """
        kept = self.key.vault.load(_name(agreement, self.state(agreement).contract_commitment))
        if kept is None:
            raise UntrustedError(
                f"contract of agreement {agreement.hex()[:16]} is not kept here: have the other "
                "party send it"
            )
        return decode_part(kept, Contract, "contract")

    def state(self, agreement: bytes) -> AgreementState:
        """How an agreement stands on the ledger."""
        return read_state(self.ledger, agreement_object(agreement), AgreementState)

    def terminate(self, agreement: bytes, code: str) -> Draft:
        """End a negotiation before there is an agreement."""
        return Draft(self.key, AgreementTerminate(agreement, code))

    def suspend(self, agreement: bytes, code: str) -> Draft:
        """Let nothing new begin until this party resumes; what was admitted goes on."""
        return Draft(self.key, AgreementSuspend(agreement, code))

    def resume(self, agreement: bytes) -> Draft:
        """Let new exchanges begin again."""
        return Draft(self.key, AgreementResume(agreement))

    def retire(self, agreement: bytes, code: str) -> Draft:
        """End an agreement for good; what was admitted goes on."""
        return Draft(self.key, AgreementRetire(agreement, code))

    def draw_up(
        self,
        consumer: str,
        product: str,
        purposes: tuple[str, ...],
        text: str,
        expires_ms: int,
        agreement: bytes | None = None,
    ) -> Contract:
        """A contract to propose, in a negotiation of its own or in one that goes on.

        It is kept beside all that were drawn up or taken before. ``LimitError`` for a text of more
        than ``TEXT_BYTES``.
        """
        if (got := len(text.encode(errors="replace"))) > TEXT_BYTES:
            raise LimitError(
                f"text of the contract has {got} bytes, want at most {TEXT_BYTES}: put what is "
                "longer into a document of its own, and its hash into the text"
            )
        agreement, salt = agreement or self.entropy.bytes(32), self.entropy.bytes(32)
        contract = Contract(agreement, consumer, product, purposes, expires_ms, text, salt)
        return self._keep(contract)

    def _keep(self, contract: Contract) -> Contract:
        name = _name(contract.agreement, contract_commitment(self.ledger.suite, contract))
        self.key.vault.store([(name, encode_part(contract))])
        return contract

    def _take(self, contract: Contract) -> bytes:
        """Hold the other's contract to what it proposed on the ledger, and keep it."""
        state = self.state(contract.agreement)
        if contract_commitment(self.ledger.suite, contract) != state.contract_commitment:
            raise InvalidError("contract is not the one that the agreement commits to")
        for name in ("consumer", "product", "purposes", "expires_ms"):
            got, want = getattr(state, name), getattr(contract, name)
            if got != want:
                raise InvalidError(f"{name} of the agreement is {got}, want {want} as it says")
        return self._keep(contract).agreement


@typed_methods
class ConsumerAgreements(Negotiator):
    """A consumer's part of agreements."""

    def request(self, contract: Contract) -> Draft:
        """Ask for this contract."""
        commitment = contract_commitment(self.ledger.suite, contract)
        body = AgreementRequest(
            contract.agreement,
            contract.product,
            contract.purposes,
            commitment,
            contract.expires_ms,
        )
        return Draft(self.key, body)

    def accept(self, contract: Contract) -> Draft:
        """Accept the contract that is offered, which the provider sent."""
        return Draft(self.key, AgreementAccept(self._take(contract)))

    def verify(self, agreement: bytes) -> Draft:
        """Say that what the provider agreed to is the contract that is kept here."""
        return Draft(self.key, AgreementVerify(self._take(self.contract(agreement))))


@typed_methods
class ProviderAgreements(Negotiator):
    """A provider's part of agreements."""

    def offer(self, contract: Contract) -> Draft:
        """Offer this contract."""
        commitment = contract_commitment(self.ledger.suite, contract)
        body = AgreementOffer(
            contract.agreement,
            contract.product,
            contract.purposes,
            commitment,
            contract.expires_ms,
            contract.consumer,
        )
        return Draft(self.key, body)

    def agree(self, contract: Contract) -> Draft:
        """Agree to the contract that is asked for, which the consumer sent, or to one accepted."""
        return Draft(self.key, AgreementAgree(self._take(contract)))

    def finalize(self, agreement: bytes) -> Draft:
        """Put the agreement in force."""
        return Draft(self.key, AgreementFinalize(agreement))


def _name(agreement: bytes, commitment: bytes) -> str:
    return f"agreement/{agreement.hex()}/contract/{commitment.hex()}"
