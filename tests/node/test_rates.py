"""What one caller may have at a time, and what all may."""

from __future__ import annotations

import pytest

from ledgercore import UnavailableError
from ledgercore.clock import ManualClock
from ledgercore.node.bodies import Bodies
from ledgercore.node.rates import BUCKETS, Allowance, Rates, TooManyError


def test_what_all_certificates_send_without_a_warrant_is_bounded() -> None:
    counted = list[int]()
    bodies = Bodies(100, 60, counted.append, "share")

    with bodies.body("a", 0) as of_a, bodies.body("b", 50) as of_b:
        of_a(60)
        with pytest.raises(TooManyError, match=r"a has bodies of 60 .* node's limit share; ask"):
            of_a(1)
        of_b(40)
        with pytest.raises(UnavailableError, match="under way have 100 bytes, want at most 100"):
            of_b(1)
        with pytest.raises(UnavailableError, match="wait"), bodies.body("c", 1):
            pass
    with bodies.body("c", 60) as of_c:
        of_c(60)

    assert sum(counted) == 0


def test_who_asks_too_often_is_told_whose_limit_it_is_and_when_to_come_again() -> None:
    clock = ManualClock(0)
    rates, slow = Rates(clock), Allowance(1, 3, 1, "open_requests", "open_requests_under_way")
    for _ in range(3):
        with rates.request("a", slow):
            pass

    with pytest.raises(TooManyError, match=r"limits open_requests_per_s and open_requests_burst"):
        rates.request("a", slow).__enter__()
    clock.advance(1_000)
    with (
        rates.request("a", slow),
        pytest.raises(TooManyError, match=r"at once: .*; ask again in 1 s$"),
    ):
        rates.request("a", slow).__enter__()
    clock.advance(1_000)
    with (
        rates.request("b", slow),
        pytest.raises(TooManyError, match="want at most 1: this node's limit open_requests_under"),
    ):
        rates.request("b", slow).__enter__()


def test_what_is_to_be_waited_is_never_less_than_it_takes() -> None:
    assert [TooManyError("", wait_s).wait_s for wait_s in (0, 0.2, 1.2, 7)] == [1, 1, 2, 7]


def test_callers_that_are_gone_are_forgotten_and_those_that_wait_are_not() -> None:
    clock = ManualClock(0)
    rates, allowance = Rates(clock), Allowance(1, 2, 2)

    with rates.request("slow", allowance):
        for number in range(3 * BUCKETS):
            with rates.request(f"caller {number}", allowance):
                clock.advance(3_000)

        with rates.request("slow", allowance), pytest.raises(TooManyError, match="under way"):
            rates.request("slow", allowance).__enter__()
    assert len(rates._buckets) <= BUCKETS
