"""Format and parse a trust anchor as text that a person can read and compare.

::

    origin = "tax.example/exchange"
    network = "5b2c9f0e3d1a48679c0f1e2d3c4b5a69"
    suite = "std"
    operator = "tax.example/exchange+7f3a9c21+AY1..."
    quorum = 1

    [[witness]]
    name = "regulator.example"
    key = "regulator.example+0c4d6e8f+BH0..."

Parsing is strict: every key once, no other keys, and each value in its one form.
"""

from __future__ import annotations

import tomllib
from typing import Any

from ledgercore._core import Anchor, format_verifier_key, parse_verifier_key
from ledgercore.errors import MalformedError
from ledgercore.wording import type_in_words, unknown_in_words

__all__ = ["format_anchor", "parse_anchor"]

_KEYS = {"origin": str, "network": str, "suite": str, "operator": str, "quorum": int}


def format_anchor(anchor: Anchor) -> str:
    """The anchor as TOML; ``parse_anchor`` gives the same anchor back."""
    if not isinstance(anchor, Anchor):
        raise TypeError(f"anchor is {type(anchor).__name__}, want an Anchor")
    lines = [
        f'origin = "{_quoted(anchor.origin)}"',
        f'network = "{anchor.network.hex()}"',
        f'suite = "{anchor.suite}"',
        f'operator = "{_quoted(format_verifier_key(anchor.origin, anchor.operator_key))}"',
        f"quorum = {anchor.quorum}",
    ]
    for name, key in anchor.witnesses:
        lines += ["", "[[witness]]", f'name = "{_quoted(name)}"']
        lines += [f'key = "{_quoted(format_verifier_key(name, key, cosigner=True))}"']
    return "\n".join(lines) + "\n"


def parse_anchor(text: str) -> Anchor:
    """The anchor in a text, or ``MalformedError`` with the line's name and what is wanted."""
    if not isinstance(text, str):
        raise TypeError(f"anchor is {type(text).__name__}, want str: decode the file's bytes")
    table = _table(text)
    entries = table.pop("witness", [])
    _check_keys("anchor", table, _KEYS, "witness")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise MalformedError("anchor has a witness that is not a [[witness]] table")
    name, operator_key = parse_verifier_key(table["operator"])
    if name != table["origin"]:
        raise MalformedError(f"operator's key is named {name!r}, want {table['origin']!r}")
    if not 0 <= table["quorum"] <= len(entries):
        raise MalformedError(f"quorum is {table['quorum']}, want 0 to {len(entries)} witnesses")
    return Anchor(
        origin=table["origin"],
        network=_network(table["network"]),
        suite=table["suite"],
        operator_key=operator_key,
        witnesses=[_witness(entry) for entry in entries],
        quorum=table["quorum"],
    )


def _table(text: str) -> dict[str, Any]:
    try:
        text.encode()
        return tomllib.loads(text)
    except UnicodeEncodeError as error:
        raise MalformedError(f"anchor has a lone surrogate at {error.start}, want text") from None
    except ValueError as error:  # a number of thousands of digits is one too
        raise MalformedError(f"anchor is not TOML: {error}") from None
    except RecursionError:
        raise MalformedError(
            "anchor is nested too deeply, want no nesting but of witness"
        ) from None


def _witness(entry: dict[str, Any]) -> tuple[str, bytes]:
    _check_keys("witness", entry, {"name": str, "key": str})
    name, key = parse_verifier_key(entry["key"], cosigner=True)
    if name != entry["name"]:
        raise MalformedError(f"witness's key is named {name!r}, want {entry['name']!r}")
    return name, key


def _check_keys(what: str, table: dict[str, Any], keys: dict[str, type], *more: str) -> None:
    for key in sorted(table.keys() - keys.keys()):
        raise MalformedError(f"{what}: {unknown_in_words(key, (*keys, *more))}")
    for key, kind in keys.items():
        if key not in table:
            raise MalformedError(f"{what} has no {key}, want one that is {type_in_words(kind)}")
        if type(table[key]) is not kind:
            got = type_in_words(type(table[key]))
            raise MalformedError(f"{what} has {key} that is {got}, want {type_in_words(kind)}")


def _network(text: str) -> bytes:
    if len(text) != 32 or text.strip("0123456789abcdef"):
        raise MalformedError(f"network is {text!r}, want 32 lower-case hexadecimal digits")
    return bytes.fromhex(text)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
