"""Agreements: what is negotiated is what both keep, and nothing new begins without one in force."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from unittest import mock

import pytest
from msgspec import structs

from ledgercore import InvalidError, LimitError, RefusedError, UntrustedError, records, rules
from ledgercore.demo.negotiation import OFFERED
from ledgercore.demo.parties import BANK, TAX
from ledgercore.exchange import agreement as agreement_module
from ledgercore.exchange import build_pack, find_products, verify_pack
from ledgercore.exchange.agreement import ConsumerAgreements, contract_commitment
from ledgercore.exchange.submission import submit
from tests.agreed import agreed, agreement_state
from tests.agreements import AGREEMENT, requested
from tests.network import (
    CONSENT,
    FAR,
    NEW_CONSENT,
    PURPOSE,
    ROOT,
    START,
    ZERO,
    act,
    admit,
    agreement_scene,
    authorised,
    begin,
    code_of,
    exchange_state,
    intend,
    product,
    request,
    sign,
)
from tests.town import DAY_MS, Town

AGREED = {"agreement": AGREEMENT}


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    yield town
    town.parties.close()


def asked(**changes: object) -> records.ConsentRequest:
    return request(NEW_CONSENT, "new consent key", **AGREED | changes)


def refusal(view: rules.View, signer: str, body: records.RecordBody, time_ms: int = START) -> str:
    return code_of(view, sign(view, signer, body), time_ms)


# What an agreement may say.


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"product": "none"}, "E_UNKNOWN"),
        ({"purposes": ()}, "E_PURPOSE"),
        ({"purposes": (PURPOSE, "marketing")}, "E_PURPOSE"),
        ({"expires_ms": START}, "E_CLOCK"),
        ({"expires_ms": START + 1}, ""),
    ],
)
def test_what_is_asked_for_or_offered_is_held_to_the_product(changes, code):
    offer = records.AgreementOffer(AGREEMENT, "tax.v1", (PURPOSE,), ROOT, FAR, "consumer")

    assert code == refusal(begin(), "consumer", requested(**changes))
    assert code == refusal(begin(), "provider", structs.replace(offer, **changes))


@pytest.mark.parametrize(
    ("consumer", "code"), [("nobody", "E_UNKNOWN"), ("supervisor", "E_ROLE"), ("consumer", "")]
)
def test_an_offer_names_a_consumer(consumer, code):
    offer = records.AgreementOffer(AGREEMENT, "tax.v1", (PURPOSE,), ROOT, FAR, consumer)

    assert code == refusal(begin(), "provider", offer)


def test_a_withdrawn_product_is_not_negotiated():
    view = begin()
    act(view, "provider", records.ProductWithdraw("tax.v1"))

    assert "E_PRODUCT" == refusal(view, "consumer", requested())


def test_a_negotiation_stays_with_its_product_and_its_consumer():
    view = begin()
    act(view, "provider", product("other.v1"))
    act(view, "consumer", requested())
    offer = records.AgreementOffer(AGREEMENT, "tax.v1", (PURPOSE,), ZERO, FAR, "consumer")

    for changes in ({"product": "other.v1"}, {"consumer": "other-consumer"}):
        assert "E_AGREEMENT" == refusal(view, "provider", structs.replace(offer, **changes))
    act(view, "provider", offer)
    assert "E_AGREEMENT" == refusal(view, "consumer", requested(product="other.v1"))
    act(view, "consumer", requested(expires_ms=FAR - 1))
    assert (ROOT, FAR - 1) == (
        agreement_state(view).contract_commitment,
        agreement_state(view).expires_ms,
    )


def test_who_suspended_it_resumes_it_and_the_state_says_why():
    scene = agreement_scene("FINALIZED")
    act(scene.view, "provider", records.AgreementSuspend(AGREEMENT, "INCIDENT"))
    state = agreement_state(scene.view)
    assert ("SUSPENDED", "provider", "INCIDENT") == (state.status, state.ended_by, state.code)

    resume = records.AgreementResume(AGREEMENT)
    assert "E_RECIPIENT" == refusal(scene.view, "consumer", resume)
    act(scene.view, "provider", resume)

    state = agreement_state(scene.view)
    assert ("FINALIZED", "", "") == (state.status, state.ended_by, state.code)


def test_an_agreement_expires_on_the_millisecond_by_the_ledgers_time():
    view = authorised(agreed(begin()), agreement=AGREEMENT, expires_ms=FAR, lapses_ms=FAR)
    exchange = intend(view, FAR + 1)
    for time_ms, code in ((FAR - 1, ""), (FAR, "E_AGREEMENT_STATE")):
        suspend = records.AgreementSuspend(AGREEMENT, "INCIDENT")
        assert code == refusal(view.fork(), "consumer", suspend, time_ms)
        consent = asked(expires_ms=time_ms + 1, lapses_ms=time_ms + 1)
        assert code == refusal(view.fork(), "consumer", consent, time_ms)
    near = structs.replace(admit(exchange), deadline_ms=FAR + 9)
    assert "" == refusal(view.fork(), "provider", near, FAR - 1)
    assert "E_CONSENT_STATE" == refusal(view.fork(), "provider", near, FAR)  # it ends no later


# What needs one.


def needing(view: rules.View) -> rules.View:
    act(view, "provider", product("strict.v1", needs_agreement=True))
    return view


def test_a_product_that_needs_an_agreement_is_not_asked_for_without_one():
    view = needing(begin())
    body = request(NEW_CONSENT, "new consent key", product="strict.v1")
    assert "E_AGREEMENT" == refusal(view, "consumer", body)

    agreed(view, product="strict.v1")

    assert "" == refusal(view, "consumer", structs.replace(body, agreement=AGREEMENT))


@pytest.mark.parametrize(
    ("signer", "changes", "code"),
    [
        ("consumer", {}, ""),
        ("consumer", {"agreement": ZERO}, "E_UNKNOWN"),
        ("consumer", {"product": "strict.v1"}, "E_AGREEMENT"),
        ("other consumer", {}, "E_AGREEMENT"),
        ("consumer", {"purpose": "audit"}, "E_PURPOSE"),
        ("consumer", {"expires_ms": FAR + 1}, "E_CLOCK"),
    ],
)
def test_a_consent_stays_within_its_agreement(signer, changes, code):
    view = needing(begin())
    act(view, "provider", product("wide.v1", purposes=(PURPOSE, "audit")))
    agreed(view, product="wide.v1")

    assert code == refusal(view, signer, asked(**{"product": "wide.v1"} | changes))


def under(status: str) -> str:
    """What a consent is refused with under an agreement that is in this state."""
    scene = agreement_scene(status)
    late = {"expires_ms": 2 * FAR, "lapses_ms": FAR + 1} if status == "EXPIRED" else {}
    return refusal(scene.view, "consumer", asked(**late), scene.time_ms)


NOT_IN_FORCE = (
    *("REQUESTED", "OFFERED", "ACCEPTED", "AGREED", "VERIFIED"),
    *("TERMINATED", "SUSPENDED", "RETIRED", "EXPIRED"),
)
REFUSALS: dict[str, dict[str, Callable[[], str]]] = {
    "E_AGREEMENT": {
        "none where one is needed": lambda: refusal(
            needing(begin()), "consumer", asked(product="strict.v1", agreement=None)
        ),
        "one on another product": lambda: refusal(
            needing(agreed(begin())), "consumer", asked(product="strict.v1")
        ),
        "one with another consumer": lambda: refusal(agreed(begin()), "other consumer", asked()),
    },
    "E_AGREEMENT_STATE": {status: partial(under, status) for status in NOT_IN_FORCE},
}


@pytest.mark.parametrize(
    ("code", "case"), [(code, case) for code, cases in REFUSALS.items() for case in cases]
)
def test_refusal_has_its_code(code, case):
    assert code == REFUSALS[code][case]()


@pytest.mark.parametrize("end", [records.AgreementSuspend, records.AgreementRetire])
def test_what_was_admitted_goes_on_and_nothing_new_begins(end):
    view = authorised(agreed(begin()), max_uses=3, agreement=AGREEMENT)
    admitted, waiting = intend(view), intend(view)
    act(view, "provider", admit(admitted))

    act(view, "consumer", end(AGREEMENT, "INCIDENT"))

    intent = records.ExchangeIntent(CONSENT, ROOT, ZERO, FAR)
    assert "E_AGREEMENT_STATE" == refusal(view, "consumer", intent)
    assert "E_AGREEMENT_STATE" == refusal(view, "provider", admit(waiting))
    assert "E_AGREEMENT_STATE" == refusal(view, "consumer", asked())
    act(view, "provider", records.ExchangeRelease(admitted, ROOT))
    act(view, "consumer", records.ExchangeAcknowledge(admitted))
    act(view, "consent key", records.ConsentRevoke(CONSENT))
    assert "ACKNOWLEDGED" == exchange_state(view, admitted).status


# The parties, and what they can show.


def test_both_keep_the_contract_that_the_ledger_commits_to(town: Town) -> None:
    ours, theirs = town.parties.consumer.agreements, town.parties.provider.agreements

    contract = ours.contract(town.agreement)

    assert contract == theirs.contract(town.agreement) and contract.text == OFFERED
    state = ours.state(town.agreement)
    assert state.contract_commitment == contract_commitment("std", contract)
    assert (state.status, state.consumer, state.provider) == ("FINALIZED", BANK, TAX)
    assert find_products(town.parties.ledger)[0].needs_agreement


def test_what_was_agreed_stays_whatever_is_drafted_after_it(town: Town) -> None:
    """Drawn up and proposed, which the ledger refuses."""
    product, end_ms = town.mapping.offer.product, town.clock.now_ms() + 1000
    for party in (town.parties.consumer.agreements, town.parties.provider.agreements):
        agreed = party.contract(town.agreement)
        draft = party.draw_up(BANK, product, ("credit.assess",), "later", end_ms, town.agreement)
        send = party.request if isinstance(party, ConsumerAgreements) else party.offer

        (outcome,) = submit(town.parties.ledger, [send(draft)])

        assert isinstance(outcome, RefusedError) and outcome.code == "E_AGREEMENT_STATE"
        assert party.contract(town.agreement) == agreed and agreed.text == OFFERED


def test_a_contract_that_was_drawn_up_longer_than_one_may_be_is_signed_and_read(town: Town) -> None:
    bank, authority = town.parties.consumer.agreements, town.parties.provider.agreements
    product, end_ms = town.mapping.offer.product, town.clock.now_ms() + DAY_MS
    with pytest.raises(LimitError, match=r"text of the contract has 1200000 bytes, want at most"):
        bank.draw_up(BANK, product, ("credit.assess",), "x" * 1_200_000, end_ms)
    with mock.patch.object(agreement_module, "TEXT_BYTES", 1 << 30):
        long = bank.draw_up(BANK, product, ("credit.assess",), "x" * 1_200_000, end_ms)
    town.accept([bank.request(long)])
    town.accept([authority.agree(long)])

    town.accept([bank.verify(long.agreement)])

    assert bank.contract(long.agreement) == authority.contract(long.agreement) == long


def test_what_is_proposed_is_the_contract_until_another_is(town: Town) -> None:
    bank, authority = town.parties.consumer.agreements, town.parties.provider.agreements
    product, purposes = town.mapping.offer.product, ("credit.assess",)
    end_ms = town.clock.now_ms() + 100_000
    first = bank.draw_up(BANK, product, purposes, "first", end_ms)
    with pytest.raises(RefusedError, match="E_UNKNOWN"):
        bank.contract(first.agreement)
    town.accept([bank.request(first)])
    second = authority.draw_up(BANK, product, purposes, "second", end_ms, first.agreement)

    assert bank.contract(first.agreement) == first
    town.accept([authority.offer(second)])
    with pytest.raises(UntrustedError, match="is not kept here: have the other party send it"):
        bank.contract(first.agreement)
    town.accept([bank.accept(second)])
    assert bank.contract(first.agreement) == authority.contract(first.agreement) == second


def test_a_party_signs_no_contract_but_the_one_that_was_proposed(town: Town) -> None:
    bank, authority = town.parties.consumer.agreements, town.parties.provider.agreements
    product, end_ms = town.mapping.offer.product, town.clock.now_ms() + DAY_MS
    contract = authority.draw_up(BANK, product, ("credit.assess",), "for loans", end_ms)
    town.accept([authority.offer(contract)])

    with pytest.raises(InvalidError, match="not the one that the agreement commits to"):
        bank.accept(structs.replace(contract, text="for anything"))
    with pytest.raises(UntrustedError, match="is not kept here"):
        bank.contract(contract.agreement)
    assert "agreement.accept" == bank.accept(contract).body.KIND


def test_a_contract_that_says_other_than_its_record_is_not_signed(town: Town) -> None:
    """The record is what rules hold both to: one that is wider than the text is refused."""
    bank, authority = town.parties.consumer.agreements, town.parties.provider.agreements
    product, end_ms = town.mapping.offer.product, town.clock.now_ms() + DAY_MS
    contract = authority.draw_up(BANK, product, ("credit.assess",), "for a day", end_ms)
    draft = authority.offer(contract)
    wider = structs.replace(draft.body, expires_ms=end_ms + DAY_MS)
    town.accept([draft._replace(body=wider)])

    with pytest.raises(InvalidError, match="expires_ms of the agreement is"):
        bank.accept(contract)


def test_a_refusal_names_the_record_and_the_remedy(town: Town) -> None:
    proposal = town.consent()
    town.accept([town.parties.provider.agreements.suspend(town.agreement, "INCIDENT")])
    consumer = town.parties.consumer
    draft = consumer.intend([consumer.request(proposal.consent, ["cr.grade"], "credit.assess")])

    (outcome,) = submit(town.parties.ledger, draft)

    assert isinstance(outcome, RefusedError) and outcome.code == "E_AGREEMENT_STATE"
    assert len(outcome.record) == 32 and "resume it" in outcome.remedy


def claims(town: Town, intent: bytes) -> dict[str, tuple[str, str]]:
    ledger = town.parties.ledger
    found = verify_pack(build_pack(ledger, town.parties.vaults[BANK], intent), ledger.trust_anchor)
    return {claim.name: (claim.status, claim.statement) for claim in found}


def test_the_pack_proves_the_agreement_beside_all_else_and_still_after_erasure(town: Town) -> None:
    consumer = town.parties.consumer
    intent, asked_for = town.intend(town.consent())
    consumer.open(*town.deliver(intent, asked_for))
    town.accept([consumer.acknowledge(intent)])
    (decided,) = town.accept([consumer.decide([intent], "approved", b"model", [])])
    town.accept([consumer.use(intent, decided.id, "credit.assess")])
    whole = [
        "agreement",
        "consent",
        "live",
        "scope",
        "purpose",
        "payload",
        "delivery",
        "decision",
        "use",
    ]
    assert {claims(town, intent)[name][0] for name in whole} == {"proven"}

    town.accept([town.parties.consumer.agreements.retire(town.agreement, "NO_NEED")])
    town.accept(consumer.erase([intent], "purpose-achieved"))

    found = claims(town, intent)
    assert {found[name][0] for name in whole if name != "payload"} == {"proven"}
    assert found["payload"][0] == "erased"
    assert found["agreement"][1].endswith("since then it is RETIRED")


def test_an_exchange_that_a_suspension_stopped_is_told_as_it_was(town: Town) -> None:
    intent, asked_for = town.intend(town.consent())
    town.accept([town.parties.consumer.agreements.suspend(town.agreement, "INCIDENT")])
    (outcome,) = submit(town.parties.ledger, town.parties.provider.answer([(intent, asked_for)]))
    assert isinstance(outcome, RefusedError) and outcome.code == "E_AGREEMENT_STATE"

    found = claims(town, intent)

    assert "live" not in found and found["outcome"][0] == "proven"
    assert found["agreement"][1].endswith("since then it is SUSPENDED")


def test_a_pack_of_a_product_that_needs_no_agreement_says_nothing_of_one(town: Town) -> None:
    free = town.product("tax.free.v1")
    town.accept([town.parties.provider.publish(free)])

    intent, _ = town.intend(town.consent(product=free.product))

    assert "agreement" not in claims(town, intent)
