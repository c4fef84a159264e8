"""What a record says is gone is destroyed once the ledger has it, and never before."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import apsw
import pytest
from msgspec import structs

from ledgercore import BusyError, MalformedError, RefusedError, keys, records
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
from ledgercore.exchange.messages import Delivery, Release, encode_message
from ledgercore.exchange.sealing import open_payload
from ledgercore.exchange.signer import Kept, RecordSigner
from ledgercore.keyfile import load_key
from ledgercore.ledger import Ledger
from ledgercore.vault import Vault
from tests.town import AGENCY, DAY_MS, FIELDS, Town


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


def cut_off(town: Town, *drafts: Draft) -> None:
    """The ledger orders drafts, and its program is killed before it hears of that."""
    ledger = town.parties.ledger
    submit_many = ledger.submit_many

    def submit_then_die(encoded: list[bytes]) -> list[object]:
        submit_many(encoded)
        raise CutError

    with mock.patch.object(ledger, "submit_many", submit_then_die), pytest.raises(CutError):
        submit(ledger, drafts)


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


# A restored vault has content that its party has said is gone, and no memory of saying so.


def backed_up(vault: Vault) -> Path:
    """A copy of a vault and of its key, as it stands."""
    vault.erase([])  # moves its log into the file
    directory = vault.path.parent / "backup"
    directory.mkdir()
    for name in (vault.path.name, f"{vault.path.name}.key"):
        shutil.copy(vault.path.parent / name, directory / name)
    return directory / vault.path.name


def everything(ledger: Ledger, vault: Vault, before: Kept) -> None:
    """The backup is of a moment at which nothing was on its way."""


def no_row(ledger: Ledger, vault: Vault, before: Kept) -> None:
    """It is of a moment before the key had signed anything."""
    (row,) = vault.names(f"chain/{ledger.network.hex()}/")
    vault.erase([row])


def another_on_its_way(ledger: Ledger, vault: Vault, before: Kept) -> None:
    """What was on its way then was refused, and the promise took its place."""
    (row,) = vault.names(f"chain/{ledger.network.hex()}/")
    refused = (("schema.retire", records.encode(records.SchemaRetire("none", 1))),)
    vault.store([(row, encode_message(structs.replace(before, contents=refused)))])


Moment = Callable[[Ledger, Vault, Kept], None]
ANYWAY = [(moment, go_on) for moment in (everything, no_row) for go_on in (resumed, says_more)]


@pytest.mark.parametrize(("act", "status", "reason", "parts"), PROMISES)
@pytest.mark.parametrize(("moment", "go_on"), [*ANYWAY, (another_on_its_way, resumed)])
def test_what_the_ledger_says_is_gone_is_gone_from_a_restored_vault(
    town: Town,
    act: Act,
    status: str,
    reason: str,
    parts: set[str],
    moment: Moment,
    go_on: Callable[[Ledger, Draft], list[Submitted]],
) -> None:
    intent, ledger = moved_to(town, status), town.parties.ledger
    draft = act(town, intent, reason)
    kept = Kept(*ledger.next_position(draft.key.public_key), ())
    backup = backed_up(draft.key.vault)
    town.accept([draft])
    vault = Vault(backup)
    moment(ledger, vault, kept)
    signer = RecordSigner(draft.key._key, vault)
    before = vault.names("exchange/") + vault.names("request/")

    assert go_on(ledger, draft._replace(key=signer)) == []

    assert parts <= gone(before, vault.names("exchange/") + vault.names("request/"))
    with mock.patch.object(Vault, "erase", side_effect=CutError):  # it is settled, and done once
        submit(ledger, [Draft(signer, records.SchemaRegister("third", 1, "", ()))])
    vault.close()


def test_a_new_vault_reads_nothing_of_what_its_key_has_signed(town: Town) -> None:
    """A copy that began from a snapshot may not have it."""
    ledger, key = town.parties.ledger, town.parties.provider.signer._key
    vault = Vault(ledger.path.parent / "new.vault")

    with mock.patch.object(ledger, "record", side_effect=CutError):
        (answer,) = submit(
            ledger,
            [Draft(RecordSigner(key, vault), records.SchemaRegister("another", 1, "", ()))],
        )

    assert isinstance(answer, Accepted)
    vault.close()


def again(town: Town) -> Provider:
    """The provider as a program that was restarted has it, or another process."""
    ledger, vault = town.parties.ledger, Vault(town.parties.vaults[TAX].path)
    key = load_key(ledger.path.parent / f"{TAX}.key")
    return Provider(TAX, key, vault, ledger, {}, town.parties.entropy)


def corrections(town: Town, intent: bytes) -> list[str]:
    return town.parties.vaults[TAX].names(f"exchange/{intent.hex()}/correction/")


@pytest.mark.parametrize("restarted", [False, True])
def test_what_comes_after_a_promise_is_not_destroyed_with_it(town: Town, restarted: bool) -> None:
    """A provider forgets what it sealed, and corrects later on what the consumer still has."""
    intent, provider = moved_to(town, "ACKNOWLEDGED"), town.parties.provider
    town.accept([forget(town, intent, "acknowledged")])
    provider = again(town) if restarted else provider
    draft, _ = provider.correct(intent, town.mapping.offer.product, {"cr.grade": "D"})

    town.accept([draft])

    assert len(corrections(town, intent)) == 1
    provider._vault.close()


def test_nothing_comes_before_a_promise_that_is_not_kept_yet(town: Town) -> None:
    """A side crashed before it destroyed, and no program of it has resumed."""
    intent, ledger = moved_to(town, "ACKNOWLEDGED"), town.parties.ledger
    provider, consumer = town.parties.provider, town.parties.consumer
    product = town.mapping.offer.product
    cut_off(town, forget(town, intent, "acknowledged"))

    with pytest.raises(RefusedError, match=r"exchange.forget of the exchange .* resume first"):
        provider.correct(intent, product, {"cr.grade": "D"})
    resume(ledger, [provider.signer])
    draft, correction = provider.correct(intent, product, {"cr.grade": "E"})
    town.accept([draft])
    assert len(corrections(town, intent)) == 1

    cut_off(town, erase(town, intent, "subject-asked"))
    with pytest.raises(RefusedError, match=r"exchange.erase of the exchange .* resume first"):
        consumer.read_correction(correction)
    resume(ledger, [consumer.signer])
    assert consumer.read_correction(correction) == {"cr.grade": "E"}


# What is signed is not made untrue.


def admitted(town: Town) -> tuple[bytes, Accepted]:
    intent, request = town.intend(town.consent())
    (place,) = town.accept(town.parties.provider.answer([(intent, request)]))
    return intent, place


def status(town: Town, intent: bytes) -> str:
    return town.parties.provider._exchange(intent).status


def test_no_key_is_released_of_what_was_signed_to_have_none(town: Town) -> None:
    (intent, place), (other, beside) = admitted(town), admitted(town)
    provider = town.parties.provider
    draft = void(town, intent, "E_SCOPE")
    sign(town.parties.ledger, [draft])

    for party in (provider, again(town)):
        withheld, released = party.release_all([(intent, place), (other, beside)])
        assert isinstance(withheld, RefusedError) and withheld.code == "E_EXCHANGE_STATE"
        assert withheld.message == "exchange was voided here: key is withheld"
        assert not isinstance(released, RefusedError)

    town.accept([draft])
    assert status(town, intent) == "VOIDED"


def undelivered(town: Town) -> tuple[bytes, Delivery, Release]:
    """An exchange whose key came, and that is overdue."""
    delivery, release = town.deliver(*town.intend(town.consent()))
    town.later(2 * DAY_MS)
    return delivery.exchange, delivery, release


def test_nothing_is_opened_of_what_was_signed_not_to_have_come(town: Town) -> None:
    intent, delivery, release = undelivered(town)
    consumer, vault = town.parties.consumer, town.parties.vaults[BANK]
    draft = consumer.time_out(intent)
    sign(town.parties.ledger, [draft])

    with pytest.raises(RefusedError, match=r"exchange.time-out of the exchange .* resume first"):
        consumer.open(delivery, release)

    town.accept([draft])
    assert status(town, intent) == "TIMED_OUT"
    assert not vault.names(f"exchange/{intent.hex()}/")


def test_what_is_timed_out_while_it_is_opened_is_not_kept(town: Town) -> None:
    """Another process of the recipient signs, after this one has looked."""
    intent, delivery, release = undelivered(town)
    consumer, vault = town.parties.consumer, town.parties.vaults[BANK]
    draft = consumer.time_out(intent)

    def sign_then_open(*given: bytes) -> bytes:
        sign(town.parties.ledger, [draft])
        return open_payload(*given)

    with (
        mock.patch("ledgercore.exchange.recipient.open_payload", sign_then_open),
        pytest.raises(RefusedError, match=r"exchange.time-out of the exchange .* resume first"),
    ):
        consumer.open(delivery, release)

    assert not vault.names(f"exchange/{intent.hex()}/")


def test_what_was_opened_is_not_timed_out_by_an_older_draft(town: Town) -> None:
    intent, delivery, release = undelivered(town)
    consumer, ledger = town.parties.consumer, town.parties.ledger
    draft, size = consumer.time_out(intent), ledger.size
    values = consumer.open(delivery, release)

    for act in (sign, submit):
        with pytest.raises(RefusedError, match="E_EXCHANGE_STATE: exchange was opened here: ackn"):
            act(ledger, [draft])

    assert (ledger.size, status(town, intent)) == (size, "ADMITTED")
    assert consumer.open(delivery, release) == values
    town.accept([consumer.acknowledge(intent)])


def test_what_was_timed_out_is_not_taken_over(town: Town) -> None:
    """The processor opened it in time; the consumer says that no key came."""
    agency, consumer = town.processor(), town.parties.consumer
    proposal = town.consent(processors=(AGENCY,))
    agency.instruct(proposal)
    asked = agency.request(proposal.consent, FIELDS, "credit.assess")
    (place,) = town.accept(agency.intend([asked]))
    agency.open(*town.deliver(place.id, asked))
    handover = agency.hand_over(place.id)
    town.later(2 * DAY_MS)
    sign(town.parties.ledger, [consumer.time_out(place.id)])

    with pytest.raises(RefusedError, match=r"exchange.time-out of the exchange .* resume first"):
        consumer.take_over(handover)


# What could not be done is done later, and once.


@pytest.mark.parametrize(("act", "status", "reason", "parts"), PROMISES)
def test_a_promise_stays_until_the_log_is_cut(
    town: Town, act: Act, status: str, reason: str, parts: set[str]
) -> None:
    """Somebody reads from the vault: its rows are removed, and its log has them still."""
    intent, ledger = moved_to(town, status), town.parties.ledger
    draft = act(town, intent, reason)
    vault = draft.key.vault
    before = vault.names()
    reader = apsw.Connection(str(vault.path))
    reader.execute("BEGIN")
    rows = dict(reader.execute("SELECT slot, wrapped FROM item").fetchall())

    with pytest.raises(BusyError):
        submit(ledger, [draft])
    with pytest.raises(BusyError):
        says_more(ledger, draft)
    removed = [rows[vault._cipher.slot(name)] for name in before if name not in vault.names()]
    assert len(removed) >= len(parts) and all(map(held(vault), removed))
    reader.close()
    says_more(ledger, draft)

    assert not any(map(held(vault), removed))
    with mock.patch.object(Vault, "erase", side_effect=CutError):
        submit(ledger, [Draft(draft.key, records.SchemaRegister("third", 1, "", ()))])


def held(vault: Vault) -> Callable[[bytes], bool]:
    """Whether the vault's file or its log has these bytes."""
    files = [file.read_bytes() for file in vault.path.parent.glob(f"{vault.path.name}*")]
    return lambda sought: any(sought in file for file in files)


def test_a_promise_is_signed_once(town: Town) -> None:
    """A token signs few records a second: no later reservation signs the erasure again."""
    intents = [moved_to(town, "ACKNOWLEDGED") for _ in range(3)]
    provider, signed = town.parties.provider, []
    sign_batch = keys.sign_batch

    def counted(*given: object, **more: object) -> object:
        signed.extend(given[4])
        return sign_batch(*given, **more)

    with mock.patch.object(keys, "sign_batch", counted):
        town.accept(provider.erase(intents, "acknowledged"))
        assert len(signed) == 3
        town.accept([provider.register_schema(records.SchemaRegister("another", 1, "", ()))])

    assert len(signed) == 4


def test_the_rest_of_a_batch_forgets_no_promise_before_it(town: Town) -> None:
    """Of three only the first is ordered before a crash, and then only the others are asked for."""
    intent, ledger = moved_to(town, "ACKNOWLEDGED"), town.parties.ledger
    consumer = town.parties.consumer
    drafts = [erase(town, intent, "subject-asked"), consumer.acknowledge(intent)]
    before = content(town, intent)
    cut_off(town, *drafts)

    (answer,) = submit(ledger, drafts[1:])

    assert isinstance(answer, RefusedError)
    assert gone(before, content(town, intent)) == {"payload", "delivery-key"}


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
