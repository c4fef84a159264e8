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
KILLS = 100


def run_and_kill(path: Path, delay_s: float) -> list[tuple[int, str]]:
    """Append lines in a process of its own and kill it; the index and id of each acknowledged."""
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
    acknowledged = [json.loads(process.stdout.readline())]
    timer = threading.Timer(delay_s, process.send_signal, [signal.SIGKILL])
    timer.start()
    for line in process.stdout:
        if line.endswith(b"\n"):
            acknowledged.append(json.loads(line))
    assert process.wait() == -signal.SIGKILL
    feeder.join()
    timer.join()
    process.stdout.close()
    with contextlib.suppress(OSError):
        stdin.close()
    return [(entry["index"], entry["id"]) for entry in acknowledged]


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "killed.ledger"
    Ledger.create(path, origin="fault.example/log").close()
    choose = random.Random(SEED)
    with reliability_row(3, "kill -9", seed=SEED, want=KILLS) as row:
        for kill in range(KILLS):
            acknowledged = run_and_kill(path, choose.random() * 0.15)
            begin = time.perf_counter()
            with Ledger.open(path) as ledger:
                seconds = time.perf_counter() - begin
                for index, record_id in acknowledged:
                    assert ledger.record(index).id.hex() == record_id
                if kill % 20 == 19:
                    ledger.verify()
            assert seconds <= 2, f"start took {seconds:.1f} s, want at most 2"
            row.count()
            known = row.details.get("acknowledged records", 0)
            row.details["acknowledged records"] = known + len(acknowledged)
