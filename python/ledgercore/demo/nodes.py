"""Play the demonstration on four node processes, each party on its own.

The tax authority's node orders; the bank's, the enterprises' agent's and the regulator's follow,
the regulator's by way of the other two. On the way the bank's node is killed and comes back, and
the agent's node gives others blocks that it changed, which they find out and keep as evidence.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import Any

import msgspec

from ledgercore._core import SigningKey
from ledgercore.clock import Clock
from ledgercore.demo.desks import BANK, ENTERPRISES, REGULATOR, TAX, Agent, Bank, Regulator, Tax
from ledgercore.demo.network import Place, lay_out
from ledgercore.demo.parties import ROLES
from ledgercore.demo.processes import NodeProcess, free_ports
from ledgercore.demo.stage import Stage, WaitingCalendar
from ledgercore.disk import exists, read_bytes
from ledgercore.entropy import Entropy
from ledgercore.errors import UnavailableError
from ledgercore.exchange.signer import LIFETIME_MS
from ledgercore.keyfile import load_key
from ledgercore.node.beside import NodeLedger
from ledgercore.profiles import Scorecard, Table
from ledgercore.records import DATA
from ledgercore.vault import Vault

__all__ = ["NodesStage"]

BRIEF_MS = 8_000
"""How long the consents live that are to expire: longer than the steps before take."""

SETTLE_S = 60.0
MEMBERS = {party: ROLES.get(party, ()) for party in (TAX, BANK, ENTERPRISES, REGULATOR)}
"""The enterprises' agent has a node, and no role."""

LIAR = ENTERPRISES
KILLED = BANK
AFTER_INTEND, AFTER_REVOKE = 2, 3
"""Steps of a group after which the node is killed, and comes back."""


class NodesStage(Stage):
    """Four nodes, and the parties beside them."""

    def __init__(
        self,
        directory: Path,
        table: Table,
        scorecard: Scorecard,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._clock = clock
        self._pause = Event()
        self._closing = ExitStack()
        self._keys: dict[str, SigningKey] = {}
        self._ledgers: dict[str, NodeLedger] = {}
        ports = free_ports(len(MEMBERS))
        places = lay_out(
            directory / "nodes",
            MEMBERS,
            ports,
            origin="tax.example/exchange",
            sparing={REGULATOR},
            entropy=entropy,
        )
        self._nodes = {place.member: NodeProcess(place) for place in places}
        try:
            self._start()
            self._sit_down(places, table, scorecard)
        except BaseException:
            self.close()
            raise
        self._killed_at = self._rejoined_at = 0
        self.calendar = WaitingCalendar(clock, BRIEF_MS)

    def _start(self) -> None:
        for member, process in self._nodes.items():
            # Before it starts: from when that returns, an interrupt leaves none running.
            self._closing.callback(self._stop, process)
            process.start("ledgercore.demo.liar" if member == LIAR else "ledgercore")
        for process in self._nodes.values():
            process.wait()

    def _stop(self, process: NodeProcess) -> None:
        if process.runs:
            process.stop()

    def _sit_down(self, places: list[Place], table: Table, scorecard: Scorecard) -> None:
        """Open a desk beside each node."""
        keys, vaults = self._keys, {}
        for place in places:
            ledger = NodeLedger.beside(place.ledger, place.client())
            self._ledgers[place.member] = ledger
            self._closing.callback(ledger.close)
            vaults[place.member] = Vault(place.directory / f"{place.member}.vault")
            self._closing.callback(vaults[place.member].close)
            keys[place.member] = load_key(place.directory / f"{place.member}.key")
        ledgers, settle = self._ledgers, self._settle
        self.ledger = ledgers[TAX]
        source = {row.subject: row.values for row in table.rows}
        self.tax = Tax(ledgers[TAX], vaults[TAX], keys[TAX], source, settle)
        self.bank = Bank(ledgers[BANK], vaults[BANK], keys[BANK], scorecard, settle)
        self.agent = Agent(ledgers[ENTERPRISES], vaults[ENTERPRISES], settle)
        # It rules where records are ordered: its own copy is waited for at the end alone.
        self.regulator = Regulator(
            ledgers[TAX], vaults[REGULATOR], keys[REGULATOR], settle, ledgers[REGULATOR]
        )

    def _settle(self, everybody: bool = False) -> None:
        """Wait until whoever acts next sees what was ordered; the killed node is not waited for.

        Nor is the regulator's, which acts at the end: it fetches from the killed one or the liar.
        """
        ledgers = dict(self._ledgers)
        if not everybody:
            del ledgers[REGULATOR]
        newest = max(ledger.height for ledger in ledgers.values())
        begin = self._clock.elapsed_s()
        for member, ledger in ledgers.items():
            while self._nodes[member].runs and ledger.height < newest:
                if self._clock.elapsed_s() - begin > SETTLE_S:
                    raise UnavailableError(f"node of {member} does not follow: see its node.log")
                self._pause.wait(0.01)

    def step(self, number: int) -> None:
        process = self._nodes[KILLED]
        if number == AFTER_INTEND and not self._killed_at:
            self._killed_at = self._ledgers[KILLED].height
            process.kill()
        if number == AFTER_REVOKE and not process.runs:
            process.start()
            process.wait()
            self._settle()
            self._rejoined_at = self._ledgers[KILLED].height

    def end(self) -> dict[str, Any]:
        """What became of the killed node, and what the others have against the liar."""
        begin = self._clock.elapsed_s()
        while not (found := self._evidence()):
            # Whom a follower asks is drawn: with more blocks its turn comes.
            if self._clock.elapsed_s() - begin > SETTLE_S:
                raise UnavailableError(f"nobody asked the node of {LIAR}, which lies: run it again")
            self._note()
            self._settle()
            self._pause.wait(0.2)
        self._settle(everybody=True)
        return {
            "nodes": len(self._nodes),
            "operator": TAX,
            "killed": {
                "node": KILLED,
                "at_height": self._killed_at,
                "rejoined_at_height": self._rejoined_at,
            },
            "liar": {"node": LIAR, "found_out": found},
        }

    def _note(self) -> None:
        """Have the regulator add a record of no meaning, so that there is one more block."""
        ledger, key = self._ledgers[REGULATOR], self._keys[REGULATOR]
        sequence, previous = ledger.next_position(key.public_key)
        record = key.sign_record(
            ledger.suite,
            ledger.network,
            DATA,
            b"seen",
            sequence=sequence,
            previous=previous,
            expiry_ms=ledger.now_ms + LIFETIME_MS,
        )
        ledger.submit_many([record.encode()])

    def _evidence(self) -> list[dict[str, str]]:
        found = []
        for member, process in self._nodes.items():
            number = 0
            directory = Path(f"{process.place.ledger}.evidence")
            while exists(path := directory / f"{number}.json"):
                kept = msgspec.json.decode(read_bytes(path), type=dict[str, str])
                if kept.get("peer") == LIAR and kept.get("offence") == "wrong-block":
                    found.append({"by": member, "reason": kept["reason"], "evidence": str(path)})
                    break
                number += 1
        return found

    def close(self) -> None:
        """Close what the parties have open, and stop the nodes."""
        self._closing.close()
