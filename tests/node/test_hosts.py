"""Four nodes on four hosts of their own: network namespaces, one of which loses its line."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from ledgercore import Checkpoint, UnavailableError
from ledgercore.demo.network import lay_out
from ledgercore.demo.processes import NodeProcess
from ledgercore.node.client import Patience
from tests.node.test_network import key_of, signed, wait_for

MEMBERS: dict[str, tuple[str, ...]] = {"tax": (), "bank": (), "agent": (), "regulator": ()}
PORT = 7443
BRIDGE = f"lc{os.getpid() % 100_000}"
NET = f"10.{os.getpid() % 200 + 20}.{os.getpid() // 200 % 250}"


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def without_namespaces() -> str:
    """Why there can be no namespaces here, if there can be none."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return "network namespaces need root and the command ip"
    try:
        ip("netns", "add", f"{BRIDGE}probe")
        ip("netns", "del", f"{BRIDGE}probe")
    except subprocess.CalledProcessError as error:
        return f"no network namespaces here: {error.stderr.decode().strip()}"
    return ""


@pytest.fixture
def hosts() -> Iterator[dict[str, str]]:
    """A namespace and an address a member, on one bridge that this process is on too."""
    if reason := without_namespaces():
        pytest.skip(reason)
    addresses = {name: f"{NET}.{at + 2}" for at, name in enumerate(MEMBERS)}
    try:
        ip("link", "add", BRIDGE, "type", "bridge")
        ip("addr", "add", f"{NET}.1/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        for at, (name, address) in enumerate(addresses.items()):
            space, line = f"{BRIDGE}{name}", f"{BRIDGE}v{at}"
            ip("netns", "add", space)
            ip("link", "add", line, "type", "veth", "peer", "name", "eth0", "netns", space)
            ip("link", "set", line, "master", BRIDGE, "up")
            ip("-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
            ip("-n", space, "link", "set", "eth0", "up")
            ip("-n", space, "link", "set", "lo", "up")
        yield addresses
    finally:
        for name in MEMBERS:
            with suppress(subprocess.CalledProcessError):
                ip("netns", "del", f"{BRIDGE}{name}")
        with suppress(subprocess.CalledProcessError):
            ip("link", "del", BRIDGE)


def test_a_node_that_loses_its_line_says_so_and_catches_up(
    tmp_path: Path, hosts: dict[str, str]
) -> None:
    places = lay_out(
        tmp_path / "network",
        MEMBERS,
        [PORT] * len(MEMBERS),
        origin="test.example/hosts",
        limits="answer_s = 2.0\n",
        hosts=[*hosts.values()],
    )
    processes = [NodeProcess(place) for place in places]
    try:
        for process in processes:
            space = f"{BRIDGE}{process.place.member}"
            process.start(within=("ip", "netns", "exec", space))
        for process in processes:
            process.wait()
        tax, bank = processes[:2]
        with bank.place.client(Patience(attempts=1)) as client, tax.place.client() as at_tax:
            assert client.submit_many(signed(client, key_of(bank), 5)) == [1, 2, 3, 4, 5]

            line = f"{BRIDGE}v0"  # the operator's
            waiting = signed(client, key_of(bank), 5)
            ip("link", "set", line, "down")
            with pytest.raises(UnavailableError):
                client.submit_many(waiting)
            assert Checkpoint.parse(client.checkpoint()).size == 6
            ip("link", "set", line, "up")

            # To send the same records again is safe, whether or not they had come through.
            until = time.monotonic() + 40
            outcomes: list[object] = []
            while not outcomes and time.monotonic() < until:
                with suppress(UnavailableError):
                    outcomes = [*client.submit_many(waiting)]
            assert outcomes == [6, 7, 8, 9, 10]
            wait_for(at_tax, 11)
        for process in processes:
            with process.place.client() as client:
                wait_for(client, 11)
    finally:
        codes = [process.stop() for process in processes if process.runs]
    assert codes == [0, 0, 0, 0]
