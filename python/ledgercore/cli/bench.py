"""Weigh this machine: the five figures of JR/T 0193."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import click

from ledgercore.cli.files import FILE
from ledgercore.cli.output import json_option, print_facts, progress_bars

SECONDS = 15
LIMIT_SECONDS = 3_600


@click.command("bench")
@click.option("--directory", type=FILE, default=".", help="Where to write: what disk to weigh (.).")
@click.option(
    "--seconds",
    type=click.IntRange(1, LIMIT_SECONDS),
    default=SECONDS,
    help=f"How long to measure, about ({SECONDS}).",
)
@json_option
def command(directory: str, seconds: int, as_json: bool) -> None:
    """Measure what this machine and its disk do: the five figures of JR/T 0193.

    Transaction throughput, query throughput, synchronisation, deployment and growth. Nothing else
    should run meanwhile; what is written is removed. A figure without its machine means nothing.
    """
    from ledgercore._core import build_info
    from ledgercore.clock import SystemClock
    from ledgercore.disk import check_directory, core_count
    from ledgercore.evaluation import evaluate

    check_directory(Path(directory) / "ledger")
    # Told to end it takes its files away, too, and ends as the system would have ended it.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with progress_bars() as progress:
        found = evaluate(directory, seconds, SystemClock(), progress)
    info = build_info()
    machine = {
        "version": info["version"],
        "profile": info["profile"],
        "signature_kernel": info["signature_kernel"],
        "cores": core_count(),
    }
    if as_json:
        facts: dict[str, Any] = {
            "transactions_per_s": round(found.transactions_per_s, 1),
            "queries_per_s": round(found.queries_per_s, 1),
            "sync_per_s": round(found.sync_per_s, 1),
            "deployment_s": round(found.deployment_s, 4),
            "growth_bytes_a_record": round(found.growth_bytes_a_record, 1),
            "record_bytes": round(found.record_bytes, 1),
            "records": found.records,
            "queries": found.queries,
            **machine,
        }
    else:
        facts = {
            "transaction_throughput": f"{found.transactions_per_s:,.0f} records/s",
            "query_throughput": f"{found.queries_per_s:,.0f} records/s",
            "synchronisation": f"{found.sync_per_s:,.0f} records/s, verified and durable",
            "deployment_time": f"{found.deployment_s * 1000:.1f} ms to the first receipt",
            "ledger_growth": f"{found.growth_bytes_a_record:.0f} bytes a record, of which "
            f"{found.record_bytes:.0f} are its own",
            "measured": f"{found.records:,} records of 400 bytes, {found.queries:,} queries",
            "machine": ", ".join(
                f"{name.replace('_', ' ')} {each}" for name, each in machine.items()
            ),
        }
    print_facts(facts, as_json=as_json)
