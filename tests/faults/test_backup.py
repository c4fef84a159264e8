"""Row 20: backups under load verify, and an old one signs no second block unnoticed."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path

import pytest

from ledgercore import Ledger, RollbackError, SigningKey, UnavailableError
from ledgercore.clock import ManualClock
from ledgercore.records import Witness as WitnessEntry
from ledgercore.store import WitnessStore
from ledgercore.sync import Publisher, Witness, publish
from tests.faults.row import reliability_row

SEED = 20261128
BACKUPS = 200 if os.environ.get("LEDGERCORE_DEEP") else 20
KEY, WITNESS_KEY = SigningKey(bytes([1]) * 32), SigningKey(bytes([2]) * 32)
NAME = "w.example"


class Load:
    """A thread that appends and publishes until it is stopped."""

    def __init__(self, ledger: Ledger, publisher: Publisher, witness: Witness) -> None:
        self._stop = threading.Event()
        self._answer = witness.answer
        self._thread = threading.Thread(target=self._run, args=(ledger, publisher))
        self._thread.start()

    def _run(self, ledger: Ledger, publisher: Publisher) -> None:
        number = 0
        while not self._stop.wait(0.001):
            ledger.append(b"payload %d" % number)
            publish(publisher, lambda peer, request: self._answer(request))
            number += 1

    def end(self) -> None:
        self._stop.set()
        self._thread.join()


def test_backups_under_load_verify_and_old_ones_are_found_out(tmp_path: Path) -> None:
    choose = random.Random(SEED)
    store = WitnessStore.create(tmp_path / "witness")
    entries = [WitnessEntry(NAME, WITNESS_KEY.public_key)]
    path = tmp_path / "a.ledger"
    with (
        reliability_row(20, "backups under load", seed=SEED, want=BACKUPS) as row,
        Ledger.create(path, origin="a.example", key=KEY, witnesses=entries, quorum=1) as ledger,
    ):
        clock, anchor = ManualClock(1_700_000_000_000), ledger.trust_anchor
        witness = Witness(NAME, WITNESS_KEY, [anchor], store, clock)
        load = Load(ledger, Publisher(ledger), witness)
        heights = []
        try:
            for number in range(BACKUPS):
                threading.Event().wait(choose.uniform(0, 0.02))
                ledger.backup(tmp_path / f"{number}.ledger")
        finally:
            load.end()
        ledger.append_many([b"after the last backup"] * 2)
        publish(Publisher(ledger), lambda peer, request: witness.answer(request))
        for number in range(BACKUPS):
            copy = tmp_path / f"{number}.ledger"
            with Ledger.open(copy, read_only=True) as restored:
                restored.verify()
                heights.append(restored.height)
                assert restored.height < ledger.height
            # Restored in the ledger's place, beside its head file: it signs nothing.
            (tmp_path / f"{number}.ledger.head").write_bytes(Path(f"{path}.head").read_bytes())
            with pytest.raises(RollbackError):
                Ledger.open(copy, key=KEY)
            # Without the head file it does: and no witness cosigns that.
            (tmp_path / f"{number}.ledger.head").unlink()
            with Ledger.open(copy, key=KEY) as restored:
                restored.append(b"another history")
                with pytest.raises(UnavailableError, match="not cosigned by the quorum"):
                    publish(Publisher(restored), lambda peer, request: witness.answer(request))
            row.count("backups")
        assert len(set(heights)) > 5
    store.close()
