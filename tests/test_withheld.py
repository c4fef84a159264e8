"""What a provider gives out no more is refused by itself, and whoever asks for it is told why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ledgercore import RefusedError
from ledgercore.exchange import Accepted
from tests.promises import admitted, erase, forget, void
from tests.town import DAY_MS, Town


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
