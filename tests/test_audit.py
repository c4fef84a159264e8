"""Content is opened by order only, by two of three, one exchange at a time, and is seen to be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import pytest
from msgspec import structs

from ledgercore import (
    InvalidError,
    InvalidProof,
    LedgerError,
    LimitError,
    MalformedError,
    RefusedError,
    UntrustedError,
    format_anchor,
)
from ledgercore._core import group_add_points
from ledgercore.demo.parties import BANK, REGULATOR, TAX
from ledgercore.exchange import build_pack, verify_pack
from ledgercore.exchange.audit_copy import AuditCopy, make_copy
from ledgercore.exchange.holder import Holder, Scope, open_content
from ledgercore.exchange.messages import Delivery, decode_message, encode_message
from ledgercore.exchange.opening_proof import prove_opening, verify_opening
from ledgercore.exchange.submission import Draft
from ledgercore.rules import AuditState, audit_object, consent_object, disclosure_is_due
from ledgercore.rules.audit import scope_commitment
from ledgercore.rules.view import decode_state
from tests.town import AGENCY, DAY_MS, FIELDS, HOUR_MS, Town
from verifier import ledgercore_verify

MEMBERS = (TAX, BANK, REGULATOR)


class Audited(Town):
    """A firm whose data was delivered, with an audit copy that two of three members open."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.holders = self.share_audit_key()
        self.audit_key: bytes = self.parties.provider._audit_key or b""
        self.proposal = self.consent(max_uses=3)
        self.intent, self.delivery = self.delivered()

    def delivered(self) -> tuple[bytes, Delivery]:
        intent, request = self.intend(self.proposal)
        delivery, release = self.deliver(intent, request)
        self.parties.consumer.open(delivery, release)
        self.accept([self.parties.consumer.acknowledge(intent)])
        return intent, delivery

    def order(self, *exchanges: bytes, embargo_ms: int = 0) -> tuple[bytes, Scope]:
        draft, scope = self.draft_order(*exchanges, embargo_ms=embargo_ms)
        (place,) = self.accept([draft])
        return place.id, scope

    def draft_order(self, *exchanges: bytes, embargo_ms: int = 0) -> tuple[Draft, Scope]:
        now_ms = self.clock.now_ms()
        return self.authority().order(
            self.audit_key,
            "tax-law-54",
            exchanges or (self.intent,),
            expires_ms=now_ms + HOUR_MS,
            embargo_until_ms=now_ms + embargo_ms,
        )

    def sign(self, audit: bytes, *members: str) -> list[Holder]:
        holders = [self.holders[member] for member in members]
        for holder in holders:
            self.accept([holder.sign_to_open(audit)])
        return holders


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Audited]:
    town = Audited(tmp_path)
    yield town
    town.parties.close()


@pytest.mark.parametrize(
    ("share", "error"),
    [
        (b"", MalformedError),
        (bytes(31), MalformedError),
        (b"\xff" * 32, MalformedError),
        (b"\1" + bytes(31), InvalidProof),
    ],
)
def test_a_share_that_is_not_this_holders_overwrites_none(
    town: Audited, share: bytes, error: type[LedgerError]
) -> None:
    holder, name = town.holders[BANK], f"audit-share/{town.audit_key.hex()}"
    good = holder._vault.load(name)
    assert good is not None

    with pytest.raises(error):
        holder.keep_share(town.audit_key, share)
    holder.keep_share(town.audit_key, good)
    assert holder._vault.load(name) == good


def test_who_holds_no_share_of_a_registered_key_keeps_none(town: Audited) -> None:
    good = town.holders[BANK]._vault.load(f"audit-share/{town.audit_key.hex()}")
    vault, key = town.parties.vaults[AGENCY], town.processor().signer._key
    other = Holder(AGENCY, key, vault, town.parties.ledger, town.parties.entropy)

    with pytest.raises(RefusedError, match="agency holds no share of the audit key"):
        other.keep_share(town.audit_key, good or b"")
    other.keep_share(bytes(32), good or b"")  # no such key is registered yet
    assert vault.names("audit-share/") == [f"audit-share/{bytes(32).hex()}"]


def test_no_order_is_of_more_exchanges_than_one_record_can_disclose(town: Audited) -> None:
    before = town.authority()._vault.names("audit-scope/")

    with pytest.raises(LimitError, match="scope has 257 exchanges, want at most 256: order the"):
        town.order(*[bytes([0, number % 256, *bytes(30)]) for number in range(257)])

    assert town.authority()._vault.names("audit-scope/") == before


@pytest.mark.parametrize("pair", list(combinations(MEMBERS, 2)), ids="-".join)
def test_any_two_holders_open_what_was_ordered(town: Audited, pair: tuple[str, ...]) -> None:
    audit, scope = town.order()
    delivery = town.parties.consumer.delivery(town.intent)
    parts = [holder.part(audit, scope, delivery) for holder in town.sign(audit, *pair)]

    values = open_content(town.parties.ledger, audit, scope, delivery, parts)

    assert values == {field: town.table.rows[0].values[field] for field in FIELDS}


def test_an_opening_is_shown_without_a_ledger(town: Audited) -> None:
    audit, scope = town.order()
    parts = [
        holder.part(audit, scope, town.delivery) for holder in town.sign(audit, REGULATOR, TAX)
    ]
    ledger = town.parties.ledger
    proof = prove_opening(ledger, audit, scope, town.delivery, parts)

    opened = verify_opening(proof.encode(), ledger.trust_anchor)

    assert (opened.audit, opened.exchange, opened.openers) == (audit, town.intent, (TAX, REGULATOR))
    trusted = ledgercore_verify.parse_anchor(format_anchor(ledger.trust_anchor))
    own = ledgercore_verify.verify_opening(proof.encode(), trusted)
    assert (own.exchange, own.openers) == (town.intent, [TAX, REGULATOR])
    alone = structs.replace(proof, parts=proof.parts[:1])
    with pytest.raises(InvalidProof, match="parts are of 1 holders, want 2"):
        alone.verify(ledger.trust_anchor)


def test_one_holder_opens_nothing_though_it_gives_its_part_twice(town: Audited) -> None:
    audit, scope = town.order()
    (holder,) = town.sign(audit, REGULATOR)
    part = holder.part(audit, scope, town.delivery)

    with pytest.raises(RefusedError, match="parts are of 1 holders, want 2"):
        open_content(town.parties.ledger, audit, scope, town.delivery, [part, part])


def test_a_holder_gives_nothing_before_its_signature_is_ordered(town: Audited) -> None:
    audit, scope = town.order()

    with pytest.raises(RefusedError, match="has not signed to open yet"):
        town.holders[BANK].part(audit, scope, town.delivery)


@pytest.mark.parametrize("rests", [False, True])
def test_a_holder_gives_nothing_once_the_order_is_over(town: Audited, rests: bool) -> None:
    audit, scope = town.order()
    (holder,) = town.sign(audit, BANK)
    if rests:  # no block tells the time
        town.clock.advance(HOUR_MS)
    else:
        town.later(HOUR_MS)

    with pytest.raises(RefusedError, match="audit is EXPIRED"):
        holder.part(audit, scope, town.delivery)


def test_a_holder_gives_nothing_after_the_report(town: Audited) -> None:
    audit, scope = town.order()
    (holder,) = town.sign(audit, BANK)
    town.accept([town.authority().report(audit, "all is well")])

    with pytest.raises(RefusedError, match="audit is REPORTED"):
        holder.part(audit, scope, town.delivery)


def test_an_order_opens_nothing_beside_its_scope(town: Audited) -> None:
    _, other = town.delivered()
    audit, scope = town.order()
    (holder,) = town.sign(audit, BANK)
    wider = structs.replace(scope, exchanges=(*scope.exchanges, other.exchange))

    with pytest.raises(RefusedError, match="is not in the scope"):
        holder.part(audit, scope, other)
    with pytest.raises(RefusedError, match="not the one that the order commits to"):
        holder.part(audit, wider, other)


@pytest.mark.parametrize(
    ("beside", "code"),
    [
        ((b"\xff" * 32,), "E_UNKNOWN"),
        (tuple(number.to_bytes(32) for number in range(256)), "E_LIMIT"),
    ],
    ids=["of no exchange", "of too many"],
)
def test_a_holder_gives_nothing_under_a_scope_that_nobody_could_disclose(
    town: Audited, beside: tuple[bytes, ...], code: str
) -> None:
    """Else a supervisor would have content opened, and those concerned never learn of it."""
    scope = Scope((town.intent, *beside), b"s" * 32)
    (draft, _), suite = town.draft_order(), town.parties.ledger.suite
    commitment = scope_commitment(suite, scope.exchanges, scope.salt)
    body = structs.replace(draft.body, scope_commitment=commitment)
    (place,) = town.accept([draft._replace(body=body)])
    (holder,) = town.sign(place.id, BANK)

    with pytest.raises(RefusedError) as refused:
        holder.part(place.id, scope, town.delivery)

    assert refused.value.code == code


def test_parts_open_one_copy_under_one_order_only(town: Audited) -> None:
    """Parts of one order, or of another exchange, are refused by their proofs."""
    _, other = town.delivered()
    audit, scope = town.order(town.intent, other.exchange)
    again, scope_again = town.order(town.intent, other.exchange)
    holders = town.sign(audit, BANK, TAX)
    town.sign(again, BANK, TAX)
    parts = [holder.part(audit, scope, town.delivery) for holder in holders]
    ledger = town.parties.ledger

    with pytest.raises(InvalidProof, match="not made by the holder's share"):
        open_content(ledger, audit, scope, other, parts)
    with pytest.raises(InvalidProof, match="not made by the holder's share"):
        open_content(ledger, again, scope_again, town.delivery, parts)
    swapped = [structs.replace(parts[0], holder=3), parts[1]]
    with pytest.raises(InvalidProof, match="not made by the holder's share"):
        open_content(ledger, audit, scope, town.delivery, swapped)


def with_a_multiple(victim: AuditCopy, own: AuditCopy) -> AuditCopy:
    return structs.replace(own, ephemeral=group_add_points([victim.ephemeral] * 7))


def with_the_point(victim: AuditCopy, own: AuditCopy) -> AuditCopy:
    return structs.replace(own, ephemeral=victim.ephemeral, proof=victim.proof)


def with_all(victim: AuditCopy, own: AuditCopy) -> AuditCopy:
    return victim


@pytest.mark.parametrize("forge", [with_a_multiple, with_the_point, with_all])
def test_an_order_on_one_exchange_opens_no_other(
    town: Audited,
    monkeypatch: pytest.MonkeyPatch,
    forge: Callable[[AuditCopy, AuditCopy], AuditCopy],
) -> None:
    """Parts of seven times another copy's point are seven times what opens the other copy."""
    victim = decode_message(town.delivery.audit_copy, AuditCopy)

    def related(key: bytes, audit_key: bytes, context: bytes) -> AuditCopy:
        return forge(victim, make_copy(key, audit_key, context))

    monkeypatch.setattr("ledgercore.exchange.provider.make_copy", related)
    delivery, _ = town.deliver(*town.intend(town.proposal))
    audit, scope = town.order(delivery.exchange)
    (holder,) = town.sign(audit, BANK)

    unknown = "copy is not sealed by one that knows its number"
    with pytest.raises(InvalidProof, match=unknown):
        holder.part(audit, scope, delivery)
    with pytest.raises(InvalidProof, match=unknown):
        open_content(town.parties.ledger, audit, scope, delivery, [])
    proof = prove_opening(town.parties.ledger, audit, scope, delivery, [])
    with pytest.raises(InvalidProof, match=unknown):
        proof.verify(town.parties.ledger.trust_anchor)


def test_the_consumer_declines_a_copy_that_the_audit_key_would_not_open(
    town: Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(key: bytes, audit_key: bytes, context: bytes) -> object:
        return make_copy(bytes(32), audit_key, context)

    monkeypatch.setattr("ledgercore.exchange.provider.make_copy", wrong)
    intent, request = town.intend(town.proposal)
    delivery, release = town.deliver(intent, request)

    with pytest.raises(InvalidError, match="audit copy is not of the payload's key"):
        town.parties.consumer.open(delivery, release)


def test_a_delivery_without_its_copy_is_said_to_have_none(town: Audited) -> None:
    intent, request = town.intend(town.proposal)
    delivery, release = town.deliver(intent, request)

    with pytest.raises(InvalidError, match="delivery has no audit copy, want the one that was"):
        town.parties.consumer.open(structs.replace(delivery, audit_copy=b""), release)
    assert town.parties.consumer.open(delivery, release)


def test_a_copy_that_was_not_admitted_is_refused(town: Audited) -> None:
    audit, scope = town.order()
    (holder,) = town.sign(audit, BANK)
    other = make_copy(bytes(32), town.audit_key, bytes(48))
    delivery = structs.replace(town.delivery, audit_copy=encode_message(other))

    with pytest.raises(InvalidError, match="not the one that was admitted"):
        holder.part(audit, scope, delivery)


def test_the_scope_is_hidden_until_it_is_disclosed_and_then_in_the_trail(town: Audited) -> None:
    ledger = town.parties.ledger
    before = ledger.size
    audit, scope = town.order(embargo_ms=DAY_MS)
    town.sign(audit, BANK, REGULATOR)
    assert all(town.intent not in ledger.record(at).body for at in range(before, ledger.size))
    trail = [record.kind for _, record in ledger.history(consent_object(town.proposal.consent))]
    assert "audit.disclose" not in trail

    town.later(DAY_MS)
    value = ledger.state(audit_object(audit))
    assert value is not None
    state = decode_state(value, AuditState)
    assert disclosure_is_due(state, ledger.time_ms)
    town.accept([town.holders[TAX].disclose(audit, scope)])  # the supervisor did not

    trail = [record.kind for _, record in ledger.history(consent_object(town.proposal.consent))]
    assert trail[-1] == "audit.disclose"
    pack = build_pack(ledger, town.parties.vaults[BANK], town.intent)
    claims = {claim.name: claim for claim in verify_pack(pack, ledger.trust_anchor)}
    assert f"{REGULATOR} ordered it opened (tax-law-54)" in claims["audited"].statement
    assert all(f"{member} at " in claims["audited"].statement for member in (BANK, REGULATOR))


def test_what_both_sides_erased_is_opened_by_no_order(town: Audited) -> None:
    consumer, provider = town.parties.consumer, town.parties.provider
    audit, _ = town.order()
    town.accept(consumer.erase([town.intent], "purpose-achieved"))
    with pytest.raises(RefusedError, match="exchange is ERASED: nothing of it is opened"):
        consumer.delivery(town.intent)

    provider.forget([town.intent])
    with pytest.raises(UntrustedError, match="no audit-copy is kept"):
        provider.delivery(town.intent, audit=audit)
    town.accept(provider.erase([town.intent], "purpose-achieved"))
    with pytest.raises(RefusedError, match="exchange is forgotten: nothing of what was sealed"):
        provider.delivery(town.intent, audit=audit)


def test_what_the_consumer_erased_is_given_for_an_order_and_to_nobody_else(town: Audited) -> None:
    audit, scope = town.order()
    provider = town.parties.provider
    town.accept(town.parties.consumer.erase([town.intent], "purpose-achieved"))

    with pytest.raises(RefusedError, match="exchange is ERASED: what was sealed is given to hold"):
        provider.delivery(town.intent)
    delivery = provider.delivery(town.intent, audit=audit)
    parts = [holder.part(audit, scope, delivery) for holder in town.sign(audit, TAX, REGULATOR)]
    assert open_content(town.parties.ledger, audit, scope, delivery, parts)

    with pytest.raises(RefusedError, match="E_UNKNOWN: audit 0000000000000000 does not exist"):
        provider.delivery(town.intent, audit=bytes(32))
    town.parties.provider._audit_key = None
    other = town.deliver(*town.intend(town.consent()))[0].exchange
    with pytest.raises(RefusedError, match="exchange was admitted without an audit copy"):
        provider.delivery(other, audit=audit)
    town.later(30 * DAY_MS)
    with pytest.raises(RefusedError, match="E_AUDIT_STATE: audit is EXPIRED, nothing is opened"):
        provider.delivery(town.intent, audit=audit)


def test_an_order_of_another_key_is_given_nothing_that_was_sealed(town: Audited) -> None:
    """The key was made anew since the admit: its order opens only what was sealed to that one."""
    provider = town.parties.provider
    town.share_audit_key()
    town.audit_key = provider._audit_key or b""
    audit, _ = town.order()

    with pytest.raises(RefusedError, match="E_SCOPE: audit copy is for another audit key than"):
        provider.delivery(town.intent, audit=audit)
    other = town.deliver(*town.intend(town.consent()))[0]
    assert provider.delivery(other.exchange, audit=audit) == other


def test_a_copy_is_the_same_each_time_and_another_for_each_exchange() -> None:
    town_key = bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76")
    first, again = (make_copy(bytes(32), town_key, b"one") for _ in range(2))

    assert first == again
    assert first.ephemeral != make_copy(bytes(32), town_key, b"two").ephemeral
    assert first.ephemeral != make_copy(bytes([1]) * 32, town_key, b"one").ephemeral
    assert first.proof != make_copy(bytes(32), town_key, b"two").proof
