"""Weigh this machine from the command line."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from ledgercore import evaluation
from ledgercore.clock import ManualClock, SystemClock
from ledgercore.errors import InconsistentError
from ledgercore.ledger import Ledger
from tests.cli.command import COMMAND, run, run_well

FIGURES = {
    "transactions_per_s",
    "queries_per_s",
    "sync_per_s",
    "deployment_s",
    "growth_bytes_a_record",
}


def test_five_figures_as_json_and_nothing_left(tmp_path: Path) -> None:
    found = json.loads(run_well("bench", "--directory", tmp_path, "--seconds", 1, "--json"))

    assert set(found) > FIGURES
    assert all(found[name] > 0 for name in FIGURES)
    assert found["record_bytes"] > 400
    assert found["record_bytes"] < found["growth_bytes_a_record"] < 2 * found["record_bytes"]
    assert found["records"] >= 2 * evaluation.TOGETHER
    assert list(tmp_path.iterdir()) == []


def test_lines_in_a_pipe_name_all_five(tmp_path: Path) -> None:
    lines = run_well("bench", "--directory", tmp_path, "--seconds", 1).decode().splitlines()

    names = ("transaction throughput", "query throughput", "synchronisation", "deployment time")
    assert [line.startswith(name) for line, name in zip(lines, names, strict=False)] == [True] * 4
    assert lines[4].startswith("ledger growth")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--directory", "missing/place", "--seconds", "1"), 4),
        (("--seconds", "0"), 2),
        (("--seconds", "3601"), 2),
    ],
)
def test_what_cannot_be_measured_is_an_exit_code(
    tmp_path: Path, arguments: tuple[str, ...], code: int
) -> None:
    done = run("bench", *arguments, directory=tmp_path)

    assert done.returncode == code, done.stderr
    assert done.stdout == b""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(("told", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_is_ended_leaves_nothing(tmp_path: Path, told: signal.Signals, code: int) -> None:
    command = [*COMMAND, "bench", "--directory", str(tmp_path), "--seconds", "60"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not list(tmp_path.glob("*figures.ledger-wal")):
        time.sleep(0.01)

    process.send_signal(told)

    assert process.wait(timeout=60) == code
    assert list(tmp_path.iterdir()) == []


class _TickingClock(ManualClock):
    """A clock that goes on by a tenth of a second whenever it is asked."""

    def elapsed_s(self) -> float:
        self.advance(100)
        return super().elapsed_s()


def test_figures_are_of_the_clock(tmp_path: Path) -> None:
    """Between two looks at the clock stands what is measured, and nothing else."""
    found = evaluation.evaluate(tmp_path, 1, _TickingClock(0))

    assert found.transactions_per_s == pytest.approx(evaluation.TOGETHER / 0.1)
    assert found.deployment_s == pytest.approx(0.1)


def test_refused_records_are_no_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rate of records that were refused would be a rate of nothing."""
    refused = InconsistentError("refused")
    monkeypatch.setattr(Ledger, "submit_many", lambda ledger, records: [refused])

    with pytest.raises(InconsistentError, match="nothing measured"):
        evaluation.evaluate(tmp_path, 1, SystemClock())

    assert list(tmp_path.iterdir()) == []
