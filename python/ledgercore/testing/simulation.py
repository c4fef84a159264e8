"""Run everything that waits in virtual time, in an order that one seed decides.

No thread, no socket and no clock of the machine: what is due first runs first, and what is drawn
is drawn from the seed. The same seed gives the same run.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import TypeVar

from ledgercore.entropy import SeededEntropy
from ledgercore.sync import Request, Response

__all__ = ["Dice", "Network", "NodeClock", "Simulation"]

DELAY_MS = 20
START_MS = 1_800_000_000_000

ItemT = TypeVar("ItemT")

Answer = Callable[[Request], Response | None]
"""What a node answers; nothing where it never does."""


class Dice:
    """Choices that a seed decides."""

    def __init__(self, seed: int) -> None:
        self._entropy = SeededEntropy(seed)

    def below(self, limit: int) -> int:
        """A number from 0 up to a limit that is not reached."""
        return int.from_bytes(self._entropy.bytes(8), "big") % limit

    def among(self, items: Sequence[ItemT]) -> ItemT:
        """One of the items."""
        return items[self.below(len(items))]

    def chance(self, percent: int) -> bool:
        """True so often."""
        return self.below(100) < percent


class Simulation:
    """What is due, and when."""

    def __init__(self, seed: int) -> None:
        self.dice = Dice(seed)
        self.now_ms = 0
        self._count = 0
        self._due: list[tuple[int, int, Callable[[], None]]] = []

    def after(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Have something done later; what is due at one time runs in the order it was given."""
        self._count += 1
        heapq.heappush(self._due, (self.now_ms + max(delay_ms, 0), self._count, action))

    def run(self, duration_ms: int, done: Callable[[], bool] | None = None) -> None:
        """Run for so long, or until all is done, which is looked at once a virtual 100 ms."""
        end, look = self.now_ms + duration_ms, self.now_ms
        while self._due and self._due[0][0] <= end:
            self.now_ms, _, action = heapq.heappop(self._due)
            action()
            if done is not None and self.now_ms >= look:
                look = self.now_ms + 100
                if done():
                    return
        self.now_ms = end


class NodeClock:
    """One node's clock: its time may be off, stand still or jump; durations are right."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self.offset_ms = 0
        self.stopped_at_ms: int | None = None

    def now_ms(self) -> int:
        if self.stopped_at_ms is not None:
            return self.stopped_at_ms
        return START_MS + self._simulation.now_ms + self.offset_ms

    def elapsed_s(self) -> float:
        return self._simulation.now_ms / 1000


class Network:
    """Carries requests between nodes that have names, later, out of order, or not at all."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self.answers: dict[str, Answer] = {}
        self.loss_percent = 0
        self.delay_ms = DELAY_MS
        self._sides: dict[str, int] = {}

    def part(self, side: Sequence[str]) -> None:
        """Cut these nodes off from the others."""
        self._sides = dict.fromkeys(side, 1)

    def heal(self) -> None:
        """Let everybody reach everybody soon, and lose nothing."""
        self._sides = {}
        self.loss_percent, self.delay_ms = 0, DELAY_MS

    def send(
        self, source: str, target: str, request: Request, take: Callable[[Response | None], None]
    ) -> None:
        """Ask a node; ``take`` has its answer, or nothing when the request's time is over."""
        simulation, taken = self._simulation, list[bool]()

        def finish(response: Response | None) -> None:
            if not taken:
                taken.append(True)
                take(response)

        def deliver() -> None:
            answer = self.answers.get(target)
            if answer is None:  # nobody listens there: that is known at once
                simulation.after(self._delay(), lambda: finish(None))
                return
            response = answer(request)
            if response is not None and self._arrives(source, target):
                simulation.after(self._delay(), lambda: finish(response))

        simulation.after(request.timeout_ms, lambda: finish(None))
        if self._arrives(source, target):
            simulation.after(self._delay(), deliver)

    def _arrives(self, source: str, target: str) -> bool:
        parted = self._sides.get(source, 0) != self._sides.get(target, 0)
        return not parted and not self._simulation.dice.chance(self.loss_percent)

    def _delay(self) -> int:
        return 1 + self._simulation.dice.below(self.delay_ms)
