"""What a record says is gone is destroyed once the ledger has it, and never before."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import apsw
import pytest

from ledgercore import BusyError, MalformedError, RefusedError, UntrustedError, keys, records
from ledgercore.demo.parties import BANK, TAX
from ledgercore.exchange import (
    Accepted,
    Consumer,
    Draft,
    Provider,
    Submitted,
    recipient,
    resume,
    sign,
    submit,
)
from ledgercore.exchange.content import released_name
from ledgercore.exchange.messages import Delivery, Release
from ledgercore.exchange.sealing import open_payload, seal_payload
from ledgercore.keyfile import load_key
from ledgercore.ledger import Ledger
from ledgercore.vault import Vault
from tests.promises import (
    PROMISES,
    Act,
    CutError,
    admitted,
    content,
    cut_off,
    erase,
    forget,
    gone,
    moved_to,
    resumed,
    says_more,
    void,
)
from tests.town import AGENCY, DAY_MS, FIELDS, Town


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    yield town
    town.parties.close()


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


def test_what_was_corrected_after_a_promise_is_promised_and_destroyed_too(town: Town) -> None:
    intent, provider = moved_to(town, "ACKNOWLEDGED"), town.parties.provider
    town.accept([forget(town, intent, "acknowledged")])
    draft, _ = provider.correct(intent, town.mapping.offer.product, {"cr.grade": "D"})
    town.accept([draft])

    town.accept([forget(town, intent, "corrected")])

    assert [] == corrections(town, intent)
    (refused,) = submit(town.parties.ledger, [forget(town, intent, "corrected")])
    assert isinstance(refused, RefusedError) and refused.code == "E_EXISTS"


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
    with pytest.raises(RefusedError, match="exchange is ERASED: nothing of it is kept"):
        consumer.read_correction(correction)
    with pytest.raises(RefusedError, match="exchange is ERASED: nothing of it is kept"):
        consumer.decline(intent, RefusedError("E_SCOPE", "too late"))
    assert consumer.certify_erasure([intent])


# What is signed is not made untrue.


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


def test_what_took_the_delivery_key_is_said_where_it_is_missed(town: Town) -> None:
    consumer, (intent, request) = town.parties.consumer, town.intend(town.consent())
    delivery, release = town.deliver(intent, request)

    consumer.forget([intent])
    with pytest.raises(UntrustedError, match=r"no delivery key .* is kept: intended elsewhere, or"):
        consumer.open(delivery, release)
    town.accept([erase(town, intent, "subject-asked")])
    with pytest.raises(RefusedError, match="exchange is ERASED: nothing of it is opened"):
        consumer.open(delivery, release)


@pytest.mark.parametrize("streamed", [False, True])
def test_what_is_sealed_while_another_process_answers_and_voids_is_not_kept(
    town: Town, streamed: bool
) -> None:
    fields = FIELDS[:1] if streamed else FIELDS
    intent, request = town.intend(town.consent(), *fields)
    provider, home = town.parties.provider, "ledgercore.exchange.provider.seal_payload"
    other = again(town)
    other._source = provider._source

    def seal(*args: object) -> bytes:
        with mock.patch(home, seal_payload):
            town.accept(other.answer([(intent, request)]))
            town.accept([other.void(intent, "E_SCOPE")])
        return seal_payload(*args)  # type: ignore[arg-type]  # as they came

    with mock.patch(home, seal):
        if streamed:
            files = io.BytesIO(b"content"), io.BytesIO(), io.BytesIO()
            draft = provider.answer_stream(intent, request, *files)
        else:
            (draft,) = provider.answer([(intent, request)])

    assert draft.body == records.ExchangeRefuse(intent, "E_EXCHANGE_STATE")
    assert provider._vault.names(f"exchange/{intent.hex()}/") == []
    other._vault.close()


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("end", ["DECLINED", "ERASED", "forgotten"])
def test_no_key_is_released_of_what_is_over(town: Town, end: str, opened: bool) -> None:
    (intent, place), (other, beside) = admitted(town), admitted(town)
    provider, consumer = town.parties.provider, town.parties.consumer
    if opened:
        consumer.open(provider.delivery(intent), provider.release(intent, place))
    if end == "DECLINED":
        town.accept([consumer.decline(intent, RefusedError("E_SCOPE", "another firm's"))])
    elif end == "ERASED":
        town.accept([erase(town, intent, "subject-asked")])
    else:  # its vault is of before, and was not resumed
        town.accept([consumer.acknowledge(intent)])
        with mock.patch.object(Vault, "erase"):
            town.accept([forget(town, intent, "acknowledged")])

    withheld, released = provider.release_all([(intent, place), (other, beside)])

    assert isinstance(withheld, RefusedError) and withheld.code == "E_EXCHANGE_STATE"
    assert withheld.message == f"exchange is {end}, key is withheld"
    assert not isinstance(released, RefusedError)


@pytest.mark.parametrize("restarted", [False, True])
def test_what_was_released_is_not_voided_by_an_older_draft(town: Town, restarted: bool) -> None:
    (intent, place), (other, beside) = admitted(town), admitted(town)
    provider, ledger = town.parties.provider, town.parties.ledger
    draft, size, kept = void(town, intent, "E_SCOPE"), ledger.size, content(town, intent)
    release = provider.release(intent, place)
    provider = again(town) if restarted else provider

    with pytest.raises(RefusedError, match="E_EXCHANGE_STATE: key of the exchange was released"):
        provider.void(intent, "E_SCOPE")
    for act in (sign, submit):
        with pytest.raises(RefusedError, match="E_EXCHANGE_STATE: key of the exchange was releas"):
            act(ledger, [draft])

    assert (ledger.size, content(town, intent)) == (size, kept)
    town.accept([provider.void(other, "E_SCOPE")])
    withheld, *_ = provider.release_all([(other, beside)])
    assert isinstance(withheld, RefusedError)
    assert town.parties.consumer.open(provider.delivery(intent), release)
    town.accept([provider.confirm_release(release)])


def test_what_is_forgotten_is_not_voided_while_that_would_be_untrue(town: Town) -> None:
    intent, place = admitted(town)
    provider, vault = town.parties.provider, town.parties.vaults[TAX]
    delivery, release = provider.delivery(intent), provider.release(intent, place)

    provider.forget([intent])
    with pytest.raises(RefusedError, match="key of the exchange was released here"):
        provider.void(intent, "E_SCOPE")
    town.parties.consumer.open(delivery, release)
    town.accept([town.parties.consumer.acknowledge(intent)])
    provider.forget([intent])

    assert vault.names("exchange/") == []


def test_what_is_voided_while_its_key_is_withheld_stays_so(town: Town) -> None:
    """No key was given out: so nothing bars the void."""
    proposal = town.consent()
    intent, request = town.intend(proposal)
    provider = town.parties.provider
    (place,) = town.accept(provider.answer([(intent, request)]))
    town.accept([town.subject.revoke(proposal)])

    with pytest.raises(RefusedError, match="E_CONSENT_STATE"):
        provider.release(intent, place)
    town.accept([provider.void(intent, "E_CONSENT_STATE")])

    assert status(town, intent) == "VOIDED"


@pytest.mark.parametrize("end", ["RELEASED", "ACKNOWLEDGED", "ERASED", "OVERDUE", "VOIDED"])
def test_a_release_that_the_ledger_would_refuse_is_not_kept(town: Town, end: str) -> None:
    provider, vault = town.parties.provider, town.parties.vaults[TAX]
    intent, place = admitted(town)
    release = provider.release(intent, place)
    if end == "RELEASED":
        town.accept([provider.confirm_release(release)])
    elif end == "OVERDUE":
        town.later(2 * DAY_MS)
    elif end == "VOIDED":
        town.void_untruly(intent)
    else:
        town.parties.consumer.open(provider.delivery(intent), release)
        town.accept([town.parties.consumer.acknowledge(intent)])
    if end == "ERASED":
        town.accept(town.parties.consumer.erase([intent], "subject-asked"))
        town.accept(provider.erase([intent], "subject-asked"))
    before = vault.names("exchange/")

    with pytest.raises(RefusedError, match=f"E_EXCHANGE_STATE: exchange is {end}, want ADMITTED"):
        provider.confirm_release(release)

    assert vault.names("exchange/") == before
    if end == "ERASED":
        assert provider.certify_erasure([intent])


def test_no_release_is_confirmed_of_what_was_signed_to_have_none(town: Town) -> None:
    """A key that was released where this vault does not see it."""
    intent, place = admitted(town)
    provider, vault = town.parties.provider, town.parties.vaults[TAX]
    release = provider.release(intent, place)
    vault.erase([released_name(intent)])
    sign(town.parties.ledger, [void(town, intent, "E_SCOPE")])
    before = vault.names("exchange/")

    with pytest.raises(RefusedError, match=r"exchange.void of the exchange .* resume first"):
        provider.confirm_release(release)

    assert vault.names("exchange/") == before


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


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("step", ["verify_copy", "open_payload"])
def test_what_is_erased_while_it_is_opened_is_not_kept(
    town: Town, step: str, ordered: bool
) -> None:
    """What has a field too many is kept for an objection, and what has an audit copy as well."""
    town.share_audit_key()
    intent, request = town.intend(town.consent())
    delivery, release = town.deliver_beyond(intent, request, "soc.heads")
    consumer, vault = town.parties.consumer, town.parties.vaults[BANK]
    (draft,) = consumer.erase([intent], "subject-asked")
    before = vault.names(f"exchange/{intent.hex()}/")
    going_on = getattr(recipient, step)

    def erase_then_go_on(*given: object) -> object:
        nonlocal before
        before = vault.names(f"exchange/{intent.hex()}/")
        submit(town.parties.ledger, [draft]) if ordered else sign(town.parties.ledger, [draft])
        return going_on(*given)

    with (
        mock.patch.object(recipient, step, erase_then_go_on),
        pytest.raises(RefusedError, match="E_EXCHANGE_STATE"),
    ):
        consumer.open(delivery, release)

    assert vault.names(f"exchange/{intent.hex()}/") == ([] if ordered else before)
    with pytest.raises(RefusedError, match="E_EXCHANGE_STATE"):
        consumer.open(delivery, release)
    assert vault.names(f"exchange/{intent.hex()}/") == ([] if ordered else before)


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
    sign(town.parties.ledger, [consumer.time_out(place.id, checked=True)])

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
