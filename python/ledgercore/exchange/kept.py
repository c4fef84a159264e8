"""Keep the terms of each consent in a party's vault, so that nobody puts others in their place.

The id of a consent is on the ledger for everyone to read, and whoever proposes terms chooses it:
terms that come under the id of another consent must not overwrite those that were agreed to, whose
salts are nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledgercore.errors import InvalidError, MalformedError, UntrustedError
from ledgercore.exchange.messages import Proposal, Terms, decode_message, encode_message
from ledgercore.exchange.narrowing import leaves_of_root
from ledgercore.exchange.reading import read_state
from ledgercore.rules import ConsentState, consent_object, refuse

if TYPE_CHECKING:  # who verifies a pack needs neither
    from ledgercore.ledger import Ledger
    from ledgercore.vault import Vault

__all__ = ["consent_asked", "keep_proposal", "kept_proposal", "kept_terms"]


def keep_proposal(vault: Vault, ledger: Ledger | None, proposal: Proposal) -> None:
    """Keep a proposal; raise ``UntrustedError`` where it is not the one of its consent.

    Once the consent is on the ledger it is held to that; until then the first one stays.
    """
    with vault.transaction():  # no other process keeps another one meanwhile
        if ledger is not None and ledger.state(consent_object(proposal.consent)) is not None:
            consent = consent_asked(ledger, proposal)
            leaves_of_root(ledger, proposal, consent.terms_root)
        elif (kept := kept_proposal(vault, proposal.consent)) is not None and kept != proposal:
            raise UntrustedError(
                f"another proposal of consent {proposal.consent.hex()[:16]} is kept here: "
                "propose it under an id of its own"
            )
        vault.store([(_name(proposal.consent), encode_message(proposal))])


def consent_asked(ledger: Ledger, proposal: Proposal) -> ConsentState:
    """The consent on the ledger that a proposal is for, which must be under the proposal's key."""
    consent = read_state(ledger, consent_object(proposal.consent), ConsentState)
    if consent.consent_key != proposal.consent_key:
        raise UntrustedError("consent on the ledger is under another key than the proposal's")
    return consent


def kept_proposal(vault: Vault, consent: bytes) -> Proposal | None:
    """The proposal of a consent that is kept, if one is."""
    kept = vault.load(_name(consent))
    return None if kept is None else decode_message(kept, Proposal)


def kept_terms(vault: Vault, ledger: Ledger, consent: bytes, root: bytes) -> Terms:
    """The terms of a consent that a root is over, as they were agreed to or narrowed since.

    Raises ``RefusedError`` with ``E_UNKNOWN`` where none are kept, and ``E_SCOPE`` where the root
    is not theirs, or over what is no terms: a subject may have dropped any of them.
    """
    proposal = kept_proposal(vault, consent)
    if proposal is None:
        refuse("E_UNKNOWN", "no terms are known for this consent")
    try:
        return Terms.from_leaves(leaves_of_root(ledger, proposal, root), narrowed=True)
    except (InvalidError, MalformedError) as error:
        refuse("E_SCOPE", str(error))


def _name(consent: bytes) -> str:
    return f"proposal/{consent.hex()}"
