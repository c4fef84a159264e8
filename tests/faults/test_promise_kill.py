"""A party that is killed between what it says is gone and what it destroys finishes, or says so.

It is killed before each write, truncation and flush of its ledger and its vault, from before the
record is kept until all is settled. Then either of the two is as it was left, or is put back to
what it was before: the vault has lost what it destroyed, or the ledger what it ordered.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ledgercore import Ledger, RollbackError
from ledgercore.clock import ManualClock
from ledgercore.exchange import Draft, resume, submit
from ledgercore.exchange.content import PROMISES as KINDS
from ledgercore.exchange.signer import RecordSigner
from ledgercore.keyfile import load_key
from ledgercore.records import SchemaRegister, encode
from ledgercore.rules import exchange_object
from ledgercore.vault import Vault
from tests.faults.row import reliability_row
from tests.promises import PROMISES, Act, moved_to
from tests.town import Town

NOW_MS = 1_700_600_000_000
KILLS = 40
"""At least, for each kind of promise."""
STAGES = {"not kept", "kept", "ordered", "destroyed", "settled"}

PROGRAM = """
import os, signal, sys
from ledgercore import Ledger, records
from ledgercore.clock import ManualClock
from ledgercore.exchange import Draft, submit
from ledgercore.exchange.content import PROMISES, destroy, named_exchange
from ledgercore.exchange.signer import RecordSigner
from ledgercore.keyfile import load_key
from ledgercore.vault import Vault
from tests.faults.vfs import CallingVFS

def live(directory, member, kind, body, kill_at, how):
    left = int(kill_at)
    def call():
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
    key, body = load_key(f"{directory}/{member}.key"), bytes.fromhex(body)
    vfs, clock = CallingVFS("calling", call), ManualClock(NOW_MS)
    vault = Vault(f"{directory}/{member}.vault", vfs="calling")
    with Ledger.open(f"{directory}/exchange.ledger", clock=clock, vfs="calling") as ledger:
        if how == "hastily":
            destroy(vault, PROMISES[kind](ledger, named_exchange(kind, body)))
        submit(ledger, [Draft(RecordSigner(key, vault), records.decode(kind, body))])
    vault.close()

# No threads and no open files before it forks: each life is a process of its own.
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        live(*line.split())
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    print(status, flush=True)
""".replace("NOW_MS", str(NOW_MS))


@dataclass
class Promise:
    """A record that says what is gone of an exchange, before it is signed."""

    directory: Path
    member: str
    kind: str
    body: bytes
    intent: bytes
    before: list[str]
    secrets: list[bytes]
    """The wrapped data keys of what it says is gone."""


class Lives:
    """A program that is begun anew for each life, and is killed in it."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", PROGRAM]
        self._server = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def live(self, promise: Promise, directory: Path, kill_at: int, how: str) -> bool:
        """Whether it was killed."""
        assert self._server.stdin is not None and self._server.stdout is not None
        said = (directory, promise.member, promise.kind, promise.body.hex(), kill_at, how)
        print(*said, file=self._server.stdin, flush=True)
        status = int(self._server.stdout.readline())
        assert status in (0, 9), status
        return status == 9

    def close(self) -> None:
        self._server.communicate()


@pytest.fixture(scope="module")
def lives() -> Iterator[Lives]:
    with closing(Lives()) as made:
        yield made


def prepare(directory: Path, act: Act, status: str, reason: str) -> Promise:
    directory.mkdir()
    town = Town(directory)
    intent = moved_to(town, status)
    draft, ledger = act(town, intent, reason), town.parties.ledger
    vault, kind = draft.key.vault, draft.body.KIND
    gone = KINDS[kind](ledger, intent)
    items = [
        name
        for each in gone
        for name in (vault.names(each) if each.endswith("/") else [each])
        if vault.load(name) is not None
    ]
    rows = [vault._rows("SELECT * FROM item WHERE slot = ?", vault._cipher.slot(n)) for n in items]
    secrets = [row.wrapped for found in rows for row in found]
    before = vault.names()
    town.parties.close()
    member = vault.path.name.removesuffix(".vault")
    return Promise(directory, member, kind, encode(draft.body), intent, before, secrets)


@contextmanager
def opened(promise: Promise, directory: Path) -> Iterator[tuple[Ledger, RecordSigner]]:
    clock, key = ManualClock(NOW_MS), load_key(directory / f"{promise.member}.key")
    with (
        Vault(directory / f"{promise.member}.vault") as vault,
        Ledger.open(directory / "exchange.ledger", clock=clock) as ledger,
    ):
        yield ledger, RecordSigner(key, vault)


def put_back(promise: Promise, directory: Path, what: str) -> None:
    """Put the files of the ledger, or of the vault, back to what they were before."""
    for path in [*directory.glob(f"{what}*"), *promise.directory.glob(f"{what}*")]:
        (directory / path.name).unlink(missing_ok=True)
    for path in promise.directory.glob(f"{what}*"):
        shutil.copy(path, directory / path.name)


def ordered(promise: Promise, ledger: Ledger) -> int:
    """How often the ledger has the promise."""
    trail = ledger.history(exchange_object(promise.intent))
    return sum(record.kind == promise.kind for _, record in trail)


def has_all(promise: Promise, vault: Vault) -> bool:
    return set(promise.before) <= set(vault.names())


def has_none(promise: Promise, vault: Vault) -> bool:
    """No data key of what was to go is in the vault's files, its log included."""
    files = b"".join(p.read_bytes() for p in vault.path.parent.glob(f"{vault.path.name}*"))
    return not any(secret in files for secret in promise.secrets)


def stage(promise: Promise, directory: Path) -> str:
    """How far a life came; nothing is destroyed before it is ordered."""
    with opened(promise, directory) as (ledger, signer):
        kept = signer.load(ledger.network)
        is_kept = kept is not None and (promise.kind, promise.body) in kept.contents
        if not ordered(promise, ledger):
            assert has_all(promise, signer.vault), "destroyed before it was ordered"
            return "kept" if is_kept else "not kept"
        if not is_kept:
            return "settled"
        return "ordered" if has_all(promise, signer.vault) else "destroyed"


def finishes(promise: Promise, directory: Path, reached: str) -> None:
    """A restarted party has destroyed what is ordered, and keeps what is not."""
    with opened(promise, directory) as (ledger, signer):
        resume(ledger, [signer])
        done = ordered(promise, ledger)
        assert done == (0 if reached == "not kept" else 1)
        assert (has_none if done else has_all)(promise, signer.vault)
        submit(ledger, [Draft(signer, SchemaRegister("another", 1, "", ()))])
        assert ordered(promise, ledger) == done


def finishes_or_says(promise: Promise, directory: Path, reached: str) -> str:
    """The ledger has lost what it ordered: the same record is ordered anew, or none is signed."""
    with opened(promise, directory) as (ledger, signer):
        size = ledger.size
        if reached == "settled":
            for act in (resume, submit):
                given = (
                    [signer] if act is resume else [Draft(signer, SchemaRegister("a", 1, "", ()))]
                )
                with pytest.raises(RollbackError, match="it is an older one, or is not caught up"):
                    act(ledger, given)
            assert ledger.size == size
            return "said"
    finishes(promise, directory, reached)
    return "finished"


@pytest.mark.parametrize(("act", "status", "reason", "parts"), PROMISES)
def test_a_killed_party_finishes_what_it_said_is_gone_or_says_that_it_cannot(
    tmp_path: Path, lives: Lives, act: Act, status: str, reason: str, parts: set[str]
) -> None:
    promise = prepare(tmp_path / "before", act, status, reason)
    assert len(promise.secrets) >= len(parts)
    with reliability_row(3, f"kill -9 around {promise.kind}", seed=0, want=KILLS) as row:
        for kill_at in range(1000):
            directory = tmp_path / f"{kill_at}"
            shutil.copytree(promise.directory, directory)
            killed = lives.live(promise, directory, kill_at, "orderly")
            reached = stage(promise, directory)
            row.count(reached)
            for lost in ("exchange.ledger", f"{promise.member}.vault"):
                other = tmp_path / f"{kill_at}-{lost}"
                shutil.copytree(directory, other)
                put_back(promise, other, lost)
                if lost == "exchange.ledger":
                    finishes_or_says(promise, other, reached)
                else:
                    finishes(promise, other, "not kept" if reached == "kept" else reached)
            finishes(promise, directory, reached)
            for path in tmp_path.glob(f"{kill_at}*"):
                shutil.rmtree(path)
            if not killed:
                break
        assert set(row.details) == STAGES


def test_the_control_run_that_destroys_first_does_not(tmp_path: Path, lives: Lives) -> None:
    promise = prepare(tmp_path / "before", *PROMISES[0][:3])
    for kill_at in range(1000):
        directory = tmp_path / f"{kill_at}"
        shutil.copytree(promise.directory, directory)
        killed = lives.live(promise, directory, kill_at, "hastily")
        try:
            stage(promise, directory)
        except AssertionError:
            return
        assert killed
    raise AssertionError("a party that destroys first was never caught")
