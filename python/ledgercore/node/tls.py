"""Set up mutual TLS 1.3: only who has a certificate of the members' authorities is spoken to.

TLS admits to a connection. Who asks is said by the request's warrant, which names the certificate
that it comes with, and whether it may, by the ledger: a certificate alone opens nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl

from ledgercore.disk import read_bytes
from ledgercore.errors import MalformedError
from ledgercore.node.settings import Tls

__all__ = ["Context", "certificate_of", "client_context", "server_context"]

CERTIFICATES_BYTES = 1024 * 1024
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


class Context(ssl.SSLContext):
    """How connections are made, and with which certificate."""

    certificate = b""
    """SHA-256 of one's own certificate in DER, as RFC 8705 section 3.1 has it."""


def certificate_of(transport: asyncio.BaseTransport) -> bytes:
    """The same of the other side's certificate; nothing where there is none."""
    inside = transport.get_extra_info("ssl_object")
    certificate = None if inside is None else inside.getpeercert(binary_form=True)
    return hashlib.sha256(certificate).digest() if certificate else b""


def server_context(tls: Tls) -> Context:
    """For a node that listens: it asks every caller for a certificate."""
    context = Context(ssl.PROTOCOL_TLS_SERVER)
    _load(context, tls)
    context.verify_mode = ssl.CERT_REQUIRED
    # A resumed session skips the certificates, which may have changed since.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    return context


def client_context(tls: Tls) -> Context:
    """For whoever asks a node: it checks the node's certificate and name."""
    context = Context(ssl.PROTOCOL_TLS_CLIENT)
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
    text = read_bytes(tls.certificate, CERTIFICATES_BYTES, "certificates").decode("latin-1")
    begin = text.find(_BEGIN)
    if begin < 0:
        raise MalformedError(f"settings: tls: {tls.certificate} has no {_BEGIN}: want it as PEM")
    own = text[begin : text.index(_END, begin) + len(_END)]
    context.certificate = hashlib.sha256(ssl.PEM_cert_to_DER_cert(own)).digest()
    try:
        context.load_verify_locations(tls.authorities)
    except (OSError, ssl.SSLError) as error:
        raise MalformedError(
            f"settings: tls: cannot use {tls.authorities}: {error}: want certificates as PEM"
        ) from error
