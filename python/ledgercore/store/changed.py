"""Tell which states blocks have put, by the keys that stand with their headers.

It is a hint, which nothing is believed by: whoever reads the states holds them to the signed root,
and reads all of them where those that are named do not lead there.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["split_keys"]

_KEY_BYTES = 32


def split_keys(blocks: Iterable[bytes]) -> list[bytes]:
    """The keys of all blocks, each once, ascending."""
    keys = {
        joined[at : at + _KEY_BYTES]
        for joined in blocks
        for at in range(0, len(joined), _KEY_BYTES)
    }
    return sorted(keys)
