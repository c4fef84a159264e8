"""Open a node from its settings: the operator's over its ledger, a member's over its copy."""

from __future__ import annotations

import asyncio
import signal
from functools import partial

from ledgercore.anchor import parse_anchor
from ledgercore.clock import Clock, SystemClock
from ledgercore.disk import read_bytes
from ledgercore.entropy import Entropy, SystemEntropy
from ledgercore.errors import LedgerError, StoreError, UntrustedError
from ledgercore.keys import Signer, load_signer
from ledgercore.ledger import Ledger
from ledgercore.node.channel import Caller, Channel
from ledgercore.node.client import NodeClient, Patience
from ledgercore.node.following import Following, Relay, open_copy
from ledgercore.node.logs import Log
from ledgercore.node.node import Node
from ledgercore.node.publishing import Publishing
from ledgercore.node.server import NodeServer, Wrap, serve
from ledgercore.node.settings import Settings
from ledgercore.node.tls import client_context, pinned_contexts, server_context
from ledgercore.rules import KeyState, key_object
from ledgercore.rules.view import decode_state
from ledgercore.store import WitnessStore
from ledgercore.sync.witness import Witness

__all__ = ["caller_of", "open_channels", "open_node", "renew", "run_node"]

ANCHOR_BYTES = 64 * 1024

RELAYING = Patience(attempts=4, answer_ms=20_000)
"""How long a follower tries to reach the operator before it says that it cannot."""


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


async def open_node(settings: Settings, caller: Caller, log: Log) -> Node:
    """The node, not started yet; a follower's copy is begun with a peer's genesis."""
    if settings.role == "operator":
        return await _open_operator(settings, caller, log)
    channels = open_channels(settings, caller)
    copy = await open_copy(settings.ledger, channels, caller)
    try:
        ledger = await asyncio.to_thread(Ledger.open, settings.ledger, read_only=True)
    except BaseException:
        copy.close()
        raise
    node = _node(settings, ledger, caller, log)
    operator = settings.operator
    assert operator is not None, "a follower's settings name the operator"
    following = Following(node, copy, channels, caller.entropy)
    relay = Relay(node, NodeClient(operator.url, operator.member, caller, RELAYING))
    node.ordering = relay
    node.background = [following, relay]
    node.ready = lambda: following.caught_up and not node.failed.is_set()
    return node


async def _open_operator(settings: Settings, caller: Caller, log: Log) -> Node:
    opening = partial(
        Ledger.open, settings.ledger, key=caller.key, clock=caller.clock, entropy=caller.entropy
    )
    ledger = await asyncio.to_thread(opening)
    try:
        if ledger.trust_anchor != caller.anchor:
            raise UntrustedError(
                f"{settings.ledger} is not of the network of {settings.anchor}: give its own anchor"
            )
        _check_member(settings, ledger, caller.key)
    except BaseException:
        ledger.close()
        raise
    node = _node(settings, ledger, caller, log)
    cosigning = {
        peer.witness: Channel(peer.url, peer.member, caller)
        for peer in settings.peer
        if peer.witness
    }
    if ledger.trust_anchor.witnesses:
        node.background = [Publishing(node, cosigning)]
    return node


def _check_member(settings: Settings, ledger: Ledger, key: Signer) -> None:
    """What is signed for this node is signed for its member: that must be whose key it has."""
    data = ledger.state(key_object(key.public_key))
    member = "" if data is None else decode_state(data, KeyState).member
    if member != settings.member:
        raise UntrustedError(
            f"settings: member is {settings.member!r}, but {settings.key} is the key of "
            f"{member or 'no member'!r}"
        )


def _node(settings: Settings, ledger: Ledger, caller: Caller, log: Log) -> Node:
    node = Node(
        settings.member,
        ledger,
        log,
        limits=settings.limits,
        clock=caller.clock,
        entropy=caller.entropy,
    )
    role = settings.witness
    if role is not None:
        store = WitnessStore(role.store)
        key = load_signer(role.key)
        node.witness = Witness(role.name, key, [caller.anchor], store, caller.clock)
    return node


async def run_node(
    settings: Settings,
    caller: Caller,
    log: Log,
    *,
    wrap: Wrap | None = None,
    passphrase: bytes | None = None,
) -> None:
    """Run the node until SIGTERM or SIGINT, or until its own disk or a task of it fails.

    On SIGHUP the key and the certificates are read anew.
    """
    context = server_context(settings.tls)
    node = await open_node(settings, caller, log)
    await node.start()
    host, port = settings.address
    server = NodeServer(node, host, port, context, wrap)
    watching = asyncio.create_task(_stop_when(node.failed, server))
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, renew, settings, caller, server, log, passphrase)
    try:
        await serve(server, node)
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        watching.cancel()
    if node.failed.is_set():
        raise StoreError(f"node of {settings.ledger} has failed, see its log: start it anew")


def renew(
    settings: Settings, caller: Caller, server: NodeServer, log: Log, passphrase: bytes | None
) -> None:
    """Read the signing key and the certificates anew, while the node runs; all of them or none.

    What is under way ends as it began. The operator's key is the network's and stays.
    """
    try:
        key = load_signer(settings.key, passphrase)
        listening, asking = server_context(settings.tls), client_context(settings.tls)
        pinned = pinned_contexts(settings.tls, settings.peer)
        if settings.role == "operator" and key.public_key != caller.key.public_key:
            raise UntrustedError(f"{settings.key} is another key than the operator's: put it back")
    except LedgerError as error:
        log.error("not renewed", error=type(error).__name__, reason=str(error))
        return
    caller.key, caller.context, caller.pinned = key, asking, pinned
    server.renew(listening)
    log.info("renewed", key=key.public_key.hex()[:16], certificate=asking.certificate.hex()[:16])


async def _stop_when(failed: asyncio.Event, server: NodeServer) -> None:
    await failed.wait()
    server.stop()
