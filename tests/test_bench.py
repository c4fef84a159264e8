"""Hold the benchmark harness to what others read from it: rows, tables, report and plots."""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benches"))

import golang  # noqa: E402
import growth  # noqa: E402
import report  # noqa: E402
import run  # noqa: E402
import table  # noqa: E402
from measure import (  # noqa: E402
    OURS,
    Floor,
    Goal,
    Operation,
    Row,
    Skipped,
    Way,
    compare,
    measure,
    sustained,
)

KEYS = ["id", "value", "unit", "peer", "peer_value", "ratio", "goal", "met"]


def operation(
    goal: Goal | None = None,
    floor: Floor | None = None,
    ways: Mapping[str, Way | Skipped] | None = None,
    scale: float | None = None,
) -> Operation:
    return Operation(
        id="P0",
        what="work",
        unit="items/s" if scale is None else "ns",
        floor=floor,
        goal=goal,
        prepare=lambda directory: ways or {},
        less_is_better=scale is not None,
        units_a_second=scale,
    )


def turns(*seconds: float) -> Way:
    """A way whose turns take these times, after the one that does not count."""
    left = iter((1_000.0, *seconds))
    return lambda: (100, next(left))


def test_a_sustained_turn_goes_on_for_a_tenth_of_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def work() -> None:
        nonlocal now
        now += 0.03

    monkeypatch.setattr("time.perf_counter", lambda: now)
    assert sustained(work, 50)() == (200, pytest.approx(0.12))


def test_rates_are_medians_and_ratios_are_within_rounds(tmp_path: Path) -> None:
    ways = {OURS: turns(1, 2, 4), "peer": turns(2, 8, 4)}

    (row,) = measure(operation(ways=ways), tmp_path, 3)

    assert (row.value, row.value_range) == (50, (25, 100))
    assert (row.peer_value, row.peer_range) == (25, (12.5, 50))
    assert (row.ratio, row.ratio_range) == (2, (1, 4))


def test_times_are_better_where_they_are_less(tmp_path: Path) -> None:
    ways = {OURS: turns(1, 1), "peer": turns(3, 3)}

    (row,) = measure(operation(Goal("value", 1e7), ways=ways, scale=1e9), tmp_path, 2)

    assert (row.value, row.peer_value, row.ratio) == (1e7, 3e7, 3)
    assert row.met is True


@pytest.mark.parametrize(
    ("bound", "met"),
    [
        (Goal("value", 10), True),
        (Goal("value", 10.1), False),
        (Goal("ratio", 2), True),
        (Goal("ratio", 2.1), False),
        (None, None),
    ],
)
def test_goal_and_floor_are_judged_apart(bound: Goal | None, met: bool | None) -> None:
    figures = {OURS: [10.0], "peer": [5.0]}

    (of_goal,) = compare(operation(goal=bound), figures, {})
    (of_floor,) = compare(operation(floor=bound), figures, {})

    assert (of_goal.met, of_goal.floor_met) == (met, None)
    assert (of_floor.met, of_floor.floor_met) == (None, met)


def test_every_peer_is_a_row_with_an_id_of_its_own() -> None:
    figures = {OURS: [10.0], "Peer one, small": [5.0], "other": [1.0]}

    rows = compare(operation(Goal("ratio", 1)), figures, {})

    assert [(row.id, row.goal) for row in rows] == [("P0", 1), ("P0-other", None)]


def test_skipped_peer_stays_with_its_reason(tmp_path: Path) -> None:
    ways = {OURS: turns(1), "peer": Skipped("it is not installed")}

    (row,) = measure(operation(Goal("ratio", 1), ways=ways), tmp_path, 1)

    assert (row.peer_value, row.ratio, row.met) == (None, None, None)
    assert row.skipped == "it is not installed"
    assert "skipped" in table.format_rows([asdict(row)])


def test_row_has_the_keys_that_programs_read() -> None:
    (row,) = compare(operation(Goal("value", 1)), {OURS: [10.0], "peer": [5.0]}, {})

    kept = json.loads(json.dumps(asdict(row)))

    assert set(kept) > set(KEYS)
    assert [kept[key] for key in KEYS] == ["P0", 10.0, "items/s", "peer", 5.0, 2.0, 1, True]


def test_every_goal_has_its_operation_and_no_id_is_twice() -> None:
    ids = [each.id for each in run.OPERATIONS + golang.OPERATIONS]
    goals = {each.id.split("-")[0] for each in run.OPERATIONS if each.goal is not None}

    assert len(set(ids)) == len(ids)
    assert goals == {f"P{number}" for number in (*range(1, 10), 11)}
    assert set(report.README_ROWS) <= set(ids)


def test_go_peers_are_skipped_where_go_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    golang.build.cache_clear()

    assert golang.run("tlog-append", 1) == Skipped("the Go toolchain is not installed")
    golang.build.cache_clear()


def a_growth(records: int) -> dict[str, Any]:
    sizes = {
        "bytes_a_record": 630.0,
        "own_bytes_a_record": 570.0,
        "memory_mib": 193.0,
        "open_s": 0.01,
    }
    return {
        "rows": [{"records": at, "rate": 6e4, **sizes} for at in (16_384, records)],
        "small_records": 16_384,
        "small_rates": [60_000.0, 60_000.0],
        "large_rates": [48_000.0, 50_000.0],
        "peer": "SQLite",
        "peer_rows": [{"records": 16_384, "rate": 1e5}, {"records": records, "rate": 5e4}],
    }


def test_growth_is_judged_only_where_it_is_large() -> None:
    small, large = (growth.compare_sizes(a_growth(size)) for size in (131_072, 10_010_624))

    assert [row.id for row in small] == ["P10", "P10-memory", "P10-disk"]
    assert [row.met for row in small] == [None, None, None]
    assert [row.met for row in large] == [False, True, True]


# The report.


def a_result() -> dict[str, Any]:
    """A small result of fixed figures, with every row that the README quotes."""
    rows: list[Row] = []
    for id in report.README_ROWS:
        less = id.startswith("P8")
        made = Operation(
            id=id,
            what=f"the work of {id} & more",
            unit="ms" if less else "items/s",
            floor=None,
            prepare=lambda directory: {},
            goal=Goal("value", 5 if less else 430_000),
            less_is_better=less,
        )
        rows += compare(made, {OURS: [2_000.0, 3_000.0], "peer <x>": [100.0, 150.0]}, {})
    boundary = [
        {"operation": name, "batch": batch, "ns_an_item": cost / batch + 50, "range": (1, 2)}
        for name, cost in (("leaf hash", 3_000), ("signature verify", 90_000))
        for batch in (1, 10, 100_000)
    ]
    machine = {
        "date": "2026-11-24T00:00:00+00:00",
        "commit": "0123456789abcdef",
        "changed": False,
        "processor": "a processor",
        "cores": 2,
        "memory_gib": 24.0,
        "load": 0.1,
        "file_system": "ext4",
        "python": "3.11.7",
        "core": {"signature_kernel": "avx2"},
        "packages": {"blake3": "1.0.11", "missing": None},
        "sqlite": "3.40.1",
        "openssl": "OpenSSL 3",
        "go": None,
    }
    return {
        "machine": machine,
        "command": "make bench",
        "rounds": 2,
        "seconds": 12.0,
        "rows": [asdict(row) for row in rows],
        "boundary": boundary,
        "growth": a_growth(131_072),
    }


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What the report writes in, with text around the marks."""
    (tmp_path / "docs").mkdir()
    for name in ("docs/performance.md", "README.md"):
        (tmp_path / name).write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    return tmp_path


def test_report_is_the_same_each_time_and_keeps_what_people_wrote(tree: Path) -> None:
    first = {path: path.read_text() for path in report.write_report(a_result(), tree)}
    second = {path: path.read_text() for path in report.write_report(a_result(), tree)}

    assert first == second
    assert {path.name for path in first} == {
        "rates.svg",
        "growth.svg",
        "boundary.svg",
        "performance.md",
        "README.md",
    }
    for name in ("docs/performance.md", "README.md"):
        text = (tree / name).read_text()
        assert text.startswith("before\n")
        assert text.endswith("after\n")
        assert "\nold\n" not in text
        assert "make bench" in text
        assert "2026-11-24" in text
        assert "a processor" in text


def test_readme_names_the_fastest_peer() -> None:
    result = a_result()
    first = result["rows"][0]
    result["rows"].append({**first, "id": "P1-other", "peer": "another", "ratio": 0.125})

    line = report.format_summary(result).splitlines()[2]

    assert "0.12 times as fast as another" in line


def test_report_counts_the_goals_that_are_met(tree: Path) -> None:
    report.write_report(a_result(), tree)

    met = f"0 of {len(report.README_ROWS)} goals"
    assert met in (tree / "docs/performance.md").read_text()


def test_report_refuses_a_text_without_marks() -> None:
    with pytest.raises(ValueError, match="want both"):
        report.put_between(f"text\n{report.BEGIN}\n", "part")


def test_report_without_a_result_says_what_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["report.py", "--result", str(tmp_path / "none.json")])

    with pytest.raises(SystemExit):
        report.main()

    assert "run make bench first" in capsys.readouterr().err


def test_plots_are_drawn_within_their_frame(tree: Path) -> None:
    report.write_report(a_result(), tree)

    for path in (tree / "docs/performance").iterdir():
        drawn = ElementTree.fromstring(path.read_text())
        _, _, width, height = map(float, drawn.attrib["viewBox"].split())
        texts = [each for each in drawn.iter() if each.tag.endswith("}text")]
        places = [(float(each.attrib["x"]), float(each.attrib["y"])) for each in texts]
        assert len(texts) > 10
        assert all(0 <= x <= width and 0 <= y <= height for x, y in places)
        ends = [right_edge(each) for each in texts]
        assert max(ends) <= width, path.name
        assert "prefers-color-scheme: dark" in path.read_text()


def right_edge(text: ElementTree.Element) -> float:
    """Where a text ends at most: letters are about 0.6 of 13 pixels wide."""
    wide = 7.8 * len(text.text or "") if "title" not in text.attrib["class"] else 0
    anchor = {"end": 0.0, "middle": 0.5}
    share = next((anchor[each] for each in text.attrib["class"].split() if each in anchor), 1.0)
    return float(text.attrib["x"]) + share * wide
