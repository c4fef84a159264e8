"""Row 1 in short: four nodes hold the load for some seconds, and every record is on every one."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.conftest import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "benches"))

import load

SECONDS, RATE = 6.0, 5_500.0
RECORDS = 33_000
LATE_MS = 5_000.0
"""Where others use the machine too, a flush may take seconds: the goal is held by make load."""


def test_four_nodes_hold_the_load_and_have_every_record(tmp_path: Path) -> None:
    course, found = load.run(tmp_path / "network", RATE, SECONDS)

    print(f"row 1 in short: {found}")
    assert found["records"] == RECORDS
    assert all(sizes[-1][1] == 1 + load.ALONE + RECORDS for sizes in course.reached.values())
    assert len(course.reached) == 4
    assert set(course.answered) == set(course.due)
    assert found["durable_ms"]["p99"] < LATE_MS
    assert len(course.alone_s) == load.ALONE
    assert found["highest_memory_mib"] <= load.GOAL_RSS_MIB


def test_goals_that_are_missed_are_said() -> None:
    course = load.Course(memory={"north": [10.0] * 8 + [10.0, 10.0, 90.0, 90.0]})
    found = {
        "records_per_s_on_all": 4_000,
        "durable_ms": {"p99": 251.0},
        "alone_ms": {"p50": 188.0},
        "highest_memory_mib": 300,
        "behind_records": [1_000, 9_000],
    }

    missed = load.misses(course, found)

    for word in (
        "4000 records/s",
        "251.0 ms",
        "188.0 ms",
        "300 MiB",
        "queue grows",
        "memory of north grows",
    ):
        assert any(word in each for each in missed), word
    assert load.misses(load.Course(), found | GOOD) == []


GOOD = {
    "records_per_s_on_all": 5_000,
    "durable_ms": {"p99": 250.0},
    "alone_ms": {"p50": 50.0},
    "highest_memory_mib": 256,
    "behind_records": [1_000, 1_000],
}
