"""What is sealed and opened: by whom, how often, and never again once it is erased."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from ledgercore import InvalidError, LedgerError, MalformedError, RefusedError, SigningKey
from ledgercore.demo.parties import BANK, TAX
from ledgercore.exchange import Consumer, Provider, build_pack, verify_pack
from ledgercore.exchange.content import withheld_name
from ledgercore.exchange.sealing import public_delivery_key
from ledgercore.exchange.signer import RecordSigner
from ledgercore.exchange.submission import Accepted, Draft, submit
from ledgercore.records import KeyRotate, key_message
from tests.town import AGENCY, DAY_MS, FIELDS, Town


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    yield town
    town.parties.close()


def open_admitted(town: Town, intent: bytes, drafts: list[Draft]) -> dict:
    """What the bank opens after the provider submits these answers, of which one is accepted."""
    provider, outcomes = town.parties.provider, submit(town.parties.ledger, drafts)
    (place,) = [outcome for outcome in outcomes if isinstance(outcome, Accepted)]
    return town.parties.consumer.open(provider.delivery(intent), provider.release(intent, place))


@pytest.mark.parametrize("order", [(0,), (1,), (0, 1), (1, 0)])
@pytest.mark.parametrize("together", [True, False])
def test_what_is_admitted_can_be_opened_whichever_answer_was_ordered(
    town: Town, order: tuple[int, ...], together: bool
) -> None:
    """The provider answers again after a crash; its first answer may be on its way still."""
    asked = town.intend(town.consent())
    provider = town.parties.provider
    if together:
        drafts = provider.answer([asked, asked])
    else:
        drafts = provider.answer([asked]) + provider.answer([asked])

    assert open_admitted(town, asked[0], [drafts[at] for at in order])


def test_an_answer_to_what_is_answered_changes_nothing(town: Town) -> None:
    asked = town.intend(town.consent(max_uses=2))
    provider = town.parties.provider
    (place,) = town.accept(provider.answer([asked]))

    (draft,) = provider.answer([asked])
    (outcome,) = submit(town.parties.ledger, [draft])

    assert draft.body.code == "E_EXCHANGE_STATE"
    assert isinstance(outcome, RefusedError) and outcome.code == "E_EXCHANGE_STATE"
    intent = asked[0]
    assert town.parties.consumer.open(provider.delivery(intent), provider.release(intent, place))


def test_an_intent_that_is_not_admitted_has_no_delivery(town: Town) -> None:
    asked = town.intend(town.consent())
    town.parties.provider.answer([asked])

    with pytest.raises(RefusedError, match="E_EXCHANGE_STATE"):
        town.parties.provider.delivery(asked[0])


def rotate(town: Town, party: Consumer | Provider, name: bytes) -> None:
    """Put another signing and another sealing key of a member on the ledger; the vault stays."""
    key, old, network = SigningKey(name * 32), party._key, town.parties.ledger.network
    proof = key.sign(key_message(network, key.public_key, party.member))
    sealing = public_delivery_key(bytes([1]) * 32)
    town.accept([Draft(old, KeyRotate(party.member, key.public_key, sealing, proof))])
    party._key = RecordSigner(key, old.vault)


@pytest.mark.parametrize("moment", ["intent", "answer", "admit", "release"])
def test_what_is_on_its_way_while_keys_are_rotated_is_opened(town: Town, moment: str) -> None:
    """A payload's key is sealed for the exchange's own delivery key, and not for the member's."""
    provider, consumer = town.parties.provider, town.parties.consumer

    def reached(now: str) -> None:
        if now == moment:
            rotate(town, provider, b"p")
            rotate(town, consumer, b"c")

    intent, request = town.intend(town.consent())
    reached("intent")
    drafts = provider.answer([(intent, request)])
    reached("answer")
    (outcome,) = submit(town.parties.ledger, drafts)
    if moment == "answer":  # it was signed with a key that has ended since
        assert isinstance(outcome, RefusedError) and outcome.code == "E_KEY"
        assert "sign with the member's current key" in outcome.remedy
        (outcome,) = submit(town.parties.ledger, provider.answer([(intent, request)]))
    assert isinstance(outcome, Accepted)
    reached("admit")
    delivery, release = provider.delivery(intent), provider.release(intent, outcome)
    reached("release")

    assert consumer.open(delivery, release).keys() == set(FIELDS)
    town.accept([consumer.acknowledge(intent)])


def test_the_provider_forgets_all_that_it_sealed_for_an_exchange(town: Town) -> None:
    first, second = town.intend(town.consent()), town.intend(town.consent())
    vault = town.parties.vaults[TAX]
    town.parties.provider.answer([first, second])
    town.parties.provider.answer([first])

    assert len(vault.names("exchange/")) == 6
    assert town.parties.provider.forget([first[0]]) == 4
    assert vault.names(f"exchange/{first[0].hex()}/") == [withheld_name(first[0])]
    assert len(vault.names("exchange/")) == 3


def test_two_exchanges_with_one_request_have_two_keys(town: Town) -> None:
    consumer, proposal = town.parties.consumer, town.consent(max_uses=2)
    request = consumer.request(proposal.consent, FIELDS, "credit.assess")
    first, second = (place.id for place in town.accept(consumer.intend([request] * 2)))
    sealed = [town.deliver(intent, request) for intent in (first, second)]
    town.accept(consumer.erase([second], "never-needed"))

    assert consumer.open(*sealed[0])
    with pytest.raises(RefusedError, match="exchange is ERASED: nothing of it is opened"):
        consumer.open(*sealed[1])


@pytest.mark.parametrize("end", ["opened", "declined", "not opened"])
def test_what_is_erased_cannot_be_opened_again(town: Town, end: str) -> None:
    intent, request = town.intend(town.consent())
    consumer, vault = town.parties.consumer, town.parties.vaults[BANK]
    delivery, release = town.deliver(intent, request)
    if end == "opened":
        consumer.open(delivery, release)
        town.accept([consumer.acknowledge(intent)])
    elif end == "declined":
        town.accept([consumer.decline(intent, InvalidError("not what was committed to"))])

    town.accept(consumer.erase([intent], "purpose-achieved"))

    with pytest.raises(RefusedError, match="exchange is ERASED: nothing of it is opened"):
        consumer.open(delivery, release)
    assert not [name for name in vault.names() if name.endswith(("/payload", "delivery-key"))]


def test_what_its_provider_voided_is_not_opened_though_the_key_came(town: Town) -> None:
    consumer, vault = town.parties.consumer, town.parties.vaults[BANK]
    intent, request = town.intend(town.consent())
    delivery, release = town.deliver(intent, request)
    before = vault.names()
    town.void_untruly(intent)

    with pytest.raises(RefusedError, match="exchange is VOIDED: nothing of it is opened") as error:
        consumer.open(delivery, release)

    assert (error.value.code, vault.names()) == ("E_EXCHANGE_STATE", before)


def test_what_was_voided_or_timed_out_is_not_handed_over(town: Town) -> None:
    """A processor opened it, and one of the others then signed that no key was sent, or came."""
    agency = town.processor()
    for end in ("VOIDED", "TIMED_OUT"):
        proposal = town.consent(processors=(AGENCY,))
        agency.instruct(proposal)
        request = agency.request(proposal.consent, FIELDS, "credit.assess")
        (place,) = town.accept(agency.intend([request]))
        agency.open(*town.deliver(place.id, request))
        handover = agency.hand_over(place.id)
        if end == "VOIDED":
            town.void_untruly(place.id)
        else:
            town.later(2 * DAY_MS)
            town.accept([town.parties.consumer.time_out(place.id, checked=True)])

        message = f"exchange is {end}: nothing of it is opened"
        with pytest.raises(RefusedError, match=message):
            agency.hand_over(place.id)
        with pytest.raises(RefusedError, match=message):
            town.parties.consumer.take_over(handover)


def test_nothing_is_erased_where_there_is_nothing_to_erase(town: Town) -> None:
    consumer, ledger, pending = (
        town.parties.consumer,
        town.parties.ledger,
        town.intend(town.consent()),
    )

    for other, code in ((bytes(32), "E_UNKNOWN"), (pending[0], "E_EXCHANGE_STATE")):
        (outcome,) = submit(ledger, consumer.erase([other], "purpose-achieved"))
        assert isinstance(outcome, RefusedError) and outcome.code == code

    assert consumer.open(*town.deliver(*pending))


@pytest.mark.parametrize("part", ["ciphertext", "receipt", "admit", "sealed_key"])
def test_every_changed_byte_of_a_delivery_is_refused(town: Town, part: str) -> None:
    intent, request = town.intend(town.consent())
    delivery, release = town.deliver(intent, request)
    message = delivery if part == "ciphertext" else release
    data = getattr(message, part)
    for at in range(0, len(data), max(1, len(data) // 150)):
        wrong = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        changed = structs.replace(message, **{part: wrong})
        pair = (changed, release) if part == "ciphertext" else (delivery, changed)
        with pytest.raises(LedgerError):
            town.parties.consumer.open(*pair)


def test_the_key_of_another_exchange_opens_nothing(town: Town) -> None:
    proposal = town.consent(max_uses=2)
    first, second = town.intend(proposal), town.intend(proposal)
    (delivery, _), (_, release) = town.deliver(*first), town.deliver(*second)

    with pytest.raises(InvalidError):
        town.parties.consumer.open(delivery, release)


def test_text_is_delivered_in_normal_form_c_however_its_source_writes_it(town: Town) -> None:
    town.parties.provider._source[town.firm]["cr.grade"] = "e\u0301"
    intent, request = town.intend(town.consent())

    opened = town.parties.consumer.open(*town.deliver(intent, request))

    ledger = town.parties.ledger
    assert opened["cr.grade"] == "\u00e9"
    assert verify_pack(build_pack(ledger, town.parties.vaults["bank"], intent), ledger.trust_anchor)


def test_terms_that_are_not_in_normal_form_c_are_not_agreed_to(town: Town) -> None:
    proposal = town.parties.consumer.propose(town.terms(onward="e\u0301"), bytes(32))

    with pytest.raises(MalformedError):
        town.subject.agree(proposal)


@pytest.mark.parametrize(
    ("intent", "shown"),
    [
        (b"\x1b[31mEVIL\n\x00", "1b5b33316d455649"),
        (b"\xff", "ff"),
        ("\u202e".encode(), "e280ae"),
        (bytes(32), "00" * 8),
    ],
)
def test_an_exchange_that_there_is_not_is_named_in_digits(
    town: Town, intent: bytes, shown: str
) -> None:
    """Bytes from elsewhere could steer the terminal that an error is read on."""
    with pytest.raises(RefusedError, match=f"E_UNKNOWN: exchange {shown} does not exist"):
        town.parties.provider.delivery(intent)


@pytest.mark.parametrize("intent", [b"", bytes(32)])
def test_nothing_is_certified_of_an_exchange_that_there_is_not(town: Town, intent: bytes) -> None:
    for party in (town.parties.provider, town.parties.consumer):
        with pytest.raises(RefusedError, match=r"E_UNKNOWN: exchange .* does not exist"):
            party.certify_erasure([intent])
