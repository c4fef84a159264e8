"""Hand what is submitted to a follower on to the operator's node, and believe it only so far.

What the operator's node says became of records is held to the node's own copy, or to receipts. What
it has against this node is not the fault of who asks here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from ledgercore.errors import UnavailableError, UntrustedError
from ledgercore.node.client import NodeClient
from ledgercore.node.node import Node, not_ordered
from ledgercore.node.submission import Ordered
from ledgercore.proofs import Promise

__all__ = ["Relay"]

LOOK_S = 1.0
"""How long news of the copy is waited for before it is looked at again."""

ResultT = TypeVar("ResultT")


class Relay:
    """Order by way of the operator's node, and answer when the node's own copy has the records."""

    def __init__(self, node: Node, operator: NodeClient) -> None:
        self._node = node
        self._operator = operator

    def start(self) -> None:
        """Nothing is opened before it is needed."""

    async def stop(self) -> None:
        """Close the connections to the operator's node."""
        await self._operator.close()

    async def submit(self, records: Sequence[bytes]) -> Ordered:
        """The operator's outcomes, of which none is believed that the copy does not bear out.

        Records that end the node's own key keep the copy from fetching their block until the node
        has another key: they are borne out by receipts.
        """
        submitted = await _trusted(self._operator.submit_all(records))
        by_index = dict(zip(submitted.outcomes, records, strict=True))
        left = {place: by_index[place] for place in submitted.places}
        for place in submitted.receipts:
            left.pop(place, None)
        if left and submitted.receipts:
            await self._check_here(len(submitted.receipts), max(left))
        if left:
            await self._has(max(left))
            await self._node.ask(partial(self._check, left))
        return submitted

    async def _check_here(self, receipts: int, index: int) -> None:
        """Refuse to wait for what the copy cannot fetch any more, and no receipt came of."""
        if await self._node.ask(lambda: self._node.ledger.size) <= index:
            raise UnavailableError(
                f"records are ordered, says the operator's node, and end the key that this one "
                f"asks with; receipts came of the newest {receipts} alone: ask any other member's "
                "node for those of the others"
            )

    async def promise(self, record: bytes) -> Promise:
        """The operator's: a node that does not order could not keep its own."""
        return await _trusted(self._operator.promise(record))

    async def _has(self, index: int) -> None:
        feed, news = self._node.feed, self._node.feed.news
        while await self._node.ask(lambda: self._node.ledger.size) <= index:
            if feed.closed:
                raise UnavailableError("node is stopping: ask again, which is safe")
            # What came while the size was looked up is news as well.
            news = await feed.newer(news, LOOK_S)

    def _check(self, records: Mapping[int, bytes]) -> None:
        for index, record in records.items():
            if self._node.ledger.record(index).encode() != record:
                raise UnavailableError(
                    f"operator's node says that a record is at {index}, where another one is: "
                    "ask again, and tell the operator"
                )


async def _trusted(asking: Awaitable[ResultT]) -> ResultT:
    """What the operator's node answers; that it does not trust this one is no caller's fault."""
    try:
        return await asking
    except UntrustedError as error:
        raise not_ordered(error) from error
