"""What a hostile consumer, provider or subject sends, well signed, harms nobody else."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from msgspec import structs

from ledgercore import (
    InvalidError,
    LedgerError,
    MalformedError,
    RefusedError,
    UntrustedError,
    records,
    rules,
)
from ledgercore._core import hash_domain, leaf_hash
from ledgercore.demo.parties import BANK, TAX
from ledgercore.errors import BusyError
from ledgercore.exchange import build_pack, kept, verify_pack
from ledgercore.exchange.audit_copy import AuditCopy, copy_hash, make_copy
from ledgercore.exchange.kept import kept_proposal
from ledgercore.exchange.messages import Proposal, Release, decode_message, encode_message
from ledgercore.exchange.salted import commit, encode_leaf, prove_leaves
from ledgercore.exchange.sealing import release_info, seal_key
from ledgercore.rules import exchange_object
from ledgercore.vault import Vault
from tests.network import KEYS, ROOT, act, admission, begin, code_of, enact, request, sign
from tests.town import AGENCY, DAY_MS, FIELDS, Town


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    yield town
    town.parties.close()


def under_the_id_of(town: Town, proposal: Proposal, **changes: object) -> Proposal:
    """Other terms, under the id of a consent that is on the ledger for everyone to read."""
    key = town.subject.new_consent_key()
    other = town.parties.consumer.propose(town.terms(**changes), key)
    return structs.replace(other, consent=proposal.consent)


def test_terms_under_the_id_of_a_consent_take_no_terms_place(town: Town) -> None:
    proposal = town.consent(max_uses=2, processors=(AGENCY,))
    town.processor().instruct(proposal)
    other = town.table.rows[1].subject
    provider, neighbour = town.parties.provider, town.firm_named(other)

    for keep, changes in (
        (lambda each: provider.endorse(other, each), {"subject": other}),
        (town.subject.agree, {}),
        (neighbour.agree, {"subject": other}),
        (town.processor().instruct, {"processors": (AGENCY,)}),
    ):
        with pytest.raises(UntrustedError, match="another key"):
            keep(under_the_id_of(town, proposal, **changes))

    intent, asked = town.intend(proposal)
    assert town.parties.consumer.open(*town.deliver(intent, asked))
    pack = build_pack(town.parties.ledger, town.parties.vaults["enterprises"], intent)
    claims = {claim.name: claim for claim in verify_pack(pack, town.parties.ledger.trust_anchor)}
    assert claims["consent"].status == "proven"


def test_before_a_consent_is_on_the_ledger_its_first_terms_stay(town: Town) -> None:
    consumer = town.parties.consumer
    proposal = consumer.propose(town.terms(), town.subject.new_consent_key())
    town.subject.agree(proposal)
    town.subject.agree(proposal)

    with pytest.raises(UntrustedError, match="propose it under an id of its own"):
        town.subject.agree(under_the_id_of(town, proposal))


def test_two_terms_under_one_id_at_once_are_not_both_kept(town: Town) -> None:
    """Two processes of a provider, each of which is sent one."""
    proposal = town.parties.consumer.propose(town.terms(), town.subject.new_consent_key())
    other = under_the_id_of(town, proposal)
    vault, refused = town.parties.vaults[TAX], []

    def look_then_keep(vault: Vault, consent: bytes) -> Proposal | None:
        found = kept_proposal(vault, consent)
        with mock.patch.object(kept, "kept_proposal", kept_proposal):
            try:
                kept.keep_proposal(second, None, other)
            except BusyError as error:
                refused.append(error)
        return found

    with Vault(vault.path) as second:
        second._connection.set_busy_timeout(0)
        with mock.patch.object(kept, "kept_proposal", look_then_keep):
            kept.keep_proposal(vault, None, proposal)
        with pytest.raises(UntrustedError, match="propose it under an id of its own"):
            kept.keep_proposal(second, None, other)

    assert refused and kept_proposal(vault, proposal.consent) == proposal


def test_a_delivery_key_of_small_order_stops_no_other_exchange(town: Town) -> None:
    consumer, provider = town.parties.consumer, town.parties.provider
    asked = consumer.request(town.consent().consent, FIELDS, "credit.assess")
    (draft,) = consumer.intend([asked])
    body = structs.replace(draft.body, delivery_key=bytes(32))
    (place,) = town.accept([draft._replace(body=body)])
    other, request = town.intend(town.consent())

    refusal, admit = provider.answer([(place.id, asked), (other, request)])
    refused, admitted = town.accept([refusal, admit])
    told, release = provider.release_all([(place.id, refused), (other, admitted)])

    assert refusal.body.code == "E_KEY"
    assert isinstance(told, RefusedError) and told.code == "E_EXCHANGE_STATE"
    assert isinstance(release, Release)
    assert consumer.open(provider.delivery(other), release)


def test_terms_that_a_subject_tore_apart_stop_no_other_exchange(town: Town) -> None:
    """The rules see leaves of the terms that are kept, and not which: here the purpose is gone."""
    provider, suite, torn = town.parties.provider, town.parties.ledger.suite, town.consent()
    asked, other = town.intend(torn), town.intend(town.consent())
    kept = [place for place, leaf in enumerate(torn.terms) if leaf.name != "purpose"]
    left = [torn.terms[place] for place in kept]
    draft = town.subject.narrow(torn, FIELDS)
    body = structs.replace(
        draft.body,
        terms_root=commit(suite, left),
        positions=tuple(kept),
        leaves=tuple(leaf_hash(suite, encode_leaf(leaf)) for leaf in left),
        proof=tuple(prove_leaves(suite, torn.terms, kept)),
    )
    town.accept([draft._replace(body=body)])

    refusal, admit = provider.answer([asked, other])

    assert refusal.body.code == "E_SCOPE"
    assert isinstance(admit.body, records.ExchangeAdmit)


def test_an_audit_copy_of_another_exchange_is_not_taken(town: Town) -> None:
    """A provider whose copy opens, for the exchange that the delivery names and not for this."""
    town.share_audit_key()
    provider, consumer, ledger = town.parties.provider, town.parties.consumer, town.parties.ledger
    intent, request = town.intend(town.consent(max_uses=2))
    other, _ = town.intend(town.consent())
    suite = ledger.suite
    (draft,) = provider.answer([(intent, request)])
    at = f"exchange/{intent.hex()}/sealed/{draft.body.ciphertext_hash.hex()}"
    key, kept = provider._vault.load(f"{at}/key"), provider._vault.load(f"{at}/audit-copy")
    assert key is not None and kept is not None
    copy = decode_message(kept, AuditCopy)
    moved = make_copy(key, copy.audit_key, ledger.network + other)
    provider._vault.store([(f"{at}/audit-copy", encode_message(moved))])
    body = structs.replace(draft.body, audit_copy=copy_hash(suite, moved))
    (place,) = town.accept([draft._replace(body=body)])
    delivery, release = provider.delivery(intent), provider.release(intent, place)

    with pytest.raises(InvalidError, match="two exchanges"):
        consumer.open(structs.replace(delivery, exchange=other), release)
    with pytest.raises(InvalidError, match="audit copy is not of"):
        consumer.open(delivery, release)
    assert town.parties.vaults[BANK].load(f"exchange/{other.hex()}/delivery") is None


def test_an_explanation_that_is_no_text_is_an_error_of_ours(town: Town) -> None:
    consumer, statement = town.parties.consumer, bytes(32) + b"\xff"
    intent, request = town.intend(town.consent())
    consumer.open(*town.deliver(intent, request))
    town.accept([consumer.acknowledge(intent)])
    draft = consumer.decide([intent], "approved", b"model", [])
    commitment = hash_domain(town.parties.ledger.suite, "commitment", statement)
    body = structs.replace(draft.body, explanation_commitment=commitment)
    (place,) = town.accept([draft._replace(body=body)])

    with pytest.raises(MalformedError, match="explanation is not text"):
        town.subject.read_explanation(place.id, statement)


def test_nobody_bars_a_members_new_key_by_asking_for_consent_under_it() -> None:
    """The key stands in the proposal on the ledger, where a consumer reads it."""
    view = begin()
    squat = request(b"\x07" * 32, "newcomer")
    act(view, "consumer", squat)

    enact(view, admission(view, ROOT))

    state = view.get(rules.key_object(KEYS["newcomer"].public_key), rules.KeyState)
    assert (state.member, state.status) == ("newcomer", "ACTIVE")
    again = structs.replace(squat, consent=b"\x08" * 32)
    assert code_of(view, sign(view, "consumer", again)) == "E_EXISTS"


def test_a_key_that_answered_for_a_consent_is_no_members() -> None:
    view = begin()
    consent = b"\x07" * 32
    act(view, "consumer", request(consent, "newcomer"))
    act(view, "newcomer", records.ConsentReject(consent))

    with pytest.raises(RefusedError, match="E_EXISTS"):
        enact(view, admission(view, ROOT))


@pytest.mark.parametrize("wrong", ["a field too many", "another payload", "other content"])
def test_whose_key_opened_something_wrong_declines_and_does_not_time_out(
    town: Town, wrong: str
) -> None:
    """That no key came would be untrue, and would give the use back."""
    provider, consumer = town.parties.provider, town.parties.consumer
    intent, request = town.intend(town.consent(), "cr.grade")
    if wrong == "other content":
        sealed, output = io.BytesIO(), io.BytesIO()
        draft = provider.answer_stream(intent, request, io.BytesIO(b"x"), sealed, io.BytesIO())
    elif wrong == "another payload":
        (draft,) = provider.answer([(intent, request)])
        draft = draft._replace(body=structs.replace(draft.body, disclosure_root=bytes(32)))
    else:
        delivery, release = town.deliver_beyond(intent, request, "soc.heads")
    if wrong != "a field too many":
        (place,) = town.accept([draft])
        delivery, release = provider.delivery(intent), provider.release(intent, place)
    town.later(2 * DAY_MS)

    with pytest.raises(LedgerError) as error:
        if wrong == "other content":
            sealed.write(b"!")
            consumer.open_stream(delivery, release, sealed, output)
        consumer.open(delivery, release)

    with pytest.raises(RefusedError, match="exchange was opened here: acknowledge it, or decline"):
        consumer.time_out(intent)
    town.accept([consumer.decline(intent, error.value)])
    pack = build_pack(town.parties.ledger, town.parties.vaults[BANK], intent)
    claims = {claim.name for claim in verify_pack(pack, town.parties.ledger.trust_anchor)}
    assert {"release", "declined", "objection"} <= claims


def test_a_key_that_opens_nothing_bars_no_time_out(town: Town) -> None:
    """Anybody can seal one for a delivery key, which is on the ledger."""
    intent, request = town.intend(town.consent())
    delivery, release = town.deliver(intent, request)
    consumer, ledger, provider = town.parties.consumer, town.parties.ledger, town.parties.provider
    receipt_hash = hash_domain(ledger.suite, "commitment", release.receipt)
    _, admit = ledger.history(exchange_object(intent))[-1]
    info = release_info(ledger.network, intent, admit.id, receipt_hash)
    forged = seal_key(bytes(32), provider._exchange(intent).delivery_key, info)
    town.later(2 * DAY_MS)

    with pytest.raises(InvalidError, match="payload is not what was sealed under this key"):
        consumer.open(delivery, structs.replace(release, sealed_key=forged))

    town.accept([consumer.time_out(intent)])


def test_a_field_that_is_asked_for_more_than_once_is_refused_before_it_is_sealed(
    town: Town,
) -> None:
    consumer, proposal = town.parties.consumer, town.consent()
    asked = consumer.request(proposal.consent, FIELDS, "credit.assess")
    asked = structs.replace(asked, fields=(FIELDS[0],) * 2)
    (place,) = town.accept(consumer.intend([asked]))

    with mock.patch("ledgercore.exchange.provider.make_leaves", side_effect=AssertionError):
        (draft,) = town.parties.provider.answer([(place.id, asked)])

    assert (draft.body.KIND, draft.body.code) == ("exchange.refuse", "E_CANON")
