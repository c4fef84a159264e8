"""Run a network of node processes on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ledgercore.demo.network import lay_out
from ledgercore.demo.processes import NodeProcess, free_ports, start_all

COMMAND = (sys.executable, "-m", "ledgercore")
MEMBERS: dict[str, tuple[str, ...]] = {
    "tax": ("provider",),
    "bank": ("consumer",),
    "regulator": ("supervisor",),
}


def command(*arguments: object, code: int = 0) -> dict[str, Any]:
    """What a command prints as JSON, and ends with this code."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments), "--json"], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == code, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@contextmanager
def network(
    directory: Path, members: dict[str, tuple[str, ...]] | None = None
) -> Iterator[list[NodeProcess]]:
    """The operator's node and two others, all caught up."""
    members = members or MEMBERS
    ports = free_ports(len(members))
    places = lay_out(directory / "network", members, ports, origin="test.example/network")
    processes = [NodeProcess(place) for place in places]
    try:
        start_all(processes)
        yield processes
    finally:
        for process in processes:
            if process.runs:
                process.stop()
