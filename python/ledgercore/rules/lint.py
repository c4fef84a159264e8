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

__all__ = ["RESERVED_WORDS", "RULES", "WORDS", "Finding", "TokenRule", "find_token"]


class TokenRule(NamedTuple):
    """What is like a token, what it is seen by, its code, and whether it may be authorised."""

    forbids: str
    seen_by: str
    code: str = "E_TOKEN_LIKE"
    authorised: bool = True


RULES = {
    "T1": TokenRule("a balance of a holder", "words"),
    "T2": TokenRule("a claim that passes between keys", "words"),
    "T3": TokenRule("a peg or a redemption", "words"),
    "T4": TokenRule("a supply that is made and destroyed", "words"),
    "T5": TokenRule("a word that is reserved for tokens", "words", "E_RESERVED_WORD"),
    "T6": TokenRule("a fee or a reward for keeping the ledger", "words", authorised=False),
    "T7": TokenRule("amounts that only move", "amounts of decisions that add up to nothing"),
}
"""The rules against tokens; those of the protocol's section on refusing them, by its numbers."""

RESERVED_WORDS = (
    *("token", "tokens", "coin", "coins", "stablecoin", "mint", "stake", "staking", "airdrop"),
    *("nft", "nfts", "rwa", "cryptocurrency"),
    *("代币", "通证", "稳定币", "虚拟货币", "加密资产", "加密货币"),
)
"""Words that no name may have: whole words in Latin script, any part of a text else."""

WORDS: dict[str, tuple[tuple[str, ...], ...]] = {
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
    """The rule that is broken, and what breaks it."""

    rule: str
    signs: tuple[str, ...]

    @property
    def code(self) -> str:
        """The code that it is refused with."""
        return RULES[self.rule].code

    def __str__(self) -> str:
        return f"like a token by rule {self.rule}, for {' and '.join(self.signs)}"


def find_token(texts: Iterable[str]) -> Finding | None:
    """The gravest rule that the texts break together, or None."""
    folded = [_folded(text) for text in texts]
    words = {word for text in folded for word in _words(text)}
    for rule, groups in WORDS.items():
        for group in groups:
            if words.issuperset(group):
                return Finding(rule, group)
    for word in RESERVED_WORDS:
        if word in words or (not word.isascii() and any(word in text for text in folded)):
            return Finding("T5", (word,))
    return None


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text))
