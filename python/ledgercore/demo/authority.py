"""Issue the TLS certificates of a demonstration or a test, as the members' authority would.

Certificates are for this machine only and are valid for a month: enough to try things, and never
for a network that matters, whose authority keeps its key elsewhere.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ledgercore.clock import Clock, SystemClock
from ledgercore.disk import write_new
from ledgercore.node.settings import Tls

__all__ = ["Authority"]

DAYS = 30
_USES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


class Authority:
    """One authority, and a directory with its certificate and those that it issues."""

    def __init__(
        self, directory: Path, name: str = "authority", clock: Clock | None = None
    ) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        self._now = datetime.fromtimestamp((clock or SystemClock()).now_ms() / 1000, UTC)
        self.path = directory / f"{name}.crt"
        public, uses = self._key.public_key(), ("key_cert_sign", "crl_sign")
        built = (
            self._begin(self._name, DAYS)
            .public_key(public)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.KeyUsage(**{use: use in uses for use in _USES}), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        )
        self._write(self.path, built)

    def issue(
        self,
        name: str,
        *,
        days: int = DAYS,
        address: str = "127.0.0.1",
        directory: Path | None = None,
    ) -> Tls:
        """A member's certificate for an address and ``localhost``, and its key, in files."""
        directory = directory or self._directory
        key = ec.generate_private_key(ec.SECP256R1())
        at = [x509.DNSName("localhost"), x509.IPAddress(ip_address(address))]
        uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        built = (
            self._begin(_named(name), days)
            .public_key(key.public_key())
            .add_extension(x509.SubjectAlternativeName(at), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .add_extension(issuer, critical=False)
        )
        certificate, private = directory / f"{name}.crt", directory / f"{name}.tls.key"
        self._write(certificate, built)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_new(private, pem, owner_only=True)
        return Tls(certificate=str(certificate), key=str(private), authorities=str(self.path))

    def _begin(self, name: x509.Name, days: int) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - timedelta(days=3))
            .not_valid_after(self._now + timedelta(days=days))
        )

    def _write(self, path: Path, built: x509.CertificateBuilder) -> None:
        certificate = built.sign(self._key, hashes.SHA256())
        write_new(path, certificate.public_bytes(Encoding.PEM))


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
