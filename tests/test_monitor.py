"""What a supervisor is shown: what should have happened and has not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ledgercore import Ledger, RefusedError
from ledgercore.demo.parties import BANK, TAX
from ledgercore.exchange import Supervisor
from ledgercore.exchange.monitor import Findings
from tests.town import DAY_MS, FIELDS, HOUR_MS, Town


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    yield town
    town.parties.close()


def findings(town: Town) -> Findings:
    with Ledger.open(town.parties.ledger.path, read_only=True) as observed:
        return Supervisor(observed).watch()


def test_a_quiet_ledger_has_nothing_to_look_into(town: Town) -> None:
    found = findings(town)

    assert found.refused == found.timed_out == {}
    assert found.agreements == {"FINALIZED": 1}
    assert not any(
        getattr(found, name)
        for name in (
            *("stale_consents", "stayed_consents", "unreleased", "overdue", "unanswered"),
            *("open_disputes", "late_reviews", "due_disclosures", "consent_to_decision_ms"),
            *("frozen_schemas", "suspended_agreements"),
        )
    )


def test_totals_count_agreements_as_the_findings_do(town: Town) -> None:
    bank, end_ms = town.parties.consumer.agreements, town.clock.now_ms() + DAY_MS
    town.negotiate(end_ms)
    town.accept([bank.suspend(town.negotiate(end_ms + DAY_MS), "E_CLOCK")])
    town.later(DAY_MS)

    with Ledger.open(town.parties.ledger.path, read_only=True) as observed:
        totals = Supervisor(observed).totals()

    assert totals.agreements == {"EXPIRED": 1, "FINALIZED": 1, "SUSPENDED": 1}
    assert totals.agreements == findings(town).agreements


def test_admits_without_a_key_are_seen_and_then_overdue_and_timed_out(town: Town) -> None:
    first, second = town.intend(town.consent()), town.intend(town.consent())
    provider, consumer = town.parties.provider, town.parties.consumer
    town.accept(provider.answer([first, second]))
    assert set(findings(town).unreleased) == {first[0], second[0]}
    assert findings(town).overdue == ()
    assert set(findings(town).without_audit_copy) == {first[0], second[0]}

    town.later(DAY_MS)
    town.accept([consumer.time_out(first[0])])

    found = findings(town)
    assert (found.overdue, found.timed_out) == ((second[0],), {TAX: 1})


def test_a_key_on_record_without_an_answer_is_seen_from_the_deadline_on(town: Town) -> None:
    intent, request = town.intend(town.consent())
    _, release = town.deliver(intent, request)
    town.accept([town.parties.provider.confirm_release(release)])
    assert findings(town).unanswered == ()

    town.later(DAY_MS)

    assert findings(town).unanswered == (intent,)


def test_refusals_and_declines_are_counted_by_code(town: Town) -> None:
    consumer, provider = town.parties.consumer, town.parties.provider
    refused = town.intend(town.consent(), *FIELDS, "aud.open")
    town.accept(provider.answer([refused]))
    declined, request = town.intend(town.consent())
    consumer.open(*town.deliver(declined, request))
    town.accept([consumer.decline(declined, RefusedError("E_SCOPE", "another firm"))])

    assert findings(town).refused == {"E_SCOPE": 2}


def test_consents_that_ended_or_rest_are_seen(town: Town) -> None:
    ends_ms = town.clock.now_ms() + HOUR_MS
    expired, stayed = town.consent(expires_ms=ends_ms), town.consent()
    lapsed = town.ask(town.terms())
    town.accept([town.authority().stay(stayed.consent, "court-order", "an order")])
    town.later(HOUR_MS)

    found = findings(town)

    assert set(found.stale_consents) == {expired.consent, lapsed.consent}
    assert found.stayed_consents == (stayed.consent,)


def test_agreements_are_counted_by_what_they_are_at_the_ledgers_time(town: Town) -> None:
    bank, authority = town.parties.consumer.agreements, town.parties.provider.agreements
    product, purposes = town.mapping.offer.product, (town.mapping.offer.purpose,)
    brief = bank.draw_up(BANK, product, purposes, "for an hour", town.clock.now_ms() + HOUR_MS)
    town.accept([bank.request(brief), authority.suspend(town.agreement, "INCIDENT")])
    found = findings(town)
    assert found.agreements == {"REQUESTED": 1, "SUSPENDED": 1}
    assert found.suspended_agreements == (town.agreement,)

    town.later(HOUR_MS)
    town.accept([authority.resume(town.agreement)])

    found = findings(town)
    assert found.agreements == {"EXPIRED": 1, "FINALIZED": 1}
    assert found.suspended_agreements == ()


def test_time_from_consent_to_decision_is_by_the_ledgers_blocks(town: Town) -> None:
    proposal = town.consent()
    town.later(5 * HOUR_MS)
    intent, request = town.intend(proposal)
    consumer = town.parties.consumer
    consumer.open(*town.deliver(intent, request))
    town.accept([consumer.acknowledge(intent)])
    town.clock.advance(HOUR_MS)
    town.accept([consumer.decide([intent], "approved", b"model", [])])

    assert findings(town).consent_to_decision_ms == (6 * HOUR_MS,)


def test_late_reviews_disputes_and_undisclosed_audits_are_seen(town: Town) -> None:
    town.share_audit_key()
    key = town.parties.provider._audit_key
    assert key
    proposal = town.consent()
    intent, request = town.intend(proposal)
    consumer = town.parties.consumer
    consumer.open(*town.deliver(intent, request))
    town.accept([consumer.acknowledge(intent)])
    (decided,) = town.accept([consumer.decide([intent], "declined", b"model", [])])
    town.accept([town.subject.contest(proposal, decided.id, "a person should look")])
    town.accept([town.subject.disputes(proposal).open(intent, "E_PURPOSE", "marketing")])
    now_ms = town.clock.now_ms()
    draft, _ = town.authority().order(
        key, "tax-law-54", [intent], expires_ms=now_ms + 1, embargo_until_ms=now_ms + DAY_MS
    )
    (order,) = town.accept([draft])
    assert (findings(town).late_reviews, findings(town).due_disclosures) == ((), ())
    assert findings(town).without_audit_copy == ()

    town.later(15 * DAY_MS)

    found = findings(town)
    assert found.late_reviews == (decided.id,)
    assert found.due_disclosures == (order.id,)
    assert found.open_disputes == (intent,)
