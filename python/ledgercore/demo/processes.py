"""Run nodes as processes of their own on this machine, and stop or kill them."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from threading import Event

from ledgercore.clock import SystemClock
from ledgercore.demo.network import Place
from ledgercore.disk import append_to
from ledgercore.entropy import SystemEntropy
from ledgercore.errors import UnavailableError
from ledgercore.node.client import Patience

__all__ = ["NodeProcess", "free_ports", "start_all"]

READY_S = 60.0
STOP_S = 60.0
LOWEST_PORT = 16_384
PORTS = 16_384


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nothing listens on now.

    They lie below those that a system hands out to connections (from 32,768 on Linux), so that no
    connection of another process takes one before its node listens there.
    """
    held: list[socket.socket] = []
    try:
        while len(held) < count:
            port = LOWEST_PORT + int.from_bytes(SystemEntropy().bytes(2)) % PORTS
            free = socket.socket()
            try:
                free.bind(("127.0.0.1", port))
            except OSError:
                free.close()
            else:
                held.append(free)
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()


class NodeProcess:
    """One node's process; it logs into ``node.log`` beside its settings."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.log = place.directory / "node.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._held: Connection | None = None
        """The other end of the node's standard input: when it closes the node ends."""

    @property
    def id(self) -> int:
        """The process's number."""
        assert self._process is not None, "node was started"
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self, module: str = "ledgercore", within: Sequence[str] = ()) -> None:
        """Start the node; another module may run it otherwise, or a command that it is put after.

        Such a command is ``ip netns exec NAME``, which has to become the node's own process. The
        node ends with this process, also where that is killed: see ``ledgercore.demo.tied``.
        """
        settings = str(self.place.settings)
        run = ["-m", "ledgercore.demo.tied", module, "node", "run", settings]
        theirs, self._held = Pipe(duplex=False)
        with append_to(self.log) as log, theirs:
            self._process = subprocess.Popen(
                [*within, sys.executable, *run], stderr=log, stdin=theirs.fileno()
            )

    def wait(self) -> None:
        """Until the node says that it is caught up; raises where it ends or takes too long."""
        clock, pause = SystemClock(), Event()
        begin = clock.elapsed_s()
        with self.place.client(Patience(attempts=1)) as client:
            while not client.ready():
                if not self.runs or clock.elapsed_s() - begin > READY_S:
                    raise UnavailableError(
                        f"node of {self.place.member} does not become ready: see {self.log}"
                    )
                pause.wait(0.05)

    def reload(self) -> None:
        """Have the node read its key and certificates anew."""
        assert self._process is not None, "node was started"
        self._process.send_signal(signal.SIGHUP)

    def stop(self, told: signal.Signals = signal.SIGTERM) -> int:
        """End as a service manager does; the exit code."""
        assert self._process is not None, "node was started"
        self._process.send_signal(told)
        return self._process.wait(STOP_S)

    def kill(self) -> None:
        """End it in the midst of whatever it does."""
        assert self._process is not None, "node was started"
        self._process.kill()
        self._process.wait(STOP_S)


def start_all(processes: Iterable[NodeProcess]) -> None:
    """Start nodes, and wait until all are caught up."""
    started = list(processes)
    for process in started:
        process.start()
    for process in started:
        process.wait()
