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
    assert list(found["memory_mib"]) == [13, 26, 40]
    assert found["consent_to_decision_ms"]["p50"] > 0


def test_goals_that_are_missed_are_said() -> None:
    good = {"exchanges_per_s": 200, "memory_mib": grown(20_000, 30_000, 13.5)}

    assert exchanges.misses(good) == []
    (slow,) = exchanges.misses(good | {"exchanges_per_s": 199})
    (growing,) = exchanges.misses(good | {"memory_mib": grown(20_000, 30_000, 14.5)})
    assert "199 exchanges/s" in slow
    assert "memory grew by 14.5 MiB from exchange 20000 to 30000, want at most 14.1 MiB" in growing


def test_maps_that_are_not_full_yet_may_fill_and_then_no_more() -> None:
    # A control: 140 bytes of each object in each map, as if nothing were forgotten.
    filling_mib = 5_000 * exchanges.FOLLOWERS * exchanges.OBJECTS * 140 / 2**20

    assert misses_of(grown(5_000, 10_000, filling_mib)) == []
    (growing,) = misses_of(grown(15_000, 20_000, filling_mib))
    assert "memory grew" in growing


def test_states_that_stay_in_memory_are_found() -> None:
    # A control: states of 250 bytes beside their hashes.
    states_mib = 5_000 * exchanges.FOLLOWERS * exchanges.OBJECTS * (140 + 250) / 2**20

    (growing,) = misses_of(grown(5_000, 10_000, states_mib))
    assert "memory grew" in growing


def misses_of(memory: dict[int, dict[str, float]]) -> list[str]:
    return exchanges.misses({"exchanges_per_s": 200, "memory_mib": memory})


def grown(begin: int, end: int, growth_mib: float) -> dict[int, dict[str, float]]:
    return {0: {"all": 0}, begin: {"all": 300}, end: {"all": 300 + growth_mib}}
