"""An operator's node whose writer has stopped for good ends, so that a service manager may act."""

from __future__ import annotations

import asyncio
import configparser
import io
from pathlib import Path

import pytest

from ledgercore import CorruptError, Ledger, LedgerError, StoreError, UnavailableError
from ledgercore.cli import exit_code
from ledgercore.demo.network import lay_out
from ledgercore.demo.processes import free_ports
from ledgercore.node.client import NodeClient, Patience
from ledgercore.node.logs import make_log
from ledgercore.node.opening import caller_of, run_node
from ledgercore.node.settings import load_settings
from tests.conftest import REPOSITORY


@pytest.mark.parametrize(
    ("kind", "told"),
    [(StoreError, "cannot use its store now"), (CorruptError, "node has found damage")],
)
def test_a_node_whose_writer_has_stopped_ends_when_it_has_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[LedgerError], told: str
) -> None:
    members: dict[str, tuple[str, ...]] = {"tax": ("provider",), "bank": ("consumer",)}
    place = lay_out(tmp_path / "n", members, free_ports(2), origin="test.example/stopped")[0]
    settings, log = load_settings(place.settings), io.StringIO()
    caller = caller_of(settings)
    url = f"https://localhost:{settings.address[1]}"

    def stopped(self: Ledger, records: object) -> None:
        raise kind("writer has stopped")

    async def act() -> None:
        running = asyncio.create_task(run_node(settings, caller, make_log(log)))
        async with asyncio.timeout(30):
            async with NodeClient(url, "tax", caller, Patience(attempts=40)) as client:
                assert await client.checkpoint()
            async with NodeClient(url, "tax", caller, Patience(attempts=1)) as client:
                with pytest.raises(UnavailableError, match=told):
                    await client.submit_many([b"any"])
            with pytest.raises(kind) as ended:
                await running
        assert "log" in str(ended.value) and "writer has stopped" in log.getvalue()
        if kind is CorruptError:
            assert "ledgercore node repair" in ended.value.__notes__[0]

    monkeypatch.setattr(Ledger, "submit_many", stopped)
    asyncio.run(act())


def test_the_service_starts_a_node_anew_but_not_after_damage() -> None:
    """A start mends what a failed flush has left, and would fail of damage again and again."""
    unit = configparser.RawConfigParser()
    unit.read(REPOSITORY / "examples" / "ledgercore-node.service")
    service = dict(unit["Service"])

    prevented = {int(each) for each in service["restartpreventexitstatus"].split()}

    assert service["restart"] == "on-failure"
    assert exit_code(CorruptError("damaged")) in prevented
    assert exit_code(StoreError("failed")) not in prevented
