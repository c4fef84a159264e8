"""A forked process opens a ledger anew, and its batches have threads."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from ledgercore import Ledger, SigningKey, UnavailableError
from ledgercore._core import OwnLock
from ledgercore.vault import Vault

PAYLOADS = [b"%d" % number for number in range(2_000)]
PATIENCE_S = 60


def run_in_child(work: Callable[[], None]) -> int:
    """The exit code of a forked process; a signal ends one that waits for ever."""
    child = os.fork()
    if child == 0:
        signal.alarm(PATIENCE_S)
        try:
            work()
        except BaseException:  # noqa: BLE001  # nothing of the parent's test may run here
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def append_and_verify(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.append_many(PAYLOADS)
        ledger.verify()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger whose batches have made this process start the core's threads."""
    path = tmp_path / "a.ledger"
    with Ledger.create(path, origin="fork.example") as ledger:
        ledger.append_many(PAYLOADS)
    return path


def test_a_child_and_its_child_append_and_verify(path: Path) -> None:
    def work() -> None:
        append_and_verify(path)
        assert run_in_child(lambda: append_and_verify(path)) == 0

    assert run_in_child(work) == 0
    append_and_verify(path)
    with Ledger.open(path, read_only=True) as ledger:
        assert ledger.size == 1 + 4 * len(PAYLOADS)


def test_a_child_cannot_use_what_its_parent_opened(path: Path) -> None:
    with Ledger.open(path) as ledger:

        def work() -> None:
            with pytest.raises(UnavailableError, match="open it anew in this one"):
                ledger.append(b"another")

        assert run_in_child(work) == 0


class CountingKey:
    """A signer that counts what it signed."""

    def __init__(self) -> None:
        self._key = SigningKey(bytes(32))
        self.public_key = self._key.public_key
        self.count = 0

    def sign(self, message: bytes) -> bytes:
        self.count += 1
        return self._key.sign(message)


def test_a_child_signs_nothing_for_the_ledger_of_its_parent(tmp_path: Path) -> None:
    key = CountingKey()
    with Ledger.create(tmp_path / "a.ledger", origin="fork.example", key=key) as ledger:
        ledger.append(b"x")  # the position of the next record is known now, and read no more

        def work() -> None:
            signed = key.count
            for append in (lambda: ledger.append(b"x"), lambda: ledger.append_many([b"x", b"y"])):
                with pytest.raises(UnavailableError, match="open it anew in this one"):
                    append()
            assert key.count == signed

        assert run_in_child(work) == 0
        ledger.append(b"x")


@contextmanager
def held(lock: OwnLock) -> Iterator[None]:
    """Another thread has the lock, and keeps it."""
    taken, done = Event(), Event()

    def hold() -> None:
        with lock:
            taken.set()
            done.wait(PATIENCE_S)

    thread = Thread(target=hold)
    thread.start()
    taken.wait(PATIENCE_S)
    try:
        yield
    finally:
        done.set()
        thread.join()


READS: list[Callable[[Ledger], object]] = [
    lambda ledger: ledger.size,
    lambda ledger: ledger.checkpoint,
    lambda ledger: ledger.record(1),
    lambda ledger: ledger.receipts([1]),
    lambda ledger: ledger.state(b"network"),
    lambda ledger: ledger.next_position(bytes(32)),
    lambda ledger: ledger.append(b"another"),
    lambda ledger: ledger.submit_many([ledger.record(1).encode()]),
]


def test_a_child_of_a_process_whose_threads_read_waits_for_none(path: Path) -> None:
    with Ledger.open(path) as ledger, held(ledger._reader.lock):

        def work() -> None:
            for read in READS:
                with pytest.raises(UnavailableError, match="open it anew in this one"):
                    read(ledger)
            ledger.close()

        assert run_in_child(work) == 0
    with Ledger.open(path) as ledger:
        ledger.append(b"another")


def test_a_child_leaves_its_parents_vault_alone(tmp_path: Path) -> None:
    with Vault(tmp_path / "vault") as vault:
        vault.store([("a", b"1")])

        def work() -> None:
            for use in (
                lambda: vault.store([("b", b"2")]),
                lambda: vault.load("a"),
                lambda: vault.erase(["a"]),
                lambda: vault.transaction().__enter__(),
            ):
                with pytest.raises(UnavailableError, match="open it anew in this one"):
                    use()
            vault.close()
            with Vault(tmp_path / "vault") as own:
                own.store([("c", b"3")])

        with held(vault._lock):
            assert run_in_child(work) == 0
        assert set(vault.names()) == {"a", "c"}
