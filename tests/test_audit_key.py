"""A supervisor offers an audit key, and nothing rests on it until each holder has accepted it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ledgercore import InvalidProof, MalformedError, RefusedError, UntrustedError
from ledgercore._core import group_add_numbers
from ledgercore.demo.parties import BANK, REGULATOR, TAX
from ledgercore.exchange.holder import Holder
from ledgercore.exchange.sharing import Deal, audit_key_of, deal, share_of
from ledgercore.exchange.submission import submit
from ledgercore.keyfile import load_key
from ledgercore.records import ExchangeAdmit
from ledgercore.rules import AuditKeyState, audit_key_object, audit_key_status_at
from ledgercore.rules.view import decode_state
from tests.network import AUDITORS, act, audit_key_scene, body_of, code_of, sign
from tests.town import AGENCY, HOUR_MS, Town

MEMBERS = (TAX, BANK, REGULATOR)


class Offered(Town):
    """A key that three members made, that is registered, and that none of them has accepted."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.deals, self.shares = self.made()
        self.key = audit_key_of(self.deals, MEMBERS)
        self.accept([self.authority().register(self.key)])
        self.audit_key = self.key.audit_key

    def made(self) -> tuple[list[Deal], dict[str, bytes]]:
        """The deals of a new key, and each member's share of it."""
        made = [deal(self.parties.entropy, dealer, 2, 3) for dealer in (1, 2, 3)]
        deals = [each for each, _ in made]
        dealt = list(zip(*(numbers for _, numbers in made), strict=True))
        shares = {
            member: share_of(holder, deals, dealt[holder - 1])
            for holder, member in enumerate(MEMBERS, 1)
        }
        return deals, shares

    def holder(self, member: str) -> Holder:
        parties = self.parties
        key = load_key(parties.ledger.path.parent / f"{member}.key")
        return Holder(member, key, parties.vaults[member], parties.ledger, parties.entropy)

    def accepted_by(self, *members: str) -> None:
        for member in members:
            holder = self.holder(member)
            holder.keep_share(self.audit_key, self.shares[member])
            self.accept([holder.accept(self.audit_key, self.deals)])

    def status(self) -> str:
        value = self.parties.ledger.state(audit_key_object(self.audit_key))
        assert value is not None
        return audit_key_status_at(decode_state(value, AuditKeyState), self.parties.ledger.time_ms)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Offered]:
    town = Offered(tmp_path)
    yield town
    town.parties.close()


def test_a_key_is_active_once_every_holder_has_accepted_it(town: Offered) -> None:
    town.accepted_by(TAX, BANK)
    assert town.status() == "OFFERED"
    town.accepted_by(REGULATOR)
    assert town.status() == "ACTIVE"


def test_nothing_is_sealed_to_a_key_that_a_holder_has_not_accepted(town: Offered) -> None:
    provider = town.parties.provider
    provider._audit_key = town.audit_key
    town.accepted_by(TAX, BANK)
    proposal = town.consent(max_uses=3)
    asked = [town.intend(proposal) for _ in range(2)]
    names_before = provider._vault.names("exchange/")

    refusals = provider.answer(asked)

    assert [refusal.body.code for refusal in refusals] == ["E_AUDIT_STATE"] * 2
    assert provider._vault.names("exchange/") == names_before
    town.accept(refusals)
    town.accepted_by(REGULATOR)
    (admit,) = provider.answer([town.intend(proposal)])
    assert isinstance(admit.body, ExchangeAdmit)
    assert admit.body.audit_copy is not None


def test_nothing_is_sealed_to_a_key_that_nobody_registered(town: Offered) -> None:
    town.parties.provider._audit_key = audit_key_of(town.made()[0], MEMBERS).audit_key

    (refusal,) = town.parties.provider.answer([town.intend(town.consent())])

    assert refusal.body.code == "E_UNKNOWN"


def test_nothing_is_ordered_under_a_key_that_a_holder_has_not_accepted(town: Offered) -> None:
    town.accepted_by(TAX, BANK)
    now_ms = town.clock.now_ms()
    order, _ = town.authority().order(
        town.audit_key, "law", [bytes(32)], expires_ms=now_ms + HOUR_MS, embargo_until_ms=now_ms
    )

    (outcome,) = submit(town.parties.ledger, [order])

    assert isinstance(outcome, RefusedError)
    assert outcome.code == "E_AUDIT_STATE"
    assert "audit key is OFFERED, 2 of 3 holders have accepted it" in str(outcome)


def test_a_holder_accepts_no_key_that_others_made_in_its_name(town: Offered) -> None:
    """The supervisor made all deals by itself, and knows the key."""
    own, shares = town.deals, town.shares
    alone, dealt = town.made()
    town.audit_key = audit_key_of(alone, MEMBERS).audit_key
    town.accept([town.authority().register(audit_key_of(alone, MEMBERS))])
    holder = town.holder(BANK)

    with pytest.raises(InvalidProof, match="share is not the one of this holder's share key"):
        holder.keep_share(town.audit_key, shares[BANK])
    holder.keep_share(town.audit_key, dealt[BANK])
    with pytest.raises(InvalidProof, match="is not the one that these deals make"):
        holder.accept(town.audit_key, own)
    with pytest.raises(InvalidProof, match="deal 2 of 3 does not show"):
        holder.accept(town.audit_key, [alone[0], own[0], alone[2]])
    with pytest.raises(InvalidProof, match="is not the one that these deals make"):
        holder.accept(town.audit_key, [alone[0], own[1], alone[2]])
    with pytest.raises(MalformedError, match="deals are 2, want one of each of 3 members"):
        holder.accept(town.audit_key, alone[:2])


def test_a_holder_accepts_no_key_whose_share_it_has_not(town: Offered) -> None:
    holder = town.holder(BANK)

    with pytest.raises(UntrustedError, match="no share of this audit key is kept here"):
        holder.accept(town.audit_key, town.deals)
    wrong = group_add_numbers([town.shares[BANK]] * 2)
    holder._vault.store([(f"audit-share/{town.audit_key.hex()}", wrong)])
    with pytest.raises(InvalidProof, match="share is not the one of this holder's share key"):
        holder.accept(town.audit_key, town.deals)


def test_only_holders_accept_and_only_a_key_that_is_registered(town: Offered) -> None:
    with pytest.raises(RefusedError, match="agency holds no share of the audit key"):
        town.holder(AGENCY).accept(town.audit_key, town.deals)
    with pytest.raises(RefusedError, match="E_UNKNOWN"):
        town.holder(BANK).accept(bytes(32), town.deals)


@pytest.mark.parametrize(
    ("accepted", "code"), [((), "E_AUDIT_STATE"), (AUDITORS[:3], "E_AUDIT_STATE"), (AUDITORS, "")]
)
def test_the_rules_let_nobody_order_under_a_key_before_all_have_accepted_it(
    accepted: tuple[str, ...], code: str
) -> None:
    scene = audit_key_scene("OFFERED")
    for signer in accepted:
        act(scene.view, signer, body_of("audit.accept", scene))

    order = sign(scene.view, "supervisor", body_of("audit.order", scene))

    assert code_of(scene.view, order) == code


def test_the_rules_let_nobody_accept_a_key_twice() -> None:
    scene = audit_key_scene("OFFERED")
    body = body_of("audit.accept", scene)
    act(scene.view, AUDITORS[0], body)

    assert code_of(scene.view, sign(scene.view, AUDITORS[0], body)) == "E_EXISTS"
