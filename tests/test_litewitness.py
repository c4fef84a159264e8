"""An independent witness program and ours answer alike, and it cosigns what we publish.

The program is litewitness of filippo.io/torchwood, a C2SP tlog-witness. It is built here, through
the Go module proxy, where there is a Go toolchain; elsewhere these tests are skipped.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from ledgercore import Ledger, SigningKey, UnavailableError
from ledgercore._core import Anchor, format_verifier_key
from ledgercore.clock import SystemClock
from ledgercore.records import Witness as WitnessEntry
from ledgercore.store import WitnessStore
from ledgercore.sync import Publisher, Request, Response, Witness, publish
from ledgercore.sync.messages import ask_cosignature
from tests.histories import NETWORK, OPERATOR, ORIGIN, History, anchor

PROGRAM = "filippo.io/torchwood/cmd/litewitness@v0.9.0"
NAME = "lite.example/witness"
SEED = bytes([7]) * 32


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    if go is None:
        pytest.skip("no Go toolchain here: litewitness cannot be built")
    if shutil.which("ssh-agent") is None or shutil.which("ssh-add") is None:
        pytest.skip("no ssh-agent here: litewitness takes its key from one")
    directory = tmp_path_factory.mktemp("go")
    built = subprocess.run(
        [go, "install", PROGRAM],
        env={**os.environ, "GOBIN": str(directory)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if built.returncode:
        pytest.skip(f"litewitness cannot be built here: {built.stderr.strip()[-200:]}")
    return directory / "litewitness"


class LiteWitness:
    """The program, started on a free port, with its key in an agent of its own."""

    def __init__(self, program: Path, directory: Path) -> None:
        self.key = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw()
        self.database = directory / "lite.db"
        self._processes: list[subprocess.Popen[bytes]] = []
        socket = directory / "agent.sock"
        self._start(["ssh-agent", "-D", "-a", str(socket)], directory)
        _wait_for(socket.exists)
        fingerprint = self._add_key(directory, socket)
        self.port = _free_port()
        command = [str(program), "-name", NAME, "-key", fingerprint, "-ssh-agent", str(socket)]
        command += ["-listen", f"127.0.0.1:{self.port}", "-db", str(self.database)]
        self._start(command, directory)
        _wait_for(self._answers)

    def _start(self, command: list[str], directory: Path) -> None:
        with (directory / f"{Path(command[0]).name}.log").open("wb") as log:
            self._processes.append(subprocess.Popen(command, stdout=log, stderr=log))

    def _add_key(self, directory: Path, socket: Path) -> str:
        private = Ed25519PrivateKey.from_private_bytes(SEED)
        file = directory / "key"
        file.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
        file.chmod(0o600)
        environment = {**os.environ, "SSH_AUTH_SOCK": str(socket)}
        subprocess.run(["ssh-add", str(file)], env=environment, check=True, capture_output=True)
        public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        (directory / "key.pub").write_bytes(public + b"\n")
        told = subprocess.run(
            ["ssh-keygen", "-lf", str(directory / "key.pub")], check=True, capture_output=True
        )
        return told.stdout.decode().split()[1]

    def _answers(self) -> bool:
        try:
            return self.post(b"").status == 400
        except OSError:
            return False

    def register(self, watched: Anchor) -> None:
        empty = b64encode(hashlib.sha256().digest()).decode()
        with sqlite3.connect(self.database) as database:
            database.execute("INSERT INTO log VALUES (?, 0, ?)", (watched.origin, empty))
            key = format_verifier_key(watched.origin, watched.operator_key)
            database.execute("INSERT INTO key VALUES (?, ?)", (watched.origin, key))
        database.close()

    def post(self, body: bytes) -> Response:
        url = f"http://127.0.0.1:{self.port}/add-checkpoint"
        request = urllib.request.Request(url, data=body, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return Response(answer.status, answer.read(), answer.headers["Content-Type"] or "")
        except urllib.error.HTTPError as error:
            with error:
                return Response(error.code, error.read(), error.headers["Content-Type"] or "")

    def close(self) -> None:
        for process in reversed(self._processes):
            process.kill()  # a graceful end waits for connections that nobody closes
            process.wait(10)


def _free_port() -> int:
    import socket

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def _wait_for(holds: object, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def lite(program: Path, tmp_path: Path) -> Iterator[LiteWitness]:
    lite = LiteWitness(program, tmp_path)
    yield lite
    lite.close()


def test_both_witnesses_answer_alike(lite: LiteWitness, tmp_path: Path) -> None:
    history, fork = History("c2sp"), History("c2sp", parts_at=5, branch=1)
    watched = anchor("c2sp")
    lite.register(watched)
    store = WitnessStore.create(tmp_path / "ours")
    ours = Witness("ours.example", SigningKey(SEED), [watched], store, SystemClock())
    unsigned = history.note(9).replace("\n9\n", "\n10\n")
    unknown = history.note(9).replace(ORIGIN, "other.example")

    def asked(of: History, old: int, new: int, proof_of: tuple[int, int] | None = None) -> bytes:
        proof = of.proof(*(proof_of or (old, new)))
        return ask_cosignature(old, proof, of.note(new)).body

    bodies = {
        "the first": asked(history, 0, 8),
        "stale": asked(history, 0, 9, (0, 0)),
        "stale, with a proof": asked(history, 3, 9),
        "the same again": asked(history, 8, 8),
        "another proof": asked(history, 8, 9, (7, 9)),
        "another history": asked(fork, 8, 9),
        "another root": asked(fork, 8, 8),
        "backwards": asked(history, 4, 3, (0, 3)),
        "smaller": asked(history, 3, 7),
        "not signed": ask_cosignature(8, [], unsigned).body,
        "unknown": ask_cosignature(0, [], unknown).body,
        "no size": b"old\n\n" + history.note(9).encode(),
        "no proof line": b"old 8\nAAAA\n\n" + history.note(9).encode(),
        "nothing": b"",
        "the next": asked(history, 8, 9),
        "much later": asked(history, 9, 200),
    }
    for name, body in bodies.items():
        theirs, mine = lite.post(body), ours.add_checkpoint(body)
        assert theirs.status == mine.status, (name, theirs, mine)
        if mine.status == 409:
            assert theirs.body == mine.body and theirs.content_type == mine.content_type, name
    store.close()


def test_receipts_verify_with_the_cosignatures_of_an_independent_witness(
    lite: LiteWitness, tmp_path: Path
) -> None:
    suite = "c2sp"
    entries = [WitnessEntry(NAME, lite.key)]
    with Ledger.create(
        tmp_path / "a.ledger", origin="cosigned.example", suite=suite, witnesses=entries, quorum=1
    ) as ledger:
        lite.register(ledger.trust_anchor)
        publisher = Publisher(ledger)

        def carry(peer: str, request: Request) -> Response:
            assert peer == NAME
            return lite.post(request.body)

        for number in range(5):
            ledger.append_many([b"payload %d %d" % (number, at) for at in range(number + 1)])
            publish(publisher, carry)
            receipt = ledger.receipt(ledger.size - 1)
            receipt.verify(b"payload %d %d" % (number, number), ledger.trust_anchor)
        # One that knows nothing of what the witness cosigned learns it from its answer.
        ledger.append(b"last")
        publish(Publisher(ledger), carry)
        # And an operator that goes on from elsewhere is not cosigned.
        with Ledger.create(
            tmp_path / "b.ledger",
            origin="cosigned.example",
            suite=suite,
            witnesses=entries,
            quorum=1,
            key=_key_of(tmp_path / "a.ledger.key"),
        ) as other:
            other.append_many([b"%d" % at for at in range(50)])
            with pytest.raises(UnavailableError, match="not cosigned by the quorum"):
                publish(Publisher(other), carry)


def _key_of(path: Path) -> SigningKey:
    from ledgercore.keyfile import load_key

    return load_key(path)


def test_the_operator_of_these_histories_is_the_anchors() -> None:
    assert anchor().operator_key == OPERATOR.public_key and anchor().network == NETWORK
