"""The journal's file: entries as they are specified, and what is read back of it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from zlib import crc32

import pytest

from ledgercore.store import journal as journal_module
from ledgercore.store.journal import Journal
from tests.conftest import REPOSITORY

SPECIFICATION = REPOSITORY / "docs" / "spec" / "storage.md"


def test_an_entry_is_as_it_is_specified(tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "journal")) as made:
        made.add(b"bundle")
    data = (tmp_path / "journal").read_bytes()

    entry = f"4c444a31 00000006 {crc32(b'bundle'):08x} 62756e646c65"
    assert data.rstrip(b"\0") == bytes.fromhex(entry)
    assert len(data) == journal_module.ROOM_BYTES
    assert Journal.load(tmp_path / "journal") == [b"bundle"]
    for text in (SPECIFICATION.read_text(), str(journal_module.__doc__)):
        assert all(part in text for part in entry.split())


@pytest.mark.parametrize("size", [4084, 4085, 8176, 8177])
def test_a_bundle_goes_on_behind_zeros_in_further_pages(tmp_path: Path, size: int) -> None:
    bundles = [b"\xff" * size, b"next"]
    with closing(Journal(tmp_path / "journal")) as made:
        assert all(map(made.add, bundles))
    data = (tmp_path / "journal").read_bytes()
    pages = [data[at : at + 4096] for at in range(0, len(data), 4096)]
    further = (size - 4084 + 4091) // 4092

    assert [page[:4] for page in pages[1 : 1 + further]] == [bytes(4)] * further
    assert pages[1 + further].startswith(b"LDJ1")
    assert Journal.load(tmp_path / "journal") == bundles
