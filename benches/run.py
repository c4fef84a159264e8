"""Run the benchmarks, print the table, and write ``benches/results/latest.json``.

``python benches/run.py [--rounds N] [--only TEXT] [--directory DIR] [--check]``

Run it on an idle machine. Files are written below ``--directory``, which decides what disk is
measured. With ``--check`` it exits 1 where a floor is not met.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import append
import flush
import inclusion
import signatures
import states
import submit
from ledgercore import build_info
from measure import Operation, Row, measure

RESULTS = Path(__file__).resolve().parent / "results"
PACKAGES = ("ledgercore", "cryptography", "PyNaCl", "pymerkle", "blake3", "apsw")
OPERATIONS: list[Operation] = [
    *signatures.OPERATIONS,
    *append.OPERATIONS,
    *inclusion.OPERATIONS,
    *states.OPERATIONS,
    *submit.OPERATIONS,
    *flush.OPERATIONS,
]


def main() -> int:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description="Measure, with peers beside us in the same run.")
    parser.add_argument("--rounds", type=int, default=7, help="measured rounds (7)")
    parser.add_argument("--only", default="", help="operations whose id contains this text")
    parser.add_argument("--directory", type=Path, default=RESULTS, help="where to write files")
    parser.add_argument("--check", action="store_true", help="exit 1 where a floor is not met")
    arguments = parser.parse_args()
    chosen = [each for each in OPERATIONS if arguments.only in each.id]
    if arguments.rounds < 1 or not chosen:
        parser.error("want at least one round and one operation")
    info = build_info()
    if info["profile"] != "release":
        parser.error("the core is a debug build: build it with maturin develop --release")
    begin, rows = time.perf_counter(), []
    arguments.directory.mkdir(parents=True, exist_ok=True)
    for operation in chosen:
        print(f"measuring {operation.id} ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(dir=arguments.directory) as scratch:
            rows += measure(operation, Path(scratch), arguments.rounds)
    result = {
        "machine": describe_machine(arguments.directory),
        "rounds": arguments.rounds,
        "seconds": round(time.perf_counter() - begin, 1),
        "rows": [asdict(row) for row in rows],
    }
    print(format_table(rows))
    if chosen == OPERATIONS:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "latest.json").write_text(json.dumps(result, indent=1) + "\n")
    return int(arguments.check and any(row.met is False for row in rows))


def describe_machine(directory: Path) -> dict[str, object]:
    """What a reader must know to compare: where, when, and of what."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": run_git("rev-parse", "HEAD"),
        "changed": bool(run_git("status", "--porcelain", "--untracked-files=no")),
        "processor": processor_name(),
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "system": platform.platform(),
        "file_system": file_system(directory),
        "python": platform.python_version(),
        "core": build_info(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def run_git(*arguments: str) -> str:
    """Git's answer, or nothing outside a repository."""
    done = subprocess.run(
        ["git", *arguments], cwd=RESULTS.parent, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def processor_name() -> str:
    """The processor as the system names it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def file_system(directory: Path) -> str:
    """The type of the file system that a directory is on."""
    done = subprocess.run(
        ["stat", "--file-system", "--format=%T", directory],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def format_table(rows: list[Row]) -> str:
    """The rows as Markdown, which reads as plain text too."""
    head = ("operation", "ledgercore", "peer", "its rate", "ratio", "floor", "met")
    lines = [head, *(format_row(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    padded = ["| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines]
    padded.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(padded)


def format_row(row: Row) -> tuple[str, ...]:
    """One row's cells: medians, with the range of the rounds."""
    floor = "" if row.goal is None else f"{row.goal:,.{1 if row.goal_of == 'ratio' else 0}f}"
    return (
        row.id,
        f"{format_rate(row.value, row.value_range)} {row.unit}",
        row.peer or "",
        "" if row.peer_value is None else format_rate(row.peer_value, row.peer_range),
        "" if row.ratio is None else f"{row.ratio:.2f}",
        floor + (" of peer" if row.goal_of == "ratio" else ""),
        {None: "", True: "yes", False: "no"}[row.met],
    )


def format_rate(median: float, span: tuple[float, float] | None) -> str:
    """A median and the range of its rounds."""
    low, high = span or (median, median)
    return f"{median:,.0f} ({low:,.0f} to {high:,.0f})"


if __name__ == "__main__":
    sys.exit(main())
