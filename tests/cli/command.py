"""Run the command as a process, as a person and a program do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-m", "ledgercore")
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "cli.md"

Done = subprocess.CompletedProcess[bytes]


def run(*arguments: object, data: bytes = b"", directory: Path | None = None) -> Done:
    """Run a command to its end; a traceback is never right."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=data,
        capture_output=True,
        timeout=120,
        cwd=directory,
        check=False,
    )
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done


def run_well(*arguments: object, data: bytes = b"", directory: Path | None = None) -> bytes:
    """What a command that succeeds prints."""
    done = run(*arguments, data=data, directory=directory)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def objects(output: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def verify(case: Path, receipt: str = "raw", record: str = "record") -> Done:
    anchor = case / "anchor.toml"
    return run("verify", case / receipt, "--anchor", anchor, "--record", case / record)
