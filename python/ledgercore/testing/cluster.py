"""Run an operator and its members in one process: real ledgers, copies, witnesses and publishers.

Everything is the real thing but for what it stands on: time, network, disk and randomness are the
simulation's. ``Cluster`` holds what must always be true, and raises ``AssertionError`` when it is
not: members agree on every height, nothing acknowledged is lost, no height is signed twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from ledgercore._core import Checkpoint, SigningKey
from ledgercore.disk import exists, make_directory, remove
from ledgercore.entropy import Entropy, SeededEntropy
from ledgercore.errors import DiskFullError, LedgerError, UnavailableError
from ledgercore.ledger import Ledger, Replica
from ledgercore.records import Witness as WitnessEntry
from ledgercore.store import WitnessStore
from ledgercore.sync import (
    Ask,
    Follower,
    Publisher,
    Request,
    Response,
    Source,
    Wait,
    Witness,
)
from ledgercore.sync.messages import ask_blocks, decode_frames
from ledgercore.testing.power import Disk
from ledgercore.testing.simulation import Answer, Dice, Network, NodeClock, Simulation

__all__ = ["Cluster", "MemberNode", "OperatorNode"]

OPERATOR = "operator"
ORIGIN = "simulated.example"
OPERATOR_KEY = SigningKey(bytes([200]) * 32)
RETRY_MS = 500
TAKE_MS = 20
"""In which a block that has come is taken, unless its copy is busy."""
PUBLISH_MS = 3_500
"""After which a checkpoint that is not published is taken to the witnesses again."""


def _nothing_yet(request: Request) -> Response:
    return Response(503, b"copy is not there yet\n")


class OperatorNode:
    """The one that orders: it appends, acknowledges, answers, and has witnesses cosign."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        self._cluster = cluster
        self._path = directory / "operator.ledger"
        self.clock = NodeClock(cluster.simulation)
        self.disk = cluster.disk("operator")
        self.ledger: Ledger | None = Ledger.create(
            self._path,
            origin=ORIGIN,
            key=OPERATOR_KEY,
            witnesses=cluster.witness_entries,
            quorum=cluster.quorum,
            clock=self.clock,
            entropy=SeededEntropy(cluster.seed),
            vfs=self.disk.name,
        )
        self.anchor = self.ledger.trust_anchor
        self.acknowledged: dict[int, bytes] = {}
        self.published = 0
        self._number = 0
        self._opened()

    def _opened(self) -> None:
        assert self.ledger is not None
        self._cluster.network.answers[OPERATOR] = Source(self.ledger).answer
        self._publisher = Publisher(self.ledger)

    def append(self, count: int) -> None:
        """Append payloads; what is acknowledged must be there for ever."""
        if self.ledger is None:
            return
        payloads = [b"payload %d" % (self._number + at) for at in range(count)]
        self._number += count
        begin = self.ledger.size
        try:
            receipts = self.ledger.append_many(payloads)
        except DiskFullError:
            return
        except LedgerError:
            self.crash()
            return
        for receipt, payload in zip(receipts, payloads, strict=True):
            self.acknowledged[receipt.index] = payload
        assert receipts[0].index == begin
        self._cluster.saw(self.ledger.checkpoint)
        self._publish()

    def _publish(self) -> None:
        publisher, ledger = self._publisher, self.ledger
        publisher.begin()

        def ask() -> None:
            if ledger is not self.ledger or publisher.published is not None:
                return
            with suppress(DiskFullError):
                for each in publisher.asks():
                    send(each)

        def send(each: Ask) -> None:
            def take(response: Response | None) -> None:
                if ledger is not self.ledger:
                    return
                try:
                    if response is None:
                        publisher.fail(each, "no answer")
                    else:
                        publisher.receive(each, response)
                except DiskFullError:
                    return
                except LedgerError:
                    self.crash()
                    return
                if publisher.published is not None:
                    self.published += 1
                else:
                    ask()

            self._cluster.network.send(OPERATOR, each.peer, each.request, take)

        def again() -> None:
            if ledger is self.ledger and publisher is self._publisher and not publisher.published:
                self._publish()

        if self._cluster.quorum:
            ask()
            self._cluster.simulation.after(PUBLISH_MS, again)

    def crash(self) -> None:
        """Cut the power; ``start`` opens what is left."""
        self._cluster.network.answers.pop(OPERATOR, None)
        ledger, self.ledger = self.ledger, None
        self.disk.cut()
        if ledger is not None:
            with suppress(LedgerError):
                ledger.close()
        self.disk.restore()

    def start(self) -> None:
        """Open the ledger again, and find everything that was acknowledged."""
        if self.ledger is not None:
            return
        self.ledger = Ledger.open(
            self._path,
            key=OPERATOR_KEY,
            clock=self.clock,
            entropy=SeededEntropy(self._number),
            vfs=self.disk.name,
        )
        self._opened()
        self._cluster.check_acknowledged(self.ledger)
        self._cluster.saw(self.ledger.checkpoint)
        self._publish()


class MemberNode:
    """A copy that follows, answers others, and cosigns."""

    def __init__(self, cluster: Cluster, name: str, directory: Path) -> None:
        self.name = name
        self.clock = NodeClock(cluster.simulation)
        self.disk = cluster.disk(name)
        self.copy: Replica | None = None
        self.follower: Follower | None = None
        self.restarts = 0
        self._taking = False
        self._cluster = cluster
        self._path = directory / f"{name}.ledger"
        self._witness_path = directory / f"{name}.witness"
        self._store: WitnessStore | None = None
        self._source: Answer = _nothing_yet

    def start(self) -> None:
        """Open what is there, or begin anew."""
        if self._store is not None:
            return
        anchor, run = self._cluster.operator.anchor, self.restarts
        make = WitnessStore if exists(self._witness_path) else WitnessStore.create
        try:
            self._store = make(self._witness_path, vfs=self.disk.name)
            if exists(self._path):
                self._follow(
                    Replica.open(self._path, anchor, entropy=self._entropy(), vfs=self.disk.name)
                )
        except UnavailableError:
            self._retry()
            return
        key = self._cluster.witness_key(self.name)
        witness = Witness(self.name, key, [anchor], self._store, self.clock)

        def answer(request: Request) -> Response | None:
            if request.method == "GET":
                return self._source(request)
            response = witness.answer(request)
            if response.status == 200:
                self._cluster.cosigned(self.name, witness.cosigned(ORIGIN))
            elif response.body.startswith(b"witness has stopped"):
                self._retry()
                return None
            return response

        self._cluster.network.answers[self.name] = answer
        if self.copy is None:
            self._begin(run, self._cluster.simulation.dice.below(len(self._peers)))

    @property
    def _peers(self) -> list[str]:
        return self._cluster.peers(self.name)

    def _begin(self, run: int, turn: int) -> None:
        """Fetch the genesis from one peer after the other: a silent one has one turn a round."""
        peer = self._peers[turn % len(self._peers)]

        def take(response: Response | None) -> None:
            if run != self.restarts:
                return
            anchor = self._cluster.operator.anchor
            try:
                if response is None or response.status != 200:
                    raise UnavailableError("no answer")
                (first,) = decode_frames(response.body, 1)
                vfs, entropy = self.disk.name, self._entropy()
                self._follow(Replica.create(self._path, anchor, first, entropy=entropy, vfs=vfs))
            except (LedgerError, ValueError):
                self._cluster.simulation.after(RETRY_MS, lambda: self._begin_again(run, turn))

        self._cluster.network.send(self.name, peer, ask_blocks(0, 1), take)

    def _begin_again(self, run: int, turn: int) -> None:
        if run != self.restarts:
            return
        if exists(self._path):
            self.crash()
            self.start()
        else:
            self._begin(run, turn + 1)

    def _entropy(self) -> Entropy:
        """The same in every run of a seed, and another after each restart."""
        return SeededEntropy(self._cluster.seed * 1000 + self.restarts)

    def _follow(self, copy: Replica) -> None:
        self.copy, run, self._taking = copy, self.restarts, False
        self.follower = Follower(copy, self._peers, self.clock, self._entropy())
        self._source = Source(copy).answer
        self._cluster.check_copy(self.name, copy)
        self._tick(run)

    def _tick(self, run: int) -> None:
        if run != self.restarts or self.follower is None:
            return
        wait_ms = self._go_on(run, self.follower)
        self._cluster.simulation.after(wait_ms, lambda: self._tick(run))

    def _go_on(self, run: int, follower: Follower) -> int:
        """Ask while there is something to ask, and take what has come a little later; for how long
        nothing else is to be done."""
        while isinstance(what := follower.next(), Ask):
            self._ask(run, what)
        if isinstance(what, Wait):
            return what.duration_ms
        if not self._taking:
            self._taking = True
            delay_ms = self._cluster.simulation.dice.below(TAKE_MS)
            self._cluster.simulation.after(delay_ms, lambda: self._take(run))
        return RETRY_MS

    def _ask(self, run: int, ask: Ask) -> None:
        def take(response: Response | None) -> None:
            if run != self.restarts or self.follower is None:
                return
            if response is None:
                self._follow_up(run, partial(self.follower.fail, ask, "no answer"))
            else:
                self._follow_up(run, partial(self.follower.receive, ask, response))

        self._cluster.network.send(self.name, ask.peer, ask.request, take)

    def _take(self, run: int) -> None:
        if run != self.restarts or self.follower is None:
            return
        self._taking = False
        self._follow_up(run, self.follower.take)

    def _follow_up(self, run: int, decide: Callable[[], None]) -> None:
        """Let the follower decide, and go on at once."""
        assert self.follower is not None and self.copy is not None
        try:
            decide()
        except DiskFullError:
            return  # the disk is looked at again at the next tick
        except UnavailableError:
            self._retry()
            return
        self._cluster.check_copy(self.name, self.copy)
        self._go_on(run, self.follower)

    def _retry(self) -> None:
        """After a failure of its disk a node starts anew."""
        self.crash()
        self._cluster.simulation.after(RETRY_MS, self.start)

    def crash(self) -> None:
        """Cut the power."""
        self.restarts += 1
        self._cluster.network.answers.pop(self.name, None)
        copy, store = self.copy, self._store
        self.copy = self.follower = self._store = None
        self._source = _nothing_yet
        self.disk.cut()
        for each in (copy, store):
            if each is not None:
                with suppress(LedgerError):
                    each.close()
        self.disk.restore()

    def lose_copy(self) -> None:
        """Lose the copy with all that is beside it; what the witness cosigned is kept."""
        self.crash()
        for suffix in ("", "-wal", "-shm", ".head", ".new", ".new-wal"):
            remove(f"{self._path}{suffix}")


class Cluster:
    """Nodes by name, what they have been seen to say, and what must be true of it."""

    def __init__(
        self,
        seed: int,
        directory: Path,
        members: int,
        *,
        quorum: int = 0,
        liars: dict[str, Callable[[Answer, Dice], Answer]] | None = None,
        lying_disks: Sequence[str] = (),
    ) -> None:
        """Liars answer in the operator's name what they make of it."""
        make_directory(directory)
        self.seed, self.quorum = seed, quorum
        self.simulation = Simulation(seed)
        self.network = Network(self.simulation)
        self.names = [f"member-{number}" for number in range(members)]
        self._lying_disks = lying_disks
        self._disks: list[Disk] = []
        self._seen: dict[int, Checkpoint] = {}
        self.cosignatures = 0
        self._cosigned: dict[str, int] = {}
        self._liars = liars or {}
        self.operator = OperatorNode(self, directory)
        self.members = [MemberNode(self, name, directory) for name in self.names]
        for name, made in self._liars.items():
            self.network.answers[name] = made(self._ask_operator, self.simulation.dice)
        for member in self.members:
            member.start()

    def _ask_operator(self, request: Request) -> Response | None:
        answer = self.network.answers.get(OPERATOR)
        return None if answer is None else answer(request)

    @property
    def witness_entries(self) -> list[WitnessEntry]:
        """The members as witnesses, where there is a quorum."""
        if not self.quorum:
            return []
        return [WitnessEntry(name, self.witness_key(name).public_key) for name in self.names]

    def witness_key(self, name: str) -> SigningKey:
        return SigningKey(bytes([1 + self.names.index(name)]) * 32)

    def peers(self, name: str) -> list[str]:
        """Whom a member asks: everybody else."""
        return [each for each in (OPERATOR, *self.names, *self._liars) if each != name]

    def disk(self, name: str) -> Disk:
        """A disk of its own."""
        made = Disk(
            f"{id(self)}-{name}", Dice(self.seed + len(self._disks)), lies=name in self._lying_disks
        )
        self._disks.append(made)
        return made

    # What must be true.

    def saw(self, note: str) -> None:
        """A checkpoint that the operator signed: no height is signed twice."""
        checkpoint = Checkpoint.parse(note)
        known = self._seen.setdefault(checkpoint.height, checkpoint)
        assert known == checkpoint, f"seed {self.seed}: height {known.height} was signed twice"

    def check_copy(self, name: str, copy: Replica) -> None:
        """A member's newest block is the operator's of that height."""
        checkpoint = Checkpoint.parse(copy.checkpoint)
        known = self._seen.get(checkpoint.height)
        agrees = known is None or known == checkpoint
        assert agrees, f"seed {self.seed}: {name} has another block {checkpoint.height}"
        self._seen.setdefault(checkpoint.height, checkpoint)

    def check_acknowledged(self, ledger: Ledger) -> None:
        """Everything that was acknowledged is there."""
        for index, payload in self.operator.acknowledged.items():
            there = index < ledger.size and ledger.record(index).body == payload
            assert there, f"seed {self.seed}: acknowledged record {index} is lost"

    def cosigned(self, name: str, checkpoint: Checkpoint | None) -> None:
        """A witness never goes back, and cosigns what the operator's one history has."""
        if checkpoint is None:
            return
        before = self._cosigned.get(name, 0)
        assert checkpoint.size >= before, f"seed {self.seed}: {name} went back from {before}"
        self._cosigned[name] = checkpoint.size
        self.cosignatures += 1
        known = self._seen.setdefault(checkpoint.height, checkpoint)
        assert known == checkpoint, f"seed {self.seed}: {name} cosigned another history"

    @property
    def converged(self) -> bool:
        """Whether every member has what the operator has."""
        if self.operator.ledger is None:
            return False
        want = Checkpoint.parse(self.operator.ledger.checkpoint)
        return all(
            each.copy is not None and Checkpoint.parse(each.copy.checkpoint) == want
            for each in self.members
        )

    def check_convergence(self, limit_ms: int = 30_000) -> int:
        """Heal everything, and wait until all are equal; how many virtual ms that took."""
        self.network.heal()
        nodes: list[OperatorNode | MemberNode] = [self.operator, *self.members]
        for node in nodes:
            node.disk.mend()
            node.start()
        begin = self.simulation.now_ms
        self.simulation.run(limit_ms, lambda: self.converged)
        took_ms = self.simulation.now_ms - begin
        assert self.converged, f"seed {self.seed}: not equal {limit_ms} virtual ms after healing"
        assert self.operator.ledger is not None
        self.check_acknowledged(self.operator.ledger)
        return took_ms

    def close(self) -> None:
        """Give all files back."""
        for member in self.members:
            member.crash()
        self.operator.crash()
        for disk in self._disks:
            disk.unregister()
