"""Rows 12, 17 and 19: whole networks in virtual time, under faults that one seed decides."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ledgercore.errors import LedgerError
from ledgercore.testing.cluster import Cluster
from ledgercore.testing.simulation import Dice
from tests.faults.row import reliability_row

DEEP = bool(os.environ.get("LEDGERCORE_DEEP"))
RUNS = 10_000 if DEEP else 200
CLOCKS = 20
LOST = 50 if DEEP else 5
FAULTS_MS = 8_000


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """In memory where that is to be had: what is synced is the simulated disk's to know."""
    memory = Path("/dev/shm")
    where = memory if os.access(memory, os.W_OK) else tmp_path
    directory = where / f"ledgercore-{os.getpid()}"
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def cluster(seed: int, directory: Path, members: int, **options: object) -> Iterator[Cluster]:
    """A network, and how to run it again where it fails."""
    made = Cluster(seed, directory, members, **options)  # type: ignore[arg-type]
    try:
        yield made
    except (AssertionError, LedgerError) as error:
        test = os.environ["PYTEST_CURRENT_TEST"].partition(" ")[0]
        error.add_note(f"replay: LEDGERCORE_SEED={seed} pytest {shlex.quote(test)}")
        raise
    finally:
        made.close()
        shutil.rmtree(directory)


def work(run: Cluster, until_ms: int) -> None:
    """Append a few payloads now and then."""
    dice = run.simulation.dice

    def append() -> None:
        run.operator.append(1 + dice.below(4))
        if run.simulation.now_ms < until_ms:
            run.simulation.after(200 + dice.below(1_200), append)

    append()


def part(run: Cluster) -> None:
    names = ["operator", *run.names]
    run.network.part([name for name in names if run.simulation.dice.chance(50)])
    run.simulation.after(1_000 + run.simulation.dice.below(4_000), run.network.heal)


def lose(run: Cluster) -> None:
    run.network.loss_percent = 10 + run.simulation.dice.below(40)


def delay(run: Cluster) -> None:
    run.network.delay_ms = 1 + run.simulation.dice.below(2_000)


def crash(run: Cluster) -> None:
    node = run.simulation.dice.among(run.members)
    node.crash()
    run.simulation.after(run.simulation.dice.below(3_000), node.start)


def crash_operator(run: Cluster) -> None:
    run.operator.crash()
    run.simulation.after(run.simulation.dice.below(3_000), run.operator.start)


def fill(run: Cluster) -> None:
    disk = run.simulation.dice.among([run.operator, *run.members]).disk
    disk.fill()
    run.simulation.after(run.simulation.dice.below(2_000), disk.mend)


def fail(run: Cluster) -> None:
    """A member's disk fails, and it starts anew; when that works it is mended."""
    disk = run.simulation.dice.among(run.members).disk
    disk.fail()
    run.simulation.after(run.simulation.dice.below(2_000), disk.mend)


def skew(run: Cluster) -> None:
    clock = run.simulation.dice.among([run.operator, *run.members]).clock
    clock.offset_ms = run.simulation.dice.below(172_800_000) - 86_400_000


FAULTS: tuple[Callable[[Cluster], None], ...] = (
    part,
    part,
    lose,
    delay,
    crash,
    crash,
    crash_operator,
    fill,
    fail,
    skew,
)


def suffer(run: Cluster, until_ms: int) -> None:
    """One fault after another."""

    def next_fault() -> None:
        if run.simulation.now_ms < until_ms:
            run.simulation.dice.among(FAULTS)(run)
            run.simulation.after(300 + run.simulation.dice.below(1_500), next_fault)

    run.simulation.after(500, next_fault)


def one_run(seed: int, directory: Path) -> dict[str, int]:
    dice = Dice(seed)
    members = 3 + dice.below(4)
    quorum = members // 2 + 1 if dice.chance(50) else 0
    with cluster(seed, directory, members, quorum=quorum) as run:
        work(run, FAULTS_MS)
        suffer(run, FAULTS_MS)
        run.simulation.run(FAULTS_MS)
        took_ms = run.check_convergence()
        blocks = run.operator.ledger.height if run.operator.ledger else 0
        return {"blocks": blocks, "cosignatures": run.cosignatures, "longest ms": took_ms}


def test_networks_agree_lose_nothing_and_converge(seed: int, directory: Path) -> None:
    with reliability_row(12, "simulated networks", seed=seed, want=RUNS) as row:
        longest = 0
        for number in range(RUNS):
            counted = one_run(seed + number, directory)
            longest = max(longest, counted.pop("longest ms"))
            row.count()
            for name, count in counted.items():
                row.details[name] = row.details.get(name, 0) + count
        row.details["longest ms until equal"] = longest
        assert row.details["cosignatures"] > RUNS and row.details["blocks"] > 3 * RUNS


def test_one_seed_gives_one_run(seed: int, directory: Path) -> None:
    assert one_run(seed, directory) == one_run(seed, directory)


# Controls: each must fail.


def test_a_disk_that_lies_about_syncs_is_found_out(seed: int, directory: Path) -> None:
    """By the head file when the ledger is opened, or by what was acknowledged and is lost."""
    found = 0
    for number in range(10):
        try:
            with cluster(seed + number, directory, 3, lying_disks=["operator"]) as run:
                run.simulation.run(1_000)
                for _ in range(5):
                    run.operator.append(3)
                    run.operator.crash()
                    run.operator.start()
                run.check_convergence()
        except (AssertionError, LedgerError):
            found += 1
    assert found == 10


def test_a_network_that_never_heals_does_not_converge(seed: int, directory: Path) -> None:
    with cluster(seed, directory, 3) as run:
        run.simulation.run(2_000)
        run.network.part(["operator"])
        run.network.heal = lambda: None  # type: ignore[method-assign]
        run.operator.append(3)
        with pytest.raises(AssertionError, match="not equal 30000 virtual ms after healing"):
            run.check_convergence()


def test_a_second_history_is_noticed(seed: int, directory: Path) -> None:
    with cluster(seed, directory, 3) as run:
        run.simulation.run(2_000)
        run.operator.append(1)
        assert run.operator.ledger is not None
        note = run.operator.ledger.checkpoint
        other = note.replace(note.splitlines()[2], note.splitlines()[4].split()[1])
        with pytest.raises(AssertionError, match="was signed twice"):
            run.saw(other)


# Row 17: clocks.


HOUR, DAY = 3_600_000, 86_400_000
WHO = ("operator", "a member", "all members", "everybody")


def wrong_clocks() -> Iterator[tuple[str, str, Callable[[Cluster, object], None]]]:
    def offset(value: int) -> Callable[[Cluster, object], None]:
        return lambda run, clock: setattr(clock, "offset_ms", value)

    def stop(run: Cluster, clock: object) -> None:
        clock.stopped_at_ms = clock.now_ms()  # type: ignore[attr-defined]

    kinds = {
        "an hour ahead": offset(HOUR),
        "a day ahead": offset(DAY),
        "an hour behind": offset(-HOUR),
        "a day behind": offset(-DAY),
        "stopped": stop,
    }
    for who in WHO:
        for name, change in kinds.items():
            yield who, name, change


def test_wrong_clocks_change_neither_order_nor_durability(seed: int, directory: Path) -> None:
    with reliability_row(17, "wrong clocks", seed=seed, want=CLOCKS) as row:
        for number, (who, name, change) in enumerate(wrong_clocks()):
            with cluster(seed + number, directory, 3, quorum=2) as run:
                work(run, 4_000)
                run.simulation.run(2_000)
                nodes = {
                    "operator": [run.operator],
                    "a member": run.members[:1],
                    "all members": run.members,
                    "everybody": [run.operator, *run.members],
                }
                for node in nodes[who]:
                    change(run, node.clock)  # type: ignore[attr-defined]
                run.simulation.run(2_500)
                run.check_convergence()
                ledger = run.operator.ledger
                assert ledger is not None and run.operator.published > 0, (who, name)
                times = [ledger.block(height).time_ms for height in range(ledger.height + 1)]
                assert times == sorted(times)
                row.count(name)


# Row 19: lost nodes.


def lying(answer: Callable[[object], object], dice: Dice) -> Callable[[object], object]:
    """Answers with one byte changed."""
    from ledgercore.sync import Request, Response

    def lie(request: object) -> object:
        assert isinstance(request, Request)
        response = answer(request)
        if not isinstance(response, Response) or not response.body:
            return response
        at = dice.below(len(response.body))
        changed = bytes([response.body[at] ^ 1])
        return Response(response.status, response.body[:at] + changed + response.body[at + 1 :])

    return lie


def test_a_lost_member_rejoins_among_a_lying_peer(seed: int, directory: Path) -> None:
    with reliability_row(19, "lost member, lying peer", seed=seed, want=LOST) as row:
        for number in range(LOST):
            with cluster(seed + number, directory, 4, liars={"liar": lying}) as run:
                work(run, 6_000)
                run.simulation.run(3_000)
                lost = run.simulation.dice.among(run.members)
                lost.lose_copy()
                lost.start()
                run.simulation.run(3_500)
                took_ms = run.check_convergence()
                row.details["longest ms"] = max(row.details.get("longest ms", 0), took_ms)
                assert lost.follower is not None
                row.count("evidence kept", len(lost.follower.evidence) > 0)
                row.cases += len(lost.follower.evidence) == 0
