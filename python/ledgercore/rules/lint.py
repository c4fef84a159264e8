"""Find the words of tokens in what is registered: in the names, titles and fields of a product.

A heuristic: it reads words, and whoever renames gets past it. The hard guarantee is structural: no
kind of record holds an amount that its holder's signature moves, nothing is re-assigned between
keys, and there is no fee or reward, whatever a product is called.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

__all__ = ["RESERVED_WORDS", "TOKEN_RULES", "reserved_word", "token_rule"]

RESERVED_WORDS = (
    *("token", "tokens", "coin", "coins", "stablecoin", "mint", "stake", "staking", "airdrop"),
    *("nft", "nfts", "rwa", "cryptocurrency"),
    *("代币", "通证", "稳定币", "虚拟货币", "加密资产", "加密货币"),
)
"""Words that no name may have: whole words in Latin script, any part of a text else."""

TOKEN_RULES: dict[str, tuple[tuple[str, ...], ...]] = {
    "T1": (("balance", "holder"), ("balance", "transferable")),
    "T2": (("claim", "assignable"), ("bearer",)),
    "T3": (("peg",), ("pegged",), ("redeem",), ("redeemable",), ("redemption",)),
    "T4": (("burn",), ("burned",), ("circulating", "supply"), ("total", "supply")),
    "T6": (("validator", "fee"), ("validator", "reward"), ("block", "reward"), ("gas", "fee")),
}
"""For each rule the groups of words that together break it, wherever they stand in one product."""


def reserved_word(texts: Iterable[str]) -> str:
    """The first reserved word in any of the texts, or nothing."""
    for text in map(_folded, texts):
        words = _words(text)
        for reserved in RESERVED_WORDS:
            if reserved in words or (not reserved.isascii() and reserved in text):
                return reserved
    return ""


def token_rule(texts: Iterable[str]) -> str:
    """The first rule that the texts break together, or nothing."""
    words = {word for text in texts for word in _words(_folded(text))}
    for rule, groups in TOKEN_RULES.items():
        if any(words.issuperset(group) for group in groups):
            return rule
    return ""


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text))
