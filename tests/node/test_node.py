"""Ask a real node over real TLS, and verify what it answers."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from threading import Event

import pytest

from ledgercore import Checkpoint, MalformedError, Record, RefusedError, testing
from ledgercore.errors import AbsentError
from ledgercore.rules import MemberState, member_object
from tests.node.running import running


def test_what_is_submitted_is_durable_and_its_receipt_verifies(tmp_path: Path) -> None:
    async def act() -> None:
        async with running(tmp_path) as there, there.client() as client:
            records = there.records(3)

            receipt = await client.submit(records[0])
            outcomes = await client.submit_many(records)

            assert receipt.index == 1
            assert outcomes == [1, 2, 3]
            assert (await client.receipt(3))[1].encode() == records[2]
            assert [each.index for each in await client.receipts(1, 4)] == [1, 2, 3]
            assert Checkpoint.parse(await client.checkpoint()).size == 4
            first = Record.decode(records[0])
            assert (await client.find(first.id)).encode() == records[0]

    asyncio.run(act())


def test_states_and_histories_are_proven(tmp_path: Path) -> None:
    async def act() -> None:
        async with running(tmp_path) as there, there.client() as client:
            await client.submit_many(there.records(8))

            key = testing.signing_key(1).public_key
            sequence, previous = await client.next_position(key)
            member = await client.state(member_object("member-1"))
            absent = await client.state(member_object("nobody"))
            history = await client.history(member_object("member-1"))

            assert (sequence, previous) == there.node.ledger.next_position(key)
            assert isinstance(member.state, MemberState)
            assert absent.state is None
            assert len(history.records) == 1

    asyncio.run(act())


def test_what_is_not_there_or_not_asked_well_is_said(tmp_path: Path) -> None:
    async def act() -> None:
        async with running(tmp_path) as there, there.client() as client:
            with pytest.raises(AbsentError, match="record 7 is not there"):
                await client.receipt(7)
            with pytest.raises(AbsentError, match="block 9"):
                await client.blocks(9, 12)
            with pytest.raises(AbsentError, match="block 9 is not there, want at most 0"):
                await client.fetch("GET", "/v1/history/member/member-1?height=9")
            with pytest.raises(AbsentError):
                await client.fetch("GET", "/v1/nothing")
            with pytest.raises(MalformedError, match="index is 'y'"):
                await client.fetch("GET", "/v1/records/y")
            with pytest.raises(MalformedError, match="no records"):
                await client.submit_many([])
            stranger = testing.signing_key(9).sign_record(
                "std", client.anchor.network, "data", b"x", sequence=0, previous=bytes(32)
            )
            with pytest.raises(RefusedError) as refused:
                await client.submit(stranger.encode())
            assert refused.value.code == "E_MEMBER"

    asyncio.run(act())


def test_a_refusal_is_raised_as_the_local_ledger_raises_it(tmp_path: Path) -> None:
    async def act() -> None:
        async with running(tmp_path) as there, there.client() as client:
            _, second = there.records(2, signers=1)
            with pytest.raises(RefusedError) as local:
                there.node.ledger.submit(second)

            with pytest.raises(RefusedError) as one:
                await client.submit(second)
            (many,) = await client.submit_many([second])

            assert isinstance(many, RefusedError)
            for found in (one.value, many):
                assert (str(found), vars(found)) == (str(local.value), vars(local.value))
            assert local.value.record == Record.decode(second).id
            assert local.value.remedy

    asyncio.run(act())


def test_new_checkpoints_are_told_as_they_come(tmp_path: Path) -> None:
    async def act() -> None:
        async with running(tmp_path) as there, there.client() as client:
            seen = []
            async for note in client.events():
                seen.append(Checkpoint.parse(note).size)
                if len(seen) == 3:
                    break
                await client.submit_many(there.records(5))

            assert seen == [1, 6, 11]

    asyncio.run(act())


def test_probes_figures_and_the_document_are_there(tmp_path: Path) -> None:
    async def act() -> None:
        async with running(tmp_path) as there, there.client() as client:
            await client.submit_many(there.records(2))

            assert await client.fetch("GET", "/healthz") == b"ok\n"
            assert await client.fetch("GET", "/readyz") == b"ready\n"
            figures = (await client.fetch("GET", "/metrics")).decode()
            assert 'ledgercore_records_total{outcome="accepted"} 2.0' in figures
            assert 'route="submit",status="200"' in figures
            assert b'"/v1/states/{name}"' in await client.fetch("GET", "/openapi.json")

    asyncio.run(act())


def test_an_error_that_nobody_waits_for_any_more_is_not_told_by_asyncio(tmp_path: Path) -> None:
    async def act() -> None:
        told: list[str] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: told.append(context["message"])
        )
        async with running(tmp_path) as there:
            begun, going_on = Event(), Event()

            def refuse_late() -> None:
                begun.set()
                going_on.wait(10)
                raise AbsentError("it is not there")

            asking = asyncio.create_task(there.node.ask(refuse_late))
            await asyncio.to_thread(begun.wait, 10)
            asking.cancel()
            await asyncio.wait([asking])
            going_on.set()
            await there.node.ask(lambda: None)
        del asking
        gc.collect()
        await asyncio.sleep(0)
        assert told == []

    asyncio.run(act())
