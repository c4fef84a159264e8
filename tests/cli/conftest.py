"""A ledger, and a receipt with all that its verifier needs."""

from __future__ import annotations

import base64
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledgercore import Ledger, format_anchor


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A new ledger, as ``ledgercore init`` makes it."""
    path = tmp_path / "a.ledger"
    Ledger.create(path, origin="test.example/log").close()
    return path


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Processes that are started now hear interrupts, also where the tests run in the background.

    A shell has what it runs in the background ignore them, and children inherit that.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def case(ledger: Path, tmp_path: Path) -> Path:
    """A directory with an anchor, a record and its receipt, raw and as text."""
    with Ledger.open(ledger) as opened:
        receipt = opened.append(b"one record").encode()
        (tmp_path / "anchor.toml").write_text(format_anchor(opened.trust_anchor))
    (tmp_path / "record").write_bytes(b"one record")
    (tmp_path / "text").write_text(base64.b64encode(receipt).decode() + "\n")
    (tmp_path / "raw").write_bytes(receipt)
    return tmp_path
