"""Run a party's desk in a process of its own, which is called through a pipe.

Calls go down the pipe, and records to be ordered come up it: the process that calls is also the one
that has the ledger open for writing. A desk reads the ledger's file by itself.

    down: [name, arguments, now_ms]     a method of the desk, or nothing to end
    up:   ["order", records]    answered with their outcomes
          ["done", result] or ["failed", reason]

What crosses is pickled, between processes of one program that share no file but the ledger's; the
messages of an exchange in it have their own encoding, in which a network would carry them too.
"""

from __future__ import annotations

import multiprocessing
import pickle
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from io import BytesIO
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock
from typing import Any

from ledgercore._core import SigningKey
from ledgercore.clock import OffsetClock, SystemClock
from ledgercore.demo.desks import BANK, ENTERPRISES, REGULATOR, TAX, Agent, Bank, Regulator, Tax
from ledgercore.demo.parties import ROLES, make_member
from ledgercore.entropy import SystemEntropy
from ledgercore.errors import LedgerError, UnavailableError
from ledgercore.exchange.messages import decode_message, encode_message
from ledgercore.heaps import share_heaps
from ledgercore.ledger import Ledger
from ledgercore.ledger.beside import LedgerBeside
from ledgercore.ledger.writer import Outcome
from ledgercore.records import Member
from ledgercore.records.base import Part
from ledgercore.vault import Vault

__all__ = ["DeskProcess"]

END_S = 30.0


class DeskProcess:
    """One desk; its methods are called as if it were here. Safe to share between threads."""

    def __init__(self, party: str, directory: Path, *given: object) -> None:
        """Start the process, which makes its own keys; ``given`` is what its desk is made with."""
        context = multiprocessing.get_context("spawn")
        self._party = party
        self._lock = Lock()
        self._connection, theirs = context.Pipe()
        arguments = (theirs, party, directory, given)
        self._process = context.Process(target=_serve, args=arguments, name=party, daemon=True)
        # Where that is started with the first process, it lets interrupts through that are held.
        resource_tracker.ensure_running()
        # An interrupt that comes before the process can pass it over would be its traceback.
        held = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
        theirs.close()
        self._ledger: Ledger | None = None

    @property
    def id(self) -> int:
        """The process's number."""
        assert self._process.pid is not None, "process was started"
        return self._process.pid

    def member(self) -> Member | None:
        """The member that the process has made keys for; nothing where it acts for no member."""
        member: Member | None = self._receive()
        return member

    def join(self, ledger: Ledger) -> None:
        """Let the desk read a ledger's file, and order through it."""
        self._ledger = ledger
        self._send(ledger.path)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        return partial(self._call, name)

    def _call(self, name: str, *given: object) -> Any:
        assert self._ledger is not None, "desk has joined"
        with self._lock:
            self._send((name, given, self._ledger.now_ms))
            while True:
                what, value = self._receive()
                if what == "order":
                    self._send(self._ledger.submit_many(value))
                elif what == "done":
                    return value
                else:
                    raise UnavailableError(f"{self._party}, {name}: {value}")

    def _send(self, value: object) -> None:
        try:
            self._connection.send_bytes(_encode(value))
        except OSError as error:
            raise self._gone() from error

    def _receive(self) -> Any:
        try:
            return pickle.loads(self._connection.recv_bytes())
        except (EOFError, OSError) as error:
            raise self._gone() from error

    def _gone(self) -> UnavailableError:
        return UnavailableError(f"process of {self._party} has ended: run it again")

    def close(self) -> None:
        """Let the process end; one that does not is stopped."""
        with suppress(OSError):
            self._connection.send(None)
        self._process.join(END_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join(END_S)
        self._connection.close()


class _Pickler(pickle.Pickler):
    """Pickle what is no message of an exchange; those are encoded as a whole, not leaf by leaf."""

    def reducer_override(self, value: object) -> Any:
        if isinstance(value, Part):
            return decode_message, (encode_message(value), type(value))
        return NotImplemented


def _encode(value: object) -> bytes:
    buffer = BytesIO()
    _Pickler(buffer, pickle.HIGHEST_PROTOCOL).dump(value)
    return buffer.getvalue()


class _Pipe:
    """The ledger's writer, at the other end of the pipe."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def submit_many(self, records: Sequence[bytes]) -> list[Outcome]:
        self._connection.send(("order", list(records)))
        outcomes: list[Outcome] | None = self._connection.recv()
        if outcomes is None:
            raise EOFError("whoever calls has ended")  # what was handed over may be durable
        return outcomes

    def close(self) -> None:
        """The pipe ends with the process."""


def _serve(connection: Connection, party: str, directory: Path, given: Sequence[Any]) -> None:
    """Be a party until told to end, or until whoever calls has ended."""
    share_heaps()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever calls is interrupted, and then ends this
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    entropy = SystemEntropy()
    key, member = None, None
    if party in ROLES:
        key, member = make_member(directory, party, ROLES[party], entropy)
    with suppress(EOFError, BrokenPipeError):
        connection.send(member)
        path = connection.recv()
        if path is None:
            return
        clock = OffsetClock(SystemClock())  # the ledger's may have been set forward
        ledger = LedgerBeside.beside(path, _Pipe(connection), clock)
        desk = _open(party, ledger, Vault(directory / f"{party}.vault"), key, given)
        try:
            while (asked := connection.recv()) is not None:
                name, arguments, now_ms = asked
                clock.advance(now_ms - clock.now_ms())
                try:
                    result = getattr(desk, name)(*arguments)
                except LedgerError as error:
                    connection.send(("failed", f"{type(error).__name__}: {error}"))
                else:
                    connection.send_bytes(_encode(("done", result)))
        finally:
            desk.close()


def _open(
    party: str, ledger: Ledger, vault: Vault, key: SigningKey | None, given: Sequence[Any]
) -> Tax | Bank | Agent | Regulator:
    if party == ENTERPRISES:
        return Agent(ledger, vault)
    assert key is not None, "every other party is a member"
    desks: dict[str, Callable[..., Tax | Bank | Regulator]] = {
        TAX: Tax,
        BANK: Bank,
        REGULATOR: Regulator,
    }
    return desks[party](ledger, vault, key, *given)
