"""Submit records until a ledger is large: rate, disk and memory as it grows.

Not part of the table of ``run.py``, for it takes minutes: two million records take about three.
Signing is not measured.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

from ledgercore import Ledger, testing

__all__ = ["main"]

SIGNERS = 32
TOGETHER = 16_384
RESULTS = Path(__file__).resolve().parent / "results"


def main() -> int:
    """Grow, print a line whenever the size has doubled, keep all lines as JSON."""
    parser = argparse.ArgumentParser(description="Measure how a ledger grows.")
    parser.add_argument("--records", type=int, default=2_000_000, help="records (2,000,000)")
    parser.add_argument("--directory", type=Path, default=RESULTS, help="where to write files")
    arguments = parser.parse_args()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.directory) as scratch:
        rows = grow(Path(scratch) / "growth.ledger", arguments.records)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "growth.json").write_text(json.dumps(rows, indent=1) + "\n")
    return 0


def grow(path: Path, records: int) -> list[dict[str, float]]:
    """A row whenever the size has doubled: what was submitted since the row before."""
    print("|   records | records/s | bytes a record | of these its own | memory MiB | opens in s |")
    print("|-----------|-----------|----------------|------------------|------------|------------|")
    members = testing.test_members(SIGNERS)
    Ledger.create(path, origin="bench.example", members=members).close()
    rows: list[dict[str, float]] = []
    total = since = own = 0
    seconds = 0.0
    while total < records:
        with Ledger.open(path) as ledger:
            while total < records and since < max(2 * TOGETHER, total // 2):
                batch = testing.signed_records(ledger, signers=SIGNERS, count=TOGETHER)
                begin = time.perf_counter()
                outcomes = ledger.submit_many(batch)
                seconds += time.perf_counter() - begin
                if outcomes[-1] != ledger.size - 1:
                    raise AssertionError("records were refused: nothing was measured")
                total, since = total + TOGETHER, since + TOGETHER
                own += sum(map(len, batch))
        begin = time.perf_counter()
        Ledger.open(path, read_only=True).close()
        row = {
            "records": total,
            "rate": since / seconds,
            "bytes_a_record": path.stat().st_size / total,
            "own_bytes_a_record": own / total,
            "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "open_s": time.perf_counter() - begin,
        }
        rows.append(row)
        print(
            f"| {row['records']:>9,} | {row['rate']:>9,.0f} | {row['bytes_a_record']:>14.0f} "
            f"| {row['own_bytes_a_record']:>16.0f} | {row['memory_mib']:>10.0f} "
            f"| {row['open_s']:>10.3f} |",
            flush=True,
        )
        since, seconds = 0, 0.0
    return rows


if __name__ == "__main__":
    sys.exit(main())
