"""Members' nodes cosign the operator's checkpoints, and copies wait for the quorum."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import pytest

from ledgercore import Checkpoint, UntrustedError, parse_anchor
from ledgercore.demo.authority import Authority
from ledgercore.demo.network import Place
from ledgercore.demo.processes import NodeProcess, free_ports
from ledgercore.node.blocking import BlockingClient
from ledgercore.node.client import Patience
from tests.node.network import command
from tests.node.test_network import key_of, signed

NAMES = ("tax", "bank", "regulator")
WITNESSES = NAMES[1:]


def found(directory: Path) -> list[NodeProcess]:
    """A network whose two followers are witnesses, both of which must cosign."""
    authority = Authority(directory)
    ports = dict(zip(NAMES, free_ports(3), strict=True))
    tables = ["quorum = 2\n"]
    for name in WITNESSES:
        home, listen = directory / name, f"127.0.0.1:{ports[name]}"
        tables.append(command("node", "init", home, "--member", name, "--listen", listen)["table"])
        text = (home / "node.toml").read_text().split("\n[[peer]]")[0]
        for peer in NAMES:
            if peer != name:
                text += f'\n[[peer]]\nmember = "{peer}"\nurl = "https://localhost:{ports[peer]}"\n'
                text += "operator = true\n" if peer == "tax" else ""
        text += f'\n[witness]\nname = "{name}.example"\nkey = "w.key"\nstore = "w.store"\n'
        (home / "node.toml").write_text(text)
        tables.append(command("node", "witness", home / "node.toml")["table"])
    (directory / "members.toml").write_text("\n".join(tables))
    command(
        *("node", "init", directory / "tax", "--member", "tax"),
        *("--listen", f"127.0.0.1:{ports['tax']}", "--origin", "test.example/witnessed"),
        *("--members", directory / "members.toml"),
    )
    settings = directory / "tax" / "node.toml"
    text = settings.read_text()
    for name in WITNESSES:
        text += f'\n[[peer]]\nmember = "{name}"\nurl = "https://localhost:{ports[name]}"\n'
        text += f'witness = "{name}.example"\n'
    settings.write_text(text)
    anchor = (directory / "tax" / "anchor.toml").read_text()
    for name in NAMES:
        authority.issue(name, directory=directory / name)
        (directory / name / "authority.crt").write_bytes(authority.path.read_bytes())
        (directory / name / "anchor.toml").write_text(anchor)
    return [
        NodeProcess(Place(name, directory / name, ports[name], parse_anchor(anchor), "localhost"))
        for name in NAMES
    ]


def cosigned(client: BlockingClient, size: int) -> str:
    """The node's checkpoint of at least this size, once the quorum has cosigned it."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with suppress(UntrustedError):
            note = client.checkpoint()
            if Checkpoint.parse(note).size >= size:
                return note
        time.sleep(0.05)
    raise AssertionError(f"no checkpoint of size {size} was cosigned")


def test_checkpoints_are_published_when_the_quorum_has_cosigned(tmp_path: Path) -> None:
    processes = found(tmp_path)
    tax, bank, regulator = processes
    try:
        for process in processes:
            process.start()
        for process in processes:
            process.wait()
        with bank.place.client(Patience(attempts=1)) as client:
            cosigned(client, 1)
            assert client.submit_many(signed(client, key_of(bank), 10)) == list(range(1, 11))
            note = cosigned(client, 11)
            regulator.kill()
            # Without the second witness the records are durable, and no quorum is shown for them.
            records = signed(client, key_of(bank), 5)
            with tax.place.client(Patience(attempts=1)) as at_tax:
                for index, record in enumerate(records, 11):  # a block each
                    assert at_tax.submit_many([record]) == [index]
                time.sleep(1)
                assert Checkpoint.parse(at_tax.checkpoint()).size == 11
                with pytest.raises(UntrustedError, match="witnesses, want 2"):
                    at_tax.receipt(11)
            regulator.start()
            regulator.wait()
            cosigned(client, 16)
            # The witnesses cosigned the last of those blocks, which shows the records of all.
            for index, record in enumerate(records, 11):
                assert client.receipt(index)[1].encode() == record
    finally:
        for process in processes:
            if process.runs:
                process.stop()
    assert parse_anchor((tmp_path / "bank/anchor.toml").read_text()).verify_checkpoint(note)
