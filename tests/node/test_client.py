"""A client holds what a node shows to what it had shown before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from threading import Thread

import pytest

from ledgercore import (
    Checkpoint,
    ForkError,
    Ledger,
    LimitError,
    MalformedError,
    RollbackError,
    UnavailableError,
    UntrustedError,
)
from ledgercore.demo.processes import free_ports
from ledgercore.node import channel
from ledgercore.node import client as client_module
from ledgercore.node.blocking import BlockingClient
from ledgercore.node.client import NodeClient, Patience
from ledgercore.node.limits import Limits
from ledgercore.node.node import Node
from ledgercore.rules import member_object
from ledgercore.sync import Source
from tests.conftest import REPOSITORY
from tests.node.running import OPERATOR, Running, running

NAME = member_object("member-1")
ASKS: dict[str, Callable[[NodeClient], Awaitable[object]]] = {
    "checkpoint": lambda client: client.checkpoint(),
    "state": lambda client: client.state(NAME),
    "history": lambda client: client.history(NAME),
}


def show(node: Node, ledger: Ledger) -> None:
    """Have the node answer from another ledger."""
    node.ledger, node.source = ledger, Source(ledger)


async def twin(there: Running, directory: Path) -> Ledger:
    """The node's ledger as it is now, of which the operator makes another one."""
    await asyncio.to_thread(there.node.ledger.backup, directory / "twin.ledger")
    return Ledger.open(directory / "twin.ledger", key=OPERATOR)


@pytest.mark.parametrize("asked", ASKS)
def test_what_goes_back_or_is_of_another_history_is_refused(tmp_path: Path, asked: str) -> None:
    ask = ASKS[asked]

    async def act() -> None:
        async with running(tmp_path) as there, there.client() as client:
            node, ledger = there.node, there.node.ledger
            with await twin(there, tmp_path) as other:
                await client.submit_many(there.records(2))
                await ask(client)
                show(node, other)
                with pytest.raises(RollbackError, match="shows size 1, was 3"):
                    await ask(client)
                other.append_many([b"another"] * 4)
                with pytest.raises(ForkError, match="of size 5 does not go on from the one of"):
                    await ask(client)
                show(node, ledger)
                await ask(client)

    asyncio.run(act())


def test_events_are_of_one_history_and_do_not_go_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act() -> None:
        async with running(tmp_path) as there, there.client() as client:
            ledger = there.node.ledger
            with await twin(there, tmp_path) as other:
                for record in there.records(3):  # a block each
                    await client.submit_many([record])
                other.append(b"another")
                shown = [ledger.note(1), ledger.note(2)]

                async def events(*given: object) -> AsyncGenerator[str, None]:
                    for note in shown:
                        yield note

                monkeypatch.setattr(client._channel, "events", events)
                await client.checkpoint()  # of height 3: what comes late is no going back
                assert [note async for note in client.events()] == shown
                shown[:] = [ledger.note(2), ledger.note(1)]
                with pytest.raises(RollbackError):
                    [note async for note in client.events()]
                shown[:] = [ledger.note(2), other.note(1)]
                with pytest.raises(RollbackError):
                    [note async for note in client.events()]
                shown[:] = [other.note(1)]
                with pytest.raises(ForkError):
                    [note async for note in client.events()]

    asyncio.run(act())


def test_a_history_of_another_object_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act() -> None:
        async with running(tmp_path) as there, there.client() as client:
            body = there.node.ledger.prove_history(member_object("member-2")).encode()

            async def fetch(*given: object) -> bytes:
                return body

            monkeypatch.setattr(client, "fetch", fetch)
            with pytest.raises(UntrustedError, match="history is of b'member/member-2'"):
                await client.history(NAME)

    asyncio.run(act())


def test_an_address_without_tls_is_refused_as_one(tmp_path: Path) -> None:
    async def act() -> None:
        async with running(tmp_path) as there:
            with pytest.raises(MalformedError, match="url is 'http://localhost:1', want https://"):
                NodeClient("http://localhost:1", "operator", there.caller())

    asyncio.run(act())


def test_a_node_that_is_started_anew_is_waited_for_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service manager takes some seconds, in which connections are refused at once."""
    slept: list[float] = []

    async def sleep(duration_s: float) -> None:
        slept.append(duration_s)

    async def act() -> None:
        async with running(tmp_path) as there:
            caller, nowhere = there.caller(), f"https://localhost:{free_ports(1)[0]}"
            for patience in (Patience(attempts=1), Patience()):
                slept.clear()
                async with NodeClient(nowhere, "operator", caller, patience) as client:
                    with pytest.raises(UnavailableError, match="is it there"):
                        await client.checkpoint()
                assert bool(slept) is (patience.attempts > 1)

    monkeypatch.setattr(client_module, "sleep", sleep)
    asyncio.run(act())
    given = Patience()
    assert sum(slept) + 1 >= given.least_s and len(slept) >= given.attempts - 1
    assert max(slept) <= given.longest_wait_s
    (said,) = (
        line
        for line in (REPOSITORY / "docs" / "network.md").read_text().splitlines()
        if "asks again, at least" in line
    )
    assert (
        f"at least {given.attempts} times and for {given.least_s:g} s, with "
        f"{given.answer_ms // 1000} s for each answer" in said
    )


def test_a_closed_client_lets_go_of_who_waits_and_is_asked_no_more(tmp_path: Path) -> None:
    """Other threads' calls, at a node and where there is none, and tasks of the same loop."""
    ended: list[BaseException | None] = []

    def call(ask: Callable[[], object]) -> None:
        try:
            ask()
        except UnavailableError as error:
            ended.append(error)

    def wait(there: Running) -> None:
        nowhere = f"https://localhost:{free_ports(1)[0]}"
        patient = Patience(attempts=1000, longest_wait_s=0.1)
        away, here = (
            BlockingClient(url, "operator", there.caller(), patient) for url in (nowhere, there.url)
        )
        events = here.events()
        next(events)
        threads = [
            Thread(target=call, args=[ask], daemon=True)
            for ask in (away.checkpoint, lambda: next(events))
        ]
        for each in threads:
            each.start()
        threads[0].join(0.3)
        for client in (away, here):
            client.close()
            client.close()
            with pytest.raises(UnavailableError, match="client is closed"):
                client.checkpoint()
        for each in threads:
            each.join(5)
            assert not each.is_alive()

    async def act() -> None:
        async with running(tmp_path) as there:
            await asyncio.to_thread(wait, there)
            client = there.client(patience=Patience(attempts=1000, first_wait_s=0.01))
            await client.checkpoint()
            await client.close()
            for ask in (client.checkpoint(), client.unready(), anext(client.events())):
                with pytest.raises(UnavailableError, match="client is closed: make another one"):
                    await asyncio.wait_for(ask, 5)
            await client.close()

    asyncio.run(act())
    assert ["client is closed" in str(each) for each in ended] == [True, True]


def test_what_a_caller_does_wrong_is_said_in_its_own_words(tmp_path: Path) -> None:
    async def act() -> None:
        async with running(tmp_path, Limits(records_at_once=4)) as there, there.client() as client:
            wrong: dict[str, Callable[[], Awaitable[object]]] = {
                "index is str, want int": lambda: client.receipt("1"),  # type: ignore[arg-type]
                "record is str, want bytes: of": lambda: client.submit("a"),  # type: ignore[arg-type]
                "record is NoneType, want bytes": lambda: client.submit(None),  # type: ignore[arg-type]
            }
            for reason, ask in wrong.items():
                with pytest.raises(TypeError, match=reason):
                    await ask()
            with pytest.raises(MalformedError, match="request has more than 4 frames, want at"):
                await client.submit_many(there.records(5))
            for member in ("", "A B"):
                with pytest.raises(MalformedError, match=f"member is '{member}', want the id of"):
                    NodeClient(there.url, member, there.caller())
            with pytest.raises(MalformedError, match="want https://HOST:PORT"):
                NodeClient("https://[a", "operator", there.caller())
            for read in (client.state, client.history):
                with pytest.raises(MalformedError, match=r"name is b'member/\\xff', want UTF-8"):
                    await read(b"member/\xff")
            for name in (b"member/../../x", b"member/a b%2f?#", b"member/.."):
                assert (await client.state(name)).state is None

    asyncio.run(act())


def test_a_members_event_streams_are_none_of_its_requests_under_way(tmp_path: Path) -> None:
    limits = Limits(requests_under_way=2, member_streams=3)

    async def act() -> None:
        async with (
            running(tmp_path, limits) as there,
            there.client() as client,
            there.client(1) as other,
            AsyncExitStack() as held,
        ):
            streams = [client.events() for _ in range(3)]
            for stream in streams:
                held.push_async_callback(stream.aclose)
                await anext(stream)

            assert Checkpoint.parse(await client.checkpoint()).height == 0
            with pytest.raises(
                UnavailableError, match=r"refused with status 429: .*member_streams; ask again"
            ):
                await anext(client.events())
            last = other.events()
            held.push_async_callback(last.aclose)
            await anext(last)

    asyncio.run(act())


def test_event_streams_leave_connections_for_requests(tmp_path: Path) -> None:
    async def act() -> None:
        async with running(tmp_path) as there, there.client() as client, AsyncExitStack() as held:
            streams = [client.events() for _ in range(channel.STREAMS)]
            for stream in streams:
                held.push_async_callback(stream.aclose)
                await anext(stream)
            with pytest.raises(LimitError, match="16 event streams open, want at most that"):
                await anext(client.events())
            assert await client.ready()
            await streams[0].aclose()
            await anext(client.events())

    asyncio.run(act())
