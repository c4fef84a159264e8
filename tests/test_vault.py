"""A vault's items are sealed at rest; what it erases is gone, or the caller is told why not."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgercore.disk import make_private
from ledgercore.entropy import SeededEntropy
from ledgercore.errors import (
    BusyError,
    CorruptError,
    InvalidError,
    LedgerError,
    LimitError,
    PassphraseError,
    RollbackError,
    StoreError,
    UntrustedError,
)
from ledgercore.keyfile import store_vault_key
from ledgercore.vault import Vault
from ledgercore.vault import vault as vault_module
from ledgercore.vault.cipher import Cipher
from tests.examples import examples

SECRET = b"PLANTED-SECRET-" * 20
KEY, OTHER_KEY = bytes([1]) * 32, bytes([2]) * 32


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault_module, "_WAIT_MS", 1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.vault"


def holding(path: Path, data: bytes = SECRET) -> list[str]:
    """The vault's files that hold the data in clear."""
    files = [each for each in path.parent.iterdir() if each.name.startswith(path.name)]
    return sorted(each.name for each in files if data in each.read_bytes())


def stored(path: Path) -> list[tuple[bytes, int, bytes, bytes]]:
    """The rows as another connection reads them."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    rows = connection.execute("SELECT slot, version, wrapped, sealed FROM item").fetchall()
    connection.close()
    return rows


def alter(path: Path, change: str, *values: object) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(change, values)
    connection.close()


def test_items_are_kept_listed_and_erased(path: Path) -> None:
    vault = Vault(path, KEY)
    vault.store([("a/1", SECRET), ("a/2", b"two"), ("b/1", b""), ("a", b"no folder")])

    assert (vault.load("a/1"), vault.load("b/1"), vault.load("c")) == (SECRET, b"", None)
    assert vault.names("a/") == ["a/1", "a/2"]
    assert vault.names("a") == vault.names("")[:3] == ["a", "a/1", "a/2"]
    assert vault.names() == ["a", "a/1", "a/2", "b/1"]
    assert (vault.erase(["a/1", "c"]), vault.load("a/1")) == (1, None)
    vault.store([("a/2", b"replaced")])
    assert (vault.load("a/2"), vault.version) == (b"replaced", 5)
    vault.close()


def test_no_value_name_or_key_is_in_clear(path: Path) -> None:
    vault = Vault(path, KEY)
    vault.store([("exchange/PLANTED-NAME/payload", SECRET)])

    for clear in (SECRET[:15], b"PLANTED-NAME", b"exchange", b"payload", KEY):
        assert holding(path, clear) == []
    ((slot, _, wrapped, sealed),) = stored(path)
    for kept in (slot, wrapped, sealed):  # the control: what is there is found
        assert holding(path, kept) == ["a.vault-wal"]
    assert len(sealed) == len(SECRET) + 16
    vault.close()


def test_an_erased_items_wrapped_key_is_gone_from_every_file(path: Path) -> None:
    vault = Vault(path, KEY)
    vault.store([(f"item/{number}", SECRET + bytes([number])) for number in range(50)])
    vault.erase([])  # moves the log into the main file
    rows = {vault._cipher.name(vault_module.SealedItem(*row)): row for row in stored(path)}
    _, _, wrapped, sealed = rows["item/7"]

    assert holding(path, wrapped) == ["a.vault"]
    assert holding(path, wrapped[12:44]) == ["a.vault"]
    assert vault.erase(["item/7"]) == 1
    for gone in (wrapped, wrapped[:44], wrapped[12:28], sealed, sealed[:16], sealed[-16:]):
        assert holding(path, gone) == []
    assert holding(path, rows["item/8"][2]) == ["a.vault"]
    vault.close()


def test_erasing_beside_a_reader_says_what_is_left_and_is_done_again(path: Path) -> None:
    vault = Vault(path, KEY)
    vault.store([("secret", SECRET)])
    ((_, _, wrapped, _),) = stored(path)
    reader = apsw.Connection(str(path))
    reader.execute("BEGIN; SELECT * FROM item").fetchall()

    with pytest.raises(BusyError, match=r"log may still hold them: close .* erase again$"):
        vault.erase(["secret"])
    assert vault.load("secret") is None
    assert holding(path, wrapped) == ["a.vault-wal"]
    reader.close()
    assert (vault.erase(["secret"]), holding(path, wrapped)) == (0, [])
    vault.close()


def test_another_writer_is_an_error_with_its_remedy(path: Path) -> None:
    vault = Vault(path, KEY)
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
    vault = Vault(path, KEY)
    vault.close()
    vault.close()

    for call in (
        lambda: vault.store([("a", b"")]),
        lambda: vault.load("a"),
        lambda: vault.names(),
        lambda: vault.erase(["a"]),
        lambda: vault.change_key(OTHER_KEY),
    ):
        with pytest.raises(StoreError, match=r"^cannot \w+.* vault "):
            call()


def test_a_damaged_vault_is_an_error_in_every_call(path: Path) -> None:
    vault = Vault(path, KEY)
    vault.store([(f"item/{number}", SECRET) for number in range(100)])
    vault.close()
    data = path.read_bytes()
    path.write_bytes(data[:8192] + os.urandom(len(data) - 8192))
    vault = Vault(path, KEY)

    for call in (lambda: vault.load("item/7"), lambda: vault.names()):
        with pytest.raises(LedgerError, match=r"a\.vault is damaged"):
            call()
    vault.close()


@pytest.mark.parametrize("value", [None, "text", -1])
@pytest.mark.parametrize(
    ("table", "column"),
    [("header", name) for name in ("vault", "key_check", "version", "since", "code")]
    + [("item", name) for name in ("version", "wrapped", "sealed")],
)
def test_a_value_of_another_type_is_damage(
    path: Path, table: str, column: str, value: object
) -> None:
    """SQLite holds to a table's types when it writes, and not when it reads a damaged page."""
    vault = Vault(path, KEY)
    vault.store([("item/1", SECRET)])
    vault.close()
    connection = apsw.Connection(str(path))
    declared = str(connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (table,)).get)
    loose = declared.replace(" NOT NULL", "").replace("STRICT, ", "").replace(" STRICT", "")
    loose = loose.replace(" BLOB", "").replace(" INTEGER", "")
    connection.execute(f"ALTER TABLE {table} RENAME TO old")
    connection.execute(loose)
    connection.execute(f"INSERT INTO {table} SELECT * FROM old; DROP TABLE old")
    connection.execute(f"UPDATE {table} SET {column} = ?", (value,))
    connection.close()

    with pytest.raises(LedgerError, match=r"a\.vault is damaged: a (value|number) is "):
        vault = Vault(path, KEY)
        try:
            vault.names()
            vault.load("item/1")
        finally:
            vault.close()


def test_what_is_no_vault_is_refused_and_let_go(path: Path, tmp_path: Path) -> None:
    other = apsw.Connection(str(path))
    other.execute("PRAGMA application_id=7; CREATE TABLE x (y)")
    other.close()
    (tmp_path / "b.vault").write_bytes(b"no database at all " * 100)

    kept = []  # An error keeps alive what its frames hold.
    for name in ("a.vault", "b.vault"):
        with pytest.raises(StoreError, match=r"is not a vault|not a database") as caught:
            Vault(tmp_path / name, KEY)
        kept.append(caught.value)
    opened = {each.resolve() for each in Path("/proc/self/fd").iterdir()}
    assert opened.isdisjoint({path.resolve(), (tmp_path / "b.vault").resolve()})


# Keys.


def test_another_key_is_refused_and_changes_nothing(path: Path) -> None:
    vault = Vault(path, KEY)
    vault.store([("a", SECRET)])
    vault.close()

    with pytest.raises(UntrustedError, match=r"key is not the one of vault .*a\.vault"):
        Vault(path, OTHER_KEY)
    with pytest.raises(LimitError, match="has 31 bytes, want 32"):
        Vault(path, KEY[:31])
    vault = Vault(path, KEY)
    assert vault.load("a") == SECRET
    vault.close()


def test_without_a_key_one_is_made_beside_the_vault(path: Path) -> None:
    key_path = path.with_name("a.vault.key")
    for _ in range(2):
        vault = Vault(path)
        vault.store([("a", SECRET)])
        vault.close()

    assert stat.S_IMODE(key_path.stat().st_mode) == stat.S_IMODE(path.stat().st_mode) == 0o600
    key_path.unlink()
    with pytest.raises(StoreError, match=r"a\.vault\.key does not exist: give the vault's key"):
        Vault(path)
    assert not key_path.exists()


def test_a_vault_that_was_lost_is_not_begun_anew_beside_its_key(path: Path) -> None:
    with Vault(path) as vault:
        vault.store([("a", SECRET)])
    path.rename(path.with_name("backup"))

    with pytest.raises(StoreError, match=r"a\.vault does not exist, but its key .* restore the"):
        Vault(path)
    assert not path.exists()

    path.with_name("backup").rename(path)
    with Vault(path) as vault:
        assert vault.load("a") == SECRET
    path.unlink()
    path.with_name("a.vault.key").rename(path.with_name("away"))
    with Vault(path) as vault:
        assert vault.names() == []


@pytest.mark.parametrize("at", ["the key", "the tables"])
def test_a_vault_whose_making_was_cut_off_is_made_on(
    path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """A crash before the key is there, or before the vault has its tables, locks nobody out."""

    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as cut:
        if at == "the key":
            cut.setattr(vault_module, "store_vault_key", fail)
        else:
            cut.setattr(Vault, "_make", fail)
        with pytest.raises(KeyboardInterrupt):
            Vault(path)
    assert path.exists()
    assert path.with_name("a.vault.key").exists() == (at == "the tables")

    for _ in range(2):
        with Vault(path) as vault:
            vault.store([("a", SECRET)])
    with Vault(path) as vault:
        assert vault.load("a") == SECRET


def test_a_key_file_under_a_passphrase_opens_with_it_only(path: Path) -> None:
    make_private(path)
    store_vault_key(f"{path}.key", KEY, b"a long passphrase", cost=10)
    vault = Vault(path, passphrase=b"a long passphrase")
    vault.store([("a", SECRET)])
    vault.close()

    with pytest.raises(PassphraseError, match="sealed under a passphrase: give it"):
        Vault(path)
    with pytest.raises(InvalidError, match="passphrase does not open the key"):
        Vault(path, passphrase=b"another")
    vault = Vault(path, KEY)
    assert vault.load("a") == SECRET
    vault.close()


def test_a_changed_key_opens_everything_and_the_old_one_nothing(path: Path) -> None:
    vault = Vault(path, KEY)
    vault.store([(f"item/{number}", SECRET + bytes([number])) for number in range(20)])
    vault.erase(["item/3"])
    before = stored(path)
    vault.change_key(OTHER_KEY)

    assert vault.load("item/5") == SECRET + bytes([5])
    assert len(vault.names("item/")) == 19
    vault.store([("item/20", b"")])
    vault.close()
    for _, _, wrapped, sealed in before:
        assert holding(path, wrapped) == []
        assert holding(path, sealed) == ["a.vault"]  # only keys are wrapped anew
    with pytest.raises(UntrustedError):
        Vault(path, KEY)
    vault = Vault(path, OTHER_KEY)
    assert vault.load("item/19") == SECRET + bytes([19])
    vault.close()


def test_after_erasing_and_a_change_of_key_an_older_copy_is_not_opened(path: Path) -> None:
    vault = Vault(path, KEY)
    vault.store([("erased", SECRET)])
    vault.erase([])
    copy = path.with_name("backup.vault")
    shutil.copy(path, copy)
    vault.erase(["erased"])
    vault.change_key(OTHER_KEY)
    vault.close()

    with pytest.raises(UntrustedError):
        Vault(copy, OTHER_KEY)
    kept = Vault(copy, KEY)  # the control: the old key does open it, and must be destroyed
    assert kept.load("erased") == SECRET
    kept.close()


def test_a_key_is_used_up_at_its_limit_and_changing_it_helps(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vault_module, "WRAPS", 3)
    vault = Vault(path, KEY)
    vault.store([("a", b"1"), ("a", b"2"), ("a", b"3")])

    with pytest.raises(LimitError, match="used up: change it"):
        vault.store([("a", b"4")])
    assert vault.load("a") == b"3"
    vault.change_key(OTHER_KEY)
    vault.store([("b", b"5"), ("b", b"6")])
    with pytest.raises(LimitError):
        vault.store([("b", b"7")])
    vault.close()


# What somebody changed in the file.


@pytest.mark.parametrize("column", ["wrapped", "sealed", "version", "slot"])
def test_what_is_swapped_between_two_rows_is_refused(path: Path, column: str) -> None:
    vault = Vault(path, KEY)
    vault.store([("a", b"first value"), ("b", b"other value")])
    a, b = (vault._cipher.slot(name) for name in "ab")
    rows = {row[0]: row for row in stored(path)}
    at = ("slot", "version", "wrapped", "sealed").index(column)
    if column == "slot":
        alter(path, "UPDATE item SET slot = ? WHERE slot = ?", b"\0" * 16, a)
        alter(path, "UPDATE item SET slot = ? WHERE slot = ?", a, b)
        alter(path, "UPDATE item SET slot = ? WHERE slot = ?", b, b"\0" * 16)
    else:
        for one, other in ((a, b), (b, a)):
            alter(path, f"UPDATE item SET {column} = ? WHERE slot = ?", rows[other][at], one)

    for name in "ab":
        with pytest.raises(CorruptError, match=r"^vault .*a\.vault is damaged: (item|key of)"):
            vault.load(name)
    vault.close()


def test_a_row_of_another_vault_with_the_same_key_is_refused(path: Path) -> None:
    vault, other = Vault(path, KEY), Vault(path.with_name("b.vault"), KEY)
    vault.store([("a", b"mine")])
    other.store([("a", b"another's")])
    ((_, version, wrapped, sealed),) = stored(path.with_name("b.vault"))
    alter(path, "UPDATE item SET version=?, wrapped=?, sealed=?", version, wrapped, sealed)

    with pytest.raises(CorruptError):
        vault.load("a")
    vault.close()
    other.close()


def test_an_older_header_an_older_vault_and_what_is_not_detected(path: Path) -> None:
    vault = Vault(path, KEY)
    vault.store([("a", b"old")])
    ((slot, *old),) = stored(path)
    connection = apsw.Connection(str(path))
    header = connection.execute("SELECT version, code FROM header").fetchall()[0]
    connection.close()
    vault.store([("a", b"new")])
    remembered = vault.version

    vault.close()

    alter(path, "UPDATE header SET version = ?, code = ?", *header)
    vault = Vault(path, KEY)
    with pytest.raises(CorruptError, match="item has version 2, want at most 1"):
        vault.load("a")
    alter(path, "UPDATE header SET version = 7")
    for call in (lambda: vault.store([("b", b"")]), lambda: Vault(path, KEY)):
        with pytest.raises(CorruptError, match="header is not what was stored"):
            call()
    alter(path, "UPDATE header SET version = ?, code = ?", *header)
    alter(path, "UPDATE item SET version=?, wrapped=?, sealed=? WHERE slot=?", *old, slot)
    assert vault.load("a") == b"old"  # a whole older vault looks right from inside
    vault.close()
    with pytest.raises(RollbackError, match="version 1, want at least 2: an older one"):
        Vault(path, KEY, at_least=remembered)


@examples(60)
@given(at=st.integers(0, 10_000), bit=st.integers(0, 7), column=st.integers(1, 3))
def test_every_flipped_bit_of_a_row_is_found(at: int, bit: int, column: int) -> None:
    cipher = Cipher(KEY, bytes(16))
    row = cipher.seal("folder/name", 3, SECRET, SeededEntropy(at))
    fields = list(row)
    if column == 1:
        fields[1] ^= 1 << bit
    else:
        data = bytearray(row[column])
        data[at % len(data)] ^= 1 << bit
        fields[column] = bytes(data)

    assert cipher.open(row, "folder/name") == SECRET
    with pytest.raises(CorruptError):
        cipher.open(vault_module.SealedItem(*fields), "folder/name")


# Transactions.


def test_a_transaction_is_whole_or_not_there(path: Path) -> None:
    vault, beside = Vault(path, KEY), Vault(path, KEY)
    with pytest.raises(ZeroDivisionError), vault.transaction():
        vault.store([("a", b"1")])
        _ = 1 / 0
    with vault.transaction():
        vault.store([("b", b"2")])
        assert (vault.load("b"), beside.load("b")) == (b"2", None)
        with pytest.raises(BusyError):
            beside.store([("c", b"3")])
        vault.store([("d", b"4")])

    assert beside.names() == ["b", "d"]
    assert vault.version == 2
    vault.close()
    beside.close()


def test_a_transaction_inside_another_takes_back_only_its_own(path: Path) -> None:
    vault = Vault(path, KEY)
    with vault.transaction():
        vault.store([("a", b"1")])
        with pytest.raises(ZeroDivisionError), vault.transaction():
            vault.store([("a", b"2"), ("b", b"3")])
            _ = 1 / 0
        with vault.transaction():
            vault.store([("c", b"4")])

    assert [(name, vault.load(name)) for name in vault.names()] == [("a", b"1"), ("c", b"4")]
    assert vault.version == 2
    vault.close()
    again = Vault(path, KEY)
    assert again.load("c") == b"4"
    again.close()


def test_a_transaction_holds_a_bounded_number_of_rows_in_memory(path: Path) -> None:
    vault = Vault(path, KEY)
    names = [f"item/{number}" for number in range(3 * vault_module.SEALED_ROWS)]
    with vault.transaction():
        for name in names:
            vault.store([(name, name.encode())])
            assert len(vault._sealed) < vault_module.SEALED_ROWS

    assert vault.names() == sorted(names)
    assert all(vault.load(name) == name.encode() for name in names)
    vault.close()


@pytest.mark.parametrize("call", ["erase", "change_key"])
def test_what_cuts_the_log_is_refused_at_once_inside_a_transaction(path: Path, call: str) -> None:
    vault = Vault(path, KEY)
    vault.store([("a", SECRET)])
    calls = {"erase": lambda: vault.erase(["a"]), "change_key": lambda: vault.change_key(OTHER_KEY)}

    with vault.transaction():
        vault.store([("b", b"2")])
        with pytest.raises(StoreError, match=r"inside a transaction.*: end the transaction first$"):
            calls[call]()
        vault.store([("c", b"3")])

    assert (vault.names(), vault.load("a")) == (["a", "b", "c"], SECRET)
    calls[call]()
    assert vault.load("b") == b"2"
    vault.close()


@pytest.mark.parametrize("name", ["", "n" * 513])
def test_a_name_past_its_limit_is_refused(path: Path, name: str) -> None:
    vault = Vault(path, KEY)
    with pytest.raises(LimitError, match=r"name has \d+ bytes, want 1 to 512"):
        vault.store([("fine", b""), (name, b"")])
    assert vault.names() == []
    vault.close()


def test_a_value_past_its_limit_is_refused_and_stops_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vault_module, "VALUE_BYTES", 8)
    with Vault(path, KEY) as vault:
        with pytest.raises(LimitError, match="item long has 9 bytes, want at most 8"):
            vault.store([("fine", bytes(8)), ("long", bytes(9))])
        vault.store([("fine", bytes(8))])
        assert vault.names() == ["fine"]


def test_two_that_make_one_vault_at_once_share_it(path: Path) -> None:
    made: Callable[[], Vault] = lambda: Vault(path, KEY)  # noqa: E731
    path.touch()
    one, other = made(), made()
    one.store([("a", b"1")])

    assert other.load("a") == b"1"
    one.close()
    other.close()


def test_the_log_does_not_grow_without_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault_module, "_LOG_PAGES", 20)
    vault, log = Vault(path, KEY), path.with_name(path.name + "-wal")

    for number in range(100):
        vault.store([(f"item/{number}", SECRET)])

    assert log.stat().st_size < 60 * 4096
    vault.close()


def test_an_error_of_the_caller_does_not_stop_the_vault(path: Path) -> None:
    def broken(first: Any) -> Iterator[Any]:
        yield first
        raise ZeroDivisionError

    vault = Vault(path, KEY)
    with pytest.raises(ZeroDivisionError):
        vault.store(broken(("a", SECRET)))
    with pytest.raises(ZeroDivisionError):
        vault.erase(broken("a"))

    vault.store([("b", SECRET)])
    assert vault.names() == ["b"]
    vault.close()


def test_who_still_has_the_old_key_writes_nothing(path: Path) -> None:
    vault, beside = Vault(path, KEY), Vault(path, KEY)
    vault.change_key(OTHER_KEY)

    with pytest.raises(CorruptError, match="unless its key was changed: open it anew"):
        beside.store([("a", SECRET)])
    assert vault.names() == []
    vault.close()
    beside.close()
