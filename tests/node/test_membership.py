"""Who a key speaks for is looked up once a block, by many threads."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledgercore import Ledger, RefusedError, testing
from ledgercore.node.membership import Membership

MEMBER = testing.signing_key(0).public_key


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.create(
        tmp_path / "a.ledger", origin="members.example", members=testing.test_members(1)
    )


def test_what_was_looked_up_before_a_block_is_forgotten_with_it(ledger: Ledger) -> None:
    """The block comes while the answer is on its way: it is of before, and is not kept."""
    asked: list[bytes] = []

    def load(name: bytes) -> bytes | None:
        asked.append(name)
        value = ledger.state(name)
        if blocks:
            blocks.pop()
            membership.forget()
        return value

    with ledger:
        membership, blocks = Membership(load), [True]
        name = membership.member_of(MEMBER)
        assert membership.known(MEMBER) is None
        assert membership.member_of(MEMBER) == membership.known(MEMBER) == name
        again = len(asked)
        assert membership.member_of(MEMBER) == name
        assert len(asked) == again
        with pytest.raises(RefusedError):
            membership.member_of(bytes(32))


def test_a_refusal_that_is_remembered_does_not_grow_with_those_who_ask(ledger: Ledger) -> None:
    def frames() -> int:
        with pytest.raises(RefusedError, match="is not a member's") as caught:
            membership.member_of(bytes(32))
        return len(caught.traceback)

    with ledger:
        membership = Membership(ledger.state)
        frames()
        assert frames() == frames() == frames()
