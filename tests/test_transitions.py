"""Every kind of record, by every signer, in every state of its object.

The expectation is written here as data and is not read from the tables of the rules.
"""

from __future__ import annotations

import pytest

from ledgercore import records, rules
from ledgercore._core import VerifiedRecord
from ledgercore.rules import View
from ledgercore.rules import table as rules_table
from tests.agreements import AGREEMENT, AGREEMENT_PATHS
from tests.network import (
    AUDIT_KEY,
    AUDIT_PATHS,
    AUDITORS,
    CONSENT,
    DECISION_PATHS,
    EXCHANGE_PATHS,
    GOVERNORS,
    NOT_MEMBERS,
    PROPOSAL,
    SCENES,
    SIGNED,
    SIGNERS,
    TOKEN_SCHEMA,
    Scene,
    body_of,
    code_of,
    sign,
)

MEMBERS_ONLY = dict.fromkeys(NOT_MEMBERS, "E_MEMBER")
OTHERS = ("authority", "processor", "other processor")
NOT_GOVERNORS = MEMBERS_ONLY | dict.fromkeys((*GOVERNORS, *OTHERS), "E_ROLE")
CONSUMER_ONLY = NOT_GOVERNORS | {
    "consumer": "",
    "other consumer": "E_RECIPIENT",
    "provider": "E_ROLE",
    "other provider": "E_ROLE",
    "supervisor": "E_ROLE",
    "operator": "E_ROLE",
}
PROVIDER_ONLY = NOT_GOVERNORS | {
    "provider": "",
    "other provider": "E_RECIPIENT",
    "consumer": "E_ROLE",
    "other consumer": "E_ROLE",
    "supervisor": "E_ROLE",
    "operator": "E_ROLE",
}
RECIPIENT_ONLY = CONSUMER_ONLY | dict.fromkeys(("processor", "other processor"), "E_RECIPIENT")
"""Where no processor acts: who may act for a consumer is in ``test_processors``."""
ANY_CONSUMER = CONSUMER_ONLY | {"other consumer": ""}
ANY_PROVIDER = PROVIDER_ONLY | {"other provider": ""}
SUPERVISOR_ONLY = NOT_GOVERNORS | {
    "supervisor": "",
    **dict.fromkeys(
        ("consumer", "other consumer", "provider", "other provider", "operator"), "E_ROLE"
    ),
}
PARTY = MEMBERS_ONLY | {
    "consumer": "",
    "provider": "",
    "consent key": "",
    **dict.fromkeys(
        ("other consumer", "other provider", "supervisor", "operator", *OTHERS, *GOVERNORS),
        "E_RECIPIENT",
    ),
}
EITHER = PARTY | dict.fromkeys(NOT_MEMBERS, "E_MEMBER")
HOLDER_ONLY = MEMBERS_ONLY | {
    **dict.fromkeys(AUDITORS, ""),
    **dict.fromkeys(("supervisor", "operator", *OTHERS, *GOVERNORS), "E_RECIPIENT"),
}
AUTHORITY_ONLY = dict.fromkeys(SIGNERS, "E_ROLE") | MEMBERS_ONLY | {"authority": ""}
GOVERNOR_ONLY = dict.fromkeys(SIGNERS, "E_ROLE") | MEMBERS_ONLY | dict.fromkeys(GOVERNORS, "")
ANY_MEMBER = dict.fromkeys(SIGNERS, "") | MEMBERS_ONLY
OWNER_ONLY = dict.fromkeys(SIGNERS, "E_RECIPIENT") | MEMBERS_ONLY
KEY_ONLY = {name: "" if name == "consent key" else "E_ROLE" for name in SIGNERS}

# family -> kind -> (who may sign, {state it may begin in: state it ends in}); "" is no object yet.
EXPECTED = {
    "proposal": {
        "governance.propose": (GOVERNOR_ONLY, {"": "OPEN"}),
        "governance.report": (ANY_MEMBER, {"": "OPEN"}),
        "governance.approve": (GOVERNOR_ONLY, {"OPEN": "OPEN"}),
    },
    "member": {
        "member.admit": (GOVERNOR_ONLY, {"": "ACTIVE"}),
        "member.suspend": (GOVERNOR_ONLY, {"ACTIVE": "SUSPENDED"}),
        "member.reinstate": (GOVERNOR_ONLY, {"SUSPENDED": "ACTIVE"}),
        "member.retire": (GOVERNOR_ONLY, {"ACTIVE": "RETIRED", "SUSPENDED": "RETIRED"}),
        "key.rotate": (OWNER_ONLY, {"ACTIVE": "ACTIVE"}),
        "key.compromise": (OWNER_ONLY, {"ACTIVE": "ACTIVE"}),
        "key.replace": (GOVERNOR_ONLY, {"ACTIVE": "ACTIVE"}),
    },
    "authorisation": {
        "authorisation.grant": (AUTHORITY_ONLY, {"": "GRANTED"}),
        "authorisation.revoke": (
            AUTHORITY_ONLY,
            {"GRANTED": "REVOKED", "CONSUMED": "REVOKED"},
        ),
    },
    "schema": {
        "schema.register": (ANY_PROVIDER, {"": "REGISTERED"}),
        "schema.retire": (PROVIDER_ONLY, {"REGISTERED": "RETIRED"}),
    },
    "product": {
        "product.publish": (ANY_PROVIDER, {"": "PUBLISHED"}),
        "product.withdraw": (PROVIDER_ONLY, {"PUBLISHED": "WITHDRAWN"}),
    },
    "agreement": {
        "agreement.request": (CONSUMER_ONLY, {"": "REQUESTED", "OFFERED": "REQUESTED"}),
        "agreement.offer": (PROVIDER_ONLY, {"": "OFFERED", "REQUESTED": "OFFERED"}),
        "agreement.accept": (CONSUMER_ONLY, {"OFFERED": "ACCEPTED"}),
        "agreement.agree": (PROVIDER_ONLY, {"REQUESTED": "AGREED", "ACCEPTED": "AGREED"}),
        "agreement.verify": (CONSUMER_ONLY, {"AGREED": "VERIFIED"}),
        "agreement.finalize": (PROVIDER_ONLY, {"VERIFIED": "FINALIZED"}),
        "agreement.terminate": (
            EITHER,
            dict.fromkeys(("REQUESTED", "OFFERED", "ACCEPTED", "AGREED", "VERIFIED"), "TERMINATED"),
        ),
        "agreement.suspend": (EITHER, {"FINALIZED": "SUSPENDED"}),
        "agreement.resume": (EITHER, {"SUSPENDED": "FINALIZED"}),
        "agreement.retire": (EITHER, {"FINALIZED": "RETIRED", "SUSPENDED": "RETIRED"}),
    },
    "consent": {
        "consent.request": (ANY_CONSUMER, {"": "REQUESTED"}),
        "consent.authorise": (KEY_ONLY, {"REQUESTED": "AUTHORISED"}),
        "consent.reject": (KEY_ONLY, {"REQUESTED": "REJECTED"}),
        "consent.narrow": (KEY_ONLY, {"AUTHORISED": "AUTHORISED", "CONSUMED": "AUTHORISED"}),
        "consent.stay": (SUPERVISOR_ONLY, {"AUTHORISED": "STAYED", "CONSUMED": "STAYED"}),
        "consent.lift": (SUPERVISOR_ONLY, {"STAYED": "AUTHORISED"}),
        "consent.revoke": (
            KEY_ONLY,
            {
                "STAYED": "REVOKED",
                "REQUESTED": "REVOKED",
                "LAPSED": "REVOKED",
                "AUTHORISED": "REVOKED",
                "EXPIRED": "REVOKED",
                "CONSUMED": "REVOKED",
                "REJECTED": "REVOKED",
                "REVOKED": "REVOKED",
            },
        ),
        "consent.revoke-on-behalf": (
            PROVIDER_ONLY,
            dict.fromkeys(
                (
                    *("REQUESTED", "LAPSED", "AUTHORISED", "EXPIRED"),
                    *("CONSUMED", "REJECTED", "REVOKED", "STAYED"),
                ),
                "REVOKED",
            ),
        ),
    },
    "exchange": {
        "exchange.intent": (RECIPIENT_ONLY, {"": "INTENDED"}),
        "exchange.admit": (PROVIDER_ONLY, {"INTENDED": "ADMITTED"}),
        "exchange.refuse": (PROVIDER_ONLY, {"INTENDED": "REFUSED"}),
        "exchange.release": (PROVIDER_ONLY, {"ADMITTED": "RELEASED"}),
        "exchange.void": (PROVIDER_ONLY, {"ADMITTED": "VOIDED", "OVERDUE": "VOIDED"}),
        "exchange.time-out": (RECIPIENT_ONLY, {"OVERDUE": "TIMED_OUT"}),
        "exchange.restrict": (
            CONSUMER_ONLY,
            dict.fromkeys(
                ("RELEASED", "ACKNOWLEDGED", "DECLINED", "USED", "RESTRICTED"), "RESTRICTED"
            ),
        ),
        "exchange.acknowledge": (
            RECIPIENT_ONLY,
            dict.fromkeys(("ADMITTED", "OVERDUE", "RELEASED"), "ACKNOWLEDGED"),
        ),
        "exchange.decline": (
            RECIPIENT_ONLY,
            dict.fromkeys(("ADMITTED", "OVERDUE", "RELEASED"), "DECLINED"),
        ),
        "exchange.use": (CONSUMER_ONLY, {"ACKNOWLEDGED": "USED", "USED": "USED"}),
        "exchange.erase": (
            CONSUMER_ONLY,
            dict.fromkeys(
                (
                    *("ADMITTED", "OVERDUE", "RELEASED", "VOIDED", "TIMED_OUT"),
                    *("ACKNOWLEDGED", "DECLINED", "USED", "RESTRICTED"),
                ),
                "ERASED",
            ),
        ),
        "exchange.correct": (
            PROVIDER_ONLY,
            {name: name for name in ("ACKNOWLEDGED", "USED", "RESTRICTED")},
        ),
        "exchange.forget": (
            PROVIDER_ONLY,
            {
                name: name
                for name in (
                    *("VOIDED", "TIMED_OUT", "ACKNOWLEDGED", "DECLINED"),
                    *("USED", "RESTRICTED", "ERASED"),
                )
            },
        ),
    },
    "dispute": {
        "dispute.open": (PARTY, {"": "OPEN", "RULED": "OPEN"}),
        "dispute.evidence": (PARTY, {"OPEN": "OPEN"}),
        "dispute.rule": (SUPERVISOR_ONLY, {"OPEN": "RULED"}),
    },
    "audit-key": {
        "audit.key": (SUPERVISOR_ONLY, {"": "OFFERED"}),
        "audit.accept": (HOLDER_ONLY, {"OFFERED": "OFFERED"}),
    },
    "audit": {
        "audit.order": (SUPERVISOR_ONLY, {"": "ORDERED"}),
        "audit.open": (HOLDER_ONLY, {"ORDERED": "ORDERED", "OPENED": "OPENED"}),
        "audit.disclose": (
            HOLDER_ONLY | {"supervisor": ""},
            {name: name for name in ("ORDERED", "OPENED", "EXPIRED", "REPORTED")},
        ),
        "audit.report": (
            SUPERVISOR_ONLY,
            dict.fromkeys(("ORDERED", "OPENED", "EXPIRED"), "REPORTED"),
        ),
    },
    "renewal": {"renewal.anchor": (ANY_MEMBER, {"": "ANCHORED"})},
    "decision": {
        "decision.record": (CONSUMER_ONLY, {"": "RECORDED"}),
        "decision.explain": (CONSUMER_ONLY, {"RECORDED": "EXPLAINED"}),
        "decision.contest": (
            KEY_ONLY,
            dict.fromkeys(
                ("RECORDED", "EXPLAINED", "CONTESTED", "OVERDUE", "REVIEWED"), "CONTESTED"
            ),
        ),
        "decision.review": (CONSUMER_ONLY, {"CONTESTED": "REVIEWED", "OVERDUE": "REVIEWED"}),
    },
}
CONTESTED = ("CONTESTED", "OVERDUE", "REVIEWED")
ALWAYS_NEW = ("exchange.intent", "decision.record", "audit.order", "renewal.anchor")
"""Their object is named for the record, so that none is there before."""
STATE_CODES = {
    "proposal": "E_QUORUM",
    "member": "E_MEMBER_STATE",
    "authorisation": "E_AUTHORISATION",
    "schema": "E_SCHEMA",
    "product": "E_PRODUCT",
    "agreement": "E_AGREEMENT_STATE",
    "consent": "E_CONSENT_STATE",
    "exchange": "E_EXCHANGE_STATE",
    "dispute": "E_DISPUTE",
    "decision": "E_DECISION_STATE",
    "audit-key": "E_AUDIT_STATE",
    "audit": "E_AUDIT_STATE",
}


def expected_code(family: str, kind: str, status: str, signer: str) -> str:
    """What the tables above say, in the order in which an engine must check."""
    signers, moves = EXPECTED[family][kind]
    if family == "member" and signer == "newcomer" and status == "ACTIVE":
        signers = signers | {"newcomer": "" if signers is OWNER_ONLY else "E_ROLE"}
    if kind == "governance.approve" and signer == "third governor" and status == "OPEN":
        return "E_EXISTS"  # it proposed
    if family == "agreement" and not status and kind == "agreement.request":
        signers = ANY_CONSUMER  # nobody is named yet
    if family == "agreement" and status == "SUSPENDED" and kind == "agreement.resume":
        signers = signers | {"provider": "E_RECIPIENT"}  # the consumer suspended it
    if kind == "dispute.open" and status == "RULED" and signer == "consumer":
        return "E_EXISTS"  # it opened the one that was dismissed
    if kind == "consent.revoke" and status == "REVOKED" and signer == "consent key":
        return "E_EXISTS"  # it revoked
    if kind == "decision.contest" and status in CONTESTED and signer == "consent key":
        return "E_EXISTS"  # it contested before
    makes = "" in moves
    if kind in ALWAYS_NEW:
        return signers[signer]
    taken = "E_EXISTS" if len(moves) == 1 else STATE_CODES[family]
    if makes:
        return signers[signer] or ("" if status in moves else taken)
    if not status:
        return "E_UNKNOWN"
    if (
        family in ("audit", "audit-key")
        and signers is not SUPERVISOR_ONLY
        and signers[signer] != "E_MEMBER"
    ):
        # Any member may, as far as its role goes: whether it is one of these comes last.
        if kind == "audit.open" and status == "OPENED" and signer in SIGNED:
            return "E_EXISTS"
        return signers[signer] if status in moves else STATE_CODES[family]
    return signers[signer] or ("" if status in moves else STATE_CODES[family])


STATES = {
    "proposal": ("", "OPEN", "LAPSED", "ENACTED"),
    "member": ("", "ACTIVE", "SUSPENDED", "RETIRED"),
    "authorisation": ("", "GRANTED", "CONSUMED", "EXPIRED", "REVOKED"),
    "schema": ("", "REGISTERED", "RETIRED"),
    "product": ("", "PUBLISHED", "WITHDRAWN"),
    "agreement": tuple(AGREEMENT_PATHS),
    "consent": ("", *EXPECTED["consent"]["consent.revoke"][1]),
    "exchange": tuple(EXCHANGE_PATHS),
    "dispute": ("", "OPEN", "RULED"),
    "audit-key": ("", "OFFERED", "ACTIVE"),
    "audit": tuple(AUDIT_PATHS),
    "decision": tuple(DECISION_PATHS),
    "renewal": ("", "ANCHORED"),
}


@pytest.mark.parametrize(
    ("family", "status"),
    [(family, status) for family, statuses in STATES.items() for status in statuses],
)
def test_every_kind_by_every_signer_in_every_state(family, status):
    scene = SCENES[family](status)
    for kind, (_, moves) in EXPECTED[family].items():
        body = body_of(kind, scene)
        for signer in SIGNERS:
            fork = scene.view.fork()
            record = sign(fork, signer, body)

            code = code_of(fork, record, scene.time_ms)

            assert code == expected_code(family, kind, status, signer), (kind, signer)
            if not code:
                end = moves["" if kind in ALWAYS_NEW else status]
                assert end == end_of(family, fork, scene, record)


def end_of(family: str, view: View, scene: Scene, record: VerifiedRecord) -> str:
    name = {
        "proposal": rules.proposal_object(PROPOSAL),
        "member": rules.member_object("newcomer"),
        "authorisation": rules.authorisation_object(rules.schema_hash("std", TOKEN_SCHEMA)),
        "schema": rules.schema_object("new", 1),
        "product": rules.product_object("new.v1"),
        "agreement": rules.agreement_object(AGREEMENT),
        "consent": rules.consent_object(CONSENT),
        "exchange": rules.exchange_object(
            record.id if record.kind == "exchange.intent" else scene.exchange
        ),
        "dispute": rules.dispute_object(scene.exchange),
        "audit-key": rules.audit_key_object(AUDIT_KEY),
        "audit": rules.audit_object(record.id if record.kind == "audit.order" else scene.audit),
        "renewal": rules.renewal_object(record.id),
        "decision": rules.decision_object(
            record.id if record.kind == "decision.record" else scene.decision
        ),
    }[family]
    types = {one.name: one.state_type for one in rules.FAMILIES}
    state = view.get(name, types[family])
    assert state is not None
    if family == "exchange":
        return rules.exchange_status_at(state, scene.time_ms)
    if family == "audit-key":
        return rules.audit_key_status_at(state, scene.time_ms)
    if family == "audit":
        return rules.audit_status_at(state, scene.time_ms)
    return state.status


def test_expectation_covers_every_row_and_state_of_the_tables():
    for family in rules.FAMILIES:
        assert set(EXPECTED[family.name]) == {row.kind for row in family.rows}
        for row in family.rows:
            assert {*row.begin, row.end} - {rules_table.SAME} <= set(STATES[family.name])
        named = [check for row in family.rows for check in row.checks]
        assert set(named) == set(family.checks)
    kinds = {row.kind for family in rules.FAMILIES for row in family.rows}
    assert kinds | {"genesis"} == set(records.BODIES)
