"""Terms that could never work, and what is of no product, are refused before anyone signs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from ledgercore import MalformedError, RefusedError, UntrustedError, Vault
from ledgercore._core import hash_domain
from ledgercore.demo.parties import BANK, TAX
from ledgercore.entropy import SeededEntropy
from ledgercore.exchange import Proposal, Subject, Terms
from ledgercore.exchange.messages import Correction, encode_message
from ledgercore.exchange.salted import FIELD, make_leaves
from ledgercore.exchange.submission import Draft
from ledgercore.exchange.workable import check_asked
from ledgercore.records import ExchangeCorrect
from tests.town import DAY_MS, FIELDS, HOUR_MS, Town


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """None of these tests leaves anything behind: each looks for that."""
    town = Town(tmp_path_factory.mktemp("town"))
    yield town
    town.parties.close()


ALONE: list[tuple[dict[str, Any], str]] = [
    ({"fields": ()}, "E_SCOPE: fields are none, want at least one"),
    ({"fields": (*FIELDS, FIELDS[0])}, r"E_CANON: fields \['cr.grade'\] are named more than once"),
    ({"period_begin": "2026-01"}, "E_SCOPE: period is 2026-01 to 2025-12, want its begin first"),
    ({"period_begin": "2025-00"}, "E_SCOPE: period_begin is '2025-00', want a month such as 2025"),
    ({"period_end": "2025-13"}, "E_SCOPE: period_end is '2025-13', want a month such as 2025-01"),
    ({"period_end": "zzz"}, "E_SCOPE: period_end is 'zzz', want a month such as 2025-01"),
    ({"onward": ""}, "E_SCOPE: onward is empty, want to whom it may be passed on, or none"),
    ({"max_uses": 0}, "E_USES: max_uses is 0, want at least 1"),
    ({"retain_until_ms": 1}, r"E_CLOCK: retain_until_ms is 1, want at least expires_ms, which is"),
]
"""What no ledger is needed for."""

OFFERED: list[tuple[dict[str, Any], str]] = [
    ({"fields": ("cr.grade", "tax.lost")}, r"E_SCOPE: fields \['tax.lost'\] are not in product"),
    ({"purpose": "marketing"}, r"E_PURPOSE: purpose is marketing, want one of \['credit.assess"),
    ({"expires_ms": 1}, "E_CLOCK: expires_ms is 1, want more than 17"),
    ({"product": "tax.none"}, "E_UNKNOWN: product tax.none does not exist"),
    ({"provider": "registry"}, "E_RECIPIENT: provider is registry, want tax-authority of the prod"),
]
"""What the ledger says."""

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"fields": "cr.grade"}, "fields are str, want a tuple of str"),
    ({"fields": ["cr.grade"]}, "fields are list, want a tuple of str"),
    ({"fields": ("cr.grade", 7)}, "fields hold int, want str"),
    ({"processors": "agency"}, "processors are str, want a tuple of str"),
    ({"expires_ms": "tomorrow"}, "expires_ms is str, want int"),
    ({"max_uses": True}, "max_uses is bool, want int"),
    ({"purpose": None}, "purpose is NoneType, want str"),
]


def kept(town: Town) -> tuple[int, list[int]]:
    """What would show that something was made: records, and what the vaults ever wrote."""
    return town.parties.ledger.size, [vault.version for vault in town.parties.vaults.values()]


@pytest.mark.parametrize(("change", "message"), ALONE + OFFERED)
def test_the_consumer_proposes_nothing_that_could_never_work(
    town: Town, change: dict[str, Any], message: str
) -> None:
    key = town.subject.new_consent_key()
    before = kept(town)

    with pytest.raises(RefusedError, match=message) as caught:
        town.parties.consumer.propose(town.terms(**change), key)

    assert caught.value.remedy
    assert kept(town) == before


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_terms_of_a_wrong_type_are_said_to_be_so(
    town: Town, change: dict[str, Any], message: str
) -> None:
    before = kept(town)

    with pytest.raises(TypeError, match=message):
        town.parties.consumer.propose(town.terms(**change), bytes(32))

    assert kept(town) == before


def proposed_elsewhere(town: Town, terms: Terms) -> Proposal:
    """What a consumer with another program sends."""
    entropy = town.parties.entropy
    return Proposal(entropy.bytes(32), town.subject.new_consent_key(), terms.leaves(entropy))


@pytest.mark.parametrize(("change", "message"), ALONE + OFFERED)
def test_the_subject_agrees_to_nothing_that_could_never_work(
    town: Town, change: dict[str, Any], message: str
) -> None:
    proposal = proposed_elsewhere(town, town.terms(**change))
    before = kept(town)

    with pytest.raises(RefusedError, match=message):
        town.subject.agree(proposal)

    assert kept(town) == before


@pytest.mark.parametrize(("change", "message"), ALONE)
def test_a_subject_without_a_ledger_looks_at_the_terms_alone(
    town: Town, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with Vault(tmp_path / "firm.vault") as vault:
        blind = Subject(town.firm, vault)

        with pytest.raises(RefusedError, match=message):
            blind.agree(proposed_elsewhere(town, town.terms(**change)))

        assert blind.agree(proposed_elsewhere(town, town.terms(purpose="unknown")))


def test_terms_of_no_subject_or_under_no_key_are_not_proposed(town: Town) -> None:
    before = kept(town)

    with pytest.raises(RefusedError, match="E_SCOPE: subject is empty, want whose data it is"):
        town.parties.consumer.propose(town.terms(subject=""), bytes(32))
    with pytest.raises(MalformedError, match="consent_key has 31 bytes, want 32"):
        town.parties.consumer.propose(town.terms(), bytes(31))

    assert kept(town) == before


def test_terms_for_another_consumer_are_not_proposed(town: Town) -> None:
    with pytest.raises(UntrustedError, match="terms are for consumer 'shop', want 'bank'"):
        town.parties.consumer.propose(town.terms(consumer="shop"), bytes(32))


def test_a_consent_that_outlasts_its_agreement_is_not_asked_for(town: Town) -> None:
    agreement = town.negotiate(town.clock.now_ms() + DAY_MS)
    terms = town.terms(expires_ms=town.clock.now_ms() + 2 * DAY_MS)
    consumer = town.parties.consumer
    proposal = consumer.propose(terms, town.subject.new_consent_key())
    lapses_ms = town.clock.now_ms() + HOUR_MS

    with pytest.raises(RefusedError, match=r"E_CLOCK: expires_ms is .* as agreed"):
        consumer.request_consent(proposal, lapses_ms, agreement)

    assert consumer.request_consent(proposal, lapses_ms, town.agreement)


def test_what_has_expired_since_it_was_proposed_is_not_asked_for(town: Town) -> None:
    consumer = town.parties.consumer
    terms = town.terms(expires_ms=town.clock.now_ms() + HOUR_MS)
    proposal = consumer.propose(terms, town.subject.new_consent_key())
    assert town.subject.agree(proposal) == terms
    town.later(HOUR_MS)

    with pytest.raises(RefusedError, match="E_CLOCK: expires_ms is"):
        consumer.request_consent(proposal, town.clock.now_ms() + 1, town.agreement)
    with pytest.raises(RefusedError, match="E_CLOCK: expires_ms is"):
        town.subject.agree(proposal)


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ("cr.grade", TypeError, "fields are str, want a list of str"),
        (7, TypeError, "fields are int, want a list of str"),
        ([7], TypeError, "fields hold int, want str"),
        ([], RefusedError, "E_SCOPE: fields are none"),
        (["cr.grade", "cr.grade"], RefusedError, "E_CANON: fields .* more than once"),
    ],
)
def test_a_request_names_some_fields_and_each_once(
    town: Town, fields: Any, error: type[Exception], message: str
) -> None:
    proposal = town.consent()

    with pytest.raises(error, match=message):
        town.parties.consumer.request(proposal.consent, fields, "credit.assess")


def test_every_term_is_held_to_its_type(town: Town) -> None:
    """A term that is added is looked at without anybody remembering to."""
    for name in structs.asdict(town.terms()):
        with pytest.raises(TypeError, match=f"{name} (is|are) bytes, want"):
            town.parties.consumer.propose(town.terms(**{name: b"x"}), bytes(32))


@pytest.mark.parametrize("value", [True, 1.5, None, [1], b"x", "x" * 70_000, "\ud800"])
def test_a_correction_that_nobody_could_read_is_neither_signed_nor_taken(
    town: Town, value: Any
) -> None:
    intent, asked = town.intend(town.consent())
    consumer, provider = town.parties.consumer, town.parties.provider
    consumer.open(*town.deliver(intent, asked))
    town.accept([consumer.acknowledge(intent)])
    product, vaults = town.mapping.offer.product, town.parties.vaults

    with pytest.raises(RefusedError, match="E_CANON: values of the subject cannot be sent"):
        provider.correct(intent, product, {"cr.grade": value})
    assert not vaults[TAX].names(f"exchange/{intent.hex()}/correction/")

    made = Correction(intent, make_leaves(FIELD, product, [("cr.grade", value)], SeededEntropy(1)))
    if value != "\ud800":  # which has no bytes that a provider could commit to
        commitment = hash_domain(town.parties.ledger.suite, "commitment", encode_message(made))
        draft, _ = provider.correct(intent, product, {"cr.grade": "D"})
        town.accept([Draft(draft.key, ExchangeCorrect(intent, commitment))])
    with pytest.raises(MalformedError):
        consumer.read_correction(made)
    assert not vaults[BANK].names(f"exchange/{intent.hex()}/correction")


def test_a_correction_names_fields_of_the_product_alone(town: Town) -> None:
    """The consumer holds it to them, too: another provider's program may have made it."""
    intent, asked = town.intend(town.consent())
    consumer, provider = town.parties.consumer, town.parties.provider
    consumer.open(*town.deliver(intent, asked))
    town.accept([consumer.acknowledge(intent)])
    product = town.mapping.offer.product

    with pytest.raises(RefusedError, match=r"E_SCOPE: fields \['nofield'\] are not in product"):
        provider.correct(intent, product, {"cr.grade": "D", "nofield": "A"})
    with pytest.raises(RefusedError, match="E_SCOPE: fields are none"):
        provider.correct(intent, product, {})
    with pytest.raises(RefusedError, match=rf"E_PRODUCT: product is other, want {product}"):
        provider.correct(intent, "other", {"cr.grade": "D"})
    leaves = make_leaves(FIELD, product, [("nofield", "A")], town.parties.entropy)
    made = Correction(intent, leaves)
    commitment = hash_domain(town.parties.ledger.suite, "commitment", encode_message(made))
    draft, _ = provider.correct(intent, product, {"cr.grade": "D"})
    town.accept([Draft(draft.key, ExchangeCorrect(intent, commitment))])
    with pytest.raises(RefusedError, match=r"E_SCOPE: fields \['nofield'\] are not in product"):
        consumer.read_correction(made)


def test_a_correction_delivers_nothing_that_was_not_consented_to_and_asked_for(town: Town) -> None:
    """A provider that tells a whole row of what it has now would give more than it ever might."""
    intent, asked = town.intend(town.consent(), "cr.grade")
    consumer, provider = town.parties.consumer, town.parties.provider
    consumer.open(*town.deliver(intent, asked))
    town.accept([consumer.acknowledge(intent)])
    product, not_asked = town.mapping.offer.product, "tax.paid_12m"

    with pytest.raises(RefusedError, match=r"E_SCOPE: fields \['soc.heads'\] were not delivered"):
        provider.correct(intent, product, {"cr.grade": "D", "soc.heads": 7})

    assert not town.parties.vaults[TAX].names(f"exchange/{intent.hex()}/correction/")
    draft, correction = provider.correct(intent, product, {not_asked: 7})  # consented to
    town.accept([draft])
    with pytest.raises(RefusedError, match=r"E_SCOPE: fields \['tax.paid_12m'\] were not deliv"):
        consumer.read_correction(correction)
    assert not town.parties.vaults[BANK].names(f"exchange/{intent.hex()}/correction")


def test_a_list_of_very_many_fields_is_judged_at_once() -> None:
    """Held to itself, item by item, it would take the square of its length."""
    fields = tuple(f"field.{number}" for number in range(40_000))
    begin_s = time.process_time()

    check_asked(fields)
    with pytest.raises(RefusedError, match=r"E_CANON: fields \['field.7'\] are named more than"):
        check_asked((*fields, "field.7"))

    assert time.process_time() - begin_s < 2
