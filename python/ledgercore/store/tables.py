"""Name the tables of a store, for those who copy and count them: docs/spec/storage.md has them."""

from __future__ import annotations

__all__ = ["TABLES"]

TABLES: dict[str, dict[str, str]] = {
    "block": {
        "height": "bigint",
        "first_index": "bigint",
        "header": "bytea",
        "note": "text",
        "keys": "bytea",
    },
    "bundle": {"first_index": "bigint", "height": "bigint", "records": "bytea"},
    "tile": {"level": "bigint", "position": "bigint", "hashes": "bytea"},
    "bucket": {"level": "bigint", "run": "bigint", "position": "bigint", "entries": "bytea"},
    "state": {
        "key": "bytea",
        "name": "bytea",
        "value": "bytea",
        "height": "bigint",
        "touch": "bigint",
    },
    "touch": {"number": "bigint", "record": "bigint", "previous": "bigint"},
}
"""Each table's columns with their types in SQL, in the order of a row."""
