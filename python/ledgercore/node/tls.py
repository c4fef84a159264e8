"""Set up mutual TLS 1.3: only who has a certificate of the members' authorities is spoken to.

TLS admits to a connection. Who asks is said by the request's warrant, and whether it may, by the
ledger: a certificate alone opens nothing.
"""

from __future__ import annotations

import ssl

from ledgercore.errors import MalformedError
from ledgercore.node.settings import Tls

__all__ = ["Context", "client_context", "server_context"]

Context = ssl.SSLContext


def server_context(tls: Tls) -> Context:
    """For a node that listens: it asks every caller for a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, tls)
    context.verify_mode = ssl.CERT_REQUIRED
    # A resumed session skips the certificates, which may have changed since.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    return context


def client_context(tls: Tls) -> Context:
    """For whoever asks a node: it checks the node's certificate and name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _load(context, tls)
    return context


def _load(context: Context, tls: Tls) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(tls.certificate, tls.key)
    except (OSError, ssl.SSLError) as error:
        raise MalformedError(
            f"settings: tls: cannot use {tls.certificate} with {tls.key}: {error}: want a "
            "certificate and its key as PEM"
        ) from error
    try:
        context.load_verify_locations(tls.authorities)
    except (OSError, ssl.SSLError) as error:
        raise MalformedError(
            f"settings: tls: cannot use {tls.authorities}: {error}: want certificates as PEM"
        ) from error
