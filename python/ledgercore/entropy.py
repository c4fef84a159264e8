"""Draw random bytes: the only place that asks the machine for them.

Keys, salts and nonces come from an ``Entropy`` that is passed in. ``SeededEntropy`` makes a run
repeatable and is for tests and simulations only.
"""

from __future__ import annotations

import hashlib
import os
from typing import Protocol

__all__ = ["Entropy", "SeededEntropy", "SystemEntropy"]


class Entropy(Protocol):
    """Whatever gives bytes that nobody can foresee."""

    def bytes(self, count: int) -> bytes:
        """That many bytes."""
        ...


class SystemEntropy:
    """The operating system's generator."""

    def bytes(self, count: int) -> bytes:
        return os.urandom(count)


class SeededEntropy:
    """The same bytes for the same seed: never for keys that matter."""

    def __init__(self, seed: int) -> None:
        self._seed = seed.to_bytes(16, "big", signed=True)
        self._drawn = 0

    def bytes(self, count: int) -> bytes:
        self._drawn += 1
        return hashlib.shake_256(self._seed + self._drawn.to_bytes(8, "big")).digest(count)
