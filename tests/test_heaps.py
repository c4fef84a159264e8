"""Memory of a process whose threads lead blocks in turn does not follow their number."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from ledgercore.heaps import share_heaps

THREADS = 8
GROWTH_MIB = 12
"""Beyond the second thread, which has the second heap. Each further one took 5 MiB of its own."""

LEAD_IN_TURN = """
import sys, threading
from ledgercore import Ledger, SigningKey
from ledgercore.heaps import share_heaps

def memory_mib():
    return int(open("/proc/self/statm").read().split()[1]) // 256

def lead(number):
    turns[number].wait()
    ledger.append_many(payloads)
    memory.append(memory_mib())
    turns[number + 1].set()
    turns[-1].wait()  # a thread that ended would leave its heap to the next one

count = int(sys.argv[2])
if sys.argv[3] == "shared":
    assert share_heaps()
payloads = [b"%0400d" % number for number in range(5_000)]
turns, memory = [threading.Event() for _ in range(count + 1)], []
with Ledger.create(sys.argv[1], origin="heaps.example", key=SigningKey(bytes(32))) as ledger:
    threads = [threading.Thread(target=lead, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    turns[0].set()
    for thread in threads:
        thread.join()
print(memory[-1] - memory[1])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_threads_that_lead_in_turn_take_no_more_than_two(tmp_path: Path) -> None:
    """The control does not share heaps, and grows with each thread."""
    assert growth_mib(tmp_path / "shared.ledger", "shared") < GROWTH_MIB
    assert growth_mib(tmp_path / "control.ledger", "control") > GROWTH_MIB


def growth_mib(path: Path, how: str) -> int:
    environment = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    command = [sys.executable, "-c", LEAD_IN_TURN, str(path), str(THREADS), how]
    done = subprocess.run(command, capture_output=True, check=True, env=environment, timeout=120)
    return int(done.stdout)


def test_what_the_environment_says_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")

    assert not share_heaps()
