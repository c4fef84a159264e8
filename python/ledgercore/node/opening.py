"""Open a node from its settings: the operator's over its ledger, a member's over its copy."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from functools import partial

from ledgercore.anchor import parse_anchor
from ledgercore.clock import Clock, SystemClock
from ledgercore.disk import exists, read_bytes
from ledgercore.entropy import Entropy, SystemEntropy
from ledgercore.errors import (
    CorruptError,
    FencedError,
    LedgerError,
    MalformedError,
    RefusedError,
    StoreError,
    UnavailableError,
    UntrustedError,
)
from ledgercore.keys import Signer, load_signer
from ledgercore.ledger import Ledger
from ledgercore.node.answers import refusal_in
from ledgercore.node.carrying import run_on_thread
from ledgercore.node.channel import Caller, Channel
from ledgercore.node.client import NodeClient, Patience
from ledgercore.node.following import Following, open_copy
from ledgercore.node.logs import Log
from ledgercore.node.node import Node
from ledgercore.node.own_key import KeyFault, key_fault
from ledgercore.node.publishing import Publishing
from ledgercore.node.relaying import Relay
from ledgercore.node.server import STOP_SIGNALS, NodeServer, Wrap, serve
from ledgercore.node.settings import Peer, Settings, WitnessRole
from ledgercore.node.tls import Context, client_context, pinned_contexts, server_context
from ledgercore.rules import KeyState, View, key_object, member_object
from ledgercore.store import WitnessStore, is_there, parse_address, shown
from ledgercore.sync.messages import Response, ask_checkpoint
from ledgercore.sync.witness import Witness

__all__ = ["caller_of", "open_channels", "open_node", "reload", "run_node"]

ANCHOR_BYTES = 64 * 1024

RELAYING = Patience(attempts=4, answer_ms=20_000, least_s=0)
"""How long a follower tries to reach the operator before it says that it cannot: who asked it asks
again."""


def caller_of(
    settings: Settings,
    passphrase: bytes | None = None,
    clock: Clock | None = None,
    entropy: Entropy | None = None,
) -> Caller:
    """The node as it asks others."""
    try:
        anchor = parse_anchor(read_bytes(settings.anchor, ANCHOR_BYTES, "an anchor").decode())
    except UnicodeDecodeError as error:
        raise StoreError(f"{settings.anchor} is not UTF-8 at byte {error.start}") from None
    key = load_signer(settings.key, passphrase)
    context = client_context(settings.tls)
    pinned = pinned_contexts(settings.tls, settings.peer)
    return Caller(key, anchor, context, clock or SystemClock(), entropy or SystemEntropy(), pinned)


def open_channels(settings: Settings, caller: Caller) -> list[Channel]:
    """A channel to each peer that is followed, in the order of the settings."""
    return [Channel(peer.url, peer.member, caller) for peer in settings.peer if peer.follow]


async def open_node(
    settings: Settings, caller: Caller, log: Log, passphrase: bytes | None = None
) -> Node:
    """The node, not started yet; a follower's copy is begun with a peer's genesis.

    ``passphrase`` opens the witness's key, as it does the node's own. Where this fails, or is
    cancelled, nothing is left open.
    """
    async with AsyncExitStack() as held:
        open_role = _open_operator if settings.role == "operator" else _open_follower
        node = await open_role(settings, caller, log, held)
        for peer in await run_on_thread(partial(_strangers, settings, node.ledger)):
            log.warning(
                "peer is no member here",
                peer=peer,
                remedy=f"ledgercore show {shown(settings.ledger)} --objects member/ lists who is: "
                "write one of them into its [[peer]]; who was admitted after the newest block here "
                "is not listed yet",
            )
        if settings.witness is not None:
            node.witness = await _open_witness(settings.witness, caller, log, passphrase, held)
        held.pop_all()  # the node's own from now on
        return node


async def _open_operator(
    settings: Settings, caller: Caller, log: Log, held: AsyncExitStack
) -> Node:
    await run_on_thread(partial(_check_somewhere, settings.ledger))
    opening = partial(
        Ledger.open, settings.ledger, key=caller.key, clock=caller.clock, entropy=caller.entropy
    )
    ledger = await run_on_thread(opening)
    held.callback(ledger.close)
    if ledger.trust_anchor != caller.anchor:
        raise UntrustedError(
            f"{shown(settings.ledger)} is not of the network of {settings.anchor}: give its own "
            "anchor"
        )
    await _check_own_key(settings, ledger, caller, ())
    node = _node(settings, ledger, caller, log)
    cosigning = _cosigning(settings, caller, log)
    if caller.anchor.witnesses:
        publishing = Publishing(node, cosigning)
        held.push_async_callback(publishing.stop)
        node.background = [publishing]
        node.fault = publishing.fault
    return node


def _check_somewhere(place: str) -> None:
    """Refuse an operator's ledger of which nothing is there: its network has one already, which
    must go on from its newest block and from no earlier one."""
    address = parse_address(place)
    if is_there(address):
        return
    if address.server:
        raise StoreError(
            f"{address.name} has no ledger in schema {address.schema}: see that the settings name "
            "the right server, database and schema, or restore the server; do not make another "
            "ledger there, as the network would not be the one of its anchor"
        )
    if exists(f"{address.files}.head"):
        return  # what mends that is said when it is opened
    raise StoreError(
        f"{address.name} does not exist, nor does its .head file: see that the settings name the "
        "right file and that its disk is there; where it was lost, put its newest backup there, if "
        "there is one, and before the node is started run ledgercore node repair SETTINGS, which "
        "takes newer blocks from peers and asks how far the ledger went: to order after an earlier "
        "block is to sign a second history"
    )


async def _open_follower(
    settings: Settings, caller: Caller, log: Log, held: AsyncExitStack
) -> Node:
    channels = open_channels(settings, caller)
    for channel in channels:
        held.push_async_callback(channel.close)
    copy = await open_copy(settings.ledger, channels, caller, log)
    held.callback(copy.close)
    ledger = await run_on_thread(partial(Ledger.open, settings.ledger, read_only=True))
    held.callback(ledger.close)
    operator = settings.operator
    assert operator is not None, "a follower's settings name the operator"
    await run_on_thread(partial(_check_operator, operator, ledger))
    await _check_own_key(settings, ledger, caller, channels)
    node = _node(settings, ledger, caller, log)
    following = Following(node, copy, channels, caller.entropy)
    relay = Relay(node, NodeClient(operator.url, operator.member, caller, RELAYING))
    node.ordering = node.promising = relay
    node.background = [following, relay]
    node.fault = following.fault
    node.look_at_key = lambda: _fault_of(settings, ledger, caller.key)
    return node


def _check_operator(peer: Peer, ledger: Ledger) -> None:
    """Refuse another member's node in the place of the operator's: it would only pass records on,
    and where it marks this one likewise they would go round for ever."""
    key = View(ledger.state).get(key_object(ledger.trust_anchor.operator_key), KeyState)
    if key is not None and key.member != peer.member:
        raise MalformedError(
            f"settings: [[peer]] {peer.member!r} has operator = true, but the network's operator "
            f"is {key.member!r}: say so in the [[peer]] of {key.member!r}, and nowhere else"
        )


def _strangers(settings: Settings, ledger: Ledger) -> list[str]:
    """Peers that are no members, as far as the ledger goes; an operator need not be one."""
    followed = [peer.member for peer in settings.peer if not peer.operator]
    return [each for each in followed if ledger.state(member_object(each)) is None]


def _fault_of(settings: Settings, ledger: Ledger, key: Signer) -> KeyFault | None:
    return key_fault(ledger.state, settings.member, key.public_key, settings.key)


async def _check_own_key(
    settings: Settings, ledger: Ledger, caller: Caller, channels: Sequence[Channel]
) -> None:
    """Refuse a key that is not the member's, where that is sure.

    One that a copy does not know may be new: where peers refuse it, of whom none takes it, it is
    ``UnavailableError``, as they may know it when the node is started again. Where none answers the
    node begins, and is not ready before its copy knows the key.
    """
    fault = await run_on_thread(partial(_fault_of, settings, ledger, caller.key))
    if fault is None or fault.kind == "inactive":
        return
    if fault.kind == "over" or settings.role == "operator":
        raise UntrustedError(fault.reason)
    if refused := await _refusals(channels):
        raise UnavailableError("; ".join([fault.reason, *refused]))


async def _refusals(channels: Sequence[Channel]) -> list[str]:
    """Why peers do not let this key ask; nothing where one of them does, or none says so."""
    answers = await asyncio.gather(
        *(channel.send(ask_checkpoint()) for channel in channels), return_exceptions=True
    )
    refused = []
    for channel, answer in zip(channels, answers, strict=True):
        if isinstance(answer, Response):
            if answer.status == 200:
                return []
            error = refusal_in(answer)
            if isinstance(error, RefusedError):
                refused.append(f"{channel.member} says: {error}")
        elif not isinstance(answer, LedgerError):
            raise answer
    return refused


def _node(settings: Settings, ledger: Ledger, caller: Caller, log: Log) -> Node:
    return Node(
        settings.member,
        ledger,
        log,
        limits=settings.limits,
        clock=caller.clock,
        entropy=caller.entropy,
    )


def _cosigning(settings: Settings, caller: Caller, log: Log) -> dict[str, Channel]:
    """A channel to each peer that cosigns, by its name as a witness of the network."""
    names = [name for name, _ in caller.anchor.witnesses]
    found = {}
    for peer in settings.peer:
        if peer.witness in names:
            found[peer.witness] = Channel(peer.url, peer.member, caller)
        elif peer.witness:
            log.warning(
                "peer is no witness of the network, and is not asked to cosign",
                peer=peer.member,
                witness=peer.witness,
                remedy=f"{_known(caller)}: write one of them into its [[peer]], or none",
            )
    return found


def _known(caller: Caller) -> str:
    names = ", ".join(name for name, _ in caller.anchor.witnesses)
    return f"the anchor's witnesses are {names or 'none'}"


async def _open_witness(
    role: WitnessRole,
    caller: Caller,
    log: Log,
    passphrase: bytes | None,
    held: AsyncExitStack,
) -> Witness:
    key = await run_on_thread(partial(load_signer, role.key, passphrase))
    wanted = dict(caller.anchor.witnesses).get(role.name)
    if wanted != key.public_key:
        remedy = f"{_known(caller)}: take away [witness], or have name and key as they are there"
        if wanted is not None:
            remedy = f"the anchor has key {wanted.hex()} for this name: put that key back"
        log.warning(
            "witness is not in the network's policy, and its cosignatures count for nothing",
            witness=role.name,
            key=key.public_key.hex(),
            remedy=remedy,
        )
    store = await run_on_thread(partial(WitnessStore, role.store))
    held.callback(store.close)
    return Witness(role.name, key, [caller.anchor], store, caller.clock)


async def run_node(
    settings: Settings,
    caller: Caller,
    log: Log,
    *,
    wrap: Wrap | None = None,
    passphrase: bytes | None = None,
) -> None:
    """Run the node until SIGTERM or SIGINT, or until its own disk, writer or a task of it fails.

    Then what is under way is answered first; raises ``StoreError``, ``CorruptError`` where it found
    damage, and ``FencedError`` where another node has taken the ledger over: a start alone mends
    neither of these two.
    Told to stop while it opens, or waits for a peer to begin its copy with, it ends likewise. On
    SIGHUP the key and the certificates are read anew.
    """
    context = server_context(settings.tls)
    _look_at_certificate(context, caller.clock, log)
    with _told() as told:
        node = await _unless(told, open_node(settings, caller, log, passphrase))
        if node is None:
            log.info("stopped")
            return
        host, port = settings.address
        node.metrics.certificate_end.set(context.valid_ms[1] / 1000)
        try:
            await node.start()
            server = NodeServer(node, host, port, context, wrap)
        except BaseException:
            await node.stop()
            raise
        watching = [asyncio.create_task(_stop_when(event, server)) for event in (told, node.failed)]

        def told_to_reload() -> None:
            given = settings, caller, node, server, passphrase
            watching.append(asyncio.create_task(reload(*given)))

        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, told_to_reload)
        try:
            await serve(server, node)
        finally:
            for each in watching:
                each.cancel()
    if node.damaged:
        raise CorruptError(f"ledger of {shown(settings.ledger)} is damaged, says its node's log")
    if node.fenced:
        raise FencedError(
            f"another node has taken {shown(settings.ledger)} over, says this one's log: see which "
            "of the two is to write, and start that one alone"
        )
    if node.failed.is_set():
        raise StoreError(f"node of {shown(settings.ledger)} has failed, see its log: start it anew")


@contextmanager
def _told() -> Iterator[asyncio.Event]:
    """What is set by SIGTERM or SIGINT; SIGHUP does nothing while there is nothing to reload."""
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, lambda: None)  # its default ends the process
    for each in STOP_SIGNALS:
        loop.add_signal_handler(each, told.set)
    try:
        yield told
    finally:
        for each in (signal.SIGHUP, *STOP_SIGNALS):
            loop.remove_signal_handler(each)


async def _unless(told: asyncio.Event, opening: Coroutine[None, None, Node]) -> Node | None:
    """The node, once it is open; none where it was told to stop before."""
    task, waiting = asyncio.create_task(opening), asyncio.create_task(told.wait())
    try:
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for each in (task, waiting):
            each.cancel()
        await asyncio.gather(task, waiting, return_exceptions=True)


async def reload(
    settings: Settings, caller: Caller, node: Node, server: NodeServer, passphrase: bytes | None
) -> None:
    """Read the signing key and the certificates anew, while the node runs; all of them or none.

    What is under way ends as it began. The operator's key is the network's and stays; a follower's
    new one is known to its copy only once that has the block that gives it.
    """
    try:
        key = load_signer(settings.key, passphrase)
        listening, asking = server_context(settings.tls), client_context(settings.tls)
        pinned = pinned_contexts(settings.tls, settings.peer)
        changed, fault = key.public_key != caller.key.public_key, None
        if settings.role == "follower":
            fault = await node.ask(partial(_fault_of, settings, node.ledger, key))
        elif changed:
            raise UntrustedError(f"{settings.key} is another key than the operator's: put it back")
        if changed and fault is not None and fault.kind == "over":
            raise UntrustedError(fault.reason)
    except LedgerError as error:
        node.log.error("not reloaded", error=type(error).__name__, reason=str(error))
        return
    _look_at_certificate(listening, caller.clock, node.log)
    node.metrics.certificate_end.set(listening.valid_ms[1] / 1000)
    caller.key, caller.context, caller.pinned = key, asking, pinned
    server.reload(listening)
    certificate = asking.certificate.hex()[:16]
    node.log.info("reloaded", key=key.public_key.hex()[:16], certificate=certificate)
    if settings.role == "follower":
        node.mind(fault)


def _look_at_certificate(context: Context, clock: Clock, log: Log) -> None:
    """Say that nobody will take the node's certificate, whom others tell of a lost connection."""
    begin_ms, end_ms = context.valid_ms
    if not begin_ms <= clock.now_ms() <= end_ms:
        log.error(
            "own certificate is not valid now",
            certificate=context.certificate.hex()[:16],
            begins_ms=begin_ms,
            ends_ms=end_ms,
            remedy="put a new one in its place and send SIGHUP, or set the clock",
        )


async def _stop_when(event: asyncio.Event, server: NodeServer) -> None:
    await event.wait()
    server.stop()
