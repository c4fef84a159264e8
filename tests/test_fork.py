"""A forked process opens a ledger anew, and its batches have threads."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from ledgercore import Ledger, UnavailableError

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
