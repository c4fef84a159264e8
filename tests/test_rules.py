"""Refusals, one code at a time; windows to the millisecond; and what the states hold.

Every transition in every state is in ``test_transitions``, every order of a race in ``test_races``.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import msgpack, structs

from ledgercore import records, rules
from ledgercore._core import VerifiedRecord
from ledgercore.rules import document
from ledgercore.rules.audit import scope_commitment
from ledgercore.rules.dispute import EVIDENCE_LIMIT
from ledgercore.rules.drawing import draw_transitions
from ledgercore.rules.engine import FAMILIES
from ledgercore.rules.table import Row, SignedBy
from tests import test_agreement, test_authorisation, test_governance, test_schema
from tests.contests import contest_of
from tests.diagram_files import DIAGRAMS
from tests.network import (
    CONSENT,
    CONTEST_ENDS,
    EXPIRES,
    FAR,
    LAPSES,
    NETWORKS,
    NEW_CONSENT,
    PURPOSE,
    ROOT,
    SHARE_KEYS,
    START,
    ZERO,
    Scene,
    act,
    admit,
    apply,
    audit_key,
    audit_scene,
    authorise,
    authorised,
    begin,
    body_of,
    code_of,
    consent_state,
    decision,
    decision_scene,
    dispute_scene,
    empty_view,
    exchange_scene,
    genesis_body,
    intend,
    request,
    sign,
    sign_genesis,
)

# Refusals, one code at a time.


def genesis_refusal(record: VerifiedRecord, index: int = 0) -> str:
    return code_of(empty_view(), record, index=index)


def refused_genesis(**changes: Any) -> str:
    return genesis_refusal(sign_genesis(genesis_body(**changes)))


def use_refusal(**changes: Any) -> str:
    scene = exchange_scene("USED")
    body = {"exchange": scene.exchange, "decision": scene.decision, "purpose": PURPOSE} | changes
    return code_of(scene.view, sign(scene.view, "consumer", records.ExchangeUse(**body)))


def request_refusal(signer: str = "consumer", **changes: Any) -> str:
    view = begin()
    return code_of(view, sign(view, signer, request(CONSENT, "consent key", **changes)))


def data_refusal(signer: str = "consumer", payload: bytes = b"payload", **changes: Any) -> str:
    view = begin()
    return code_of(view, sign(view, signer, payload, **changes))


def typed_refusal(kind: str, body: bytes) -> str:
    return data_refusal(payload=body, kind=kind)


def replay() -> str:
    view = begin()
    record = sign(view, "consumer", b"payload")
    apply(view, record)
    return code_of(view, record)


def fork() -> str:
    """A second record with a sequence that is taken."""
    view = begin()
    record = sign(view, "consumer", b"one")
    act(view, "consumer", b"other")
    return code_of(view, record)


def data_by_consent_key() -> str:
    view = authorised(begin())
    return code_of(view, sign(view, "consent key", b"payload"))


def second_request(consent: bytes, key: str) -> str:
    view = authorised(begin())
    return code_of(view, sign(view, "consumer", request(consent, key)))


def early_intent() -> str:
    view = begin()
    act(view, "consumer", request(CONSENT, "consent key"))
    return code_of(view, sign(view, "consumer", records.ExchangeIntent(CONSENT, ROOT, ZERO, FAR)))


def after_revoke(signer: str, body: Callable[[Scene], records.RecordBody], status: str) -> str:
    scene = exchange_scene(status)
    act(scene.view, "consent key", records.ConsentRevoke(CONSENT))
    return code_of(scene.view, sign(scene.view, signer, body(scene)))


def long_decision() -> bytes:
    inputs = tuple(number.to_bytes(32, "big") for number in range(257))
    return msgpack.encode(decision(*inputs))


def withdrawn_product() -> str:
    view = begin()
    act(view, "provider", records.ProductWithdraw("tax.v1"))
    return code_of(view, sign(view, "consumer", request(CONSENT, "consent key")))


def endorsed(**changes: Any) -> str:
    view = begin()
    act(view, "consumer", request(CONSENT, "consent key"))
    record = sign(
        view, "consent key", authorise(view, CONSENT, **({"key": "consent key"} | changes))
    )
    return code_of(view, record)


def contest_refusal(status: str, time_ms: int = START) -> str:
    scene = decision_scene(status)
    record = sign(scene.view, "consent key", records.DecisionContest(scene.decision, ROOT))
    return code_of(scene.view, record, time_ms)


def key_refusal(**changes: Any) -> str:
    view = begin()
    return code_of(view, sign(view, "supervisor", structs.replace(audit_key(), **changes)))


def order_refusal(**changes: Any) -> str:
    scene = audit_scene("")
    body = structs.replace(body_of("audit.order", scene), **changes)
    return code_of(scene.view, sign(scene.view, "supervisor", body))


def audit_refusal(kind: str, status: str, signer: str = "provider") -> str:
    scene = audit_scene(status)
    return code_of(scene.view, sign(scene.view, signer, body_of(kind, scene)), scene.time_ms)


def disclose_refusal(
    scope: tuple[bytes, ...] = (),
    salt: bytes = ROOT,
    *,
    signer: str = "supervisor",
    times: int = 1,
    **order: Any,
) -> str:
    scene = audit_scene("")
    told = scope or (scene.exchange,)
    commitment = scope_commitment("std", told, ROOT)
    body = structs.replace(body_of("audit.order", scene), scope_commitment=commitment, **order)
    audit = act(scene.view, "supervisor", body)
    disclosed = records.AuditDisclose(audit, told, salt)
    for _ in range(times - 1):
        act(scene.view, signer, disclosed)
    return code_of(scene.view, sign(scene.view, signer, disclosed))


def amount_refusal(commitment: bytes) -> str:
    scene = exchange_scene("ACKNOWLEDGED")
    body = structs.replace(decision(scene.exchange), amount_commitment=commitment)
    return code_of(scene.view, sign(scene.view, "consumer", body))


def review_refusal(result: str, outcome: str, status: str = "CONTESTED") -> str:
    scene = decision_scene(status)
    body = records.DecisionReview(
        scene.decision, contest_of(scene.view, scene.decision), result, outcome, ROOT, ROOT
    )
    return code_of(scene.view, sign(scene.view, "consumer", body))


def narrow_refusal(**changes: Any) -> str:
    named = ("processor", "other-processor")
    view = authorised(begin(), processors=named)
    body = records.ConsentNarrow(CONSENT, ROOT, EXPIRES, 2, named, 1, (0,), (ROOT,), ())
    return code_of(view, sign(view, "consent key", structs.replace(body, **changes)))


def use_in_dispute(ruling: str) -> str:
    scene = exchange_scene("USED")
    act(scene.view, "consent key", records.DisputeOpen(scene.exchange, "E_PURPOSE", ROOT))
    if ruling:
        act(scene.view, "supervisor", records.DisputeRule(scene.exchange, ruling, ROOT))
    body = records.ExchangeUse(scene.exchange, scene.decision, PURPOSE)
    return code_of(scene.view, sign(scene.view, "consumer", body))


def evidence_refusal() -> str:
    scene = dispute_scene("OPEN")
    body = records.DisputeEvidence(scene.exchange, ROOT)
    for _ in range(EVIDENCE_LIMIT):
        act(scene.view, "provider", body)
    return code_of(scene.view, sign(scene.view, "provider", body))


def intent_refusal(**changes: Any) -> str:
    view = authorised(begin())
    body = structs.replace(records.ExchangeIntent(CONSENT, ROOT, ZERO, FAR), **changes)
    return code_of(view, sign(view, "consumer", body))


def admit_refusal(**changes: Any) -> str:
    view = authorised(begin())
    return code_of(view, sign(view, "provider", structs.replace(admit(intend(view)), **changes)))


def foreign_decision() -> str:
    """A decision by another consumer, on an exchange of its own."""
    scene = exchange_scene("USED")
    view = scene.view
    act(view, "other consumer", request(NEW_CONSENT, "new consent key"))
    act(view, "new consent key", authorise(view, NEW_CONSENT, "new consent key"))
    exchange = act(view, "other consumer", records.ExchangeIntent(NEW_CONSENT, ROOT, ZERO, FAR))
    act(view, "provider", admit(exchange))
    act(view, "other consumer", records.ExchangeAcknowledge(exchange))
    other = act(view, "other consumer", decision(exchange))
    return code_of(
        view, sign(view, "consumer", records.ExchangeUse(scene.exchange, other, PURPOSE))
    )


def decision_without_exchange() -> str:
    """A use under a decision that rests on another exchange."""
    scene = exchange_scene("USED")
    second = intend(scene.view)
    act(scene.view, "provider", admit(second))
    act(scene.view, "consumer", records.ExchangeAcknowledge(second))
    body = records.ExchangeUse(second, scene.decision, PURPOSE)
    return code_of(scene.view, sign(scene.view, "consumer", body))


def second_admit_of_last_use() -> str:
    view = authorised(begin(), max_uses=1)
    first, second = intend(view), intend(view)
    act(view, "provider", admit(first))
    return code_of(view, sign(view, "provider", admit(second)))


def intent_after_last_use() -> str:
    view = authorised(begin(), max_uses=1)
    act(view, "provider", admit(intend(view)))
    return code_of(view, sign(view, "consumer", records.ExchangeIntent(CONSENT, ROOT, ZERO, FAR)))


def decision_refusal(status: str, signer: str = "consumer", times: int = 1) -> str:
    scene = exchange_scene(status)
    return code_of(scene.view, sign(scene.view, signer, decision(*[scene.exchange] * times)))


def twice_listed(name: str) -> str:
    first, second = genesis_body().members[:2]
    second = structs.replace(second, **{name: getattr(first, name)})
    return refused_genesis(members=(first, second))


WITNESS = records.Witness("witness.example", ZERO)

REFUSALS: dict[str, dict[str, Callable[[], str]]] = {
    "E_NET": {
        "another network": lambda: data_refusal(network=NETWORKS["c2sp"]),
        "another suite": lambda: data_refusal(suite="c2sp"),
        "a genesis with another network": lambda: genesis_refusal(
            sign_genesis(genesis_body(), network=bytes(16))
        ),
        "a genesis that names another suite": lambda: genesis_refusal(
            sign_genesis(genesis_body("c2sp"), suite="std")
        ),
    },
    "E_KIND": {
        "an unknown kind": lambda: typed_refusal("token.mint", b"\x90"),
        "data before the genesis": lambda: genesis_refusal(sign(begin(), "consumer", b"payload")),
        "a genesis that is not record 0": lambda: genesis_refusal(
            sign_genesis(genesis_body()), index=1
        ),
        "a second genesis": lambda: code_of(begin(), sign_genesis(genesis_body()), index=0),
    },
    "E_CANON": {
        "a body of another shape": lambda: typed_refusal("consent.revoke", b"\x90"),
        "share keys of another key": lambda: key_refusal(audit_key=SHARE_KEYS[0]),
        "an amount that is no commitment": lambda: amount_refusal(b"\xff" * 32),
        "a review that changes nothing": lambda: review_refusal("changed", "approved"),
        "a review that upholds another outcome": lambda: review_refusal("upheld", "declined"),
        "an input named twice": lambda: decision_refusal("ACKNOWLEDGED", times=2),
    },
    "E_LIMIT": {
        "a list of 257 items": lambda: typed_refusal("decision.record", long_decision()),
        "a threshold of one": lambda: key_refusal(threshold=1),
        "a threshold above the holders": lambda: key_refusal(threshold=5),
        "a quorum above the witnesses": lambda: refused_genesis(quorum=2, witnesses=(WITNESS,)),
        "a piece of evidence too many": evidence_refusal,
    },
    "E_SEQUENCE": {
        "a gap": lambda: data_refusal(sequence=1),
        "a fork": fork,
        "another previous id": lambda: data_refusal(previous=ROOT),
    },
    "E_REPLAY": {"the last record again": replay},
    "E_CLOCK": {
        "a window that is over": lambda: data_refusal(expiry_ms=START - 120_000),
        "a window that is to come": lambda: data_refusal(not_before_ms=START + 120_001),
        "a consent that ends now": lambda: request_refusal(expires_ms=START, lapses_ms=START),
        "a request that lapses now": lambda: request_refusal(lapses_ms=START),
        "a request that lapses after its end": lambda: request_refusal(lapses_ms=EXPIRES + 1),
        "an intent that lapses now": lambda: intent_refusal(lapses_ms=START),
        "a contest after its time": lambda: contest_refusal("RECORDED", CONTEST_ENDS),
        "a contest after its time from the explanation": lambda: contest_refusal(
            "EXPLAINED", CONTEST_ENDS
        ),
        "an order that expires now": lambda: order_refusal(expires_ms=START),
        "an embargo of more than a year": lambda: order_refusal(
            embargo_until_ms=START + 366 * 24 * 3_600_000 + 1
        ),
        "an admit whose deadline is now": lambda: admit_refusal(deadline_ms=START),
        "an admit whose deadline is far": lambda: admit_refusal(deadline_ms=FAR),
    },
    "E_MEMBER": {
        "data by a stranger": lambda: data_refusal("stranger"),
        "data by a consent key": data_by_consent_key,
    },
    "E_ROLE": {
        "a request by a provider": lambda: request_refusal("provider"),
        "a request by the operator": lambda: request_refusal("operator"),
        "a genesis by another key": lambda: genesis_refusal(
            sign_genesis(genesis_body(), "consumer")
        ),
    },
    "E_UNKNOWN": {
        "a holder that is no member": lambda: key_refusal(
            holders=(*audit_key().holders[:3], records.ShareHolder("nobody", SHARE_KEYS[3]))
        ),
        "an order for a key that nobody shares": lambda: order_refusal(audit_key=ROOT),
        "a disclosure of no exchange": lambda: disclose_refusal((CONSENT,)),
        "an unknown product": lambda: request_refusal(product="none"),
        "an intent under no consent": lambda: code_of(
            view := begin(),
            sign(view, "consumer", records.ExchangeIntent(CONSENT, ROOT, ZERO, FAR)),
        ),
        "a revoke of no consent": lambda: code_of(
            view := begin(), sign(view, "consumer", records.ConsentRevoke(CONSENT))
        ),
        "a use under no decision": lambda: use_refusal(decision=ROOT),
        "a decision on no exchange": lambda: decision_refusal(""),
    },
    "E_EXISTS": {
        "a holder with two shares": lambda: key_refusal(
            holders=(audit_key().holders[0], *audit_key().holders[:3])
        ),
        "a second signature to open": lambda: audit_refusal(
            "audit.open", "OPENED", "other provider"
        ),
        "a second disclosure": lambda: disclose_refusal(times=2),
        "a second contest by one subject": lambda: contest_refusal("CONTESTED"),
        "a second contest after the review": lambda: contest_refusal("REVIEWED"),
        "a consent id again": lambda: second_request(CONSENT, "new consent key"),
        "a consent key again": lambda: second_request(NEW_CONSENT, "consent key"),
        "a member's key for a consent": lambda: second_request(NEW_CONSENT, "supervisor"),
        "a member listed twice": lambda: twice_listed("member"),
        "a signing key listed twice": lambda: twice_listed("signing_key"),
        "a witness listed twice": lambda: refused_genesis(witnesses=(WITNESS, WITNESS)),
    },
    "E_PRODUCT": {"a withdrawn product": withdrawn_product},
    "E_PURPOSE": {
        "a purpose that the product lacks": lambda: request_refusal(purpose="marketing"),
        "a use for another purpose": lambda: use_refusal(purpose="marketing"),
    },
    "E_SCOPE": {
        "a disclosure of another scope": lambda: disclose_refusal(salt=ZERO),
        "a decision on another exchange": decision_without_exchange,
    },
    "E_SCOPE_WIDEN": {
        "a term that was not there": lambda: narrow_refusal(leaves=(ZERO,), terms_root=ZERO),
        "a root over other leaves": lambda: narrow_refusal(terms_root=ZERO),
        "a term twice": lambda: narrow_refusal(positions=(0, 0), leaves=(ROOT, ROOT)),
        "no terms": lambda: narrow_refusal(positions=(), leaves=()),
        "a later end": lambda: narrow_refusal(expires_ms=EXPIRES + 1),
        "more uses": lambda: narrow_refusal(max_uses=3),
        "a processor that was not there": lambda: narrow_refusal(processors=("agency",)),
        "a processor twice": lambda: narrow_refusal(processors=("processor", "processor")),
        "processors in another order": lambda: narrow_refusal(
            processors=("other-processor", "processor")
        ),
    },
    "E_ENDORSEMENT": {
        "by the consumer": lambda: endorsed(by="consumer"),
        "by another provider": lambda: endorsed(by="other provider"),
        "of other terms": lambda: endorsed(root=ZERO),
        "of another key": lambda: endorsed(key="new consent key"),
    },
    "E_CONSENT_STATE": {
        "an intent before authorisation": early_intent,
        "an admit after the revoke": lambda: after_revoke(
            "provider", lambda scene: admit(scene.exchange), "INTENDED"
        ),
        "a use after the revoke": lambda: after_revoke(
            "consumer",
            lambda scene: records.ExchangeUse(scene.exchange, scene.decision, PURPOSE),
            "ACKNOWLEDGED",
        ),
    },
    "E_USES": {
        "no uses asked for": lambda: request_refusal(max_uses=0),
        "a second admit of the last use": second_admit_of_last_use,
        "an intent after the last use": intent_after_last_use,
    },
    "E_EXCHANGE_STATE": {
        "a decision on what was only admitted": lambda: decision_refusal("ADMITTED"),
        "a decision on what is erased": lambda: decision_refusal("ERASED"),
    },
    "E_DECISION_STATE": {
        "a review of what was reviewed": lambda: review_refusal("upheld", "approved", "REVIEWED"),
    },
    "E_AUDIT_STATE": {
        "a signature to open after the order expired": lambda: audit_refusal(
            "audit.open", "EXPIRED"
        ),
    },
    "E_DISPUTE": {
        "a use while a dispute is open": lambda: use_in_dispute(""),
        "a use after a complaint was upheld": lambda: use_in_dispute("upheld"),
    },
    "E_RECIPIENT": {
        "a disclosure before the embargo is over": lambda: disclose_refusal(
            signer="provider", embargo_until_ms=START + 1
        ),
        "a decision of another consumer": lambda: decision_refusal("USED", "other consumer"),
        "a use under another's decision": foreign_decision,
    },
}


@pytest.mark.parametrize(
    ("code", "case"), [(code, case) for code, cases in REFUSALS.items() for case in cases]
)
def test_refusal_has_its_code(code, case):
    assert code == REFUSALS[code][case]()


def test_every_code_has_a_refusal_here():
    others = (test_agreement, test_authorisation, test_governance, test_schema)
    shown = set(REFUSALS).union(*(each.REFUSALS for each in others))

    assert set(rules.CODES) == shown | {"E_MANDATE"}  # which only a provider can see


# Time, to the millisecond.


@pytest.mark.parametrize(
    ("window", "time_ms", "code"),
    [
        ({"not_before_ms": START}, START - 120_001, "E_CLOCK"),
        ({"not_before_ms": START}, START - 120_000, ""),
        ({"not_before_ms": START}, START - 119_999, ""),
        ({"expiry_ms": START}, START + 119_999, ""),
        ({"expiry_ms": START}, START + 120_000, "E_CLOCK"),
        ({"expiry_ms": START}, START + 120_001, "E_CLOCK"),
        ({}, 0, ""),
        ({}, 2**52, ""),
    ],
)
def test_window_to_the_millisecond(window, time_ms, code):
    view = begin()

    assert code == code_of(view, sign(view, "consumer", b"payload", **window), time_ms)


def test_revoke_has_no_window():
    view = authorised(begin())
    record = sign(view, "consent key", records.ConsentRevoke(CONSENT), expiry_ms=1)

    assert "" == code_of(view, record, EXPIRES + 10**9)


def test_what_subject_and_provider_revoke_both_is_revoked_by_both():
    view = authorised(begin())

    act(view, "provider", records.ConsentRevokeOnBehalf(CONSENT, ROOT))
    act(view, "consent key", records.ConsentRevoke(CONSENT))

    assert ("provider", "") == consent_state(view).revoked_by
    assert ("REVOKED", 4) == (consent_state(view).status, consent_state(view).count)


@pytest.mark.parametrize(("time_ms", "code"), [(LAPSES - 1, ""), (LAPSES, "E_CONSENT_STATE")])
def test_request_lapses_on_the_millisecond(time_ms, code):
    view = begin()
    act(view, "consumer", request(CONSENT, "consent key"))
    record = sign(view, "consent key", authorise(view, CONSENT, "consent key"))

    assert code == code_of(view, record, time_ms)


@pytest.mark.parametrize(("time_ms", "code"), [(EXPIRES - 1, ""), (EXPIRES, "E_CONSENT_STATE")])
def test_consent_expires_on_the_millisecond(time_ms, code):
    view = authorised(begin())
    exchange = intend(view)
    intent = records.ExchangeIntent(CONSENT, ROOT, ZERO, FAR)

    assert code == code_of(view.fork(), sign(view, "provider", admit(exchange)), time_ms)
    assert code == code_of(view.fork(), sign(view, "consumer", intent), time_ms)


@pytest.mark.parametrize("max_uses", [1, 2])
@pytest.mark.parametrize(("time_ms", "code"), [(EXPIRES - 1, ""), (EXPIRES, "E_CONSENT_STATE")])
def test_use_ends_with_the_consent_whether_or_not_its_uses_are_taken(max_uses, time_ms, code):
    view = authorised(begin(), max_uses)
    exchange = intend(view)
    act(view, "provider", admit(exchange))
    act(view, "consumer", records.ExchangeAcknowledge(exchange))
    basis = act(view, "consumer", decision(exchange))
    body = records.ExchangeUse(exchange, basis, PURPOSE)

    assert code == code_of(view, sign(view, "consumer", body), time_ms)


# The specification.


@pytest.mark.parametrize(("name", "text"), list(document.blocks()))
def test_specification_holds_the_tables(name, text):
    documents = Path(__file__).parent.parent / "docs/spec"
    specification = "".join(path.read_text() for path in sorted(documents.glob("*.md")))

    found = re.findall(f"<!-- begin {name} -->.*?<!-- end {name} -->", specification, re.DOTALL)

    assert [document.render(name, text)] == found


@pytest.mark.parametrize(("name", "picture"), list(document.diagrams()))
def test_specification_shows_the_tables_as_pictures(name, picture):
    shown = ElementTree.fromstring(picture)
    family = next(family for family in FAMILIES if family.name == name)

    words = {word for text in shown.itertext() for word in re.split(r"[ ,]+", text)}

    assert (DIAGRAMS / f"{name}.svg").read_text() == picture
    assert {row.kind.partition(".")[2] for row in family.rows} <= words
    assert {state for row in family.rows for state in (*row.begin, row.end) if state} <= words
    assert len(list(DIAGRAMS.iterdir())) == len(FAMILIES)


def test_arrows_lead_from_the_state_before_to_the_state_after():
    rows = [
        Row("x.make", (), SignedBy.MEMBER, "OPEN"),
        Row("x.note", ("OPEN",), SignedBy.MEMBER, ""),
        Row("x.end", ("OPEN", "HELD"), SignedBy.MEMBER, "DONE"),
    ]

    shown = ElementTree.fromstring(draw_transitions("x", rows))

    space = {"": "http://www.w3.org/2000/svg"}
    names = shown.findall("text", space)
    lanes = {each.text: each.get("x") for each in names if each.get("class") == "name"}
    arrows = {
        (g.find("line", space).get("x1"), g.find("polygon", space).get("points").split(",")[0])
        for g in shown.findall("g", space)
    }
    assert arrows == {
        (lanes["(new)"], lanes["OPEN"]),
        (lanes["OPEN"], lanes["DONE"]),
        (lanes["HELD"], lanes["DONE"]),
    }
    (ring,) = (each for each in shown.findall("circle", space) if each.get("class") == "ring")
    assert ring.get("cx") == lanes["OPEN"]
