"""A follower hands records on: what the operator has against the follower is not the record's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ledgercore import RefusedError, SigningKey, UnavailableError, testing
from ledgercore.node.relaying import Relay
from ledgercore.records import KeyCompromise, encode
from tests.node.running import Running, following, running


def compromised(there: Running, key: SigningKey, member: str) -> bytes:
    body, ledger = KeyCompromise(member), there.node.ledger
    sequence, previous = ledger.next_position(key.public_key)
    return key.sign_record(
        *(ledger.suite, ledger.network, body.KIND, encode(body)),
        sequence=sequence,
        previous=previous,
    ).encode()


@asynccontextmanager
async def with_a_compromised_key(tmp_path: Path) -> AsyncIterator[tuple[Running, Running, bytes]]:
    """An operator's node, one of a member whose key is over, and a good record."""
    key = testing.signing_key(1)
    async with (
        running(tmp_path) as there,
        following(there, there.caller(1), tmp_path) as node,
        asyncio.timeout(9),
    ):
        there.node.ledger.submit(compromised(there, key, "member-1"))
        await there.node.announce()
        (record,) = there.records(1, signers=1)
        yield there, node, record


def test_a_node_that_the_operator_does_not_answer_any_more_says_to_ask_another(
    tmp_path: Path,
) -> None:
    """The record is good, and refused by no rule: its sender's own node has it ordered."""

    async def act() -> None:
        async with (
            with_a_compromised_key(tmp_path) as (there, node, record),
            node.client(0) as client,
            there.client(0) as other,
        ):
            with pytest.raises(UnavailableError) as said:
                await client.submit(record)

            assert "E_KEY: key " in str(said.value) and "is COMPROMISED" in str(said.value)
            assert str(said.value).endswith("ask any other member's node")
            assert (await other.submit(record)).index == 2

    asyncio.run(act())


def test_a_promise_tells_a_nodes_own_member_its_keys_fault_and_others_to_ask_another(
    tmp_path: Path,
) -> None:
    """As a record that is handed on does: its own member has to mend it, and can do so."""

    async def act() -> None:
        async with (
            with_a_compromised_key(tmp_path) as (_, node, record),
            node.client(0) as client,
            node.client(1) as own,
        ):
            for asking in (own.promise, own.submit):
                with pytest.raises(RefusedError, match="is COMPROMISED"):
                    await asking(record)
            with pytest.raises(UnavailableError, match=r"COMPROMISED.*ask any other member's node"):
                await client.promise(record)

    asyncio.run(act())


def test_a_promise_that_is_refused_of_its_record_is_told_as_it_is(tmp_path: Path) -> None:
    class Operator:
        async def promise(self, record: bytes) -> None:
            raise RefusedError("E_STATE", "no", record=bytes(32))

    async def act() -> None:
        async with running(tmp_path) as there, there.client(0) as client:
            there.node.promising = Relay(there.node, Operator())  # type: ignore[arg-type]
            with pytest.raises(RefusedError, match="E_STATE: no"):
                await client.promise(there.records(1)[0])

    asyncio.run(act())
