"""What a party signs is ordered soon or never, so that what was refused does not come back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ledgercore import Ledger, MalformedError, RefusedError, Vault, keys
from ledgercore.clock import ManualClock
from ledgercore.exchange import resume, sign, submit
from ledgercore.exchange.reading import read_state
from ledgercore.exchange.signer import LIFETIME_MS, RecordSigner
from ledgercore.exchange.submission import Accepted, Draft
from ledgercore.records import ConsentRevoke, Member, SchemaRegister
from ledgercore.rules import ExchangeState, exchange_object
from ledgercore.rules.engine import WINDOW_TOLERANCE_MS
from ledgercore.testing import signing_key
from tests.test_keys import Service
from tests.town import DAY_MS, FIELDS, Town

START = 1_767_225_600_000
ENDS_MS = LIFETIME_MS + WINDOW_TOLERANCE_MS
KEY = signing_key(5)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    yield town
    town.parties.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def ledger(tmp_path: Path, clock: ManualClock) -> Iterator[Ledger]:
    members = [Member("tax", "tax", ("provider",), KEY.public_key, bytes(32))]
    path, origin = tmp_path / "a.ledger", "tax.example/expiry"
    with Ledger.create(path, origin=origin, members=members, clock=clock) as ledger:
        yield ledger


@pytest.fixture
def signer(tmp_path: Path) -> Iterator[RecordSigner]:
    with closing(Vault(tmp_path / "a.vault", bytes(32))) as vault:
        yield RecordSigner(KEY, vault)


def publish(signer: RecordSigner, number: int) -> Draft:
    return Draft(signer, SchemaRegister(f"schema-{number}", 1, "", ()))


@pytest.mark.parametrize(("after_ms", "code"), [(ENDS_MS - 1, ""), (ENDS_MS, "E_CLOCK")])
def test_a_refused_record_that_was_kept_is_ordered_until_it_expires(
    town: Town, after_ms: int, code: str
) -> None:
    proposal, consumer, ledger = town.ask(town.terms()), town.parties.consumer, town.parties.ledger
    asked = consumer.request(proposal.consent, FIELDS, "credit.assess")
    signed_ms = town.clock.now_ms()
    (kept,) = sign(ledger, consumer.intend([asked]))
    (early,) = ledger.submit_many([kept.encode()])
    assert isinstance(early, RefusedError) and early.code == "E_CONSENT_STATE"
    town.authorise(proposal)  # now the intent would do, and the consumer has signed nothing since

    town.later(signed_ms + after_ms - town.clock.now_ms())
    (late,) = ledger.submit_many([kept.encode()])

    assert code == (late.code if isinstance(late, RefusedError) else "")


def test_every_record_of_a_call_expires_alike_whoever_signs(
    ledger: Ledger, signer: RecordSigner
) -> None:
    drafts = [publish(signer, number) for number in range(3)]
    by_key = sign(ledger, drafts)
    by_service = RecordSigner(Service(KEY), signer.vault)

    again = sign(ledger, [publish(by_service, number) for number in range(3)])

    assert [START + LIFETIME_MS] * 3 == [record.expiry_ms for record in by_key]
    assert [record.encode() for record in by_key] == [record.encode() for record in again]


def test_expiry_runs_from_the_clock_where_the_ledger_rests(
    ledger: Ledger, signer: RecordSigner, clock: ManualClock
) -> None:
    clock.advance(10 * ENDS_MS)

    (outcome,) = submit(ledger, [publish(signer, 0)])

    assert isinstance(outcome, Accepted)
    assert START + 10 * ENDS_MS + LIFETIME_MS == ledger.record(outcome.index).expiry_ms
    assert (ledger.time_ms, ledger.now_ms) == (START + 10 * ENDS_MS,) * 2


def test_expiry_runs_from_the_ledger_where_a_clock_is_behind(
    ledger: Ledger, signer: RecordSigner, clock: ManualClock
) -> None:
    clock.advance(-10 * ENDS_MS)

    (record,) = sign(ledger, [publish(signer, 0)])

    assert START == ledger.now_ms
    assert START + LIFETIME_MS == record.expiry_ms


def test_the_ends_that_parties_set_run_from_the_clock_where_the_ledger_rests(town: Town) -> None:
    """Before the intent, and before the admit: else either is refused as late."""
    proposal, ledger = town.consent(), town.parties.ledger

    town.clock.advance(2 * DAY_MS)
    intent, request = town.intend(proposal)
    asked_ms = town.clock.now_ms()
    town.clock.advance(DAY_MS - 1)
    town.accept(town.parties.provider.answer([(intent, request)]))

    state = read_state(ledger, exchange_object(intent), ExchangeState)
    assert asked_ms + DAY_MS == state.lapses_ms
    assert state.admission is not None
    assert town.clock.now_ms() + DAY_MS == state.admission.deadline_ms


@pytest.mark.parametrize(("lifetime_ms", "expiry_ms"), [(5, START + 5), (0, 0)])
def test_a_caller_says_when_a_record_expires(
    ledger: Ledger, signer: RecordSigner, lifetime_ms: int, expiry_ms: int
) -> None:
    submit(ledger, [publish(signer, 0)], lifetime_ms=lifetime_ms)

    assert expiry_ms == ledger.record(1).expiry_ms


@pytest.mark.parametrize("lifetime_ms", [-1, 2**53])
def test_a_lifetime_that_is_none_is_refused_and_nothing_is_signed(
    ledger: Ledger, signer: RecordSigner, lifetime_ms: int
) -> None:
    for call in (sign, submit):
        with pytest.raises(MalformedError, match="lifetime_ms is"):
            call(ledger, [publish(signer, 0)], lifetime_ms=lifetime_ms)

    assert signer.load(ledger.network) is None


def test_what_expired_before_it_was_sent_is_told_by_resume_and_never_ordered(
    ledger: Ledger, signer: RecordSigner, clock: ManualClock
) -> None:
    (left,) = sign(ledger, [publish(signer, 0)])
    clock.advance(ENDS_MS)

    (refused,) = resume(ledger, [signer])

    assert isinstance(refused, RefusedError) and refused.code == "E_CLOCK"
    assert resume(ledger, [signer]) == []
    (outcome,) = submit(ledger, [publish(signer, 0)])
    assert isinstance(outcome, Accepted) and outcome.id != left.id


def test_drafts_that_expired_before_they_were_sent_are_signed_anew_in_their_order(
    ledger: Ledger, signer: RecordSigner, clock: ManualClock
) -> None:
    drafts = [publish(signer, number) for number in range(3)]
    left = sign(ledger, drafts)
    clock.advance(ENDS_MS)

    outcomes = submit(ledger, drafts)

    ordered = [ledger.record(index) for index in range(1, ledger.size)]
    assert [each.id for each in outcomes if isinstance(each, Accepted)] == [x.id for x in ordered]
    assert [record.body for record in left] == [record.body for record in ordered]
    assert not {record.id for record in left} & {record.id for record in ordered}


def test_more_records_than_a_token_signs_in_ten_minutes_are_given_longer(
    ledger: Ledger, signer: RecordSigner, clock: ManualClock
) -> None:
    class Slow(Service):
        def sign(self, message: bytes) -> bytes:
            clock.advance(ENDS_MS // 3)
            return super().sign(message)

    slow = RecordSigner(Slow(KEY), signer.vault)

    late, *_ = submit(ledger, [publish(slow, number) for number in range(3)])
    longer = submit(ledger, [publish(slow, 3 + at) for at in range(3)], lifetime_ms=4 * ENDS_MS)

    assert isinstance(late, RefusedError) and late.code == "E_CLOCK"
    assert 3 == len([each for each in longer if isinstance(each, Accepted)])


def test_what_was_ordered_is_found_again_however_late(
    ledger: Ledger, signer: RecordSigner, clock: ManualClock
) -> None:
    drafts = [publish(signer, 0)]
    before = submit(ledger, drafts)
    clock.advance(ENDS_MS)

    assert before == submit(ledger, drafts)
    assert 2 == ledger.size


def test_a_revocation_never_expires(town: Town) -> None:
    proposal, ledger = town.consent(), town.parties.ledger
    (kept,) = sign(ledger, [town.subject.revoke(proposal)])
    town.later(10 * ENDS_MS)

    assert 0 == kept.expiry_ms  # no rule would read it
    assert ConsentRevoke.KIND == kept.kind
    assert [ledger.size] == ledger.submit_many([kept.encode()])


def test_a_revocation_has_no_end_among_records_that_have_one(town: Town) -> None:
    proposal, ledger, provider = town.consent(), town.parties.ledger, town.parties.provider
    schemas = [publish(provider._key, number) for number in range(2)]
    drafts = [schemas[0], provider.revoke_on_behalf(proposal.consent, b"a letter"), schemas[1]]

    signed = sign(ledger, drafts)
    accepted = submit(ledger, drafts)

    ends_ms = town.clock.now_ms() + LIFETIME_MS
    assert [ends_ms, 0, ends_ms] == [record.expiry_ms for record in signed]
    ids = [each.id for each in accepted if isinstance(each, Accepted)]
    assert [record.id for record in signed] == ids
    assert [] == resume(ledger, [provider._key])


def test_a_batch_is_signed_with_its_end_as_each_record_alone_is() -> None:
    given = {"suite": "std", "network": bytes(16), "kind": "data"}
    batch = keys.sign_batch(
        KEY, bodies=[b"x"], sequence=0, previous=bytes(32), expiry_ms=START, **given
    )
    alone = keys.sign_record(
        KEY, body=b"x", sequence=0, previous=bytes(32), expiry_ms=START, **given
    )

    assert alone.encode() == batch[0].encode()
