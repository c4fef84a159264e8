"""The load of whole exchanges in short: each comes to its end, and missed goals are said."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.conftest import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "benches"))

import exchanges


def test_every_exchange_comes_to_its_end(tmp_path: Path) -> None:
    found = exchanges.run(tmp_path, 40, 16)

    assert found["records"] == 9 + 8 * 40
    assert list(found["memory_mib"]) == [4, 20, 40]
    assert found["consent_to_decision_ms"]["p50"] > 0


def test_goals_that_are_missed_are_said() -> None:
    good = {"exchanges_per_s": 200, "memory_mib": grown(300, 340)}

    assert exchanges.misses(good) == []
    (slow,) = exchanges.misses(good | {"exchanges_per_s": 199})
    (growing,) = exchanges.misses(good | {"memory_mib": grown(300, 361)})
    assert "199 exchanges/s" in slow
    assert "memory grows by 12.5 KiB an exchange" in growing


def grown(middle: int, end: int) -> dict[int, dict[str, int]]:
    return {1_000: {"all": 0}, 5_000: {"all": middle}, 10_000: {"all": end}}
