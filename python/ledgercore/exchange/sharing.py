"""Make an audit key of which each holder has a share, and nobody ever has the key.

Every holder draws a polynomial, shows commitments to it, and deals each holder a number, sealed to
it alone. A holder holds what it was dealt to the commitments, and adds up: that is its share. The
commitments of all give the public key, and each holder's public share. A holder that deals wrong
numbers is found by whom it dealt them to, and the key is made anew without it.

A deal proves that its dealer knows the constant term. Who shows last could else show a point less
all the others' first commitments, and would alone know the key that they add up to.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledgercore._core import (
    group_add_numbers,
    group_deal,
    group_share_keys,
    group_verify_deal,
    group_verify_dealer,
)
from ledgercore.arguments import typed
from ledgercore.entropy import Entropy
from ledgercore.errors import MalformedError
from ledgercore.records import AuditKey, ShareHolder
from ledgercore.records.base import LIMIT_ITEMS, Bytes32, Bytes64, Part
from ledgercore.wording import number_in_words

__all__ = ["Deal", "audit_key_of", "deal", "share_of"]


class Deal(Part, frozen=True):
    """What one holder shows to all; the numbers go one to each holder.

    The proof is that it knows the number of its first commitment, the constant term.
    """

    commitments: tuple[Bytes32, ...]
    proof: Bytes64


@typed
def deal(entropy: Entropy, dealer: int, threshold: int, holders: int) -> tuple[Deal, list[bytes]]:
    """A holder's deal, and the secret number for each holder, in the order of holders.

    The dealer is the holder's own place, counted from one; all deal with the same threshold.
    Raises ``MalformedError`` unless dealer and threshold are 1 to the number of holders, and these
    a list's.
    """
    for name, number in (("threshold", threshold), ("dealer", dealer)):
        if not 1 <= number <= holders <= LIMIT_ITEMS:
            got, count = number_in_words(number), number_in_words(holders)
            want = f"1 <= {name} <= holders <= {LIMIT_ITEMS}"
            raise MalformedError(f"{name} is {got} and holders {count}, want {want}")
    drawn = [entropy.bytes(64) for _ in range(threshold)]
    commitments, proof, numbers = group_deal(drawn, dealer, holders)
    return Deal(tuple(commitments), proof), numbers


@typed
def share_of(holder: int, deals: Sequence[Deal], numbers: Sequence[bytes]) -> bytes:
    """The share of a holder, counted from one, of what each dealt it.

    The deals are of all holders, in their order. Raises ``InvalidProof`` for a wrong number, and
    for a deal that is not of the holder at its place.
    """
    _check_deals(deals)
    for each, number in zip(deals, numbers, strict=True):
        group_verify_deal(each.commitments, holder, number)
    return group_add_numbers(numbers)


@typed
def audit_key_of(deals: Sequence[Deal], members: Sequence[str]) -> AuditKey:
    """The record that registers the key, for a supervisor to sign.

    Members and deals are in the order of holders. Raises ``InvalidProof`` for a deal that is not of
    the holder at its place, and ``MalformedError`` unless there is one deal a member.
    """
    if len(deals) != len(members):
        raise MalformedError(f"deals are {len(deals)}, want one of each of {len(members)} members")
    threshold = _check_deals(deals)
    key, share_keys = group_share_keys([each.commitments for each in deals], len(members))
    holders = zip(members, share_keys, strict=True)
    return AuditKey(
        audit_key=key,
        threshold=threshold,
        holders=tuple(ShareHolder(member, share_key) for member, share_key in holders),
    )


def _check_deals(deals: Sequence[Deal]) -> int:
    """The threshold of deals that are all of those who know what they deal."""
    counts = sorted({len(each.commitments) for each in deals})
    if len(counts) != 1:
        raise MalformedError(f"deals are of thresholds {counts}, want one and the same of all")
    for dealer, each in enumerate(deals, 1):
        group_verify_dealer(each.commitments, each.proof, dealer, len(deals))
    return counts[0]
