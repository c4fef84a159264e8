"""A consumer's totals are the sums of what its decisions commit to, and nothing can be left out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from msgspec import structs

from ledgercore import InvalidProof, Ledger, LimitError, MalformedError, UntrustedError, _core
from ledgercore.demo.parties import BANK
from ledgercore.exchange import Supervisor
from ledgercore.exchange.messages import decode_message
from ledgercore.exchange.totals import (
    Amount,
    TotalsProof,
    TotalsReport,
    add_up,
    booked,
    verify_totals,
    verify_totals_proof,
)
from ledgercore.proofs import verify_history
from ledgercore.rules import BookState, book_object
from ledgercore.rules.view import decode_state
from tests import ristretto
from tests.town import Town

AMOUNTS = (1_000_00, 0, 77, 2**52)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    for amount in (*AMOUNTS, None):
        decide(town, amount)
    yield town
    town.parties.close()


def decide(town: Town, amount: int | None) -> None:
    intent, request = town.intend(town.consent())
    consumer = town.parties.consumer
    consumer.open(*town.deliver(intent, request))
    town.accept([consumer.acknowledge(intent)])
    town.accept([consumer.decide([intent], "approved", b"model", [], amount=amount)])


def openings(town: Town) -> list[Amount]:
    history = town.parties.ledger.history(book_object(BANK))
    vault = town.parties.vaults[BANK]
    return [
        decode_message(vault.load(f"amount/{point.hex()}") or b"", Amount)
        for _, point in booked(history)
    ]


def test_the_supervisor_accepts_the_total_and_sees_no_amount(town: Town) -> None:
    ledger = town.parties.ledger
    report = town.parties.consumer.report_totals(0, ledger.size)
    assert (report.count, report.amount) == (4, sum(AMOUNTS))

    with Ledger.open(ledger.path, read_only=True) as observed:
        Supervisor(observed).verify_totals(report)


def test_no_thread_waits_for_the_vault_while_it_holds_the_ledger(town: Town) -> None:
    """Another one that holds the vault, and waits for the ledger, would wait for ever."""
    ledger, vault = town.parties.ledger, town.parties.vaults[BANK]
    load = vault.load

    def load_beside(name: str) -> bytes | None:
        reader = threading.Thread(target=lambda: ledger.time_ms)
        reader.start()
        reader.join(5)
        assert not reader.is_alive(), "the ledger is held"
        return load(name)

    with mock.patch.object(vault, "load", load_beside):
        assert town.parties.consumer.report_totals(0, ledger.size).count == 4


@pytest.mark.parametrize("left_out", range(4))
def test_a_report_that_leaves_one_out_is_refused(town: Town, left_out: int) -> None:
    supervisor, size = Supervisor(town.parties.ledger), town.parties.ledger.size
    rest = [each for at, each in enumerate(openings(town)) if at != left_out]
    fewer = add_up(BANK, 0, size, rest)

    with pytest.raises(InvalidProof, match="counts 3 decisions, want 4"):
        supervisor.verify_totals(fewer)
    with pytest.raises(InvalidProof, match="not the sum"):
        supervisor.verify_totals(structs.replace(fewer, count=4))


@pytest.mark.parametrize("change", [1, -1, 2**40, -(2**40)])
def test_a_total_that_is_changed_is_refused(town: Town, change: int) -> None:
    report = town.parties.consumer.report_totals(0, town.parties.ledger.size)
    wrong = structs.replace(report, amount=report.amount + change)

    with pytest.raises(InvalidProof, match="not the sum"):
        Supervisor(town.parties.ledger).verify_totals(wrong)


def test_a_total_that_no_verifier_takes_is_not_reported() -> None:
    """2,048 decisions of the most that one may be of are below 2^64, and one more is not."""
    most = Amount(2**53 - 1, bytes(32))

    assert add_up(BANK, 0, 9, [most] * 2048).amount == 2**64 - 2048
    with pytest.raises(LimitError, match=r"total of \[0, 9\) is .*, want less than 184467440737"):
        add_up(BANK, 0, 9, [most] * 2049)


@pytest.mark.parametrize("name", ["begin", "end", "count", "amount"])
def test_a_report_of_a_number_that_nobody_writes_out_is_refused(town: Town, name: str) -> None:
    report = structs.replace(add_up(BANK, 0, 9, []), **{name: 10**5000})

    with pytest.raises((MalformedError, InvalidProof), match=r"is a number of 16610 bits, .*want"):
        Supervisor(town.parties.ledger).verify_totals(report)


@pytest.mark.parametrize("amount", [-1, 2**64])
def test_a_total_that_is_no_amount_is_refused(town: Town, amount: int) -> None:
    report = town.parties.consumer.report_totals(0, town.parties.ledger.size)

    with pytest.raises(InvalidProof, match="want 0 or more and less than"):
        Supervisor(town.parties.ledger).verify_totals(structs.replace(report, amount=amount))


def test_periods_add_up_to_the_whole(town: Town) -> None:
    ledger, consumer = town.parties.ledger, town.parties.consumer
    indices = [index for index, _ in booked(ledger.history(book_object(BANK)))]
    first = consumer.report_totals(0, indices[2])
    second = consumer.report_totals(indices[2], ledger.size)

    for report in (first, second):
        Supervisor(ledger).verify_totals(report)
    assert (first.amount, second.amount) == (sum(AMOUNTS[:2]), sum(AMOUNTS[2:]))


def test_the_greatest_amounts_add_up_beyond_what_one_may_be(town: Town) -> None:
    ledger, begin = town.parties.ledger, town.parties.ledger.size
    for _ in range(2):
        decide(town, 2**53 - 1)
    report = town.parties.consumer.report_totals(begin, ledger.size)
    history = ledger.prove_history(book_object(BANK))
    data = TotalsProof.of(ledger.network, report, history).encode()

    Supervisor(ledger).verify_totals(report)

    assert report.amount == 2**54 - 2
    assert verify_totals_proof(data, ledger.trust_anchor).report == report


def test_whoever_holds_the_books_history_verifies_a_total_offline(town: Town) -> None:
    ledger = town.parties.ledger
    report = town.parties.consumer.report_totals(0, ledger.size)
    proof = ledger.prove_history(book_object(BANK)).encode()

    history = verify_history(proof, ledger.trust_anchor)

    assert history.object == book_object(BANK)
    verify_totals(report, history.records)


def test_the_books_sum_is_the_sum_of_whole_numbers(town: Town) -> None:
    value = town.parties.ledger.state(book_object(BANK))
    assert value is not None
    book = decode_state(value, BookState)

    blinding = sum(int.from_bytes(each.blinding, "little") for each in openings(town))

    point = ristretto.BASE.times(sum(AMOUNTS)) + ristretto.BLINDING.times(blinding)
    assert (book.count, book.sum) == (4, ristretto.encode(point))


def test_a_consumer_that_lost_an_opening_reports_nothing(town: Town) -> None:
    ledger = town.parties.ledger
    (_, point), *_ = booked(ledger.history(book_object(BANK)))
    town.parties.vaults[BANK].erase([f"amount/{point.hex()}"])

    with pytest.raises(UntrustedError, match="is not kept here"):
        town.parties.consumer.report_totals(0, ledger.size)


def test_blindings_hide_equal_amounts() -> None:
    blindings = [_core.group_number(bytes([each]) * 64) for each in range(2)]

    first, second = _core.group_commit([5, 5], blindings)

    assert first != second


def test_an_empty_period_has_a_total_of_nothing(town: Town) -> None:
    report = town.parties.consumer.report_totals(0, 1)

    assert report == TotalsReport(BANK, 0, 1, 0, 0, bytes(32))
    Supervisor(town.parties.ledger).verify_totals(report)


def test_totals_in_one_file_verify_without_a_ledger(town: Town) -> None:
    ledger = town.parties.ledger
    report = town.parties.consumer.report_totals(0, ledger.size)
    history = ledger.prove_history(book_object(BANK))

    data = TotalsProof.of(ledger.network, report, history).encode()

    verified = verify_totals_proof(data, ledger.trust_anchor)
    assert (verified.report, verified.history.object) == (report, book_object(BANK))
    late = TotalsProof.of(ledger.network, structs.replace(report, end=ledger.size + 1), history)
    with pytest.raises(InvalidProof, match="period ends at record"):
        late.verify(ledger.trust_anchor)
    other = TotalsProof.of(bytes(16), report, history)
    with pytest.raises(UntrustedError, match="another network"):
        other.verify(ledger.trust_anchor)


def test_a_total_of_a_period_that_goes_on_is_neither_made_nor_accepted(town: Town) -> None:
    """The next decision would be of the same period, and make a total wrong that was accepted."""
    ledger, consumer = town.parties.ledger, town.parties.consumer
    size = ledger.size
    ended = consumer.report_totals(0, size)

    with pytest.raises(MalformedError, match=rf"want 0 <= begin <= end <= {size}, the ledger's"):
        consumer.report_totals(0, size + 1)
    with pytest.raises(InvalidProof, match=rf"ends at record {size + 1}, and {size} are shown"):
        Supervisor(ledger).verify_totals(structs.replace(ended, end=size + 1))
    decide(town, 5)
    Supervisor(ledger).verify_totals(ended)


@pytest.mark.parametrize(("begin", "end"), [(7, 3), (-1, 3)])
def test_a_period_that_is_none_is_refused(town: Town, begin: int, end: int) -> None:
    with pytest.raises(MalformedError, match=rf"period is \[{begin}, {end}\), want 0 <= begin"):
        town.parties.consumer.report_totals(begin, end)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"begin": -1}, "begin is -1, want a whole number >= 0"),
        ({"begin": -(2**70)}, f"begin is -{2**70}, want a whole number >= 0"),
        ({"begin": 0.5}, "begin is 0.5, want a whole number, got a number"),
        ({"begin": 2, "end": 1}, r"period is \[2, 1\), want its begin first"),
        ({"end": True}, "end is True, want a whole number, got true or false"),
        ({"count": None}, "count is None, want a whole number, got nothing"),
        ({"amount": 7.0}, "amount is 7.0, want a whole number, got a number"),
        ({"consumer": 5}, "consumer is 5, want text, got a whole number"),
        ({"blinding": b"x"}, "blinding is b'x', want bytes of length >= 32"),
    ],
)
def test_a_report_that_is_none_is_refused_before_anything_else(
    town: Town, change: dict, message: str
) -> None:
    ledger = town.parties.ledger
    report = TotalsReport(BANK, 0, 1, 0, 0, bytes(32))
    wrong, history = structs.replace(report, **change), ledger.prove_history(book_object(BANK))

    with pytest.raises(MalformedError, match=message):
        Supervisor(ledger).verify_totals(wrong)
    with pytest.raises(MalformedError, match=message):
        TotalsProof.of(bytes(16), wrong, history).verify(ledger.trust_anchor)
