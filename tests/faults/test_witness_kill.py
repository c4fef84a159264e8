"""Row 3: a witness that is killed never cosigns two histories, and never goes back."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path

from ledgercore._core import Checkpoint
from ledgercore.proofs import SplitView
from ledgercore.store import WitnessStore
from tests.faults.row import reliability_row
from tests.histories import ORIGIN, History, anchor

SEED = 20261128
WITNESSES = 4
KILLS = 10
PARTS_AT = 20

PROGRAM = """
import random, sys
from pathlib import Path
from ledgercore import SigningKey
from ledgercore.clock import SystemClock
from ledgercore.store import WitnessStore
from ledgercore.sync import Witness
from ledgercore.sync.messages import ask_cosignature
from tests.histories import ORIGIN, History, anchor
path, seed, hasty = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "hasty"

class Hasty(WitnessStore):
    '''Says that a checkpoint is stored, and stores it ten checkpoints later.'''
    late = []

    def cosigned(self, origin):
        return self.late[-1][2] if self.late else super().cosigned(origin)

    def replace(self, origin, old, note):
        self.late.append((origin, old, note))
        if len(self.late) > 10:
            super().replace(*self.late.pop(0))

store = (Hasty if hasty else WitnessStore)(path)
witness = Witness("w.example", SigningKey(bytes([9]) * 32), [anchor()], store, SystemClock())
histories = [History(parts_at=20, branch=branch) for branch in (0, 1)]
choose = random.Random(seed)
print("ready", flush=True)
while True:
    seen = witness.cosigned(ORIGIN)
    old = 0 if seen is None else seen.size
    new = min(old + choose.randrange(1, 3), 200)
    history = choose.choice(histories)
    note = history.note(new)
    body = ask_cosignature(old, history.proof(old, new), note).body
    if witness.add_checkpoint(body).status == 200:
        print(histories.index(history), new, flush=True)
    if new == 200:
        break
input()
"""


def run_and_kill(path: Path, seed: int, kind: str, delay_s: float) -> list[tuple[int, int]]:
    """What a witness in a process of its own cosigned before it was killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path), str(seed), kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stdin is not None
    assert process.stdout.readline() == b"ready\n"
    timer = threading.Timer(delay_s, process.send_signal, [signal.SIGKILL])
    timer.start()
    lines = [line for line in process.stdout if line.endswith(b"\n")]
    assert process.wait() == -signal.SIGKILL
    timer.join()
    process.stdout.close()
    process.stdin.close()
    pairs = [line.split() for line in lines]
    return [(int(branch), int(size)) for branch, size in pairs]


def contradictions(cosigned: list[tuple[int, int]]) -> int:
    """How often a cosignature contradicts, or goes back behind, the one before it."""
    histories = [History(parts_at=PARTS_AT, branch=branch) for branch in (0, 1)]
    notes = [histories[branch].note(size) for branch, size in cosigned]
    parted = {branch for branch, size in cosigned if size > PARTS_AT}
    sizes = [Checkpoint.parse(note).size for note in notes]
    back = sum(after < before for before, after in pairwise(sizes))
    splits = sum(SplitView.of(anchor(), *pair) is not None for pair in pairwise(notes))
    return back + splits + (len(parted) > 1)


def run(directory: Path, kind: str, kills: int, choose: random.Random) -> list[tuple[int, int]]:
    """All that one witness cosigned, over kills; each start goes on from its file."""
    path = directory / f"{choose.random()}.witness"
    WitnessStore.create(path).close()
    cosigned: list[tuple[int, int]] = []
    for _ in range(kills):
        delay_s = choose.uniform(0, 0.1)
        cosigned += run_and_kill(path, choose.randrange(1 << 30), kind, delay_s)
        store = WitnessStore(path)
        note = store.cosigned(ORIGIN)
        store.close()
        if kind == "sound" and cosigned:
            assert note is not None and Checkpoint.parse(note).size >= cosigned[-1][1]
    return cosigned


def test_a_killed_witness_never_cosigns_two_histories(tmp_path: Path) -> None:
    choose = random.Random(SEED)
    want = WITNESSES * KILLS
    with reliability_row(3, "kill -9 of a witness", seed=SEED, want=want) as row:
        for _ in range(WITNESSES):
            cosigned = run(tmp_path, "sound", KILLS, choose)
            assert contradictions(cosigned) == 0
            row.count("kills", KILLS)
            row.count("cosignatures", 0)
            row.details["cosignatures"] += len(cosigned)


def test_a_witness_that_cosigns_before_it_stores_contradicts_itself(tmp_path: Path) -> None:
    """The control: the run can fail."""
    choose = random.Random(SEED)

    assert sum(contradictions(run(tmp_path, "hasty", 6, choose)) for _ in range(2)) > 0
