"""Name objects of the state map as text: a family, a slash and an id.

``consent/`` and its like are followed by 32 bytes as 64 hexadecimal digits; ``member/bank-a`` is
text as it is.
"""

from __future__ import annotations

from ledgercore.cli.output import parse_hex
from ledgercore.rules import state_type

__all__ = ["format_object", "parse_object"]

HEX_FAMILIES = (
    *("agreement", "authorisation", "consent", "decision", "exchange"),
    *("key", "proposal", "renewal", "signer"),
)


def parse_object(text: str) -> bytes:
    """An object's name in the state map; MalformedError for what can have no state."""
    family, slash, rest = text.partition("/")
    name = text.encode()
    if slash and family in HEX_FAMILIES:
        name = family.encode() + b"/" + parse_hex("object id", rest)
    state_type(name)
    return name


def format_object(name: bytes) -> str:
    """The text that ``parse_object`` takes."""
    family, slash, rest = name.partition(b"/")
    if slash and family.decode(errors="replace") in HEX_FAMILIES:
        return f"{family.decode()}/{rest.hex()}"
    return name.decode(errors="replace")
