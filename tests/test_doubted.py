"""Whose vault cannot tell whether a key was released, or came, signs neither that none was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from ledgercore import RefusedError, records
from ledgercore.demo.parties import BANK, TAX
from ledgercore.errors import BusyError
from ledgercore.exchange import Consumer, Draft, Provider, resume, sign, submission, submit
from ledgercore.exchange.signer import Kept, RecordSigner
from ledgercore.exchange.untrue import doubt
from ledgercore.ledger import Ledger
from ledgercore.ledger.renewal import renew
from ledgercore.vault import Vault
from tests.promises import admitted, backed_up, cut_off, forget, moved_to
from tests.town import DAY_MS, Town


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    yield town
    town.parties.close()


def restored(town: Town, vault: Vault) -> Provider:
    provider, ledger = town.parties.provider, town.parties.ledger
    return Provider(TAX, provider.signer._key, vault, ledger, provider._source)


def schema(version: int) -> records.SchemaRegister:
    return records.SchemaRegister("another", version, "", ())


@pytest.mark.parametrize("resumes", [True, False])
def test_a_vault_from_before_a_release_voids_nothing_that_was_admitted(
    town: Town, resumes: bool
) -> None:
    """It has the key of the exchange, and its own key signed other things since."""
    (intent, place), ledger, later = admitted(town), town.parties.ledger, town.consent()
    backup = backed_up(town.parties.vaults[TAX])
    provider = town.parties.provider
    delivery, release = provider.delivery(intent), provider.release(intent, place)
    town.accept([Draft(provider.signer, schema(1))])
    size = ledger.size

    with Vault(backup) as vault:
        party = restored(town, vault)
        draft = Draft(party.signer, records.ExchangeVoid(intent, "E_SCOPE"))
        if resumes:
            resume(ledger, [party.signer])
            with pytest.raises(RefusedError, match="vault is older than what its key has signed"):
                party.void(intent, "E_SCOPE")
        with pytest.raises(RefusedError, match=r"E_EXCHANGE_STATE: vault is older .* time out"):
            submit(ledger, [draft])
        assert ledger.size == size
        assert party.release(intent, place)
        with pytest.raises(RefusedError, match="key of the exchange was released here"):
            party.void(intent, "E_SCOPE")
        asked = town.intend(later)
        town.accept(party.answer([asked]))  # after that all is known again
        town.accept([party.void(asked[0], "E_SCOPE")])

    assert town.parties.consumer.open(delivery, release)


def test_a_vault_from_before_an_admit_does_not_void_it(town: Town) -> None:
    """It has nothing of the exchange: there is nothing more natural than to void that."""
    backup = backed_up(town.parties.vaults[TAX])
    (intent, place), ledger = admitted(town), town.parties.ledger
    town.parties.provider.release(intent, place)

    with Vault(backup) as vault:
        party = restored(town, vault)
        resume(ledger, [party.signer])
        for act in (party.void, lambda *said: submit(ledger, [void_of(party, *said)])):
            with pytest.raises(RefusedError, match="no key of the exchange is kept here, and"):
                act(intent, "E_SCOPE")

    town.later(2 * DAY_MS)
    town.accept([town.parties.consumer.time_out(intent)])


@pytest.mark.parametrize("resumes", [True, False])
def test_a_vault_from_before_a_key_came_times_nothing_out(town: Town, resumes: bool) -> None:
    first, consumer, ledger = (
        town.intend(town.consent()),
        town.parties.consumer,
        town.parties.ledger,
    )
    backup = backed_up(town.parties.vaults[BANK])
    consumer.open(*town.deliver(*first))
    town.intend(town.consent())
    town.later(2 * DAY_MS)

    with Vault(backup) as vault:
        party = Consumer(BANK, consumer.signer._key, vault, ledger)
        if resumes:
            resume(ledger, [party.signer])
            with pytest.raises(RefusedError, match=r"vault is older .* have the provider void"):
                party.time_out(first[0])
        with pytest.raises(RefusedError, match=r"E_EXCHANGE_STATE: vault is older .* have come"):
            submit(ledger, [Draft(party.signer, records.ExchangeTimeOut(first[0]))])

    asked = town.intend(town.consent())
    town.accept(town.parties.provider.answer([asked]))
    town.later(2 * DAY_MS)
    town.accept([consumer.time_out(asked[0])])


def test_a_vault_that_is_begun_anew_denies_nothing_that_one_before_it_did(town: Town) -> None:
    """The one before is lost, and no backup is there."""
    consumer, ledger = town.parties.consumer, town.parties.ledger
    first = town.intend(town.consent())
    consumer.open(*town.deliver(*first))
    town.later(2 * DAY_MS)

    with Vault(ledger.path.parent / "new.vault") as vault:
        party = Consumer(BANK, consumer.signer._key, vault, ledger)
        resume(ledger, [party.signer])
        drafts = [Draft(party.signer, records.ExchangeTimeOut(first[0]))]
        for _ in range(2):
            with pytest.raises(RefusedError, match=r"vault is older .* have the provider void"):
                submit(ledger, drafts)
        town.accept([party.acknowledge(first[0])])


def terms(vault: Vault) -> list[tuple[str, bytes]]:
    """What a provider's vault keeps of consents."""
    return [(name, vault.load(name) or b"") for name in vault.names("proposal/")]


def void_of(party: Provider, intent: bytes, code: str) -> Draft:
    return Draft(party.signer, records.ExchangeVoid(intent, code))


@pytest.mark.parametrize("before", [True, False])
def test_what_is_forgotten_before_or_after_the_admit_and_was_not_released_may_be_voided(
    town: Town, before: bool
) -> None:
    provider, vault = town.parties.provider, town.parties.vaults[TAX]
    intent, request = town.intend(town.consent())
    drafts = provider.answer([(intent, request)])
    for forgets in (before, not before):
        if forgets:
            provider.forget([intent])
            provider.forget([intent])
        else:
            town.accept(drafts)

    town.accept([provider.void(intent, "E_SCOPE")])

    assert vault.names("exchange/") == []


def test_what_is_forgotten_before_the_admit_shows_nothing_of_what_is_sealed_later(
    town: Town,
) -> None:
    provider, vault = town.parties.provider, town.parties.vaults[TAX]
    intent, request = town.intend(town.consent())
    provider.forget([intent])
    assert vault.names("exchange/") == [], "nothing was sealed that could be withheld"
    provider.answer([(intent, request)])
    provider.forget([intent])
    (place,) = town.accept(provider.answer([(intent, request)]))
    assert provider.release(intent, place)

    with pytest.raises(RefusedError, match="key of the exchange was released here"):
        provider.void(intent, "E_SCOPE")


@pytest.mark.parametrize("before", [True, False])
def test_who_forgets_before_or_after_the_admit_times_out_by_itself(
    town: Town, before: bool
) -> None:
    consumer, vault = town.parties.consumer, town.parties.vaults[BANK]
    intent, request = town.intend(town.consent())
    for forgets in (before, not before):
        if forgets:
            consumer.forget([intent])
            consumer.forget([intent])
        else:
            town.accept(town.parties.provider.answer([(intent, request)]))
    town.later(2 * DAY_MS)

    town.accept([consumer.time_out(intent)])

    assert vault.names(f"exchange/{intent.hex()}/") == []


@pytest.mark.parametrize("before", [True, False])
def test_what_was_forgotten_unused_proves_nothing_in_a_vault_that_is_doubted(
    town: Town, before: bool
) -> None:
    """The one that was lost may have opened it meanwhile; only the owner can tell."""
    consumer, vault, ledger = town.parties.consumer, town.parties.vaults[BANK], town.parties.ledger
    intent, request = town.intend(town.consent())
    for forgets in (before, not before):
        if forgets:
            consumer.forget([intent])
        else:
            town.accept(town.parties.provider.answer([(intent, request)]))
    doubt(ledger, vault)
    town.later(2 * DAY_MS)

    with pytest.raises(RefusedError, match=r"vault is older than what .* checked=True"):
        consumer.time_out(intent)

    consumer.time_out(intent, checked=True)
    consumer.forget([intent])
    town.accept([consumer.time_out(intent)])


def test_what_was_forgotten_unreleased_proves_nothing_in_a_vault_that_is_doubted(
    town: Town,
) -> None:
    """The one that was lost may have given it out before this one forgot it."""
    (intent, _), provider, ledger = admitted(town), town.parties.provider, town.parties.ledger
    provider.forget([intent])
    doubt(ledger, town.parties.vaults[TAX])

    with pytest.raises(RefusedError, match=r"vault is older than what .* checked=True"):
        provider.void(intent, "E_SCOPE")

    provider.void(intent, "E_SCOPE", checked=True)
    provider.forget([intent])
    town.accept([provider.void(intent, "E_SCOPE")])


def test_a_delivery_key_that_is_lost_is_not_said_to_be_the_callers_own(town: Town) -> None:
    intent, _ = admitted(town)
    vault = town.parties.vaults[BANK]
    vault.erase([name for name in vault.names("request/") if name.endswith("/delivery-key")])
    town.later(2 * DAY_MS)

    with pytest.raises(RefusedError, match="the delivery key of the exchange is not kept here"):
        town.parties.consumer.time_out(intent)


def anchored(town: Town) -> records.RenewalAnchor:
    """What ``ledgercore renew --member-key`` has the member sign."""
    place = town.parties.ledger.path.parent / "former"
    with Ledger.create(place, origin="example.org/former") as former:
        return renew(former, town.parties.ledger.suite)


def proposed(town: Town) -> records.GovernancePropose:
    change = records.MemberSuspend(bytes(32), BANK)
    lapses_ms = town.clock.now_ms() + DAY_MS
    return records.GovernancePropose(bytes(32), change.KIND, records.encode(change), lapses_ms)


@pytest.mark.parametrize("act", [None, anchored, proposed])
def test_what_the_key_signs_for_a_ledger_or_node_casts_no_doubt(
    town: Town, act: Callable[[Town], records.RecordBody] | None
) -> None:
    intent, _ = admitted(town)
    provider, ledger = town.parties.provider, town.parties.ledger
    key, body = provider.signer._key, None if act is None else act(town)
    sequence, previous = ledger.next_position(key.public_key)
    record = key.sign_record(
        ledger.suite,
        ledger.network,
        "data" if body is None else body.KIND,
        b"x" if body is None else records.encode(body),
        sequence=sequence,
        previous=previous,
    )
    ledger.submit(record.encode())

    town.accept([provider.void(intent, "E_SCOPE")])


def test_what_another_process_with_the_vault_signs_meanwhile_casts_no_doubt(town: Town) -> None:
    """Whenever this one has read what it kept, the other one settles that and goes on."""
    (intent, _), (over, _), ledger = admitted(town), admitted(town), town.parties.ledger
    provider, load, signed = town.parties.provider, RecordSigner.load, []
    town.later(2 * DAY_MS)
    town.accept([town.parties.consumer.time_out(over)])
    cut_off(town, forget(town, over, "not-needed"))

    def load_then_sign(signer: RecordSigner, network: bytes) -> Kept | None:
        kept = load(signer, network)
        if signer is provider.signer:
            with suppress(BusyError), mock.patch.object(RecordSigner, "load", load):
                submit(ledger, [Draft(other.signer, schema(len(signed) + 1))])
                signed.append(kept)
        return kept

    with Vault(town.parties.vaults[TAX].path) as vault:
        vault._connection.set_busy_timeout(0)
        other = restored(town, vault)
        with mock.patch.object(RecordSigner, "load", load_then_sign):
            resume(ledger, [provider.signer])

    assert signed
    town.accept([provider.void(intent, "E_SCOPE")])


def test_where_both_sides_doubt_either_ends_it_once_it_has_checked(town: Town) -> None:
    """Both vaults were restored: each side's refusal names the other, and what it can do itself."""
    (voided, place), (missed, _), ledger = admitted(town), admitted(town), town.parties.ledger
    provider, consumer = town.parties.provider, town.parties.consumer
    vaults = town.parties.vaults
    for vault in (vaults[TAX], vaults[BANK]):
        doubt(ledger, vault)
    town.later(2 * DAY_MS)
    with pytest.raises(RefusedError, match=r"have the recipient time out, or .* checked=True"):
        provider.void(voided, "E_SCOPE")
    with pytest.raises(RefusedError, match=r"have the provider void the .* or .* checked=True"):
        consumer.time_out(missed)

    provider.void(voided, "E_SCOPE", checked=True)
    consumer.time_out(missed, checked=True)
    for vault in (vaults[TAX], vaults[BANK]):
        doubt(ledger, vault)  # what was checked stays so
    town.accept([provider.void(voided, "E_SCOPE"), consumer.time_out(missed)])

    for intent in (voided, missed):
        assert f"exchange/{intent.hex()}/withheld" not in vaults[TAX].names()
        assert f"exchange/{intent.hex()}/missed" not in vaults[BANK].names()
    with pytest.raises(RefusedError, match="exchange is VOIDED"):
        provider.release(voided, place)


def test_what_a_vault_knows_no_word_of_its_owner_denies(town: Town) -> None:
    (released, place), first = admitted(town), town.intend(town.consent())
    provider, consumer, ledger = town.parties.provider, town.parties.consumer, town.parties.ledger
    consumer.open(*town.deliver(*first))
    for vault in (provider.signer.vault, consumer.signer.vault):
        doubt(ledger, vault)

    draft = provider.void(released, "E_SCOPE", checked=True)
    provider.release(released, place)
    with pytest.raises(RefusedError, match="key of the exchange was released here"):
        submit(ledger, [draft])
    with pytest.raises(RefusedError, match="key of the exchange was released here"):
        provider.void(released, "E_SCOPE", checked=True)
    town.later(2 * DAY_MS)
    with pytest.raises(RefusedError, match="exchange was opened here"):
        consumer.time_out(first[0], checked=True)


def test_a_second_device_voids_what_the_first_one_has_not_released(town: Town) -> None:
    """Two vaults with one member's key doubt each other, and only their owner knows of both."""
    (intent, _), ledger = admitted(town), town.parties.ledger
    with Vault(ledger.path.parent / "second.vault") as vault:
        party = restored(town, vault)
        with pytest.raises(RefusedError, match=r"no key of the exchange is kept .* checked=True"):
            party.void(intent, "E_SCOPE")
        town.accept([party.void(intent, "E_SCOPE", checked=True)])


def test_a_second_device_that_forgot_its_own_answer_voids_not_what_the_first_one_released(
    town: Town,
) -> None:
    intent, request = town.intend(town.consent())
    provider, ledger = town.parties.provider, town.parties.ledger
    with Vault(ledger.path.parent / "second.vault") as vault:
        party = restored(town, vault)
        vault.store(terms(town.parties.vaults[TAX]))
        party.answer([(intent, request)])
        party.forget([intent])
        (place,) = town.accept(provider.answer([(intent, request)]))
        assert provider.release(intent, place)

        with pytest.raises(RefusedError, match=r"vault is older than what its key has signed"):
            submit(ledger, [void_of(party, intent, "E_SCOPE")])


def test_what_another_process_had_kept_and_is_ordered_meanwhile_casts_no_doubt(town: Town) -> None:
    """Two records of one row are ordered in two blocks, and this process settles in between."""
    done, (intent, _) = moved_to(town, "ACKNOWLEDGED"), admitted(town)
    provider, ledger = town.parties.provider, town.parties.ledger
    drafts = [forget(town, done, "acknowledged"), Draft(provider.signer, schema(1))]
    submit_many, destroy, signed = ledger.submit_many, submission.destroy_promised, []

    def first_of_the_other(encoded: list[bytes]) -> list[object]:
        if not signed:
            signed.extend(record.encode() for record in sign(ledger, drafts))
            ledger.submit(signed[0])
        return submit_many(encoded)

    def second_of_the_other(*given: Any) -> None:
        destroy(*given)
        ledger.submit(signed[1])

    with (
        mock.patch.object(ledger, "submit_many", first_of_the_other),
        mock.patch.object(submission, "destroy_promised", second_of_the_other),
    ):
        resume(ledger, [provider.signer])
    resume(ledger, [provider.signer])

    assert provider.signer.load(ledger.network).contents == ()
    town.accept([provider.void(intent, "E_SCOPE")])
