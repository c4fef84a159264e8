"""Decisions whose amounts only move between records are refused, by rule T7."""

from __future__ import annotations

import random

import pytest
from msgspec import structs

from ledgercore import records, rules
from ledgercore.rules import View
from ledgercore.rules.amounts import ROW
from tests import ristretto
from tests.network import (
    DEADLINE,
    FAR,
    OTHER_CONSENT,
    ROOT,
    ZERO,
    act,
    authorise,
    authorised,
    begin,
    code_of,
    decision,
    intend,
    request,
    sign,
)


def commitment(amount: int, blinding: int) -> bytes:
    """Amount and blinding may be below zero, which the package itself never commits to."""
    point = ristretto.BASE.times(amount) + ristretto.BLINDING.times(blinding)
    return ristretto.encode(point)


def two_consumers() -> tuple[View, dict[str, bytes]]:
    """An exchange each, that its consumer decides on."""
    view = authorised(begin(), expires_ms=2 * FAR)
    body = request(OTHER_CONSENT, "other consent key", expires_ms=2 * FAR)
    act(view, "other consumer", body)
    act(view, "other consent key", authorise(view, OTHER_CONSENT, "other consent key"))
    other = records.ExchangeIntent(OTHER_CONSENT, ROOT, ZERO, FAR)
    exchanges = {"consumer": intend(view), "other consumer": act(view, "other consumer", other)}
    for consumer, exchange in exchanges.items():
        admit = records.ExchangeAdmit(exchange, ROOT, ROOT, 4096, DEADLINE, None)
        act(view, "provider", admit)
        act(view, consumer, records.ExchangeAcknowledge(exchange))
    return view, exchanges


def decide(exchange: bytes, amount: int, blinding: int) -> records.DecisionRecord:
    return structs.replace(
        decision(exchange), amount_commitment=commitment(amount, blinding), model_hash=ROOT
    )


@pytest.mark.parametrize("taker", ["consumer", "other consumer"])
def test_what_one_takes_another_does_not_give(taker: str) -> None:
    view, exchanges = two_consumers()
    act(view, "consumer", decide(exchanges["consumer"], 500, 7))
    before = view.changes()

    record = sign(view, taker, decide(exchanges[taker], -500, -7))

    assert code_of(view, record) == "E_TOKEN_LIKE"
    assert view.changes() == before


def test_a_transfer_of_several_parts_is_noticed_with_its_last() -> None:
    view, exchanges = two_consumers()
    act(view, "consumer", decide(exchanges["consumer"], 9, 3))
    for amount, blinding in ((-500, 11), (200, 5)):
        act(view, "consumer", decide(exchanges["consumer"], amount, blinding))

    last = sign(view, "other consumer", decide(exchanges["other consumer"], 300, -16))

    assert code_of(view, last) == "E_TOKEN_LIKE"


def test_nothing_blinded_with_nothing_is_refused() -> None:
    view, exchanges = two_consumers()

    record = sign(view, "consumer", decide(exchanges["consumer"], 0, 0))

    assert code_of(view, record) == "E_TOKEN_LIKE"


@pytest.mark.parametrize(("between", "code"), [(ROW - 2, "E_TOKEN_LIKE"), (ROW - 1, "")])
def test_a_row_is_looked_back_at_so_far(between: int, code: str) -> None:
    view, exchanges = two_consumers()
    exchange = exchanges["consumer"]
    for number in range(1, between + 2):
        act(view, "consumer", decide(exchange, number, number * number))
    amount, blinding = sum(range(1, between + 2)), sum(n * n for n in range(1, between + 2))

    assert code_of(view, sign(view, "consumer", decide(exchange, -amount, -blinding))) == code
    state = view.get(rules.AMOUNTS, rules.AmountsState)
    assert len(state.sums) <= ROW


def test_amounts_that_are_blinded_each_for_itself_are_free(rng: random.Random) -> None:
    """The control: the same amounts again and again, and amounts of nothing."""
    view, exchanges = two_consumers()
    for amount in (0, 0, 500, 500, -500):
        body = decide(exchanges["consumer"], amount, rng.getrandbits(250))
        act(view, "consumer", body)
