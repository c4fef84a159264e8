"""Show that the guard holds now, and that a slowed operation trips it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHES = Path(__file__).resolve().parent.parent / "benches"
sys.path.insert(0, str(BENCHES))

import guard  # noqa: E402

ONE = guard.Guard("an operation", 2, lambda directory: ((list, 1), (list, 1)))


def run_guard(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A process of its own, for it decides how many threads the core uses."""
    command = [sys.executable, str(BENCHES / "guard.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.parametrize("name", ["signatures", "records submitted"])
def test_guard_holds_and_its_control_trips(name: str) -> None:
    held = run_guard("--only", name)
    slowed = run_guard("--only", name, "--control")

    assert held.returncode == 0, held.stdout + held.stderr
    assert "no guard tripped" in held.stdout
    assert slowed.returncode == 0, slowed.stdout + slowed.stderr
    assert "1 of 1 guards tripped" in slowed.stdout


@pytest.mark.parametrize(
    ("ratios", "tripped", "measured"),
    [([2.0], [], 1), ([1.9, 2.1], [], 2), ([1.9, 1.9, 2.0], [], 3), ([1.9] * 3, [ONE], 3)],
)
def test_guard_trips_only_where_every_chance_is_below(
    monkeypatch: pytest.MonkeyPatch, ratios: list[float], tripped: list[guard.Guard], measured: int
) -> None:
    left = list(ratios)
    monkeypatch.setattr(guard, "measure_ratio", lambda one, slowed: left.pop(0))

    assert guard.check([ONE]) == tripped
    assert len(ratios) - len(left) == measured


def test_ratio_falls_as_ours_is_slowed() -> None:
    work = (lambda: sum(range(200_000)), 1)
    same = guard.Guard("a sum", 1, lambda directory: (work, work))

    assert guard.measure_ratio(same, slowed=8) < guard.measure_ratio(same) / 3


def test_guard_of_no_such_name_is_refused() -> None:
    done = run_guard("--only", "nothing so named")

    assert done.returncode == 2
    assert "want a part of one of" in done.stderr
