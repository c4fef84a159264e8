"""Find the words of tokens in what is registered: in the names, titles and fields of schemas.

A heuristic: it reads words, and whoever renames gets past it. The hard guarantee is structural: no
kind of record holds an amount that its holder's signature moves, nothing is re-assigned between
keys, and there is no fee or reward, whatever a schema is called.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["NEVER", "RESERVED", "RESERVED_WORDS", "TOKEN_RULES", "Finding", "find_token"]

NEVER = "T6"
"""The rule that nobody can authorise to break: who keeps the ledger is not paid by it."""
RESERVED = "T5"
"""The rule that a reserved word alone breaks."""

RESERVED_WORDS = (
    *("token", "tokens", "coin", "coins", "stablecoin", "mint", "stake", "staking", "airdrop"),
    *("nft", "nfts", "rwa", "cryptocurrency"),
    *("代币", "通证", "稳定币", "虚拟货币", "加密资产", "加密货币"),
)
"""Words that no name may have: whole words in Latin script, any part of a text else."""

TOKEN_RULES: dict[str, tuple[tuple[str, ...], ...]] = {
    "T6": (("validator", "fee"), ("validator", "reward"), ("block", "reward"), ("gas", "fee")),
    "T1": (("balance", "holder"), ("balance", "transferable")),
    "T2": (("claim", "assignable"), ("bearer",)),
    "T3": (("peg",), ("pegged",), ("redeem",), ("redeemable",), ("redemption",)),
    "T4": (("burn",), ("burned",), ("circulating", "supply"), ("total", "supply")),
}
"""For each rule the groups of words that together break it, wherever they stand in one schema.

The gravest comes first.
"""


class Finding(NamedTuple):
    """The rule that texts break, and the words that break it."""

    rule: str
    words: tuple[str, ...]

    @property
    def code(self) -> str:
        """The code that it is refused with."""
        return "E_RESERVED_WORD" if self.rule == RESERVED else "E_TOKEN_LIKE"

    def __str__(self) -> str:
        return f"like a token by rule {self.rule}, for {' and '.join(self.words)}"


def find_token(texts: Iterable[str]) -> Finding | None:
    """The gravest rule that the texts break together, or None."""
    folded = [_folded(text) for text in texts]
    words = {word for text in folded for word in _words(text)}
    for rule, groups in TOKEN_RULES.items():
        for group in groups:
            if words.issuperset(group):
                return Finding(rule, group)
    for word in RESERVED_WORDS:
        if word in words or (not word.isascii() and any(word in text for text in folded)):
            return Finding(RESERVED, (word,))
    return None


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text))
