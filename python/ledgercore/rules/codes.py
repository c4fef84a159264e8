"""List the codes of refusal: what each means, and what its sender can do.

A code is stable; its message may change. Rules raise them, and a provider may name one in
``exchange.refuse``; ``E_MANDATE`` is the provider's alone, for no rule sees a signatory.
"""

from __future__ import annotations

from typing import NamedTuple, NoReturn

from ledgercore.errors import RefusedError

__all__ = [
    "ADMIT",
    "ANOTHER_AGREEMENT",
    "ANOTHER_CONSENT",
    "ANOTHER_DISPUTE",
    "ASK_ANEW",
    "CODES",
    "COMPARE_CLOCKS",
    "CONSUMER_RECEIVES",
    "CURRENT_KEY",
    "DELIVERY_KEY",
    "KEEP_WITHIN",
    "KEY_MESSAGE",
    "LATE_CONTEST",
    "NAME_A_TIME",
    "ONE_PIECE",
    "OPERATORS_KEY",
    "OWN_KEY",
    "PROVIDER_REVOKES",
    "REINSTATE",
    "REPLACE",
    "WAIT_FOR_RULING",
    "Code",
    "refuse",
]

ADMIT = "sign with a member's key, or ask governance to admit the key's owner"
REINSTATE = "ask governance to reinstate the member"
CURRENT_KEY = "sign with the member's current key"
KEY_MESSAGE = "have a new key sign records.key_message"
OWN_KEY = "name the public half of a key that its owner alone holds"
OPERATORS_KEY = "leave the operator's key as it is: with another one it is another network"
DELIVERY_KEY = "draw a delivery key anew"
KEEP_WITHIN = "keep to what the message wants: choose another number, or split a list in two"
ONE_PIECE = "put several documents in one piece of evidence"
ANOTHER_CONSENT = (
    "go on under another consent: what answers, ends, erases or revokes is not refused for this"
)
CONSUMER_RECEIVES = "have the consumer receive for itself"
PROVIDER_REVOKES = "have the subject or its provider revoke the consent"
ANOTHER_AGREEMENT = "negotiate another agreement: this one can still be terminated or retired"
REPLACE = "have governance replace the key"
COMPARE_CLOCKS = "compare clocks, and sign again with a window that includes now"
NAME_A_TIME = "name a time that the message wants"
LATE_CONTEST = (
    "have the consumer explain the decision if it has not, from which the time begins anew, or "
    "open a dispute of an exchange that the decision rests on"
)
WAIT_FOR_RULING = "wait for the ruling"
ASK_ANEW = "ask for the data anew, by another intent"
ANOTHER_DISPUTE = "have a party that opened none yet open another dispute, after a dismissal"
"""Remedies of codes that have several causes: a refusal names the one that helps."""


class Code(NamedTuple):
    """One code's meaning and remedy."""

    meaning: str
    remedy: str


CODES: dict[str, Code] = {
    "E_NET": Code(
        "the record is of another network or suite",
        "sign it for the network and suite of the trust anchor",
    ),
    "E_KIND": Code(
        "the kind is unknown, or stands where it cannot",
        "use a kind of the tables; genesis is record 0 alone, and a proposal is of a quorum's kind",
    ),
    "E_CANON": Code(
        "the body is not the one form of its kind",
        "make the body with records.encode, and mend the field that the message names",
    ),
    "E_LIMIT": Code(
        "a list, a number, or what one side says of one thing passes its limit",
        f"{KEEP_WITHIN}; {ONE_PIECE}; {ANOTHER_CONSENT}; {CONSUMER_RECEIVES}; "
        f"{PROVIDER_REVOKES}; {ANOTHER_AGREEMENT}; {REPLACE}",
    ),
    "E_SEQUENCE": Code(
        "the record does not follow its signer's last one",
        "ask next_position for the sequence and previous id, and sign again",
    ),
    "E_REPLAY": Code("the record is already on the ledger", "read the receipt that it has"),
    "E_CLOCK": Code(
        "the block's time is outside a window that the record sets, or a time in it is not as it "
        "must be",
        f"{COMPARE_CLOCKS}; {NAME_A_TIME}; {LATE_CONTEST}",
    ),
    "E_MEMBER": Code(
        "the signing key is not a member's, or its member is suspended or retired",
        f"{ADMIT}; {REINSTATE}",
    ),
    "E_MEMBER_STATE": Code(
        "the member is not in a state that allows this",
        "have governance reinstate a suspended member; admit a retired one anew, by another id",
    ),
    "E_KEY": Code(
        "the key is rotated, compromised or the operator's, or a new one does not prove itself, "
        "or is one that anybody can sign with or that nothing can be sealed to",
        f"{CURRENT_KEY}; {KEY_MESSAGE}; {OWN_KEY}; {OPERATORS_KEY}; {DELIVERY_KEY}",
    ),
    "E_QUORUM": Code(
        "the proposal is not open, is of another record, or has too few approvals",
        "have more than half of governance approve a proposal of this very record",
    ),
    "E_EVIDENCE": Code(
        "the evidence does not convict the member", "send an equivocation that verifies"
    ),
    "E_ROLE": Code(
        "the signer is not in the role that this kind needs",
        "have a member with the role sign, or the key of this consent",
    ),
    "E_UNKNOWN": Code(
        "the record names something that does not exist",
        "compare the id with the record that makes it, and send that one first",
    ),
    "E_EXISTS": Code(
        "the id or key is taken, or this was said already",
        "choose a fresh id or key; what was said already need not be sent again",
    ),
    "E_SCHEMA": Code(
        "the schema is not registered, or is retired",
        "register the schema, or name a version that is registered",
    ),
    "E_PRODUCT": Code("the product is not published", "choose a published product"),
    "E_AGREEMENT": Code(
        "no agreement is named where one is needed, or it is of another product or consumer",
        "negotiate an agreement on this product until it is FINALIZED, and name it",
    ),
    "E_AGREEMENT_STATE": Code(
        "the agreement is not in a state that allows this",
        "have whoever suspended it resume it, or negotiate another",
    ),
    "E_RESERVED_WORD": Code(
        "a name has a word that is reserved for tokens",
        "name the data by what it says, or have a competent authority authorise it",
    ),
    "E_TOKEN_LIKE": Code(
        "what is registered is described like a token, or amounts move as those of one",
        "register data about things, not claims, or have a competent authority authorise the "
        "schema; blind each amount for itself",
    ),
    "E_AUTHORISATION": Code(
        "the authorisation of a token-like schema is revoked, expired or used up",
        "have a competent authority authorise the next version of the schema",
    ),
    "E_PURPOSE": Code(
        "the purpose is not one that was agreed", "use a purpose of the product and of the consent"
    ),
    "E_SCOPE": Code(
        "the record reaches past what was agreed",
        "ask for fields and times of both consent and product, or ask for another consent",
    ),
    "E_SCOPE_WIDEN": Code(
        "what is called narrower is not within the terms so far",
        "keep leaves and processors of it in their order, with no later end and no more uses",
    ),
    "E_ENDORSEMENT": Code(
        "the provider's endorsement of the consent key does not verify",
        "ask the provider to endorse this consent key and these terms",
    ),
    "E_CONSENT_STATE": Code(
        "the consent is not in a state that allows this",
        "wait until the subject has answered or the stay is lifted; else ask for another consent",
    ),
    "E_USES": Code("no use is left, or none was asked for", "ask for a consent with more uses"),
    "E_EXCHANGE_STATE": Code(
        "the exchange is not in a state that allows this",
        "send what its table has from the state that the message names, or begin another exchange",
    ),
    "E_DECISION_STATE": Code(
        "the decision is not in a state that allows this",
        "explain a decision before it is contested, review it while a contest waits; else record "
        "another",
    ),
    "E_AUDIT_STATE": Code(
        "the audit is not in a state that allows this",
        "have each holder accept the key, then enough sign before the order expires; or order anew",
    ),
    "E_DISPUTE": Code(
        "the exchange is disputed, or a complaint about it was upheld",
        f"{WAIT_FOR_RULING}; {ASK_ANEW}; {ANOTHER_DISPUTE}",
    ),
    "E_MANDATE": Code(
        "the signatory holds no mandate of the subject, or no longer",
        "have a signatory who holds one agree to new terms, or tell the provider of the mandate",
    ),
    "E_RECIPIENT": Code("the signer is not the party that was agreed", "have the named party sign"),
}


def refuse(code: str, message: str, record: bytes = b"", remedy: str = "") -> NoReturn:
    """Raise the refusal of a record, or of a step before there is one, with the code's remedy.

    ``remedy`` is the one of several that helps here.
    """
    raise RefusedError(code, message, record=record, remedy=remedy or CODES[code].remedy)
