"""A subject narrows what it consented to, and a supervisor stays it; nobody widens it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from ledgercore import InvalidError, RefusedError, UntrustedError
from ledgercore.demo.parties import BANK
from ledgercore.exchange import build_pack, verify_pack
from ledgercore.exchange.messages import Terms
from ledgercore.exchange.narrowing import leaves_of_root, make_narrowing
from ledgercore.exchange.submission import submit
from ledgercore.rules import ConsentState, consent_object, consent_status_at
from ledgercore.rules.view import decode_state
from tests.town import FIELDS, HOUR_MS, Town

KEPT, DROPPED = FIELDS


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    yield town
    town.parties.close()


def consent_of(town: Town, consent: bytes) -> ConsentState:
    value = town.parties.ledger.state(consent_object(consent))
    assert value is not None
    return decode_state(value, ConsentState)


def test_a_narrowed_consent_gives_what_is_left_and_no_more(town: Town) -> None:
    proposal = town.consent(max_uses=3)
    wide, asked = town.intend(proposal)
    town.accept([town.subject.narrow(proposal, [KEPT])])

    (refusal,) = town.parties.provider.answer([(wide, asked)])
    values = town.parties.consumer.open(*town.deliver(*town.intend(proposal, KEPT)))

    assert refusal.body.code == "E_SCOPE"
    assert list(values) == [KEPT]


def test_packs_before_and_after_a_narrowing_show_the_terms_that_were_in_force(town: Town) -> None:
    proposal, ledger = town.consent(max_uses=3), town.parties.ledger
    before, asked = town.intend(proposal)
    town.parties.consumer.open(*town.deliver(before, asked))
    town.accept([town.subject.narrow(proposal, [KEPT], max_uses=2)])
    after, asked = town.intend(proposal, KEPT)
    town.parties.consumer.open(*town.deliver(after, asked))

    for intent, fields in ((before, FIELDS), (after, FIELDS[:1])):
        pack = build_pack(ledger, town.parties.vaults[BANK], intent)
        claims = {claim.name: claim for claim in verify_pack(pack, ledger.trust_anchor)}
        assert claims["scope"].status == claims["narrowed"].status == "proven"
        assert claims["request"].statement.endswith(", ".join(fields))


def test_terms_are_narrowed_step_by_step_and_known_from_the_ledger_alone(town: Town) -> None:
    fields = (*FIELDS, "vat.sales_12m", "soc.heads")
    proposal, ledger = town.consent(fields=fields), town.parties.ledger
    for kept in (fields[:3], fields[1:3], fields[2:3]):
        town.accept([town.subject.narrow(proposal, kept)])
        root = consent_of(town, proposal.consent).terms_root

        leaves = leaves_of_root(ledger, proposal, root)

        terms = Terms.from_leaves(leaves, narrowed=True)
        assert terms == structs.replace(Terms.from_leaves(proposal.terms), fields=kept)
    with pytest.raises(UntrustedError, match="terms are not the ones"):
        leaves_of_root(ledger, proposal, bytes(32))


def test_what_was_left_out_cannot_come_back(town: Town) -> None:
    proposal, ledger = town.consent(), town.parties.ledger
    town.accept([town.subject.narrow(proposal, [KEPT])])
    with pytest.raises(UntrustedError, match="are not in the terms"):
        town.subject.narrow(proposal, [DROPPED])
    draft = town.subject.narrow(proposal, [KEPT])
    whole = make_narrowing(ledger.suite, proposal.consent, proposal.terms, FIELDS)
    bounds = {name: getattr(draft.body, name) for name in ("expires_ms", "max_uses")}

    (outcome,) = submit(ledger, [draft._replace(body=structs.replace(whole, **bounds))])

    assert isinstance(outcome, RefusedError) and outcome.code == "E_SCOPE_WIDEN"


def test_narrowing_may_end_it_earlier_and_take_uses_away(town: Town) -> None:
    proposal = town.consent(max_uses=3)
    end_ms = town.clock.now_ms() + HOUR_MS

    town.accept([town.subject.narrow(proposal, FIELDS, expires_ms=end_ms, max_uses=1)])

    consent = consent_of(town, proposal.consent)
    assert (consent.expires_ms, consent.max_uses) == (end_ms, 1)
    town.deliver(*town.intend(proposal))
    assert consent_status_at(consent_of(town, proposal.consent), end_ms - 1) == "CONSUMED"


def test_a_stayed_consent_gives_nothing_until_it_is_lifted(town: Town) -> None:
    proposal, provider = town.consent(), town.parties.provider
    intent, request = town.intend(proposal)
    town.accept([town.authority().stay(proposal.consent, "court-order", "case 7 of 2026")])

    (refused,) = submit(town.parties.ledger, provider.answer([(intent, request)]))
    town.accept([town.authority().lift(proposal.consent)])

    assert isinstance(refused, RefusedError) and refused.code == "E_CONSENT_STATE"
    assert town.parties.consumer.open(*town.deliver(intent, request))


def test_a_stay_after_the_admit_withholds_the_key(town: Town) -> None:
    proposal, provider = town.consent(), town.parties.provider
    intent, request = town.intend(proposal)
    (place,) = town.accept(provider.answer([(intent, request)]))
    town.accept([town.authority().stay(proposal.consent, "court-order", "case 7 of 2026")])

    with pytest.raises(RefusedError, match="consent is STAYED, key is withheld"):
        provider.release(intent, place)


def test_a_stay_ends_with_a_revocation(town: Town) -> None:
    proposal = town.consent()
    town.accept([town.authority().stay(proposal.consent, "court-order", "case 7 of 2026")])

    town.accept([town.subject.revoke(proposal)])

    (outcome,) = submit(town.parties.ledger, [town.authority().lift(proposal.consent)])
    assert isinstance(outcome, RefusedError) and outcome.code == "E_CONSENT_STATE"


def test_a_subject_that_sees_no_ledger_narrows_nothing(town: Town) -> None:
    proposal = town.consent()
    town.subject._ledger = None

    with pytest.raises(InvalidError, match="give this subject one to read"):
        town.subject.narrow(proposal, [KEPT])
