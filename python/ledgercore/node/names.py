"""Name objects of the state map in addresses: a family, a slash and an id.

``member/bank-a`` and products are text as they are; every other family's id is 32 bytes, as 64
hexadecimal digits.
"""

from __future__ import annotations

from ledgercore.errors import MalformedError
from ledgercore.rules.state import state_type

__all__ = ["format_object", "parse_object"]

ID_BYTES = 32


def parse_object(text: str) -> bytes:
    """An object's name in the state map; raise ``MalformedError`` for what none can have."""
    family, slash, rest = text.partition("/")
    name = text.encode()
    if slash and len(rest) == 2 * ID_BYTES and not rest.strip("0123456789abcdef"):
        by_id = family.encode() + b"/" + bytes.fromhex(rest)
        # A member or a product may be called so; what has an id of bytes may not be text.
        name = by_id if not _is_named(name) else name
    state_type(name)
    return name


def format_object(name: bytes) -> str:
    """The text that ``parse_object`` takes."""
    family, slash, rest = name.partition(b"/")
    if slash and not _is_named(name):
        return f"{family.decode()}/{rest.hex()}"
    return name.decode()


def _is_named(name: bytes) -> bool:
    """Whether objects of this name's family have ids of any length, and so text."""
    family = name.partition(b"/")[0]
    try:
        state_type(family + b"/a")
    except MalformedError:
        return False
    return True
