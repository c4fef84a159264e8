"""State what an evidence pack proves of an exchange's sequel: key, objection, dispute, promise.

Each claim here is a party's signed word; whose word it must be is held to the ledger's members.
"""

from __future__ import annotations

from ledgercore._core import Record
from ledgercore.errors import InvalidProof, UntrustedError
from ledgercore.exchange.case import Case, Claim
from ledgercore.exchange.objection import verify_objection
from ledgercore.records import (
    AuditDisclose,
    DisputeEvidence,
    DisputeOpen,
    DisputeRule,
    ExchangeCorrect,
    ExchangeDecline,
    ExchangeForget,
    ExchangeRelease,
    ExchangeTimeOut,
    ExchangeUse,
    ExchangeVoid,
)
from ledgercore.rules import AuditState, DisputeState, audit_object, dispute_object
from ledgercore.rules.audit import scope_commitment

__all__ = [
    "prove_audits",
    "prove_corrections",
    "prove_dispute",
    "prove_forgetting",
    "prove_key",
    "prove_objection",
]


def prove_key(case: Case) -> list[Claim]:
    """That the key was sent, or that none was: by the provider, or by the consumer in the end."""
    claims = []
    provider = case.state.provider
    for _, record, body in case.own(ExchangeRelease):
        case.evidence.signed_by_member(record, provider)
        statement = (
            f"{provider} signed that the key was sent ({body.release_commitment.hex()[:16]})"
        )
        claims.append(Claim("released", statement))
    for _, record, void in case.own(ExchangeVoid):
        case.evidence.signed_by_member(record, provider)
        statement = f"{provider} signed that no key was sent ({void.code}); the use was given back"
        claims.append(Claim("voided", statement))
    for _, record, _ in case.own(ExchangeTimeOut):
        assert case.state.admission is not None, "what was timed out was admitted"
        who, deadline_ms = case.received_by(record), case.state.admission.deadline_ms
        statement = f"{who} signed that no key came until {deadline_ms} ms; the use was given back"
        claims.append(Claim("timed-out", statement))
    return claims


def prove_objection(case: Case) -> list[Claim]:
    """That the consumer declined, and what it shows of the reason."""
    declines = list(case.own(ExchangeDecline))
    if not declines:
        if case.objection is not None:
            raise InvalidProof("objection is opened, and nothing was declined")
        return []
    _, record, body = declines[0]
    admission = case.state.admission
    claim = Claim("declined", f"{case.received_by(record)} declined the delivery ({body.code})")
    if case.objection is None:
        return [claim, case.missing("objection", "the objection")]
    if admission is None or case.objection.exchange != case.exchange:
        raise InvalidProof("objection is to another exchange")
    if case.objection.code != body.code:
        raise InvalidProof(f"objection is for {case.objection.code}, want {body.code}")
    verify_objection(
        case.suite, case.objection, body.objection_commitment, admission.disclosure_root
    )
    return [claim, Claim("objection", _objected(case))]


def _objected(case: Case) -> str:
    objection = case.objection
    assert objection is not None
    names = [leaf.name for leaf in objection.leaves]
    if not names:
        return "nothing of what came is shown"
    statement = f"{case.state.provider} committed to {', '.join(names)}, as shown"
    if case.request is not None:
        beyond = [name for name in names if name not in case.request.fields]
        if beyond:
            statement += f"; {', '.join(beyond)} was not asked for"
    return statement


def prove_dispute(case: Case) -> list[Claim]:
    """Who disputed the exchange and how it was ruled; the data was not used in between."""
    claims: list[Claim] = []
    complainants: list[str] = []
    grounds, ruling, evidence = "", "dismissed", dict[str, int]()
    barred: list[tuple[int, int]] = []
    for index, record, body in case.evidence.entries:
        if not isinstance(body, _OF_DISPUTES) or body.exchange != case.exchange:
            continue
        # A dispute is opened where none is open, and none that was upheld: each ruling is of one.
        if isinstance(body, DisputeOpen) != (ruling == "dismissed"):
            raise InvalidProof(f"record {index} does not follow in the disputes of the exchange")
        if isinstance(body, DisputeRule):
            if not case.evidence.signed_by_role(record, "supervisor"):
                raise UntrustedError("ruling is not signed by a supervisor")
            ruling = body.ruling
            claims.append(Claim("ruled", f"a supervisor ruled that the complaint is {ruling}"))
            if ruling == "dismissed":
                barred[-1] = (barred[-1][0], index)
            continue
        party = _party(case, record)
        if isinstance(body, DisputeOpen):
            complainants.append(party)
            grounds, ruling, evidence = body.grounds, "", {}
            barred.append((index, case.evidence.checkpoint.size))
            who = party or "the subject"
            claims.append(Claim("disputed", f"{who} disputed the exchange ({grounds})"))
        else:
            evidence[party] = evidence.get(party, 0) + 1
    if not complainants:
        return []
    state = case.evidence.state(dispute_object(case.exchange), DisputeState)
    told = (tuple(complainants), grounds, ruling, tuple(evidence.items()))
    if told != (state.complainants, state.grounds, state.ruling, state.evidence):
        raise InvalidProof("dispute is not the one that the ledger holds")
    if any(begin < at < end for at, _, _ in case.own(ExchangeUse) for begin, end in barred):
        raise InvalidProof("data was used while a dispute barred it")
    return claims


_OF_DISPUTES = (DisputeOpen, DisputeEvidence, DisputeRule)


def _party(case: Case, record: Record) -> str:
    """Which party signed a record of a dispute; empty for the subject."""
    if record.key == case.consent.consent_key:
        return ""
    for member in (case.state.provider, case.state.consumer):
        if case.evidence.is_by_member(record, member):
            return member
    raise UntrustedError(f"record {record.kind} is not signed by a party of the exchange")


def prove_corrections(case: Case) -> list[Claim]:
    """That the provider said that what it delivered is corrected since."""
    claims = []
    for _, record, body in case.own(ExchangeCorrect):
        case.evidence.signed_by_member(record, case.state.provider)
        shown = body.correction_commitment.hex()[:16]
        statement = f"{case.state.provider} signed that what it delivered is corrected ({shown})"
        claims.append(Claim("corrected", statement))
    return claims


def prove_audits(case: Case) -> list[Claim]:
    """That content was ordered to be opened, on which basis, and who signed to open it when."""
    claims = []
    for _, _, body in case.evidence.of_kind(AuditDisclose):
        if case.exchange not in body.scope:
            continue
        state = case.evidence.state(audit_object(body.audit), AuditState)
        if scope_commitment(case.suite, body.scope, body.salt) != state.scope_commitment:
            raise InvalidProof("audit is not the one that was disclosed")
        openers = ", ".join(f"{member} at {time_ms} ms" for member, time_ms in state.openers)
        statement = f"{state.supervisor} ordered it opened ({state.basis}); signed to open: "
        claims.append(Claim("audited", statement + (openers or "nobody")))
    return claims


def prove_forgetting(case: Case) -> list[Claim]:
    """That the provider promised to keep nothing of what it sealed."""
    for _, record, body in case.own(ExchangeForget):
        provider = case.state.provider
        case.evidence.signed_by_member(record, provider)
        statement = f"{provider} signed that it keeps nothing of what it sealed ({body.basis})"
        return [Claim("forgotten", f"{statement}; this is a promise, not a proof")]
    return []
