"""Work ahead on what comes next, while what came before is used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["map_ahead"]

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ahead(
    work: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[Result]:
    """The result of each item, in order; one thread makes up to ``ahead`` of them meanwhile.

    An error is raised when its item's turn comes, and one of the items' source after the results of
    those that it gave. Whoever stops early gets no results of the items that were taken ahead.
    """
    source = iter(items)
    ended: BaseException | None = None
    with ThreadPoolExecutor(1, "ahead") as pool:
        coming: deque[Future[Result]] = deque()
        try:
            while ended is None or coming:
                if ended is None and len(coming) <= ahead:
                    try:
                        coming.append(pool.submit(work, next(source)))
                    except BaseException as error:  # noqa: BLE001  # it is raised below
                        ended = error
                else:
                    yield coming.popleft().result()
            if not isinstance(ended, StopIteration):
                raise ended
        finally:
            for future in coming:
                future.cancel()
