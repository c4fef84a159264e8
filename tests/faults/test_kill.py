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


APPEND = ["-m", "ledgercore", "append", "--lines", "-", "--json"]

HASTY = """
import json, sys
from ledgercore import Ledger
from ledgercore.keyfile import load_key
path = sys.argv[1]
key = load_key(path + ".key")
with Ledger.open(path) as ledger:
    for line in sys.stdin.buffer:
        sequence, previous = ledger.next_position(key.public_key)
        record = key.sign_record(
            ledger.suite, ledger.network, "data", line, sequence=sequence, previous=previous
        )
        print(json.dumps({"index": ledger.size, "id": record.id.hex()}), flush=True)
        ledger.submit(record.encode())
"""
"""A writer that acknowledges each record before it is durable."""


def run_and_kill(path: Path | str, delay_s: float, program: list[str]) -> Acknowledged:
    """Append lines in a process of its own, and kill it a while after its first answer."""
    command = [sys.executable, *program, str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    stdin = process.stdin

    def feed() -> None:
        try:
            for number in range(1_000_000):
                stdin.write(b"line %d\n" % number * (1 + number % 40))
                stdin.flush()
                time.sleep(0.004)
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
                acknowledged |= run_and_kill(path, choose.random() * 0.15, APPEND)
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


def test_the_control_run_loses_what_was_acknowledged_too_early(tmp_path: Path) -> None:
    choose, lost = random.Random(SEED), 0
    path = tmp_path / "hasty.ledger"
    Ledger.create(path, origin="fault.example/log").close()
    for _ in range(15):
        acknowledged = run_and_kill(path, choose.random() * 0.15, ["-c", HASTY])
        with Ledger.open(path) as ledger:
            present = {index: record.id.hex() for index, record in enumerate(ledger)}
        lost += not acknowledged.items() <= present.items()

    print(f"\nrow 3, control that acknowledges too early: {lost} of 15 kills lost a record")
    assert lost
