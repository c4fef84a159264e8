"""Read no more of a file than it should have: an endless one is refused at once."""

from __future__ import annotations

import base64
import resource
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from ledgercore import LimitError
from ledgercore._core import RECEIPT_BYTES
from ledgercore.cli.files import read_evidence
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
        (("verify", "HUGE", "--anchor", "anchor.toml"), b"46137346 bytes, the limit of an evid"),
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


def test_largest_receipt_in_base64_is_within_its_limit(tmp_path: Path) -> None:
    texts = [base64.b64encode(bytes(RECEIPT_BYTES + more)) for more in (0, 3)]
    text, longer = (
        b"".join(each[at : at + 64] + b"\r\n" for at in range(0, len(each), 64)) for each in texts
    )
    (tmp_path / "largest").write_bytes(text)
    (tmp_path / "longer").write_bytes(longer)

    assert read_evidence(str(tmp_path / "largest"), receipt=True) == text
    with pytest.raises(LimitError, match="the limit of a receipt"):
        read_evidence(str(tmp_path / "longer"), receipt=True)
