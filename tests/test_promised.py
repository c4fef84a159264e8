"""What a record says is gone is destroyed once the ledger has it, and never before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest

from ledgercore import MalformedError, RefusedError, records
from ledgercore.demo.parties import BANK, TAX
from ledgercore.exchange import (
    Accepted,
    Consumer,
    Draft,
    Provider,
    Submitted,
    resume,
    sign,
    submit,
)
from ledgercore.keyfile import load_key
from ledgercore.ledger import Ledger
from ledgercore.vault import Vault
from tests.town import DAY_MS, Town


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    yield town
    town.parties.close()


Act = Callable[[Town, bytes, str], Draft]


def void(town: Town, intent: bytes, code: str) -> Draft:
    return town.parties.provider.void(intent, code)


def forget(town: Town, intent: bytes, basis: str) -> Draft:
    return town.parties.provider.erase([intent], basis)[0]


def erase(town: Town, intent: bytes, basis: str) -> Draft:
    return town.parties.consumer.erase([intent], basis)[0]


def time_out(town: Town, intent: bytes, _: str) -> Draft:
    return town.parties.consumer.time_out(intent)


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
    if status == "OVERDUE":
        town.later(2 * DAY_MS)
        return intent
    consumer.open(delivery, release)
    if status in ("ACKNOWLEDGED", "ERASED"):
        town.accept([consumer.acknowledge(intent)])
    if status == "ERASED":
        town.accept(consumer.erase([intent], "subject-asked"))
    return intent


def content(town: Town, intent: bytes) -> list[str]:
    """Items of content in the vaults of both sides, and keys to it."""
    names = [name for member in (TAX, BANK) for name in town.parties.vaults[member].names()]
    ends = ("/payload", "/key", "/ciphertext", "/delivery-key")
    return [name for name in names if name.endswith(ends) and "chain/" not in name]


PROMISES: tuple[tuple[Act, str, str, set[str]], ...] = (
    (void, "ADMITTED", "E_SCOPE", {"key", "ciphertext"}),
    (forget, "ACKNOWLEDGED", "acknowledged", {"key", "ciphertext"}),
    (erase, "ACKNOWLEDGED", "subject-asked", {"payload", "delivery-key"}),
    (time_out, "OVERDUE", "", {"delivery-key"}),
)


def gone(before: list[str], after: list[str]) -> set[str]:
    assert set(after) <= set(before)
    return {name.rpartition("/")[2] for name in set(before) - set(after)}


@pytest.mark.parametrize(("act", "status", "reason", "parts"), PROMISES)
def test_a_draft_destroys_nothing_and_its_record_on_the_ledger_does(
    town: Town, act: Act, status: str, reason: str, parts: set[str]
) -> None:
    intent = moved_to(town, status)
    before = content(town, intent)

    draft = act(town, intent, reason)
    sign(town.parties.ledger, [draft])
    assert content(town, intent) == before

    town.accept([draft])
    assert gone(before, content(town, intent)) == parts


class CutError(Exception):
    """The program is killed."""


def cut_off(town: Town, draft: Draft) -> None:
    """The ledger orders a draft, and its program is killed before it hears of that."""
    ledger = town.parties.ledger
    submit_many = ledger.submit_many

    def submit_then_die(encoded: list[bytes]) -> list[object]:
        submit_many(encoded)
        raise CutError

    with mock.patch.object(ledger, "submit_many", submit_then_die), pytest.raises(CutError):
        submit(ledger, [draft])


def resumed(ledger: Ledger, draft: Draft) -> list[Submitted]:
    return resume(ledger, [draft.key])


def says_more(ledger: Ledger, draft: Draft) -> list[Submitted]:
    """The restarted program does not resume, and goes on with something else."""
    schema = records.SchemaRegister("another", 1, "", ())
    (answer,) = submit(ledger, [Draft(draft.key, schema)])
    assert isinstance(answer, Accepted) == (draft.key.vault.path.name == f"{TAX}.vault")
    return []


@pytest.mark.parametrize(("act", "status", "reason", "parts"), PROMISES)
@pytest.mark.parametrize("go_on", [resumed, says_more])
def test_what_a_crash_left_is_destroyed_by_the_program_that_follows(
    town: Town,
    act: Act,
    status: str,
    reason: str,
    parts: set[str],
    go_on: Callable[[Ledger, Draft], list[Submitted]],
) -> None:
    intent, ledger = moved_to(town, status), town.parties.ledger
    before = content(town, intent)
    draft = act(town, intent, reason)
    cut_off(town, draft)
    assert content(town, intent) == before

    assert go_on(ledger, draft) == []

    assert gone(before, content(town, intent)) == parts
    assert ledger.history(b"exchange/" + intent)[-1][1].kind == draft.body.KIND


def test_what_comes_after_a_promise_is_not_destroyed_with_it(town: Town) -> None:
    """A provider forgets what it sealed, and corrects later on what the consumer still has."""
    intent, provider = moved_to(town, "ACKNOWLEDGED"), town.parties.provider
    town.accept([forget(town, intent, "acknowledged")])
    draft, _ = provider.correct(intent, town.mapping.offer.product, {"cr.grade": "D"})

    town.accept([draft])

    assert len(town.parties.vaults[TAX].names(f"exchange/{intent.hex()}/correction/")) == 1


def test_no_crash_is_lost_beside_a_record_that_is_refused(town: Town) -> None:
    """The refused record's sequence is given back, with all that was kept of the promise."""
    intent, ledger = moved_to(town, "ACKNOWLEDGED"), town.parties.ledger
    drafts = [erase(town, intent, "subject-asked"), town.parties.consumer.acknowledge(intent)]
    before = content(town, intent)

    with mock.patch.object(Vault, "erase", side_effect=CutError), pytest.raises(CutError):
        submit(ledger, drafts)
    (answer,) = resume(ledger, [drafts[0].key])

    assert isinstance(answer, RefusedError)
    assert gone(before, content(town, intent)) == {"payload", "delivery-key"}


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
def test_what_the_ledger_refuses_destroys_nothing(
    town: Town, act: Act, status: str, reason: str
) -> None:
    intent, vaults = moved_to(town, status), town.parties.vaults
    draft = act(town, intent, reason)
    kept = {name: vaults[name].names("exchange/") for name in (TAX, BANK)}

    (outcome,) = submit(town.parties.ledger, [draft])

    assert isinstance(outcome, RefusedError)
    assert outcome.message.startswith(f"exchange is {status}, want")
    assert {name: vaults[name].names("exchange/") for name in kept} == kept


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
        submit(town.parties.ledger, [act(town, intent, reason)])

    assert {name: vaults[name].names() for name in kept} == kept


def test_who_is_no_party_or_no_member_destroys_nothing(town: Town) -> None:
    """The key of another member, or of none."""
    intent, ledger = moved_to(town, "ACKNOWLEDGED"), town.parties.ledger
    vault, consumer = town.parties.vaults[BANK], town.parties.consumer
    directory = ledger.path.parent
    other = Consumer(TAX, load_key(directory / f"{TAX}.key"), vault, ledger)
    seat = Provider(BANK, load_key(directory / f"{BANK}.key"), vault, ledger, {})
    stranger = Consumer(BANK, town.subject._key(town.consent().consent_key)._key, vault, ledger)
    kept = vault.names("exchange/")

    for party, code in ((other, "E_ROLE"), (seat, "E_ROLE"), (stranger, "E_MEMBER")):
        (outcome,) = submit(ledger, party.erase([intent], "subject-asked"))
        assert isinstance(outcome, RefusedError) and outcome.code == code

    assert vault.names("exchange/") == kept
    town.accept(consumer.erase([intent], "subject-asked"))


def test_of_several_the_refused_one_is_kept_and_the_others_are_gone(town: Town) -> None:
    over, pending = moved_to(town, "ACKNOWLEDGED"), moved_to(town, "ADMITTED")
    provider, vault = town.parties.provider, town.parties.vaults[TAX]
    sealed = vault.names(f"exchange/{pending.hex()}/")

    first, second = submit(town.parties.ledger, provider.erase([pending, over], "acknowledged"))

    assert isinstance(first, RefusedError) and isinstance(second, Accepted)
    assert vault.names("exchange/") == sealed
    town.accept([provider.void(pending, "E_SCOPE")])
    assert vault.names("exchange/") == []
