"""Run the demonstration, and verify its packs with the anchor alone."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from ledgercore import Ledger
from tests.cli.command import objects, run, run_well

DEMO_KEYS = {
    *("rows", "accepted", "rejected", "exchanges", "refusals"),
    *("ledger", "anchor", "packs", "seconds"),
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The demonstration with its summary, run once."""
    directory = tmp_path_factory.mktemp("demo")
    output = run_well("demo", "--firms", 40, "--directory", directory / "run", "--json")
    return directory, json.loads(output.splitlines()[-1])


def test_demo_ends_with_its_summary(demo: tuple[Path, dict[str, Any]]) -> None:
    _, summary = demo

    assert summary.keys() >= DEMO_KEYS
    assert (summary["rows"], summary["accepted"], summary["rejected"]) == (40, 40, [])
    assert summary["refusals"].keys() >= {"E_CONSENT_STATE", "E_SCOPE", "E_RESERVED_WORD"}
    assert objects(run_well("audit", summary["ledger"], "--json"))[0]["verified"]


def test_demo_shows_a_narrowing_a_contest_a_dispute_and_an_erasure(
    demo: tuple[Path, dict[str, Any]],
) -> None:
    _, summary = demo
    wanted = {
        "narrow": {"narrowed", "scope"},
        "contest": {"explained", "contested", "reviewed"},
        "dispute": {"disputed", "ruled", "use"},
        "erase": {"erased", "forgotten"},
    }
    packs = {Path(pack).stem: pack for pack in summary["packs"]}

    for course, names in wanted.items():
        (shown,) = objects(
            run_well("verify", packs[course], "--anchor", summary["anchor"], "--json")
        )
        assert names <= {claim["name"] for claim in shown["claims"]}, course


def test_demo_runs_each_party_as_a_process_and_has_its_packs_verified_by_another_program(
    demo: tuple[Path, dict[str, Any]],
) -> None:
    _, summary = demo

    assert list(summary["processes"]) == ["tax-authority", "bank", "enterprises", "regulator"]
    assert len(set(summary["processes"].values())) == 4
    proven = summary["independently_proven"]
    assert set(proven) == {*(Path(pack).stem for pack in summary["packs"]), "total"}
    assert proven["dispute"] > proven["revoke-early"] > 0


def test_demo_says_why_its_times_are_ahead(tmp_path: Path) -> None:
    """A reader of the ledger would else take its newest times for a fault."""
    shown = run_well("demo", "--firms", "2", "--directory", tmp_path / "run").decode()

    with Ledger.open(tmp_path / "run" / "exchange.ledger", read_only=True) as ledger:
        ahead_ms = ledger.time_ms - time.time() * 1000
    assert 0 < 2 * 3_600_000 - ahead_ms < 600_000
    assert "Times on this ledger are up to 2 hours ahead: its clock was set forward" in shown
    assert re.search("^clock ahead hours +2$", shown, re.MULTILINE)


def test_demo_ends_with_a_total_that_the_regulator_verified(
    demo: tuple[Path, dict[str, Any]],
) -> None:
    _, summary = demo

    assert summary["total_decisions"] == sum(summary["decisions"].values())
    assert summary["total_amount"] == 50_000_000 * summary["decisions"]["approved"]
    (shown,) = objects(
        run_well("verify", summary["total_proof"], "--anchor", summary["anchor"], "--json")
    )
    assert (shown["decisions"], shown["amount"]) == (
        summary["total_decisions"],
        summary["total_amount"],
    )


def test_demo_writes_packs_that_verify(demo: tuple[Path, dict[str, Any]]) -> None:
    _, summary = demo
    assert len(summary["packs"]) >= 3
    for pack in summary["packs"]:
        (shown,) = objects(run_well("verify", pack, "--anchor", summary["anchor"], "--json"))
        assert shown["verified"]
        assert any(claim["status"] == "proven" for claim in shown["claims"])


def test_pack_with_a_changed_byte_does_not_verify(demo: tuple[Path, dict[str, Any]]) -> None:
    directory, summary = demo
    data = bytearray(Path(summary["packs"][0]).read_bytes())
    data[len(data) // 2] ^= 1
    (directory / "changed").write_bytes(data)

    done = run("verify", directory / "changed", "--anchor", summary["anchor"])

    assert done.returncode in (1, 5)
    assert done.stdout == b""


def test_pack_of_any_exchange(demo: tuple[Path, dict[str, Any]]) -> None:
    directory, summary = demo
    names = run_well("show", summary["ledger"], "--objects", "exchange/").decode().split()
    run_well("pack", directory / "run", names[0], "--output", directory / "full")
    exchange = names[0].removeprefix("exchange/")
    run_well("pack", summary["ledger"], exchange, "--output", directory / "bare")

    for name in ("full", "bare"):
        run_well("verify", directory / name, "--anchor", summary["anchor"])
    unknown = run("pack", directory / "run", "00" * 32, "--output", directory / "x", "--json")
    assert unknown.returncode == 4
    (error,) = objects(unknown.stderr)
    assert error["error"] == "AbsentError"
    assert "--objects exchange/" in error["message"]
    assert not (directory / "x").exists()


def test_objects_are_listed_by_a_part_of_their_id(demo: tuple[Path, dict[str, Any]]) -> None:
    """Each is shown by the name that it is listed by."""
    _, summary = demo
    shown = ("show", summary["ledger"], "--json")
    (every,) = objects(run_well(*shown, "--objects", ""))
    families = {name.partition("/")[0]: name for name in every["objects"]}
    assert {"dispute", "exchange", "member", "network"} <= families.keys()

    for name in families.values():
        (state,) = objects(run_well(*shown, "--state", name))
        assert state["present"]
    part = families["exchange"][:20]
    (found,) = objects(run_well(*shown, "--objects", part))
    assert found["objects"] == [name for name in every["objects"] if name.startswith(part)]


@pytest.mark.parametrize("page", ["missing/page.html", "/proc/page.html", "."])
def test_a_page_that_cannot_be_written_is_found_before_any_work(tmp_path: Path, page: str) -> None:
    done = run("demo", "--firms", 5, "--html", page, "--directory", "run", directory=tmp_path)

    assert (done.returncode, done.stdout) == (4, b"")
    assert page.encode() in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_demo_overwrites_nothing(demo: tuple[Path, dict[str, Any]]) -> None:
    directory, _ = demo

    done = run("demo", "--firms", 20, "--directory", directory / "run")

    assert done.returncode == 4
    assert b"holds a demonstration already" in done.stderr
    assert b"removed" not in done.stderr


def test_demo_finds_a_fresh_directory(tmp_path: Path) -> None:
    first, second = (
        json.loads(run_well("demo", "--firms", 1, "--json", directory=tmp_path)) for _ in range(2)
    )

    assert Path(first["ledger"]) == tmp_path / "demo/1/exchange.ledger"
    assert Path(second["ledger"]) == tmp_path / "demo/2/exchange.ledger"


def test_demo_leaves_a_directory_that_holds_something(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/thesis").write_text("mine")

    done = run("demo", "--firms", 1, "--directory", tmp_path / "run")

    assert done.returncode == 4
    assert b"is not empty: choose a new directory" in done.stderr
    assert b"removed" not in done.stderr
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis"]


def test_demo_takes_an_empty_directory(tmp_path: Path) -> None:
    run_well("demo", "--firms", 1, "--directory", tmp_path)


@pytest.mark.parametrize("options", [("--directory", ""), ("--firms", 100_001), ("--firms", 10**8)])
def test_demo_out_of_bounds_is_wrong_usage(tmp_path: Path, options: tuple[object, ...]) -> None:
    done = run("demo", *options, directory=tmp_path)

    assert done.returncode == 2
    assert list(tmp_path.iterdir()) == []


EXAMPLE = Path(__file__).resolve().parents[2] / "examples/sba.toml"


@pytest.mark.parametrize(
    ("line", "other", "reason"),
    [
        (
            'period_begin = "1989-01"',
            'period_begin = "2000-13"',
            "period_begin is '2000-13', want a",
        ),
        ('period_end = "2014-12"', 'period_end = "2014-12-31"', "period_end is '2014-12-31', want"),
        (
            'period_end = "2014-12"',
            'period_end = "1988-12"',
            "want 1989-01, where the period begins",
        ),
        (
            'purpose = "credit.assess"',
            'purpose = "Any use"',
            "purpose is 'Any use', want at most 64",
        ),
        ('purpose = "credit.assess"', 'purpose = ""', "purpose is '', want at most 64"),
        ('title = "Profile of a small firm"', 'title = ""', "title is '', want printable text"),
        ('title = "Profile', 'title = "' + 300 * "x", "title is too long"),
        (
            'field = "firm.employees"',
            'field = "loan.bank"',
            "loan.bank, which has consented = false",
        ),
        ('field = "firm.employees"', 'field = "firm.name"', "firm.name, of type text: want a uint"),
        ('code = "firm.name"', 'code = "Firm name"', "code is 'Firm name', want at most 64"),
        ("maximum = 999999", "maximum = 99999999999999999999", "want 0 to 9007199254740991"),
    ],
)
def test_mapping_is_checked_before_anything_is_made(
    tmp_path: Path, line: str, other: str, reason: str
) -> None:
    text = EXAMPLE.read_text()
    assert line in text
    (tmp_path / "mapping").write_text(text.replace(line, other, 1))
    (tmp_path / "data").write_text("LoanNr_ChkDgt\n")
    given = ("--data", "data", "--mapping", "mapping", "--directory", "run")

    done = run("demo", *given, directory=tmp_path)

    assert (done.returncode, done.stdout) == (5, b"")
    assert reason in done.stderr.decode()
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'subject = "\xff"', b"mapping is not UTF-8 at byte 11"),
        (b"x = " + b"[" * 20_000, b"mapping is nested too deeply"),
        (b"x = " + b"9" * 5_000, b"mapping: "),
    ],
)
def test_mapping_that_is_no_mapping_is_malformed(
    tmp_path: Path, content: bytes, reason: bytes
) -> None:
    (tmp_path / "mapping").write_bytes(content)
    (tmp_path / "data").write_text("")

    done = run("demo", "--data", "data", "--mapping", "mapping", directory=tmp_path)

    assert (done.returncode, done.stdout) == (5, b"")
    assert done.stderr.startswith(b"ledgercore: " + reason)


SCORECARD = """
name = "nobody"
edition = "1"
base = 0
approve_from = 2
refer_from = 1
[[characteristic]]
field = "no.such.field"
reason = "R_NOTHING"
bounds = [1]
points = [0, 2]
otherwise = 1
"""


def test_demo_decides_by_the_scorecard_that_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "model.toml").write_text(SCORECARD)

    given = ("--firms", "6", "--scorecard", "model.toml", "--directory", "run", "--json")
    done = run("demo", *given, directory=tmp_path)

    assert list(json.loads(done.stdout.splitlines()[-1])["decisions"]) == ["referred"]


def test_scorecard_that_is_none_is_malformed(tmp_path: Path) -> None:
    (tmp_path / "model.toml").write_text(SCORECARD.replace("refer_from = 1", "refer_from = 3"))

    given = ("--firms", "6", "--scorecard", "model.toml", "--directory", "run")
    done = run("demo", *given, directory=tmp_path)

    assert (done.returncode, done.stdout) == (5, b"")
    assert done.stderr.startswith(b"ledgercore: scorecard: refer_from is 3")
    assert not (tmp_path / "run").exists()
