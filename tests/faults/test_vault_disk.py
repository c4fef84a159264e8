"""A vault on a disk that fails: nothing stored is lost, and no failed flush stays unseen."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from errno import EDQUOT
from pathlib import Path

import apsw
import pytest

from ledgercore.errors import DiskFullError, StoreError
from ledgercore.vault import Vault
from ledgercore.vault import vault as vault_module
from tests.faults.vfs import FailingVFS, quota_used_up

SECRET = b"PLANTED-SECRET-" * 20
KEY, OTHER_KEY = bytes([1]) * 32, bytes([2]) * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.vault"


@pytest.mark.parametrize(
    ("operation", "error"), [("write", apsw.FullError), ("sync", apsw.IOError)]
)
def test_a_disk_that_fails_at_any_call_loses_nothing(
    path: Path, operation: str, error: type[apsw.Error]
) -> None:
    name = f"vault-{operation}"
    Vault(path, KEY).close()
    vfs = FailingVFS(name, error)
    vault = Vault(path, KEY, vfs=name)
    vault.store([("kept", SECRET)])
    want = DiskFullError if error is apsw.FullError else StoreError
    calls: tuple[Callable[[Vault], object], ...] = (
        lambda held: held.store([(f"item/{number}", SECRET * 30) for number in range(20)]),
        lambda held: held.change_key(KEY),
    )
    for call in calls:
        failed = 0
        for index in range(1000):
            vfs.fail(operation, index)
            try:
                call(vault)
                break
            except want:
                failed += 1
            finally:
                vfs.mend()
            assert vault.load("kept") == SECRET
            if want is StoreError:  # a failed flush stops the vault
                vault.close()
                vault = Vault(path, KEY, vfs=name)
        assert failed > 0
    assert len(vault.names("item/")) == 20
    vault.close()
    vfs.unregister()


SPILT = [(f"spilt/{number}", bytes(200_000)) for number in range(12)]
"""More than SQLite holds in memory: it is written, and a full disk found, before the commit."""


@pytest.mark.parametrize("error", [apsw.FullError, quota_used_up])
@pytest.mark.parametrize("index", [0, 1, 5, 20, 40])
def test_a_disk_that_is_full_before_the_commit_passes(
    path: Path, index: int, error: Callable[[str], Exception]
) -> None:
    """Where SQLite takes the whole transaction back by itself."""
    Vault(path, KEY).close()
    vfs = FailingVFS("vault-spilt", error, EDQUOT)
    vault = Vault(path, KEY, vfs="vault-spilt")
    vault.store([("kept", SECRET)])
    vfs.fail("write", index)

    with pytest.raises(DiskFullError, match="free space and try again"):
        vault.store(SPILT)
    with pytest.raises(DiskFullError), vault.transaction():
        vault.store([("outer", SECRET)])
        with vault.transaction():
            vault.store(SPILT)

    vfs.mend()
    assert (vault.names(), vault.version) == (["kept"], 1)
    vault.store(SPILT)
    assert len(vault.names("spilt/")) == len(SPILT)
    vault.close()
    vfs.unregister()


def test_a_transaction_that_a_full_disk_took_back_is_not_gone_on_with(path: Path) -> None:
    Vault(path, KEY).close()
    vfs = FailingVFS("vault-lost", apsw.FullError)
    vault = Vault(path, KEY, vfs="vault-lost")
    calls: list[Callable[[], object]] = [
        lambda: vault.store([("later", SECRET)]),
        lambda: vault.load("first"),
        lambda: vault.names(),
        lambda: None,
    ]
    for call in calls:
        with pytest.raises(DiskFullError, match="begin it again"), vault.transaction():
            vault.store([("first", SECRET)])
            vfs.fail("write", 0)
            with suppress(DiskFullError), vault.transaction():
                vault.store(SPILT)
            vfs.mend()
            call()
        assert (vault.names(), vault.version) == ([], 0)
    vault.store([("later", SECRET)])
    assert vault.names() == ["later"]
    vault.close()
    vfs.unregister()


def test_a_flush_that_failed_stops_the_vault_until_it_is_opened_anew(path: Path) -> None:
    Vault(path, KEY).close()
    vfs = FailingVFS("vault-stopped", apsw.IOError)
    vault = Vault(path, KEY, vfs="vault-stopped")
    vault.store([("kept", SECRET)])
    vfs.fail("sync", 0)
    with pytest.raises(StoreError, match="made to fail"):
        vault.store([("lost", SECRET)])
    vfs.mend()

    writes: list[Callable[[], object]] = [
        lambda: vault.store([("b", SECRET)]),
        lambda: vault.erase(["kept"]),
        lambda: vault.change_key(OTHER_KEY),
        lambda: vault.transaction().__enter__(),
    ]
    for call in writes:
        with pytest.raises(StoreError, match=r"an earlier write failed .* open it again"):
            call()

    assert vault.load("kept") == SECRET
    vault.close()
    opened = Vault(path, KEY, vfs="vault-stopped")
    opened.store([("b", SECRET)])
    assert {"b", "kept"} <= set(opened.names())
    opened.close()
    vfs.unregister()


def test_a_vault_that_an_interrupt_stopped_says_so(path: Path) -> None:
    with Vault(path, KEY) as vault:
        with pytest.raises(KeyboardInterrupt), vault._writing():
            raise KeyboardInterrupt

        with pytest.raises(StoreError, match=r"an earlier write failed \(KeyboardInterrupt\): "):
            vault.store([("a", SECRET)])


@pytest.mark.parametrize("call", [0, 1])
def test_a_flush_that_fails_while_the_log_is_moved_is_not_kept_quiet(
    path: Path, call: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vault_module, "_LOG_PAGES", 1)
    Vault(path, KEY).close()
    vfs = FailingVFS("vault-log", apsw.IOError)
    vault = Vault(path, KEY, vfs="vault-log")
    vault.store([("kept", SECRET)])
    vfs.fail("sync", call)  # of the log, then of the file

    with pytest.raises(StoreError, match="made to fail"):
        vault.store([("a", SECRET)])

    vfs.mend()
    with pytest.raises(StoreError, match="an earlier write failed"):
        vault.store([("a", SECRET)])
    vault.close()
    opened = Vault(path, KEY)
    assert opened.names() == ["kept"]
    opened.close()
    vfs.unregister()
