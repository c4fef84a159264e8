"""Who acts for a consumer, within a consent that names it, and what stays the consumer's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from ledgercore import InvalidError, RefusedError, UntrustedError, records, rules
from ledgercore.demo.parties import BANK
from ledgercore.exchange import Draft, Subject, build_pack, submit, verify_pack
from ledgercore.exchange.messages import Delivery, Handover, Release
from ledgercore.exchange.salted import FIELD, decode_leaves, encode_leaves
from ledgercore.rules import View
from tests.network import (
    CONSENT,
    DEADLINE,
    FAR,
    PURPOSE,
    ROOT,
    START,
    ZERO,
    act,
    admit,
    authorised,
    begin,
    code_of,
    decision,
    exchange_state,
    intend,
    request,
    sign,
)
from tests.town import AGENCY, DAY_MS, FIELDS, OTHER_AGENCY, Town

INTENT = records.ExchangeIntent(CONSENT, ROOT, ZERO, FAR)


def refusal(view: View, signer: str, body: records.RecordBody, time_ms: int = START) -> str:
    return code_of(view, sign(view, signer, body), time_ms)


def request_refusal(*processors: str) -> str:
    return refusal(begin(), "consumer", request(CONSENT, "consent key", processors=processors))


def named(*processors: str) -> View:
    return authorised(begin(), expires_ms=2 * FAR, processors=processors)


REFUSALS: dict[str, dict[str, Callable[[], str]]] = {
    "E_UNKNOWN": {"a processor that is no member": lambda: request_refusal("nobody")},
    "E_ROLE": {
        "a processor that is a provider": lambda: request_refusal("other-provider"),
        "an intent of a provider": lambda: refusal(named("processor"), "provider", INTENT),
    },
    "E_CANON": {"a processor twice": lambda: request_refusal("processor", "processor")},
    "E_RECIPIENT": {
        "an intent of one that is not named": lambda: refusal(
            named("processor"), "other processor", INTENT
        ),
        "an intent where none is named": lambda: refusal(named(), "processor", INTENT),
        "an intent of another consumer": lambda: refusal(
            named("processor"), "other consumer", INTENT
        ),
    },
}


@pytest.mark.parametrize(
    ("code", "case"), [(code, case) for code, cases in REFUSALS.items() for case in cases]
)
def test_refusal_has_its_code(code, case):
    assert code == REFUSALS[code][case]()


def steps(exchange: bytes, decided: bytes) -> dict[str, tuple[records.RecordBody, int]]:
    """What follows an admit, and when."""
    return {
        "acknowledge": (records.ExchangeAcknowledge(exchange), START),
        "decline": (records.ExchangeDecline(exchange, "E_SCOPE", ROOT), START),
        "time-out": (records.ExchangeTimeOut(exchange), DEADLINE),
        "restrict": (records.ExchangeRestrict(exchange, "tax-law", 2 * FAR), START),
        "erase": (records.ExchangeErase(exchange, "purpose"), START),
        "use": (records.ExchangeUse(exchange, decided, PURPOSE), START),
    }


SIGNERS = ("consumer", "processor", "other processor", "other consumer", "provider")
BY_RECIPIENT = {"processor": "", "other processor": "E_RECIPIENT"}
BY_CONSUMER = {"processor": "E_ROLE", "other processor": "E_ROLE"}


@pytest.mark.parametrize("step", steps(ZERO, ZERO))
@pytest.mark.parametrize("by", ["consumer", "processor"])
def test_every_step_by_every_signer_where_a_processor_acts_and_where_none_does(
    step: str, by: str
) -> None:
    """Both processors are named; the one that sent the intent acts in this exchange alone."""
    view = named("processor", "other-processor")
    exchange = act(view, by, INTENT)
    act(view, "provider", admit(exchange))
    decided = ZERO
    if step in ("restrict", "use"):
        act(view, "consumer", records.ExchangeAcknowledge(exchange))
    if step == "use":
        decided = act(view, "consumer", decision(exchange))
    body, time_ms = steps(exchange, decided)[step]
    recipient = step in ("acknowledge", "decline", "time-out")
    want = BY_RECIPIENT if recipient else BY_CONSUMER
    if recipient and by == "consumer":
        want = dict.fromkeys(want, "E_RECIPIENT")
    want = want | {"consumer": "", "other consumer": "E_RECIPIENT", "provider": "E_ROLE"}

    got = {name: refusal(view.fork(), name, body, time_ms) for name in SIGNERS}

    assert got == want
    acting = "" if by == "consumer" else "processor"
    assert exchange_state(view, exchange).processor == acting


@pytest.mark.parametrize("body", [records.ConsentRevoke(CONSENT), None])
def test_a_processor_ends_with_the_consent_and_with_its_own_membership(body: Any) -> None:
    view = named("processor")
    exchange = act(view, "processor", INTENT)
    if body is None:
        act(view, "processor", records.KeyCompromise("processor"))
        act(view, "provider", admit(exchange))
        assert refusal(view, "processor", records.ExchangeAcknowledge(exchange)) == "E_KEY"
    else:
        act(view, "consent key", body)
        assert refusal(view, "processor", INTENT) == "E_CONSENT_STATE"


def test_a_processor_decides_nothing() -> None:
    view = named("processor")
    exchange = act(view, "processor", INTENT)
    act(view, "provider", admit(exchange))
    act(view, "processor", records.ExchangeAcknowledge(exchange))

    assert refusal(view, "processor", decision(exchange)) == "E_ROLE"
    assert refusal(view, "consumer", decision(exchange)) == ""
    assert intend(view)  # the consumer acts itself, beside its processor


# The parties.


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    yield town
    town.parties.close()


def received(town: Town) -> bytes:
    """An exchange that the agency took part in, to the acknowledgement."""
    agency, proposal = town.processor(), town.consent(processors=(AGENCY,))
    agency.instruct(proposal)
    request = agency.request(proposal.consent, FIELDS, "credit.assess")
    (place,) = town.accept(agency.intend([request]))
    agency.open(*town.deliver(place.id, request))
    town.accept([agency.acknowledge(place.id)])
    return place.id


def test_what_a_processor_received_the_consumer_decides_on_and_erases(town: Town) -> None:
    intent = received(town)
    handover = town.processor().hand_over(intent)
    agency, consumer, ledger = town.processor(), town.parties.consumer, town.parties.ledger

    values = consumer.take_over(agency.hand_over(intent))
    (place,) = town.accept([consumer.decide([intent], "approved", b"model", [])])
    town.accept([consumer.use(intent, place.id, "credit.assess")])
    pack = build_pack(ledger, town.parties.vaults[BANK], intent)
    claims = {claim.name: claim for claim in verify_pack(pack, ledger.trust_anchor)}

    assert set(values) == set(FIELDS)
    assert claims["delivery"].statement == "agency acknowledged the delivery"
    assert claims["request"].statement.startswith("agency asked for")
    assert {"payload", "answer", "release", "use"} <= {
        name for name, claim in claims.items() if claim.status == "proven"
    }
    assert agency.forget([intent]) > 0
    with pytest.raises(UntrustedError, match="nothing of exchange"):
        agency.hand_over(intent)
    town.accept(consumer.erase([intent], "purpose-achieved"))
    with pytest.raises(RefusedError, match="exchange is ERASED"):
        consumer.take_over(handover)


def test_nothing_is_handed_over_once_the_consumer_signed_that_it_is_erased(town: Town) -> None:
    intent = received(town)
    town.parties.consumer.take_over(town.processor().hand_over(intent))
    town.accept(town.parties.consumer.erase([intent], "purpose-achieved"))

    with pytest.raises(RefusedError, match="exchange is ERASED"):
        town.processor().hand_over(intent)


def other_value(handover: Handover) -> Handover:
    leaf, *rest = decode_leaves(handover.payload, FIELD)
    payload = encode_leaves((structs.replace(leaf, value=9), *rest))
    return structs.replace(handover, payload=payload)


def other_request(handover: Handover) -> Handover:
    return structs.replace(handover, request=structs.replace(handover.request, nonce=ZERO))


@pytest.mark.parametrize("change", [other_value, other_request])
def test_what_is_handed_over_is_held_to_the_ledger(
    town: Town, change: Callable[[Handover], Handover]
) -> None:
    intent = received(town)
    handover = town.processor().hand_over(intent)

    with pytest.raises(InvalidError):
        town.parties.consumer.take_over(change(handover))
    assert town.parties.vaults[BANK].load(f"exchange/{intent.hex()}/payload") is None


def test_nothing_is_taken_over_from_an_exchange_of_ones_own(town: Town) -> None:
    intent = received(town)
    own, _ = town.intend(town.consent())
    handover = structs.replace(town.processor().hand_over(intent), exchange=own)

    with pytest.raises(UntrustedError, match="not received for bank"):
        town.parties.consumer.take_over(handover)


def test_a_correction_is_read_once_what_the_processor_received_is_taken_over(town: Town) -> None:
    """Before that the consumer's vault has no request that tells which fields were asked for."""
    intent, consumer = received(town), town.parties.consumer
    product = town.mapping.offer.product
    draft, correction = town.parties.provider.correct(intent, product, {FIELDS[0]: "D"})
    town.accept([draft])

    with pytest.raises(UntrustedError, match="not known here: take over what agency received"):
        consumer.read_correction(correction)
    consumer.take_over(town.processor().hand_over(intent))

    assert consumer.read_correction(correction) == {FIELDS[0]: "D"}


def test_processors_of_terms_and_consent_are_the_same(town: Town) -> None:
    """The ledger's consent names one more than the subject agreed to: the provider refuses."""
    proposal = town.ask(town.terms(), processors=(OTHER_AGENCY,))
    with pytest.raises(InvalidError, match="processors of the consent"):
        town.authorise(proposal)
    blind = Subject(town.firm, town.parties.vaults["enterprises"])
    town.authorise(proposal, blind)
    intent, asked = town.intend(proposal)

    (draft,) = town.parties.provider.answer([(intent, asked)])

    assert draft.body.code == "E_SCOPE"


def test_a_processor_takes_no_terms_that_do_not_name_it(town: Town) -> None:
    agency, proposal = town.processor(), town.consent(processors=(OTHER_AGENCY,))

    with pytest.raises(RefusedError, match="not agency") as found:
        agency.instruct(proposal)
    with pytest.raises(UntrustedError, match="not known here"):
        agency.request(proposal.consent, FIELDS, "credit.assess")
    assert found.value.remedy == rules.CODES["E_RECIPIENT"].remedy


def admitted_by_the_agency(town: Town) -> tuple[bytes, Delivery, Release]:
    """An exchange that the agency asked for, whose key was sent."""
    agency, proposal = town.processor(), town.consent(processors=(AGENCY,))
    agency.instruct(proposal)
    asked = agency.request(proposal.consent, FIELDS, "credit.assess")
    (place,) = town.accept(agency.intend([asked]))
    return place.id, *town.deliver(place.id, asked)


def test_a_consumer_denies_no_key_that_its_processor_may_have_opened(town: Town) -> None:
    """Its vault has nothing of the exchange whether a key came or not: the owner's word decides."""
    intent, delivery, release = admitted_by_the_agency(town)
    consumer, agency, ledger = town.parties.consumer, town.processor(), town.parties.ledger
    assert agency.open(delivery, release)
    town.later(2 * DAY_MS)

    for deny in (
        lambda: consumer.time_out(intent),
        lambda: submit(ledger, [Draft(consumer.signer, records.ExchangeTimeOut(intent))]),
    ):
        with pytest.raises(RefusedError, match=r"for which agency asked, .* checked=True") as found:
            deny()
        assert found.value.code == "E_EXCHANGE_STATE"
    with pytest.raises(RefusedError, match="exchange was opened here"):
        agency.time_out(intent, checked=True)


@pytest.mark.parametrize("by", ["consumer", "processor"])
def test_either_says_that_no_key_came_once_it_knows(town: Town, by: str) -> None:
    intent, _, _ = admitted_by_the_agency(town)
    town.later(2 * DAY_MS)

    if by == "consumer":
        draft = town.parties.consumer.time_out(intent, checked=True)
    else:
        draft = town.processor().time_out(intent)
    town.accept([draft])

    assert town.parties.vaults[BANK].load(f"exchange/{intent.hex()}/missed") is None


def test_who_forgets_an_unused_delivery_key_knows_that_it_opened_nothing(town: Town) -> None:
    (unused, _, _), (used, *sent) = admitted_by_the_agency(town), admitted_by_the_agency(town)
    agency = town.processor()
    agency.open(*sent)
    agency.forget([unused, used])
    agency.forget([unused, used])
    town.later(2 * DAY_MS)

    with pytest.raises(RefusedError, match="exchange was opened here"):
        agency.time_out(used, checked=True)
    town.accept([agency.time_out(unused)])

    missed = f"exchange/{unused.hex()}/missed"
    assert town.parties.vaults[AGENCY].load(missed) is None
