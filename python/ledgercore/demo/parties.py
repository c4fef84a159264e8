"""Set up the four parties: each with its own keys and vault, on one ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ledgercore._core import SigningKey
from ledgercore.clock import Clock
from ledgercore.demo.desks import BANK, ENTERPRISES, REGULATOR, TAX
from ledgercore.entropy import Entropy
from ledgercore.exchange import Authority, Consumer, Provider, Subject
from ledgercore.exchange.sealing import public_delivery_key
from ledgercore.exchange.submission import Draft, Submitted, submit
from ledgercore.keyfile import store_key
from ledgercore.ledger import Ledger
from ledgercore.profiles import Table
from ledgercore.records import Member
from ledgercore.rules import GOVERNANCE_ROLE
from ledgercore.vault import Vault

__all__ = [
    "BANK",
    "ENTERPRISES",
    "REGULATOR",
    "ROLES",
    "TAX",
    "Parties",
    "create_ledger",
    "make_member",
    "set_up",
]

ROLES: dict[str, tuple[str, ...]] = {
    TAX: ("provider", GOVERNANCE_ROLE),
    BANK: ("consumer", GOVERNANCE_ROLE),
    REGULATOR: ("supervisor", "competent-authority", GOVERNANCE_ROLE),
}


@dataclass
class Parties:
    """Everyone who takes part, in one process."""

    ledgers: dict[str, Ledger]
    provider: Provider
    consumer: Consumer
    authority: Authority
    vaults: dict[str, Vault]
    entropy: Entropy

    @property
    def ledger(self) -> Ledger:
        """The ledger where it is ordered."""
        return self.ledgers[TAX]

    def submit(self, party: str, drafts: Sequence[Draft]) -> list[Submitted]:
        """Have a party's drafts ordered."""
        return submit(self.ledgers[party], drafts)

    def subject(self, name: str) -> Subject:
        """One enterprise; the enterprises' vault is kept by their agent."""
        return Subject(name, self.vaults[ENTERPRISES], self.ledgers[ENTERPRISES], self.entropy)

    def close(self) -> None:
        """Close every file."""
        for vault in self.vaults.values():
            vault.close()
        for ledger in self.ledgers.values():
            ledger.close()


def make_member(
    directory: Path, member: str, roles: tuple[str, ...], entropy: Entropy
) -> tuple[SigningKey, Member]:
    """A party's key, which is kept in a file, and the member that it speaks for."""
    seed, sealing = entropy.bytes(32), entropy.bytes(32)
    store_key(directory / f"{member}.key", seed)
    key = SigningKey(seed)
    return key, Member(member, member, roles, key.public_key, public_delivery_key(sealing))


def create_ledger(
    directory: Path,
    members: Sequence[Member],
    clock: Clock,
    entropy: Entropy,
    suite: str = "std",
) -> Ledger:
    """A new ledger whose genesis admits the members."""
    return Ledger.create(
        directory / "exchange.ledger",
        origin="tax.example/exchange",
        suite=suite,
        members=members,
        clock=clock,
        entropy=entropy,
    )


def set_up(
    directory: Path,
    table: Table,
    clock: Clock,
    entropy: Entropy,
    suite: str = "std",
    *,
    processors: Sequence[str] = (),
) -> Parties:
    """All parties in one process, on one ledger that is open for writing: for tests.

    Of processors there are none but those that are asked for.
    """
    keys: dict[str, SigningKey] = {}
    members = []
    roles: dict[str, tuple[str, ...]] = dict.fromkeys(processors, ("processor",))
    for party, held in (ROLES | roles).items():
        keys[party], member = make_member(directory, party, held, entropy)
        members.append(member)
    names = (TAX, BANK, ENTERPRISES, REGULATOR, *processors)
    vaults = {name: Vault(directory / f"{name}.vault") for name in names}
    ledger = create_ledger(directory, members, clock, entropy, suite)
    source = {row.subject: row.values for row in table.rows}
    provider = Provider(TAX, keys[TAX], vaults[TAX], ledger, source, entropy)
    consumer = Consumer(BANK, keys[BANK], vaults[BANK], ledger, entropy)
    authority = Authority(REGULATOR, keys[REGULATOR], vaults[REGULATOR], ledger, entropy)
    ledgers = dict.fromkeys(names, ledger)
    return Parties(ledgers, provider, consumer, authority, vaults, entropy)
