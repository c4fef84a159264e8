"""Read no more of a file than it should have: an endless one is refused at once."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.cli.command import COMMAND

MEMORY_BYTES = 1024**3


def run_in_little_memory(*arguments: str, directory: Path) -> subprocess.CompletedProcess[bytes]:
    """Run a command that could not read a file of three gigabytes whole."""

    def hold() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))

    command = [*COMMAND, *arguments]
    return subprocess.run(
        command, capture_output=True, cwd=directory, preexec_fn=hold, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "limit"),
    [
        (("verify", "HUGE", "--anchor", "anchor.toml"), b"22369626 bytes, the limit of an evid"),
        (("verify", "HUGE", "--anchor", "anchor.toml", "--record", "record"), b"of a receipt"),
        (("verify", "raw", "--anchor", "HUGE", "--record", "record"), b"65536 bytes, the limit of"),
        (("verify", "raw", "--anchor", "anchor.toml", "--record", "HUGE"), b"limit of a record"),
        (("audit", "a.ledger", "--since", "HUGE"), b"65536 bytes, the limit of a checkpoint"),
        (("demo", "--data", "record", "--mapping", "HUGE"), b"1048576 bytes, the limit of a map"),
        (("demo", "--data", "HUGE", "--mapping", "sba.toml"), b"bytes, the limit of a table"),
    ],
)
@pytest.mark.parametrize("endless", [False, True])
def test_huge_file_is_refused_by_its_limit(
    case: Path, arguments: Sequence[str], limit: bytes, endless: bool
) -> None:
    example = Path(__file__).resolve().parents[2] / "examples/sba.toml"
    (case / "sba.toml").write_text(example.read_text())
    with (case / "huge").open("wb") as huge:
        huge.truncate(3 * 1024**3)
    place = "/dev/zero" if endless else "huge"
    given = [place if each == "HUGE" else each for each in arguments]

    done = run_in_little_memory(*given, directory=case)

    assert done.returncode == 5, done.stderr
    assert limit in done.stderr
    assert b"Traceback" not in done.stderr


def test_largest_receipt_in_base64_is_within_its_limit() -> None:
    from ledgercore.cli.files import RECEIPT_BYTES

    encoded = -(-256 * 1024 // 3) * 4

    assert encoded + len("\r\n") <= RECEIPT_BYTES
