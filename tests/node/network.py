"""Set up a network of node processes on loopback, as its members would from a shell."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ledgercore import Anchor, parse_anchor
from ledgercore.demo.authority import Authority
from ledgercore.keyfile import load_key
from ledgercore.node.blocking import BlockingClient
from ledgercore.node.channel import Caller
from ledgercore.node.client import Patience
from ledgercore.node.settings import load_settings
from ledgercore.node.tls import client_context

COMMAND = (sys.executable, "-m", "ledgercore")
READY_S = 30.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def command(*arguments: object) -> dict[str, Any]:
    """What a command prints as JSON."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments), "--json"], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


class Member:
    """One member's directory and, while it runs, its node's process."""

    def __init__(self, directory: Path, name: str, port: int) -> None:
        self.directory, self.name, self.port = directory, name, port
        self.process: subprocess.Popen[bytes] | None = None
        self.log = directory / "node.log"

    @property
    def settings(self) -> Path:
        return self.directory / "node.toml"

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def ledger(self) -> Path:
        return self.directory / f"{self.name}.ledger"

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "node", "run", str(self.settings)], stderr=log
            )

    def wait(self) -> None:
        """Until the node says that it is ready."""
        until = time.monotonic() + READY_S
        with self.client(Patience(attempts=1)) as client:
            while not client.ready():
                assert self.process is not None and self.process.poll() is None, (
                    self.log.read_text()
                )
                assert time.monotonic() < until, self.log.read_text()
                time.sleep(0.05)

    def stop(self, sig: int = signal.SIGTERM) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            os.kill(self.process.pid, sig)
        code = self.process.wait(timeout=60)
        self.process = None
        return code

    def client(self, patience: Patience | None = None) -> BlockingClient:
        """The member's own client of its own node."""
        loaded = load_settings(self.settings)
        key = load_key(loaded.key)
        caller = Caller.of(key, self.anchor, client_context(loaded.tls))
        return BlockingClient(self.url, self.name, caller, patience)

    @property
    def anchor(self) -> Anchor:
        return parse_anchor((self.directory / "anchor.toml").read_text())


class Network:
    """An operator and its followers, each in a directory of its own."""

    def __init__(self, directory: Path, names: tuple[str, ...]) -> None:
        self.authority = Authority(directory)
        tables = []
        self.members = []
        for name in names:
            member = Member(directory / name, name, free_port())
            self.members.append(member)
            listen = ("--listen", f"127.0.0.1:{member.port}")
            if name != names[0]:
                made = command("node", "init", member.directory, "--member", name, *listen)
                tables.append(made["table"])
        listed = directory / "members.toml"
        listed.write_text("\n".join(tables))
        operator = self.members[0]
        command(
            "node",
            "init",
            operator.directory,
            "--member",
            operator.name,
            "--listen",
            f"127.0.0.1:{operator.port}",
            "--origin",
            "test.example/network",
            "--members",
            listed,
        )
        for member in self.members:
            self._prepare(member, operator)

    def _prepare(self, member: Member, operator: Member) -> None:
        """Issue the certificate, and give the anchor and the peers to a follower."""
        tls = self.authority.issue(member.name)
        for name in (tls.certificate, tls.key):
            Path(name).rename(member.directory / Path(name).name)
        (member.directory / "authority.crt").write_bytes(self.authority.path.read_bytes())
        if member is operator:
            return
        anchor = (operator.directory / "anchor.toml").read_bytes()
        (member.directory / "anchor.toml").write_bytes(anchor)
        text = member.settings.read_text().split("\n[[peer]]")[0]
        for peer in self.members:
            if peer is not member:
                text += f'\n[[peer]]\nmember = "{peer.name}"\nurl = "{peer.url}"\n'
                text += "operator = true\n" if peer is operator else ""
        member.settings.write_text(text)

    def start(self) -> None:
        for member in self.members:
            member.start()
        for member in self.members:
            member.wait()

    def stop(self) -> None:
        for member in self.members:
            if member.process is not None:
                member.stop()
