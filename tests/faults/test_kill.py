"""Row 3: a writer that is killed loses nothing that it acknowledged, and leaves no half block."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from ledgercore import Ledger
from tests.faults.row import reliability_row

SEED = 20261124
LEDGERS = 10
KILLS = 10

Acknowledged = dict[int, str]
"""The id of each record that the writer has printed, by its index."""


def run_and_kill(path: Path, delay_s: float) -> Acknowledged:
    """Append lines in a process of its own, and kill it a while after its first answer."""
    command = [sys.executable, "-m", "ledgercore", "append", str(path), "--lines", "-", "--json"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    stdin = process.stdin

    def feed() -> None:
        try:
            for number in range(1_000_000):
                stdin.write(b"line %d\n" % number * (1 + number % 40))
                stdin.flush()
                time.sleep(0.001)
        except OSError:
            pass  # the reader was killed, as it should be

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    answers = [process.stdout.readline()]
    timer = threading.Timer(delay_s, process.send_signal, [signal.SIGKILL])
    timer.start()
    answers += [line for line in process.stdout if line.endswith(b"\n")]
    assert process.wait() == -signal.SIGKILL
    feeder.join()
    timer.join()
    process.stdout.close()
    with contextlib.suppress(OSError):
        stdin.close()
    entries = [json.loads(answer) for answer in answers]
    return {entry["index"]: entry["id"] for entry in entries}


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    choose = random.Random(SEED)
    want = LEDGERS * KILLS
    with reliability_row(3, "kill -9", seed=SEED, want=want) as row:
        for number in range(LEDGERS):
            path = tmp_path / f"killed-{number}.ledger"
            Ledger.create(path, origin="fault.example/log").close()
            acknowledged: Acknowledged = {}
            for _ in range(KILLS):
                acknowledged |= run_and_kill(path, choose.random() * 0.15)
                begin = time.perf_counter()
                with Ledger.open(path) as ledger:
                    seconds = time.perf_counter() - begin
                    present = {index: record.id.hex() for index, record in enumerate(ledger)}
                    assert acknowledged.items() <= present.items()
                    assert ledger.verify().records == len(present)
                assert seconds <= 2, f"start took {seconds:.1f} s, want at most 2"
                row.count()
            row.details["acknowledged records"] = len(acknowledged) + row.details.get(
                "acknowledged records", 0
            )
