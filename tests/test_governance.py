"""Who may sign, after the genesis: quorums, members and their keys, record by record.

Every kind in every state by every signer is in ``test_transitions``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs

from ledgercore import RefusedError, records, rules
from ledgercore._core import Batch
from ledgercore.rules import Position
from tests.network import (
    CONSENT,
    KEYS,
    LAPSES,
    PROPOSAL,
    ROOT,
    START,
    ZERO,
    act,
    admission,
    apply,
    authorise,
    begin,
    carry,
    code_of,
    empty_view,
    enact,
    equivocation,
    genesis_body,
    newcomer,
    propose,
    request,
    running_hash,
    sign,
    sign_genesis,
)

SUSPENSION = records.MemberSuspend(PROPOSAL, "consumer")


def rotation(view, member: str = "consumer", key: str = "new key", **changes: Any):
    keys = newcomer(view, key, member)
    return structs.replace(records.KeyRotate(member, *keys), **changes)


def propose_refusal(**changes: Any) -> str:
    view = begin()
    return code_of(view, sign(view, "governor", propose(SUSPENSION, **changes)))


def carried_refusal(approvals: int, body: records.RecordBody, time_ms: int = START) -> str:
    """The code of a record after a proposal of the suspension with so many approvals."""
    view = begin()
    for number in range(approvals):
        signer = ("governor", "other governor", "third governor")[number]
        approve = records.GovernanceApprove(PROPOSAL)
        act(view, signer, approve if number else propose(SUSPENSION))
    return code_of(view, sign(view, "governor", body), time_ms)


def again() -> str:
    view = begin()
    enact(view, SUSPENSION)
    return code_of(view, sign(view, "governor", SUSPENSION))


def admit_refusal(key: str = "newcomer", **changes: Any) -> str:
    view = begin()
    keys = newcomer(view, key)
    named = dict(zip(("signing_key", "sealing_key", "key_proof"), keys, strict=True)) | changes
    return code_of(view, sign(view, "governor", carry(view, admission(view, PROPOSAL, **named))))


def rotate_refusal(signer: str = "consumer", **changes: Any) -> str:
    view = begin()
    return code_of(view, sign(view, signer, rotation(view, signer, **changes)))


def after(signer: str, body: Callable[[Any], records.RecordBody], payload: Any = b"data") -> str:
    """The code of a consumer's record after a change to the consumer."""
    view = begin()
    act(view, signer, body(view))
    return code_of(view, sign(view, "consumer", payload))


def after_quorum(kind: type[records.RecordBody]) -> str:
    view = begin()
    enact(view, kind(PROPOSAL, "consumer"))
    return code_of(view, sign(view, "consumer", b"data"))


def lone_governor(kind: type[records.RecordBody]) -> str:
    view = empty_view()
    members = tuple(m for m in genesis_body().members if m.member not in OTHER_GOVERNORS)
    genesis = sign_genesis(genesis_body(members=members))
    rules.apply(view, genesis, Position(0, 0, START))
    network = {"network": genesis.network}
    body = kind(PROPOSAL, "governor")
    apply(view, sign(view, "governor", propose(body), **network))
    return code_of(view, sign(view, "governor", body, **network))


def last_compromise() -> str:
    view = begin()
    for member in OTHER_GOVERNORS:
        act(view, member.replace("-", " "), records.KeyCompromise(member))
    return code_of(view, sign(view, "governor", records.KeyCompromise("governor")))


OTHER_GOVERNORS = ("other-governor", "third-governor")


def rotation_after_compromise() -> str:
    view = begin()
    act(view, "consumer", records.KeyCompromise("consumer"))
    return code_of(view, sign(view, "consumer", rotation(view)))


def report_refusal(member: str = "provider", signer: str = "provider", **changes: Any) -> str:
    view = begin()
    body = records.GovernanceReport(PROPOSAL, member, equivocation(view, signer), LAPSES)
    return code_of(view, sign(view, "consumer", structs.replace(body, **changes)))


IDENTITY = b"\x01" + bytes(31)
WEAK = {"signing_key": IDENTITY, "key_proof": IDENTITY + bytes(32)}
"""A point of small order, and a proof by it that nobody had to make: it holds."""

REFUSALS: dict[str, dict[str, Callable[[], str]]] = {
    "E_KIND": {
        "a proposal of what needs none": lambda: propose_refusal(kind="consent.revoke"),
        "a proposal of a kind that is none": lambda: propose_refusal(kind="token.mint"),
        "a proposal of a proposal": lambda: propose_refusal(kind="governance.approve"),
    },
    "E_CANON": {
        "a proposed body of another kind": lambda: propose_refusal(kind="member.admit"),
        "a proposed body that names another": lambda: propose_refusal(proposal=ROOT),
    },
    "E_CLOCK": {
        "a proposal that lapses now": lambda: propose_refusal(lapses_ms=START),
        "a report that lapses now": lambda: report_refusal(lapses_ms=START),
    },
    "E_UNKNOWN": {"a suspension that nobody proposed": lambda: carried_refusal(0, SUSPENSION)},
    "E_QUORUM": {
        "one of three": lambda: carried_refusal(1, SUSPENSION),
        "another record": lambda: carried_refusal(2, records.MemberSuspend(PROPOSAL, "provider")),
        "another kind": lambda: carried_refusal(2, records.MemberRetire(PROPOSAL, "consumer")),
        "a proposal that lapsed": lambda: carried_refusal(2, SUSPENSION, LAPSES),
        "the last of governance suspended": lambda: lone_governor(records.MemberSuspend),
        "the last of governance retired": lambda: lone_governor(records.MemberRetire),
        "the last of governance compromised": last_compromise,
    },
    "E_MEMBER_STATE": {"the same suspension twice": again},
    "E_ROLE": {
        "an operator": lambda: admit_refusal(roles=("operator",)),
        "a competent authority": lambda: admit_refusal(roles=("competent-authority",)),
    },
    "E_EXISTS": {
        "a member's key for a newcomer": lambda: admit_refusal("provider"),
        "a member's key in a rotation": lambda: rotate_refusal(key="provider"),
        "its own key in a rotation": lambda: rotate_refusal(key="consumer"),
    },
    "E_KEY": {
        "a newcomer's key that proves nothing": lambda: admit_refusal(key_proof=bytes(64)),
        "a new key that proves nothing": lambda: rotate_refusal(key_proof=bytes(64)),
        "a newcomer's key that anybody can sign with": lambda: admit_refusal(**WEAK),
        "a new key that anybody can sign with": lambda: rotate_refusal(
            **WEAK | {"signing_key": bytes(32)}
        ),
        "a new key that is no point": lambda: rotate_refusal(signing_key=b"\x02" + bytes(31)),
        "the operator's key": lambda: rotate_refusal("operator"),
        "data by a rotated key": lambda: after("consumer", rotation),
        "data by a compromised key": lambda: after(
            "consumer", lambda view: records.KeyCompromise("consumer")
        ),
        "a rotation by a compromised key": rotation_after_compromise,
    },
    "E_MEMBER": {
        "data of a suspended member": lambda: after_quorum(records.MemberSuspend),
        "data of a retired member": lambda: after_quorum(records.MemberRetire),
    },
    "E_EVIDENCE": {
        "of another member": lambda: report_refusal("supervisor"),
        "by a stranger": lambda: report_refusal(signer="stranger"),
        "that is none": lambda: report_refusal(evidence=b"\x90"),
    },
}


@pytest.mark.parametrize(
    ("code", "case"), [(code, case) for code, cases in REFUSALS.items() for case in cases]
)
def test_refusal_has_its_code(code, case):
    assert code == REFUSALS[code][case]()


def remedy_of(view: Any, record: Any, *more: int, **where: int) -> str:
    """What the record's refusal says is to be done; takes what ``code_of`` takes."""
    with pytest.raises(RefusedError) as refused:
        apply(view, record, *more, **where)
    return refused.value.remedy


def test_of_a_code_with_several_causes_the_remedy_is_of_the_one_that_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(globals(), "code_of", remedy_of)

    found = {case: ask() for code in ("E_KEY", "E_MEMBER") for case, ask in REFUSALS[code].items()}

    own = "name the public half of a key that its owner alone holds"
    admit = "sign with a member's key, or ask governance to admit the key's owner"
    prove, sign_with = (
        "have a new key sign records.key_message",
        "sign with the member's current key",
    )
    assert found == {
        "a newcomer's key that proves nothing": prove,
        "a new key that proves nothing": prove,
        "a newcomer's key that anybody can sign with": own,
        "a new key that anybody can sign with": own,
        "a new key that is no point": own,
        "the operator's key": "leave the operator's key as it is: with another one it is another "
        "network",
        "data by a rotated key": sign_with,
        "data by a compromised key": sign_with,
        "a rotation by a compromised key": sign_with,
        "data of a suspended member": "ask governance to reinstate the member",
        "data of a retired member": admit,
    }


def key_status(view, name: str) -> str:
    return view.get(rules.key_object(KEYS[name].public_key), rules.KeyState).status


def member_state(view, member: str) -> rules.MemberState:
    return view.get(rules.member_object(member), rules.MemberState)


def test_newcomer_signs_once_it_is_admitted():
    view = begin()
    assert code_of(view, sign(view, "newcomer", b"data")) == "E_MEMBER"

    admitted = enact(view, admission(view, PROPOSAL))

    act(view, "newcomer", b"data")
    act(view, "newcomer", request(CONSENT, "consent key"))
    state = member_state(view, "newcomer")
    assert (1, running_hash([admitted])) == (state.count, state.history)
    proposal = view.get(rules.proposal_object(PROPOSAL), rules.ProposalState)
    approvals = tuple(KEYS[name].public_key for name in ("governor", "other governor"))
    assert ("ENACTED", 3, approvals) == (
        proposal.status,
        proposal.count,
        proposal.approvals,
    )


def test_suspension_is_lifted_and_retirement_is_not():
    view = begin()
    act(view, "consumer", b"data")
    enact(view, SUSPENSION)
    assert key_status(view, "consumer") == "SUSPENDED"

    enact(view, records.MemberReinstate(ROOT, "consumer"))

    act(view, "consumer", b"data")
    enact(view, records.MemberRetire(ZERO, "consumer"))
    assert (key_status(view, "consumer"), member_state(view, "consumer").status) == (
        "RETIRED",
        "RETIRED",
    )


def test_rotated_key_leaves_its_records_and_the_new_one_goes_on():
    view = begin()
    act(view, "consumer", request(CONSENT, "consent key"))

    act(view, "consumer", rotation(view))

    assert ("ROTATED", "ACTIVE") == (key_status(view, "consumer"), key_status(view, "new key"))
    assert member_state(view, "consumer").signing_key == KEYS["new key"].public_key
    act(view, "consent key", authorise(view, CONSENT, "consent key"))
    act(view, "new key", records.ExchangeIntent(CONSENT, ROOT, ZERO, 2 * LAPSES))


def test_provider_endorses_with_the_key_that_it_has_where_the_consent_is_ordered():
    view = begin()
    act(view, "consumer", request(CONSENT, "consent key"))
    act(view, "provider", rotation(view, "provider"))

    old = sign(view, "consent key", authorise(view, CONSENT, "consent key"))
    new = authorise(view, CONSENT, "consent key", by="new key")

    assert code_of(view, old) == "E_ENDORSEMENT"
    act(view, "consent key", new)


@pytest.mark.parametrize("ended", ["SUSPENDED", "RETIRED", "COMPROMISED"])
def test_no_consent_is_authorised_by_an_endorsement_of_a_key_that_may_not_sign(ended):
    """Whoever stole it can make one at any time; and no pack would take it."""
    view = begin()
    act(view, "consumer", request(CONSENT, "consent key"))
    match ended:
        case "COMPROMISED":
            act(view, "provider", records.KeyCompromise("provider"))
        case "SUSPENDED":
            enact(view, records.MemberSuspend(ROOT, "provider"))
        case "RETIRED":
            enact(view, records.MemberRetire(ROOT, "provider"))
    assert key_status(view, "provider") == ended

    given = sign(view, "consent key", authorise(view, CONSENT, "consent key"))

    assert code_of(view, given) == "E_ENDORSEMENT"
    if ended == "SUSPENDED":
        enact(view, records.MemberReinstate(ZERO, "provider"))
        apply(view, given)


def test_who_was_suspended_does_not_count():
    view = begin()
    carry(view, SUSPENSION)
    enact(view, records.MemberSuspend(ROOT, "other-governor"))

    record = sign(view, "governor", SUSPENSION)

    assert view.get(rules.GOVERNANCE, rules.GovernanceState).members == (
        "governor",
        "third-governor",
    )
    assert code_of(view, record) == "E_QUORUM"
    act(view, "third governor", records.GovernanceApprove(PROPOSAL))
    apply(view, record)


def test_compromised_governor_counts_again_with_a_new_key():
    view = begin()
    act(view, "other governor", records.KeyCompromise("other-governor"))
    assert len(view.get(rules.GOVERNANCE, rules.GovernanceState).members) == 2
    keys = newcomer(view, "new key", "other-governor")
    replacement = records.KeyReplace(PROPOSAL, "other-governor", *keys)
    act(view, "governor", propose(replacement))
    act(view, "third governor", records.GovernanceApprove(PROPOSAL))

    act(view, "governor", replacement)

    assert key_status(view, "other governor") == "COMPROMISED"
    act(view, "new key", b"data")
    assert len(view.get(rules.GOVERNANCE, rules.GovernanceState).members) == 3


def replace_key(view, key: str, member: str, signers: tuple[str, str], proposal=ROOT) -> None:
    replacement = records.KeyReplace(proposal, member, *newcomer(view, key, member))
    act(view, signers[0], propose(replacement))
    act(view, signers[1], records.GovernanceApprove(proposal))
    act(view, signers[0], replacement)


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("thief", ["other governor", "governor"])
def test_approval_by_a_stolen_key_does_not_count_after_it_is_replaced(thief, announced):
    """Whether it approved or proposed, and whether its owner called it COMPROMISED before."""
    view = begin()
    act(view, thief, propose(SUSPENSION))
    member = thief.replace(" ", "-")
    honest = "governor" if thief == "other governor" else "other governor"
    if announced:
        act(view, thief, records.KeyCompromise(member))
    replace_key(view, "new key", member, ("third governor", honest))
    act(view, honest, records.GovernanceApprove(PROPOSAL))

    record = sign(view, honest, SUSPENSION)

    assert code_of(view, record) == "E_QUORUM"
    act(view, "new key", records.GovernanceApprove(PROPOSAL))
    state = view.get(rules.proposal_object(PROPOSAL), rules.ProposalState)
    assert state.approvals == (KEYS[honest].public_key, KEYS["new key"].public_key)
    apply(view, sign(view, honest, SUSPENSION))


def test_approval_by_a_rotated_key_is_given_again_and_counts_once():
    view = begin()
    act(view, "governor", propose(SUSPENSION))
    act(view, "governor", rotation(view, "governor"))

    act(view, "new key", records.GovernanceApprove(PROPOSAL))

    again = sign(view, "new key", records.GovernanceApprove(PROPOSAL))
    assert code_of(view, again) == "E_EXISTS"
    assert code_of(view, sign(view, "new key", SUSPENSION)) == "E_QUORUM"


def test_last_of_governance_replaces_its_key_where_it_may_not_only_give_it_up():
    view = begin()
    for member in OTHER_GOVERNORS:
        act(view, member.replace("-", " "), records.KeyCompromise(member))
    keys = newcomer(view, "new key", "governor")
    replacement = records.KeyReplace(PROPOSAL, "governor", *keys)
    act(view, "governor", propose(replacement))

    act(view, "governor", replacement)

    assert (key_status(view, "governor"), key_status(view, "new key")) == ("COMPROMISED", "ACTIVE")
    assert view.get(rules.GOVERNANCE, rules.GovernanceState).members == ("governor",)


def test_reinstated_member_with_a_compromised_key_stays_silent():
    view = begin()
    act(view, "other governor", records.KeyCompromise("other-governor"))
    for body in (
        records.MemberSuspend(PROPOSAL, "other-governor"),
        records.MemberReinstate(ROOT, "other-governor"),
    ):
        act(view, "governor", propose(body))
        act(view, "third governor", records.GovernanceApprove(body.proposal))
        act(view, "governor", body)

    assert key_status(view, "other governor") == "COMPROMISED"
    assert len(view.get(rules.GOVERNANCE, rules.GovernanceState).members) == 2


def test_network_without_governance_has_no_quorum():
    view = empty_view()
    members = genesis_body().members[:5]
    genesis = sign_genesis(genesis_body(members=members))
    rules.apply(view, genesis, Position(0, 0, START))

    record = sign(view, "supervisor", propose(SUSPENSION), network=genesis.network)

    assert code_of(view, record) == "E_ROLE"
    assert view.get(rules.GOVERNANCE, rules.GovernanceState) is None


@pytest.mark.parametrize("change", ["suspended", "rotated", "compromised"])
def test_batch_of_data_is_held_to_the_key_like_each_record(change):
    view = begin()
    record = sign(view, "consumer", b"data")
    batch = Batch.decode([record.encode()]).verify(bytes(32))
    assert rules.apply_plain(view.fork(), batch)
    if change == "suspended":
        enact(view, SUSPENSION)
    else:
        body = rotation(view) if change == "rotated" else records.KeyCompromise("consumer")
        act(view, "consumer", body)

    record = sign(view, "consumer", b"data")
    batch = Batch.decode([record.encode()]).verify(bytes(32))

    before = view.changes()
    assert not rules.apply_plain(view, batch)
    assert before == view.changes()
    assert code_of(view, record) in ("E_MEMBER", "E_KEY")
