"""Anyone who has the anchor verifies that the operator signed two histories."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledgercore import format_anchor
from ledgercore.proofs import SplitView
from tests.cli.command import objects, run, run_well
from tests.histories import History, anchor


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    view = SplitView.of(anchor(), History().note(8), History(parts_at=5, branch=1).note(8))
    assert view is not None
    (tmp_path / "split").write_bytes(view.encode())
    (tmp_path / "anchor").write_text(format_anchor(anchor()))
    return tmp_path / "split"


def test_a_split_view_is_verified(evidence: Path) -> None:
    given = ("verify", evidence, "--anchor", evidence.with_name("anchor"))

    assert b"split_view" in run_well(*given).replace(b" view", b"_view")
    (shown,) = objects(run_well(*given, "--json"))
    assert shown["verified"] and shown["split_view"]
    assert shown["first_size"] == shown["second_size"] == 8
    assert shown["first_root"] != shown["second_root"]


def test_what_is_no_split_view_is_refused(evidence: Path) -> None:
    data = evidence.read_bytes()
    for changed in (data[:-70] + bytes([data[-70] ^ 1]) + data[-69:], data[:-1]):
        evidence.write_bytes(changed)
        done = run("verify", evidence, "--anchor", evidence.with_name("anchor"))
        assert (done.returncode, done.stdout) in ((1, b""), (5, b""))
