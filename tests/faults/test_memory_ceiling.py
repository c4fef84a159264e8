"""Row 14: an audit and a backup read a ledger of any length in the same memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ledgercore import Ledger, SigningKey
from tests.faults.row import reliability_row

DEEP = bool(os.environ.get("LEDGERCORE_DEEP"))
FEW, MANY = 10_000, 2_000_000 if DEEP else 60_000
BLOCK = 5_000
CEILING_MIB, GROWTH_MIB = 200, 16

READ = """
import re, sys
from ledgercore import Ledger
with Ledger.open(sys.argv[1], read_only=True) as ledger:
    {}
print(int(re.search(r"VmHWM:\\s+([0-9]+) kB", open("/proc/self/status").read())[1]) // 1024)
"""
WAYS = {
    "audit": "assert ledger.verify().records == ledger.size",
    "backup": "ledger.backup(sys.argv[1] + '.copy')",
}


def made(path: Path, count: int) -> Path:
    with Ledger.create(path, origin="long.example", key=SigningKey(bytes(32))) as ledger:
        for begin in range(0, count, BLOCK):
            ledger.append_many([b"%0400d" % number for number in range(begin, begin + BLOCK)])
    return path


def peak_mib(path: Path, way: str) -> int:
    """The most memory that a process of its own had; its parent's does not count."""
    done = subprocess.run(
        [sys.executable, "-c", READ.format(way), path], capture_output=True, check=True, timeout=900
    )
    return int(done.stdout)


def test_memory_does_not_follow_the_length_of_a_ledger(seed: int, tmp_path: Path) -> None:
    few, many = made(tmp_path / "few.ledger", FEW), made(tmp_path / "many.ledger", MANY)
    with reliability_row(14, "memory ceiling", seed=seed, want=len(WAYS)) as row:
        for name, way in WAYS.items():
            small, large = peak_mib(few, way), peak_mib(many, way)
            row.count()
            row.details[f"{name}, MiB"] = large
            assert large <= CEILING_MIB, name
            assert large - small <= GROWTH_MIB, name
        # The control: whoever keeps what was read is found out.
        held = "records = [record.encode() for record in ledger.records()]"
        assert peak_mib(many, held) - peak_mib(few, held) > GROWTH_MIB
