"""Set up mutual TLS 1.3: only who has a certificate of the members' authorities is spoken to.

TLS admits to a connection. Who asks is said by the request's warrant, which names the certificate
that it comes with, and whether it may, by the ledger: a certificate alone opens nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import ssl
from collections.abc import Iterable

from cryptography import x509

from ledgercore.disk import read_bytes, read_private
from ledgercore.errors import MalformedError
from ledgercore.node.settings import Peer, Tls

__all__ = [
    "Context",
    "certificate_of",
    "client_context",
    "pinned_contexts",
    "server_context",
]

CERTIFICATES_BYTES = 1024 * 1024
_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class _Pinned(ssl.SSLObject):
    """A connection that is made only with one of its context's certificates."""

    def do_handshake(self) -> None:
        super().do_handshake()
        assert isinstance(self.context, Context)
        want = self.context.pinned
        shown = hashlib.sha256(self.getpeercert(binary_form=True) or b"").digest()
        if want and shown not in want:
            raise ssl.SSLCertVerificationError(
                f"certificate is {shown.hex()[:16]}, want one of those that the settings have for "
                "this member: where it has another one now, add that to its peer's certificates"
            )


class Context(ssl.SSLContext):
    """How connections are made, and with which certificate."""

    certificate = b""
    """SHA-256 of one's own certificate in DER, as RFC 8705 section 3.1 has it."""
    valid_ms: tuple[int, int] = (0, 0)
    """When one's own certificate begins and ends, in milliseconds since 1970."""
    pinned: frozenset[bytes] = frozenset()
    """The same of those that the other side may show; empty for any of the authorities'."""
    sslobject_class = _Pinned


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


def client_context(tls: Tls, pinned: Iterable[bytes] = ()) -> Context:
    """For whoever asks a node: it checks the node's certificate and name, and what is pinned."""
    context = Context(ssl.PROTOCOL_TLS_CLIENT)
    context.pinned = frozenset(pinned)
    _load(context, tls)
    return context


def pinned_contexts(tls: Tls, peers: Iterable[Peer]) -> dict[str, Context]:
    """For those members whose certificates the settings say: theirs is checked beside all else."""
    return {
        peer.member: client_context(tls, _certificates_in(peer.certificates))
        for peer in peers
        if peer.certificates
    }


def _certificates_in(path: str) -> list[bytes]:
    """SHA-256 of each certificate of a PEM file, in DER."""
    return [hashlib.sha256(each).digest() for each in _ders_in(path)]


def _ders_in(path: str) -> list[bytes]:
    """The certificates of a PEM file, in DER."""
    text = read_bytes(path, CERTIFICATES_BYTES, "certificates").decode("latin-1")
    found = _CERTIFICATE.findall(text)
    if not found:
        raise MalformedError(f"settings: {path} has no certificate: want it as PEM")
    try:
        return [ssl.PEM_cert_to_DER_cert(each) for each in found]
    except ValueError as error:
        raise MalformedError(f"settings: {path}: {error}: want certificates as PEM") from error


def _load(context: Context, tls: Tls) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    read_private(tls.key)  # refuses what others may read; OpenSSL reads it for itself

    def no_passphrase() -> str:
        # OpenSSL would ask the terminal for it, and all that the node does would wait.
        raise MalformedError(
            f"settings: tls: {tls.key} is sealed with a passphrase, want it without one, with mode "
            "600, or 640 where its owner is another user: openssl pkey -in SEALED -out KEY"
        )

    try:
        context.load_cert_chain(tls.certificate, tls.key, no_passphrase)
    except (OSError, ssl.SSLError) as error:
        raise MalformedError(
            f"settings: tls: cannot use {tls.certificate} with {tls.key}: {error}: want a "
            "certificate and its key as PEM"
        ) from error
    own = _ders_in(tls.certificate)[0]
    context.certificate = hashlib.sha256(own).digest()
    read = x509.load_der_x509_certificate(own)
    begin, end = read.not_valid_before_utc, read.not_valid_after_utc
    context.valid_ms = int(begin.timestamp()) * 1000, int(end.timestamp()) * 1000
    try:
        context.load_verify_locations(tls.authorities)
    except (OSError, ssl.SSLError) as error:
        raise MalformedError(
            f"settings: tls: cannot use {tls.authorities}: {error}: want certificates as PEM"
        ) from error
