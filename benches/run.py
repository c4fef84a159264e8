"""Run the benchmarks, print the table, and write ``benches/results/latest.json``.

``python benches/run.py [--full] [--rounds N] [--only TEXT] [--directory DIR] [--check]``

Run it on an idle machine. Files are written below ``--directory``, which decides what disk is
measured. ``--full`` takes Go's logs as peers too, and grows a ledger to ten million records. With
``--check`` it exits 1 where a floor is not met; a goal that is not met is told, and fails nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import append
import copies
import flush
import golang
import growth
import inclusion
import latency
import nodes
import receipts
import server
import signatures
import states
import submit
from boundary import measure_boundary
from ledgercore import build_info
from machine import describe_machine
from measure import Operation, Row, Skipped, measure
from table import format_boundary, format_growth, format_rows

RESULTS = Path(__file__).resolve().parent / "results"
OPERATIONS: list[Operation] = [
    *signatures.OPERATIONS,
    *nodes.OPERATIONS,
    *append.OPERATIONS,
    *flush.OPERATIONS,
    *submit.OPERATIONS,
    *inclusion.OPERATIONS,
    *receipts.OPERATIONS,
    *latency.OPERATIONS,
    *copies.OPERATIONS,
    *states.OPERATIONS,
    *server.OPERATIONS,
]
ROUNDS = 5
GROWTH = 131_072


def main() -> int:
    """Measure, print, keep."""
    arguments = parse_arguments()
    operations = OPERATIONS + (golang.OPERATIONS if arguments.full else [])
    chosen = [each for each in operations if arguments.only in each.id]
    if build_info()["profile"] != "release":
        sys.exit("the core is a debug build: build it with maturin develop --release")
    if arguments.full and isinstance(skipped := golang.build(), Skipped):
        print(f"skipping Go's logs: {skipped.reason}", file=sys.stderr)
    begin = time.perf_counter()
    result: dict[str, Any] = {
        "machine": describe_machine(arguments.directory),
        "command": "make bench-full" if arguments.full else "make bench",
        "rounds": arguments.rounds,
    }
    rows: list[Row] = []
    for operation in chosen:
        say(f"measuring {operation.id}")
        with tempfile.TemporaryDirectory(dir=arguments.directory) as scratch:
            rows += measure(operation, Path(scratch), arguments.rounds)
    if "boundary".startswith(arguments.only):
        say("weighing the boundary")
        result["boundary"] = measure_boundary(min(arguments.rounds, 3))
    if not arguments.only or arguments.only.startswith("P10"):
        say("growing a ledger")
        records = growth.LARGE if arguments.full else GROWTH
        result["growth"] = run_growth(arguments.directory, records)
        rows += growth.compare_sizes(result["growth"])
    result["seconds"] = round(time.perf_counter() - begin, 1)
    result["rows"] = [asdict(row) for row in rows]
    show(result)
    if not arguments.only:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "latest.json").write_text(json.dumps(result, indent=1) + "\n")
    return int(arguments.check and any(row.floor_met is False for row in rows))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure, with peers beside us in the same run.")
    parser.add_argument("--full", action="store_true", help="with Go's logs, and to 10^7 records")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"measured rounds ({ROUNDS})")
    parser.add_argument("--only", default="", help="operations whose id contains this text")
    parser.add_argument("--directory", type=Path, default=RESULTS, help="where to write files")
    parser.add_argument("--check", action="store_true", help="exit 1 where a floor is not met")
    arguments = parser.parse_args()
    ids = [each.id for each in OPERATIONS + golang.OPERATIONS]
    known = any(arguments.only in id for id in [*ids, "boundary"])
    if arguments.rounds < 1 or not (known or arguments.only.startswith("P10")):
        parser.error(f"want at least one round, and of: {', '.join(ids)}, P10, boundary")
    try:
        arguments.directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"cannot write to {arguments.directory}: {error.strerror}")
    return arguments


def say(what: str) -> None:
    print(f"{what} ...", file=sys.stderr, flush=True)


def run_growth(directory: Path, records: int) -> dict[str, Any]:
    """In a process of its own, whose memory nothing else has used."""
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        output = Path(scratch) / "growth.json"
        program = str(Path(__file__).resolve().parent / "growth.py")
        command = [sys.executable, program, "--records", str(records), "--directory", scratch]
        subprocess.run([*command, "--output", str(output)], check=True, stdout=sys.stderr)
        found: dict[str, Any] = json.loads(output.read_text())
        return found


def show(result: dict[str, Any]) -> None:
    """Every table, as Markdown."""
    print(format_rows(result["rows"]))
    if "boundary" in result:
        print(f"\n{format_boundary(result['boundary'])}")
    if "growth" in result:
        print(f"\n{format_growth(result['growth'])}")
    for row in result["rows"]:
        if row["skipped"]:
            print(f"\nskipped {row['peer']}: {row['skipped']}")


if __name__ == "__main__":
    sys.exit(main())
