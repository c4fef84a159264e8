"""What is wrong with a node's own certificate or its key is said, and nobody waits for it."""

from __future__ import annotations

import asyncio
import json
import os
import time
from io import StringIO
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from msgspec import structs

from ledgercore import UnavailableError
from ledgercore.demo.authority import Authority
from ledgercore.demo.network import Place, lay_out
from ledgercore.demo.processes import NodeProcess, free_ports
from ledgercore.errors import MalformedError
from ledgercore.node import opening
from ledgercore.node.logs import make_log
from ledgercore.node.node import Node
from ledgercore.node.opening import caller_of, run_node
from ledgercore.node.settings import Tls, load_settings
from ledgercore.node.tls import client_context, server_context

MAKERS = (server_context, client_context)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """The operator's, whose node does not run."""
    members: dict[str, tuple[str, ...]] = {"tax": ("provider",), "bank": ("consumer",)}
    return lay_out(tmp_path / "n", members, free_ports(2), origin="test.example/tls")[0]


def seal(path: Path) -> None:
    """Put the key under a passphrase."""
    key = load_pem_private_key(path.read_bytes(), None)
    sealed = BestAvailableEncryption(b"passphrase")
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed))


def test_a_sealed_key_is_refused_and_no_terminal_asked_for_its_passphrase(tmp_path: Path) -> None:
    tls = Authority(tmp_path).issue("tax")
    seal(Path(tls.key))

    for made in MAKERS:
        with pytest.raises(
            MalformedError,
            match=r"tax.tls.key is sealed with a passphrase, want .* 640 where its owner",
        ):
            made(tls)


def test_a_sealed_key_at_sighup_leaves_the_node_as_it_is(place: Place) -> None:
    process = NodeProcess(place)
    process.start()
    try:
        process.wait()
        with place.client() as client:
            seal(place.directory / "tax.tls.key")
            process.reload()
            until = time.monotonic() + 10
            while "not reloaded" not in process.log.read_text():
                assert time.monotonic() < until, process.log.read_text()
                time.sleep(0.02)
            assert client.ready()
    finally:
        assert process.stop() == 0
    assert "is sealed with a passphrase" in process.log.read_text()


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    tls = Authority(tmp_path).issue("tax")
    Path(tls.key).chmod(0o666)

    for made in MAKERS:
        with pytest.raises(UnavailableError, match=r"is a secret that others .* chmod 600 "):
            made(tls)


def test_a_key_that_root_gives_to_the_group_of_the_node_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Debian's ssl-cert has it: root:ssl-cert, 640."""
    tls = Authority(tmp_path).issue("tax")
    Path(tls.key).chmod(0o640)
    for made in MAKERS:
        with pytest.raises(UnavailableError, match="chmod 600"):
            made(tls)

    monkeypatch.setattr(os, "geteuid", lambda: Path(tls.key).stat().st_uid + 1)

    for made in MAKERS:
        made(tls)


@pytest.mark.parametrize(("days", "valid"), [(-1, False), (1, True)])
def test_a_certificate_that_is_over_is_said_at_start(
    place: Place, monkeypatch: pytest.MonkeyPatch, days: int, valid: bool
) -> None:
    settings = load_settings(place.settings)
    directory = place.directory / "other"
    directory.mkdir()
    tls: Tls = Authority(directory).issue("tax", days=days)
    settings = structs.replace(settings, tls=tls)
    log = StringIO()

    async def no_node(*given: object) -> Node:
        raise MalformedError("enough is seen")

    monkeypatch.setattr(opening, "open_node", no_node)
    with pytest.raises(MalformedError, match="enough"):
        asyncio.run(run_node(settings, caller_of(settings), make_log(log)))

    said = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [line["event"] for line in said] == (
        [] if valid else ["own certificate is not valid now"]
    )
