"""What is begun before a block is ended after it, once, under a lock that is always given back."""

from __future__ import annotations

import gc
import signal
import sys
import weakref
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread, Timer, get_ident

import pytest

from ledgercore._core import Bracket, OwnLock

PATIENCE_S = 10


class Recorder:
    """What a bracket calls, and what each call raises, in turn."""

    def __init__(self, *raises: BaseException | None) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.raises = list(raises)
        self.lock = OwnLock("recorder")
        self.bracket = Bracket(self.begin, self.end, self.lock)

    def begin(self, depth: int) -> str:
        self.calls.append(("begin", depth))
        self._raise()
        return f"value {depth}"

    def end(self, depth: int, error: BaseException | None) -> None:
        self.calls.append(("end", depth, error))
        self._raise()

    def _raise(self) -> None:
        error = self.raises.pop(0) if self.raises else None
        if error is not None:
            raise error


def is_free(lock: OwnLock) -> bool:
    """Whether another thread gets the lock at once."""
    taken = Event()

    def take() -> None:
        with lock:
            taken.set()

    Thread(target=take, daemon=True).start()
    return taken.wait(0.2)


def test_a_block_is_begun_and_ended_at_each_depth_under_the_lock() -> None:
    made = Recorder()

    with made.bracket as outer:
        assert made.bracket.depth == 1
        with made.bracket as inner:
            assert not is_free(made.lock)
        assert not is_free(made.lock)

    assert (outer, inner) == ("value 0", "value 1")
    assert made.calls == [("begin", 0), ("begin", 1), ("end", 1, None), ("end", 0, None)]
    assert made.bracket.depth == 0
    assert is_free(made.lock)


def test_what_the_block_raises_is_told_and_raised() -> None:
    made, error = Recorder(), ValueError("of the block")

    with pytest.raises(ValueError, match="of the block"), made.bracket:
        raise error

    assert made.calls[1:] == [("end", 0, error)]
    assert is_free(made.lock)


FIRST, SECOND = KeyboardInterrupt("first"), KeyboardInterrupt("second")


def enter(made: Recorder) -> None:
    with made.bracket:
        pass


def fail(made: Recorder) -> None:
    with made.bracket:
        raise ZeroDivisionError


@pytest.mark.parametrize("use", [enter, fail])
@pytest.mark.parametrize(
    "raises", [(FIRST,), (FIRST, SECOND), (None, FIRST), (None, FIRST, SECOND)]
)
def test_what_was_interrupted_is_ended_once_more_and_nothing_stays_held(
    use: Callable[[Recorder], None], raises: tuple[BaseException | None, ...]
) -> None:
    FIRST.__context__ = SECOND.__context__ = None
    made = Recorder(*raises)

    with pytest.raises(KeyboardInterrupt) as caught:
        use(made)

    assert made.calls[-1] == ("end", 0, FIRST)
    assert len(made.calls) == (2 if raises[0] else 3)
    assert caught.value is raises[-1]
    assert raises[-1] is FIRST or SECOND.__context__ is FIRST
    assert made.bracket.depth == 0
    assert is_free(made.lock)


def test_a_lock_is_given_back_by_whoever_took_it_last() -> None:
    lock = OwnLock("lock")

    with lock:
        with pytest.raises(ZeroDivisionError), lock:
            raise ZeroDivisionError
        assert not is_free(lock)

    assert is_free(lock)


def test_a_bracket_is_not_left_before_it_was_entered() -> None:
    made = Recorder()

    with pytest.raises(RuntimeError, match="not entered"):
        made.bracket.__exit__(None, None, None)

    assert made.calls == []


def test_a_block_is_left_by_the_thread_that_entered_it_and_by_no_other() -> None:
    made = Recorder()
    refused: list[RuntimeError] = []

    def leave() -> None:
        try:
            made.bracket.__exit__(None, None, None)
        except RuntimeError as error:
            refused.append(error)

    with made.bracket:
        thread = Thread(target=leave)
        thread.start()
        thread.join()
        assert made.bracket.depth == 1
        assert not is_free(made.lock)

    assert [str(error) for error in refused] == [
        "bracket was entered by another thread: leave it in that one"
    ]
    assert made.calls == [("begin", 0), ("end", 0, None)]
    assert is_free(made.lock)


def test_a_bracket_of_its_owners_methods_goes_with_the_owner() -> None:
    made = Recorder()
    gone = weakref.ref(made)

    del made
    gc.collect()

    assert gone() is None


def test_who_waits_for_the_lock_can_be_interrupted_and_has_nothing_then() -> None:
    made, done = Recorder(), Event()

    def hold() -> None:
        with made.lock:
            taken.set()
            done.wait()

    taken = Event()
    holder = Thread(target=hold)
    holder.start()
    taken.wait(PATIENCE_S)
    interrupt = Timer(0.1, signal.pthread_kill, (get_ident(), signal.SIGINT))
    # Who is started in the background of a shell without job control is born deaf to it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupt.start()
            with made.bracket:
                pytest.fail("another thread has it")
    finally:
        signal.signal(signal.SIGINT, before)
        done.set()
        holder.join()

    assert made.calls == []
    assert is_free(made.lock)


def dropped_by_an_error(made: Recorder) -> None:
    """Enter a block as ``with`` does, and fail where Python does not leave it."""
    guard = made.bracket.guard()
    guard.__enter__()
    try:
        raise FIRST
    finally:
        del guard


def test_a_block_that_is_dropped_is_left_with_what_is_being_raised() -> None:
    made = Recorder()

    with pytest.raises(KeyboardInterrupt) as caught:
        dropped_by_an_error(made)

    assert caught.value is FIRST
    assert is_free(made.lock)
    (begun, (name, depth, error)) = made.calls
    assert (begun, name, depth) == (("begin", 0), "end", 0)
    assert isinstance(error, RuntimeError | KeyboardInterrupt)


def test_a_guard_that_is_left_ends_nothing_when_it_is_dropped() -> None:
    made = Recorder()

    with made.bracket:
        with made.bracket.guard() as value:
            assert not is_free(made.lock)
        assert (value, made.bracket.depth) == ("value 1", 1)

    assert made.calls == [("begin", 0), ("begin", 1), ("end", 1, None), ("end", 0, None)]
    assert is_free(made.lock)


def test_a_guard_that_did_not_begin_ends_nothing_when_it_is_dropped() -> None:
    made = Recorder(ZeroDivisionError())

    with pytest.raises(ZeroDivisionError), made.bracket.guard():
        pytest.fail("it did not begin")

    assert [call[0] for call in made.calls] == ["begin", "end"]
    assert made.bracket.depth == 0


def test_a_guard_that_another_thread_drops_ends_nothing_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, told = Recorder(), list[str]()
    monkeypatch.setattr(sys, "unraisablehook", lambda told_of: told.append(str(told_of.exc_value)))
    guards = [made.bracket.guard()]
    guards[0].__enter__()

    thread = Thread(target=guards.clear)
    thread.start()
    thread.join()

    assert told == ["bracket was entered by another thread: leave it in that one"]
    assert not is_free(made.lock)
    made.bracket.__exit__(None, None, None)


def test_a_guard_leaves_no_block_of_another() -> None:
    made = Recorder()

    with made.bracket.guard(), pytest.raises(RuntimeError, match="block was not entered"):
        made.bracket.guard().__exit__(None, None, None)

    assert made.calls == [("begin", 0), ("end", 0, None)]


def round_and_round(made: Recorder, times: int) -> None:
    with made.bracket.guard():
        while times:
            times -= 1


def test_signals_in_a_loop_inside_a_block_leave_the_lock_free() -> None:
    """Python 3.13 does not call ``__exit__`` for one that comes as such a loop goes round."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    made = Recorder()
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(100):
            with suppress(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, 0.001)
                round_and_round(made, 1_000_000_000)
            assert made.bracket.depth == 0
            assert is_free(made.lock)
    finally:
        signal.signal(signal.SIGALRM, before)

    assert made.calls.count(("begin", 0)) > 50
