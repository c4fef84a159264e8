"""A node promises a revocation before it orders it; whoever holds one back has signed that."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from msgspec import structs

from ledgercore import (
    InvalidProof,
    MalformedError,
    RefusedError,
    UnavailableError,
    UntrustedError,
)
from ledgercore.demo.parties import BANK
from ledgercore.exchange.submission import sign
from ledgercore.node.client import NodeClient
from ledgercore.node.limits import Limits
from ledgercore.node.node import Node
from ledgercore.node.submission import Ordered
from ledgercore.proofs import BrokenPromise, Promise, verify_broken_promise
from ledgercore.records import ConsentRevoke, encode
from ledgercore.rules import signer_object
from tests.node.promised import PROMISE_MS, Withholding, asking, bank, ordered, revocation
from tests.node.running import IMPATIENT, Running, following
from tests.town import Town


class Full:
    """Orders nothing while it is ``full``."""

    def __init__(self, node: Node) -> None:
        self._ordering, self.full, self.asked = node.ordering, True, asyncio.Event()

    async def submit(self, records: Sequence[bytes]) -> Ordered:
        self.asked.set()
        if self.full:
            raise UnavailableError("disk is full")
        return await self._ordering.submit(records)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    yield town
    town.parties.close()


def test_what_is_promised_is_ordered_and_a_kept_promise_is_no_evidence(
    town: Town, tmp_path: Path
) -> None:
    async def act() -> None:
        proposal = town.consent()
        record = revocation(town, proposal)
        async with asking(town, tmp_path) as (_, client):
            promise = await client.promise(record)
            assert promise.by_ms == town.clock.now_ms() + PROMISE_MS
            assert await client.broken_promise(promise) is None
            await ordered(client, promise)
            town.later(PROMISE_MS + 1)
            assert await client.broken_promise(promise) is None
            ledger = town.parties.ledger
            receipt = ledger.state_receipt(signer_object(promise.key))
            with pytest.raises(InvalidProof, match="header is not that"):
                BrokenPromise.of(ledger.trust_anchor, promise, ledger.block(0).encode(), receipt)
            with pytest.raises(RefusedError, match="E_REPLAY"):
                await client.promise(record)

    asyncio.run(act())


def test_a_signer_that_goes_on_with_another_record_makes_no_evidence(
    town: Town, tmp_path: Path
) -> None:
    async def act() -> None:
        proposal = town.consent()
        (other,) = sign(town.parties.ledger, [town.subject.revoke(proposal)])
        key = town.subject._key(proposal.consent_key)._key
        body = encode(ConsentRevoke(proposal.consent))
        record = key.sign_record(
            "std",
            town.parties.ledger.network,
            ConsentRevoke.KIND,
            body,
            sequence=other.sequence,
            previous=other.previous,
            expiry_ms=1,
        )
        async with asking(town, tmp_path) as (there, client):
            writer, there.node.ordering = there.node.ordering, Withholding()
            promise = await client.promise(record.encode())
            there.node.ordering = writer
            await client.submit(other.encode())
            town.later(PROMISE_MS + 1)
            assert await client.broken_promise(promise) is None

    asyncio.run(act())


def test_only_a_revocation_that_the_rules_take_is_promised(town: Town, tmp_path: Path) -> None:
    async def act() -> None:
        proposal = town.consent()
        record = revocation(town, proposal)
        stranger = town.subject.new_consent_key()
        draft = town.subject.revoke(structs.replace(proposal, consent_key=stranger))
        (unknown,) = sign(town.parties.ledger, [draft])
        request = town.parties.provider.publish(town.product("another"))
        (product,) = sign(town.parties.ledger, [request])
        async with asking(town, tmp_path) as (there, client):
            with pytest.raises(MalformedError, match=r"want consent\.revoke"):
                await client.promise(product.encode())
            with pytest.raises(RefusedError, match="E_ROLE"):
                await client.promise(unknown.encode())
            with pytest.raises(MalformedError, match="body has 0 records, want one"):
                await client.fetch("POST", "/v1/promises", b"")
            there.node.feed.close()
            with pytest.raises(UnavailableError, match="stopping"):
                await client.promise(record)

    asyncio.run(act())


def test_a_full_node_promises_nothing_more_and_orders_what_it_promised(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledgercore.node.promising.AGAIN_S", 0.01)

    async def act() -> None:
        first, second = (revocation(town, town.consent()) for _ in range(2))
        async with asking(town, tmp_path, Limits(promises=1)) as (there, client):
            full = there.node.ordering = Full(there.node)
            promise = await client.promise(first)
            await full.asked.wait()
            with pytest.raises(UnavailableError, match="want less"):
                await client.promise(second)
            await asyncio.sleep(0.05)  # it is tried again and again
            full.full = False
            await ordered(client, promise)
            assert there.log.getvalue().count("promised record waits") == 1

    asyncio.run(act())


def test_a_promise_of_another_record_or_signer_is_not_taken(town: Town, tmp_path: Path) -> None:
    async def act() -> None:
        one, other = (revocation(town, town.consent()) for _ in range(2))
        async with asking(town, tmp_path) as (there, client):
            given = await client.promise(one)

            class Lying:
                async def promise(self, record: bytes) -> Promise:
                    return given

            there.node.promising = Lying()
            with pytest.raises(UntrustedError, match="another record"):
                await client.promise(other)

    asyncio.run(act())


def test_another_members_node_brings_the_operators_promise_and_shows_that_it_is_broken(
    town: Town, tmp_path: Path
) -> None:
    async def act() -> None:
        anchor, record = town.parties.ledger.trust_anchor, revocation(town, town.consent())
        async with asking(town, tmp_path) as (there, _):
            there.node.ordering = Withholding()
            caller = bank(town, there)
            async with (
                following(there, caller, tmp_path, member=BANK) as here,
                NodeClient(here.url, BANK, caller, IMPATIENT) as client,
            ):
                promise = await client.promise(record)
                town.later(PROMISE_MS)
                await reach(here, there)
                # It can still be kept, in another block of this very time.
                assert await client.broken_promise(promise) is None
                town.later(1)
                await reach(here, there)
                broken = await client.broken_promise(promise)
        assert broken is not None
        unkept = verify_broken_promise(broken.encode(), anchor)
        assert (unkept.promise, unkept.time_ms) == (promise, promise.by_ms + 1)

    asyncio.run(act())


async def reach(here: Running, there: Running) -> None:
    """Until a copy has what the operator's ledger has."""
    await there.node.announce()
    while here.node.ledger.size < there.node.ledger.size:
        await asyncio.sleep(0.01)
