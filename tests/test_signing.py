"""A block's checkpoint is signed beside the second look, and its signature used only after it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ledgercore import (
    Anchor,
    CorruptError,
    Ledger,
    LedgerError,
    MalformedError,
    SigningKey,
    UntrustedError,
    keys,
)
from ledgercore._core import Block, Checkpoint
from ledgercore.store import SqliteStore

ORIGIN = "signing.example/log"
KEY = SigningKey(bytes(range(32)))
ANCHOR = Anchor(origin=ORIGIN, network=bytes(16), suite="std", operator_key=KEY.public_key)
BLOCK = Block(
    height=1,
    parent=bytes(32),
    time_ms=5,
    first_index=1,
    count=1,
    tree_root=b"\1" * 32,
    state_root=b"\2" * 32,
)


class KeyElsewhere:
    """A signer that remembers what it was asked for."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.public_key = KEY.public_key

    def sign(self, message: bytes) -> bytes:
        self.messages.append(message)
        return KEY.sign(message)


def test_a_key_elsewhere_is_asked_for_a_checkpoint_only_after_the_second_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, add = KeyElsewhere(), SqliteStore.add_bundles
    with Ledger.create(tmp_path / "a.ledger", origin=ORIGIN, key=service) as ledger:
        ledger.append(b"x")
        record, checkpoint = service.messages[-2:]
        monkeypatch.setattr(
            SqliteStore,
            "add_bundles",
            lambda store, height, first, bundles: add(store, height, first, [b"\0" + bundles[0]]),
        )
        with pytest.raises(CorruptError, match="what was stored"):
            ledger.append(b"x")

    assert ORIGIN.encode() in checkpoint and ORIGIN.encode() not in record
    assert len(service.messages) == 5, "genesis, its checkpoint, x, its checkpoint, x"


def test_a_block_is_signed_on_another_thread_as_on_this_one() -> None:
    notes = [keys.begin_signing(ANCHOR, BLOCK, signer)() for signer in (KEY, KeyElsewhere())]

    assert notes == [keys.sign_checkpoint(ANCHOR.checkpoint(BLOCK), KEY)] * 2
    assert ANCHOR.verify_block(BLOCK.encode(), notes[0]) == (BLOCK, ANCHOR.checkpoint(BLOCK))
    other = keys.sign_checkpoint(ANCHOR.checkpoint(BLOCK), SigningKey(bytes(32)))
    with pytest.raises(UntrustedError):
        ANCHOR.verify_block(BLOCK.encode(), other)
    wrong = keys.begin_signing(ANCHOR, BLOCK, SigningKey(bytes(32)))
    with pytest.raises(UntrustedError):
        ANCHOR.verify_block(BLOCK.encode(), wrong())


def run(code: str) -> list[str]:
    """The lines that a program prints, in which ``threads`` gives the names of its threads."""
    head = (
        "import os, pathlib\n"
        "from tests.test_signing import ANCHOR, BLOCK, KEY\n"
        "def threads():\n"
        "    tasks = pathlib.Path('/proc/self/task').glob('*/comm')\n"
        "    return [task.read_text().strip() for task in tasks]\n"
    )
    command = [sys.executable, "-c", head + code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()


def test_a_key_in_this_process_signs_on_a_thread_of_its_own() -> None:
    assert run("ANCHOR.begin_signing(BLOCK, KEY).note()\nprint('beside' in threads())") == ["True"]


def test_a_child_of_a_process_that_never_signed_signs_by_itself() -> None:
    code = (
        "if os.fork() == 0:\n"
        "    print(ANCHOR.begin_signing(BLOCK, KEY).note().count('\\n'), threads())\n"
        "else:\n"
        "    os.wait()"
    )
    (line,) = run(code)
    assert line.startswith("7 ") and "beside" not in line


def test_a_key_elsewhere_signs_what_is_made_after_the_second_look() -> None:
    made: list[Block] = []

    class Watched:
        """An anchor that tells when a checkpoint is made."""

        def checkpoint(self, block: Block) -> Checkpoint:
            made.append(block)
            return ANCHOR.checkpoint(block)

    signed = keys.begin_signing(Watched(), BLOCK, KeyElsewhere())  # type: ignore[arg-type]
    before = list(made)
    signed()
    assert (before, made) == ([], [BLOCK])


def test_a_block_that_was_just_verified_vouches_for_no_other() -> None:
    note = keys.begin_signing(ANCHOR, BLOCK, KEY)()
    other = Block(
        height=BLOCK.height,
        parent=BLOCK.parent,
        time_ms=BLOCK.time_ms,
        first_index=BLOCK.first_index,
        count=BLOCK.count,
        tree_root=BLOCK.tree_root,
        state_root=b"\3" * 32,
    )
    with pytest.raises(UntrustedError, match="not the one that was signed"):
        ANCHOR.verify_block(other.encode(), note)
    with pytest.raises(LedgerError):
        ANCHOR.verify_block(BLOCK.encode(), note.replace("\u2014", "-"))


def test_a_note_that_is_being_signed_is_given_once() -> None:
    signing = ANCHOR.begin_signing(BLOCK, KEY)
    signing.note()
    with pytest.raises(MalformedError, match="taken already"):
        signing.note()
