"""Slow and obvious: the tree of RFC 9162 and the state map by recursion, on other people's hashes.

Nothing here uses the package. BLAKE3 is the PyPI package, SHA-256 the standard library's.
"""

from __future__ import annotations

import hashlib

import blake3

EMPTY = bytes(32)


def domain_hash(suite: str, domain: str, data: bytes) -> bytes:
    if suite == "std":
        key = blake3.blake3(b"", derive_key_context=f"ledgercore v1 {domain}").digest()
        return blake3.blake3(data, key=key).digest()
    return hashlib.sha256(b"ledgercore/v1/" + domain.encode() + b"\0" + data).digest()


def leaf(suite: str, data: bytes) -> bytes:
    if suite == "std":
        framed = len(data).to_bytes(8, "little") + data
        return domain_hash("std", "leaf", framed + bytes(-len(framed) % 64))
    return hashlib.sha256(b"\0" + data).digest()


def node(suite: str, left: bytes, right: bytes) -> bytes:
    if suite == "std":
        return domain_hash("std", "node", left + right)
    return hashlib.sha256(b"\1" + left + right).digest()


def split(size: int) -> int:
    """The largest power of two below the size."""
    return 1 << (size - 1).bit_length() - 1


def root(suite: str, leaves: list[bytes]) -> bytes:
    """RFC 9162 section 2.1.1."""
    if not leaves:
        return domain_hash("std", "empty", b"") if suite == "std" else hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return node(suite, root(suite, leaves[:k]), root(suite, leaves[k:]))


def inclusion(suite: str, index: int, leaves: list[bytes]) -> list[bytes]:
    """RFC 9162 section 2.1.3.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if index < k:
        return [*inclusion(suite, index, leaves[:k]), root(suite, leaves[k:])]
    return [*inclusion(suite, index - k, leaves[k:]), root(suite, leaves[:k])]


def sides(index: int, size: int) -> list[str]:
    """On which side of the path each hash of an inclusion proof stands, lowest first."""
    if size == 1:
        return []
    k = split(size)
    return [*sides(index, k), "right"] if index < k else [*sides(index - k, size - k), "left"]


def consistency(suite: str, first: int, leaves: list[bytes], whole: bool = True) -> list[bytes]:
    """RFC 9162 section 2.1.4.1, with the empty tree consistent with every other."""
    if first == 0:
        return []
    if first == len(leaves):
        return [] if whole else [root(suite, leaves)]
    k = split(len(leaves))
    if first <= k:
        return [*consistency(suite, first, leaves[:k], whole), root(suite, leaves[k:])]
    return [*consistency(suite, first - k, leaves[k:], False), root(suite, leaves[:k])]


def multiproof(suite: str, targets: list[int], leaves: list[bytes], begin: int = 0) -> list[bytes]:
    """The roots of the largest subtrees without any target, left to right."""
    if not any(begin <= target < begin + len(leaves) for target in targets):
        return [root(suite, leaves)]
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    left = multiproof(suite, targets, leaves[:k], begin)
    return left + multiproof(suite, targets, leaves[k:], begin + k)


def map_root(suite: str, states: dict[bytes, bytes]) -> bytes:
    """The state map's root over object names and states."""
    entries = {
        domain_hash(suite, "state-key", name): domain_hash(suite, "state-value", value)
        for name, value in states.items()
    }
    return _subtree(suite, sorted(entries.items()), 0)


def _subtree(suite: str, entries: list[tuple[bytes, bytes]], depth: int) -> bytes:
    if not entries:
        return EMPTY
    if len(entries) == 1:
        return domain_hash(suite, "state-leaf", b"".join(entries[0]))
    ones = [entry for entry in entries if entry[0][depth // 8] >> 7 - depth % 8 & 1]
    zeros = [entry for entry in entries if entry not in ones]
    left, right = _subtree(suite, zeros, depth + 1), _subtree(suite, ones, depth + 1)
    return domain_hash(suite, "state-node", left + right)
