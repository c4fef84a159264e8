"""What the states of objects hold after the records that moved them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from ledgercore import records, rules
from ledgercore.errors import CorruptError, RefusedError
from ledgercore.rules import Position, View
from tests.network import (
    CONSENT,
    DEADLINE,
    FAR,
    KEYS,
    PURPOSE,
    ROOT,
    START,
    ZERO,
    act,
    admit,
    apply,
    authorise,
    authorised,
    begin,
    consent_state,
    decision,
    empty_view,
    exchange_scene,
    exchange_state,
    genesis_body,
    intend,
    request,
    running_hash,
    sign,
    sign_genesis,
)
from tests.vector_histories import Books
from verifier import ledgercore_verify


def test_admission_keeps_the_consent_as_it_was_before():
    view = authorised(begin(), max_uses=1)
    exchange = intend(view)
    before = consent_state(view)

    act(view, "provider", admit(exchange), START + 5)

    assert (
        rules.Admission(
            "AUTHORISED", before.count, ROOT, 1, 7, 9, START + 5, ROOT, ROOT, 4096, DEADLINE, None
        )
        == exchange_state(view, exchange).admission
    )
    assert ("CONSUMED", 1) == (
        rules.consent_status_at(consent_state(view), START),
        consent_state(view).uses,
    )


def test_every_record_is_in_the_history_of_what_it_touched():
    view = begin()
    trails: dict[str, list[bytes]] = {"consent": [], "exchange": [], "decision": []}

    def touch(signer: str, body: records.RecordBody, *touched: str) -> bytes:
        record_id = act(view, signer, body)
        for name in touched:
            trails[name].append(record_id)
        return record_id

    touch("consumer", request(CONSENT, "consent key"), "consent")
    touch("consent key", authorise(view, CONSENT, "consent key"), "consent")
    intent = records.ExchangeIntent(CONSENT, ROOT, ZERO, FAR)
    exchange = touch("consumer", intent, "consent", "exchange")
    touch("provider", admit(exchange), "consent", "exchange")
    touch("consumer", records.ExchangeAcknowledge(exchange), "consent", "exchange")
    basis = touch("consumer", decision(exchange), "exchange", "decision")
    use = records.ExchangeUse(exchange, basis, PURPOSE)
    touch("consumer", use, "consent", "exchange", "decision")
    touch("consent key", records.ConsentRevoke(CONSENT), "consent")
    touch("consumer", records.ExchangeErase(exchange, "revoked"), "consent", "exchange")

    states = {
        "consent": consent_state(view),
        "exchange": exchange_state(view, exchange),
        "decision": view.get(rules.decision_object(basis), rules.DecisionState),
    }
    for name, trail in trails.items():
        state = states[name]
        assert (len(trail), running_hash(trail)) == (state.count, state.history)


def resized(value: Any) -> Iterator[Any]:
    """A state's array with one of its byte strings a byte shorter or longer, for each in turn."""
    if isinstance(value, bytes):
        yield value + b"\0"
        if value:
            yield value[1:]
    for at, each in enumerate(value if isinstance(value, list) else ()):
        for other in resized(each):
            yield [*value[:at], other, *value[at + 1 :]]


def test_ids_keys_and_hashes_of_another_length_are_in_no_state():
    """Of each family, as both verifiers decode it."""
    for name, state in Books("std").held.items():
        word = ledgercore_verify.word_of(name)
        encoded = rules.encode_state(state)
        assert rules.decode_object(name, encoded) == state
        assert ledgercore_verify.decode_state(word, encoded)
        for wrong in map(msgspec.msgpack.encode, resized(msgspec.msgpack.decode(encoded))):
            with pytest.raises(CorruptError):
                rules.decode_object(name, wrong)
            with pytest.raises(ledgercore_verify.Refusal):
                ledgercore_verify.decode_state(word, wrong)


def test_void_gives_the_use_back():
    view = authorised(begin(), max_uses=1)
    first = intend(view)
    act(view, "provider", admit(first))
    assert ("CONSUMED", 1) == (
        rules.consent_status_at(consent_state(view), START),
        consent_state(view).uses,
    )
    act(view, "provider", records.ExchangeVoid(first, "E_CONSENT_STATE"))
    assert (consent_state(view).status, consent_state(view).uses) == ("AUTHORISED", 0)
    assert exchange_state(view, first).code == "E_CONSENT_STATE"
    act(view, "provider", admit(intend(view)))
    assert rules.consent_status_at(consent_state(view), START) == "CONSUMED"


def test_void_of_a_revoked_consent_leaves_it_revoked():
    view = authorised(begin(), max_uses=1)
    exchange = intend(view)
    act(view, "provider", admit(exchange))
    act(view, "consent key", records.ConsentRevoke(CONSENT))
    act(view, "provider", records.ExchangeVoid(exchange, "E_CONSENT_STATE"))
    assert (consent_state(view).status, consent_state(view).uses) == ("REVOKED", 0)
    with pytest.raises(RefusedError, match="E_CONSENT_STATE"):
        intend(view)


def test_revocation_on_behalf_has_no_window_and_stops_every_use():
    view = authorised(begin())
    exchange = intend(view)
    act(view, "provider", admit(exchange))
    act(view, "consumer", records.ExchangeAcknowledge(exchange))
    decided = act(view, "consumer", decision(exchange))
    body = records.ConsentRevokeOnBehalf(CONSENT, ROOT)
    apply(view, sign(view, "provider", body, not_before_ms=1, expiry_ms=2))
    assert consent_state(view).status == "REVOKED"
    with pytest.raises(RefusedError, match="E_CONSENT_STATE"):
        act(view, "consumer", records.ExchangeUse(exchange, decided, PURPOSE))


@pytest.mark.parametrize("until_ms", [0, START - 1, START])
def test_restriction_has_an_end_ahead(until_ms):
    view = authorised(begin())
    exchange = intend(view)
    act(view, "provider", admit(exchange))
    act(view, "consumer", records.ExchangeAcknowledge(exchange))
    with pytest.raises(RefusedError, match="E_CLOCK"):
        act(view, "consumer", records.ExchangeRestrict(exchange, "tax-law", until_ms))
    act(view, "consumer", records.ExchangeRestrict(exchange, "tax-law", START + 1))
    assert exchange_state(view, exchange).status == "RESTRICTED"


@pytest.mark.parametrize(("status", "code"), [("REFUSED", "E_SCOPE"), ("DECLINED", "E_SCOPE")])
def test_exchange_keeps_the_reason_why_it_stopped(status, code):
    scene = exchange_scene(status)

    assert code == exchange_state(scene.view, scene.exchange).code


def test_documented_state_has_the_documented_bytes():
    view = begin()
    act(view, "provider", records.ProductWithdraw("tax.v1"))

    state = dict(view.changes())[rules.product_object("tax.v1")]

    assert state.hex(" ").startswith("9b a9 57 49 54 48 44 52 41 57 4e 02 c4 20")


def test_changes_are_in_the_order_of_names():
    names = [name for name, _ in authorised(begin()).changes()]

    assert sorted(names) == names


def test_withdrawn_product_leaves_given_consents_alone():
    view = authorised(begin())
    act(view, "provider", records.ProductWithdraw("tax.v1"))

    act(view, "provider", admit(intend(view)))

    assert 1 == consent_state(view).uses


def test_operator_is_admitted_for_data():
    view = begin()

    act(view, "operator", b"payload")

    assert 2 == rules.next_position(view, KEYS["operator"].public_key)[0]


def test_operator_that_is_a_listed_member_keeps_its_own_name():
    view = empty_view()
    body = genesis_body(operator_key=KEYS["supervisor"].public_key)

    rules.apply(view, sign_genesis(body, "supervisor"), Position(0, 0, START))

    key = view.get(rules.key_object(body.operator_key), rules.KeyState)
    assert rules.KeyState("supervisor", b"") == key
    assert view.get(rules.member_object("operator"), rules.MemberState) is None


def test_states_load_back_from_what_changes_gives():
    scene = exchange_scene("USED")
    stored = dict(scene.view.changes())
    again = View(stored.get)

    assert exchange_state(scene.view, scene.exchange) == exchange_state(again, scene.exchange)
    assert consent_state(scene.view) == consent_state(again)
    assert [] == again.changes()


def test_state_that_does_not_decode_is_corrupt():
    view = View(lambda name: b"\x93\x01")

    with pytest.raises(CorruptError, match="ConsentState"):
        view.get(rules.consent_object(CONSENT), rules.ConsentState)


def test_dropped_fork_leaves_nothing_and_merged_fork_leaves_all():
    view = begin()
    before = view.changes()

    inner = view.fork().fork()
    act(inner, "consumer", b"payload")
    assert before == view.changes()
    changed = inner.changes()
    inner.merge()
    assert before == view.changes()

    outer = view.fork()
    inner = outer.fork()
    act(inner, "consumer", b"payload")
    inner.merge()
    outer.merge()
    assert dict(before) | dict(changed) == dict(view.changes())


@pytest.mark.parametrize("suite", ["std", "c2sp"])
def test_two_runs_change_the_same_bytes(suite):
    def run() -> list[tuple[bytes, bytes]]:
        view = authorised(begin(suite))
        exchange = intend(view)
        act(view, "provider", admit(exchange))
        act(view, "consumer", records.ExchangeAcknowledge(exchange))
        act(view, "consumer", decision(exchange))
        return view.changes()

    assert run() == run()
