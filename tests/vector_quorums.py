"""Make packs whose members governance changed, with the votes, and forge some: vectors of packs."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import msgspec
from msgspec import structs

from ledgercore import records
from ledgercore._core import Equivocation, SigningKey
from ledgercore.demo.parties import BANK, REGULATOR, TAX
from ledgercore.exchange import Authority, build_pack
from ledgercore.exchange.pack import Pack
from ledgercore.exchange.signer import RecordSigner
from ledgercore.exchange.submission import Draft
from ledgercore.records import (
    GovernanceApprove,
    GovernancePropose,
    GovernanceReport,
    KeyReplace,
    MemberAdmit,
    MemberReinstate,
    MemberSuspend,
    RecordBody,
    key_message,
)
from ledgercore.rules import member
from tests.town import DAY_MS, Town

NEWCOMER, CLERK = "second-regulator", "clerk"
Forged = tuple[str, bytes, str]


class Council(Town):
    """A town whose three institutions govern, with the keys that they vote with."""

    def __init__(self, directory: Path, suite: str = "std") -> None:
        directory.mkdir()
        super().__init__(directory, suite)
        parties = self.parties
        self.voters = {
            TAX: parties.provider._key,
            BANK: parties.consumer._key,
            REGULATOR: self.authority()._key,
        }
        self._made = 0

    def proposal(self) -> bytes:
        self._made += 1
        return bytes([self._made]) * 32

    def new_key(self, name: str, seed: bytes) -> tuple[SigningKey, bytes]:
        """A key, and its proof for a member."""
        key = SigningKey(seed * 32)
        message = key_message(self.parties.ledger.network, key.public_key, name)
        return key, key.sign(message)

    def propose(self, body: RecordBody, by: str = TAX) -> None:
        proposal: bytes = getattr(body, "proposal", b"")
        lapses_ms = self.clock.now_ms() + DAY_MS
        proposed = GovernancePropose(proposal, body.KIND, records.encode(body), lapses_ms)
        self.accept([Draft(self.voters[by], proposed)])

    def approve(self, body: RecordBody, by: str) -> None:
        self.accept([Draft(self.voters[by], GovernanceApprove(getattr(body, "proposal", b"")))])

    def enact(self, body: RecordBody, *voters: str) -> None:
        """Have the tax authority propose it, the voters approve, and the tax authority do it."""
        self.propose(body)
        for voter in voters:
            self.approve(body, voter)
        self.accept([Draft(self.voters[TAX], body)])

    def admit(self, name: str, roles: tuple[str, ...], *voters: str) -> None:
        key, proof = self.new_key(name, name[:1].encode())
        body = MemberAdmit(self.proposal(), name, name, roles, key.public_key, b"s" * 32, proof)
        self.enact(body, *voters)
        self.voters[name] = RecordSigner(key, self.parties.vaults[REGULATOR])

    def replacement(self, seed: bytes) -> tuple[SigningKey, KeyReplace]:
        """A new key for the bank."""
        key, proof = self.new_key(BANK, seed)
        return key, KeyReplace(self.proposal(), BANK, key.public_key, b"s" * 32, proof)

    def take(self, key: SigningKey) -> None:
        """The bank goes on with its new key."""
        consumer = self.parties.consumer
        consumer._key = self.voters[BANK] = RecordSigner(key, consumer._vault)

    def packed(self) -> Pack:
        """Of an exchange that is made now."""
        intent, request = self.intend(self.consent())
        self.parties.consumer.open(*self.deliver(intent, request))
        self.accept([self.parties.consumer.acknowledge(intent)])
        return self.pack_of(intent)

    def pack_of(self, intent: bytes) -> Pack:
        data = build_pack(self.parties.ledger, self.parties.vaults[BANK], intent)
        return msgspec.msgpack.decode(data, type=Pack)


def quorums(directory: Path, suite: str) -> tuple[dict[str, Pack], list[Forged]]:
    """Packs of a network like that of the others, and those that no verifier accepts."""
    town = Council(directory, suite)
    try:
        good = {"quorum-replaced": _replaced(town), "quorum-admitted": _admitted(town)}
        good["quorum-reported"] = _reported(town)
        forged = _left_out(town, good["quorum-reported"])
    finally:
        town.parties.close()
    for make, name, want in (
        (_too_few, "quorum-of-one", "invalid-proof"),
        (_of_another_record, "quorum-for-another-record", "invalid-proof"),
        (_by_no_governor, "quorum-voted-by-another", "untrusted"),
        (_by_a_lost_key, "quorum-by-a-replaced-key", "invalid-proof"),
        (_lapsed, "quorum-that-had-lapsed", "invalid-proof"),
    ):
        town = Council(directory.with_name(name), suite)
        try:
            forged.append((name, msgspec.msgpack.encode(make(town)), want))
        finally:
            town.parties.close()
    return good, forged


def _replaced(town: Council) -> Pack:
    """The bank lost its key between its intent and the delivery, which the provider overlooks."""
    intent, request = town.intend(town.consent())
    key, body = town.replacement(b"n")
    town.enact(body, REGULATOR)
    town.take(key)
    with mock.patch("ledgercore.exchange.provider.check_asker"):
        town.parties.consumer.open(*town.deliver(intent, request))
    town.accept([town.parties.consumer.acknowledge(intent)])
    return town.pack_of(intent)


def _admitted(town: Council) -> Pack:
    """A fourth of governance is admitted, and its vote carries what follows."""
    town.admit(NEWCOMER, ("supervisor", "governance"), BANK)
    key, body = town.replacement(b"o")
    town.enact(body, REGULATOR, NEWCOMER)
    town.take(key)
    proposal = town.consent()
    parties, signer = town.parties, town.voters[NEWCOMER]
    second = Authority(
        NEWCOMER, signer._key, parties.vaults[REGULATOR], parties.ledger, parties.entropy
    )
    town.accept([second.stay(proposal.consent, "court-order", "an order")])
    town.accept([second.lift(proposal.consent)])
    intent, request = town.intend(proposal)
    parties.consumer.open(*town.deliver(intent, request))
    return town.pack_of(intent)


def _reported(town: Council) -> Pack:
    """The bank signed two records with one sequence; it is suspended, and reinstated."""
    ledger, signer = town.parties.ledger, town.voters[BANK]
    sequence, previous = ledger.next_position(signer.public_key)
    pair = [
        signer._key.sign_record(
            ledger.suite, ledger.network, "data", body, sequence=sequence, previous=previous
        )
        for body in (b"yes", b"no")
    ]
    proposal, lapses_ms = town.proposal(), town.clock.now_ms() + DAY_MS
    evidence = Equivocation(*pair).encode()
    report = GovernanceReport(proposal, BANK, evidence, lapses_ms)
    town.accept([Draft(town.voters[TAX], report)])
    suspension = MemberSuspend(proposal, BANK)
    for voter in (TAX, REGULATOR, NEWCOMER):
        town.approve(suspension, voter)
    town.accept([Draft(town.voters[REGULATOR], suspension)])
    town.enact(MemberReinstate(town.proposal(), BANK), REGULATOR)
    return town.packed()


def _left_out(town: Council, pack: Pack) -> list[Forged]:
    """Without a vote, without the state of a proposal, without that of governance."""
    ledger, pack = town.parties.ledger, town.pack_of(pack.exchange)
    named = {msgspec.msgpack.decode(state)[0]: state for state in pack.states}

    def without(index: int) -> Pack:
        rest = tuple(each for each in pack.records if each[0] != index)
        proof = tuple(ledger.prove_records([index for index, _ in rest]))
        return structs.replace(pack, records=rest, proof=proof)

    def stateless(prefix: bytes) -> Pack:
        states = (state for name, state in named.items() if not name.startswith(prefix))
        return structs.replace(pack, states=tuple(states))

    kinds = {ledger.record(index).kind: index for index, _ in pack.records}
    forged = [
        ("quorum-vote-missing", without(kinds["governance.approve"]), "invalid-proof"),
        ("quorum-report-missing", without(kinds["governance.report"]), "invalid-proof"),
        ("quorum-without-its-proposal", stateless(b"proposal/"), "invalid-proof"),
        ("quorum-without-governance", stateless(b"governance"), "invalid-proof"),
        ("quorum-with-another-vote", _foreign(town, pack), "malformed"),
    ]
    return [(name, msgspec.msgpack.encode(each), want) for name, each, want in forged]


def _foreign(town: Council, pack: Pack) -> Pack:
    """With a vote for what was not done."""
    ledger = town.parties.ledger
    town.propose(MemberSuspend(town.proposal(), BANK))
    packed = town.pack_of(pack.exchange)
    index = ledger.size - 1
    taken = (*packed.records, (index, ledger.record(index).encode()))
    proof = tuple(ledger.prove_records([index for index, _ in taken]))
    return structs.replace(packed, records=taken, proof=proof)


def _lax(town: Council, body: RecordBody) -> None:
    """An operator whose ledger does what no quorum wants."""
    with mock.patch.dict(member.FAMILY.checks, proposal_is_carried=lambda case: None):
        town.accept([Draft(town.voters[TAX], body)])


def _too_few(town: Council) -> Pack:
    key, body = town.replacement(b"n")
    town.propose(body)
    _lax(town, body)
    town.take(key)
    return town.packed()


def _lapsed(town: Council) -> Pack:
    """A key that was replaced two days after its proposal was open for one."""
    key, body = town.replacement(b"n")
    town.propose(body)
    town.approve(body, REGULATOR)
    town.later(2 * DAY_MS)
    _lax(town, body)
    town.take(key)
    return town.packed()


def _of_another_record(town: Council) -> Pack:
    key, body = town.replacement(b"n")
    other = structs.replace(body, sealing_key=b"t" * 32)
    town.propose(other)
    town.approve(other, REGULATOR)
    _lax(town, body)
    town.take(key)
    return town.packed()


def _by_no_governor(town: Council) -> Pack:
    town.admit(CLERK, ("consumer",), REGULATOR)
    key, body = town.replacement(b"n")
    town.propose(body)
    with mock.patch("ledgercore.rules.engine._check_signer", lambda *case: CLERK):
        town.approve(body, CLERK)
    _lax(town, body)
    town.take(key)
    return town.packed()


def _by_a_lost_key(town: Council) -> Pack:
    """The bank approved with a key that it has lost since: that is a thief's word, or its own."""
    body = MemberSuspend(town.proposal(), REGULATOR)
    town.propose(body)
    town.approve(body, BANK)
    key, replaced = town.replacement(b"n")
    town.enact(replaced, REGULATOR)
    town.take(key)
    _lax(town, body)
    town.enact(MemberReinstate(town.proposal(), REGULATOR), BANK)
    proposal = town.consent()
    town.accept([town.authority().stay(proposal.consent, "court-order", "an order")])
    town.accept([town.authority().lift(proposal.consent)])
    intent, _ = town.intend(proposal)
    return town.pack_of(intent)
