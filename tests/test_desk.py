"""The parties of an exchange under asyncio do what they do without."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from threading import Event, get_ident

import pytest

from ledgercore import RefusedError, UnavailableError
from ledgercore.exchange import Supervisor
from ledgercore.exchange.aio import Desk
from ledgercore.exchange.submission import Accepted
from tests.town import DAY_MS, FIELDS, HOUR_MS, Town


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    yield town
    town.parties.close()


def test_an_exchange_from_consent_to_use_and_what_the_supervisor_sees(town: Town) -> None:
    consumer, provider = town.parties.consumer, town.parties.provider
    subject, ledger = town.subject, town.parties.ledger

    async def agree(desk: Desk) -> bytes:
        bank, authority = consumer.agreements, provider.agreements
        end_ms, product = town.clock.now_ms() + 40 * DAY_MS, town.mapping.offer.product
        contract = await desk.run(
            bank.draw_up, consumer.member, product, ("credit.assess",), "for loans", end_ms
        )
        await desk.submit([bank.request(contract)])
        await desk.submit([await desk.run(authority.agree, contract)])
        await desk.submit([await desk.run(bank.verify, contract.agreement)])
        await desk.submit([authority.finalize(contract.agreement)])
        return contract.agreement

    async def exchange() -> dict[str, object]:
        async with Desk(ledger) as desk:
            key = await desk.run(subject.new_consent_key)
            proposal = await desk.run(consumer.propose, town.terms(), key)
            lapses_ms = town.clock.now_ms() + HOUR_MS
            agreement = await agree(desk)
            await desk.submit([consumer.request_consent(proposal, lapses_ms, agreement)])
            endorsement = await desk.run(provider.endorse, town.firm, proposal)
            await desk.run(subject.agree, proposal)
            await desk.submit([await desk.run(subject.authorise, proposal, endorsement)])
            request = await desk.run(consumer.request, proposal.consent, FIELDS, "credit.assess")
            (place,) = await desk.submit(await desk.run(consumer.intend, [request]))
            assert isinstance(place, Accepted)
            (admit,) = await desk.submit(await desk.run(provider.answer, [(place.id, request)]))
            delivery = await desk.run(provider.delivery, place.id)
            release = await desk.run(provider.release, place.id, admit)
            values = await desk.run(consumer.open, delivery, release)
            await desk.submit([consumer.acknowledge(place.id)])
            totals = await desk.run(Supervisor(ledger).totals)
            assert totals.exchanges == {"ACKNOWLEDGED": 1}
            return dict(values)

    assert asyncio.run(exchange()) == {field: town.table.rows[0].values[field] for field in FIELDS}


def test_calls_run_in_turn_on_one_thread_and_the_loop_goes_on(town: Town) -> None:
    release, seen = Event(), list[int]()

    def slow() -> int:
        assert release.wait(10)
        seen.append(1)
        return get_ident()

    def quick() -> int:
        seen.append(2)
        return get_ident()

    async def work() -> tuple[int, int]:
        async with Desk(town.parties.ledger) as desk:
            first = asyncio.create_task(desk.run(slow))
            await asyncio.sleep(0)
            second = asyncio.create_task(desk.run(quick))
            await asyncio.sleep(0.01)
            assert seen == []
            release.set()
            return await first, await second

    first, second = asyncio.run(work())

    assert (first == second, seen) == (True, [1, 2])
    assert first != get_ident()


def test_errors_are_those_of_the_party(town: Town) -> None:
    async def refuse() -> None:
        async with Desk(town.parties.ledger) as desk:
            await desk.run(town.parties.consumer.time_out, bytes(32))

    with pytest.raises(RefusedError, match="does not exist"):
        asyncio.run(refuse())


def test_what_is_cancelled_is_carried_out_all_the_same(town: Town) -> None:
    began, goes_on, done = Event(), Event(), Event()

    def slow() -> None:
        began.set()
        assert goes_on.wait(10)

    async def work() -> None:
        async with Desk(town.parties.ledger) as desk:
            first = asyncio.create_task(desk.run(slow))
            waiting = asyncio.create_task(desk.run(done.set))
            await asyncio.to_thread(began.wait, 10)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            goes_on.set()
            await first

    asyncio.run(work())

    assert done.is_set()


def test_a_closed_desk_says_so(town: Town) -> None:
    async def work() -> None:
        desk = Desk(town.parties.ledger)
        await desk.close()
        await desk.close()
        await desk.run(len, ())

    with pytest.raises(UnavailableError, match="desk is closed"):
        asyncio.run(work())
