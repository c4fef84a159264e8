"""Watch a ledger for what should have happened and has not, and count what was refused.

All of it is read from signed states at one moment. A record that the rules refused is not on the
ledger, so what is counted here are refusals that a party put there: of an intent, of a delivery.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from ledgercore.exchange.authorised import frozen_schemas
from ledgercore.ledger import Ledger
from ledgercore.records import ConsentAuthorise, DecisionRecord
from ledgercore.rules import (
    AgreementState,
    AuditState,
    ConsentState,
    DecisionState,
    DisputeState,
    ExchangeState,
    State,
    agreement_status_at,
    consent_object,
    consent_status_at,
    decision_object,
    decision_status_at,
    disclosure_is_due,
    exchange_object,
    exchange_status_at,
)
from ledgercore.rules.view import decode_state

__all__ = ["Findings", "count", "states_of", "watch"]

StateT = TypeVar("StateT", bound=State)
Ids = tuple[bytes, ...]


@dataclass(frozen=True)
class Findings:
    """What a supervisor looks into, by ids, at the newest block's time.

    ``agreements`` are all that were begun, counted by status; ``suspended_agreements`` rest, and
    what needs them begins no exchange meanwhile.
    ``stale_consents`` have lapsed or expired. ``unreleased`` were admitted, and no key is on record
    and no answer; ``overdue`` are those of them whose deadline has passed. ``unanswered`` had the
    key by their deadline and have not answered. ``decided_on_corrected`` rest on data that was
    corrected since, and no person has reviewed them. ``frozen_schemas`` are token-like, as
    ``name/version``, and no authorisation of them is in force. ``consent_to_decision_ms`` is
    ascending, one number a decision, from the newest consent that it rests on.
    """

    time_ms: int
    refused: dict[str, int]
    agreements: dict[str, int]
    suspended_agreements: Ids
    stale_consents: Ids
    stayed_consents: Ids
    unreleased: Ids
    overdue: Ids
    unanswered: Ids
    timed_out: dict[str, int]
    without_audit_copy: Ids
    open_disputes: Ids
    late_reviews: Ids
    due_disclosures: Ids
    decided_on_corrected: Ids
    frozen_schemas: tuple[str, ...]
    consent_to_decision_ms: tuple[int, ...]


def watch(ledger: Ledger) -> Findings:
    """What is found on a ledger that nobody appends to meanwhile, or within its ``moment``."""
    now_ms = ledger.time_ms
    exchanges = states_of(ledger, b"exchange/", ExchangeState)
    consents = {
        name: consent_status_at(state, now_ms)
        for name, state in states_of(ledger, b"consent/", ConsentState).items()
    }
    status = {name: exchange_status_at(state, now_ms) for name, state in exchanges.items()}
    agreements = {
        name: agreement_status_at(state, now_ms)
        for name, state in states_of(ledger, b"agreement/", AgreementState).items()
    }
    decisions = states_of(ledger, b"decision/", DecisionState)
    disputes = states_of(ledger, b"dispute/", DisputeState)
    audits = states_of(ledger, b"audit/", AuditState)
    late = {
        name
        for name, state in exchanges.items()
        if state.admission is not None and now_ms >= state.admission.deadline_ms
    }
    return Findings(
        time_ms=now_ms,
        refused=count(state.code for state in exchanges.values() if state.code),
        agreements=count(agreements.values()),
        suspended_agreements=_in(agreements, "SUSPENDED"),
        stale_consents=_in(consents, "LAPSED", "EXPIRED"),
        stayed_consents=_in(consents, "STAYED"),
        unreleased=_in(status, "ADMITTED", "OVERDUE"),
        overdue=_in(status, "OVERDUE"),
        unanswered=tuple(name for name in _in(status, "RELEASED") if name in late),
        timed_out=count(
            exchanges[name].provider for name, each in status.items() if each == "TIMED_OUT"
        ),
        without_audit_copy=tuple(
            name
            for name, state in exchanges.items()
            if state.admission is not None and state.admission.audit_copy is None
        ),
        open_disputes=_in({name: state.status for name, state in disputes.items()}, "OPEN"),
        late_reviews=_in(
            {name: decision_status_at(state, now_ms) for name, state in decisions.items()},
            "OVERDUE",
        ),
        decided_on_corrected=tuple(
            name
            for name, state in decisions.items()
            if not any(contest.review for contest in state.contests)
            and any(exchanges[each].correction for each in state.inputs)
        ),
        due_disclosures=tuple(
            name for name, state in audits.items() if disclosure_is_due(state, now_ms)
        ),
        frozen_schemas=frozen_schemas(ledger, now_ms),
        consent_to_decision_ms=_times_to_decision(ledger, decisions),
    )


def states_of(ledger: Ledger, prefix: bytes, kind: type[StateT]) -> dict[bytes, StateT]:
    """States of a family by their ids, in the order of ids."""
    found = ((name, decode_state(value, kind)) for name, value in ledger.states(prefix))
    return {name.removeprefix(prefix): state for name, state in sorted(found)}


def _in(statuses: dict[bytes, str], *wanted: str) -> Ids:
    return tuple(name for name, status in statuses.items() if status in wanted)


def count(values: Iterable[str]) -> dict[str, int]:
    """How often each value is there, in the order of values."""
    return dict(sorted(Counter(values).items()))


def _times_to_decision(ledger: Ledger, decisions: dict[bytes, DecisionState]) -> tuple[int, ...]:
    heights = range(ledger.height + 1)

    def time_ms(index: int) -> int:
        height = bisect_right(heights, index, key=lambda at: ledger.block(at).first_index) - 1
        return ledger.block(height).time_ms

    def time_of(name: bytes, kind: str) -> int:
        found = (at for at, record in ledger.history(name) if record.kind == kind)
        return time_ms(next(found))

    times = []
    for decision, state in decisions.items():
        decided = time_of(decision_object(decision), DecisionRecord.KIND)
        authorised = []
        for exchange in state.inputs:
            value = ledger.state(exchange_object(exchange))
            assert value is not None, "a decision's inputs exist"
            consent = consent_object(decode_state(value, ExchangeState).consent)
            authorised.append(time_of(consent, ConsentAuthorise.KIND))
        times.append(decided - max(authorised))
    return tuple(sorted(times))
