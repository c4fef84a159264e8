"""Evidence packs that their maker has forged: the ledger in them is real, what is said of it not.

The maker may be a party with openings of its own, or a party together with the ledger's operator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from ledgercore import (
    InvalidError,
    InvalidProof,
    LedgerError,
    MalformedError,
    UntrustedError,
    format_anchor,
    rules,
)
from ledgercore._core import StateProof, VerifiedRecord
from ledgercore.demo.parties import BANK
from ledgercore.exchange import Consumer, build_pack, verify_pack
from ledgercore.exchange.kept import keep_proposal
from ledgercore.exchange.pack import Pack
from ledgercore.exchange.submission import Draft
from ledgercore.keyfile import load_key
from ledgercore.records import (
    ConsentRevoke,
    DisputeRule,
    ExchangeErase,
    ExchangeIntent,
    Member,
    MemberReinstate,
)
from ledgercore.rules import (
    BusinessState,
    ExchangeState,
    MemberState,
    ProductState,
    SchemaState,
    View,
    engine,
    exchange,
    governance,
    member,
    view,
)
from tests.town import AGENCY, FIELDS, HOUR_MS, Town
from verifier import ledgercore_verify


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    yield town
    town.parties.close()


def packed(town: Town, intent: bytes) -> Pack:
    """The bank's pack of an exchange, for a forger to change."""
    data = build_pack(town.parties.ledger, town.parties.vaults["bank"], intent)
    return msgspec.msgpack.decode(data, type=Pack)


def delivered(town: Town) -> bytes:
    """An exchange whose data the bank has opened."""
    intent, request = town.intend(town.consent())
    town.parties.consumer.open(*town.deliver(intent, request))
    return intent


def refused(town: Town) -> bytes:
    """An exchange that the provider refused."""
    intent, request = town.intend(town.consent())
    town.accept(town.parties.provider.answer([(intent, structs.replace(request, fields=()))]))
    return intent


def claims(town: Town, pack: Pack) -> dict[str, str]:
    data = msgspec.msgpack.encode(pack)
    return {each.name: each.status for each in verify_pack(data, town.parties.ledger.trust_anchor)}


def own_claims(town: Town, pack: Pack) -> set[str]:
    """What the verifier proves that shares no code with the package."""
    anchor = ledgercore_verify.parse_anchor(format_anchor(town.parties.ledger.trust_anchor))
    return {
        each.name for each in ledgercore_verify.verify_pack(msgspec.msgpack.encode(pack), anchor)
    }


def statements(town: Town, pack: Pack) -> dict[str, str]:
    data = msgspec.msgpack.encode(pack)
    found = verify_pack(data, town.parties.ledger.trust_anchor)
    return {each.name: each.statement for each in found}


def with_record(town: Town, pack: Pack, index: int) -> Pack:
    """The pack with one more record of the ledger, and an honest proof of all."""
    ledger = town.parties.ledger
    records = sorted([*pack.records, (index, ledger.record(index).encode())])
    proof = ledger.prove_records([index for index, _ in records])
    return structs.replace(pack, records=tuple(records), proof=tuple(proof))


def let_anyone_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator whose ledger accepts records of whoever signed them."""
    monkeypatch.setattr("ledgercore.rules.engine._check_signer", lambda *case: "")


def test_a_revocation_of_another_consent_is_refused(town: Town) -> None:
    other = town.consent()
    (before,) = town.accept([town.subject.revoke(other)])
    intent = delivered(town)
    (after,) = town.accept([town.parties.provider.revoke_on_behalf(other.consent, b"a letter")])
    pack = packed(town, intent)

    assert "revoked" not in claims(town, pack)
    for place in (before, after):
        with pytest.raises(MalformedError, match=f"record {place.index} is of another consent"):
            claims(town, with_record(town, pack, place.index))


def test_nothing_that_is_of_another_exchange_or_product_is_taken(town: Town) -> None:
    delivered(town)
    foreign = town.parties.ledger.size
    (place,) = town.accept([town.parties.provider.publish(town.product("tax.other.v1"))])
    pack = packed(town, delivered(town))
    present = {index for index, _ in pack.records}

    assert place.index not in present
    for index in {*range(1, foreign), place.index} - present:
        with pytest.raises(MalformedError):
            claims(town, with_record(town, pack, index))


@pytest.mark.parametrize("early", [True, False])
def test_a_revocation_by_another_key_than_the_consents_is_refused(
    town: Town, monkeypatch: pytest.MonkeyPatch, early: bool
) -> None:
    proposal = town.consent(max_uses=2)
    revoke = Draft(town.parties.provider._key, ConsentRevoke(proposal.consent))
    intent, request = town.intend(proposal)
    let_anyone_sign(monkeypatch)
    if early:
        town.accept([revoke])
    else:
        town.parties.consumer.open(*town.deliver(intent, request))
        town.accept([revoke])

    with pytest.raises(UntrustedError, match="not revoked by its own key"):
        claims(town, packed(town, intent))


def test_an_erasure_that_another_signed_is_refused(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    intent = delivered(town)
    let_anyone_sign(monkeypatch)
    town.accept([Draft(town.parties.provider._key, ExchangeErase(intent, "purpose-achieved"))])

    with pytest.raises(UntrustedError, match="not signed by bank"):
        claims(town, packed(town, intent))


def test_terms_are_checked_where_the_request_is_not_opened(town: Town) -> None:
    pack = structs.replace(packed(town, delivered(town)), request=None)
    honest = statements(town, pack)
    leaves = (*pack.terms[:-1], structs.replace(pack.terms[-1], value="anyone"))

    assert honest["scope"] == "this pack does not open the request"
    with pytest.raises(InvalidProof, match="terms are not the ones"):
        claims(town, structs.replace(pack, terms=leaves))


def test_an_answer_is_not_proven_where_the_request_is_not_opened(town: Town) -> None:
    pack = structs.replace(packed(town, delivered(town)), request=None)

    found = claims(town, pack)

    assert found["payload"] == "proven"
    assert found["answer"] == found["request"] == found["scope"] == "withheld"


def test_a_pack_says_what_it_does_not_open(town: Town) -> None:
    pack = packed(town, delivered(town))
    for part, name, what in (
        ("terms", "scope", "the terms"),
        ("request", "request", "the request"),
        ("payload", "payload", "the payload"),
        ("release", "release", "the release"),
    ):
        found = statements(town, structs.replace(pack, **{part: None}))

        assert found[name] == f"this pack does not open {what}"


@pytest.mark.parametrize("part", ["payload", "release"])
def test_nothing_is_delivered_by_an_exchange_that_was_refused(town: Town, part: str) -> None:
    foreign = getattr(packed(town, delivered(town)), part)
    pack = packed(town, refused(town))
    assert claims(town, pack)["outcome"] == "proven"

    with pytest.raises(InvalidProof, match="nothing was admitted"):
        claims(town, structs.replace(pack, **{part: foreign}))


@pytest.mark.parametrize("part", ["terms", "request", "payload", "release"])
def test_an_opening_of_another_exchange_is_refused(town: Town, part: str) -> None:
    foreign = getattr(packed(town, delivered(town)), part)
    openings = ("terms", "request", "payload", "release")
    pack = packed(town, delivered(town))
    alone = structs.replace(pack, **dict.fromkeys(openings) | {part: foreign})

    for forged in (structs.replace(pack, **{part: foreign}), alone):
        with pytest.raises(InvalidError):
            claims(town, forged)


@pytest.mark.parametrize("number", [-1, -(2**63), 2**53, 2**63, 2**64 - 1])
def test_a_place_that_no_ledger_has_is_malformed(town: Town, number: int) -> None:
    pack = packed(town, delivered(town))
    _, record = pack.records[-1]
    leaf = structs.replace(pack.payload[0], position=number)
    for forged in (
        structs.replace(pack, records=(*pack.records[:-1], (number, record))),
        structs.replace(pack, payload=(leaf, *pack.payload[1:])),
        structs.replace(pack, terms=(leaf, *pack.terms[1:])),
    ):
        with pytest.raises(MalformedError):
            claims(town, forged)


def test_a_consent_wider_than_its_terms_is_proven_by_nobody(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the provider does not look, either."""
    monkeypatch.setattr("ledgercore.exchange.provider.check_terms", lambda terms, consent: None)
    intent, request = town.intend(town.widened_consent())
    town.parties.consumer.open(*town.deliver(intent, request))

    with pytest.raises(InvalidError, match="in the terms"):
        claims(town, packed(town, intent))


def test_a_consent_that_was_wider_than_its_terms_is_not_mended_by_a_narrowing(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What counts is how far it reached when the exchange was admitted."""
    monkeypatch.setattr("ledgercore.exchange.provider.check_terms", lambda terms, consent: None)
    proposal = town.widened_consent()
    intent, request = town.intend(proposal)
    town.parties.consumer.open(*town.deliver(intent, request))
    expires_ms = town.clock.now_ms() + HOUR_MS
    draft = town.subject.narrow(proposal, FIELDS, expires_ms=expires_ms)
    town.accept([draft._replace(body=structs.replace(draft.body, max_uses=1))])

    with pytest.raises(InvalidError, match="in the terms"):
        claims(town, packed(town, intent))
    with pytest.raises(ledgercore_verify.Refusal, match="in the terms"):
        own_claims(town, packed(town, intent))


def test_fields_that_the_product_does_not_offer_are_proven_by_nobody(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.parties.provider._source[town.firm]["not.offered"] = 1
    monkeypatch.setattr(town.parties.provider, "_offered", lambda product: {"not.offered"})
    with town.unheld():
        asked = town.intend(town.consent(fields=("not.offered",)), "not.offered")
    town.parties.consumer.open(*town.deliver(*asked))

    with pytest.raises(InvalidProof, match=r"not\.offered"):
        claims(town, packed(town, asked[0]))


def test_an_exchange_of_another_consumer_than_the_consents_is_proven_by_nobody(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator that lets an agency ask, receive and use under the bank's consent."""
    parties, proposal = town.parties, town.consent()
    intend = exchange.FAMILY.effects[ExchangeIntent.KIND]
    monkeypatch.setitem(
        exchange.FAMILY.effects,
        ExchangeIntent.KIND,
        lambda case: structs.replace(intend(case), consumer=AGENCY),
    )
    monkeypatch.setitem(exchange.FAMILY.checks, "signer_is_of_consent", lambda case: None)
    let_anyone_sign(monkeypatch)
    key = load_key(parties.ledger.path.parent / f"{AGENCY}.key")
    agency = Consumer(AGENCY, key, parties.vaults[AGENCY], parties.ledger, parties.entropy)
    keep_proposal(parties.vaults[AGENCY], None, proposal)
    asked = agency.request(proposal.consent, FIELDS, "credit.assess")
    (place,) = town.accept(agency.intend([asked]))
    assert agency.open(*town.deliver(place.id, asked))
    pack = build_pack(parties.ledger, parties.vaults[AGENCY], place.id)
    forged = msgspec.msgpack.decode(pack, type=Pack)

    with pytest.raises(InvalidProof, match="consumer of the exchange is agency, want bank"):
        claims(town, forged)
    with pytest.raises(ledgercore_verify.Refusal, match="consumer of the exchange is not that"):
        own_claims(town, forged)


def test_a_role_that_nobody_gave_rules_on_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator in whose states the bank is a supervisor, too."""
    put = governance._put_member
    monkeypatch.setattr(
        governance,
        "_put_member",
        lambda view, record, each: put(
            view,
            record,
            structs.replace(each, roles=(*each.roles, "supervisor"))
            if each.member == BANK
            else each,
        ),
    )
    town = Town(tmp_path)
    try:
        intent, bank = delivered(town), town.parties.consumer
        town.accept([town.parties.provider.disputes.open(intent, "WRONG", "of another firm")])
        town.accept([Draft(bank._key, DisputeRule(intent, "dismissed", bytes(32)))])
        forged = packed(town, intent)

        with pytest.raises(InvalidProof, match="roles of bank are not those that it was given"):
            claims(town, forged)
        with pytest.raises(ledgercore_verify.Refusal, match="roles of bank are not those"):
            own_claims(town, forged)
    finally:
        town.parties.close()


@pytest.mark.parametrize("kind", [ProductState, ExchangeState, SchemaState])
def test_a_state_in_another_encoding_is_proven_by_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[BusinessState]
) -> None:
    """An operator that puts states whose count is not in its shortest form, read or not."""

    def lengthen(state: BusinessState, data: bytes) -> bytes:
        at = data.index(bytes([state.count]) + b"\xc4\x20")
        return data[:at] + b"\xcc" + data[at:]

    refused_encoding(tmp_path, monkeypatch, kind, lengthen, "shortest")


def test_a_state_without_its_last_field_is_proven_by_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator that leaves out what is as it is without being said."""

    def shorten(state: BusinessState, data: bytes) -> bytes:
        return msgspec.msgpack.encode(msgspec.msgpack.decode(data)[:-1])

    refused_encoding(tmp_path, monkeypatch, ProductState, shorten, "not in its canon|not an array")


def refused_encoding(
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[BusinessState],
    change: Callable[[BusinessState, bytes], bytes],
    match: str,
) -> None:
    """Have an operator put states of a kind in another encoding, and both verifiers refuse it."""
    encode_state = view.encode_state

    def encode(state: BusinessState) -> bytes:
        data = encode_state(state)
        return change(state, data) if isinstance(state, kind) else data

    monkeypatch.setattr(view, "encode_state", encode)
    town = Town(directory)
    try:
        intent, request = town.intend(town.consent())
        town.accept(town.parties.provider.answer([(intent, request)]))
        pack, ledger = packed(town, intent), town.parties.ledger
        beside = (ledger.prove_state(name).encode() for name, _ in ledger.states(b"schema/"))
        forged = structs.replace(pack, states=(*pack.states, *beside))

        with pytest.raises(MalformedError, match=match):
            claims(town, forged)
        with pytest.raises(ledgercore_verify.Refusal, match=match):
            own_claims(town, forged)
    finally:
        town.parties.close()


@pytest.mark.parametrize("given", ["after the admit", "before a stay"])
def test_what_was_admitted_without_a_live_consent_is_proven_by_nobody(
    town: Town, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    """An operator that admits under what is no consent yet, or is stayed, and says it was live."""
    provider, ledger = town.parties.provider, town.parties.ledger
    monkeypatch.setitem(exchange.FAMILY.checks, "consent_is_authorised", lambda case: None)
    monkeypatch.setattr(exchange, "consent_status_at", lambda state, time_ms: "AUTHORISED")
    if given == "after the admit":
        proposal = town.ask(town.terms())
        endorsement = provider.endorse(town.firm, proposal)
        town.accept(provider.answer([town.intend(proposal)]))
        town.accept([town.subject.authorise(proposal, endorsement)])
    else:
        proposal = town.consent()
        town.accept([town.authority().stay(proposal.consent, "court-order", "an order")])
        town.accept(provider.answer([town.intend(proposal)]))
        town.accept([town.authority().lift(proposal.consent)])
    (intent,) = (name.removeprefix(b"exchange/") for name, _ in ledger.states(b"exchange/"))
    forged = packed(town, intent)

    with pytest.raises(InvalidProof, match="consent was not live when"):
        claims(town, forged)
    with pytest.raises(ledgercore_verify.Refusal, match="consent was not live when"):
        own_claims(town, forged)


@pytest.mark.parametrize("name", ["ghost", b"\xff"])
def test_a_member_that_was_never_admitted_breaks_no_verifier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str | bytes
) -> None:
    """An operator whose map has it all the same, with a record that cannot be the first of one."""
    put, shown = governance._put_member, name if isinstance(name, bytes) else name.encode()

    def put_ghost(view: View, record: VerifiedRecord, member: Member) -> None:
        put(view, record, member)
        if member.member == BANK:
            state = view.get(rules.member_object(BANK), MemberState)
            assert state is not None
            ghost = structs.replace(state, count=0, history=rules.EMPTY_HISTORY, status="SUSPENDED")
            view.put(b"member/" + shown, ghost)

    monkeypatch.setattr(governance, "_put_member", put_ghost)
    monkeypatch.setattr(engine, "_check_status", lambda *case: None)
    monkeypatch.setitem(member.FAMILY.checks, "proposal_is_carried", lambda case: None)
    monkeypatch.setitem(member.FAMILY.effects, MemberReinstate.KIND, lambda case: case.state)
    town = Town(tmp_path)
    try:
        pack, ledger = packed(town, delivered(town)), town.parties.ledger
        if name == "ghost":
            reinstated = MemberReinstate(bytes(32), "ghost")
            town.accept([Draft(town.parties.consumer._key, reinstated)])
            pack = with_record(town, packed(town, pack.exchange), ledger.size - 1)
        proof = StateProof.decode(ledger.prove_state(b"member/" + shown).encode()).encode()
        forged = structs.replace(pack, states=(*pack.states, proof))

        with pytest.raises(LedgerError, match=r"begin with its admission|name is no text"):
            claims(town, forged)
        with pytest.raises(ledgercore_verify.Refusal, match=r"its admission|is not UTF-8"):
            own_claims(town, forged)
    finally:
        town.parties.close()
