"""What is in records is in no log and no figure; and the document says what is served."""

from __future__ import annotations

import asyncio
import json
import secrets
from pathlib import Path

import pytest

from ledgercore import Ledger, LedgerError, testing
from ledgercore.node.guard import OPEN
from ledgercore.node.limits import Limits
from ledgercore.node.openapi import document
from ledgercore.node.routes import ROUTES
from tests.node.network import network
from tests.node.running import running
from tests.node.test_network import key_of, signed

PLANTED = 200


def test_planted_contents_are_in_no_log_and_no_figure(tmp_path: Path) -> None:
    """Contents come in good records and in bad ones, in paths, queries, headers and bodies."""

    async def act() -> tuple[list[str], str]:
        async with running(tmp_path) as there, there.client(0) as client:
            planted = [f"planted-{secrets.token_hex(8)}" for _ in range(PLANTED)]
            anchor, key = client.anchor, testing.signing_key(0)
            bodies = [text.encode() for text in planted]
            batch = key.sign_batch(
                "std", anchor.network, "data", bodies, sequence=0, previous=bytes(32)
            )
            records = [batch[at].encode() for at in range(PLANTED)]
            await client.submit_many(records[:150])
            for record in records[150:180]:
                with pytest.raises(LedgerError):
                    await client.submit_many([record[:-1]])
                with pytest.raises(LedgerError):
                    await client.submit_many([record[:-1] + bytes([record[-1] ^ 1])])
            for text in planted[180:]:
                for path in (
                    f"/v1/{text}",
                    f"/v1/records?id={text}",
                    f"/v1/states/{text}",
                    f"/v1/history/member/{text}",
                    f"/{text}",
                ):
                    with pytest.raises(LedgerError):
                        await client.fetch("GET", path)
                with pytest.raises(LedgerError):
                    await client.fetch("POST", "/v1/records", text.encode())
            figures = (await client.fetch("GET", "/metrics")).decode()
            return planted, figures + there.log.getvalue()

    planted, written = asyncio.run(act())

    assert "listening" in written and 'route="submit"' in written
    assert [text for text in planted if text in written] == []
    with Ledger.open(tmp_path / "operator.ledger", read_only=True) as ledger:
        # The control: they were taken in, and a log that held bodies would show them.
        assert [ledger.record(at + 1).body.decode() for at in range(150)] == planted[:150]


def test_logs_of_processes_hold_objects_and_no_contents(tmp_path: Path) -> None:
    planted = [f"record {sequence}" for sequence in range(5)]
    with network(tmp_path) as processes:
        bank = processes[1]
        with bank.place.client() as client:
            client.submit_many(signed(client, key_of(bank), 5))
        processes[2].kill()
        bank.stop()

    for process in processes:
        lines = process.log.read_text().splitlines()
        events = [json.loads(line)["event"] for line in lines]
        # A follower may come before the operator's node, and waits.
        assert set(events[: events.index("listening")]) <= {"no peer has the genesis yet"}
        assert not any(text in line for text in planted for line in lines)


def test_the_document_has_every_route_and_each_answers_as_it_says(tmp_path: Path) -> None:
    found = document(ROUTES, Limits())

    assert {(row.method.lower(), row.path.replace(":path", "")) for row in ROUTES} == {
        (method, path) for path, methods in found["paths"].items() for method in methods
    }
    members = {path for path in found["paths"] if path.startswith("/v1/")} - OPEN
    names = [each["operationId"] for paths in found["paths"].values() for each in paths.values()]
    assert len(set(names)) == len(names)
    for path, methods in found["paths"].items():
        for operation in methods.values():
            named = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
            assert named == {part[1:-1] for part in path.split("/") if part.startswith("{")}
            assert ("warrant" in str(operation["security"])) is (path in members)

    async def act() -> None:
        async with running(tmp_path) as there, there.client() as client:
            served = json.loads(await client.fetch("GET", "/openapi.json"))
            assert served == json.loads(json.dumps(found))

    asyncio.run(act())
