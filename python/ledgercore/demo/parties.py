"""Set up the four parties: each with its own keys and vault, on one ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ledgercore._core import SigningKey
from ledgercore.clock import Clock
from ledgercore.entropy import Entropy
from ledgercore.exchange import Authority, Consumer, Provider, Subject
from ledgercore.exchange.sealing import public_delivery_key
from ledgercore.exchange.submission import Draft, Outcome, submit
from ledgercore.keyfile import store_key
from ledgercore.ledger import Ledger
from ledgercore.profiles import Table
from ledgercore.records import Member
from ledgercore.rules import GOVERNANCE_ROLE
from ledgercore.vault import Vault

__all__ = ["BANK", "ENTERPRISES", "REGULATOR", "ROLES", "TAX", "Parties", "set_up"]

TAX, BANK, ENTERPRISES, REGULATOR = "tax-authority", "bank", "enterprises", "regulator"


ROLES = {
    TAX: ("provider", GOVERNANCE_ROLE),
    BANK: ("consumer", GOVERNANCE_ROLE),
    REGULATOR: ("supervisor", "competent-authority", GOVERNANCE_ROLE),
}


@dataclass
class Parties:
    """Everyone who takes part, and the ledger as each party has it.

    It may be one for all, or a copy each; ``settle`` waits until the copies have what was ordered.
    """

    ledgers: dict[str, Ledger]
    provider: Provider
    consumer: Consumer
    authority: Authority
    vaults: dict[str, Vault]
    entropy: Entropy
    settle: Callable[[], None] = lambda: None

    @property
    def ledger(self) -> Ledger:
        """The ledger where it is ordered."""
        return self.ledgers[TAX]

    def submit(self, party: str, drafts: Sequence[Draft]) -> list[Outcome]:
        """Have a party's drafts ordered, and wait until every party can see them."""
        outcomes = submit(self.ledgers[party], drafts)
        self.settle()
        return outcomes

    def subject(self, name: str) -> Subject:
        """One enterprise; the enterprises' vault is kept by their agent."""
        return Subject(name, self.vaults[ENTERPRISES], self.entropy, self.ledgers[ENTERPRISES])

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
        for ledger in self.ledgers.values():
            ledger.close()


def set_up(
    directory: Path,
    table: Table,
    clock: Clock,
    entropy: Entropy,
    suite: str = "std",
    *,
    processors: Sequence[str] = (),
) -> Parties:
    """Make keys, vaults and a ledger whose genesis admits the members.

    Of processors there are none but those that are asked for.
    """
    keys: dict[str, SigningKey] = {}
    members = []
    roles: dict[str, tuple[str, ...]] = dict.fromkeys(processors, ("processor",))
    for member, held in (ROLES | roles).items():
        seed, sealing = entropy.bytes(32), entropy.bytes(32)
        store_key(directory / f"{member}.key", seed)
        keys[member] = SigningKey(seed)
        public = public_delivery_key(sealing)
        members.append(Member(member, member, held, keys[member].public_key, public))
    names = (TAX, BANK, ENTERPRISES, REGULATOR, *processors)
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
    authority = Authority(REGULATOR, keys[REGULATOR], vaults[REGULATOR], ledger, entropy)
    ledgers = dict.fromkeys(names, ledger)
    return Parties(ledgers, provider, consumer, authority, vaults, entropy)
