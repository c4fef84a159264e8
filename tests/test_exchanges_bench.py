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
    good = {"exchanges_per_s": 200, "memory_mib": grown(300, 317)}

    assert exchanges.misses(good) == []
    (slow,) = exchanges.misses(good | {"exchanges_per_s": 199})
    (growing,) = exchanges.misses(good | {"memory_mib": grown(300, 317.5)})
    assert "199 exchanges/s" in slow
    assert "memory grew by 17.5 MiB from exchange 5000 to 10000, want at most the 17.4" in growing


def test_states_that_stay_in_memory_are_found() -> None:
    # A control: were the states kept beside their hashes, 250 bytes each, memory would not be flat.
    states_mib = 5_000 * exchanges.FOLLOWERS * exchanges.OBJECTS * 250 / 2**20
    hashes_mib = 5_000 * exchanges.FOLLOWERS * exchanges.OBJECTS * 93 / 2**20

    assert (
        exchanges.misses({"exchanges_per_s": 200, "memory_mib": grown(300, 300 + hashes_mib)}) == []
    )
    (growing,) = exchanges.misses(
        {"exchanges_per_s": 200, "memory_mib": grown(300, 300 + hashes_mib + states_mib)}
    )
    assert "memory grew" in growing


def grown(middle: float, end: float) -> dict[int, dict[str, float]]:
    return {1_000: {"all": 0}, 5_000: {"all": middle}, 10_000: {"all": end}}
