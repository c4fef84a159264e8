"""The exchange between the parties: what is released, and what a party refuses to take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from ledgercore import (
    InvalidError,
    InvalidProof,
    Ledger,
    LedgerError,
    LimitError,
    MalformedError,
    RefusedError,
    StoreError,
    UntrustedError,
)
from ledgercore.demo.parties import BANK
from ledgercore.exchange import Supervisor, build_pack, verify_pack
from ledgercore.exchange.content import opened_name
from ledgercore.exchange.messages import Release, check_terms
from ledgercore.exchange.salted import FIELD
from ledgercore.exchange.submission import Accepted, sign, submit
from ledgercore.rules import CODES, ConsentState, consent_object
from ledgercore.rules.view import decode_state
from tests.town import DAY_MS, FIELDS, HOUR_MS, Town


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    yield town
    town.parties.close()


def test_the_consumer_gets_exactly_what_was_consented(town: Town) -> None:
    intent, request = town.intend(town.consent())

    values = town.parties.consumer.open(*town.deliver(intent, request))

    assert values == {field: town.table.rows[0].values[field] for field in FIELDS}


def test_a_revocation_that_comes_first_wins(town: Town) -> None:
    proposal = town.consent()
    intent, request = town.intend(proposal)
    town.accept([town.subject.revoke(proposal)])

    (outcome,) = submit(town.parties.ledger, town.parties.provider.answer([(intent, request)]))

    assert isinstance(outcome, RefusedError) and outcome.code == "E_CONSENT_STATE"
    with pytest.raises(RefusedError, match="E_CONSENT_STATE"):
        town.parties.provider.release(intent, outcome)


def test_a_revocation_after_the_admit_withholds_the_key(town: Town) -> None:
    proposal = town.consent(max_uses=2)
    intent, request = town.intend(proposal)
    (place,) = town.accept(town.parties.provider.answer([(intent, request)]))
    town.accept([town.subject.revoke(proposal)])

    with pytest.raises(RefusedError, match="key is withheld"):
        town.parties.provider.release(intent, place)


@pytest.mark.parametrize("max_uses", [1, 2])
def test_an_expiry_after_the_admit_withholds_the_key(town: Town, max_uses: int) -> None:
    """By the ledger's time, whether the consent has uses left or not."""
    expires_ms = town.clock.now_ms() + HOUR_MS
    intent, request = town.intend(town.consent(max_uses=max_uses, expires_ms=expires_ms))
    (place,) = town.accept(town.parties.provider.answer([(intent, request)]))
    town.clock.advance(HOUR_MS - 1)
    town.parties.ledger.append(b"a moment before the end")
    assert town.parties.provider.release(intent, place)
    town.clock.advance(1)
    town.parties.ledger.append(b"the end")

    with pytest.raises(RefusedError, match=r"E_CONSENT_STATE.*key is withheld"):
        town.parties.provider.release(intent, place)


def test_an_expired_consent_admits_nothing(town: Town) -> None:
    intent, request = town.intend(town.consent(), lifetime_ms=60 * DAY_MS)
    town.clock.advance(31 * DAY_MS)

    (outcome,) = submit(town.parties.ledger, town.parties.provider.answer([(intent, request)]))

    assert isinstance(outcome, RefusedError) and outcome.code == "E_CONSENT_STATE"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"fields": ("cr.grade", "aud.open")}, "E_SCOPE"),
        ({"fields": ()}, "E_SCOPE"),
        ({"purpose": "marketing"}, "E_PURPOSE"),
        ({"period_begin": "2024-01"}, "E_SCOPE"),
        ({"period_end": "2026-01"}, "E_SCOPE"),
    ],
)
def test_the_provider_refuses_what_the_terms_do_not_cover(
    town: Town, change: dict, code: str
) -> None:
    consumer, proposal = town.parties.consumer, town.consent()
    request = consumer.request(proposal.consent, FIELDS, "credit.assess")
    request = structs.replace(request, **change)
    (place,) = town.accept(consumer.intend([request]))

    (draft,) = town.parties.provider.answer([(place.id, request)])

    assert draft.body.code == code


IN_BOTH = {
    "consumer": "shop",
    "provider": "registry",
    "product": "tax.large.v1",
    "purpose": "marketing",
    "expires_ms": 1_800_000_000_000,
    "max_uses": 2,
}


@pytest.mark.parametrize("name", IN_BOTH)
def test_a_consent_is_held_to_its_terms_in_all_that_both_state(town: Town, name: str) -> None:
    terms = town.terms()
    proposal = town.ask(terms)
    value = town.parties.ledger.state(consent_object(proposal.consent))
    consent = decode_state(value, ConsentState)
    check_terms(terms, consent)

    with pytest.raises(InvalidError, match=name):
        check_terms(terms, structs.replace(consent, **{name: IN_BOTH[name]}))


def test_a_subject_does_not_authorise_more_than_it_agreed_to(town: Town) -> None:
    far_ms = town.clock.now_ms() + 9999 * DAY_MS
    terms = town.terms(expires_ms=town.clock.now_ms() + HOUR_MS)
    for change in ({"max_uses": 1000}, {"expires_ms": far_ms}, {"terms_root": bytes(32)}):
        proposal = town.ask(terms, **change)

        with pytest.raises(InvalidError, match="consent"):
            town.authorise(proposal)


def test_a_subject_does_not_authorise_what_was_asked_under_another_key(town: Town) -> None:
    other = town.subject.new_consent_key()
    proposal = town.ask(town.terms(), consent_key=other)

    with pytest.raises(InvalidError, match="another key"):
        town.authorise(proposal)


def test_a_subject_does_not_authorise_what_nobody_asked_for(town: Town) -> None:
    key = town.subject.new_consent_key()
    proposal = town.parties.consumer.propose(town.terms(), key)

    with pytest.raises(RefusedError, match=r"E_UNKNOWN: consent .* does not exist"):
        town.authorise(proposal)


@pytest.mark.parametrize("change", [{"salt": b""}, {"use": FIELD}, {"position": 1}])
def test_terms_that_could_be_guessed_or_moved_are_not_agreed_to(town: Town, change: dict) -> None:
    proposal = town.ask(town.terms())
    first = structs.replace(proposal.terms[0], **change)
    proposal = structs.replace(proposal, terms=(first, *proposal.terms[1:]))

    with pytest.raises(MalformedError, match="leaf 0"):
        town.subject.agree(proposal)


def test_the_provider_refuses_a_consent_that_is_wider_than_its_terms(town: Town) -> None:
    intent, request = town.intend(town.widened_consent())

    (draft,) = town.parties.provider.answer([(intent, request)])

    assert draft.body.code == "E_SCOPE"


def test_another_request_than_the_intent_commits_to_is_refused(town: Town) -> None:
    intent, request = town.intend(town.consent())
    other = structs.replace(request, fields=FIELDS[:1])

    (draft,) = town.parties.provider.answer([(intent, other)])

    assert draft.body.code == "E_SCOPE"


def test_a_consent_admits_once_where_one_use_was_agreed(town: Town) -> None:
    proposal = town.consent()
    first, second = town.intend(proposal), town.intend(proposal)
    drafts = town.parties.provider.answer([first, second])

    outcomes = submit(town.parties.ledger, drafts)

    assert isinstance(outcomes[0], Accepted)
    assert isinstance(outcomes[1], RefusedError) and outcomes[1].code == "E_USES"


BEYOND = "not.of.product"


@pytest.mark.parametrize(
    ("terms", "fields", "code"),
    [
        ({"subject": "stranger"}, FIELDS, "E_UNKNOWN"),
        ({"fields": (*FIELDS, "tax.lost")}, ("tax.lost",), "E_UNKNOWN"),
        ({"fields": (*FIELDS, BEYOND)}, (*FIELDS, BEYOND), "E_SCOPE"),
        ({"fields": (*FIELDS, BEYOND)}, FIELDS, ""),
    ],
)
def test_an_intent_that_cannot_be_answered_is_refused_and_the_others_are_admitted(
    town: Town, terms: dict, fields: tuple[str, ...], code: str
) -> None:
    """The source has lost a field of the product, and has one that the product does not offer."""
    source = town.parties.provider._source
    source[town.firm][BEYOND] = 1
    subject = town.firm_named(terms.get("subject", town.firm))
    product, schema = town.product("tax.wide.v1"), town.mapping.schema()
    lost = structs.replace(schema.fields[0], code="tax.lost")
    schema = structs.replace(schema, schema_version=2, fields=(*schema.fields, lost))
    codes = (*product.codes, "tax.lost")
    product = structs.replace(product, schema_version=2, codes=codes)
    provider = town.parties.provider
    town.accept([provider.register_schema(schema), provider.publish(product)])
    with town.unheld():
        asked = town.ask(town.terms(product=product.product, **terms))
        bad = town.intend(town.authorise(asked, subject), *fields)
    first, last = town.intend(town.consent()), town.intend(town.consent())

    drafts = town.parties.provider.answer([first, bad, last])

    assert [getattr(draft.body, "code", "") for draft in drafts] == ["", code, ""]
    assert all(isinstance(outcome, Accepted) for outcome in submit(town.parties.ledger, drafts))


@pytest.mark.parametrize("value", [1.5, None, ["a"], b"a", "a" * 70_000, -(2**64), "\ud800"])
def test_a_value_that_no_payload_can_carry_is_refused_and_the_others_are_admitted(
    town: Town, value: object
) -> None:
    first, last = town.intend(town.consent()), town.intend(town.consent())
    source = town.parties.provider._source
    kept = source[town.firm]
    source[town.firm] = kept | {FIELDS[0]: value}
    (bad,) = town.parties.provider.answer([first])
    source[town.firm] = kept
    (good,) = town.parties.provider.answer([last])

    assert bad.body.code == "E_CANON"
    assert all(
        isinstance(outcome, Accepted) for outcome in submit(town.parties.ledger, [bad, good])
    )


def test_a_refused_record_does_not_take_its_signers_later_ones_with_it(town: Town) -> None:
    proposals = [town.consent() for _ in range(4)]
    intents = [town.intend(proposal) for proposal in proposals]
    town.accept([town.subject.revoke(proposals[1])])

    outcomes = submit(town.parties.ledger, town.parties.provider.answer(intents))

    assert [isinstance(outcome, Accepted) for outcome in outcomes] == [True, False, True, True]


@pytest.mark.parametrize(
    "error",
    [
        RefusedError("E_PURPOSE", "another purpose"),
        MalformedError("cut short"),
        LimitError("too long"),
        InvalidError("not what was committed to"),
        InvalidProof("another root"),
        UntrustedError("another network"),
    ],
)
def test_a_delivery_is_declined_with_a_code_of_the_rules(town: Town, error: LedgerError) -> None:
    intent, _ = town.intend(town.consent())

    draft = town.parties.consumer.decline(intent, error)

    assert draft.body.code in CODES


def test_nothing_is_declined_for_an_error_of_the_consumers_own(town: Town) -> None:
    with pytest.raises(StoreError, match="disk"):
        town.parties.consumer.decline(bytes(32), StoreError("disk is gone"))


def test_totals_are_of_one_moment(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exchange that is opened while the totals are made is not in them."""
    town.consent()
    with Ledger.open(town.parties.ledger.path, read_only=True) as ledger:
        states = ledger.states

        def states_of_a_live_ledger(prefix: bytes) -> object:
            town.intend(town.consent())
            return states(prefix)

        monkeypatch.setattr(ledger, "states", states_of_a_live_ledger)
        totals = Supervisor(ledger).totals()

        assert (totals.consents, totals.exchanges) == ({"AUTHORISED": 1}, {})
        assert Supervisor(ledger).totals().exchanges == {"INTENDED": 4}


def test_a_voided_exchange_and_a_revocation_on_behalf_are_proven(town: Town) -> None:
    proposal = town.consent(max_uses=2)
    intent, request = town.intend(proposal)
    provider = town.parties.provider
    town.accept(provider.answer([(intent, request)]))
    town.accept([provider.revoke_on_behalf(proposal.consent, b"a letter of the firm")])
    town.accept([provider.void(intent, "E_CONSENT_STATE")])
    ledger = town.parties.ledger

    pack = build_pack(ledger, town.parties.vaults[BANK], intent)
    claims = {claim.name: claim for claim in verify_pack(pack, ledger.trust_anchor)}

    assert "no key was sent (E_CONSENT_STATE); the use was given back" in claims["voided"].statement
    assert "no use after it" in claims["revoked"].statement
    assert "delivery" not in claims
    with pytest.raises(RefusedError, match="exchange is VOIDED: what was sealed is given to"):
        provider.delivery(intent)


def test_a_promised_revocation_is_ordered_though_the_provider_revoked_meanwhile(town: Town) -> None:
    """Were it refused, the operator would be convicted of a promise that it could not keep."""
    proposal, ledger = town.consent(), town.parties.ledger
    (record,) = sign(ledger, [town.subject.revoke(proposal)])
    promise = ledger.promise(record.encode(), 1000)
    town.accept([town.parties.provider.revoke_on_behalf(proposal.consent, b"a letter")])

    (index,) = ledger.submit_many([record.encode()])

    assert isinstance(index, int) and ledger.record(index).id == promise.record


def test_a_restriction_is_a_promise_in_the_pack(town: Town) -> None:
    intent, request = town.intend(town.consent())
    consumer, ledger = town.parties.consumer, town.parties.ledger
    consumer.open(*town.deliver(intent, request))
    town.accept([consumer.acknowledge(intent)])
    until_ms = town.clock.now_ms() + 5
    town.accept(consumer.restrict([intent], "tax-law", until_ms))
    town.accept(consumer.erase([intent], "tax-law-ended"))

    pack = build_pack(ledger, town.parties.vaults[BANK], intent)
    claims = {claim.name: claim for claim in verify_pack(pack, ledger.trust_anchor)}

    assert f"only kept (tax-law) until {until_ms} ms; a promise" in claims["restricted"].statement
    assert claims["payload"].status == "erased"


def test_a_field_that_nobody_asked_for_convicts_its_provider(town: Town) -> None:
    """The objection opens that field, under the provider's own admit, and no other."""
    intent, request = town.intend(town.consent())
    consumer, ledger = town.parties.consumer, town.parties.ledger
    delivery, release = town.deliver_beyond(intent, request, "soc.heads")
    with pytest.raises(RefusedError, match="E_SCOPE") as refusal:
        consumer.open(delivery, release)

    town.accept([consumer.decline(intent, refusal.value)])

    pack = build_pack(ledger, town.parties.vaults[BANK], intent)
    claims = {claim.name: claim for claim in verify_pack(pack, ledger.trust_anchor)}
    assert claims["payload"].status == "withheld"
    assert "soc.heads was not asked for" in claims["objection"].statement
    assert "cr.grade" not in claims["objection"].statement
    town.accept(consumer.erase([intent], "declined"))
    left = town.parties.vaults[BANK].names(f"exchange/{intent.hex()}/")
    assert left == [opened_name(intent)]  # a key came: that is no content


def test_another_firms_data_is_shown_by_the_field_that_says_so(town: Town) -> None:
    intent, request = town.intend(town.consent())
    consumer, ledger = town.parties.consumer, town.parties.ledger
    consumer.open(*town.deliver(intent, request))

    error = RefusedError("E_SCOPE", "grade of another firm")
    town.accept([consumer.decline(intent, error, fields=("cr.grade",))])

    pack = build_pack(ledger, town.parties.vaults[BANK], intent)
    claims = {claim.name: claim for claim in verify_pack(pack, ledger.trust_anchor)}
    assert "committed to cr.grade, as shown" in claims["objection"].statement


def test_no_key_by_the_deadline_gives_the_use_back(town: Town) -> None:
    proposal = town.consent()
    intent, request = town.intend(proposal)
    consumer, provider = town.parties.consumer, town.parties.provider
    (place,) = town.accept(provider.answer([(intent, request)]))
    with pytest.raises(RefusedError, match="exchange is ADMITTED, want OVERDUE"):
        consumer.time_out(intent)
    town.later(DAY_MS)
    with pytest.raises(RefusedError, match="exchange is OVERDUE, key is withheld"):
        provider.release(intent, place)

    town.accept([consumer.time_out(intent)])

    assert consumer.open(*town.deliver(*town.intend(proposal)))  # by the use that came back


def test_what_was_opened_is_not_timed_out(town: Town) -> None:
    intent, request = town.intend(town.consent())
    consumer = town.parties.consumer
    consumer.open(*town.deliver(intent, request))
    town.later(DAY_MS)

    with pytest.raises(RefusedError, match="opened here: acknowledge it"):
        consumer.time_out(intent)


def test_a_sent_key_is_on_record_and_can_be_shown(town: Town) -> None:
    """A consumer that claims it has no key is shown the one that the provider committed to."""
    intent, request = town.intend(town.consent())
    consumer, provider = town.parties.consumer, town.parties.provider
    delivery, release = town.deliver(intent, request)
    town.accept([provider.confirm_release(release)])
    town.later(2 * DAY_MS)

    with pytest.raises(RefusedError, match="exchange is RELEASED"):
        consumer.time_out(intent)

    assert consumer.open(delivery, release)


def test_a_dispute_is_ruled_and_stands_in_the_pack(town: Town) -> None:
    proposal = town.consent()
    intent, request = town.intend(proposal)
    consumer, ledger = town.parties.consumer, town.parties.ledger
    consumer.open(*town.deliver(intent, request))
    town.accept([consumer.acknowledge(intent)])
    town.accept([town.subject.disputes(proposal).open(intent, "E_PURPOSE", "used for marketing")])
    town.accept([town.parties.provider.disputes.show(intent, b"a letter")])
    (decided,) = town.accept([consumer.decide([intent], "approved", b"model", [])])

    (barred,) = submit(ledger, [consumer.use(intent, decided.id, "credit.assess")])
    town.accept([town.authority().rule(intent, "dismissed", "there was no such use")])
    town.accept([consumer.use(intent, decided.id, "credit.assess")])

    assert isinstance(barred, RefusedError) and barred.code == "E_DISPUTE"
    pack = build_pack(ledger, town.parties.vaults[BANK], intent)
    claims = {claim.name: claim for claim in verify_pack(pack, ledger.trust_anchor)}
    assert "the subject disputed the exchange (E_PURPOSE)" in claims["disputed"].statement
    assert "dismissed" in claims["ruled"].statement


def test_what_both_sides_promise_to_have_erased_is_in_the_pack(town: Town) -> None:
    intent, request = town.intend(town.consent())
    consumer, provider = town.parties.consumer, town.parties.provider
    consumer.open(*town.deliver(intent, request))
    town.accept([consumer.acknowledge(intent)])
    town.accept(provider.erase([intent], "acknowledged"))
    town.accept(consumer.erase([intent], "purpose-achieved"))

    ledger = town.parties.ledger
    pack = build_pack(ledger, town.parties.vaults[BANK], intent)
    names = [claim.name for claim in verify_pack(pack, ledger.trust_anchor)]

    assert names[-2:] == ["erased", "forgotten"]


def test_keys_that_are_released_together_are_each_judged_alone(town: Town) -> None:
    provider = town.parties.provider
    proposals = [town.consent() for _ in range(3)]
    asked = [town.intend(proposal) for proposal in proposals]
    places = submit(town.parties.ledger, provider.answer(asked[:2]))
    town.accept([town.subject.revoke(each) for each in proposals[1:]])
    places += submit(town.parties.ledger, provider.answer(asked[2:]))
    intents = [intent for intent, _ in asked]

    first, revoked, refused = provider.release_all(list(zip(intents, places, strict=True)))

    assert isinstance(first, Release)
    assert town.parties.consumer.open(provider.delivery(intents[0]), first)
    assert isinstance(revoked, RefusedError) and "key is withheld" in str(revoked)
    assert refused is places[2]
    assert provider.release_all([]) == []


def test_what_was_declined_is_not_opened_after_all(town: Town) -> None:
    intent, request = town.intend(town.consent())
    consumer = town.parties.consumer
    delivery, release = town.deliver(intent, request)
    town.accept([consumer.decline(intent, RefusedError("E_SCOPE", "grade of another firm"))])

    with pytest.raises(RefusedError, match="exchange is DECLINED: nothing of it is opened") as no:
        consumer.open(delivery, release)

    assert (no.value.code, no.value.record) == ("E_EXCHANGE_STATE", intent)
    assert town.parties.vaults[BANK].load(f"exchange/{intent.hex()}/payload") is None
