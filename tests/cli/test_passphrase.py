"""A key file under a passphrase, from the command line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ledgercore import Ledger
from ledgercore.vault import Vault
from tests.cli.command import objects, run, run_well


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    path = tmp_path / "passphrase"
    path.write_text("correct horse\n")
    return path


def test_a_sealed_key_signs_with_its_passphrase_only(tmp_path: Path, passphrase: Path) -> None:
    path = tmp_path / "a.ledger"
    run_well("init", path, "--origin", "example.org/log", "--passphrase-file", passphrase)

    append = ("append", path, "--lines", "-", "--json")
    assert (path.with_name("a.ledger.key")).read_bytes().startswith(b"-----BEGIN LEDGERCORE SEALED")
    done = run(*append, data=b"one\n")
    assert (done.returncode, done.stdout) == (4, b"")
    assert b"is sealed under a passphrase: give it (--passphrase-file FILE)" in done.stderr
    (tmp_path / "wrong").write_text("correct house\n")
    assert run(*append, "--passphrase-file", tmp_path / "wrong", data=b"one\n").returncode == 1
    answered = run_well(*append, "--passphrase-file", passphrase, data=b"one\n")
    assert [each["index"] for each in objects(answered)] == [1]


def test_the_passphrase_file_may_stand_in_the_environment(
    tmp_path: Path, passphrase: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "LEDGERCORE_PASSPHRASE_FILE", str(passphrase))
    path = tmp_path / "a.ledger"
    run_well("init", path, "--origin", "example.org/log")

    assert objects(run_well("append", path, "--lines", "-", "--json", data=b"one\n"))


@pytest.mark.parametrize("text", ["", "\n", "one\ntwo\n", "x" * 2000])
def test_a_file_that_holds_no_one_passphrase_is_malformed(tmp_path: Path, text: str) -> None:
    (tmp_path / "passphrase").write_text(text)
    path = tmp_path / "a.ledger"
    passphrase = tmp_path / "passphrase"

    done = run("init", path, "--origin", "a.example/log", "--passphrase-file", passphrase)
    assert done.returncode == 5
    assert not path.exists()


def test_a_pack_is_made_with_a_vault_under_a_passphrase(tmp_path: Path, passphrase: Path) -> None:
    run_well("demo", "--firms", "3", "--directory", "demo", directory=tmp_path)
    summary = tmp_path / "demo"
    Vault(tmp_path / "sealed.vault", passphrase=b"correct horse").close()
    with Ledger.open(summary / "exchange.ledger", read_only=True) as ledger:
        name, _ = next(ledger.states(b"exchange/"))
    exchange = name.removeprefix(b"exchange/").hex()
    options = ("--vault", tmp_path / "sealed.vault", "--output")
    done = run("pack", summary, exchange, *options, tmp_path / "a.lcp")
    assert done.returncode == 4 and b"is sealed under a passphrase" in done.stderr
    more = ("--passphrase-file", passphrase)
    run_well("pack", summary, exchange, *options, tmp_path / "a.lcp", *more)
