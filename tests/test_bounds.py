"""What the parties of a consent may say is bounded, and what answers, ends or revokes never is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec import structs

from ledgercore import RefusedError, records, rules
from ledgercore._core import tree_root
from ledgercore.exchange.pack import PACK_BYTES
from ledgercore.proofs import HISTORY_BYTES
from ledgercore.rules import agreement, codes, member
from ledgercore.rules import consent as consent_rules
from ledgercore.rules.trail import FOLLOWING, TRAIL_LIMITS
from tests.network import (
    CONSENT,
    FAR,
    NEW_CONSENT,
    ROOT,
    SCENES,
    START,
    ZERO,
    Scene,
    act,
    authorise,
    authorised,
    begin,
    body_of,
    code_of,
    consent_state,
    decision,
    exchange_scene,
    exchange_state,
    request,
    sign,
)
from tests.two_subjects import acknowledged_of_two

FULL = structs.replace(TRAIL_LIMITS)
RECORD_BYTES, RECORDS, HASHES = 64 * 1024, 64 * 1024, 256 * 1024
OPENINGS_BYTES = 4 * 1024 * 1024
"""Terms, payload, objection and release of a pack at most, each a message of 1 MiB or less."""
PAST = 2 * FAR


def fill(scene: Scene, consent: bytes = CONSENT, **left: int) -> Scene:
    """Leave each side so many records of a consent's trail, none if it is not named."""
    taken = {side: getattr(FULL, side) - left.get(side, 0) for side in structs.asdict(FULL)}
    scene.view.put(rules.trail_object(consent), rules.TrailState(**taken))
    return scene


def trail(scene: Scene, consent: bytes = CONSENT) -> rules.TrailState:
    found = scene.view.get(rules.trail_object(consent), rules.TrailState)
    return found or rules.TrailState(0, 0, 0, 0, 0)


def refusal(scene: Scene, signer: str, body: records.RecordBody) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        act(scene.view, signer, body, scene.time_ms)
    return caught.value


def narrowing(positions: tuple[int, ...] = (0,)) -> records.ConsentNarrow:
    return records.ConsentNarrow(CONSENT, ROOT, START + 1, 2, (), 1, positions, (ROOT,), ())


def narrow_scene() -> Scene:
    """A consent to terms of one leaf."""
    view = begin()
    root = tree_root("std", ROOT)
    act(view, "consumer", request(CONSENT, "consent key", terms_root=root, expires_ms=PAST))
    act(view, "consent key", authorise(view, CONSENT, "consent key", root=root))
    return Scene(view)


def disputed() -> Scene:
    scene = exchange_scene("USED")
    act(scene.view, "consumer", body_of("dispute.open", scene))
    return scene


def answered() -> Scene:
    """A dispute of the consumer's, in which the provider has brought a piece of evidence."""
    scene = disputed()
    act(scene.view, "provider", body_of("dispute.evidence", scene))
    return scene


def kept_narrow() -> records.ConsentNarrow:
    return structs.replace(narrowing(), terms_root=tree_root("std", ROOT))


TAKERS: dict[str, tuple[Callable[[], Scene], str, str, int]] = {
    "exchange.intent": (lambda: exchange_scene(""), "consumer", "consumer", 7),
    "exchange.use": (lambda: exchange_scene("USED"), "consumer", "consumer", 1),
    "exchange.restrict": (lambda: exchange_scene("RESTRICTED"), "consumer", "consumer", 1),
    "exchange.correct": (lambda: exchange_scene("USED"), "provider", "provider", 1),
    "consent.narrow": (narrow_scene, "consent key", "subject", 1),
    "consent.stay": (lambda: SCENES["consent"]("AUTHORISED"), "supervisor", "supervisor", 2),
    "dispute.open": (lambda: exchange_scene("USED"), "consent key", "subject", 5),
    "dispute.evidence": (answered, "provider", "provider", 1),
    "decision.record": (lambda: exchange_scene("USED"), "consumer", "consumer", 5),
}
"""For each kind that takes room: where it may stand, who signs, whose room it takes, how much."""


def body_for(kind: str, scene: Scene) -> records.RecordBody:
    return kept_narrow() if kind == "consent.narrow" else body_of(kind, scene)


def test_a_pack_of_a_consent_whose_parties_said_all_they_may_is_within_the_limits() -> None:
    """In a ledger of 2^36 records that lie as far apart as they can, each as large as it can be."""
    sides = sum(structs.astuple(TRAIL_LIMITS)) - TRAIL_LIMITS.processors  # which are the consumer's
    own = 4 + 2 + sides  # as asked and answered, with its revocations
    # Proposed, agreed on, suspended and resumed by both, retired.
    agreed = agreement.NEGOTIATION_LIMIT + 4 + 2 * 2 * agreement.SUSPENSION_LIMIT + 1
    keys = (2 + consent_rules.PROCESSOR_LIMIT) * (member.ROTATION_LIMIT + 2)
    count = 2 + own + agreed + keys
    hashes = count * (36 - count.bit_length() + 1)
    large = 4 * RECORD_BYTES + agreement.NEGOTIATION_LIMIT * 20 * 1024
    # A decision, a dispute and a member are shown by a state each, for which room is taken too.
    of_history = own * 1024 + own * (36 - own.bit_length() + 1) * 34
    size = count * 1024 + hashes * 34 + large + OPENINGS_BYTES

    assert count <= 10_200 < RECORDS // 6  # the rest is what governance and supervisors say
    assert hashes <= 240_000 < HASHES
    assert of_history + 4 * RECORD_BYTES + 2 * 1024 * 1024 < HISTORY_BYTES
    assert size + 2 * 1024 * 1024 < PACK_BYTES


def test_every_kind_that_takes_room_is_tried_here() -> None:
    assert FOLLOWING.keys() == TAKERS.keys()


@pytest.mark.parametrize("kind", TAKERS)
def test_a_side_says_what_it_has_room_for_and_no_more(kind: str) -> None:
    make, signer, side, cost = TAKERS[kind]
    scene = make()
    before = getattr(trail(scene), side)

    act(scene.view, signer, body_for(kind, scene), scene.time_ms)

    assert cost == getattr(trail(scene), side) - before
    for left, want in ((cost, ""), (cost - 1, "E_LIMIT")):
        scene = fill(make(), **{side: left})
        record = sign(scene.view, signer, body_for(kind, scene))
        assert want == code_of(scene.view, record, scene.time_ms)


@pytest.mark.parametrize("kind", TAKERS)
def test_a_refusal_for_want_of_room_names_bound_and_remedy(kind: str) -> None:
    make, signer, side, cost = TAKERS[kind]
    scene = fill(make())

    error = refusal(scene, signer, body_for(kind, scene))

    limit = getattr(FULL, side)
    want = f"records of the consent's trail taken by {side} are {limit}, and {kind} takes {cost}"
    assert f"{want}, want {limit} at most" in str(error)
    remedy = codes.PROVIDER_REVOKES if side == "supervisor" else codes.ANOTHER_CONSENT
    assert remedy == error.remedy


ANSWERS = [
    *(("INTENDED", "provider", kind) for kind in ("exchange.admit", "exchange.refuse")),
    *(("ADMITTED", "provider", kind) for kind in ("exchange.release", "exchange.void")),
    ("OVERDUE", "consumer", "exchange.time-out"),
    *(("RELEASED", "consumer", f"exchange.{step}") for step in ("acknowledge", "decline")),
    ("USED", "consumer", "exchange.restrict"),
    *((status, "consumer", "exchange.erase") for status in ("USED", "RESTRICTED", "VOIDED")),
    *((status, "provider", "exchange.forget") for status in ("USED", "TIMED_OUT")),
    ("USED", "consent key", "consent.revoke"),
    ("USED", "provider", "consent.revoke-on-behalf"),
]


@pytest.mark.parametrize(("status", "signer", "kind"), ANSWERS)
def test_what_answers_ends_erases_or_revokes_needs_no_room(
    status: str, signer: str, kind: str
) -> None:
    scene = fill(exchange_scene(status))

    assert "" == code_of(scene.view, sign(scene.view, signer, body_of(kind, scene)), scene.time_ms)


def test_what_was_stayed_disputed_or_decided_is_lifted_ruled_and_contested_without_room() -> None:
    stayed = SCENES["consent"]("STAYED")
    complaint, decided = SCENES["dispute"]("OPEN"), SCENES["decision"]("RECORDED")

    for scene in (stayed, complaint, decided):
        fill(scene)

    act(stayed.view, "supervisor", body_of("consent.lift", stayed))
    act(complaint.view, "supervisor", body_of("dispute.rule", complaint))
    for step, signer in (("explain", "consumer"), ("contest", "consent key")):
        act(decided.view, signer, body_of(f"decision.{step}", decided))
    act(decided.view, "consumer", body_of("decision.review", decided))


def test_what_one_side_says_takes_no_room_of_another() -> None:
    scene = fill(exchange_scene("USED"), subject=5, provider=6)

    act(scene.view, "consent key", body_of("dispute.open", scene))
    act(scene.view, "provider", records.ExchangeCorrect(scene.exchange, ROOT))

    left = [
        getattr(FULL, side) - getattr(trail(scene), side)
        for side in ("subject", "provider", "consumer")
    ]
    assert [0, 5, 0] == left
    intent = sign(scene.view, "consumer", body_of("exchange.intent", scene))
    assert "E_LIMIT" == code_of(scene.view, intent)


def test_a_processor_takes_room_of_its_consumer() -> None:
    scene = Scene(authorised(begin(), processors=("processor",), expires_ms=PAST))

    act(scene.view, "processor", records.ExchangeIntent(CONSENT, ROOT, ZERO, FAR))

    assert (7, 7) == (trail(scene).consumer, trail(scene).processors)


def test_a_processor_leaves_room_to_its_consumer() -> None:
    scene = Scene(authorised(begin(), processors=("processor",), expires_ms=PAST))
    intent = records.ExchangeIntent(CONSENT, ROOT, ZERO, FAR)

    for _ in range(FULL.processors // 7):
        act(scene.view, "processor", intent)
    error = refusal(scene, "processor", intent)

    taken = FULL.processors // 7 * 7
    assert (taken, taken) == (trail(scene).consumer, trail(scene).processors)
    assert ("E_LIMIT", codes.CONSUMER_RECEIVES) == (error.code, error.remedy)
    want = f"taken by processors are {taken}, and exchange.intent takes 7, want {FULL.processors}"
    assert want in str(error)
    for _ in range((FULL.consumer - taken) // 7):
        act(scene.view, "consumer", intent)
    assert taken == trail(scene).processors
    assert "E_LIMIT" == refusal(scene, "consumer", intent).code


def test_a_processor_has_no_more_room_than_its_consumer() -> None:
    scene = Scene(authorised(begin(), processors=("processor",), expires_ms=PAST))
    fill(scene, consumer=6, processors=FULL.processors)

    error = refusal(scene, "processor", records.ExchangeIntent(CONSENT, ROOT, ZERO, FAR))

    assert ("E_LIMIT", codes.ANOTHER_CONSENT) == (error.code, error.remedy)


@pytest.mark.parametrize("party", ["consent key", "consumer", "provider"])
def test_a_party_without_room_answers_a_dispute_that_another_opened(party: str) -> None:
    opener = "provider" if party == "consent key" else "consent key"
    scene = exchange_scene("USED")
    act(scene.view, opener, body_of("dispute.open", scene))
    fill(scene)
    before = trail(scene)

    act(scene.view, party, body_of("dispute.evidence", scene))

    assert before == trail(scene)
    for again in (party, opener):  # a second piece, and one of who took room for the others'
        assert "E_LIMIT" == refusal(scene, again, body_of("dispute.evidence", scene)).code


def test_a_supervisor_without_room_is_told_who_still_ends_the_consent() -> None:
    scene = fill(SCENES["consent"]("AUTHORISED"))

    error = refusal(scene, "supervisor", body_of("consent.stay", scene))

    assert ("E_LIMIT", codes.PROVIDER_REVOKES) == (error.code, error.remedy)
    act(scene.view, "provider", body_of("consent.revoke-on-behalf", scene))


def test_a_large_record_takes_the_room_of_several() -> None:
    scene = exchange_scene("USED")
    before = trail(scene).consumer
    body = structs.replace(decision(scene.exchange), reasons=("r" * 256,) * 12)

    act(scene.view, "consumer", body)

    assert 4 + 4 == trail(scene).consumer - before  # of 3 KiB and some bytes


@pytest.mark.parametrize(("size", "cost"), [(1024, 5), (1025, 6)])
def test_a_record_takes_one_more_from_the_first_byte_past_a_kib(size: int, cost: int) -> None:
    scene = exchange_scene("USED")
    before = trail(scene).consumer
    body = structs.replace(decision(scene.exchange), reasons=("r" * 100,) * 7)
    short = size - len(sign(scene.view, "consumer", body).encode())
    body = structs.replace(body, reasons=("r" * 100,) * 6 + ("r" * (100 + short),))
    record = sign(scene.view, "consumer", body)
    assert size == len(record.encode())

    assert "" == code_of(scene.view, record)

    assert cost == trail(scene).consumer - before


def test_a_decision_takes_room_in_the_trail_of_each_consent_that_it_rests_on() -> None:
    scene, other = acknowledged_of_two()
    view = scene.view
    touched = [consent_state(view, each).count for each in (CONSENT, NEW_CONSENT)]

    act(view, "consumer", decision(scene.exchange, other))

    assert 7 + 5 + 7 == trail(scene).consumer  # the scene has a decision of its own
    assert 7 + 7 == trail(scene, NEW_CONSENT).consumer
    assert touched == [consent_state(view, each).count for each in (CONSENT, NEW_CONSENT)]
    fill(scene, NEW_CONSENT, consumer=6)
    error = refusal(scene, "consumer", decision(scene.exchange, other))
    assert "E_LIMIT" == error.code


def test_each_party_revokes_once_whoever_was_first() -> None:
    for first, second in (("", "-on-behalf"), ("-on-behalf", "")):
        scene = exchange_scene("USED")
        for kind in (f"consent.revoke{first}", f"consent.revoke{second}"):
            signer = "provider" if kind.endswith("behalf") else "consent key"
            act(scene.view, signer, body_of(kind, scene), scene.time_ms)
            again = sign(scene.view, signer, body_of(kind, scene))
            assert "E_EXISTS" == code_of(scene.view, again, scene.time_ms)
        assert {"", "provider"} == set(consent_state(scene.view).revoked_by)


def test_a_provider_forgets_once() -> None:
    scene = exchange_scene("VOIDED")

    act(scene.view, "provider", body_of("exchange.forget", scene))

    assert exchange_state(scene.view, scene.exchange).forgotten
    error = refusal(scene, "provider", body_of("exchange.forget", scene))
    assert "E_EXISTS" == error.code
    act(scene.view, "consumer", body_of("exchange.erase", scene))
    again = sign(scene.view, "provider", body_of("exchange.forget", scene))
    assert "E_EXISTS" == code_of(scene.view, again)


def test_a_provider_forgets_once_more_what_it_corrected_after_it_forgot() -> None:
    scene = exchange_scene("USED")
    forget, correct = (body_of(f"exchange.{step}", scene) for step in ("forget", "correct"))
    for body, taken in ((correct, 1), (forget, 1), (correct, 3), (correct, 4)):
        act(scene.view, "provider", body)
        assert taken == trail(scene).provider
    fill(scene)

    act(scene.view, "provider", forget)

    assert "E_EXISTS" == refusal(scene, "provider", forget).code
    fill(scene, provider=1)  # the correction, and not that it is forgotten
    assert "E_LIMIT" == refusal(scene, "provider", correct).code


@pytest.mark.parametrize(("count", "code"), [(16, "E_ROLE"), (17, "E_LIMIT")])
def test_a_consent_names_at_most_sixteen_processors(count: int, code: str) -> None:
    view = begin()
    body = request(CONSENT, "consent key", processors=("processor", *["consumer"] * (count - 1)))

    assert code == code_of(view, sign(view, "consumer", body))


def agreed(status: str, count: int) -> Scene:
    """An agreement that has had so many records."""
    scene = SCENES["agreement"](status)
    name = rules.agreement_object(body_of("agreement.accept", scene).agreement)
    state = scene.view.get(name, rules.AgreementState)
    scene.view.put(name, structs.replace(state, count=count))
    return scene


@pytest.mark.parametrize(
    ("status", "kind", "signer"),
    [
        ("REQUESTED", "agreement.offer", "provider"),
        ("OFFERED", "agreement.request", "consumer"),
    ],
)
def test_an_agreement_goes_to_and_fro_so_often(status: str, kind: str, signer: str) -> None:
    limit = agreement.NEGOTIATION_LIMIT
    within, past = agreed(status, limit - 1), agreed(status, limit)

    act(within.view, signer, body_of(kind, within))
    error = refusal(past, signer, body_of(kind, past))

    assert ("E_LIMIT", codes.ANOTHER_AGREEMENT) == (error.code, error.remedy)
    assert f"agreement has {limit} records, want fewer than {limit} for {kind}" in str(error)


def test_a_party_that_suspends_an_agreement_uses_up_no_suspension_of_the_other() -> None:
    scene = SCENES["agreement"]("FINALIZED")
    suspend, resume = (body_of(f"agreement.{step}", scene) for step in ("suspend", "resume"))

    for _ in range(agreement.SUSPENSION_LIMIT):
        act(scene.view, "consumer", suspend)
        act(scene.view, "consumer", resume)
    error = refusal(scene, "consumer", suspend)

    assert ("E_LIMIT", codes.ANOTHER_AGREEMENT) == (error.code, error.remedy)
    limit = agreement.SUSPENSION_LIMIT
    assert f"consumer has suspended the agreement {limit} times, want {limit} at most" in str(error)
    act(scene.view, "provider", suspend)
    act(scene.view, "provider", resume)
    act(scene.view, "consumer", body_of("agreement.retire", scene))


@pytest.mark.parametrize(
    ("status", "kind", "signer"),
    [
        ("REQUESTED", "agreement.terminate", "consumer"),
        ("REQUESTED", "agreement.agree", "provider"),
        ("SUSPENDED", "agreement.resume", "consumer"),
        ("SUSPENDED", "agreement.retire", "consumer"),
    ],
)
def test_an_agreement_of_many_records_can_still_end(status: str, kind: str, signer: str) -> None:
    scene = agreed(status, 300)

    assert "" == code_of(scene.view, sign(scene.view, signer, body_of(kind, scene)))


def test_a_member_rotates_its_key_so_often_until_governance_gives_it_one() -> None:
    scene = SCENES["member"]("ACTIVE")
    name = rules.member_object("newcomer")
    state = scene.view.get(name, rules.MemberState)
    scene.view.put(name, structs.replace(state, rotations=member.ROTATION_LIMIT - 1))
    fork = Scene(scene.view.fork())
    act(fork.view, "newcomer", body_of("key.rotate", fork))
    assert member.ROTATION_LIMIT == fork.view.get(name, rules.MemberState).rotations

    scene.view.put(name, structs.replace(state, rotations=member.ROTATION_LIMIT))
    error = refusal(scene, "newcomer", body_of("key.rotate", scene))
    act(scene.view, "governor", body_of("key.replace", scene))

    assert ("E_LIMIT", codes.REPLACE) == (error.code, error.remedy)
    assert 0 == scene.view.get(name, rules.MemberState).rotations
