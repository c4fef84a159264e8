"""Processes that share a vault's file wait for each other, and say what is left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ledgercore.errors import BusyError
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
