"""A party in a process of its own: what crosses the pipe, and what does not."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledgercore import Ledger, RefusedError, UnavailableError
from ledgercore.clock import OffsetClock, SystemClock
from ledgercore.demo import independent
from ledgercore.demo.desk_process import _Pipe
from ledgercore.demo.firms import generate_firms, generated_mapping
from ledgercore.demo.independent import verify_independently
from ledgercore.demo.stage import ProcessStage
from ledgercore.disk import process_id
from ledgercore.entropy import SystemEntropy
from ledgercore.errors import InvalidProof
from ledgercore.exchange.submission import Accepted


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[ProcessStage]:
    entropy, mapping = SystemEntropy(), generated_mapping()
    clock, scorecard = OffsetClock(SystemClock()), mapping.approval.scorecard()
    stage = ProcessStage(tmp_path, generate_firms(2, entropy), scorecard, clock, entropy)
    yield stage
    stage.close()


def test_each_party_is_a_process_and_orders_through_this_one(stage: ProcessStage) -> None:
    schema = generated_mapping().schema()

    (first,) = stage.tax.register([schema])
    (second,) = stage.tax.register([schema])

    assert isinstance(first, Accepted)
    assert stage.ledger.record(first.index).id == first.id
    assert second == "E_EXISTS"
    processes = stage.end()["processes"]
    assert len({process_id(), *processes.values()}) == 5


def test_a_desk_that_fails_says_why_and_goes_on(stage: ProcessStage) -> None:
    with pytest.raises(UnavailableError, match=r"bank, pack: AbsentError: exchange "):
        stage.bank.pack(bytes(32))

    assert len(stage.agent.new_keys(3)) == 3


def test_a_party_whose_process_is_killed_is_named(stage: ProcessStage) -> None:
    os.kill(stage.end()["processes"]["bank"], signal.SIGKILL)

    with pytest.raises(UnavailableError, match="process of bank has ended"):
        stage.bank.pack(bytes(32))


def test_a_desk_that_waits_for_outcomes_when_its_caller_ends_ends_too() -> None:
    ours, theirs = multiprocessing.Pipe()
    ours.send(None)
    with pytest.raises(EOFError, match="has ended"):
        _Pipe(theirs).submit_many([b"a record"])
    assert ours.recv() == ("order", [b"a record"])


def test_no_party_has_the_vault_of_another_open(stage: ProcessStage) -> None:
    stage.tax.forget([])
    stage.bank.explain([])
    stage.agent.new_keys(1)
    stage.regulator.dismiss([])

    for party, process in stage.end()["processes"].items():
        assert open_vaults(process) == {f"{party}.vault"}
    assert open_vaults(process_id()) == set()


def open_vaults(process: int) -> set[str]:
    files = Path(f"/proc/{process}/fd").iterdir()
    names = {Path(os.path.realpath(each)).name for each in files}
    return {name for name in names if name.endswith(".vault")}


def test_the_ledger_is_whole_after_all_have_ended(stage: ProcessStage, tmp_path: Path) -> None:
    stage.tax.register([generated_mapping().schema()])
    stage.close()

    assert not (tmp_path / "exchange.ledger-wal").exists()
    with Ledger.open(tmp_path / "exchange.ledger", read_only=True) as ledger:
        assert ledger.verify().records == 2


def test_a_refusal_is_the_same_in_another_process() -> None:
    refusal = RefusedError("E_SCOPE", "field is x", record=b"id", remedy="ask for less")

    again = pickle.loads(pickle.dumps(refusal))

    assert type(again) is RefusedError
    assert (str(again), again.__dict__) == (str(refusal), refusal.__dict__)


def test_what_the_independent_verifier_refuses_ends_the_run(tmp_path: Path) -> None:
    pack, anchor = tmp_path / "a.lcp", tmp_path / "anchor.toml"
    pack.write_bytes(b"no pack")
    anchor.write_text("no anchor")

    with pytest.raises(InvalidProof, match="independent verifier refuses"):
        verify_independently([pack], anchor)


def test_without_the_source_tree_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(independent, "VERIFIER", tmp_path / "none.py")

    assert verify_independently([tmp_path], tmp_path) is None
