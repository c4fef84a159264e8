"""An interrupt of one caller, wherever Python may raise it: the others are answered, and truly.

The main thread is interrupted once at each such instruction of ``Group``.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import CodeType, FrameType
from typing import Any

import pytest

from ledgercore import BusyError, LedgerError, StoreError
from ledgercore.ledger import group as group_module
from ledgercore.ledger.group import Group, Waiting
from tests.interrupts import begin_tracing, places, trace_instructions

FUNCTIONS = {
    name: value.__code__
    for name, value in vars(Group).items()
    if hasattr(value, "__code__") and name != "__init__"
}
FAILURES = (None, BusyError, ValueError, KeyboardInterrupt)
"""What the main thread's block fails of; with the last one it is interrupted twice."""

PATIENCE_S = 10


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.0002)


class Scene:
    """A group of which the main thread leads, and writes for another; a third waits behind."""

    def __init__(self, failure: type[BaseException] | None) -> None:
        self.failure = failure
        self.written: list[bytes] = []
        self.answers: dict[bytes, Any] = {}
        self.group = Group(2, 1_000, self.serve)

    def serve(self, some: Sequence[Waiting]) -> list[Any]:
        payloads = [payload for waiting in some for payload in waiting.payloads]
        elsewhere = threading.current_thread() is not threading.main_thread()
        if self.failure is KeyboardInterrupt and elsewhere:
            pass  # Python interrupts the main thread only
        elif self.failure is not None and b"main" in payloads:
            raise self.failure("nothing was written")
        begin = len(self.written)
        self.written += payloads
        return list(range(begin, len(self.written)))

    def beside(self, work: Callable[..., object], argument: object) -> threading.Thread:
        """Another caller's thread; untraced, it ends what 3.13 tells of a code's instructions."""

        def run() -> None:
            if sys.version_info >= (3, 13):  # Python 3.12.1 crashes where two threads are traced
                begin_tracing(watch)
            work(argument)

        return threading.Thread(target=run, daemon=True)

    def write(self, payload: bytes) -> None:
        try:
            if payload == b"main alone":
                self.answers[payload] = self.group.alone(lambda: self.append(payload))
            else:
                (self.answers[payload],) = self.group.write(Waiting(1, 1, [payload]))
        except (LedgerError, ValueError) as error:
            self.answers[payload] = error

    def append(self, payload: bytes) -> int:
        self.written.append(payload)
        return len(self.written) - 1

    def play(self, main: bytes, trace: Callable[..., Any], *, first: bool) -> None:
        """Have the main thread write, traced, and others behind it; or with nobody before it."""
        free = threading.Event()
        others = [self.beside(self.write, b"other %d" % number) for number in range(3)]
        holder = self.beside(self.group.alone, free.wait)

        def come() -> None:
            wait_for(lambda: len(self.group._queue) == 2 or main in self.answers)
            for thread in others:
                thread.start()
            wait_for(lambda: len(self.group._queue) == 5 or main in self.answers)
            free.set()

        if not first:
            holder.start()
            wait_for(lambda: len(self.group._queue) == 1 and self.group._leading.locked())
            coming = threading.Thread(target=come, daemon=True)
            coming.start()
        before = sys.gettrace()
        begin_tracing(trace)
        try:
            self.write(main)
        except KeyboardInterrupt as error:
            sys.settrace(before)
            self.answers[main] = error
        finally:
            sys.settrace(before)
        if first:
            for thread in others:
                thread.start()
        else:
            coming.join(PATIENCE_S)
        for thread in others:
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), "waits for ever"
        self.write(b"last")

    def check(self) -> None:
        assert len(set(self.written)) == len(self.written), "nothing is written twice"
        for payload, answer in self.answers.items():
            if isinstance(answer, int):
                assert self.written[answer] == payload
            elif isinstance(answer, StoreError):
                assert "may be durable" in str(answer)
            elif not isinstance(answer, KeyboardInterrupt):
                assert self.failure is not None
                assert isinstance(answer, self.failure)
                assert payload not in self.written
        assert isinstance(self.answers[b"last"], int)
        assert not self.group._queue
        assert not self.group._leading.locked()


def watch(frame: FrameType, event: str, argument: object) -> Any:
    if frame.f_code not in FUNCTIONS.values():
        return None
    trace_instructions(frame, watch)
    return watch


def interrupt_at(code: CodeType, offset: int, hit: list[int]) -> Callable[..., Any]:
    def trace(frame: FrameType, event: str, argument: object) -> Any:
        if frame.f_code is not code:
            return None
        trace_instructions(frame, trace)
        if event == "opcode" and frame.f_lasti == offset and not hit:
            hit.append(offset)
            raise KeyboardInterrupt
        return trace

    return trace


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(group_module, "LOOK_AGAIN_S", 0.01)
    yield


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_others_are_answered_wherever_one_is_interrupted(name: str) -> None:
    code, reached = FUNCTIONS[name], set()
    for main in (b"main", b"main alone"):
        for first in (True, False):
            for failure in FAILURES:
                for offset in places(code):
                    hit: list[int] = []
                    scene = Scene(failure)
                    scene.play(main, interrupt_at(code, offset, hit), first=first)
                    scene.check()
                    reached.update(hit)
    # What is not reached is how a call was missed, or how one that was interrupted is made good.
    assert len(reached) >= len(places(code)) * 0.6, sorted(places(code) - reached)
