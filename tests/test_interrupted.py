"""An interrupt of one call, wherever Python may raise it, leaves the ledger to other threads."""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from signal import SIGUSR1, pthread_kill, signal
from threading import Thread, get_ident

import pytest

from ledgercore import (
    AsyncLedger,
    Ledger,
    RefusedError,
    Replica,
    SigningKey,
    StoreError,
    UnavailableError,
    cosign_checkpoint,
    disk,
    testing,
)
from ledgercore.ledger import replica
from ledgercore.records import ConsentRevoke, Witness, encode
from ledgercore.store import WitnessStore, sqlite
from ledgercore.vault import Vault
from tests.interrupts import BLOCKS, Place, interrupted

# A file that an interrupt kept from its block is closed with the object, and one that comes while
# a generator is dropped is passed over: Python warns of both.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

PATIENCE_S = 10
WITNESS = testing.signing_key(50)
NAMES = [b"network", b"key/" + bytes(32)]

KEEPING = ("ledger", "store", "disk.py", BLOCKS)
"""The parts of the package that keep locks, transactions and files."""

Seen = set[Place]


def others_get(call: Callable[[], object]) -> None:
    """Another thread's call comes to its end, or it is said that it waits for ever."""
    raised: list[BaseException] = []

    def make() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001  # it is raised below
            raised.append(error)

    thread = Thread(target=make, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    assert not thread.is_alive(), "waits for ever"
    if raised:
        raise raised[0]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sqlite, "reserve", lambda path, size: None)  # ledgers are opened often
    path = tmp_path / "a.ledger"
    witnesses = [Witness("w.example", WITNESS.public_key)]
    with Ledger.create(path, origin="a.example", witnesses=witnesses) as ledger:
        ledger.append_many([b"%d" % number for number in range(300)])
    return path


def read_lines(path: Path) -> None:
    with disk.open_lines(str(path), 100) as batches:
        assert list(batches)


def open_descriptors() -> int:
    gc.collect()
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


FILES: dict[str, Callable[[Path], object]] = {
    "write new": lambda path: disk.write_new(path.with_name("b"), b"b"),
    "read private": lambda path: disk.read_private(f"{path}.key"),
    "read lines": lambda path: read_lines(Path(f"{path}.key")),
    "reserve": lambda path: disk.reserve(path.with_name("c"), 9),
}


@pytest.mark.parametrize("name", FILES)
def test_an_interrupt_leaves_no_file_open(
    path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a directory nothing but a number can be opened, which one instant may lose."""
    monkeypatch.setattr(disk, "_flush_directory", lambda path: None)
    empty, open_before, interrupts = path.with_name("c"), open_descriptors(), 0

    def call() -> None:
        path.with_name("b").unlink(missing_ok=True)
        empty.write_bytes(b"")
        FILES[name](path)

    for error in interrupted(call, set(), "disk.py"):
        interrupts += 1
        error.with_traceback(None)  # whoever handles it is done with it, and so with its frames
        assert open_descriptors() == open_before

    assert interrupts > 3


READS: dict[str, Callable[[Ledger], object]] = {
    "head": lambda ledger: ledger.checkpoint,
    "receipt": lambda ledger: ledger.receipt(7),
    "receipts": lambda ledger: ledger.receipts([1, 299], states_of=NAMES),
    "record": lambda ledger: ledger.record(299),
    "find": lambda ledger: ledger.find(ledger.record(5).id),
    "records": lambda ledger: list(ledger),
    "state": lambda ledger: ledger.state(b"network"),
    "states": lambda ledger: list(ledger.states(b"")),
    "prove_state": lambda ledger: ledger.prove_state(b"network"),
    "state_receipt": lambda ledger: ledger.state_receipt(b"network"),
    "prove_records": lambda ledger: ledger.prove_records([1, 2, 3]),
    "prove_consistency": lambda ledger: ledger.prove_consistency(1),
    "blocks": lambda ledger: list(ledger.blocks()),
    "note": lambda ledger: ledger.note(0),
    "published": lambda ledger: ledger.published,
    "next_position": lambda ledger: ledger.next_position(bytes(32)),
    "verify": lambda ledger: ledger.verify(),
}


def moments(ledger: Ledger) -> None:
    with ledger.moment(), ledger.moment():
        assert ledger.size == ledger.record(300).sequence + 1


@pytest.mark.parametrize("read_only", [False, True])
def test_a_read_leaves_no_lock_and_no_snapshot(path: Path, read_only: bool) -> None:
    seen: Seen = set()
    with Ledger.open(path, read_only=read_only) as ledger:
        reader = ledger._reader
        for read in [*READS.values(), moments]:
            for error in interrupted(lambda read=read: read(ledger), seen):
                others_get(lambda: ledger.record(1))
                assert reader._moment.depth == 0, error
                assert not reader.store._connection.in_transaction, error
        assert ledger.verify().records == 301
    assert len(seen) > 500


def test_a_reader_that_was_interrupted_follows_the_writer(path: Path) -> None:
    with Ledger.open(path) as ledger, Ledger.open(path, read_only=True) as reader:

        def read() -> None:
            assert reader.record(reader.size - 1) is not None
            assert list(reader.states(b""))

        for _ in interrupted(read, set()):
            ledger.append(b"another")
            others_get(lambda: reader.record(ledger.size - 1))


def revocation(ledger: Ledger) -> bytes:
    body = encode(ConsentRevoke(bytes(32)))
    key = SigningKey(bytes(32))
    return key.sign_record(
        "std", ledger.network, ConsentRevoke.KIND, body, sequence=0, previous=bytes(32)
    ).encode()


def promise(ledger: Ledger) -> None:
    with suppress(RefusedError):  # the lock is taken before the rules are asked
        ledger.promise(revocation(ledger), 1_000)


NUMBERS = count()


def cosign(ledger: Ledger) -> None:
    note = cosign_checkpoint(ledger.checkpoint, "w.example", WITNESS, next(NUMBERS))
    ledger.add_cosignatures(note)


WRITES: dict[str, Callable[[Ledger], object]] = {
    "append": lambda ledger: ledger.append(b"%d" % next(NUMBERS)),
    "append_many": lambda ledger: ledger.append_many([b"%d" % next(NUMBERS), b"x"])[1],
    "submit_many": lambda ledger: ledger.submit_many([ledger.record(1).encode()]),
    "submit_batches": lambda ledger: list(ledger.submit_batches([[ledger.record(1).encode()]])),
    "promise": promise,
    "cosign": cosign,
}


def test_a_write_leaves_no_lock_and_no_transaction(path: Path) -> None:
    seen: Seen = set()
    opened = [Ledger.open(path)]
    for write in WRITES.values():
        for error in interrupted(lambda write=write: write(opened[0]), seen, *KEEPING):
            size: list[int] = []
            others_get(lambda size=size: size.append(opened[0].size))
            assert not opened[0]._reader.store._connection.in_transaction, error
            with suppress(StoreError):  # stopped, where it is not known what became of a block
                others_get(lambda: opened[0].append(b"another"))
                continue
            others_get(opened[0].close)
            opened[0] = Ledger.open(path)
            assert 0 <= opened[0].size - size[0] <= 2  # committed, and not acknowledged
    with opened[0] as ledger:
        assert ledger.verify().records == ledger.size
    assert len(seen) > 200


def test_a_ledger_is_opened_again_where_opening_or_closing_was_interrupted(path: Path) -> None:
    seen: Seen = set()
    for read_only in (False, True):
        opened: list[Ledger] = []

        def open_and_close(opened: list[Ledger] = opened, read_only: bool = read_only) -> None:
            opened[:] = []
            opened[:] = [Ledger.open(path, read_only=read_only)]
            opened[0].close()

        for _ in interrupted(open_and_close, seen, *KEEPING):
            for ledger in opened:
                others_get(ledger.close)
            with Ledger.open(path) as again:
                assert again.size == 301
    assert len(seen) > 200


def test_a_backup_that_was_interrupted_is_made_again(tmp_path: Path) -> None:
    target = tmp_path / "copy.ledger"
    with Ledger.create(tmp_path / "a.ledger", origin="a.example") as ledger:

        def back_up() -> None:
            target.unlink(missing_ok=True)
            ledger.backup(target)

        for _ in interrupted(back_up, set(), "ledger/ledger.py", "store/sqlite.py"):
            others_get(lambda: ledger.record(0))


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_asyncio_leaves_the_ledger_to_others(path: Path) -> None:
    with Ledger.open(path) as ledger:

        async def use() -> None:
            # Of the tasks that nobody waits for any more.
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
            opened = AsyncLedger(ledger)
            await asyncio.gather(*(opened.append(b"%d" % number) for number in range(3)))
            assert await opened.size() == len(ledger)

        for _ in interrupted(lambda: asyncio.run(use()), set(), "aio.py"):
            others_get(lambda: ledger.append(b"another"))
        gc.collect()  # coroutines that were dropped before they began


def use_vault(vault: Vault) -> None:
    vault.store([("a", b"1"), ("b", b"2")])
    with vault.transaction():
        vault.store([("c", b"3")])
        with vault.transaction():
            vault.store([("d", b"4")])
            assert vault.load("d") == b"4"
    assert vault.names("d") == ["d"]
    vault.erase(["c"])
    vault.change_key(bytes(32))


def test_a_vault_is_left_to_others(tmp_path: Path) -> None:
    path, seen = tmp_path / "vault", Seen()
    opened = [Vault(path, bytes(32))]
    for error in interrupted(lambda: use_vault(opened[0]), seen, "vault", BLOCKS):
        others_get(opened[0].names)
        assert not opened[0]._connection.in_transaction, error
        with suppress(StoreError):  # stopped, where it is not known what became of a write
            others_get(lambda: opened[0].store([("e", b"5")]))
            continue
        others_get(opened[0].close)
        opened[0] = Vault(path, bytes(32))
    opened[0].close()
    assert len(seen) > 50


def test_a_witness_is_left_to_others(tmp_path: Path) -> None:
    store = WitnessStore.create(tmp_path / "witness")
    seen: Seen = set()

    def replace() -> None:
        store.replace("a.example", store.cosigned("a.example"), f"{next(NUMBERS)}")

    for _ in interrupted(replace, seen, "store", BLOCKS):
        assert not store._connection.in_transaction
        others_get(replace)
    store.close()
    assert seen


def test_a_copy_whose_flush_failed_stops_also_where_it_is_interrupted(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger.open(path, read_only=True) as ledger:
        first, block = ledger.blocks()
        copies = [Replica.create(tmp_path / "0", ledger.trust_anchor, first)]
        failed: list[bool] = []

        def fail(*given: object, **named: object) -> None:
            failed.append(True)
            raise StoreError("flush failed")

        def append() -> None:
            with suppress(StoreError):
                copies[0].append([block])

        monkeypatch.setattr(replica, "commit_block", fail)
        for number, _ in enumerate(interrupted(append, set(), "ledger/replica.py", BLOCKS)):
            if failed:
                with pytest.raises(UnavailableError, match="copy has stopped"):
                    copies[0].append([block])
            failed.clear()
            copies[0].close()
            copies[0] = Replica.create(tmp_path / f"{number + 1}", ledger.trust_anchor, first)
        assert failed
        copies[0].close()


def test_a_vault_whose_flush_failed_stops_also_where_it_is_interrupted(tmp_path: Path) -> None:
    opened, failed = [Vault(tmp_path / "vault", bytes(32))], list[bool]()

    def fail() -> bool:
        failed.append(True)
        return True  # SQLite does not commit

    def store() -> None:
        with suppress(StoreError):
            opened[0].store([("a", b"1")])

    opened[0]._connection.set_commit_hook(fail)
    for _ in interrupted(store, set(), "vault", BLOCKS):
        if failed:
            with pytest.raises(StoreError, match="an earlier write failed"):
                opened[0].store([("a", b"1")])
        failed.clear()
        opened[0].close()
        opened[0] = Vault(tmp_path / "vault", bytes(32))
        opened[0]._connection.set_commit_hook(fail)
    assert failed
    opened[0].close()


SIGNALS = 300


def test_signals_at_any_instant_leave_reads_to_others(path: Path, rng: random.Random) -> None:
    """Also where no trace stops: in what the core and SQLite do, and between the two."""
    came = armed = False
    main = get_ident()

    def interrupt(number: int, frame: object) -> None:
        nonlocal came
        came = True
        if armed:
            raise KeyboardInterrupt

    def send(after_s: float) -> None:
        time.sleep(after_s)
        pthread_kill(main, SIGUSR1)

    def repeat(call: Callable[[], object]) -> None:
        """Outside the block below, which Python 3.13 may not leave from a loop inside."""
        while not came:
            call()

    before = signal(SIGUSR1, interrupt)
    try:
        with Ledger.open(path) as ledger, Ledger.open(path, read_only=True) as reader:
            calls = [lambda: moments(ledger), lambda: reader.receipt(7), lambda: len(reader)]
            for _ in range(SIGNALS):
                call, sender = rng.choice(calls), Thread(target=send, args=(rng.random() / 3_000,))
                came = False
                sender.start()
                with suppress(KeyboardInterrupt):
                    armed = True
                    repeat(call)
                armed = False
                sender.join()
                others_get(lambda: (len(ledger), len(reader)))
                assert not reader._reader.store._connection.in_transaction
    finally:
        signal(SIGUSR1, before)
