"""Row 11: whatever a peer does, honest ones agree, finish, and keep the evidence."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledgercore import Ledger
from ledgercore.entropy import SeededEntropy
from ledgercore.proofs import SplitView
from ledgercore.sync import SHUT_OUT, Source
from ledgercore.sync.messages import ask_blocks, ask_checkpoint
from ledgercore.sync.offences import LAST_DELAY_MS
from ledgercore.testing.cluster import OPERATOR_KEY, ORIGIN, RETRY_MS, Cluster
from ledgercore.testing.hostile import HOSTILE
from ledgercore.testing.simulation import Answer, Dice
from tests.faults.row import reliability_row
from tests.faults.test_simulation import DEEP, cluster, work

SEEDS = 100 if DEEP else 3
FORKS = (1, 2, 4)
WANT = SEEDS * (len(HOSTILE) + len(FORKS))


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    memory = Path("/dev/shm")
    where = memory if os.access(memory, os.W_OK) else tmp_path
    directory = where / f"ledgercore-hostile-{os.getpid()}"
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def offences(run: Cluster) -> set[str]:
    """What the liar was scored for; nobody else does anything that counts."""
    found = set()
    for member in run.members:
        assert member.follower is not None
        for each in member.follower.evidence:
            if each.peer == "liar":
                found.add(each.offence)
            else:
                assert member.follower.standing(each.peer).score == 0, each
    return found


def one_liar(name: str, seed: int, directory: Path) -> set[str]:
    """A member that has only the liar to ask at first, and honest peers from then on."""
    behaviour = HOSTILE[name]
    with cluster(seed, directory, 2, liars={"liar": behaviour.make}) as run:
        work(run, 3_000)
        # The liar knows what the operator has, however it does.
        run.network.part(["member-0", "liar"])
        run.simulation.run(3_000)
        run.network.heal()
        run.simulation.run(3_500)
        run.check_convergence()
        found = offences(run)
        assert found <= behaviour.offences | {"unreachable", "refused", "behind"}, (name, found)
        for member in run.members:
            assert member.follower is not None and not member.follower.split_views
            assert len(member.follower.evidence) <= 32 * 4
            assert sum(len(each.answer) for each in member.follower.evidence) < 8 << 20
            score = member.follower.standing("liar").score
            assert score < 2 * SHUT_OUT
        return found & behaviour.offences


def test_whatever_a_peer_does_honest_ones_agree_and_finish(seed: int, directory: Path) -> None:
    assert len(HOSTILE) >= 40
    with reliability_row(11, "hostile peers", seed=seed, want=WANT) as row:
        for name, behaviour in HOSTILE.items():
            found: set[str] = set()
            for number in range(SEEDS):
                found |= one_liar(name, seed + number, directory)
                row.count("behaviours")
            assert bool(found) == bool(behaviour.offences), f"seed {seed}: {name}: {found}"
        for depth in FORKS:
            for number in range(SEEDS):
                views = one_fork(depth, seed + number, directory)
                row.count("two histories")
                row.details["split views"] = row.details.get("split views", 0) + views


def test_what_fails_says_how_it_is_run_again(directory: Path) -> None:
    with pytest.raises(AssertionError) as raised, cluster(7, directory, 1):
        raise AssertionError

    (note,) = raised.value.__notes__
    assert note.startswith("replay: LEDGERCORE_SEED=7 pytest tests/faults/test_hostile_peers.py::")
    assert note.endswith("::test_what_fails_says_how_it_is_run_again")


def test_a_member_begins_after_one_turn_of_each_silent_peer(seed: int, directory: Path) -> None:
    silent = {f"silent-{number}": HOSTILE["never answers"].make for number in range(3)}
    turn_ms = ask_blocks(0, 1).timeout_ms + RETRY_MS
    for number in range(20):
        with cluster(seed + number, directory, 1, liars=silent) as run:
            run.operator.append(3)
            run.check_convergence(len(silent) * turn_ms + 1_000)


def test_a_peer_that_stalls_on_blocks_costs_its_first_turn_and_no_other(directory: Path) -> None:
    stalling = {"liar": HOSTILE["stalls on blocks"].make}
    with cluster(7, directory, 1, liars=stalling) as run:
        (member,) = run.members
        late = 0
        for second in range(120):
            run.operator.append(1)
            run.simulation.run(1_000)
            assert member.copy is not None and run.operator.ledger is not None
            if run.operator.ledger.height - member.copy.height > 3:
                late = second
        run.check_convergence()
        assert offences(run) == {"unreachable"}  # it was asked, and again
        assert member.follower is not None
        asked = [each for each in member.follower.evidence if "blocks" in each.path]
        assert len(asked) > 2
        assert late <= 1 + (LAST_DELAY_MS + ask_blocks(0, 1).timeout_ms) // 1_000


def test_a_member_that_was_cut_off_with_a_silent_peer_begins(directory: Path) -> None:
    assert one_liar("never answers", 684453524, directory) == {"unreachable"}


def test_a_history_that_is_ahead_is_found_once_the_copy_is_there(directory: Path) -> None:
    assert one_fork(1, 684453525, directory)


class Twin:
    """The operator's other ledger: equal up to a height, and then not."""

    def __init__(self, run: Cluster, directory: Path, depth: int) -> None:
        genesis = run.operator.ledger
        assert genesis is not None
        self.ledger = Ledger.create(
            directory / "twin.ledger",
            origin=ORIGIN,
            key=OPERATOR_KEY,
            witnesses=run.witness_entries,
            quorum=run.quorum,
            clock=run.operator.clock,
            entropy=SeededEntropy(run.seed),
        )
        assert self.ledger.network == genesis.network
        self._append = run.operator.append
        self._depth = depth
        run.operator.append = self.append  # type: ignore[method-assign]
        self._number = 0

    def append(self, count: int) -> None:
        payloads = [b"payload %d" % (self._number + at) for at in range(count)]
        self._number += count
        if self.ledger.height >= self._depth:
            payloads = [b"other " + payload for payload in payloads]
        self.ledger.append_many(payloads)
        self._append(count)


def found(run: Cluster) -> list[SplitView]:
    """The contradictions that members keep."""
    return [view for each in run.members for view in each.follower.split_views]  # type: ignore[union-attr]


def one_fork(depth: int, seed: int, directory: Path) -> int:
    """Split views that members found where the operator shows one peer another history.

    Both members are witnesses, and a checkpoint needs both: no member takes the other history.
    """
    twins: list[Twin] = []

    def fork(answer: Answer, dice: Dice) -> Answer:
        return lambda request: Source(twins[0].ledger).answer(request) if twins else None

    with cluster(seed, directory, 2, quorum=2, liars={"liar": fork}) as run:
        twins.append(Twin(run, directory, depth))
        work(run, 4_000)
        run.simulation.run(5_000)
        run.check_convergence()
        # What is ahead of a copy contradicts nothing yet: the liar is asked again after its delay.
        run.simulation.run(LAST_DELAY_MS + ask_checkpoint().timeout_ms, lambda: bool(found(run)))
        anchor, views = run.operator.anchor, found(run)
        for view in views:
            view.verify(anchor)
        assert views, f"seed {seed}: no member found the other history"
        twins[0].ledger.close()
        return len(views)
