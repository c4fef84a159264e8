"""Run on a thread what takes a while, and leave nothing open where nobody waits for it any more.

What joins or repairs a copy waits for one answer after the other and runs beside the loop, by a
transport of ``ledgercore.sync`` over the loop's channels. A peer that wants to be asked later is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Protocol, TypeVar, runtime_checkable

from ledgercore.errors import LedgerError, UnavailableError
from ledgercore.node.answers import failure_in, refusal_in, too_many_in
from ledgercore.node.channel import Channel
from ledgercore.sync import Request, Response, Transport
from ledgercore.waiting import sleep

__all__ = ["carry_on_thread", "run_on_thread", "send_patiently"]

PATIENCE_S = 30.0
"""How long a peer may put off one answer, by its own words, before it counts as none."""

ResultT = TypeVar("ResultT")


@runtime_checkable
class _Open(Protocol):
    def close(self) -> None: ...


async def run_on_thread(
    call: Callable[[], ResultT], stop: Callable[[], None] = lambda: None
) -> ResultT:
    """What a call gives; when this is cancelled the call has ended, and what it opened is closed.

    ``stop`` is called first then, to have the call end soon.
    """
    running = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop()
        (opened,) = await asyncio.gather(running, return_exceptions=True)
        if isinstance(opened, _Open):
            await asyncio.to_thread(opened.close)
        raise


async def carry_on_thread(
    channels: Sequence[Channel],
    call: Callable[[Transport], ResultT],
    tell: Callable[[str, str], None] = lambda peer, reason: None,
) -> ResultT:
    """What a call gives that asks by these channels of the running loop.

    ``tell`` is told of a peer that gives no answer, or cannot give one now, and why. When this is
    cancelled nothing more is asked, and no answer is waited for.
    """
    loop, by_member = asyncio.get_running_loop(), {each.member: each for each in channels}
    asked: set[Future[Response]] = set()
    stopped = False

    def carry(peer: str, request: Request) -> Response:
        if stopped:
            raise UnavailableError("node is stopping")
        sending = send_patiently(by_member[peer], request, tell)
        answer = asyncio.run_coroutine_threadsafe(sending, loop)
        asked.add(answer)
        try:
            found = answer.result()
            refusal = refusal_in(found)
            if refusal is not None:
                raise refusal  # it says more than its status
        except LedgerError as error:
            tell(peer, str(error))
            raise
        finally:
            asked.discard(answer)
        # That a peer has no snapshot is no trouble: there are blocks.
        if found.status >= 500 and request.kind != "snapshot":
            tell(peer, str(failure_in(found)))
        return found

    def stop() -> None:
        nonlocal stopped
        stopped = True
        for answer in tuple(asked):
            answer.cancel()

    return await run_on_thread(partial(call, carry), stop)


async def send_patiently(
    channel: Channel,
    request: Request,
    tell: Callable[[str, str], None] = lambda peer, reason: None,
) -> Response:
    """The answer, once the peer does not want to be asked later any more, of which is told.

    Raises ``TooManyError`` where that takes longer than ``PATIENCE_S``.
    """
    waited_s = 0.0
    while (late := too_many_in(answer := await channel.send(request))) is not None:
        wait_s = max(1.0, late.wait_s)
        waited_s += wait_s
        if waited_s > PATIENCE_S:
            raise late
        tell(channel.member, str(late))
        await sleep(wait_s)
    return answer
