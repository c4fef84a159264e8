"""Nothing is destroyed for a record that the ledger would refuse, whatever the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ledgercore import MalformedError, RefusedError, records
from ledgercore.demo.parties import BANK, TAX
from ledgercore.exchange import Consumer, Provider, submit
from ledgercore.exchange.submission import Draft
from ledgercore.keyfile import load_key
from tests.town import Town


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    yield town
    town.parties.close()


Act = Callable[[Town, bytes, str], object]


def void(town: Town, intent: bytes, code: str) -> object:
    return town.parties.provider.void(intent, code)


def forget(town: Town, intent: bytes, basis: str) -> object:
    return town.parties.provider.erase([intent], basis)


def erase(town: Town, intent: bytes, basis: str) -> object:
    return town.parties.consumer.erase([intent], basis)


BODIES: dict[Act, Callable[[bytes, str], records.RecordBody]] = {
    void: records.ExchangeVoid,
    forget: records.ExchangeForget,
    erase: records.ExchangeErase,
}


def moved_to(town: Town, status: str) -> bytes:
    """An exchange that was delivered, and then went on to a status."""
    intent, request = town.intend(town.consent())
    if status == "INTENDED":
        town.parties.provider.answer([(intent, request)])
        return intent
    delivery, release = town.deliver(intent, request)
    provider, consumer = town.parties.provider, town.parties.consumer
    if status == "RELEASED":
        town.accept([provider.confirm_release(release)])
    consumer.open(delivery, release)
    if status in ("ACKNOWLEDGED", "ERASED"):
        town.accept([consumer.acknowledge(intent)])
    if status == "ERASED":
        town.accept([Draft(consumer._key, records.ExchangeErase(intent, "subject-asked"))])
    return intent


@pytest.mark.parametrize(
    ("act", "status", "reason"),
    [
        (void, "INTENDED", "E_SCOPE"),
        (void, "RELEASED", "E_SCOPE"),
        (void, "ACKNOWLEDGED", "E_SCOPE"),
        (void, "ERASED", "E_SCOPE"),
        (forget, "INTENDED", "acknowledged"),
        (forget, "ADMITTED", "acknowledged"),
        (forget, "RELEASED", "acknowledged"),
        (erase, "INTENDED", "subject-asked"),
        (erase, "ERASED", "subject-asked"),
    ],
)
def test_what_the_state_forbids_destroys_nothing(
    town: Town, act: Act, status: str, reason: str
) -> None:
    intent, vaults = moved_to(town, status), town.parties.vaults
    kept = {name: vaults[name].names() for name in (TAX, BANK)}

    with pytest.raises(RefusedError, match=f"exchange is {status}, want") as refusal:
        act(town, intent, reason)

    assert {name: vaults[name].names() for name in kept} == kept
    party = town.parties.consumer if act is erase else town.parties.provider
    (outcome,) = submit(town.parties.ledger, [Draft(party._key, BODIES[act](intent, reason))])
    assert isinstance(outcome, RefusedError)  # the control: the rules say the same
    assert (outcome.code, outcome.message) == (refusal.value.code, refusal.value.message)


@pytest.mark.parametrize(
    ("act", "status", "reason"),
    [(void, "ADMITTED", "scope"), (forget, "ACKNOWLEDGED", "No basis"), (erase, "ADMITTED", "")],
)
def test_a_reason_of_no_form_destroys_nothing(
    town: Town, act: Act, status: str, reason: str
) -> None:
    intent, vaults = moved_to(town, status), town.parties.vaults
    kept = {name: vaults[name].names() for name in (TAX, BANK)}

    with pytest.raises(MalformedError):
        act(town, intent, reason)

    assert {name: vaults[name].names() for name in kept} == kept


def test_who_is_no_party_or_no_member_destroys_nothing(town: Town) -> None:
    """The key of another member, or of none."""
    intent, ledger = moved_to(town, "ACKNOWLEDGED"), town.parties.ledger
    vault, consumer = town.parties.vaults[BANK], town.parties.consumer
    directory = ledger.path.parent
    other = Consumer(TAX, load_key(directory / f"{TAX}.key"), vault, ledger)
    seat = Provider(BANK, load_key(directory / f"{BANK}.key"), vault, ledger, {})
    stranger = Consumer(BANK, town.subject._key(town.consent().consent_key)._key, vault, ledger)
    kept = vault.names()

    for party, code in ((other, "E_RECIPIENT"), (seat, "E_RECIPIENT"), (stranger, "E_MEMBER")):
        with pytest.raises(RefusedError, match=code):
            party.erase([intent], "subject-asked")

    assert vault.names() == kept
    town.accept(consumer.erase([intent], "subject-asked"))


def test_one_that_is_not_over_keeps_all_the_others(town: Town) -> None:
    over, pending = moved_to(town, "ACKNOWLEDGED"), moved_to(town, "ADMITTED")
    provider, vault = town.parties.provider, town.parties.vaults[TAX]
    kept = vault.names("exchange/")

    with pytest.raises(RefusedError, match="exchange is ADMITTED"):
        provider.erase([over, pending], "acknowledged")

    assert vault.names("exchange/") == kept
    town.accept(provider.erase([over], "acknowledged"))
    town.accept([provider.void(pending, "E_SCOPE")])
    assert vault.names("exchange/") == []


def test_an_erasure_whose_record_was_never_sent_is_said_again(town: Town) -> None:
    """A crash between erasing and submitting: the same call gives the same promise."""
    intent = moved_to(town, "ACKNOWLEDGED")
    consumer, provider = town.parties.consumer, town.parties.provider
    consumer.erase([intent], "subject-asked")
    provider.erase([intent], "acknowledged")

    town.accept(provider.erase([intent], "acknowledged"))
    town.accept(consumer.erase([intent], "subject-asked"))
