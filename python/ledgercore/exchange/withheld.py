"""Say why a provider gives out neither what it sealed nor its key, as the ledger stands now.

Each check refuses; what none of them refuses is given.
"""

from __future__ import annotations

from collections.abc import Container

from ledgercore.errors import UnavailableError
from ledgercore.exchange.audit_copy import AuditCopy
from ledgercore.exchange.reading import ENDED, read_state
from ledgercore.ledger import Ledger
from ledgercore.rules import (
    CURRENT_KEY,
    AuditKeyState,
    AuditState,
    ConsentState,
    ExchangeState,
    KeyState,
    MemberState,
    audit_key_object,
    audit_key_status_at,
    audit_status_at,
    exchange_status_at,
    key_object,
    member_object,
    refuse,
)
from ledgercore.rules.consent import why_uncovered

__all__ = [
    "check_active",
    "check_admitted",
    "check_asker",
    "check_audited",
    "check_copied",
    "check_covered",
    "check_named",
    "check_unended",
    "check_unvoided",
    "check_wanted",
]


def check_admitted(state: ExchangeState, intent: bytes, index: int) -> None:
    """Give nothing for a record that is not the exchange's admit: its refusal, for one."""
    if state.admission is None or state.admission.index != index:
        message = f"exchange is {state.status}, and was not admitted by record {index}"
        refuse("E_EXCHANGE_STATE", message, intent)


def check_unvoided(intent: bytes, voided: Container[bytes]) -> None:
    """Withhold the key of what is signed to have none, whether that is ordered yet or not."""
    if intent in voided:
        refuse("E_EXCHANGE_STATE", "exchange was voided here: key is withheld", intent)


def check_wanted(state: ExchangeState, now_ms: int) -> None:
    """Withhold the key of what is over, and where the consumer may say that none came."""
    status = exchange_status_at(state, now_ms)
    if status in ("OVERDUE", *ENDED):
        refuse("E_EXCHANGE_STATE", f"exchange is {status}, key is withheld")
    if state.forgotten:  # signed here, though a restored vault may still have the key
        refuse("E_EXCHANGE_STATE", "exchange is forgotten, key is withheld")


def check_covered(consent: ConsentState, now_ms: int) -> None:
    """Withhold the key where the rules would refuse a use that is ordered now."""
    if why := why_uncovered(consent, now_ms):
        refuse("E_CONSENT_STATE", f"{why}: key is withheld")


def check_asker(ledger: Ledger, intent: bytes, state: ExchangeState) -> None:
    """Give nothing to a member that may not sign any more, nor to whoever stole the key that asked.

    The intent stands, since nothing is dated back. But its delivery key may be the thief's; and who
    is out of the network by its members' word is given nothing for having asked before.
    """
    names = [name for name in (state.consumer, state.processor) if name]
    members = [read_state(ledger, member_object(name), MemberState) for name in names]
    for name, member in zip(names, members, strict=True):
        if member.status != "ACTIVE":
            refuse("E_MEMBER", f"member {name} is {member.status}, want ACTIVE", intent)
    key = members[-1].signing_key
    try:
        index = ledger.find(intent)
        key = key if index is None else ledger.record(index).key
    except UnavailableError:
        pass  # it is not in a copy that began later: what can be seen is whose key it is by now
    if read_state(ledger, key_object(key), KeyState).status == "COMPROMISED":
        refuse(
            "E_KEY", "key that asked was called compromised since: intend anew", intent, CURRENT_KEY
        )


def check_active(ledger: Ledger, audit_key: bytes, intent: bytes) -> None:
    """Seal nothing to a key that not all its holders have made: whoever offered it may know it."""
    key = read_state(ledger, audit_key_object(audit_key), AuditKeyState)
    status = audit_key_status_at(key, ledger.time_ms)
    if status != "ACTIVE":
        got = f"{len(key.accepted)} of {len(key.holders)} holders have accepted it"
        refuse("E_AUDIT_STATE", f"audit key is {status}, {got}: nothing is sealed to it", intent)


def check_named(consent: ConsentState, state: ExchangeState) -> None:
    """Give nothing to a processor that the subject has dropped."""
    if state.processor and state.processor not in consent.processors:
        refuse("E_RECIPIENT", f"consent names processor {state.processor} no more")


def check_unended(state: ExchangeState, intent: bytes) -> None:
    """Give no ciphertext to a recipient that has no use for it any more."""
    if state.status in ENDED or state.forgotten:
        ended = state.status if state.status in ENDED else "forgotten"
        message = (
            f"exchange is {ended}: what was sealed is given to holders alone, under an order: "
            "name its audit"
        )
        refuse("E_EXCHANGE_STATE", message, intent)


def check_audited(audit: AuditState, state: ExchangeState, now_ms: int) -> None:
    """Give what was sealed to holders under a live order, whatever became of the exchange."""
    status = audit_status_at(audit, now_ms)
    if status not in ("ORDERED", "OPENED"):
        refuse("E_AUDIT_STATE", f"audit is {status}, nothing is opened")
    if state.admission is None or state.admission.audit_copy is None:
        refuse("E_EXCHANGE_STATE", "exchange was admitted without an audit copy")
    if state.forgotten:
        refuse("E_EXCHANGE_STATE", "exchange is forgotten: nothing of what was sealed is kept")


def check_copied(audit: AuditState, copy: AuditCopy) -> None:
    """Give nothing under an order of another key than the copy's: it could not open it."""
    if copy.audit_key != audit.audit_key:
        refuse("E_SCOPE", "audit copy is for another audit key than the order's")
