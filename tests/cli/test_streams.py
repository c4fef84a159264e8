"""Go without a standard stream, and without a locale that has every letter."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from ledgercore import Ledger
from tests.cli.command import COMMAND, objects, run_well

Done = subprocess.CompletedProcess[bytes]


def in_shell(arguments: str, directory: Path, **variables: str) -> Done:
    """Run a command line with its redirections."""
    done = subprocess.run(
        f"{shlex.join(COMMAND)} {arguments}",
        shell=True,
        cwd=directory,
        input=b"line\n",
        capture_output=True,
        env={**os.environ, **variables},
        timeout=60,
        check=False,
    )
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done


@pytest.mark.parametrize(
    "arguments",
    [
        "append a.ledger --lines - <&-",
        "append a.ledger --lines - >&-",
        "append a.ledger --lines - --json >&-",
        "show a.ledger >&-",
        "show a.ledger --json >&-",
        "audit a.ledger >&-",
        "init b.ledger --origin b >&-",
        "--help >&-",
        "--version >&-",
    ],
)
def test_closed_stream_is_an_error_before_anything_is_done(ledger: Path, arguments: str) -> None:
    done = in_shell(arguments, ledger.parent)

    assert (done.returncode, done.stdout) == (4, b"")
    assert len(done.stderr.splitlines()) == 1
    assert b" is closed" in done.stderr
    assert not ledger.with_name("b.ledger").exists()
    with Ledger.open(ledger) as opened:
        assert opened.size == 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("audit a.ledger 2>&-", 0),
        ("show missing 2>&-", 4),
        ("show 2>&-", 2),
        ("show x >&- 2>&-", 4),
        ("show missing 2>/dev/full", 4),
        ("show missing --json 2>/dev/full", 4),
        ("show 2>/dev/full", 2),
    ],
)
def test_closed_error_stream_leaves_the_exit_code(ledger: Path, arguments: str, code: int) -> None:
    assert in_shell(arguments, ledger.parent).returncode == code


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_note_and_anchor_are_utf_8_whatever_the_locale(tmp_path: Path, encoding: str) -> None:
    run_well(
        "init", tmp_path / "a.ledger", "--origin", "stra\N{LATIN SMALL LETTER SHARP S}e/\u7a0e"
    )
    with Ledger.open(tmp_path / "a.ledger", read_only=True) as opened:
        note, origin = opened.checkpoint, opened.origin

    shown, anchor, facts, machine = (
        in_shell(arguments, tmp_path, PYTHONIOENCODING=encoding)
        for arguments in (
            "show a.ledger --checkpoint",
            "anchor a.ledger",
            "show a.ledger",
            "show a.ledger --json",
        )
    )

    assert shown.stdout == note.encode()
    assert origin in anchor.stdout.decode()
    assert facts.returncode == 0
    assert objects(machine.stdout)[0]["origin"] == origin


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", ["--help", "--version", "show --help", "show a.ledger"])
def test_a_reader_that_has_left_ends_with_the_same_code(
    ledger: Path, arguments: str, unbuffered: str
) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as broken:
        done = subprocess.run(
            [*COMMAND, *arguments.split()],
            cwd=ledger.parent,
            stdout=broken,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            timeout=60,
            check=False,
        )

    assert (done.returncode, done.stderr) == (4, b"")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_is_cut_short_is_an_error(ledger: Path, unbuffered: str) -> None:
    limit_bytes = 64 << 20  # of a file: a ledger's are shorter, and the output comes near it
    ledger.with_name("lines").write_bytes(b"line\n" * 20)
    with ledger.with_name("out").open("wb") as out:
        out.truncate(limit_bytes - 100)
    append = shlex.join([*COMMAND, "append", "a.ledger", "--lines", "lines", "--json"])

    done = subprocess.run(
        ["sh", "-c", f"ulimit -f {limit_bytes // 512}; {append} >> out"],
        cwd=ledger.parent,
        capture_output=True,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        timeout=60,
        check=False,
    )

    assert done.returncode == 4, done.stderr
    assert b"File too large" in done.stderr
