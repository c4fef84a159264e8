"""Set up the four parties: each with its own keys and vault, on one ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ledgercore._core import SigningKey
from ledgercore.clock import Clock
from ledgercore.entropy import Entropy
from ledgercore.exchange import Consumer, Provider, Subject
from ledgercore.exchange.sealing import public_delivery_key
from ledgercore.keyfile import store_key
from ledgercore.ledger import Ledger
from ledgercore.profiles import Table
from ledgercore.records import Member
from ledgercore.vault import Vault

__all__ = ["BANK", "REGULATOR", "TAX", "Parties", "set_up"]

TAX, BANK, REGULATOR = "tax-authority", "bank", "regulator"


@dataclass
class Parties:
    """Everyone who takes part, and the ledger they share."""

    ledger: Ledger
    provider: Provider
    consumer: Consumer
    vaults: dict[str, Vault]
    entropy: Entropy

    def subject(self, name: str) -> Subject:
        """One enterprise; the enterprises' vault is kept by their agent."""
        return Subject(name, self.vaults["enterprises"], self.entropy, self.ledger)

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """What the parties keep inside is durable together at the end, with one flush a vault."""
        with ExitStack() as stack:
            for vault in self.vaults.values():
                stack.enter_context(vault.transaction())
            yield

    def close(self) -> None:
        """Close every file."""
        for vault in self.vaults.values():
            vault.close()
        self.ledger.close()


def set_up(
    directory: Path, table: Table, clock: Clock, entropy: Entropy, suite: str = "std"
) -> Parties:
    """Make keys, vaults and a ledger whose genesis admits the members."""
    keys: dict[str, SigningKey] = {}
    members = []
    roles = {TAX: ("provider",), BANK: ("consumer",), REGULATOR: ("supervisor",)}
    for member, held in roles.items():
        seed, sealing = entropy.bytes(32), entropy.bytes(32)
        store_key(directory / f"{member}.key", seed)
        keys[member] = SigningKey(seed)
        public = public_delivery_key(sealing)
        members.append(Member(member, member, held, keys[member].public_key, public))
    names = (TAX, BANK, "enterprises", REGULATOR)
    vaults = {name: Vault(directory / f"{name}.vault") for name in names}
    ledger = Ledger.create(
        directory / "exchange.ledger",
        origin="tax.example/exchange",
        suite=suite,
        members=members,
        clock=clock,
        entropy=entropy,
    )
    source = {row.subject: row.values for row in table.rows}
    provider = Provider(TAX, keys[TAX], vaults[TAX], ledger, entropy, source)
    consumer = Consumer(BANK, keys[BANK], vaults[BANK], ledger, entropy)
    return Parties(ledger, provider, consumer, vaults, entropy)
