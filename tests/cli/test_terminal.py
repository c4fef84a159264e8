"""Show tables and progress on a terminal, and plain lines in a pipe."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from tests.cli.command import COMMAND, run

STYLE = re.compile(rb"\x1b\[[0-9;]*m")
COLOUR = re.compile(rb"\x1b\[[0-9;]*3[0-7]m")


def on_terminal(*arguments: object, **variables: str) -> bytes:
    """What a command shows on a terminal, both streams."""
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **variables}
    ours, theirs = pty.openpty()
    command = [*COMMAND, *map(str, arguments)]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # how Linux says that the other side is closed
                break
            if not piece:
                break
            shown += piece
    os.close(ours)
    assert process.returncode == 0, shown
    return shown


def test_terminal_shows_progress_in_colour(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)

    shown = on_terminal("audit", ledger)

    assert b"verifying" in shown
    assert COLOUR.search(shown)


def test_terminal_without_colour_where_it_is_not_wanted(ledger: Path) -> None:
    shown = on_terminal("audit", ledger, NO_COLOR="1")

    assert b"verifying" in shown
    assert not STYLE.search(shown)


def test_pipe_gets_plain_lines(ledger: Path) -> None:
    done = run("audit", ledger)

    assert b"\x1b" not in done.stdout
    assert done.stderr == b""
