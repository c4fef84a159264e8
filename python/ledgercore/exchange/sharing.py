"""Make an audit key of which each holder has a share, and nobody ever has the key.

Every holder draws a polynomial, shows commitments to it, and deals each holder a number, sealed to
it alone. A holder holds what it was dealt to the commitments, and adds up: that is its share. The
commitments of all give the public key, and each holder's public share. A holder that deals wrong
numbers is found by whom it dealt them to, and the key is made anew without it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledgercore._core import (
    group_add_numbers,
    group_deal,
    group_share_keys,
    group_verify_deal,
)
from ledgercore.arguments import typed
from ledgercore.entropy import Entropy
from ledgercore.errors import MalformedError
from ledgercore.records import AuditKey, ShareHolder
from ledgercore.records.base import LIMIT_ITEMS, Bytes32, Part
from ledgercore.wording import number_in_words

__all__ = ["Deal", "audit_key_of", "deal", "share_of"]


class Deal(Part, frozen=True):
    """What one holder shows to all: its commitments. The numbers go one to each holder."""

    commitments: tuple[Bytes32, ...]


@typed
def deal(entropy: Entropy, threshold: int, holders: int) -> tuple[Deal, list[bytes]]:
    """A holder's deal, and the secret number for each holder, in the order of holders.

    Raises ``MalformedError`` unless the threshold is 1 to all of the holders, and these a list's.
    """
    if not 1 <= threshold <= holders <= LIMIT_ITEMS:
        got, count = number_in_words(threshold), number_in_words(holders)
        want = f"1 <= threshold <= holders <= {LIMIT_ITEMS}"
        raise MalformedError(f"threshold is {got} and holders {count}, want {want}")
    drawn = [entropy.bytes(64) for _ in range(threshold)]
    commitments, numbers = group_deal(drawn, holders)
    return Deal(tuple(commitments)), numbers


@typed
def share_of(holder: int, deals: Sequence[Deal], numbers: Sequence[bytes]) -> bytes:
    """The share of a holder, counted from one, of what each dealt it; raises for a wrong number."""
    for each, number in zip(deals, numbers, strict=True):
        group_verify_deal(each.commitments, holder, number)
    return group_add_numbers(numbers)


@typed
def audit_key_of(deals: Sequence[Deal], members: Sequence[str]) -> AuditKey:
    """The record that registers the key, for a supervisor to sign."""
    key, share_keys = group_share_keys([each.commitments for each in deals], len(members))
    holders = zip(members, share_keys, strict=True)
    return AuditKey(
        audit_key=key,
        threshold=len(deals[0].commitments),
        holders=tuple(ShareHolder(member, share_key) for member, share_key in holders),
    )
