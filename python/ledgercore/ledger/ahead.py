"""Work ahead on what comes next, while what came before is used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["begin_ahead", "map_ahead"]

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ahead(
    work: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Generator[Result, None, None]:
    """The result of each item, in order; one thread makes up to ``ahead`` of them meanwhile.

    An error is raised when its item's turn comes, and one of the items' source after the results of
    those that it gave. Whoever stops early gets no results of the items that were taken ahead.
    """
    source = iter(items)
    ended: BaseException | None = None
    pool = ThreadPoolExecutor(1, "ahead")
    coming: deque[Future[Result]] = deque()
    try:
        while ended is None or coming:
            if ended is None and len(coming) <= ahead:
                try:
                    coming.append(begin_ahead(pool, work, next(source)))
                except BaseException as error:  # noqa: BLE001  # it is raised below
                    ended = error
            else:
                yield coming.popleft().result()
        if not isinstance(ended, StopIteration):
            raise ended
    finally:
        # Its traceback has this frame, and so from Python 3.12 on each caller's, with all that they
        # hold: as a cycle they would stay until the garbage collector runs.
        ended = None
        # Nobody waits for the thread here: whoever dropped this generator may have left it to the
        # garbage collector, which runs anywhere, also where another thread is being started, under
        # the interpreter's own locks. To join a thread takes those again, and would never end.
        pool.shutdown(wait=False, cancel_futures=True)


def begin_ahead(
    pool: ThreadPoolExecutor, work: Callable[[Item], Result], item: Item
) -> Future[Result]:
    """Have the pool's thread work on the item, or do it here where no thread can be had."""
    slot = [item]
    try:
        return pool.submit(_work_on, work, slot)
    except RuntimeError:
        # It may stand in the pool's queue all the same: a thread that comes later finds nothing.
        slot.clear()
        done: Future[Result] = Future()
        try:
            done.set_result(work(item))
        except BaseException as error:  # noqa: BLE001  # it is raised when its turn comes
            done.set_exception(error)
        return done


def _work_on(work: Callable[[Item], Result], slot: list[Item]) -> Result:
    return work(slot.pop())
