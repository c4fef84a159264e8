"""Hold four nodes under a steady load, and say how fast records are durable on one and on all.

    make load                       # 60 s at 5,500 records/s
    make load LOAD='--seconds 600'

Four node processes on this machine, mutual TLS 1.3, requests signed: one orders, three follow and
verify. One member submits blocks of 1,000 records of 400 bytes at fixed moments, so that a node
that falls behind is not waited for. A block's time is from the moment when it was due until the
operator's node has answered, and until the event of every node's own copy. Fails where a goal is
missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

from ledgercore import Checkpoint, build_info
from ledgercore.demo.network import Place, lay_out
from ledgercore.demo.processes import NodeProcess, free_ports, start_all
from ledgercore.keys import Signer, sign_batch
from ledgercore.node.client import NodeClient, Patience
from machine import describe_machine

MEMBERS = {"operator": (), "north": ("provider",), "south": ("consumer",), "west": ("supervisor",)}
RECORDS, BODY_BYTES = 1_000, 400
ALONE = 100
"""Records that are submitted one by one."""
GOAL_RECORDS_S = 5_000
GOAL_ALONE_MS = 50.0
GOAL_P99_MS = 250.0
GOAL_RSS_MIB = 256
GROWTH_MIB = 16
"""What a node's memory may grow by from the third quarter to the fourth: noise, and no trend."""


@dataclass
class Course:
    """What was seen while the load was held."""

    due: dict[int, float] = field(default_factory=dict)
    """When the block that ends at a size was due."""
    alone_s: list[float] = field(default_factory=list)
    """How long each record took that was submitted alone, at its member's own node."""
    answered: dict[int, float] = field(default_factory=dict)
    reached: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    """Sizes that a node's events have shown, with their moments."""
    memory: dict[str, list[float]] = field(default_factory=dict)
    behind: list[tuple[float, int]] = field(default_factory=list)
    """Records that were submitted and are not on every node yet."""


class Chain:
    """Blocks of one member's records, signed as they are needed."""

    def __init__(self, key: Signer, network: bytes) -> None:
        self._key, self._network = key, network
        self._sequence, self._previous = 0, bytes(32)

    def next(self, count: int = RECORDS) -> list[bytes]:
        bodies = [
            (self._sequence + at).to_bytes(8, "big") + os.urandom(16) * ((BODY_BYTES - 8) // 16)
            for at in range(count)
        ]
        batch = sign_batch(
            self._key,
            "std",
            self._network,
            "data",
            [body.ljust(BODY_BYTES, b"\0") for body in bodies],
            sequence=self._sequence,
            previous=self._previous,
        )
        self._sequence += count
        self._previous = batch[count - 1].id
        return [batch[at].encode() for at in range(count)]


async def hold(
    places: list[Place], processes: list[NodeProcess], rate: float, seconds: float
) -> Course:
    """Submit at the rate for so long, and until every node has everything."""
    course = Course()
    caller = places[1].caller()
    clients = [NodeClient(place.url, place.member, caller, Patience()) for place in places]
    chain = Chain(caller.key, caller.anchor.network)
    for _ in range(ALONE):
        (record,) = chain.next(1)
        course.alone_s.append(await seconds_of(clients[1].submit(record)))
    watching = [asyncio.create_task(watch(client, course)) for client in clients]
    ids = {process.place.member: process.id for process in processes}
    sampling = asyncio.create_task(sample(ids, course))
    submitting: list[asyncio.Task[None]] = []
    turn = asyncio.Lock()
    begin, size = time.perf_counter() + 0.5, 1 + ALONE
    blocks = int(rate * seconds / RECORDS)
    for number in range(blocks):
        due = begin + number * RECORDS / rate
        records = await asyncio.to_thread(chain.next)
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        size += RECORDS
        course.due[size] = due
        submitting.append(asyncio.create_task(submit(clients[0], turn, records, size, course)))
        failed = [task for task in submitting if task.done() and task.exception()]
        if failed:
            failed[0].result()
    await asyncio.gather(*submitting)
    while any(sizes[-1][1] < size for sizes in course.reached.values()):
        await asyncio.sleep(0.01)
    for task in [*watching, sampling]:
        task.cancel()
    await asyncio.gather(*watching, sampling, return_exceptions=True)
    for client in clients:
        await client.close()
    return course


async def seconds_of(call: Awaitable[object]) -> float:
    begin = time.perf_counter()
    await call
    return time.perf_counter() - begin


async def submit(
    client: NodeClient, turn: asyncio.Lock, records: list[bytes], size: int, course: Course
) -> None:
    """One block; one member's records are a chain, so that its blocks go one after the other."""
    async with turn:
        outcomes = await client.submit_many(records)
    assert outcomes == list(range(size - RECORDS, size)), outcomes[:3]
    course.answered[size] = time.perf_counter()


async def watch(client: NodeClient, course: Course) -> None:
    """When which size was on a node."""
    seen = course.reached.setdefault(client.member, [(0.0, 0)])
    async for note in client.events():
        seen.append((time.perf_counter(), Checkpoint.parse(note).size))


async def sample(ids: dict[str, int], course: Course) -> None:
    """Memory of every node, and what is not on every node yet, twice a second."""
    page = os.sysconf("SC_PAGE_SIZE")
    while True:
        for member, number in ids.items():
            pages = int(Path(f"/proc/{number}/statm").read_text().split()[1])
            course.memory.setdefault(member, []).append(pages * page / 2**20)
        everywhere = min((sizes[-1][1] for sizes in course.reached.values()), default=1)
        newest = max(course.due, default=1)
        course.behind.append((time.perf_counter(), newest - max(everywhere, 1)))
        await asyncio.sleep(0.5)


def moments(course: Course) -> dict[int, float]:
    """When the block that ends at a size was on every node."""
    found: dict[int, float] = {}
    for sizes in course.reached.values():
        at = 0
        for size in sorted(course.due):
            while sizes[at][1] < size:
                at += 1
            found[size] = max(found.get(size, 0.0), sizes[at][0])
    return found


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def quarters(values: list[float]) -> tuple[float, float]:
    """The means of the third and of the last quarter."""
    count = len(values)
    return mean(values[count // 2 : count * 3 // 4]), mean(values[count * 3 // 4 :])


def report(course: Course) -> dict[str, Any]:
    """The figures."""
    everywhere = moments(course)
    first, last = min(course.due.values()), max(everywhere.values())
    to_answer = [1000 * (course.answered[size] - due) for size, due in course.due.items()]
    to_all = [1000 * (everywhere[size] - due) for size, due in course.due.items()]
    until = max(course.due.values())
    queue = [float(count) for at, count in course.behind if first <= at <= until]
    alone = [1000 * each for each in course.alone_s]
    growth = {member: quarters(values) for member, values in course.memory.items()}
    return {
        "seconds": round(last - first, 1),
        "records": len(course.due) * RECORDS,
        "records_per_s_on_all": round(len(course.due) * RECORDS / (last - first)),
        "durable_ms": {
            "p50": round(percentile(to_answer, 0.5), 1),
            "p99": round(percentile(to_answer, 0.99), 1),
        },
        "on_all_ms": {
            "p50": round(percentile(to_all, 0.5), 1),
            "p99": round(percentile(to_all, 0.99), 1),
        },
        "alone_ms": {
            "p50": round(percentile(alone, 0.5), 1),
            "p99": round(percentile(alone, 0.99), 1),
        },
        "behind_records": [round(each) for each in quarters(queue)],
        "memory_mib": {member: [round(each) for each in pair] for member, pair in growth.items()},
        "highest_memory_mib": round(max(max(values) for values in course.memory.values())),
        "kernel": build_info()["signature_kernel"],
    }


def misses(course: Course, found: dict[str, Any]) -> list[str]:
    """The goals that were missed."""
    missed = []
    rate = found["records_per_s_on_all"]
    if rate < GOAL_RECORDS_S:
        missed.append(f"{rate} records/s on all, want at least {GOAL_RECORDS_S}")
    p99 = found["durable_ms"]["p99"]
    if p99 > GOAL_P99_MS:
        missed.append(f"p99 until durable is {p99} ms, want at most {GOAL_P99_MS}")
    p50 = found["alone_ms"]["p50"]
    if p50 > GOAL_ALONE_MS:
        missed.append(f"half of the lone records take {p50} ms or more, want {GOAL_ALONE_MS}")
    if found["highest_memory_mib"] > GOAL_RSS_MIB:
        missed.append(f"memory is {found['highest_memory_mib']} MiB, want at most {GOAL_RSS_MIB}")
    third, fourth = found["behind_records"]
    if fourth > third + 2 * RECORDS:
        missed.append(f"queue grows from {third} to {fourth} records in the second half")
    for member, values in course.memory.items():
        third, fourth = quarters(values)
        if fourth > third + GROWTH_MIB:
            missed.append(f"memory of {member} grows from {third:.0f} to {fourth:.0f} MiB")
    return missed


def run(directory: Path, rate: float, seconds: float) -> tuple[Course, dict[str, Any]]:
    """Start the nodes in a directory, hold the load, and stop them."""
    places = lay_out(directory, MEMBERS, free_ports(len(MEMBERS)), origin="bench.example/load")
    processes = [NodeProcess(place) for place in places]
    try:
        start_all(processes)
        course = asyncio.run(hold(places, processes, rate, seconds))
    finally:
        codes = [process.stop() for process in processes if process.runs]
    assert codes == [0] * len(places), codes
    return course, report(course)


def main() -> None:
    """Print the figures as JSON, and fail where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=5_500, help="records a second")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ledgercore-load-") as directory:
        course, found = run(Path(directory) / "network", given.rate, given.seconds)
        found["machine"] = describe_machine(Path(directory))
    print(json.dumps(found, indent=1))
    missed = misses(course, found)
    for each in missed:
        print(f"missed: {each}", file=sys.stderr)
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
