"""Row 14: an audit and a backup take the same memory for long ledgers and for many objects."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ledgercore import Ledger, SigningKey
from ledgercore.records import Field, Member, SchemaRegister, encode
from tests.faults.row import reliability_row

DEEP = bool(os.environ.get("LEDGERCORE_DEEP"))
FEW, MANY = 10_000, 2_000_000 if DEEP else 60_000
BLOCK = 5_000
FEW_OBJECTS, MANY_OBJECTS = 5_000, 400_000 if DEEP else 40_000
CEILING_MIB, GROWTH_MIB = 200, 16
OBJECTS_GROWTH_MIB = 48 if DEEP else 20
"""Two maps keep the hashes of their pages; the states themselves would be ten times that."""

READ = """
import re, sys
from ledgercore import Ledger
from ledgercore.ledger import pages
pages.ENTRIES_IN_MEMORY = 4_096  # fewer than the objects of either ledger
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


def made_of_objects(path: Path, count: int) -> Path:
    """A ledger of as many schemas, each an object with a state of its own."""
    key, provider = SigningKey(bytes(32)), SigningKey(bytes([1]) * 32)
    member = Member("registry", "Registry", ("provider",), provider.public_key, bytes(32))
    fields = (Field("vat.sales_m", "fen", 4),)
    with Ledger.create(path, origin="wide.example", members=[member], key=key) as ledger:
        sequence, previous = 0, bytes(32)
        for begin in range(0, count, BLOCK):
            names = range(begin, min(begin + BLOCK, count))
            bodies = [encode(SchemaRegister(f"tax.{name}", 1, "Tax", fields)) for name in names]
            batch = provider.sign_batch(
                "std",
                ledger.trust_anchor.network,
                SchemaRegister.KIND,
                bodies,
                sequence=sequence,
                previous=previous,
            )
            outcomes = ledger.submit_many([batch[at].encode() for at in range(len(batch))])
            assert outcomes[-1] == ledger.size - 1
            sequence, previous = sequence + len(batch), batch[len(batch) - 1].id
    return path


def peak_mib(path: Path, way: str) -> int:
    """The most memory that a process of its own had; its parent's does not count."""
    done = subprocess.run(
        [sys.executable, "-c", READ.format(way), path], capture_output=True, check=True, timeout=900
    )
    return int(done.stdout)


def test_memory_does_not_follow_the_length_of_a_ledger(seed: int, tmp_path: Path) -> None:
    few, many = made(tmp_path / "few.ledger", FEW), made(tmp_path / "many.ledger", MANY)
    with reliability_row(14, "memory ceiling", seed=seed, want=len(WAYS) + 1) as row:
        for name, way in WAYS.items():
            small, large = peak_mib(few, way), peak_mib(many, way)
            row.count()
            row.details[f"{name}, MiB"] = large
            assert large <= CEILING_MIB, name
            assert large - small <= GROWTH_MIB, name
        few = made_of_objects(tmp_path / "narrow.ledger", FEW_OBJECTS)
        wide = made_of_objects(tmp_path / "wide.ledger", MANY_OBJECTS)
        small, large = peak_mib(few, WAYS["audit"]), peak_mib(wide, WAYS["audit"])
        row.count()
        row.details["audit of objects, MiB"] = large
        assert large <= CEILING_MIB
        assert large - small <= OBJECTS_GROWTH_MIB
        # The control: whoever keeps what was read is found out.
        held = "records = [record.encode() for record in ledger.records()]"
        assert peak_mib(many, held) - peak_mib(few, held) > GROWTH_MIB
