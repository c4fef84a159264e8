"""A small network for the tests of rules: parties with fixed keys, signed records, a view.

``apply`` checks on every refusal that the view is as it was, and that the error names the record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from msgspec import structs

from ledgercore import records, rules
from ledgercore._core import (
    Checkpoint,
    Equivocation,
    Record,
    SigningKey,
    VerifiedRecord,
    group_deal,
    group_share_keys,
    hash_domain,
    sign_checkpoint,
)
from ledgercore.errors import RefusedError
from ledgercore.rules import Position, View
from ledgercore.rules.audit import scope_commitment
from tests import contests, reference
from tests.agreements import AGREEMENT_PATHS, PURPOSE, agreement_bodies

START = 1_700_000_000_000
EXPIRES = START + 1_000_000
LAPSES = START + 500_000
DEADLINE = START + 3_000_000
FAR = START + 10_000_000_000
ZERO = bytes(32)
AUDITORS = ("provider", "other provider", "consumer", "other consumer")
_DEALS = [group_deal([bytes([at]) * 64, bytes([at + 9]) * 64], at, 4)[0] for at in range(1, 5)]
AUDIT_KEY, SHARE_KEYS = group_share_keys(_DEALS, 4)
ROOT = b"r" * 32
CONSENT, OTHER_CONSENT, NEW_CONSENT = (bytes([number]) * 32 for number in (1, 2, 3))

ROLES = {
    "provider": ("provider",),
    "other provider": ("provider",),
    "consumer": ("consumer",),
    "other consumer": ("consumer",),
    "supervisor": ("supervisor",),
    "authority": ("competent-authority",),
    "processor": ("processor",),
    "other processor": ("processor",),
    "governor": ("governance",),
    "other governor": ("governance",),
    "third governor": ("governance",),
}
GOVERNORS = ("governor", "other governor", "third governor")
NOT_MEMBERS = ("consent key", "other consent key", "stranger", "newcomer")
NAMES = ("operator", *ROLES, *NOT_MEMBERS, "new consent key", "new key")
KEYS = {name: SigningKey(bytes([number + 1]) * 32) for number, name in enumerate(NAMES)}
SIGNERS = ("operator", *ROLES, *NOT_MEMBERS)


def genesis_body(suite: str = "std", **changes: Any) -> records.Genesis:
    members = tuple(
        records.Member(name.replace(" ", "-"), name, roles, KEYS[name].public_key, ZERO)
        for name, roles in ROLES.items()
    )
    body = records.Genesis(
        "example.org/rules", suite, START, KEYS["operator"].public_key, (), 0, members
    )
    return structs.replace(body, **changes)


def sign_genesis(body: records.Genesis, signer: str = "operator", **changes: Any) -> VerifiedRecord:
    """Record 0, whose network is the hash of its body, but for the changes."""
    data = records.encode(body)
    suite = changes.get("suite", body.suite)
    given = {"suite": suite, "network": hash_domain(suite, "network", data)[:16]} | changes
    record = KEYS[signer].sign_record(kind="genesis", body=data, sequence=0, previous=ZERO, **given)
    return record.verify()


NETWORKS = {suite: sign_genesis(genesis_body(suite)).network for suite in ("std", "c2sp")}


def empty_view() -> View:
    return View(lambda name: None)


def sign(
    view: View, signer: str, body: records.RecordBody | bytes, **changes: Any
) -> VerifiedRecord:
    """A record that follows the signer's last one, but for the changes."""
    sequence, previous = rules.next_position(view, KEYS[signer].public_key)
    suite = view.get(rules.NETWORK, rules.NetworkState).suite
    given = {"sequence": sequence, "previous": previous, "suite": suite, "kind": "data"}
    if not isinstance(body, bytes):
        given["kind"], body = body.KIND, records.encode(body)
    given = {"network": NETWORKS[suite], "body": body} | given | changes
    return KEYS[signer].sign_record(**given).verify()


def apply(view: View, record: VerifiedRecord, time_ms: int = START, index: int = 9) -> bytes:
    """Apply the record and return its id; check that a refusal leaves the view as it was."""
    before = view.changes()
    try:
        rules.apply(view, record, Position(7, index, time_ms))
    except RefusedError as error:
        assert before == view.changes()
        assert error.record == record.id
        assert error.remedy and error.remedy in rules.CODES[error.code].remedy
        raise
    return record.id


def act(view: View, signer: str, body: records.RecordBody | bytes, time_ms: int = START) -> bytes:
    return apply(view, sign(view, signer, body), time_ms)


def code_of(view: View, record: VerifiedRecord, time_ms: int = START, index: int = 9) -> str:
    """The code that the record is refused with, or nothing if it is accepted."""
    try:
        apply(view, record, time_ms, index)
    except RefusedError as error:
        return error.code
    return ""


def begin(suite: str = "std") -> View:
    """A network with one schema and one published product on it."""
    view = empty_view()
    rules.apply(view, sign_genesis(genesis_body(suite)), Position(0, 0, START))
    fields = (records.Field("vat.sales_m", "fen", 4),)
    act(view, "provider", records.SchemaRegister("tax", 1, "Tax", fields))
    act(view, "provider", product("tax.v1"))
    return view


def product(name: str, **changes: Any) -> records.ProductPublish:
    body = records.ProductPublish(name, "Tax", "1", "tax", 1, ("vat.sales_m",), (PURPOSE,))
    return structs.replace(body, **changes)


def request(consent: bytes, key: str, **changes: Any) -> records.ConsentRequest:
    body = records.ConsentRequest(
        consent, "tax.v1", PURPOSE, ROOT, KEYS[key].public_key, EXPIRES, 2, LAPSES, ()
    )
    return structs.replace(body, **changes)


def authorise(view: View, consent: bytes, key: str, by: str = "provider", root: bytes = ROOT):
    network = view.get(rules.NETWORK, rules.NetworkState).network
    message = records.endorsement_message(network, KEYS[key].public_key, root)
    return records.ConsentAuthorise(consent, KEYS[by].sign(message))


def authorised(view: View, max_uses: int = 2, **changes: Any) -> View:
    act(view, "consumer", request(CONSENT, "consent key", max_uses=max_uses, **changes))
    act(view, "consent key", authorise(view, CONSENT, "consent key"))
    return view


def intend(view: View, lapses_ms: int = FAR) -> bytes:
    return act(view, "consumer", records.ExchangeIntent(CONSENT, ROOT, ZERO, lapses_ms))


def admit(exchange: bytes) -> records.ExchangeAdmit:
    return records.ExchangeAdmit(exchange, ROOT, ROOT, 4096, DEADLINE, None)


def decision(*exchanges: bytes) -> records.DecisionRecord:
    return records.DecisionRecord(exchanges, "approved", ROOT, (), ROOT, None)


def audit_key() -> records.AuditKey:
    holders = zip(AUDITORS, SHARE_KEYS, strict=True)
    return records.AuditKey(
        AUDIT_KEY,
        2,
        tuple(records.ShareHolder(name.replace(" ", "-"), key) for name, key in holders),
    )


def consent_state(view: View, consent: bytes = CONSENT) -> rules.ConsentState:
    state = view.get(rules.consent_object(consent), rules.ConsentState)
    assert state is not None
    return state


def exchange_state(view: View, exchange: bytes) -> rules.ExchangeState:
    state = view.get(rules.exchange_object(exchange), rules.ExchangeState)
    assert state is not None
    return state


def running_hash(record_ids: list[bytes]) -> bytes:
    """The history of an object that these records touched, by an independent hash."""
    history = bytes(32)
    for record_id in record_ids:
        history = reference.domain_hash("std", "history", history + record_id)
    return history


@dataclass
class Scene:
    """A view in which the family's object is in one state."""

    view: View
    time_ms: int = START
    exchange: bytes = b"\xee" * 32
    decision: bytes = b"\xdd" * 32
    audit: bytes = b"\xaa" * 32


PROPOSAL = b"p" * 32


def newcomer(view: View, key: str, member: str = "newcomer") -> tuple[bytes, bytes, bytes]:
    """New keys of a member, and the proof that the signing key's holder means it."""
    network = view.get(rules.NETWORK, rules.NetworkState).network
    public = KEYS[key].public_key
    return public, ROOT, KEYS[key].sign(records.key_message(network, public, member))


def admission(view: View, proposal: bytes, **changes: Any) -> records.MemberAdmit:
    keys = newcomer(view, "newcomer")
    body = records.MemberAdmit(proposal, "newcomer", "New", ("consumer",), *keys)
    return structs.replace(body, **changes)


def propose(
    body: records.RecordBody, lapses_ms: int = LAPSES, **changes: Any
) -> records.GovernancePropose:
    proposed = records.GovernancePropose(body.proposal, body.KIND, records.encode(body), lapses_ms)
    return structs.replace(proposed, **changes)


def carry(view: View, body: records.RecordBody) -> records.RecordBody:
    """Have two of three governors want it."""
    act(view, "governor", propose(body))
    act(view, "other governor", records.GovernanceApprove(body.proposal))
    return body


def enact(view: View, body: records.RecordBody) -> bytes:
    return act(view, "governor", carry(view, body))


def proposal_of(kind: str) -> bytes:
    return kind.encode().ljust(32, b".")


def member_body(view: View, kind: str) -> records.RecordBody:
    """What governance or the newcomer does to the newcomer."""
    proposal = proposal_of(kind)
    match kind:
        case "member.admit":
            return admission(view, proposal)
        case "member.suspend" | "member.reinstate" | "member.retire":
            return records.BODIES[kind](proposal, "newcomer")
        case "key.rotate":
            return records.KeyRotate("newcomer", *newcomer(view, "new key"))
        case "key.replace":
            return records.KeyReplace(proposal, "newcomer", *newcomer(view, "new key"))
    return records.KeyCompromise("newcomer")


def member_scene(status: str) -> Scene:
    """The newcomer's state; whatever governance may do to it is proposed and approved."""
    view = begin()
    if status:
        enact(view, admission(view, b"first admission".ljust(32, b".")))
    if status in ("SUSPENDED", "RETIRED"):
        kind = {"SUSPENDED": records.MemberSuspend, "RETIRED": records.MemberRetire}[status]
        enact(view, kind(b"first change".ljust(32, b"."), "newcomer"))
    for kind, body in records.BODIES.items():
        if kind.startswith(("member.", "key.")) and "proposal" in body.__struct_fields__:
            carry(view, member_body(view, kind))
    return Scene(view)


def another_admission(view: View) -> records.MemberAdmit:
    """Of a member whose key is none of the signers'."""
    keys = newcomer(view, "new key", "another")
    return records.MemberAdmit(PROPOSAL, "another", "Another", (), *keys)


def proposal_scene(status: str) -> Scene:
    scene = Scene(begin())
    if status:
        proposed = another_admission(scene.view)
        act(scene.view, "third governor", propose(proposed))
    if status == "ENACTED":
        act(scene.view, "other governor", records.GovernanceApprove(PROPOSAL))
        act(scene.view, "governor", proposed)
    if status == "LAPSED":
        scene.time_ms = LAPSES
    return scene


def equivocation(view: View, signer: str) -> bytes:
    """Two records of one key with one sequence."""
    two = (sign(view, signer, payload) for payload in (b"one", b"other"))
    return Equivocation(*(Record.decode(record.encode()) for record in two)).encode()


def grant(body: records.SchemaRegister, **changes: Any) -> records.AuthorisationGrant:
    """An authorisation of a schema for the provider."""
    granted = records.AuthorisationGrant(
        rules.schema_hash("std", body), "provider", "a clearing house", "cn", "law-1", 2, EXPIRES
    )
    return structs.replace(granted, **changes)


TOKEN_SCHEMA = records.SchemaRegister("points", 1, "Points of a holder, in balance", ())


def authorisation_scene(status: str) -> Scene:
    scene = Scene(begin())
    if status:
        uses = 1 if status == "CONSUMED" else 2
        act(scene.view, "authority", grant(TOKEN_SCHEMA, max_uses=uses))
    if status == "REVOKED":
        body = records.AuthorisationRevoke(rules.schema_hash("std", TOKEN_SCHEMA), "order-7")
        act(scene.view, "authority", body)
    if status == "EXPIRED":
        scene.time_ms = EXPIRES
    if status == "CONSUMED":
        act(scene.view, "provider", TOKEN_SCHEMA)
        points = product("points.v1", schema="points", codes=())
        act(scene.view, "provider", points)
        authorised(scene.view, product="points.v1")
        act(scene.view, "provider", admit(intend(scene.view)))
    return scene


def renewal_note(size: int) -> bytes:
    """A checkpoint of a former ledger."""
    checkpoint = Checkpoint(
        origin="example.org/former",
        size=size,
        root=ROOT,
        height=size,
        block_hash=ROOT,
        state_root=ROOT,
    )
    return sign_checkpoint(checkpoint, KEYS["stranger"]).encode()


def renewal() -> records.RenewalAnchor:
    return records.RenewalAnchor(b"former network..", "c2sp", 1, renewal_note(1), ROOT)


def renewal_scene(status: str) -> Scene:
    scene = Scene(begin())
    if status:
        act(scene.view, "provider", renewal())
    return scene


def schema_scene(status: str) -> Scene:
    scene = Scene(begin())
    if status:
        act(scene.view, "provider", records.SchemaRegister("new", 1, "", ()))
    if status == "RETIRED":
        act(scene.view, "provider", records.SchemaRetire("new", 1))
    return scene


def product_scene(status: str) -> Scene:
    scene = Scene(begin())
    if status:
        act(scene.view, "provider", product("new.v1"))
    if status == "WITHDRAWN":
        act(scene.view, "provider", records.ProductWithdraw("new.v1"))
    return scene


def agreement_scene(status: str) -> Scene:
    """The consumer terminates, suspends and retires here."""
    scene = Scene(begin())
    for step in AGREEMENT_PATHS[status]:
        signer = "provider" if step in ("offer", "agree", "finalize") else "consumer"
        act(scene.view, signer, body_of(f"agreement.{step}", scene))
    if status == "EXPIRED":
        scene.time_ms = FAR
    return scene


def consent_scene(status: str) -> Scene:
    view = begin()
    act(view, "consumer", request(OTHER_CONSENT, "other consent key"))
    scene = Scene(view)
    if status in ("REQUESTED", "LAPSED", "REJECTED"):
        act(view, "consumer", request(CONSENT, "consent key"))
    elif status:
        authorised(view, max_uses=1)
    match status:
        case "LAPSED":
            scene.time_ms = LAPSES
        case "EXPIRED":
            scene.time_ms = EXPIRES
        case "REJECTED":
            act(view, "consent key", records.ConsentReject(CONSENT))
        case "REVOKED":
            act(view, "consent key", records.ConsentRevoke(CONSENT))
        case "STAYED":
            act(view, "supervisor", records.ConsentStay(CONSENT, "court-order", ROOT))
        case "CONSUMED":
            act(view, "provider", admit(intend(view)))
    return scene


EXCHANGE_PATHS = {
    "": (),
    "INTENDED": (),
    "LAPSED": (),
    "REFUSED": ("refuse",),
    "ADMITTED": ("admit",),
    "OVERDUE": ("admit",),
    "RELEASED": ("admit", "release"),
    "ACKNOWLEDGED": ("admit", "acknowledge"),
    "DECLINED": ("admit", "decline"),
    "USED": ("admit", "acknowledge", "use"),
    "VOIDED": ("admit", "void"),
    "TIMED_OUT": ("admit", "time-out"),
    "RESTRICTED": ("admit", "acknowledge", "restrict"),
    "ERASED": ("admit", "erase"),
}
EXCHANGE_TIMES = {"LAPSED": FAR, "OVERDUE": DEADLINE}
PROVIDER_STEPS = ("admit", "refuse", "release", "void", "forget")


def exchange_scene(status: str) -> Scene:
    """The consent outlives its exchange's deadlines here, so that nothing else refuses."""
    scene = Scene(authorised(begin(), expires_ms=2 * FAR))
    act(scene.view, "consumer", request(OTHER_CONSENT, "other consent key"))
    if status:
        scene.exchange = intend(scene.view)
    for step in EXCHANGE_PATHS[status]:
        signer = "provider" if step in PROVIDER_STEPS else "consumer"
        time_ms = DEADLINE if step == "time-out" else START
        act(scene.view, signer, body_of(f"exchange.{step}", scene), time_ms)
        if step == "acknowledge":
            scene.decision = act(scene.view, "consumer", decision(scene.exchange))
    scene.time_ms = EXCHANGE_TIMES.get(status, START)
    return scene


def dispute_scene(status: str) -> Scene:
    scene = exchange_scene("ACKNOWLEDGED")
    if status:
        act(scene.view, "consumer", body_of("dispute.open", scene))
    if status == "RULED":
        act(scene.view, "supervisor", body_of("dispute.rule", scene))
    return scene


DECISION_PATHS = {
    "": (),
    "RECORDED": (),
    "EXPLAINED": ("explain",),
    "CONTESTED": ("contest",),
    "OVERDUE": ("contest",),
    "REVIEWED": ("contest", "review"),
}
REVIEW_ENDS = START + 15 * 24 * 3_600_000
CONTEST_ENDS = START + 30 * 24 * 3_600_000


def decision_scene(status: str) -> Scene:
    scene = exchange_scene("ACKNOWLEDGED")
    if not status:
        scene.decision = b"\xdd" * 32
    for step in DECISION_PATHS[status]:
        signer = "consent key" if step == "contest" else "consumer"
        act(scene.view, signer, body_of(f"decision.{step}", scene))
    if status == "OVERDUE":
        scene.time_ms = REVIEW_ENDS
    return scene


AUDIT_PATHS = {
    "": (),
    "ORDERED": (),
    "OPENED": (),
    "EXPIRED": (),
    "REPORTED": ("report",),
}
SIGNED = ("other provider", "other consumer")
"""Who has signed to open in the scene of an opened audit."""


def audit_key_scene(status: str) -> Scene:
    scene = exchange_scene("ACKNOWLEDGED")
    if status:
        act(scene.view, "supervisor", body_of("audit.key", scene))
    for signer in AUDITORS if status == "ACTIVE" else ():
        act(scene.view, signer, body_of("audit.accept", scene))
    return scene


def audit_scene(status: str) -> Scene:
    scene = audit_key_scene("ACTIVE")
    if status:
        scene.audit = act(scene.view, "supervisor", body_of("audit.order", scene))
    for step in AUDIT_PATHS[status]:
        act(scene.view, "supervisor", body_of(f"audit.{step}", scene))
    if status == "OPENED":
        for signer in SIGNED:
            act(scene.view, signer, body_of("audit.open", scene))
    if status == "EXPIRED":
        scene.time_ms = FAR
    return scene


SCENES = {
    "proposal": proposal_scene,
    "member": member_scene,
    "authorisation": authorisation_scene,
    "schema": schema_scene,
    "product": product_scene,
    "agreement": agreement_scene,
    "consent": consent_scene,
    "exchange": exchange_scene,
    "dispute": dispute_scene,
    "audit-key": audit_key_scene,
    "audit": audit_scene,
    "decision": decision_scene,
    "renewal": renewal_scene,
}


def body_of(kind: str, scene: Scene) -> records.RecordBody:
    exchange, contest = scene.exchange, contests.contest_of(scene.view, scene.decision)
    if kind.startswith(("member.", "key.")):
        return member_body(scene.view, kind)
    bodies: dict[str, Callable[[], records.RecordBody]] = {
        "governance.propose": lambda: propose(another_admission(scene.view), 2 * LAPSES),
        "governance.approve": lambda: records.GovernanceApprove(PROPOSAL),
        "governance.report": lambda: records.GovernanceReport(
            PROPOSAL, "provider", equivocation(scene.view, "provider"), 2 * LAPSES
        ),
        "authorisation.grant": lambda: grant(TOKEN_SCHEMA, expires_ms=2 * EXPIRES),
        "authorisation.revoke": lambda: records.AuthorisationRevoke(
            rules.schema_hash("std", TOKEN_SCHEMA), "order-7"
        ),
        "schema.register": lambda: records.SchemaRegister("new", 1, "", ()),
        "schema.retire": lambda: records.SchemaRetire("new", 1),
        "product.publish": lambda: product("new.v1"),
        "product.withdraw": lambda: records.ProductWithdraw("new.v1"),
        **agreement_bodies(FAR + scene.time_ms - START),
        "consent.request": lambda: request(CONSENT, "consent key"),
        "consent.authorise": lambda: authorise(scene.view, CONSENT, "consent key"),
        "consent.reject": lambda: records.ConsentReject(CONSENT),
        "consent.narrow": lambda: records.ConsentNarrow(
            CONSENT, ROOT, EXPIRES, 1, (), 1, (0,), (ROOT,), ()
        ),
        "consent.stay": lambda: records.ConsentStay(CONSENT, "court-order", ROOT),
        "consent.lift": lambda: records.ConsentLift(CONSENT),
        "consent.revoke": lambda: records.ConsentRevoke(CONSENT),
        "consent.revoke-on-behalf": lambda: records.ConsentRevokeOnBehalf(CONSENT, ROOT),
        "exchange.intent": lambda: records.ExchangeIntent(CONSENT, ROOT, ZERO, 2 * FAR),
        "exchange.admit": lambda: admit(exchange),
        "exchange.refuse": lambda: records.ExchangeRefuse(exchange, "E_SCOPE"),
        "exchange.void": lambda: records.ExchangeVoid(exchange, "E_CONSENT_STATE"),
        "exchange.acknowledge": lambda: records.ExchangeAcknowledge(exchange),
        "exchange.decline": lambda: records.ExchangeDecline(exchange, "E_SCOPE", ROOT),
        "exchange.use": lambda: records.ExchangeUse(exchange, scene.decision, PURPOSE),
        "exchange.release": lambda: records.ExchangeRelease(exchange, ROOT),
        "exchange.time-out": lambda: records.ExchangeTimeOut(exchange),
        "exchange.restrict": lambda: records.ExchangeRestrict(exchange, "tax-law", 2 * FAR),
        "exchange.erase": lambda: records.ExchangeErase(exchange, "retention_over"),
        "exchange.forget": lambda: records.ExchangeForget(exchange, "acknowledged"),
        "exchange.correct": lambda: records.ExchangeCorrect(exchange, ROOT),
        "dispute.open": lambda: records.DisputeOpen(exchange, "E_SCOPE", ROOT),
        "dispute.evidence": lambda: records.DisputeEvidence(exchange, ROOT),
        "dispute.rule": lambda: records.DisputeRule(exchange, "dismissed", ROOT),
        "decision.record": lambda: decision(exchange),
        "audit.key": audit_key,
        "audit.accept": lambda: records.AuditAccept(AUDIT_KEY),
        "audit.order": lambda: records.AuditOrder(
            AUDIT_KEY,
            "tax-law-54",
            scope_commitment("std", (exchange,), ROOT),
            FAR + scene.time_ms - START,
            START,
        ),
        "audit.open": lambda: records.AuditOpen(scene.audit),
        "audit.disclose": lambda: records.AuditDisclose(scene.audit, (exchange,), ROOT),
        "audit.report": lambda: records.AuditReport(scene.audit, ROOT),
        "renewal.anchor": renewal,
        "decision.explain": lambda: records.DecisionExplain(scene.decision),
        "decision.contest": lambda: records.DecisionContest(scene.decision, ROOT),
        "decision.review": lambda: records.DecisionReview(
            scene.decision, contest, "changed", "declined", ROOT, ROOT
        ),
    }
    return bodies[kind]()
