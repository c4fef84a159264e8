"""Describe the machine and what runs on it: a figure means nothing without them."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import ssl
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ledgercore import build_info

__all__ = ["describe_machine"]

PACKAGES = (
    "apsw",
    "blake3",
    "checkpointed-local-log",
    "cryptography",
    "ledgercore",
    "pymerkle",
    "PyNaCl",
    "scitt-cose",
)


def describe_machine(directory: Path) -> dict[str, object]:
    """What a reader must know to compare: where, when, and of what."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _answer("git", "rev-parse", "HEAD"),
        "changed": bool(_answer("git", "status", "--porcelain", "--untracked-files=no")),
        "processor": _processor_name(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "load": os.getloadavg()[0],
        "system": platform.platform(),
        "file_system": _answer("stat", "--file-system", "--format=%T", str(directory)),
        "python": platform.python_version(),
        "core": build_info(),
        "packages": {name: _version(name) for name in PACKAGES},
        "sqlite": sqlite3.sqlite_version,
        "openssl": _answer("openssl", "version") or ssl.OPENSSL_VERSION,
        "go": _answer("go", "version") or None,
    }


def _answer(*command: str) -> str:
    """What a command prints; nothing where it fails or is not there."""
    if shutil.which(command[0]) is None:
        return ""
    here = Path(__file__).resolve().parent
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor_name() -> str:
    """The processor as the system names it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
