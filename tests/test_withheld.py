"""What a provider gives out no more is refused by itself, and whoever asks for it is told why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from ledgercore import RefusedError, UnavailableError, records
from ledgercore.demo.parties import BANK, REGULATOR
from ledgercore.exchange import Accepted
from ledgercore.exchange.submission import Draft
from tests.promises import admitted, erase, forget, void
from tests.town import DAY_MS, Town
from tests.vector_quorums import Council


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    yield town
    town.parties.close()


@pytest.mark.parametrize("end", ["VOIDED", "TIMED_OUT", "DECLINED", "ERASED", "forgotten"])
def test_who_asks_for_a_delivery_of_what_is_over_is_told_so(town: Town, end: str) -> None:
    """The provider has the ciphertext still, but where it was voided or forgotten."""
    (intent, place), (other, _) = admitted(town), admitted(town)
    provider, consumer = town.parties.provider, town.parties.consumer
    if end == "VOIDED":
        town.accept([void(town, intent, "E_SCOPE")])
    elif end == "TIMED_OUT":
        town.later(2 * DAY_MS)
        town.accept([consumer.time_out(intent)])
    elif end == "DECLINED":
        town.accept([consumer.decline(intent, RefusedError("E_SCOPE", "another firm's"))])
    elif end == "ERASED":
        town.accept([erase(town, intent, "subject-asked")])
    else:
        consumer.open(provider.delivery(intent), provider.release(intent, place))
        town.accept([consumer.acknowledge(intent)])
        town.accept([forget(town, intent, "acknowledged")])

    with pytest.raises(RefusedError, match=f"exchange is {end}: .* name its audit") as error:
        provider.delivery(intent)

    assert error.value.code == "E_EXCHANGE_STATE"
    assert provider.delivery(other)


def test_what_is_late_by_the_clock_is_late_where_the_ledger_rests(town: Town) -> None:
    """No other block has to come before a key is withheld, and before its use is given back."""
    intent, place = admitted(town)
    town.clock.advance(DAY_MS)

    with pytest.raises(RefusedError, match="exchange is OVERDUE, key is withheld"):
        town.parties.provider.release(intent, place)
    town.accept([town.parties.consumer.time_out(intent)])


def test_what_was_forgotten_with_no_promise_keeps_back_no_other_key(town: Town) -> None:
    (intent, place), (other, beside) = admitted(town), admitted(town)
    provider = town.parties.provider
    provider.forget([intent])

    withheld, released = provider.release_all([(intent, place), (other, beside)])

    assert isinstance(withheld, RefusedError) and withheld.code == "E_EXCHANGE_STATE"
    assert withheld.message.startswith("exchange is ADMITTED, and no key of it is kept: it was for")
    assert town.parties.consumer.open(provider.delivery(other), released)
    town.accept([void(town, intent, "E_SCOPE")])  # what was withheld was not released


def test_each_answer_of_a_batch_is_of_its_own_admit(town: Town) -> None:
    (intent, place), wrong = admitted(town), Accepted(bytes(32), 1)
    provider = town.parties.provider

    made = provider.release_all([(intent, wrong), (intent, place), (intent, wrong)])

    assert [type(each).__name__ for each in made] == ["RefusedError", "Release", "RefusedError"]


def end_the_bank(town: Council, how: str) -> None:
    match how:
        case "suspended":
            town.enact(records.MemberSuspend(town.proposal(), BANK), REGULATOR)
        case "retired":
            town.enact(records.MemberRetire(town.proposal(), BANK), REGULATOR)
        case "compromised":
            town.accept([Draft(town.voters[BANK], records.KeyCompromise(BANK))])
        case "replaced":
            key, body = town.replacement(b"n")
            town.enact(body, REGULATOR)
            town.take(key)
        case "rotated":
            key, proof = town.new_key(BANK, b"r")
            body = records.KeyRotate(BANK, key.public_key, b"s" * 32, proof)
            town.accept([Draft(town.voters[BANK], body)])
            town.take(key)


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("suspended", "E_MEMBER"),
        ("retired", "E_MEMBER"),
        ("compromised", "E_KEY"),
        ("replaced", "E_KEY"),
        ("rotated", ""),
    ],
)
def test_who_may_not_sign_any_more_is_given_nothing_for_having_asked_before(
    tmp_path: Path, how: str, code: str
) -> None:
    """The delivery key of an intent by a stolen key is the thief's."""
    town = Council(tmp_path / "town")
    provider, consumer = town.parties.provider, town.parties.consumer
    proposal = town.consent(max_uses=3)
    first, second = town.intend(proposal), town.intend(proposal)
    (place,) = town.accept(provider.answer([first]))

    end_the_bank(town, how)
    (answer,) = provider.answer([second])
    (release,) = provider.release_all([(first[0], place)])

    if code:
        assert isinstance(answer.body, records.ExchangeRefuse) and answer.body.code == code
        assert isinstance(release, RefusedError) and release.code == code
    else:
        assert isinstance(answer.body, records.ExchangeAdmit)
        assert consumer.open(provider.delivery(first[0]), release)
    if how == "replaced":
        asked = town.intend(proposal)
        assert consumer.open(*town.deliver(*asked))
    town.parties.close()


def test_a_copy_that_began_after_the_intent_sees_the_members_key_of_now(tmp_path: Path) -> None:
    town = Council(tmp_path / "town")
    provider, proposal = town.parties.provider, town.consent(max_uses=3)
    first, second = town.intend(proposal), town.intend(proposal)
    absent = UnavailableError("record is not in this copy")
    with mock.patch.object(type(town.parties.ledger), "find", side_effect=absent):
        (place,) = town.accept(provider.answer([first]))
        assert provider.release(first[0], place)

    end_the_bank(town, "compromised")
    with mock.patch.object(type(town.parties.ledger), "find", side_effect=absent):
        (refusal,) = provider.answer([second])

    assert refusal.body == records.ExchangeRefuse(second[0], "E_KEY")
    town.parties.close()
