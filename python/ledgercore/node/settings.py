"""Read a node's settings from TOML, and refuse every value that is wrong with its name.

::

    member = "bank"                  # whose node this is
    role = "follower"                # or "operator": the one node that orders
    ledger = "bank.ledger"           # the ledger, or the copy: a path beside this file, or a server
    anchor = "anchor.toml"           # whom the node trusts
    key = "bank.key"                 # signs requests; the operator's signs checkpoints too
    listen = "127.0.0.1:7443"

    [tls]
    certificate = "bank.crt"
    key = "bank.tls.key"
    authorities = "members.crt"      # who signs members' certificates

    [[peer]]                         # the operator's node, and any others to fetch blocks from
    member = "tax-authority"
    url = "https://tax.example:7443"
    operator = true
    certificates = "tax.crt"         # optional: the only ones that this node may show

    [witness]                        # optional: cosign the operator's checkpoints
    name = "bank.example/witness"    # as the genesis names it
    key = "bank.witness.key"
    store = "bank.witness"           # made by ledgercore node witness, once

    [limits]                         # all optional: docs/limits.md
    requests_per_s = 200
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, field

from ledgercore.disk import URL, read_bytes
from ledgercore.errors import MalformedError
from ledgercore.node.limits import Limits
from ledgercore.records.base import Identifier
from ledgercore.store import KEYWORDS, SERVERS, parse_address
from ledgercore.wording import unknown_keys

__all__ = ["Peer", "Settings", "Tls", "WitnessRole", "load_settings", "parse_settings"]

SETTINGS_BYTES = 64 * 1024

_NO_FILES = (*SERVERS, "pkcs11:")
"""What a ledger or a key may be that is no path."""

_NO_URL = rf"(?!{URL.pattern})"
_File = Annotated[str, Meta(min_length=1, max_length=4096, pattern=rf"\A{_NO_URL}")]
_Ledger = Annotated[
    str, Meta(min_length=1, max_length=4096, pattern=rf"\A({'|'.join(SERVERS)}|{_NO_URL})")
]
_Listen = Annotated[str, Meta(pattern=r"\A(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}\Z")]
_Url = Annotated[str, Meta(pattern=r"\Ahttps://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._/-]*)?\Z")]

_WANTED = {
    "member": "the id of the member whose node this is, such as bank-a",
    "role": 'operator or follower: one node of a network is its "operator"',
    "ledger": "the path of the ledger or of the copy, or postgresql://... with a directory",
    "anchor": "the path of the trust anchor, as ledgercore anchor prints it",
    "key": "the path of a key file or of a PKCS#12 file, or a token as pkcs11:...",
    "listen": "an address and a port, such as 0.0.0.0:7443",
    "tls": "a table [tls] with certificate, key and authorities, each the path of a PEM file",
    "peer": "a table [[peer]] with member and url",
    "peer.member": "the id of the member whose node it is, such as bank-a",
    "peer.url": "https://HOST:PORT, as that node is called by others: it speaks TLS alone, and no "
    "user, password, query or fragment stands there",
    "peer.certificates": "the path of a PEM file with the only certificates that it may show",
    "witness": "a table [witness] with name, key and store",
    "limits": "a table [limits] of numbers, as docs/limits.md lists them",
}


class _Table(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table without unknown keys."""


class Tls(_Table, frozen=True):
    """The node's certificate and key, and who signs those of members."""

    certificate: _File
    key: _File
    authorities: _File


class Peer(_Table, frozen=True):
    """Another member's node; ``operator`` marks the one that orders.

    Blocks are fetched from every peer but those with ``follow = false``: where members are many,
    they spare the operator so.
    """

    member: Identifier
    url: _Url
    operator: bool = False
    follow: bool = True
    certificates: _File | None = None
    """PEM with the TLS certificates that the member's node may show: no other of the authorities'
    passes for it. Both of them while one takes the other's place."""
    witness: Annotated[str, Meta(max_length=255)] = ""
    """The name under which this node cosigns, where it does."""


class WitnessRole(_Table, frozen=True):
    """What a node that cosigns needs; its key is for nothing else."""

    name: Annotated[str, Meta(min_length=1, max_length=255)]
    key: _File
    store: _File


class Settings(_Table, frozen=True):
    """All that a node is told."""

    member: Identifier
    role: Literal["operator", "follower"]
    ledger: _Ledger
    anchor: _File
    key: _File
    listen: _Listen
    tls: Tls
    peer: tuple[Peer, ...] = ()
    witness: WitnessRole | None = None
    limits: Limits = field(default_factory=Limits)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on; port 0 is any that is free."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def operator(self) -> Peer | None:
        """The operator's node, where this is not it."""
        return next((peer for peer in self.peer if peer.operator), None)


def parse_settings(text: str, directory: Path) -> Settings:
    """The settings in a text, with paths that begin at the directory."""
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"settings are not TOML: {error}") from None
    if unknown := unknown_keys(table, Settings):
        raise MalformedError(f"settings: {'; '.join(unknown)}")
    try:
        settings = msgspec.convert(table, Settings)
    except msgspec.ValidationError as error:
        raise MalformedError(f"settings: {_explained(str(error))}") from None
    except MalformedError as error:
        raise MalformedError(f"settings: {error}") from None
    _check(settings)
    return _resolved(settings, directory)


def load_settings(path: str | Path) -> Settings:
    """The settings in a file."""
    try:
        text = read_bytes(path, SETTINGS_BYTES, "settings").decode()
    except UnicodeDecodeError as error:
        raise MalformedError(f"{path} is not UTF-8 at byte {error.start}") from None
    return parse_settings(text, Path(path).absolute().parent)


def _explained(reason: str) -> str:
    """Name the value by its path, and say what is wanted there."""
    what, _, path = reason.partition(" - at `$")
    if "matching regex" in what:
        what = "text of another form"
    name = path.rstrip("`").lstrip(".").replace("[...]", "")
    top = name.split(".")[0].partition("[")[0]
    if not top:
        # It stands in the reason: a key that is missing, or is of no use.
        quoted = what.split("`")
        top = quoted[1] if len(quoted) > 2 else ""
    each = re.sub(r"\[[0-9]+\]", "", name)
    want = _WANTED.get(each) or _WANTED.get(top, "one of the documented form")
    if URL.pattern in reason:
        want += " (./NAME for a file that is named like a URL)"
    return f"{name or top}: {what[:1].lower()}{what[1:]}: want {want}"


def _check(settings: Settings) -> None:
    port = settings.address[1]
    if port > 65_535:
        raise MalformedError(f"settings: listen has port {port}, want at most 65535")
    operators = [peer.member for peer in settings.peer if peer.operator]
    if settings.role == "follower" and len(operators) != 1:
        raise MalformedError(
            f"settings: {len(operators)} peers have operator = true, want the one that orders"
        )
    if settings.role == "follower" and not any(peer.follow for peer in settings.peer):
        raise MalformedError("settings: every peer has follow = false, want one to follow")
    if settings.role == "operator" and operators:
        raise MalformedError(
            f"settings: role is operator and so is peer {operators[0]!r}, want one in a network"
        )
    if KEYWORDS.match(settings.ledger):
        # It would be a file of that name, with a password in it.
        raise MalformedError(
            "settings: ledger is as libpq's keywords are, want postgresql://... with a directory, "
            "or ./NAME for a file that is named so"
        )
    if settings.ledger.startswith(SERVERS) and parse_address(settings.ledger).files is None:
        raise MalformedError(
            "settings: ledger is on a server, want ?directory=... in its address: a directory of "
            "this host for the small files beside it"
        )
    members = [peer.member for peer in settings.peer]
    if settings.member in members:
        raise MalformedError(
            f"settings: a [[peer]] is {settings.member!r}, whose own node this is: take it away"
        )
    for member in members:
        if members.count(member) > 1:
            raise MalformedError(
                f"settings: {members.count(member)} [[peer]] are {member!r}, want one: keep the "
                "one with its node's url"
            )


def _resolved(settings: Settings, directory: Path) -> Settings:
    def at(name: str) -> str:
        return name if name.startswith(_NO_FILES) else str(directory / name)

    tls, witness = settings.tls, settings.witness
    if witness is not None:
        witness = WitnessRole(name=witness.name, key=at(witness.key), store=at(witness.store))
    return msgspec.structs.replace(
        settings,
        ledger=at(settings.ledger),
        anchor=at(settings.anchor),
        key=at(settings.key),
        peer=tuple(
            msgspec.structs.replace(peer, certificates=at(peer.certificates))
            if peer.certificates
            else peer
            for peer in settings.peer
        ),
        tls=Tls(
            certificate=at(tls.certificate),
            key=at(tls.key),
            authorities=at(tls.authorities),
        ),
        witness=witness,
    )
