"""What a vault erases is gone from its files, or the caller is told why it is not."""

from __future__ import annotations

import os
from pathlib import Path

import apsw
import pytest

from ledgercore import vault as vault_module
from ledgercore.errors import BusyError, LedgerError, StoreError
from ledgercore.vault import Vault

SECRET = b"PLANTED-SECRET-" * 20


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault_module, "_WAIT_MS", 1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.vault"


def holding(path: Path) -> list[str]:
    """The vault's files that hold the secret in clear."""
    files = [each for each in path.parent.iterdir() if each.name.startswith(path.name)]
    return [each.name for each in files if SECRET in each.read_bytes()]


def test_items_are_kept_listed_and_erased(path: Path) -> None:
    vault = Vault(path)
    vault.store([("a/1", SECRET), ("a/2", b"two"), ("b/1", b"")])

    assert (vault.load("a/1"), vault.load("b/1"), vault.load("c")) == (SECRET, b"", None)
    assert (vault.names("a/"), vault.names()) == (["a/1", "a/2"], ["a/1", "a/2", "b/1"])
    assert holding(path) != []
    assert (vault.erase(["a/1", "c"]), vault.load("a/1"), holding(path)) == (1, None, [])
    vault.close()


def test_erasing_beside_a_reader_says_what_is_left_and_is_done_again(path: Path) -> None:
    vault = Vault(path)
    vault.store([("secret", SECRET)])
    reader = apsw.Connection(str(path))
    reader.execute("BEGIN; SELECT * FROM item").fetchall()

    with pytest.raises(BusyError, match=r"log may still hold them: close .* erase again$"):
        vault.erase(["secret"])
    assert vault.load("secret") is None
    assert holding(path) == ["a.vault-wal"]
    reader.close()
    assert (vault.erase(["secret"]), holding(path)) == (0, [])
    vault.close()


def test_another_writer_is_an_error_with_its_remedy(path: Path) -> None:
    vault = Vault(path)
    vault.store([("secret", SECRET)])
    writer = apsw.Connection(str(path))
    writer.execute("BEGIN IMMEDIATE")

    for call in (lambda: vault.store([("b", b"")]), lambda: vault.erase(["secret"])):
        with pytest.raises(BusyError, match="another connection holds it: close it and try again"):
            call()
    writer.close()
    assert vault.erase(["secret"]) == 1
    vault.close()


def test_a_closed_vault_refuses_every_call(path: Path) -> None:
    vault = Vault(path)
    vault.close()
    vault.close()

    for call in (
        lambda: vault.store([("a", b"")]),
        lambda: vault.load("a"),
        lambda: vault.names(),
        lambda: vault.erase(["a"]),
    ):
        with pytest.raises(StoreError, match=r"^cannot \w+.* vault "):
            call()


def test_a_damaged_vault_is_an_error_in_every_call(path: Path) -> None:
    vault = Vault(path)
    vault.store([(f"item/{number}", SECRET) for number in range(100)])
    vault.close()
    data = path.read_bytes()
    path.write_bytes(data[:4096] + os.urandom(len(data) - 4096))
    vault = Vault(path)

    for call in (lambda: vault.load("item/7"), lambda: vault.names()):
        with pytest.raises(LedgerError, match=r"a\.vault is damaged"):
            call()
    vault.close()


def test_what_is_no_vault_is_refused_and_let_go(path: Path, tmp_path: Path) -> None:
    other = apsw.Connection(str(path))
    other.execute("PRAGMA application_id=7; CREATE TABLE x (y)")
    other.close()
    (tmp_path / "b.vault").write_bytes(b"no database at all " * 100)

    kept = []  # An error keeps alive what its frames hold.
    for name in ("a.vault", "b.vault"):
        with pytest.raises(StoreError, match=r"is not a vault$|not a database") as caught:
            Vault(tmp_path / name)
        kept.append(caught.value)
    opened = {each.resolve() for each in Path("/proc/self/fd").iterdir()}
    assert opened.isdisjoint({path.resolve(), (tmp_path / "b.vault").resolve()})
