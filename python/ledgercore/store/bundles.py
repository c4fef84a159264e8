"""Number a block's bundles as rows, and hold rows that are read to those numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count

from ledgercore.errors import CorruptError
from ledgercore.store.contract import BUNDLE_RECORDS, StoredBlock

__all__ = ["bundle_rows", "with_bundles"]


def bundle_rows(
    height: int, first_index: int, bundles: Sequence[bytes | memoryview]
) -> list[tuple[int, int, bytes | memoryview]]:
    """First index, height and records of each bundle of a block."""
    return [
        (first_index + at * BUNDLE_RECORDS, height, records) for at, records in enumerate(bundles)
    ]


def with_bundles(block: StoredBlock, rows: Iterable[tuple[int, int, bytes]]) -> StoredBlock:
    """The block with the bundles of such rows, or ``CorruptError`` where one is of another."""
    bundles = []
    for want, row in zip(count(block.first_index, BUNDLE_RECORDS), rows, strict=False):
        first_index, height, records = row
        if (first_index, height) != (want, block.height):
            raise CorruptError(
                f"block {block.height}: bundle is of block {height} from record {first_index} on, "
                f"want record {want}"
            )
        bundles.append(records)
    return block._replace(bundles=bundles)
