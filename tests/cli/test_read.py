"""Audit a ledger, show and prove what is in it, copy it."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ledgercore import (
    Checkpoint,
    InvalidError,
    Ledger,
    MalformedError,
    Report,
    format_anchor,
    parse_anchor,
)
from ledgercore.cli.backup import command
from ledgercore.proofs import ConsistencyProof, VerifiedConsistency
from ledgercore.rules import format_object, parse_object
from tests.cli.command import objects, run, run_well, verify

VERIFIER = Path(__file__).resolve().parents[2] / "verifier" / "ledgercore_verify.py"


def test_audit_says_what_it_verified(ledger: Path) -> None:
    run_well("append", ledger, "--lines", "-", data=b"one\ntwo\n")

    (report,) = objects(run_well("audit", ledger, "--json"))

    assert (report["verified"], report["records"], report["blocks"]) == (True, 3, 2)


def test_audit_finds_a_changed_byte_and_says_where(ledger: Path) -> None:
    run_well("append", ledger, "--lines", "-", data=b"first line\nA RECORD TO CHANGE\nthird\n")
    data = ledger.read_bytes()
    assert data.count(b"A RECORD TO CHANGE") == 1
    ledger.write_bytes(data.replace(b"A RECORD TO CHANGE", b"A RECORD TO CHANGf"))

    done = run("audit", ledger)

    assert (done.returncode, done.stdout) == (1, b"")
    assert b"block 1" in done.stderr or b"record 2" in done.stderr


def test_audit_since_a_kept_checkpoint(ledger: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_bytes(run_well("show", ledger, "--checkpoint"))
    run_well("append", ledger, "--lines", "-", data=b"line\n")
    newer = tmp_path / "newer"
    newer.write_bytes(run_well("show", ledger, "--checkpoint"))
    run_well("audit", ledger, "--since", kept)

    with Ledger.open(ledger) as opened:
        older = opened.note(0)
    Path(f"{ledger}.head").unlink()
    for name in ("", ".key"):
        Path(f"{ledger}{name}").rename(tmp_path / f"moved{name}")
    run_well("init", ledger, "--origin", "test.example/log")

    assert older.encode() == kept.read_bytes()
    assert run("audit", ledger, "--since", newer).returncode == 1


@pytest.mark.parametrize(
    ("command", "looks"),
    [
        (("show", "a.ledger", "--checkpoint", "--json"), "JSON that holds a checkpoint: take its"),
        (("anchor", "a.ledger"), "a trust anchor"),
        (("anchor", "a.ledger", "--json"), "what anchor --json prints"),
        (("show", "a.ledger"), "a file of another kind"),
    ],
)
def test_audit_since_what_is_no_checkpoint(case: Path, command: tuple[str], looks: str) -> None:
    (case / "kept").write_bytes(run_well(*command, directory=case))

    done = run("audit", "a.ledger", "--since", "kept", directory=case)

    assert (done.returncode, done.stdout) == (5, b"")
    assert b"kept is not a signed checkpoint (" in done.stderr
    assert f"it looks like {looks}".encode() in done.stderr
    assert b"want what ledgercore show LEDGER --checkpoint prints" in done.stderr


def test_audit_since_a_checkpoint_with_other_line_ends(case: Path) -> None:
    note = run_well("show", case / "a.ledger", "--checkpoint")
    (case / "kept").write_bytes(note.replace(b"\n", b"\r\n"))

    done = run("audit", "a.ledger", "--since", "kept", directory=case)

    assert done.returncode == 5
    assert b"kept is not a signed checkpoint (" in done.stderr
    assert b"it looks like text whose lines end in CRLF, want LF" in done.stderr


@pytest.mark.parametrize("content", [b"", b"junk", b"SQLite format 3\0" + bytes(4096)])
def test_audit_of_what_is_no_ledger(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)

    done = run("audit", tmp_path / "file")

    assert done.returncode in (1, 4)
    assert done.stderr.startswith(b"ledgercore: ")


def test_anchor_is_the_ledgers(ledger: Path) -> None:
    text = run_well("anchor", ledger).decode()
    (facts,) = objects(run_well("anchor", ledger, "--json"))

    with Ledger.open(ledger) as opened:
        assert text == format_anchor(opened.trust_anchor)
        assert parse_anchor(text) == opened.trust_anchor
        assert facts["network"] == opened.network.hex()


def test_show_gives_what_the_ledger_has(ledger: Path) -> None:
    (line,) = objects(run_well("append", ledger, "--lines", "-", "--json", data=b"\xffbody"))

    by_index, by_id = (
        objects(run_well("show", ledger, *chosen, "--json"))[0]
        for chosen in (("--index", 1), ("--id", line["id"]))
    )

    assert by_index == by_id
    assert by_index["body_hex"] == b"\xffbody".hex()
    assert run_well("show", ledger, "--index", 1, "--body") == b"\xffbody"
    assert objects(run_well("show", ledger, "--block", 1, "--json"))[0]["first_index"] == 1
    assert Checkpoint.parse(run_well("show", ledger, "--checkpoint").decode()).size == 2
    assert objects(run_well("show", ledger, "--index", 0, "--json"))[0]["kind"] == "genesis"


def test_show_names_objects_as_it_takes_them(ledger: Path) -> None:
    run_well("append", ledger, "--lines", "-", data=b"line\n")
    names = objects(run_well("show", ledger, "--objects", "signer/", "--json"))[0]["objects"]

    (state,) = objects(run_well("show", ledger, "--state", names[0], "--json"))

    assert (state["object"], state["present"]) == (names[0], True)
    assert state["state"]["sequence"] == 2
    assert format_object(parse_object(names[0])) == names[0]


def test_receipt_from_prove_verifies_with_the_body_from_show(ledger: Path, case: Path) -> None:
    name = objects(run_well("show", ledger, "--objects", "signer/", "--json"))[0]["objects"][0]
    run_well("prove", ledger, "--index", 1, "--state", name, "--output", case / "proven")
    (case / "body").write_bytes(run_well("show", ledger, "--index", 1, "--body"))

    done = verify(case, "proven", "body")

    assert done.returncode == 0
    assert name.encode() in done.stdout


def test_receipt_that_prove_prints_into_a_file_verifies(case: Path) -> None:
    (case / "printed").write_bytes(run_well("prove", case / "a.ledger", "--index", 1))

    assert (case / "printed").read_text() == (case / "text").read_text()
    assert verify(case, "printed").returncode == 0


def test_body_for_machines_is_one_object(case: Path) -> None:
    (shown,) = objects(run_well("show", case / "a.ledger", "--index", 1, "--body", "--json"))

    assert shown == {"index": 1, "body_base64": base64.b64encode(b"one record").decode()}


def test_growth_verifies_with_the_checkpoint_that_was_kept(ledger: Path, tmp_path: Path) -> None:
    """Not with that of a ledger beside it, nor with that of another size."""
    anchor = tmp_path / "anchor.toml"
    anchor.write_bytes(run_well("anchor", ledger))
    for name in ("", ".key"):
        shutil.copy(f"{ledger}{name}", f"{tmp_path / 'b.ledger'}{name}")
    (tmp_path / "smaller").write_bytes(run_well("show", ledger, "--checkpoint"))
    run_well("append", ledger, "--lines", "-", data=b"1\n")
    run_well("append", tmp_path / "b.ledger", "--lines", "-", data=b"another\n")
    for name, path in (("kept", ledger), ("other", tmp_path / "b.ledger")):
        (tmp_path / name).write_bytes(run_well("show", path, "--checkpoint"))
    run_well("append", ledger, "--lines", "-", data=b"2\n3\n")
    proof = tmp_path / "proof.json"
    run_well("prove", ledger, "--since", 2, "--output", proof)
    given = ("verify", proof, "--anchor", anchor)

    (facts,) = objects(run_well(*given, "--checkpoint", tmp_path / "kept", "--json"))
    refused = {
        name: run(*given, "--checkpoint", tmp_path / name).returncode
        for name in ("other", "smaller", "anchor.toml")
    }

    assert (facts["first_size"], facts["second_size"], facts["verified"]) == (2, 4, True)
    assert refused == {"other": 1, "smaller": 1, "anchor.toml": 5}
    assert (
        run(*given).returncode == run(*given, "--checkpoint", "a", "--record", "b").returncode == 2
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda proof: proof | {"proof": ["00" * 32, *proof["proof"][1:]]},
        lambda proof: proof | {"proof": [*proof["proof"], "00" * 32]},
        lambda proof: proof | {"proof": []},
        lambda proof: proof | {"proof": ["00"]},
        lambda proof: proof | {"proof": ["00" * 32] * 65},
        lambda proof: proof | {"checkpoint": proof["checkpoint"].replace("\n4\n", "\n5\n")},
        lambda proof: {"proof": proof["proof"]},
    ],
)
def test_growth_that_was_changed_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    with Ledger.create(tmp_path / "a.ledger", origin="test.example/log") as ledger:
        ledger.append(b"1")
        kept, anchor = ledger.checkpoint.encode(), ledger.trust_anchor
        ledger.append_many([b"2", b"3"])
        hashes = [each.hex() for each in ledger.prove_consistency(2, 4)]
        proof = {"checkpoint": ledger.checkpoint, "proof": hashes}

    def verify(shown: dict[str, Any]) -> VerifiedConsistency:
        return ConsistencyProof.decode(json.dumps(shown).encode()).verify(kept, anchor)

    assert verify(proof).newer.size == 4
    with pytest.raises((InvalidError, MalformedError)):
        verify(change(proof))


@pytest.mark.parametrize(
    ("since", "kept", "message"),
    [
        (
            3,
            2,
            "proof was made for size 3, and the kept checkpoint has size 2: make it with ledgerc",
        ),
        (
            2,
            7,
            "kept checkpoint has size 7, and the proof's has 4, which is older: give the checkpo",
        ),
        (
            None,
            2,
            "history of 4 records does not go on from the kept checkpoint of 2: it is another",
        ),
    ],
)
def test_growth_from_another_size_is_refused_with_what_to_do(
    tmp_path: Path, since: int | None, kept: int, message: str
) -> None:
    path, notes, proof = tmp_path / "a.ledger", {}, tmp_path / "proof"
    with Ledger.create(path, origin="test.example/log") as ledger:
        for count in (1, 2, 3):
            ledger.append_many([b"one"] * count)
            notes[ledger.size] = ledger.checkpoint
        hashes = ledger.prove_consistency(3 if since is None else since, 4)
        shown = {"checkpoint": notes[4], "proof": [each.hex() for each in hashes]}
        (tmp_path / "anchor").write_text(format_anchor(ledger.trust_anchor))
    proof.write_text(json.dumps(shown if since is None else shown | {"first_size": since}))
    (tmp_path / "kept").write_text(notes[kept])
    options = ("--anchor", tmp_path / "anchor", "--checkpoint", tmp_path / "kept")

    done = run("verify", proof, *options)
    independent = subprocess.run(
        [sys.executable, VERIFIER, proof, *options], capture_output=True, check=False
    )

    assert done.returncode == 1
    assert message in done.stderr.decode()
    assert independent.returncode == 1
    assert f"a proof for the kept checkpoint is of size {kept}" in independent.stderr.decode()


def test_backup_is_a_ledger_that_verifies(ledger: Path, tmp_path: Path) -> None:
    run_well("append", ledger, "--lines", "-", data=b"line\n")

    with Ledger.open(ledger):  # a writer is at work
        run_well("backup", ledger, tmp_path / "copy")

    assert objects(run_well("audit", tmp_path / "copy", "--json"))[0]["records"] == 2
    assert run("backup", ledger, tmp_path / "copy").returncode == 4


def test_backup_is_verified_once_and_says_what_was(
    ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports: list[Report] = []

    def verify(copy: Ledger) -> Report:
        reports.append(audited(copy))
        return reports[-1]

    audited = Ledger.verify
    monkeypatch.setattr(Ledger, "verify", verify)

    done = CliRunner().invoke(command, [str(ledger), str(tmp_path / "copy"), "--json"])

    told = {"backup": str(tmp_path / "copy"), "records": 1, "unpublished": 0}
    assert objects(done.stdout_bytes) == [told]
    assert [report.records for report in reports] == [1]
