"""A forked process opens a ledger anew, and its batches have threads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from ledgercore import InvalidSignature, Ledger, Receipt, SigningKey, UnavailableError
from ledgercore._core import Bracket, Checkpoint, OwnLock, attach_signature
from ledgercore.primitives import verify_signatures
from ledgercore.vault import Vault

PAYLOADS = [b"%d" % number for number in range(2_000)]
PATIENCE_S = 60


def run_in_child(work: Callable[[], None]) -> int:
    """The exit code of a forked process; a signal ends one that waits for ever."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # one in Python waits for the core to return
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


def test_a_child_that_leaves_blocks_of_its_parent_ends_none() -> None:
    calls: list[str] = []
    bracket = Bracket(
        lambda depth: calls.append(f"begin {depth}"),
        lambda depth, error: calls.append(f"end {depth}"),
        OwnLock("a block"),
    )

    def leave() -> None:
        # As whatever ends a child by an error does with all the blocks around it.
        error = ZeroDivisionError()
        bracket.__exit__(ZeroDivisionError, error, None)
        bracket.__exit__(ZeroDivisionError, error, None)
        assert bracket.depth == 0
        assert calls == ["begin 0", "begin 1"]

    with bracket, bracket:
        assert run_in_child(leave) == 0

    assert calls == ["begin 0", "begin 1", "end 1", "end 0"]


def test_a_child_that_leaves_a_transaction_of_its_parents_vault_writes_nothing(
    tmp_path: Path,
) -> None:
    with Vault(tmp_path / "vault") as vault:

        def leave() -> None:
            vault._transaction.__exit__(None, None, None)
            assert vault._connection.in_transaction

        with pytest.raises(ZeroDivisionError), vault.transaction():
            vault.store([("a", b"1")])
            assert run_in_child(leave) == 0
            raise ZeroDivisionError

        assert list(vault.names()) == []


def many_times_signed(note: str, key: SigningKey, count: int) -> str:
    """The checkpoint of a note with so many lines of its operator, who signed other texts."""
    checkpoint = Checkpoint.parse(note)
    wrong = [key.sign(b"%d" % number) for number in range(count)]
    notes = [attach_signature(checkpoint, key.public_key, signature) for signature in wrong]
    lines = [each.removeprefix(f"{checkpoint.format()}\n") for each in notes]
    return f"{checkpoint.format()}\n{''.join(lines)}"


@pytest.mark.parametrize("signs_often", [False, True])
@pytest.mark.parametrize("count", [1, 2, 9, 64])
def test_a_child_refuses_a_note_with_many_wrong_signatures(
    path: Path, tmp_path: Path, count: int, signs_often: bool
) -> None:
    key = SigningKey(bytes([count, signs_often]) * 16)
    with Ledger.create(tmp_path / "b.ledger", origin="fork.example", key=key) as ledger:
        ledger.append(b"x")
        receipt, anchor = ledger.receipts([1])[0], ledger.trust_anchor
    for _ in range(40 if signs_often else 0):
        anchor.verify_operator(receipt.checkpoint)
    note = many_times_signed(receipt.checkpoint, key, count)
    forged = Receipt(
        index=1, path=receipt.path, checkpoint=note, envelope=receipt.envelope, state=receipt.state
    )

    def work() -> None:
        for verify in (
            lambda: forged.verify(b"x", anchor),
            lambda: anchor.verify_checkpoint(note),
            lambda: anchor.verify_operator(note),
        ):
            with pytest.raises(InvalidSignature, match=r"fork\.example"):
                verify()

    assert run_in_child(work) == 0


ALONE = """
import os, sys
from ledgercore import InvalidSignature
from ledgercore._core import Anchor
origin, note, *keys = sys.argv[1:]
network, operator_key = map(bytes.fromhex, keys)
anchor = Anchor(origin=origin, network=network, suite="std", operator_key=operator_key)
for _ in range(3):
    try:
        anchor.verify_checkpoint(note)
    except InvalidSignature:
        print(len(os.listdir("/proc/self/task")))
"""


@pytest.mark.parametrize("count", [1, 20, 64])
def test_a_note_is_verified_by_the_thread_that_asks_alone(tmp_path: Path, count: int) -> None:
    """So that a fork finds no threads half begun, which its child would wait for."""
    key = SigningKey(bytes(32))
    with Ledger.create(tmp_path / "a.ledger", origin="fork.example", key=key) as ledger:
        anchor = ledger.trust_anchor
        note = many_times_signed(ledger.receipts([0])[0].checkpoint, key, count)
    given = ["fork.example", note, anchor.network.hex(), anchor.operator_key.hex()]

    ran = subprocess.run([sys.executable, "-c", ALONE, *given], capture_output=True, check=True)

    assert ran.stdout.split() == [b"1"] * 3


HASHING = """
import os, signal, sys
from threading import Thread
from ledgercore._core import group_commit, hash_domain, leaf_hashes
number = bytes([1]) + bytes(31)
def work():
    for suite in ("std", "c2sp"):
        leaf_hashes(suite, [b"x"] * 16)
        hash_domain(suite, "record", b"x")
    group_commit([1], [number])
thread = Thread(target=work)
thread.start()
child = os.fork()
if child == 0:
    signal.alarm(20)
    work()
    os._exit(0)
thread.join()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_child_of_a_process_that_hashes_for_the_first_time_waits_for_none() -> None:
    """In the midst of the keys of domains, of the second generator, and of what tries lanes.

    One may fail: of some 2,700 children one did, and whether it waited, and for what, is not known.
    While those were made behind locks some three in forty waited for ever.
    """
    command = [sys.executable, "-c", HASHING]
    ran = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(40)]

    failed = [(each.stdout, each.stderr) for each in ran if each.stdout != "0\n"]
    assert len(failed) <= 1, failed


def test_a_child_of_a_process_whose_threads_verify_waits_for_none() -> None:
    """In the midst of what is known of keys, of what is made once, and of halves of few."""
    key, wrong = SigningKey(bytes(31) + b"\7"), [bytes(64)] * 64
    messages = [bytes([number]) for number in range(64)]
    signatures = [key.sign(message) for message in messages]
    ended = Event()

    def verify() -> None:
        verify_signatures([key.public_key] * 64, messages, signatures)

    def verify_on() -> None:
        while not ended.is_set():
            verify()

    def work() -> None:
        for _ in range(20):
            verify()
        with pytest.raises(InvalidSignature):
            verify_signatures([key.public_key] * 64, messages, wrong)

    threads = [Thread(target=verify_on) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        assert [run_in_child(work) for _ in range(100)] == [0] * 100
    finally:
        ended.set()
        for thread in threads:
            thread.join()
