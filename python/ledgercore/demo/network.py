"""Lay out a network on this machine: a directory a member, with keys, certificates and settings."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from ledgercore._core import Anchor
from ledgercore.anchor import parse_anchor
from ledgercore.demo.authority import Authority
from ledgercore.disk import make_directory, read_bytes, remove, write_new
from ledgercore.entropy import Entropy, SystemEntropy
from ledgercore.keyfile import load_key
from ledgercore.node.blocking import BlockingClient
from ledgercore.node.channel import Caller
from ledgercore.node.client import Patience
from ledgercore.node.founding import Made, found_network, load_members, make_node
from ledgercore.node.settings import Tls, load_settings
from ledgercore.node.tls import client_context

__all__ = ["LOOPBACK", "Place", "lay_out"]

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Place:
    """Where one member's node is."""

    member: str
    directory: Path
    port: int
    anchor: Anchor
    host: str

    @property
    def settings(self) -> Path:
        """The node's settings."""
        return self.directory / "node.toml"

    @property
    def ledger(self) -> Path:
        """The ledger or the copy."""
        return self.directory / f"{self.member}.ledger"

    @property
    def url(self) -> str:
        """Where the node is asked."""
        return f"https://{self.host}:{self.port}"

    def caller(self) -> Caller:
        """The member, as it asks nodes."""
        loaded = load_settings(self.settings)
        return Caller.of(load_key(loaded.key), self.anchor, client_context(loaded.tls))

    def client(self, patience: Patience | None = None) -> BlockingClient:
        """The member's own client of its own node."""
        return BlockingClient(self.url, self.member, self.caller(), patience)


def lay_out(
    directory: Path,
    members: dict[str, tuple[str, ...]],
    ports: list[int],
    *,
    origin: str,
    limits: str = "",
    sparing: Collection[str] = (),
    hosts: Sequence[str] = (),
    entropy: Entropy | None = None,
) -> list[Place]:
    """A node's files for each member with its roles; the first one is the operator.

    ``limits`` is TOML for the settings' ``[limits]``. Every other node is a follower's peer, of
    which those that are ``sparing`` the operator fetch their blocks from the others. ``hosts``
    are the nodes' addresses, where they are not all of this machine's loopback.
    """
    entropy = entropy or SystemEntropy()
    make_directory(directory)
    authority = Authority(directory)
    operator = next(iter(members))
    at = dict(zip(members, zip(hosts or [LOOPBACK] * len(ports), ports, strict=True), strict=True))
    made: dict[str, Made] = {}
    for name, roles in members.items():
        made[name] = make_node(
            directory / name,
            name,
            roles,
            "{}:{}".format(*at[name]),
            None if name == operator else (operator, "https://{}:{}".format(*at[operator])),
            entropy=entropy,
        )
    listed = directory / "members.toml"
    tables = [each.table for each in made.values() if each.member != operator]
    write_new(listed, "\n".join(tables).encode())
    founded = found_network(made[operator], origin, "std", load_members(str(listed)), None)
    anchor = read_bytes(founded["anchor"])
    places = []
    for name, each in made.items():
        _certify(authority, each, at[name][0], read_bytes(authority.path))
        if name != operator:
            write_new(each.directory / "anchor.toml", anchor)
        peers = [] if name == operator else [other for other in made if other != name]
        marks = "operator = true\n" + ("follow = false\n" if name in sparing else "")
        named = [(peer, at[peer], marks if peer == operator else "") for peer in peers]
        _settle(each, named, limits)
        host, port = at[name]
        places.append(Place(name, each.directory, port, parse_anchor(anchor.decode()), host))
    return places


def _certify(authority: Authority, made: Made, host: str, certificate: bytes) -> None:
    """Put the member's certificate where its settings say that it is."""
    tls: Tls = authority.issue(made.member, address=host, directory=made.directory)
    assert Path(tls.certificate).parent == made.directory
    write_new(made.directory / "authority.crt", certificate)


def _settle(made: Made, peers: list[tuple[str, tuple[str, int], str]], limits: str) -> None:
    """Name the peers, which were not known when the settings were made."""
    text = read_bytes(made.settings).decode().split("\n[[peer]]")[0]
    for member, (host, port), marks in peers:
        text += f'\n[[peer]]\nmember = "{member}"\nurl = "https://{host}:{port}"\n{marks}'
    if limits:
        text += f"\n[limits]\n{limits}"
    remove(made.settings)
    write_new(made.settings, text.encode())
