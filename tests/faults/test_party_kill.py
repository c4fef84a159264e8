"""A party that is killed at any moment never sends two records with one sequence."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

from ledgercore import Ledger, SigningKey
from ledgercore.records import Member
from tests.faults.row import reliability_row

SEED = 20261124
KILLS = 40
KEY = SigningKey(bytes([5]) * 32)

PARTY = """
import sys
from ledgercore import Ledger, Record, RefusedError, SigningKey
from ledgercore.exchange.signer import RecordSigner
from ledgercore.exchange.submission import Draft, submit
from ledgercore.records import SchemaRegister
from ledgercore.vault import Vault

class Watched:
    @property
    def __class__(self):
        return Ledger
    def __init__(self, ledger, log):
        self.ledger, self.log = ledger, log
    def __getattr__(self, name):
        return getattr(self.ledger, name)
    def submit_many(self, records):
        decoded = [Record.decode(each) for each in records]
        for each in decoded:
            self.log.write(f"sent {each.sequence} {each.id.hex()}\\n".encode())
        results = self.ledger.submit_many(records)
        for each, result in zip(decoded, results):
            if isinstance(result, RefusedError):
                self.log.write(f"refused {each.sequence} {each.id.hex()}\\n".encode())
        return results

directory, life, keeps = sys.argv[1], sys.argv[2], sys.argv[3] == "keeps"
if not keeps:
    RecordSigner.load = lambda self, network: None
key = SigningKey(bytes([5]) * 32)
with open(f"{directory}/log", "ab", buffering=0) as log:
    with Ledger.open(f"{directory}/a.ledger") as opened:
        ledger, vault = Watched(opened, log), Vault(f"{directory}/a.vault")
        signer = RecordSigner(key, vault)
        print("ready", flush=True)
        for number in range(1_000_000):
            names = [f"p-{life}-{number}", "p-0-0", f"p-{life}-{number}-b"]
            submit(ledger, [Draft(signer, SchemaRegister(n, 1, "", ())) for n in names])
"""


def equivocations(log: Path) -> int:
    """How often a record was sent whose sequence another one had that was not refused."""
    sent: dict[str, str] = {}
    refused: set[str] = set()
    count = 0
    for line in log.read_text().splitlines():
        what, sequence, record = line.split()
        if what == "refused":
            refused.add(record)
        else:
            before = sent.get(sequence, record)
            count += before != record and before not in refused
            sent[sequence] = record
    return count


def live(directory: Path, life: int, delay_s: float, how: str) -> None:
    command = [sys.executable, "-c", PARTY, str(directory), str(life), how]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    timer = threading.Timer(delay_s, process.send_signal, [signal.SIGKILL])
    timer.start()
    assert process.wait() == -signal.SIGKILL
    timer.join()
    process.stdout.close()


def make(directory: Path) -> None:
    directory.mkdir()
    members = [Member("tax", "tax", ("provider",), KEY.public_key, bytes(32))]
    Ledger.create(directory / "a.ledger", origin="fault.example/log", members=members).close()


def test_a_killed_party_never_sends_two_records_with_one_sequence(tmp_path: Path) -> None:
    choose = random.Random(SEED)
    directory = tmp_path / "keeps"
    make(directory)
    with reliability_row(3, "kill -9 of a party", seed=SEED, want=KILLS) as row:
        for life in range(KILLS):
            live(directory, life, choose.random() * 0.2, "keeps")
            row.count()
            assert equivocations(directory / "log") == 0
        row.details["records"] = len((directory / "log").read_text().splitlines())


def test_the_control_run_that_keeps_nothing_does(tmp_path: Path) -> None:
    choose = random.Random(SEED)
    directory = tmp_path / "forgets"
    make(directory)
    for life in range(3 * KILLS):
        live(directory, life, choose.random() * 0.2, "forgets")
        if equivocations(directory / "log"):
            return
    raise AssertionError("a party that keeps nothing was never caught")
