"""Make what a member's node needs: keys, settings, and at the operator's the ledger.

Every member makes its keys where they stay and gives the operator a ``[[member]]`` table with the
public halves; the operator puts all of them into one file, from which the genesis is made::

    [[member]]
    member = "bank-a"
    name = "bank-a"
    roles = ["consumer"]
    signing_key = "d04ab232742bb4ab3a1368bd4615e4e6d0224ab71a016baf8520a332c9778737"
    sealing_key = "0faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20"

Witnesses stand there too, as ``[[witness]]`` with name and key, and before all tables ``quorum``,
how many of them must cosign.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from ledgercore._core import SigningKey
from ledgercore.anchor import format_anchor
from ledgercore.disk import exists, make_directory, read_bytes, remove, write_new
from ledgercore.entropy import Entropy, SystemEntropy
from ledgercore.errors import LedgerError, MalformedError
from ledgercore.exchange.sealing import public_delivery_key
from ledgercore.keyfile import load_key, store_key, store_vault_key
from ledgercore.ledger import Ledger
from ledgercore.node.settings import Settings, load_settings, parse_settings
from ledgercore.records import Member, Witness
from ledgercore.records.base import Identifier, Text
from ledgercore.rules import ROLES
from ledgercore.store import WitnessStore
from ledgercore.wording import in_words, unknown_keys

__all__ = [
    "SOMEBODY",
    "Listed",
    "Made",
    "found_network",
    "load_members",
    "make_node",
    "make_witness",
    "parse_members",
]

MEMBERS_BYTES = 1024 * 1024

_Hex = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]

SOMEBODY = ("operator", "https://localhost:7443")
"""Whom settings name as the operator until somebody writes in who it is."""

_OPERATOR = """
# Peers are not needed here but for `ledgercore node repair`: the others come to the operator.
"""


class _Listed(Struct, frozen=True, forbid_unknown_fields=True):
    member: Identifier
    name: Text
    roles: tuple[Identifier, ...]
    signing_key: _Hex
    sealing_key: _Hex


class _ListedWitness(Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=1, max_length=255)]
    key: _Hex


class Listed(Struct, frozen=True, forbid_unknown_fields=True):
    """What a network begins with, but for its operator."""

    member: tuple[_Listed, ...]
    witness: tuple[_ListedWitness, ...] = ()
    quorum: Annotated[int, Meta(ge=0, le=64)] = 0


@dataclass(frozen=True)
class Made:
    """What was made for one member's node."""

    directory: Path
    member: str
    settings: Path
    key: Path
    sealing: Path
    table: str

    def to_fill_in(self) -> list[str]:
        """What is wanted before the node runs: files that its settings name and nobody has put
        there yet, and what stands in them until somebody writes in what it is."""
        settings = load_settings(self.settings)
        tls, operator = settings.tls, settings.operator
        named = (tls.certificate, tls.key, tls.authorities, settings.anchor)
        wanted = [name for name in named if not exists(name)]
        if operator is not None and (operator.member, operator.url) == SOMEBODY:
            wanted.append(f"member and url of [[peer]] in {self.settings}: whose node orders")
        return wanted

    def discard(self) -> None:
        """Remove the keys and settings, which nothing uses yet, so that they can be made anew."""
        for path in (self.settings, self.key, self.sealing):
            remove(path)


def make_node(
    directory: Path,
    member: str,
    roles: tuple[str, ...],
    listen: str,
    follows: tuple[str, str] | None = None,
    *,
    passphrase: bytes | None = None,
    entropy: Entropy | None = None,
) -> Made:
    """Make a member's two keys and its settings in a directory.

    ``follows`` is the member whose node orders, and its address; the operator's follows nobody.
    Where this fails nothing that it made is left but the directory.
    """
    entropy = entropy or SystemEntropy()
    _check_roles(roles, "role")
    text = _settings(member, listen, follows)
    parse_settings(text, directory)  # refuses a wrong member or address before anything is made
    make_directory(directory)
    seed, sealing = entropy.bytes(32), entropy.bytes(32)
    key, sealed = directory / f"{member}.key", directory / f"{member}.sealing.key"
    settings = directory / "node.toml"
    with _all_or_none() as written:
        store_key(key, seed, passphrase, entropy=entropy)
        written.append(key)
        store_vault_key(sealed, sealing, passphrase, entropy=entropy)
        written.append(sealed)
        write_new(settings, text.encode())
    public = SigningKey(seed).public_key.hex()
    table = (
        f'[[member]]\nmember = "{member}"\nname = "{member}"\nroles = {list(roles)}\n'
        f'signing_key = "{public}"\nsealing_key = "{public_delivery_key(sealing).hex()}"\n'
    ).replace("'", '"')
    return Made(directory, member, settings, key, sealed, table)


def found_network(
    made: Made, origin: str, suite: str, others: Listed, passphrase: bytes | None
) -> dict[str, str]:
    """Make the operator's ledger and anchor, with the other members and the operator's own.

    Where no ledger is made the node's keys and settings go as well.
    """
    path, anchor = made.directory / f"{made.member}.ledger", made.directory / "anchor.toml"
    try:
        members = _members(_parse(made.table)) + _members(others)
        _check_once(members)
        made_ledger = Ledger.create(
            path,
            origin=origin,
            suite=suite,
            members=members,
            witnesses=[Witness(each.name, bytes.fromhex(each.key)) for each in others.witness],
            quorum=others.quorum,
            key=load_key(made.key, passphrase),
        )
    except LedgerError:
        # A ledger that has its name already, and failed of a flush after that, needs its key.
        if not exists(path):
            made.discard()
        raise
    with made_ledger as ledger:
        write_new(anchor, format_anchor(ledger.trust_anchor).encode())
        return {"ledger": str(path), "anchor": str(anchor), "network": ledger.network.hex()}


def load_members(path: str | None) -> Listed:
    """The members, witnesses and quorum of a file; none of any without one."""
    if path is None:
        return Listed(())
    try:
        return _parse(read_bytes(path, MEMBERS_BYTES, "members").decode())
    except UnicodeDecodeError as error:
        raise MalformedError(f"{path} is not UTF-8 at byte {error.start}") from None


def parse_members(text: str) -> tuple[Member, ...]:
    """The members in a text, or ``MalformedError`` with what is wrong."""
    return _members(_parse(text))


def make_witness(
    settings: Settings, passphrase: bytes | None = None, entropy: Entropy | None = None
) -> dict[str, str]:
    """Make the key and the file of the settings' witness; what the operator is to be given.

    ``passphrase`` seals the key: it is the one of the node's own key.
    """
    role, entropy = settings.witness, entropy or SystemEntropy()
    if role is None:
        raise MalformedError("settings: witness is missing, want a table [witness]")
    seed = entropy.bytes(32)
    with _all_or_none() as written:
        store_key(role.key, seed, passphrase, entropy=entropy)
        written.append(Path(role.key))
        WitnessStore.create(role.store).close()
    key = SigningKey(seed).public_key.hex()
    table = f'[[witness]]\nname = "{role.name}"\nkey = "{key}"\n'
    return {"name": role.name, "key": key, "store": role.store, "table": table}


def _parse(text: str) -> Listed:
    try:
        table = tomllib.loads(text)
        if unknown := unknown_keys(table, Listed):
            raise MalformedError(f"members: {'; '.join(unknown)}")
        found = msgspec.convert(table, Listed)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"members: {in_words(error)}: want [[member]] tables") from None
    if found.quorum > len(found.witness):
        raise MalformedError(
            f"members: quorum is {found.quorum}, want at most {len(found.witness)} witnesses"
        )
    for each in found.member:
        _check_roles(each.roles, f"members: {each.member} has a role that")
    return found


def _check_roles(roles: tuple[str, ...], what: str) -> None:
    """Refuse a role that no rule asks for: who is a member keeps it, and a genesis stays."""
    for role in roles:
        if role not in ROLES:
            raise MalformedError(f"{what} is {role!r}, want one of {', '.join(ROLES)}")


def _check_once(members: tuple[Member, ...]) -> None:
    """Refuse what the rules would, with the remedy of whoever writes the file."""
    keys: dict[bytes, str] = {}
    for at, each in enumerate(members):
        if each.member in (other.member for other in members[:at]):
            raise MalformedError(
                f"members: {each.member} is there twice, want each member once; the operator's own "
                "table is not for the file: it is added"
            )
        if (other := keys.setdefault(each.signing_key, each.member)) != each.member:
            raise MalformedError(
                f"members: {other} and {each.member} have one signing key, want each its own"
            )


@contextmanager
def _all_or_none() -> Iterator[list[Path]]:
    """Remove the files that were noted as written where a later one could not be."""
    written: list[Path] = []
    try:
        yield written
    except LedgerError:
        for each in written:
            remove(each)
        raise


def _members(found: Listed) -> tuple[Member, ...]:
    return tuple(
        Member(
            each.member,
            each.name,
            each.roles,
            bytes.fromhex(each.signing_key),
            bytes.fromhex(each.sealing_key),
        )
        for each in found.member
    )


def _settings(member: str, listen: str, follows: tuple[str, str] | None) -> str:
    role, peers = "operator", _OPERATOR
    if follows is not None:
        role = "follower"
        lines = f'member = "{follows[0]}"\nurl = "{follows[1]}"\noperator = true\n'
        whose = "the member whose node orders"
        if follows == SOMEBODY:
            whose = "to be filled in: " + whose + ", and where"
        peers = f"\n[[peer]]                           # {whose}\n{lines}"
    return f"""# The node of {member}: ledgercore node run node.toml
member = "{member}"
role = "{role}"
ledger = "{member}.ledger"
anchor = "anchor.toml"             # from the operator; compare it over another channel
key = "{member}.key"
listen = "{listen}"

[tls]
certificate = "{member}.crt"       # for the name or address that peers use
key = "{member}.tls.key"
authorities = "authority.crt"      # who signs members' certificates
{peers}"""
