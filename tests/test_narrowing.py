"""A subject narrows what it consented to, and a supervisor stays it; nobody widens it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from ledgercore import InvalidError, RefusedError, UntrustedError
from ledgercore.demo.parties import BANK
from ledgercore.exchange import Processor, build_pack, verify_pack
from ledgercore.exchange.messages import Proposal, Release, Request, Terms
from ledgercore.exchange.narrowing import leaves_of_root, make_narrowing
from ledgercore.exchange.submission import Draft, submit
from ledgercore.records import ExchangeRelease
from ledgercore.rules import ConsentState, consent_object, consent_status_at
from ledgercore.rules.view import decode_state
from tests.town import AGENCY, FIELDS, HOUR_MS, OTHER_AGENCY, Town

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


def asked_by(processor: Processor, proposal: Proposal) -> Request:
    return processor.request(proposal.consent, FIELDS, "credit.assess")


def test_a_narrowed_consent_gives_what_is_left_and_no_more(town: Town) -> None:
    proposal = town.consent(max_uses=3)
    wide, asked = town.intend(proposal)
    town.accept([town.subject.narrow(proposal, [KEPT])])

    (refusal,) = town.parties.provider.answer([(wide, asked)])
    values = town.parties.consumer.open(*town.deliver(*town.intend(proposal, KEPT)))

    assert refusal.body.code == "E_SCOPE"
    assert list(values) == [KEPT]


@pytest.mark.parametrize("narrowed", ["before the admit", "after the admit"])
@pytest.mark.parametrize("streamed", [False, True])
def test_the_key_of_a_field_that_was_dropped_on_the_way_is_withheld(
    town: Town, narrowed: str, streamed: bool
) -> None:
    """The provider has read and sealed it by then; what is still consented to is released."""
    proposal, provider = town.consent(max_uses=3), town.parties.provider
    fields = (DROPPED,) if streamed else FIELDS
    wide, narrow = town.intend(proposal, *fields), town.intend(proposal, KEPT)
    drafts = [provider.answer([each])[0] for each in (wide, narrow)]
    if streamed:
        files = [io.BytesIO() for _ in range(3)]
        drafts[0] = provider.answer_stream(*wide, *files)
    narrowing = town.subject.narrow(proposal, [KEPT])
    order = [narrowing, *drafts] if narrowed == "before the admit" else [*drafts, narrowing]
    places = {id(draft): place for draft, place in zip(order, town.accept(order), strict=True)}

    asked = [(wide[0], places[id(drafts[0])]), (narrow[0], places[id(drafts[1])])]
    withheld, release = provider.release_all(asked)

    assert isinstance(withheld, RefusedError) and withheld.code == "E_SCOPE"
    assert DROPPED in withheld.message
    assert isinstance(release, Release)
    assert list(town.parties.consumer.open(provider.delivery(narrow[0]), release)) == [KEPT]
    town.accept([provider.void(wide[0], "E_SCOPE")])
    assert consent_of(town, proposal.consent).uses == 1


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


def test_a_consent_is_not_narrowed_to_nothing(town: Town) -> None:
    with pytest.raises(
        RefusedError, match="E_SCOPE: fields are none, want one at least, or to rev"
    ):
        town.subject.narrow(town.consent(), [])


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"max_uses": 1}, "E_USES: max_uses is 1, want more than the 1 that are taken, or to revo"),
        ({"max_uses": 0}, "E_USES: max_uses is 0, want more than the 1 that are taken, or to revo"),
        ({"expires_ms": 1}, "E_CLOCK: expires_ms is 1, want more than [0-9]+, or to revoke"),
    ],
)
def test_a_consent_is_not_narrowed_to_no_use_or_time(
    town: Town, bounds: dict[str, int], message: str
) -> None:
    proposal = town.consent(max_uses=3)
    town.deliver(*town.intend(proposal))

    with pytest.raises(RefusedError, match=message):
        town.subject.narrow(proposal, [KEPT], **bounds)

    soon_ms = town.parties.ledger.time_ms + 1
    town.accept([town.subject.narrow(proposal, [KEPT], max_uses=2, expires_ms=soon_ms)])


def test_what_was_left_out_cannot_come_back(town: Town) -> None:
    proposal, ledger = town.consent(), town.parties.ledger
    town.accept([town.subject.narrow(proposal, [KEPT])])
    with pytest.raises(UntrustedError, match="are not in the terms"):
        town.subject.narrow(proposal, [DROPPED])
    draft = town.subject.narrow(proposal, [KEPT])
    whole = make_narrowing(ledger.suite, proposal.consent, proposal.terms, FIELDS, ())
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


def test_a_processor_that_is_dropped_begins_nothing_and_the_others_go_on(town: Town) -> None:
    proposal = town.consent(max_uses=3, processors=(AGENCY, OTHER_AGENCY))
    dropped, kept = town.processor(), town.processor(OTHER_AGENCY)
    for each in (dropped, kept):
        each.instruct(proposal)

    town.accept([town.subject.narrow(proposal, FIELDS, processors=[OTHER_AGENCY])])

    (outcome,) = submit(town.parties.ledger, dropped.intend([asked_by(dropped, proposal)]))
    assert isinstance(outcome, RefusedError) and outcome.code == "E_RECIPIENT"
    asked = asked_by(kept, proposal)
    (place,) = town.accept(kept.intend([asked]))
    assert kept.open(*town.deliver(place.id, asked))
    assert consent_of(town, proposal.consent).processors == (OTHER_AGENCY,)


def test_a_processor_that_is_dropped_on_the_way_gets_no_key(town: Town) -> None:
    proposal, provider = town.consent(max_uses=3, processors=(AGENCY,)), town.parties.provider
    agency = town.processor()
    agency.instruct(proposal)
    admitted, waiting = asked_by(agency, proposal), asked_by(agency, proposal)
    first, second = (place.id for place in town.accept(agency.intend([admitted, waiting])))
    draft, forced = provider.answer([(first, admitted), (second, waiting)])
    (place,) = town.accept([draft])

    town.accept([town.subject.narrow(proposal, FIELDS, processors=[])])

    with pytest.raises(RefusedError, match="names processor agency no more"):
        provider.release(first, place)
    (refusal,) = provider.answer([(second, waiting)])
    assert refusal.body.code == "E_RECIPIENT"
    for unseen in (forced, Draft(provider._key, ExchangeRelease(first, bytes(32)))):
        (outcome,) = submit(town.parties.ledger, [unseen])
        assert isinstance(outcome, RefusedError) and outcome.code == "E_RECIPIENT"
    town.accept([refusal, provider.void(first, "E_RECIPIENT")])
    assert consent_of(town, proposal.consent).uses == 0


def test_a_pack_shows_who_was_named_when_it_acted(town: Town) -> None:
    proposal, ledger = town.consent(max_uses=2, processors=(AGENCY,)), town.parties.ledger
    agency = town.processor()
    agency.instruct(proposal)
    asked = asked_by(agency, proposal)
    (place,) = town.accept(agency.intend([asked]))
    agency.open(*town.deliver(place.id, asked))
    town.parties.consumer.take_over(agency.hand_over(place.id))
    town.accept([town.subject.narrow(proposal, FIELDS, processors=[])])

    pack = build_pack(ledger, town.parties.vaults[BANK], place.id)

    claims = {claim.name: claim for claim in verify_pack(pack, ledger.trust_anchor)}
    assert claims["processor"].status == claims["scope"].status == "proven"


def test_processors_that_the_terms_do_not_have_are_not_kept(town: Town) -> None:
    proposal = town.consent(processors=(AGENCY,))

    with pytest.raises(UntrustedError, match=r"processors .* are not in the terms"):
        town.subject.narrow(proposal, FIELDS, processors=[OTHER_AGENCY])


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

    with pytest.raises(RefusedError, match=r"consent is STAYED.*: key is withheld"):
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
