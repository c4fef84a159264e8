"""A key is made by all holders together, and none of them alone can know it."""

from __future__ import annotations

import pytest
from msgspec import structs

from ledgercore import InvalidProof, MalformedError
from ledgercore._core import group_verify_share_keys
from ledgercore.entropy import SeededEntropy
from ledgercore.exchange.sharing import Deal, audit_key_of, deal, share_of
from tests import ristretto
from tests.ristretto import BASE

MEMBERS = ("tax", "bank", "regulator")


class Dealt:
    """What each of three holders dealt, two of whom are to open together."""

    def __init__(self, seed: int) -> None:
        entropy = SeededEntropy(seed)
        made = [deal(entropy, dealer, 2, 3) for dealer in (1, 2, 3)]
        self.deals = [each for each, _ in made]
        self.numbers = [numbers for _, numbers in made]

    def to(self, holder: int) -> list[bytes]:
        """The numbers that one holder was dealt."""
        return [numbers[holder - 1] for numbers in self.numbers]


@pytest.fixture
def dealt() -> Dealt:
    return Dealt(1)


def test_shares_are_of_the_key_that_the_deals_make(dealt: Dealt) -> None:
    key = audit_key_of(dealt.deals, MEMBERS)

    assert key.threshold == 2
    group_verify_share_keys(key.audit_key, [each.share_key for each in key.holders], 2)
    for holder, (member, each) in enumerate(zip(MEMBERS, key.holders, strict=True), 1):
        share = int.from_bytes(share_of(holder, dealt.deals, dealt.to(holder)), "little")
        assert (each.member, each.share_key) == (member, ristretto.encode(BASE.times(share)))


def test_a_holder_that_was_dealt_a_wrong_number_says_so(dealt: Dealt) -> None:
    right = dealt.to(1)

    with pytest.raises(InvalidProof, match="dealt to holder 1 is not committed to"):
        share_of(1, dealt.deals, [*right[:2], dealt.numbers[2][1]])


def test_who_deals_last_does_not_make_a_key_that_it_alone_knows() -> None:
    """Its constant term takes the other's away, and the number that it deals is as committed."""
    first, numbers = deal(SeededEntropy(1), 1, 2, 2)
    known, dealt = 7, 11
    others = ristretto.decode(first.commitments[0]).times(-1)
    constant = BASE.times(known) + others
    commitments = (constant, BASE.times(dealt) + constant.times(-1))
    rogue = Deal(tuple(ristretto.encode(each) for each in commitments), first.proof)

    lying = "deal 2 of 2 does not show that its dealer knows the constant term"
    with pytest.raises(InvalidProof, match=lying):
        share_of(1, [first, rogue], [numbers[0], dealt.to_bytes(32, "little")])
    with pytest.raises(InvalidProof, match=lying):
        audit_key_of([first, rogue], MEMBERS[:2])


def test_a_deal_is_of_one_place_threshold_and_number_of_holders(dealt: Dealt) -> None:
    first, second, third = dealt.deals
    copied = [first, first, third]
    fewer = [first, second]
    for deals in (copied, fewer, [second, first, third]):
        with pytest.raises(InvalidProof, match="does not show that its dealer knows"):
            audit_key_of(deals, MEMBERS[: len(deals)])
        with pytest.raises(InvalidProof, match="does not show that its dealer knows"):
            share_of(1, deals, dealt.to(1)[: len(deals)])


def test_a_deal_whose_other_commitments_were_changed_is_refused(dealt: Dealt) -> None:
    first, second, third = dealt.deals
    swapped = structs.replace(second, commitments=(second.commitments[0], first.commitments[1]))

    with pytest.raises(InvalidProof, match="deal 2 of 3 does not show"):
        audit_key_of([first, swapped, third], MEMBERS)


def test_all_deal_with_one_threshold(dealt: Dealt) -> None:
    higher, numbers = deal(SeededEntropy(2), 3, 3, 3)
    deals = [*dealt.deals[:2], higher]

    with pytest.raises(MalformedError, match=r"thresholds \[2, 3\], want one and the same of all"):
        share_of(1, deals, [*dealt.to(1)[:2], numbers[0]])
    with pytest.raises(MalformedError, match=r"thresholds \[2, 3\], want one and the same of all"):
        audit_key_of(deals, MEMBERS)


@pytest.mark.parametrize("count", [0, 2])
def test_each_member_deals_once(dealt: Dealt, count: int) -> None:
    with pytest.raises(MalformedError, match=f"deals are {count}, want one of each of 3 members"):
        audit_key_of(dealt.deals[:count], MEMBERS)


@pytest.mark.parametrize(("dealer", "threshold"), [(0, 2), (4, 2), (1, 0), (1, 4)])
def test_dealer_and_threshold_are_within_the_holders(dealer: int, threshold: int) -> None:
    with pytest.raises(MalformedError, match="want 1 <= "):
        deal(SeededEntropy(1), dealer, threshold, 3)
