"""Run a real PostgreSQL server for a test, on a socket in a directory of its own.

A server that refuses to run as root runs as the user that Debian's package makes.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest

ROLE = "ledger"
START_S = 30


def find_binaries() -> Path | None:
    """Where the newest server's programs are."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda place: place.parent.name)
    if places:
        return places[-1]
    program = shutil.which("postgres")
    return Path(program).parent if program else None


BINARIES = find_binaries()


def find_place() -> str:
    """Where clusters stand: in memory, where there is room. A killed server loses nothing there."""
    memory = Path("/dev/shm")
    enough = memory.is_dir() and shutil.disk_usage(memory).free > 1 << 30
    return str(memory) if enough else tempfile.gettempdir()


PLACE = find_place()


def wait_until_gone(process: int) -> None:
    deadline = time.monotonic() + START_S
    while Path(f"/proc/{process}").exists() and time.monotonic() < deadline:
        with suppress(OSError):
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
        time.sleep(0.002)


def own(directory: Path) -> Path:
    """A directory that the server's user may use."""
    directory.mkdir(exist_ok=True)
    if os.geteuid() == 0:
        shutil.chown(directory, "postgres", "postgres")
    return directory


def run_as_owner(directory: Path, program: str, *arguments: str) -> None:
    """Run one of the server's programs, or the system's, as the server's user."""
    assert BINARIES is not None
    path = BINARIES / program
    subprocess.run(
        [path if path.exists() else program, *arguments],
        check=True,
        capture_output=True,
        cwd=directory,
        **as_owner(),
    )


@cache
def initialised(options: tuple[str, ...]) -> Path:
    """A cluster that nobody has started, to be copied: initdb takes longer than a copy."""
    directory = Path(tempfile.mkdtemp(prefix="ledgercore-", dir=PLACE))
    atexit.register(shutil.rmtree, directory)
    directory.chmod(0o755)
    data = own(directory / "template") / "data"
    run_as_owner(
        directory,
        *("initdb", "-D", str(data), "-U", ROLE, "-A", "trust", "--no-sync"),
        *("-E", "UTF8", "--locale=C", *options),
    )
    return data


class Server:
    """One cluster of databases in one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.port = "5432"
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def create(cls, directory: Path, *options: str) -> Server:
        """Make a cluster; it does not run yet."""
        server = cls(own(directory))
        server.run("cp", "-R", "-p", str(initialised(options)), str(server.data))
        return server

    def run(self, program: str, *arguments: str) -> None:
        run_as_owner(self.directory, program, *arguments)

    def start(self, **settings: str) -> None:
        """Start, and wait until it takes connections."""
        assert BINARIES is not None
        self.port = settings.get("port", self.port)
        # What a killed server leaves behind goes with its directory.
        settings = {"dynamic_shared_memory_type": "mmap"} | settings
        options = [f"-c{name}={value}" for name, value in settings.items()]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(BINARIES / "postgres", "-D", self.data, "-k", self.directory),
                    *("-clisten_addresses=", *options),
                ],
                stdout=log,
                stderr=log,
                cwd=self.directory,
                **as_owner(),
            )
        deadline = time.monotonic() + START_S
        while True:
            try:
                self.execute("SELECT 1")
                return
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    log_text = (self.directory / "log").read_text()[-2000:]
                    raise AssertionError(f"server does not start: {error}\n{log_text}") from error
                time.sleep(0.01)

    def stop(self, how: int = signal.SIGQUIT) -> None:
        """Stop at once, or with SIGINT after writing all down."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(START_S)
            self._process = None

    def kill(self) -> None:
        """Kill -9 the server and every process of it."""
        assert self._process is not None
        process = self._process.pid
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        for each in (process, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        self._process.wait()
        self._process = None
        for child in map(int, children):
            wait_until_gone(child)

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Rows of a statement, run by the owner of all."""
        with psycopg.connect(self.server_url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def server_url(self, database: str = "postgres") -> str:
        return f"postgresql://{ROLE}@/{database}?host={self.directory}&port={self.port}"

    def address(self, directory: Path, schema: str = "ledgercore", **parameters: str) -> str:
        """What a ledger on this server is opened by."""
        more = "".join(f"&{name}={value}" for name, value in parameters.items())
        return f"{self.server_url()}&directory={directory}&schema={schema}{more}"


def as_owner() -> dict[str, Any]:
    """Under which user a server's programs run."""
    return {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}


def require_server() -> None:
    """Skip a test where no server is installed, and say so."""
    if BINARIES is None:
        pytest.skip("no PostgreSQL server here: apt-get install postgresql")


@contextmanager
def running_server(*options: str, where: str = PLACE, **settings: str) -> Iterator[Server]:
    """A new server that runs until the block ends."""
    require_server()
    directory = Path(tempfile.mkdtemp(prefix="ledgercore-", dir=where))
    directory.chmod(0o755)
    server = Server.create(directory / "server", *options)
    try:
        server.start(**settings)
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory)
