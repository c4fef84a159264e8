"""A decision is explained to its subject, contested in time, and looked at by a person."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from ledgercore import InvalidProof, MalformedError, RefusedError, format_anchor, records, rules
from ledgercore.demo.parties import BANK
from ledgercore.exchange import build_pack, read_statement, show_statement, verify_pack
from ledgercore.exchange.messages import Proposal
from ledgercore.exchange.submission import submit
from ledgercore.rules import DecisionState, decision_object, decision_status_at
from ledgercore.rules.view import decode_state
from tests.contests import contest_of
from tests.network import (
    CONSENT,
    CONTEST_ENDS,
    NEW_CONSENT,
    REVIEW_ENDS,
    ROOT,
    START,
    Scene,
    act,
    code_of,
    decision_scene,
    sign,
)
from tests.network import decision as decision_on
from tests.town import Town
from tests.two_subjects import acknowledged_of_two, decided_on_two
from verifier import ledgercore_verify


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    yield town
    town.parties.close()


def decided(town: Town) -> tuple[Proposal, bytes, bytes]:
    """A consent, its exchange, and a decision on it."""
    proposal = town.consent()
    intent, request = town.intend(proposal)
    consumer = town.parties.consumer
    consumer.open(*town.deliver(intent, request))
    town.accept([consumer.acknowledge(intent)])
    (place,) = town.accept([consumer.decide([intent], "declined", b"model", ["R_ARREARS"])])
    return proposal, intent, place.id


def state_of(town: Town, decision: bytes) -> DecisionState:
    value = town.parties.ledger.state(decision_object(decision))
    assert value is not None
    return decode_state(value, DecisionState)


def test_the_subject_reads_the_explanation_that_the_ledger_commits_to(town: Town) -> None:
    _, _, decision = decided(town)
    statement = town.parties.consumer.explanation(decision)
    town.accept([town.parties.consumer.explain(decision)])

    assert "R_ARREARS" == town.subject.read_explanation(decision, statement)
    with pytest.raises(InvalidProof, match="statement is not the newest one of the decision"):
        town.subject.read_explanation(decision, statement[:32] + b"another reason")


@pytest.mark.parametrize(("outcome", "result"), [("approved", "changed"), ("declined", "upheld")])
def test_a_contested_decision_is_reviewed_and_stands_in_the_pack(
    town: Town, outcome: str, result: str
) -> None:
    proposal, intent, decision = decided(town)
    consumer, ledger = town.parties.consumer, town.parties.ledger
    town.accept([consumer.explain(decision)])
    town.accept([town.subject.contest(proposal, decision, "the arrears were paid in May")])

    town.accept([consumer.review(decision, outcome, "a credit officer", "the receipt is here")])

    state = state_of(town, decision)
    assert (state.outcome, [each.review for each in state.contests]) == (outcome, [result])
    statement = consumer.explanation(decision)
    assert "the receipt is here" == town.subject.read_explanation(decision, statement)
    pack = build_pack(ledger, town.parties.vaults[BANK], intent)
    claims = {claim.name: claim for claim in verify_pack(pack, ledger.trust_anchor)}
    assert "decided declined" in claims["decision"].statement
    assert {"explained", "contested", "reviewed"} <= claims.keys()
    assert f"a person {result} it: {outcome}" in claims["reviewed"].statement


def test_an_explanation_that_a_review_followed_is_shown_by_its_decisions_record(town: Town) -> None:
    proposal, _, decision = decided(town)
    consumer, ledger, vault = town.parties.consumer, town.parties.ledger, town.parties.vaults[BANK]
    told = consumer.explanation(decision)
    town.accept([town.subject.contest(proposal, decision, "the arrears were paid in May")])
    (review,) = town.accept([consumer.review(decision, "approved", "officer 7", "they were")])

    older, newer = show_statement(ledger, vault, decision), consumer.explanation(decision)
    reviewer = show_statement(ledger, vault, review.id)

    assert older == told != newer
    assert read_statement(ledger, decision, older) == b"R_ARREARS"
    assert town.subject.read_explanation(decision, newer) == "they were"
    assert read_statement(ledger, review.id, reviewer) == b"officer 7"
    with pytest.raises(InvalidProof, match="newest one of the decision: an older one is read with"):
        town.subject.read_explanation(decision, older)


def test_a_contest_after_a_revocation_is_heard(town: Town) -> None:
    proposal, _, decision = decided(town)
    town.accept([town.subject.revoke(proposal)])

    town.accept([town.subject.contest(proposal, decision, "still")])

    assert "CONTESTED" == state_of(town, decision).status


def test_another_subjects_key_contests_nothing(town: Town) -> None:
    _, _, decision = decided(town)
    other = town.consent()

    (outcome,) = submit(town.parties.ledger, [town.subject.contest(other, decision, "mine too")])

    assert isinstance(outcome, RefusedError) and outcome.code == "E_ROLE"


@pytest.mark.parametrize(("time_ms", "code"), [(CONTEST_ENDS - 1, ""), (CONTEST_ENDS, "E_CLOCK")])
def test_contest_ends_on_the_millisecond(time_ms: int, code: str) -> None:
    scene = decision_scene("RECORDED")
    record = sign(scene.view, "consent key", records.DecisionContest(scene.decision, ROOT))

    assert code == code_of(scene.view, record, time_ms)


def test_explanation_begins_the_time_to_contest_anew() -> None:
    scene = decision_scene("RECORDED")
    later = CONTEST_ENDS + 5
    act(scene.view, "consumer", records.DecisionExplain(scene.decision), later)
    record = sign(scene.view, "consent key", records.DecisionContest(scene.decision, ROOT))

    assert "" == code_of(scene.view, record, later + CONTEST_ENDS - START - 1)


def test_review_that_is_late_is_seen_and_still_accepted() -> None:
    scene = decision_scene("CONTESTED")
    state = scene.view.get(rules.decision_object(scene.decision), DecisionState)
    assert state is not None
    contest = contest_of(scene.view, scene.decision)
    body = records.DecisionReview(scene.decision, contest, "upheld", "approved", ROOT, ROOT)

    assert ["CONTESTED", "OVERDUE"] == [
        decision_status_at(state, time_ms) for time_ms in (REVIEW_ENDS - 1, REVIEW_ENDS)
    ]
    assert "" == code_of(scene.view, sign(scene.view, "consumer", body), REVIEW_ENDS)


def decision_of_two() -> Scene:
    """A decision that rests on consents of two subjects, neither of whom has contested it."""
    scene, other = acknowledged_of_two()
    scene.decision = act(scene.view, "consumer", decision_on(scene.exchange, other))
    return scene


def two_state(scene: Scene) -> DecisionState:
    state = scene.view.get(rules.decision_object(scene.decision), DecisionState)
    assert state is not None
    return state


def test_the_contest_of_one_subject_leaves_another_its_own() -> None:
    scene = decision_of_two()
    contest = records.DecisionContest(scene.decision, ROOT)
    review = records.DecisionReview(scene.decision, ROOT, "upheld", "approved", ROOT, ROOT)

    for key in ("consent key", "new consent key"):  # the second after the first one's review
        made = act(scene.view, key, contest)
        act(scene.view, "consumer", structs.replace(review, contest=made))

    state = two_state(scene)
    assert [CONSENT, NEW_CONSENT] == [each.consent for each in state.contests]
    assert ["upheld", "upheld"] == [each.review for each in state.contests]
    for key in ("consent key", "new consent key"):
        assert "E_EXISTS" == code_of(scene.view, sign(scene.view, key, contest))
    late = sign(scene.view, "consumer", review)
    assert "E_DECISION_STATE" == code_of(scene.view, late)


def test_each_contest_has_its_own_review_and_its_own_time_for_it() -> None:
    scene = decision_of_two()
    contest = records.DecisionContest(scene.decision, ROOT)
    later = START + 5
    first = act(scene.view, "new consent key", contest)
    second = act(scene.view, "consent key", contest, later)
    ends = [each.review_until_ms for each in two_state(scene).contests]
    assert [REVIEW_ENDS, REVIEW_ENDS + 5] == ends
    assert "OVERDUE" == decision_status_at(two_state(scene), REVIEW_ENDS)

    changed = records.DecisionReview(scene.decision, first, "changed", "declined", ROOT, ROOT)
    act(scene.view, "consumer", changed, later)

    state = two_state(scene)
    assert ["changed", ""] == [each.review for each in state.contests]
    statuses = [decision_status_at(state, time_ms) for time_ms in (ends[0], ends[1])]
    assert ["CONTESTED", "OVERDUE"] == statuses
    upheld = structs.replace(changed, contest=second, result="upheld")
    act(scene.view, "consumer", upheld, ends[1])
    state = two_state(scene)
    assert ["changed", "upheld"] == [each.review for each in state.contests]
    assert "REVIEWED" == decision_status_at(state, ends[1])


def test_a_review_answers_the_contest_that_it_names_and_no_other() -> None:
    scene = decision_of_two()
    contest = records.DecisionContest(scene.decision, ROOT)
    first, second = (act(scene.view, key, contest) for key in ("consent key", "new consent key"))
    review = records.DecisionReview(scene.decision, second, "upheld", "approved", ROOT, ROOT)

    act(scene.view, "consumer", review)

    assert ["", "upheld"] == [each.review for each in two_state(scene).contests]
    waits = f"want one that waits: {first.hex()[:16]} "
    with pytest.raises(RefusedError, match=f"was reviewed before and upheld, {waits}") as again:
        act(scene.view, "consumer", review)
    with pytest.raises(RefusedError, match=f"is not of the decision, {waits}") as unknown:
        act(scene.view, "consumer", structs.replace(review, contest=ROOT))
    assert ["E_EXISTS", "E_UNKNOWN"] == [each.value.code for each in (again, unknown)]
    act(scene.view, "consumer", structs.replace(review, contest=first))
    assert "REVIEWED" == decision_status_at(two_state(scene), START)
    with pytest.raises(RefusedError, match="decision is REVIEWED, want CONTESTED") as late:
        act(scene.view, "consumer", review)
    assert "E_DECISION_STATE" == late.value.code


def test_two_people_who_review_one_contest_at_once_do_not_answer_another(town: Town) -> None:
    """Both looked at the only contest there was; another subject contests before they say so."""
    consumer = town.parties.consumer
    proposals, _, decision = decided_on_two(town)
    (first,) = town.accept([town.subject.contest(proposals[0], decision, "look again")])
    drafts = [consumer.review(decision, "declined", name, "as said") for name in ("one", "two")]
    (second,) = town.accept([town.subject.contest(proposals[1], decision, "and at mine")])

    town.accept(drafts[:1])
    (refused,) = submit(town.parties.ledger, drafts[1:])

    assert isinstance(refused, RefusedError) and refused.code == "E_EXISTS"
    assert ["upheld", ""] == [each.review for each in state_of(town, decision).contests]
    named = consumer.review(decision, "approved", "one", "it is so", contest=second.id)
    town.accept([named])
    told = state_of(town, decision).contests
    assert [(first.id, "upheld"), (second.id, "changed")] == [(x.record, x.review) for x in told]


def test_a_review_where_no_contest_waits_is_not_drafted(town: Town) -> None:
    _, _, decision = decided(town)

    with pytest.raises(RefusedError, match="decision is RECORDED, and no contest of it waits"):
        town.parties.consumer.review(decision, "approved", "officer 7", "read")


def test_a_review_of_a_contest_that_is_no_id_answers_no_other_in_its_place(town: Town) -> None:
    proposal, _, decision = decided(town)
    town.accept([town.subject.contest(proposal, decision, "look again")])

    draft = town.parties.consumer.review(decision, "approved", "officer 7", "read", contest=b"")

    with pytest.raises(MalformedError, match="contest"):
        submit(town.parties.ledger, [draft])


def test_contests_of_two_subjects_and_their_reviews_stand_in_the_packs_of_both(town: Town) -> None:
    consumer, ledger, vault = town.parties.consumer, town.parties.ledger, town.parties.vaults[BANK]
    proposals, intents, decision = decided_on_two(town)
    for proposal, outcome in zip(proposals, ("declined", "approved"), strict=True):
        town.accept([town.subject.contest(proposal, decision, "look again")])
        town.accept([consumer.review(decision, outcome, "an officer", "as a person sees it")])

    anchor = ledgercore_verify.parse_anchor(format_anchor(ledger.trust_anchor))
    for intent in intents:
        pack = build_pack(ledger, vault, intent)
        found = [(each.name, each.status) for each in verify_pack(pack, ledger.trust_anchor)]
        alone = ledgercore_verify.verify_pack(pack, anchor)
        assert found == [(each.name, each.status) for each in alone]
        for name in ("contested", "reviewed"):
            assert 2 == found.count((name, "proven"))


@pytest.mark.parametrize(
    ("amount", "error"),
    [(-1, MalformedError), (2**53, MalformedError), (2**64, MalformedError), (1.5, TypeError)],
)
def test_an_amount_that_is_none_is_refused_and_nothing_is_kept(
    town: Town, amount: int, error: type[Exception]
) -> None:
    town.consent()
    vault = town.parties.vaults[BANK]
    before = sorted(vault.names("explanation/"))

    with pytest.raises(error, match=r"amount is .*, want"):
        town.parties.consumer.decide([bytes(32)], "approved", b"model", [], amount=amount)

    assert sorted(vault.names("explanation/")) == before


def test_words_that_are_no_text_are_refused_and_nothing_is_kept(town: Town) -> None:
    """A lone surrogate has no encoding: a source in another language may have cut a pair."""
    proposal, intent, decision = decided(town)
    consumer, bad = town.parties.consumer, "a\ud800"
    before = [vault.names("") for vault in town.parties.vaults.values()]

    with pytest.raises(MalformedError, match="reasons: lone surrogate at 1, want text"):
        consumer.decide([intent], "approved", b"model", [bad], amount=5)
    with pytest.raises(MalformedError, match="reviewer: lone surrogate"):
        consumer.review(decision, "approved", bad, "read")
    with pytest.raises(MalformedError, match="reasons: lone surrogate"):
        consumer.review(decision, "approved", "officer 7", bad)
    with pytest.raises(MalformedError, match="grounds: lone surrogate"):
        town.subject.contest(proposal, decision, bad)
    with pytest.raises(MalformedError, match="statement: lone surrogate"):
        consumer.disputes.open(intent, "WRONG", bad)
    with pytest.raises(MalformedError, match="text: lone surrogate"):
        town.authority().rule(intent, "upheld", bad)

    assert [vault.names("") for vault in town.parties.vaults.values()] == before
