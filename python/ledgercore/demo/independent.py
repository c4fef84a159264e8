"""Have evidence verified once more, in a process of its own that has nothing of this package.

The verifier is one file of the source tree, ``verifier/ledgercore_verify.py``, written from
docs/spec with the standard library alone. An installed package does not carry it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from ledgercore.disk import exists
from ledgercore.errors import InvalidProof

__all__ = ["VERIFIER", "verify_independently"]

VERIFIER = Path(__file__).resolve().parents[3] / "verifier" / "ledgercore_verify.py"

TIME_S = 300


def verify_independently(evidence: Iterable[Path], anchor: Path) -> dict[str, int] | None:
    """How many claims of each file the verifier found proven; nothing where it is not here.

    Raises ``InvalidProof`` with what it says of a file that it refuses.
    """
    if not exists(VERIFIER):
        return None
    proven = {}
    for file in evidence:
        # Isolated: it sees neither this package nor what the environment would add to its path.
        command = [sys.executable, "-I", "-S", str(VERIFIER), str(file), "--anchor", str(anchor)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIME_S, check=False)
        if done.returncode:
            raise InvalidProof(f"independent verifier refuses {file}: {done.stderr.strip()}")
        proven[file.stem] = sum(line.startswith("proven") for line in done.stdout.splitlines())
    return proven
