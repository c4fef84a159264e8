"""Processes that share a vault's file wait for each other, and say what is left."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ledgercore import CorruptError, SigningKey
from ledgercore.entropy import SystemEntropy
from ledgercore.errors import BusyError
from ledgercore.exchange.erasure import certify_erasure
from ledgercore.vault import Vault


def test_erasing_while_another_process_moves_the_log_says_what_is_left(tmp_path: Path) -> None:
    """SQLite locks a byte of the shared memory for that: WAL_CKPT_LOCK (walformat.html, 2.3.1)."""
    path = tmp_path / "vault"
    vault = Vault(path)
    vault.store([("secret", b"x"), ("other", b"")])
    code = (
        "import fcntl, sys\n"
        "file = open(sys.argv[1], 'r+b')\n"
        "fcntl.lockf(file, fcntl.LOCK_EX, 1, 121)\n"
        "print('locked', flush=True)\n"
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, f"{path}-shm"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"locked\n"
        with pytest.raises(BusyError, match="erase again"):
            vault.erase(["secret"])
        assert vault.load("secret") is None
        vault.store([("more", b"")])
        other.communicate()
    assert vault.erase(["secret", "other"]) == 1
    vault.close()


READS: tuple[Callable[[Vault], object], ...] = (
    lambda vault: vault.load("exchange/17/payload"),
    lambda vault: vault.load("none"),
    lambda vault: vault.names("exchange/"),
    lambda vault: vault.names("exchange/17/pay"),
    lambda vault: vault.names(),
    lambda vault: vault.erase(["exchange/17/payload"]),
    lambda vault: vault.store([("exchange/17/payload", b"other")]),
)


@pytest.mark.parametrize("read", READS)
def test_nothing_looks_gone_where_another_connection_changed_the_key(
    tmp_path: Path, read: Callable[[Vault], object]
) -> None:
    path, old, new = tmp_path / "vault", bytes([1]) * 32, bytes([2]) * 32
    with Vault(path, old) as vault, Vault(path, old) as other:
        vault.store([("exchange/17/payload", b"x")])
        other.change_key(new)

        with pytest.raises(CorruptError, match="unless its key was changed: open it anew"):
            read(vault)

    with Vault(path, new) as vault:
        assert vault.load("exchange/17/payload") == b"x"


@pytest.mark.parametrize("name", ["exchange/17/payload", "exchange/17/"])
def test_no_erasure_is_certified_under_a_former_key(tmp_path: Path, name: str) -> None:
    path, old, key = tmp_path / "vault", bytes([1]) * 32, SigningKey(bytes(32))
    with Vault(path, old) as vault, Vault(path, old) as other:
        vault.store([("exchange/17/payload", b"x")])
        other.change_key(SystemEntropy().bytes(32))

        with pytest.raises(CorruptError, match="unless its key was changed: open it anew"):
            certify_erasure(vault, [name], key, bytes(16), "std", 1)


LOOK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
print(connection.execute("SELECT count(*) FROM item").fetchone()[0])
connection.close()
"""


def counted_elsewhere(path: Path) -> int:
    """How many items another program sees that opens the file and closes it."""
    command = [sys.executable, "-c", LOOK, str(path)]
    return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def test_a_host_that_reads_a_vault_s_file_by_itself_loses_nothing(tmp_path: Path) -> None:
    """Another program that closes the file would remove the log, and what is stored later."""
    path = tmp_path / "a.vault"
    with Vault(path) as vault:
        vault.store([("before", b"1")])
        path.read_bytes()
        for count in (1, 2):
            assert counted_elsewhere(path) == count
            vault.store([("after", b"2")])
    with Vault(path) as vault:
        assert vault.load("after") == b"2"


def test_a_vault_that_is_closed_while_another_opens_takes_none_of_its_locks_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one's connection has read the file by then, and another program closes it next."""
    path, header = tmp_path / "a.vault", Vault._header
    first = Vault(path)
    first.store([("before", b"1")])

    def reading(vault: Vault) -> tuple[int, int]:
        found = header(vault)
        first.close()
        counted_elsewhere(path)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Vault, "_header", reading)
        second = Vault(path)
    with second:
        second.store([("after", b"2")])
        assert counted_elsewhere(path) == 2


@pytest.mark.parametrize("left", ["", "-journal"])
def test_a_vault_that_a_crash_left_half_made_is_made(tmp_path: Path, left: str) -> None:
    """Who rolls back wants the file for himself, whatever the header says by then."""
    path, made = tmp_path / "a.vault", tmp_path / "made.vault"
    connection = sqlite3.connect(made)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    path.write_bytes(made.read_bytes())
    if left:
        # A rollback journal's header: magic, no pages, a nonce, 0 pages before, sectors, pages.
        magic = bytes.fromhex("d9d505f920a163d7")
        numbers = b"".join(number.to_bytes(4, "big") for number in (0, 1, 0, 512, 4096))
        Path(f"{path}{left}").write_bytes((magic + numbers).ljust(512, b"\0"))
        path.with_name(f"{path.name}-journal").chmod(0o600)
    with Vault(path, bytes(32)) as vault:
        vault.store([("item", b"1")])
        assert vault.load("item") == b"1"
