"""Set up, run and look at one member's node in a network."""

from __future__ import annotations

import _thread
import asyncio
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from ledgercore.cli.files import FILE, passphrase_option, read_passphrase
from ledgercore.cli.output import json_option, one_line, print_facts, print_json
from ledgercore.errors import UnavailableError

if TYPE_CHECKING:
    from ledgercore.node.settings import Settings

__all__ = ["check_extra", "command"]

EVERY_ADDRESS = ("0.0.0.0", "::")
AGAIN_S = 1.0
"""After which a program that was told to end, and has not ended, is told again."""


@click.group("node")
@click.pass_context
def command(context: click.Context) -> None:
    """Run one member's node: the operator's orders, the others follow and verify."""
    if context.invoked_subcommand == "run":
        # To import what a node needs takes most of a second, and to read its settings, passphrase
        # and key as long as they take: told to end before it has its handlers it ends as it will.
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, _end)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # all of it is read anyway
    check_extra()


def _end(number: int, frame: FrameType | None) -> None:
    # Python passes over what is raised in a callback, as imports have them: it is told again then.
    _thread.start_new_thread(_tell_again, (_thread.get_ident(), number))
    raise SystemExit(0)


def _tell_again(thread: int, number: int) -> None:
    Event().wait(AGAIN_S)
    signal.pthread_kill(thread, number)  # which also ends a wait of the system's


def check_extra() -> None:
    """Raise ``UnavailableError`` where what a node needs is not installed."""
    try:
        import aiohttp
        import prometheus_client
        import structlog
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise UnavailableError(
            f"{error.name} is not installed: pip install '.[node]' in the source tree"
        ) from error
    del aiohttp, prometheus_client, structlog


settings_argument = click.argument("settings", type=FILE)


@command.command("init")
@click.argument("directory", type=FILE)
@click.option("--member", required=True, help="The member's id, such as bank-a.")
@click.option(
    "--roles",
    default="",
    help="For members.toml: provider, consumer, processor, ...; without any it signs data alone.",
)
@click.option("--listen", default="127.0.0.1:7443", help="Address and port (127.0.0.1:7443).")
@click.option("--operator", help="Whose node orders, and where: MEMBER=https://HOST:PORT.")
@click.option("--origin", help="Make the operator's node, with a ledger of this unique name.")
@click.option("--members", type=FILE, help="With --origin: the members, as the others print them.")
@click.option("--suite", default="std", help="With --origin: std (default), or c2sp.")
@passphrase_option
@json_option
def init(
    directory: str,
    member: str,
    roles: str,
    listen: str,
    operator: str | None,
    origin: str | None,
    members: str | None,
    suite: str,
    passphrase_file: str | None,
    as_json: bool,
) -> None:
    """Make a member's keys and settings in DIRECTORY, and with --origin the ledger as well.

    Every member runs it first and gives the table that it writes on standard output to the
    operator, who puts all into one file for --members. The others then put the operator's
    anchor.toml beside their settings, and each its certificate, that one's key and the
    authorities' certificates: what is still wanted is said at the end.
    """
    from ledgercore.node.founding import found_network, load_members, make_node
    from ledgercore.rules import ROLES

    passphrase = read_passphrase(passphrase_file)
    held = tuple(role for role in roles.replace(",", " ").split() if role)
    if members is not None and origin is None:
        raise click.UsageError("--members is for the operator: give --origin as well")
    if operator is not None and origin is not None:
        raise click.UsageError("--operator is for the others: the node of --origin orders itself")
    others = load_members(members)  # before any key is made
    follows = None if origin is not None else _operator(operator)
    made = make_node(Path(directory), member, held, listen, follows, passphrase=passphrase)
    facts: dict[str, Any] = {"settings": str(made.settings), "key": str(made.key), "member": member}
    if origin is not None:
        facts |= found_network(made, origin, suite, others, passphrase)
    wanted = made.to_fill_in()
    facts = {**facts, "to_fill_in": wanted}
    if as_json:
        print_json(facts | {"table": made.table})
    elif origin is not None:
        print_facts(facts, as_json=False)
    else:
        still = "; ".join(wanted) or "nothing"
        told = (
            f"keys and {made.settings} are made; wanted before it runs: {still}\n"
            "for the operator's members.toml:"
        )
        if not held:
            # A member keeps the roles that it was admitted with.
            told = (
                f"{member} has no role, and may put nothing but data on the ledger: for more, "
                f"write roles into the table now ({', '.join(ROLES)})\n{told}"
            )
        click.echo(told, err=True)
        click.echo(made.table, nl=False)


def _operator(text: str | None) -> tuple[str, str]:
    """The member and the address in the option; without it what the settings are to be told."""
    from ledgercore.node.founding import SOMEBODY

    if text is None:
        return SOMEBODY
    member, found, url = text.partition("=")
    if not found:
        raise click.UsageError(f"--operator is {text!r}, want MEMBER=https://HOST:PORT")
    return member, url


@command.command("witness")
@settings_argument
@passphrase_option
@json_option
def witness(settings: str, passphrase_file: str | None, as_json: bool) -> None:
    """Make the key and the file of the witness that SETTINGS name, once.

    Its key is sealed under the passphrase of the node's own, where that has one.

    What is printed goes to the operator, for members.toml. A witness that lost its file must not go
    on under its key: make another one, under another name.
    """
    from ledgercore.node.founding import make_witness
    from ledgercore.node.settings import load_settings

    made = make_witness(load_settings(settings), read_passphrase(passphrase_file))
    if as_json:
        print_json(made)
    else:
        click.echo(made["table"], nl=False)


@command.command("run")
@settings_argument
@passphrase_option
def run(settings: str, passphrase_file: str | None) -> None:
    """Serve the node of SETTINGS until SIGTERM; logs go to standard error, one object a line.

    SIGHUP has it read its key and certificates anew, and goes on.

    A follower without a copy begins one with a peer's genesis.
    """
    from ledgercore.heaps import share_heaps
    from ledgercore.node.logs import make_log
    from ledgercore.node.opening import caller_of, run_node
    from ledgercore.node.settings import load_settings

    share_heaps()
    loaded = load_settings(settings)
    passphrase = read_passphrase(passphrase_file)
    caller, log = caller_of(loaded, passphrase), make_log(sys.stderr, member=loaded.member)
    asyncio.run(run_node(loaded, caller, log, passphrase=passphrase))


@command.command("join")
@settings_argument
@click.option("--from-genesis", is_flag=True, help="Take every block, and hold each to the rules.")
@passphrase_option
@json_option
def join(settings: str, from_genesis: bool, passphrase_file: str | None, as_json: bool) -> None:
    """Begin a verified copy at a peer's snapshot, and follow up to the newest block of every peer.

    A snapshot is held to the signed checkpoint and its witnesses, but the records before it were
    not held to the rules here, and are not here: `node repair` fetches them later. `node run`
    begins at the genesis and keeps following; this ends, and says how far it came.
    """
    from ledgercore.node.joining import join_network
    from ledgercore.node.opening import caller_of
    from ledgercore.node.settings import load_settings

    loaded = load_settings(settings)
    caller = caller_of(loaded, read_passphrase(passphrase_file))
    joined = asyncio.run(join_network(loaded, caller, from_genesis=from_genesis, tell=_teller()))
    print_facts(joined, as_json=as_json)


@command.command("repair")
@settings_argument
@click.option(
    "--end",
    type=click.IntRange(min=0),
    metavar="HEIGHT",
    help="The newest block that anybody has, where nothing here tells how far the ledger went.",
)
@passphrase_option
@json_option
def repair(settings: str, end: int | None, passphrase_file: str | None, as_json: bool) -> None:
    """Make the damaged or incomplete ledger of a stopped node whole, with blocks of its peers.

    One that passes the audit stays as it is. Else, whatever is damaged, every block is verified
    again, and the old file is kept as LEDGER.damaged.
    Where a peer has another history that the operator signed too, nothing is replaced, and the
    evidence is written to LEDGER.split-view.
    """
    from ledgercore.node.joining import repair_copy
    from ledgercore.node.opening import caller_of
    from ledgercore.node.settings import load_settings

    loaded = load_settings(settings)
    caller = caller_of(loaded, read_passphrase(passphrase_file))
    repaired = asyncio.run(repair_copy(loaded, caller, end=end, tell=_teller()))
    print_facts(repaired, as_json=as_json)


@command.command("status")
@settings_argument
@click.option("--url", help="Where the node is, if not where it listens.")
@passphrase_option
@json_option
def status(settings: str, url: str | None, passphrase_file: str | None, as_json: bool) -> None:
    """Ask the node of SETTINGS how it is; its checkpoint is verified.

    Ends with 0 where it is ready, and with 4 where it is not, or does not answer.
    """
    from ledgercore.node.opening import caller_of
    from ledgercore.node.settings import load_settings

    loaded = load_settings(settings)
    caller = caller_of(loaded, read_passphrase(passphrase_file))
    from ledgercore.node.joining import node_status

    facts = asyncio.run(node_status(url or _own_url(loaded), loaded.member, caller))
    print_facts(facts, as_json=as_json)
    if not facts["ready"]:
        raise click.exceptions.Exit(4)


def _teller() -> Callable[[str, str], None]:
    """What says, once of each peer, that it is waited for, and why: it may take minutes."""
    told: set[str] = set()

    def tell(peer: str, reason: str) -> None:
        if peer not in told:
            told.add(peer)
            reason = one_line(reason)
            click.echo(f"waiting: peer {peer} gives no answer now: {reason}", err=True)

    return tell


def _own_url(settings: Settings) -> str:
    host, port = settings.address
    if host in EVERY_ADDRESS:
        host = "localhost"
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
