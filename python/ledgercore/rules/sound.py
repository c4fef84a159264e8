"""Look whether a key is one that its holder alone can sign with."""

from __future__ import annotations

from ledgercore._core import check_public_key
from ledgercore.errors import MalformedError

__all__ = ["key_fault"]


def key_fault(key: bytes) -> str:
    """What is wrong with a new signing key: nobody can sign with one that is no point, and anybody
    with one of small order, which proves itself. Empty where nothing is."""
    try:
        check_public_key(key)
    except MalformedError as error:
        return str(error)
    return ""
