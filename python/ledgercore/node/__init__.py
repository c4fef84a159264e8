"""Serve one member's ledger or copy to other members, and ask theirs.

Needs the extra ``node``. A node is a ``Node`` over an open ledger, an ASGI application made of it
with ``make_app``, and a server; ``NodeClient`` and ``BlockingClient`` ask one and verify what it
answers. ``ledgercore node`` does all of it from a settings file.
"""

from ledgercore.node.app import make_app
from ledgercore.node.blocking import BlockingClient
from ledgercore.node.channel import Caller
from ledgercore.node.client import NodeClient, Patience
from ledgercore.node.limits import Limits
from ledgercore.node.logs import make_log
from ledgercore.node.node import Node
from ledgercore.node.opening import caller_of, open_node, run_node
from ledgercore.node.server import NodeServer, serve
from ledgercore.node.settings import Settings, load_settings
from ledgercore.node.tls import client_context, server_context

__all__ = [
    "BlockingClient",
    "Caller",
    "Limits",
    "Node",
    "NodeClient",
    "NodeServer",
    "Patience",
    "Settings",
    "caller_of",
    "client_context",
    "load_settings",
    "make_app",
    "make_log",
    "open_node",
    "run_node",
    "serve",
    "server_context",
]
