"""A server on another host: over TLS with a password, through failover, and when a host is gone."""

from __future__ import annotations

import datetime
import ipaddress
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from ledgercore import BusyError, Ledger, SigningKey, StoreError
from tests.postgres import Server, as_owner, running_server

KEY = SigningKey(bytes([4]) * 32)
ORIGIN = "network.example/log"
PORT = 54_329


def write_certificate(directory: Path, host: str) -> None:
    """A key, and a certificate for one address that signs itself."""
    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), False
        )
        .sign(key, hashes.SHA256())
    )
    (directory / "server.crt").write_bytes(certificate.public_bytes(Encoding.PEM))
    path = directory / "server.key"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    if as_owner():
        shutil.chown(path, "postgres", "postgres")


@contextmanager
def network_server(host: str) -> Iterator[Server]:
    """A server that takes connections over TLS and with a password only."""
    with running_server() as server:
        server.execute("ALTER ROLE ledger PASSWORD 'a secret'")
        write_certificate(server.data, host)
        rules = server.data / "pg_hba.conf"
        rules.write_text("local all all trust\nhostssl all all 0.0.0.0/0 scram-sha-256\n")
        server.stop()
        server.start(listen_addresses=host, port=str(PORT), ssl="on")
        yield server


def address(host: str, directory: Path, certificate: Path, **parameters: str) -> str:
    more = "".join(f"&{name}={value}" for name, value in parameters.items())
    return (
        f"postgresql://ledger@{host}:{PORT}/postgres?directory={directory}"
        f"&sslmode=verify-full&sslrootcert={certificate}{more}"
    )


def test_a_ledger_is_kept_over_tls_with_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords = tmp_path / "pgpass"
    passwords.write_text(f"127.0.0.1:{PORT}:*:ledger:a secret\n")
    passwords.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    other = tmp_path / "other"
    other.mkdir()
    write_certificate(other, "127.0.0.1")
    with network_server("127.0.0.1") as server:
        place = address("127.0.0.1", tmp_path, server.data / "server.crt")
        with Ledger.create(place, origin=ORIGIN, key=KEY) as ledger:
            ledger.append(b"over the network")
            ledger.verify()
        with pytest.raises(StoreError, match="certificate verify failed"):
            Ledger.open(address("127.0.0.1", tmp_path, other / "server.crt"), key=KEY)
        passwords.write_text(f"127.0.0.1:{PORT}:*:ledger:another\n")
        with pytest.raises(StoreError, match="password authentication failed") as caught:
            Ledger.open(place, key=KEY)
        assert "another" not in str(caught.value)


# A host of its own: a network namespace, joined to this one by a cable that can be pulled.

HERE, THERE = "10.213.77.1", "10.213.77.2"
NAMESPACE, CABLE = "ledgercore-there", "lc-here"

WRITER = """
import sys
from ledgercore import Ledger, LedgerError, SigningKey
from ledgercore.store import session
faster = {
    "tcp_keepalives_idle": "1",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "2",
    "tcp_user_timeout": "3s",
}
session._SESSION = tuple((name, faster.get(name, value)) for name, value in session._SESSION)
with Ledger.open(sys.argv[1], key=SigningKey(bytes([4]) * 32)) as ledger:
    for line in sys.stdin:
        try:
            print(ledger.append(line.encode()).index, flush=True)
        except LedgerError as error:
            print(type(error).__name__, flush=True)
"""


def ip(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=check)


@pytest.fixture
def other_host() -> Iterator[list[str]]:
    """What a command begins with that runs on the other host."""
    if shutil.which("ip") is None or ip("netns", "add", NAMESPACE, check=False).returncode:
        pytest.skip("no network namespace here: run as root, with iproute2")
    try:
        ip("link", "add", CABLE, "type", "veth", "peer", "name", "lc-there")
        ip("link", "set", "lc-there", "netns", NAMESPACE)
        ip("addr", "add", f"{HERE}/30", "dev", CABLE)
        ip("link", "set", CABLE, "up")
        ip("-n", NAMESPACE, "addr", "add", f"{THERE}/30", "dev", "lc-there")
        ip("-n", NAMESPACE, "link", "set", "lc-there", "up")
        yield ["ip", "netns", "exec", NAMESPACE]
    finally:
        ip("link", "del", CABLE, check=False)
        ip("netns", "del", NAMESPACE)


def test_a_writer_whose_host_is_gone_lets_the_next_one_in(
    other_host: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cable is pulled, a new writer takes over, the cable is back: the old one is fenced.

    The server is told to notice after three seconds; as shipped it takes half a minute.
    """
    monkeypatch.setenv("PGPASSWORD", "a secret")
    with network_server(HERE) as server:
        certificate = server.data / "server.crt"
        here = address(HERE, tmp_path / "here", certificate)
        there = address(HERE, tmp_path / "there", certificate)
        Ledger.create(here, origin=ORIGIN, key=KEY).close()
        old = subprocess.Popen(
            [*other_host, sys.executable, "-c", WRITER, there],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert old.stdin is not None and old.stdout is not None
        print("first", file=old.stdin, flush=True)
        assert old.stdout.readline() == "1\n"
        ip("link", "set", CABLE, "down")
        begin = time.monotonic()
        with pytest.raises(BusyError):
            Ledger.open(here, key=KEY)
        while True:
            try:
                new = Ledger.open(here, key=KEY)
                break
            except BusyError:
                assert time.monotonic() - begin < 60
        seconds = time.monotonic() - begin
        with new:
            new.append(b"meanwhile")
            ip("link", "set", CABLE, "up")
            answers = old.communicate("second\nthird\n", timeout=60)[0].split()
        with Ledger.open(here, read_only=True) as ledger:
            assert [record.body for record in ledger.records(1)] == [b"first\n", b"meanwhile"]
    print(f"\na host that was gone let the next writer in after {seconds:.1f} s")
    assert answers[0] in ("FencedError", "BusyError", "StoreError")
    assert all(not answer.isdigit() for answer in answers)
