"""Keys that do not come, intents that lapse, disputes, and what a provider forgets."""

from __future__ import annotations

import pytest
from msgspec import structs

from ledgercore import records, rules
from tests.network import (
    CONSENT,
    DEADLINE,
    FAR,
    PURPOSE,
    ROOT,
    START,
    act,
    admit,
    authorised,
    begin,
    code_of,
    consent_state,
    exchange_scene,
    exchange_state,
    intend,
    sign,
)


@pytest.mark.parametrize(("time_ms", "code"), [(FAR - 1, ""), (FAR, "E_EXCHANGE_STATE")])
def test_intent_lapses_on_the_millisecond(time_ms, code):
    view = authorised(begin(), expires_ms=2 * FAR)
    body = structs.replace(admit(intend(view)), deadline_ms=FAR + 1)

    assert code == code_of(view, sign(view, "provider", body), time_ms)


@pytest.mark.parametrize(("time_ms", "code"), [(DEADLINE - 1, "E_EXCHANGE_STATE"), (DEADLINE, "")])
def test_time_out_begins_on_the_millisecond_and_gives_the_use_back(time_ms, code):
    view = authorised(begin(), max_uses=1, expires_ms=2 * FAR)
    exchange = intend(view)
    act(view, "provider", admit(exchange))

    assert code == code_of(view, sign(view, "consumer", records.ExchangeTimeOut(exchange)), time_ms)
    assert (1 if code else 0) == consent_state(view).uses


@pytest.mark.parametrize("time_ms", [START, DEADLINE])
def test_restriction_of_what_may_not_have_come_ends_no_deadline(time_ms):
    view = authorised(begin(), max_uses=1, expires_ms=2 * FAR)
    exchange = intend(view)
    act(view, "provider", admit(exchange))
    restricted = records.ExchangeRestrict(exchange, "tax-law", 2 * FAR)

    assert "E_EXCHANGE_STATE" == code_of(view, sign(view, "consumer", restricted), time_ms)

    other = view.fork()  # it came, and a law has it kept
    act(other, "consumer", records.ExchangeAcknowledge(exchange), time_ms)
    act(other, "consumer", restricted, time_ms)
    assert "RESTRICTED" == exchange_state(other, exchange).status
    act(view, "consumer", records.ExchangeTimeOut(exchange), DEADLINE)
    assert 0 == consent_state(view).uses


def test_key_that_was_sent_on_the_record_is_not_timed_out():
    scene = exchange_scene("RELEASED")
    body = records.ExchangeTimeOut(scene.exchange)

    code = code_of(scene.view, sign(scene.view, "consumer", body), DEADLINE)

    assert "E_EXCHANGE_STATE" == code


def test_release_after_a_revoke_is_refused():
    scene = exchange_scene("ADMITTED")
    act(scene.view, "consent key", records.ConsentRevoke(CONSENT))
    body = records.ExchangeRelease(scene.exchange, ROOT)

    assert "E_CONSENT_STATE" == code_of(scene.view, sign(scene.view, "provider", body))


def test_dismissed_complaint_lets_use_go_on():
    scene = exchange_scene("USED")
    act(scene.view, "consent key", records.DisputeOpen(scene.exchange, "E_PURPOSE", ROOT))
    act(scene.view, "provider", records.DisputeEvidence(scene.exchange, ROOT))
    act(scene.view, "supervisor", records.DisputeRule(scene.exchange, "dismissed", ROOT))

    act(scene.view, "consumer", records.ExchangeUse(scene.exchange, scene.decision, PURPOSE))

    state = scene.view.get(rules.dispute_object(scene.exchange), rules.DisputeState)
    assert state is not None
    assert (state.status, state.count) == ("RULED", 3)
    assert (state.complainants, state.ruling) == (("",), "dismissed")


def test_a_dismissed_complaint_bars_no_other_partys_and_each_opens_one():
    scene = exchange_scene("USED")
    parties = ("consumer", "provider", "consent key")
    for party in parties:
        act(scene.view, party, records.DisputeOpen(scene.exchange, "E_PURPOSE", ROOT))
        for other in parties:
            body = records.DisputeOpen(scene.exchange, "E_SCOPE", ROOT)
            assert code_of(scene.view, sign(scene.view, other, body)) == "E_DISPUTE"
        use = records.ExchangeUse(scene.exchange, scene.decision, PURPOSE)
        assert code_of(scene.view, sign(scene.view, "consumer", use)) == "E_DISPUTE"
        act(scene.view, "supervisor", records.DisputeRule(scene.exchange, "dismissed", ROOT))
        act(scene.view, "consumer", use)

    for party in parties:
        body = records.DisputeOpen(scene.exchange, "E_PURPOSE", ROOT)
        assert code_of(scene.view, sign(scene.view, party, body)) == "E_EXISTS"


def test_nothing_is_disputed_again_once_a_complaint_was_upheld():
    scene = exchange_scene("USED")
    act(scene.view, "consumer", records.DisputeOpen(scene.exchange, "E_PURPOSE", ROOT))
    act(scene.view, "supervisor", records.DisputeRule(scene.exchange, "upheld", ROOT))

    body = records.DisputeOpen(scene.exchange, "E_PURPOSE", ROOT)
    assert code_of(scene.view, sign(scene.view, "consent key", body)) == "E_DISPUTE"


def test_dispute_is_in_the_history_of_exchange_and_consent():
    scene = exchange_scene("ACKNOWLEDGED")
    before = consent_state(scene.view).count, exchange_state(scene.view, scene.exchange).count

    act(scene.view, "provider", records.DisputeOpen(scene.exchange, "E_PURPOSE", ROOT))

    after = consent_state(scene.view).count, exchange_state(scene.view, scene.exchange).count
    assert tuple(count + 1 for count in before) == after


def test_dispute_of_no_exchange_is_unknown():
    view = authorised(begin())
    body = records.DisputeOpen(ROOT, "E_SCOPE", ROOT)

    assert "E_UNKNOWN" == code_of(view, sign(view, "consumer", body))


def test_provider_that_promised_to_forget_is_seen_to_have():
    scene = exchange_scene("USED")

    act(scene.view, "provider", records.ExchangeForget(scene.exchange, "acknowledged"))

    state = exchange_state(scene.view, scene.exchange)
    assert ("USED", True) == (state.status, state.forgotten)
