#!/usr/bin/env python3
"""Put an implementation before the vectors of the specification, and report where it disagrees.

    python3 conformance.py --command "python3 ledgercore_verify.py" [VECTORS ...]

The command is run once for each vector, over files; docs/spec/conformance.md says how. VECTORS are
files of docs/spec/vectors, all of them by default. The exit code is 0 where the implementation
accepts, refuses and claims exactly what is expected of it, and 1 otherwise.
"""

from __future__ import annotations

import argparse
import base64
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["VECTORS", "Vector", "load_vectors", "main"]

VECTORS = Path(__file__).resolve().parent.parent / "docs" / "spec" / "vectors"
LIMIT_S = 60


@dataclass(frozen=True)
class Vector:
    """One piece of evidence, what it is verified with, and the answer that is expected."""

    name: str
    anchor: str
    data: bytes
    record: bytes | None
    checkpoint: bytes | None
    want: str


def answer_of(facts: dict[str, Any]) -> str:
    """The claims of an answer as one line, or its kind of error."""
    if "claims" not in facts:
        return f"refused: {facts.get('error')}"
    pairs = [(each["name"], each["status"]) for each in facts["claims"]]
    return "accepted: " + ", ".join(f"{name} {status}" for name, status in pairs)


def load_vectors(path: Path) -> Iterator[Vector]:
    """The vectors in a file."""
    table = json.loads(path.read_text(encoding="utf-8"))
    for entry in table["vectors"]:
        given = {
            part: base64.b64decode(entry[part]) if part in entry else None
            for part in ("data", "record", "checkpoint")
        }
        facts = dict(entry)
        if "claims" in entry:
            facts["claims"] = [{"name": name, "status": status} for name, status in entry["claims"]]
        yield Vector(
            name=f"{path.stem}/{entry['name']}",
            anchor=table["anchor"],
            data=given["data"] or b"",
            record=given["record"],
            checkpoint=given["checkpoint"],
            want=answer_of(facts),
        )


def ask(command: Sequence[str], vector: Vector, directory: Path) -> str:
    """The implementation's answer to one vector."""
    (directory / "evidence").write_bytes(vector.data)
    (directory / "anchor").write_text(vector.anchor, encoding="utf-8")
    arguments = [str(directory / "evidence"), "--anchor", str(directory / "anchor")]
    for option, data in (("record", vector.record), ("checkpoint", vector.checkpoint)):
        if data is not None:
            (directory / option).write_bytes(data)
            arguments += [f"--{option}", str(directory / option)]
    try:
        done = subprocess.run(
            [*command, *arguments, "--json"], capture_output=True, timeout=LIMIT_S, check=False
        )
        told = json.loads(done.stderr if done.returncode else done.stdout)
        # Neither a refusal that exits with 0 counts, nor claims that do not.
        if ("claims" in told) == (done.returncode == 0):
            return answer_of(told)
    except subprocess.TimeoutExpired:
        return f"no answer in {LIMIT_S} s"
    except (ValueError, KeyError, TypeError):
        pass
    return f"no answer that can be read: exit code {done.returncode}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask for every vector; 0 where all answers are those expected."""
    parser = argparse.ArgumentParser(description="Run the vectors of the specification.")
    parser.add_argument("--command", required=True, help="the implementation, as in a shell")
    parser.add_argument("vectors", nargs="*", type=Path, help="files of vectors")
    given = parser.parse_args(arguments)
    command = shlex.split(given.command)
    paths = given.vectors or sorted(VECTORS.glob("*.json"))
    asked = wrong = 0
    with tempfile.TemporaryDirectory() as directory:
        for path in paths:
            for vector in load_vectors(path):
                got, asked = ask(command, vector, Path(directory)), asked + 1
                if got != vector.want:
                    wrong += 1
                    print(f"{vector.name}: {got}, want {vector.want}")
    print(f"{asked - wrong} of {asked} vectors as expected")
    return 1 if wrong or not asked else 0


if __name__ == "__main__":
    sys.exit(main())
