"""Hold decisions to the exchanges that they rest on, and to the rights of whom they concern.

A decision touches its input exchanges, and so does whatever becomes of it, so each exchange's
history names them. The clocks run by block time: a decision is contested within 30 days of being
recorded or explained, and reviewed within 15 days of being contested, or it is seen to be OVERDUE.

The subject of each consent that a decision rests on contests it once, whatever came of another's
word: else who is quick would silence the rest. Each contest is answered by a review of its own that
names it, so that one which comes while a review is made still waits, and none is taken for another.
"""

from __future__ import annotations

from msgspec import structs

from ledgercore._core import VerifiedRecord, group_add_points
from ledgercore.errors import MalformedError
from ledgercore.records import (
    DecisionContest,
    DecisionExplain,
    DecisionRecord,
    DecisionReview,
)
from ledgercore.rules import authorisation
from ledgercore.rules.amounts import NOTHING, add_amount, find_transfer
from ledgercore.rules.codes import LATE_CONTEST
from ledgercore.rules.lint import Finding
from ledgercore.rules.state import (
    EMPTY_HISTORY,
    NEW,
    BookState,
    ConsentState,
    Contest,
    DecisionState,
    ExchangeState,
    book_object,
    consent_object,
    decision_object,
    exchange_object,
)
from ledgercore.rules.table import Case, Family, Row, SignedBy, check_names
from ledgercore.rules.trail import check_room, take_room
from ledgercore.rules.view import View

__all__ = ["CONTEST_LIMIT_MS", "FAMILY", "REVIEW_LIMIT_MS", "open_contest", "status_at"]

DAY_MS = 24 * 3_600_000
CONTEST_LIMIT_MS = 30 * DAY_MS
"""How long a decision may be contested, from its record or its explanation on."""
REVIEW_LIMIT_MS = 15 * DAY_MS
"""How long a consumer may take to have a contested decision reviewed."""

READY = ("ACKNOWLEDGED", "USED")
"""Where an exchange must stand to be decided on."""

RecordCase = Case[DecisionRecord, None]
ExplainCase = Case[DecisionExplain, DecisionState]
ContestCase = Case[DecisionContest, DecisionState]
ReviewCase = Case[DecisionReview, DecisionState]
AnyCase = RecordCase | ExplainCase | ContestCase | ReviewCase
Later = DecisionExplain | DecisionContest | DecisionReview


def open_contest(state: DecisionState) -> Contest | None:
    """The contest that has waited longest for its review, if one waits."""
    return next((contest for contest in state.contests if not contest.review), None)


def status_at(state: DecisionState, time_ms: int) -> str:
    """The decision's status in a block of this time: a contest that waits outlives a review."""
    contest = open_contest(state)
    if contest is None:
        return state.status
    return "OVERDUE" if time_ms >= contest.review_until_ms else "CONTESTED"


def name_of(record: VerifiedRecord, body: DecisionRecord | Later) -> bytes:
    return decision_object(record.id if isinstance(body, DecisionRecord) else body.decision)


def consents(
    view: View, body: DecisionRecord | Later, state: DecisionState | None
) -> tuple[ConsentState, ...]:
    if state is None or not isinstance(body, DecisionContest):
        return ()
    found = []
    for exchange_id in state.inputs:
        exchange = view.get(exchange_object(exchange_id), ExchangeState)
        assert exchange is not None, "a decision's inputs exist"
        found.append(_consent(view, exchange))
    return tuple(found)


def _consent(view: View, exchange: ExchangeState) -> ConsentState:
    consent = view.get(consent_object(exchange.consent), ConsentState)
    assert consent is not None, "an exchange has a consent"
    return consent


def _input(case: AnyCase, exchange_id: bytes) -> ExchangeState:
    exchange = case.view.get(exchange_object(exchange_id), ExchangeState)
    if exchange is None:
        case.refuse("E_UNKNOWN", f"exchange {exchange_id.hex()[:16]} does not exist")
    return exchange


def inputs_are_distinct(case: RecordCase) -> None:
    """no exchange is named twice, else E_CANON"""
    inputs = case.body.inputs
    if len(set(inputs)) < len(inputs):
        case.refuse("E_CANON", f"{len(inputs)} inputs name {len(set(inputs))} exchanges")


def inputs_are_of_signer(case: RecordCase) -> None:
    """each input is an exchange (else E_UNKNOWN) of this consumer, else E_RECIPIENT"""
    for exchange_id in case.body.inputs:
        consumer = _input(case, exchange_id).consumer
        if consumer != case.member:
            message = f"consumer of {exchange_id.hex()[:16]} is {consumer}, not {case.member}"
            case.refuse("E_RECIPIENT", message)


def inputs_are_ready(case: RecordCase) -> None:
    """each input is ACKNOWLEDGED or USED, else E_EXCHANGE_STATE"""
    for exchange_id in case.body.inputs:
        status = _input(case, exchange_id).status
        if status not in READY:
            message = f"exchange {exchange_id.hex()[:16]} is {status}, want {' or '.join(READY)}"
            case.refuse("E_EXCHANGE_STATE", message)


def amount_is_a_commitment(case: RecordCase) -> None:
    """amount_commitment is nil or a point of the group, else E_CANON"""
    commitment = case.body.amount_commitment
    if commitment is not None:
        try:
            group_add_points([commitment])
        except MalformedError as error:
            case.refuse("E_CANON", f"amount_commitment: {error}")


def amounts_do_not_cancel(case: RecordCase) -> None:
    """amount_commitment is nil, or the newest amounts do not add up to nothing with it (T7, else
    E_TOKEN_LIKE), or the schemas of all inputs have an authorisation in force with a use left
    (else E_AUTHORISATION), each of its product's provider, else E_RECIPIENT"""
    found = _transfer(case)
    if found is not None:
        for product in _products(case):
            authorisation.check_transfer(case, found, product)


def trails_have_room(case: RecordCase) -> None:
    """in the trail of each consent that the inputs rest on the consumer has 5,120 records, and
    enough of them left for this and what may follow, else E_LIMIT"""
    consents = _consents(case)
    for consent in consents:
        check_room(case, consent, len(consents))


def _consents(case: RecordCase) -> tuple[bytes, ...]:
    """The ids of the consents that the inputs rest on, each once."""
    inputs = (_input(case, exchange_id) for exchange_id in case.body.inputs)
    return tuple(dict.fromkeys(exchange.consent for exchange in inputs))


def contest_is_in_time(case: ContestCase) -> None:
    """block time < contest_until_ms of the decision, else E_CLOCK"""
    now_ms, until_ms = case.position.time_ms, case.state.contest_until_ms
    if now_ms >= until_ms:
        message = (
            f"block time is {now_ms}, want less than {until_ms}, the end of the time to contest"
        )
        case.refuse("E_CLOCK", message, LATE_CONTEST)


def _own_consent(case: ContestCase) -> bytes:
    """The id of the consent whose key signed, among those that the decision rests on."""
    for exchange_id in case.state.inputs:
        exchange = _input(case, exchange_id)
        if _consent(case.view, exchange).consent_key == case.record.key:
            return exchange.consent
    raise AssertionError("the signer is the key of a consent")


def subject_contests_once(case: ContestCase) -> None:
    """no contest of the decision is by the key of this consent so far, else E_EXISTS"""
    if _own_consent(case) in {contest.consent for contest in case.state.contests}:
        case.refuse("E_EXISTS", "the subject of this consent has contested the decision before")


def contest_waits(case: ReviewCase) -> None:
    """the contest is one of the decision (else E_UNKNOWN) that no review has answered, else
    E_EXISTS"""
    named, contests = case.body.contest, case.state.contests
    waiting = ", ".join(each.record.hex()[:16] for each in contests if not each.review)
    found = [each for each in contests if each.record == named]
    want = f"want one that waits: {waiting}"
    if not found:
        case.refuse("E_UNKNOWN", f"contest {named.hex()[:16]} is not of the decision, {want}")
    if found[0].review:
        message = f"contest {named.hex()[:16]} was reviewed before and {found[0].review}, {want}"
        case.refuse("E_EXISTS", message)


def outcome_is_as_said(case: ReviewCase) -> None:
    """the outcome is the decision's where it is upheld, and another where changed, else E_CANON"""
    same = case.body.outcome == case.state.outcome
    if same != (case.body.result == "upheld"):
        message = f"decision {case.state.outcome} is {case.body.result} as {case.body.outcome}"
        case.refuse("E_CANON", message)


def _transfer(case: RecordCase) -> Finding | None:
    commitment = case.body.amount_commitment
    return None if commitment is None else find_transfer(case, commitment)


def _products(case: RecordCase) -> tuple[str, ...]:
    """The products that the inputs are of, each once."""
    inputs = (_input(case, exchange_id) for exchange_id in case.body.inputs)
    return tuple(dict.fromkeys(_consent(case.view, each).product for each in inputs))


def _enter(case: RecordCase, commitment: bytes) -> None:
    """Add the decision to its consumer's book, whose history is what totals are held to."""
    if _transfer(case) is not None:
        authorisation.take_transfer(case, _products(case))
    add_amount(case, commitment)
    name = book_object(case.member)
    book = case.view.get(name, BookState) or BookState("OPEN", 0, EMPTY_HISTORY, NOTHING)
    case.touch(name, structs.replace(book, sum=group_add_points([book.sum, commitment])))


def _touch_inputs(case: AnyCase, inputs: tuple[bytes, ...]) -> None:
    for exchange_id in inputs:
        case.touch(exchange_object(exchange_id), _input(case, exchange_id))


def decide(case: RecordCase) -> DecisionState:
    body = case.body
    _touch_inputs(case, body.inputs)
    consents = _consents(case)
    for consent in consents:
        take_room(case, consent, len(consents))
    if body.amount_commitment is not None:
        _enter(case, body.amount_commitment)
    return DecisionState(
        *NEW,
        consumer=case.member,
        inputs=body.inputs,
        outcome=body.outcome,
        model_hash=body.model_hash,
        explanation_commitment=body.explanation_commitment,
        contest_until_ms=case.position.time_ms + CONTEST_LIMIT_MS,
        contests=(),
    )


def explain(case: ExplainCase) -> DecisionState:
    _touch_inputs(case, case.state.inputs)
    until_ms = case.position.time_ms + CONTEST_LIMIT_MS
    return structs.replace(case.state, contest_until_ms=until_ms)


def contest(case: ContestCase) -> DecisionState:
    _touch_inputs(case, case.state.inputs)
    until_ms = case.position.time_ms + REVIEW_LIMIT_MS
    made = Contest(case.record.id, _own_consent(case), until_ms, review="")
    return structs.replace(case.state, contests=(*case.state.contests, made))


def review(case: ReviewCase) -> DecisionState:
    _touch_inputs(case, case.state.inputs)
    body, contests = case.body, case.state.contests
    return structs.replace(
        case.state,
        outcome=body.outcome,
        explanation_commitment=body.explanation_commitment,
        contests=tuple(
            structs.replace(each, review=body.result) if each.record == body.contest else each
            for each in contests
        ),
    )


FAMILY = Family(
    name="decision",
    state_type=DecisionState,
    name_of=name_of,
    status_at=status_at,
    status_code="E_DECISION_STATE",
    rows=(
        Row(
            DecisionRecord.KIND,
            (),
            SignedBy.CONSUMER,
            "RECORDED",
            (
                "inputs_are_distinct",
                "inputs_are_of_signer",
                "inputs_are_ready",
                "amount_is_a_commitment",
                "amounts_do_not_cancel",
                "trails_have_room",
            ),
        ),
        Row(DecisionExplain.KIND, ("RECORDED",), SignedBy.CONSUMER, "EXPLAINED"),
        Row(
            DecisionContest.KIND,
            ("RECORDED", "EXPLAINED", "CONTESTED", "OVERDUE", "REVIEWED"),
            SignedBy.CONSENT_KEY,
            "CONTESTED",
            ("contest_is_in_time", "subject_contests_once"),
        ),
        Row(
            DecisionReview.KIND,
            ("CONTESTED", "OVERDUE"),
            SignedBy.CONSUMER,
            "REVIEWED",
            ("contest_waits", "outcome_is_as_said"),
        ),
    ),
    checks=check_names(
        (
            inputs_are_distinct,
            inputs_are_of_signer,
            inputs_are_ready,
            amount_is_a_commitment,
            amounts_do_not_cancel,
            trails_have_room,
            contest_is_in_time,
            subject_contests_once,
            contest_waits,
            outcome_is_as_said,
        )
    ),
    effects={
        DecisionRecord.KIND: decide,
        DecisionExplain.KIND: explain,
        DecisionContest.KIND: contest,
        DecisionReview.KIND: review,
    },
    consents=consents,
)
