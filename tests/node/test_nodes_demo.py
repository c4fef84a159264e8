"""The whole exchange on four node processes: one is killed and comes back, one lies."""

from __future__ import annotations

import base64
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import msgspec
import pytest

from ledgercore import InvalidSignature, Ledger, parse_anchor
from ledgercore.clock import SystemClock
from ledgercore.demo.firms import generate_firms, generated_mapping
from ledgercore.demo.nodes import NodesStage
from ledgercore.demo.processes import NodeProcess
from ledgercore.entropy import SystemEntropy
from ledgercore.exchange import verify_pack
from ledgercore.ledger.transfer import decode_transfer
from ledgercore.sync.messages import decode_frames
from tests.node.network import command


def test_the_exchange_runs_on_four_nodes_with_one_killed_and_one_lying(tmp_path: Path) -> None:
    directory = tmp_path / "demo"

    told = command("demo", "--nodes", 4, "--firms", 20, "--directory", directory)

    assert (told["nodes"], told["accepted"], told["rejected"]) == (4, 20, [])
    assert told["completed"] >= 12
    assert told["refusals"]["E_CONSENT_STATE"] >= 1
    killed, liar = told["killed"], told["liar"]
    assert killed["rejoined_at_height"] > killed["at_height"] > 0
    assert (killed["node"], liar["node"]) == ("bank", "enterprises")
    assert "regulator" in {each["by"] for each in liar["found_out"]}
    copies = sorted((directory / "nodes").glob("*/*.ledger"))
    assert len(copies) == 4
    roots = set()
    for path in copies:
        with Ledger.open(path, read_only=True) as ledger:
            ledger.verify()
            roots.add(ledger.checkpoint)
    assert len(roots) == 1  # also the liar's own copy is honest
    anchor = parse_anchor((directory / "anchor.toml").read_text())
    for pack in told["packs"]:
        assert verify_pack(Path(pack).read_bytes(), anchor)
    check_evidence(Path(liar["found_out"][0]["evidence"]))


def test_an_interrupt_while_the_nodes_become_ready_leaves_none_running(tmp_path: Path) -> None:
    begun, start = [], NodeProcess.start

    def started(process: NodeProcess, *given: str) -> None:
        start(process, *given)
        begun.append(process)

    entropy = SystemEntropy()
    given = (generate_firms(1, entropy), generated_mapping().approval.scorecard(), SystemClock())
    with (
        mock.patch.multiple(
            NodeProcess, start=started, wait=mock.Mock(side_effect=KeyboardInterrupt)
        ),
        pytest.raises(KeyboardInterrupt),
    ):
        NodesStage(tmp_path, *given, entropy)

    assert len({process.id for process in begun}) == 4
    assert not any(process.runs for process in begun)


STARTER = """
import sys
from pathlib import Path
from threading import Event

from ledgercore.demo.network import lay_out
from ledgercore.demo.processes import NodeProcess, free_ports

members = {"tax": ("provider",), "bank": ("consumer",)}
place, _ = lay_out(Path(sys.argv[1]), members, free_ports(2), origin="test.example/left")
process = NodeProcess(place)
process.start(sys.argv[2])
if sys.argv[2] == "ledgercore":
    process.wait()
print(process.id, flush=True)
Event().wait()
"""


@pytest.mark.parametrize("module", ["ledgercore", "tests.node.slow_start"])
def test_a_node_ends_with_whoever_started_it_and_was_killed(tmp_path: Path, module: str) -> None:
    """Killed with ``kill -9``, which lets nobody stop what it has started."""
    command = [sys.executable, "-c", STARTER, str(tmp_path / "nodes"), module]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        node = os.pidfd_open(int(starter.stdout.readline()))
        try:
            starter.kill()

            ended, _, _ = select.select([node], [], [], 30)
        finally:
            if not select.select([node], [], [], 0)[0]:
                signal.pidfd_send_signal(node, signal.SIGKILL)
            os.close(node)
    assert ended


def check_evidence(path: Path) -> None:
    """What was kept shows by itself that the answer does not hold."""
    kept = msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    answer = base64.b64decode(kept["answer"])
    assert (kept["peer"], kept["offence"]) == ("enterprises", "wrong-block")
    blocks = decode_frames(answer, 1024)
    with pytest.raises(InvalidSignature):
        for block in blocks:
            decode_transfer(block)[2].verify(bytes(32))
