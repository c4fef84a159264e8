"""What a node does beside answering goes on after errors that pass, and never ends in silence."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from dataclasses import replace
from pathlib import Path
from threading import Semaphore, current_thread
from time import sleep
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import structs

from ledgercore import Ledger, Replica, StoreError, UnavailableError
from ledgercore.clock import ManualClock
from ledgercore.demo.authority import Authority
from ledgercore.demo.processes import free_ports
from ledgercore.entropy import SeededEntropy
from ledgercore.errors import BusyError, DiskFullError, LedgerError
from ledgercore.node import node, publishing
from ledgercore.node.channel import Channel
from ledgercore.node.client import NodeClient
from ledgercore.node.following import Following, _Found
from ledgercore.node.publishing import Publishing
from ledgercore.node.tls import client_context
from ledgercore.proofs import SplitView
from ledgercore.sync import Ask, Evidence, Follower
from ledgercore.sync.messages import Request, Response, ask_blocks, ask_checkpoint
from ledgercore.sync.publisher import Publisher
from tests.cli.command import run_well
from tests.node.running import IMPATIENT, OPERATOR, following, running
from tests.vector_files import VECTORS
from verifier import ledgercore_verify


def copy_of(there: node.Node, directory: Path) -> Replica:
    """A copy of a node's ledger that has its genesis."""
    genesis = next(there.ledger.blocks())
    return Replica.create(directory / "copy.ledger", there.anchor, genesis)


def test_publishing_goes_on_after_an_error_that_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, begun = Publisher.begin, asyncio.Event()
    errors: list[Exception] = [StoreError("input failed"), StoreError("input failed")]

    async def act() -> None:
        loop = asyncio.get_running_loop()

        def failing(self: Publisher) -> str:
            if errors:
                raise errors.pop()
            loop.call_soon_threadsafe(begun.set)
            return begin(self)

        monkeypatch.setattr(Publisher, "begin", failing)
        async with running(tmp_path) as there:
            task = Publishing(there.node, {})
            task.start()
            await asyncio.wait_for(begun.wait(), 10)
            async with asyncio.timeout(10):
                while "publishing goes on" not in there.log.getvalue():
                    await asyncio.sleep(0.01)
            await task.stop()
            log = there.log.getvalue()
            assert log.count("publishing failed") == log.count("publishing goes on") == 1
            assert '"reason": "input failed"' in log
            assert there.node.ready() and not there.node.failed.is_set()

    monkeypatch.setattr(publishing, "AGAIN_S", 0.01)
    asyncio.run(act())


def test_witnesses_that_answer_at_once_are_taken_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds: list[list[Ask]] = [[], [Ask(name, Request("POST", "/", 1, 1)) for name in "abcd"]]
    inside, together, taken = Semaphore(1), [], []

    def take(self: Publisher, ask: Ask, reason: str) -> None:
        alone = inside.acquire(blocking=False)
        if not alone:
            together.append(ask.peer)
        sleep(0.02)  # long enough for the others to come
        taken.append(ask.peer)
        if alone:
            inside.release()

    async def act() -> None:
        async with running(tmp_path) as there:
            task = Publishing(there.node, {})
            task.start()
            async with asyncio.timeout(10):
                while len(taken) < 4:
                    await asyncio.sleep(0.01)
            await task.stop()

    monkeypatch.setattr(Publisher, "published", None)
    monkeypatch.setattr(Publisher, "asks", lambda self: rounds.pop())
    monkeypatch.setattr(Publisher, "fail", take)
    asyncio.run(act())
    assert sorted(taken) == list("abcd") and not together


def test_publishing_that_nobody_foresaw_to_end_ends_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Publisher, "begin", _fail)

    async def act() -> None:
        async with running(tmp_path) as there:
            task = Publishing(there.node, {})
            task.start()
            await asyncio.wait_for(there.node.failed.wait(), 10)
            assert not there.node.ready()
            assert "background failed" in there.log.getvalue()
            await task.stop()

    asyncio.run(act())


def test_following_that_nobody_foresaw_to_end_ends_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Follower, "next", _fail)

    async def act() -> None:
        async with running(tmp_path) as there:
            copy = copy_of(there.node, tmp_path)
            task = Following(there.node, copy, [], SeededEntropy(1))
            task.start()
            await asyncio.wait_for(there.node.failed.wait(), 10)
            assert not there.node.ready()
            await task.stop()

    asyncio.run(act())


@pytest.mark.parametrize("status", [429, 500, 503, 507])
def test_a_peer_that_cannot_answer_is_logged_once_with_its_reason(
    tmp_path: Path, status: int
) -> None:
    """What it answers of another kind in between does not make it well."""
    told = Response(status, b'{"message": "member a-member has 64 requests under way"}')

    async def act() -> None:
        async with running(tmp_path) as there:
            copy = copy_of(there.node, tmp_path)
            task = Following(there.node, copy, [], SeededEntropy(1))
            blocks = Ask("tax", ask_blocks(1, 2))
            for answer in (told, told):
                task._hear(blocks, answer)
                task._hear(Ask("tax", ask_checkpoint()), Response(200, b""))
            lines = [line for line in there.log.getvalue().splitlines() if '"tax"' in line]
            said = json.loads(lines[0])
            assert (said["event"], said["asked"]) == ("peer cannot answer now", "blocks")
            assert said["reason"] == "member a-member has 64 requests under way"
            assert len(lines) == 1

            task._hear(blocks, Response(200, b""))
            task._hear(blocks, Response(404, b""))
            assert there.log.getvalue().count("peer answers again") == 1
            copy.close()

    asyncio.run(act())


@pytest.mark.parametrize("status", [302, 400, 404])
def test_a_peer_that_answers_as_no_node_does_is_logged_as_readiness_says(
    tmp_path: Path, status: int
) -> None:
    """As where its url leads to another server; every node has a newest checkpoint."""

    async def act() -> None:
        async with running(tmp_path) as there:
            copy = copy_of(there.node, tmp_path)
            task = Following(there.node, copy, [], SeededEntropy(1))
            task._hear(Ask("tax", ask_checkpoint()), Response(status, b""))
            assert "none has answered, and its log says why" in str(task.fault())
            said = json.loads(there.log.getvalue().splitlines()[-1])
            assert (said["event"], said["peer"]) == ("peer cannot answer now", "tax")
            assert said["reason"] == f"answer has status {status} and no reason"

            task._hear(Ask("tax", ask_checkpoint(7)), Response(404, b""))
            assert there.log.getvalue().count("peer answers again") == 1
            copy.close()

    asyncio.run(act())


@pytest.mark.parametrize("error", [BusyError, DiskFullError])
def test_a_cosignature_that_cannot_be_kept_now_does_not_end_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[LedgerError]
) -> None:
    def passing(self: Replica, note: str) -> str:
        raise error("passes")

    monkeypatch.setattr(Replica, "add_cosignatures", passing)

    async def act() -> None:
        async with running(tmp_path) as there:
            copy = copy_of(there.node, tmp_path)
            channel = Channel("https://localhost:1", "peer", there.caller(1))
            task = Following(there.node, copy, [channel], SeededEntropy(1))
            ask = task._follower.next()
            assert isinstance(ask, Ask)
            found = task._take(ask, Response(200, there.node.ledger.checkpoint.encode()))
            assert found.caught_up and found.evidence == []
            await task.stop()

    asyncio.run(act())


def test_a_peer_that_falls_silent_is_logged_once_and_when_it_is_back(tmp_path: Path) -> None:
    async def act() -> list[tuple[str, str]]:
        async with running(tmp_path) as there:
            channel = Channel("https://localhost:1", "gone", there.caller(1))
            copy = copy_of(there.node, tmp_path)
            task = Following(there.node, copy, [channel], SeededEntropy(1))
            task.start()
            async with asyncio.timeout(20):
                while len(task._follower.evidence) < 2:  # asked again, and silent again
                    await asyncio.sleep(0.02)
            await task.stop()
            task._hear(Ask("gone", ask_checkpoint()), Response(200, b""))
            lines = map(json.loads, there.log.getvalue().splitlines())
            return [(line["event"], line.get("reason", "")) for line in lines if "peer" in line]

    (silent, reason), back = asyncio.run(act())
    assert silent == "peer does not answer"
    assert reason.startswith("node of gone at https://localhost:1: ClientConnectorError")
    assert back == ("peer answers again", "")


def test_a_certificate_that_is_refused_is_told_from_a_node_that_is_away(tmp_path: Path) -> None:
    async def act() -> tuple[list[str], list[str]]:
        told = []
        async with running(tmp_path) as there:
            (tmp_path / "foreign").mkdir()
            foreign = Authority(tmp_path / "foreign").issue("stranger")
            trusting = structs.replace(there.tls, authorities=foreign.authorities)
            own = structs.replace(foreign, authorities=there.tls.authorities)
            away = f"https://localhost:{free_ports(1)[0]}"
            for url, tls in ((there.url, trusting), (there.url, own), (away, there.tls)):
                caller = replace(there.caller(), context=client_context(tls))
                async with NodeClient(url, "operator", caller, IMPATIENT) as client:
                    with pytest.raises(UnavailableError) as raised:
                        await client.fetch("GET", "/v1/anchor")
                    told.append(str(raised.value))
            caller = replace(there.caller(), context=client_context(trusting))
            copy = copy_of(there.node, tmp_path)
            channel = Channel(there.url, "operator", caller)
            task = Following(there.node, copy, [channel], SeededEntropy(1))
            task.start()
            async with asyncio.timeout(20):
                while not task._follower.evidence:
                    await asyncio.sleep(0.02)
            await task.stop()
            lines = map(json.loads, there.log.getvalue().splitlines())
            return told, [line["event"] for line in lines if "peer" in line]

    (theirs, own, away), logged = asyncio.run(act())
    assert "is there, and shows a certificate that is not taken here: " in theirs
    assert "see that the authorities here have its issuer" in theirs
    assert "is there, and broke the connection off without an answer: " in own
    assert "that the authorities there have its issuer" in own
    assert "is it there" in away
    assert logged == ["peer shows a certificate that is not taken"]


def test_offences_of_one_kind_are_logged_once_a_minute(tmp_path: Path) -> None:
    """A peer that offends and does well in turn is never shut out, and would fill the log."""
    clock = ManualClock(1_800_000_000_000)

    async def act() -> str:
        async with running(tmp_path, clock=clock) as there:
            copy = copy_of(there.node, tmp_path)
            task = Following(there.node, copy, [], SeededEntropy(1))
            for number in range(5):
                if number == 4:
                    clock.advance(60_000)
                lie = Evidence("peer", "went-back", "/v1/checkpoint", f"was {number}", b"note")
                task._look(
                    "peer", _Found(copy.checkpoint, 0, False, 0, True, True, frozenset(), [lie], [])
                )
            copy.close()
            return there.log.getvalue()

    lines = [json.loads(line) for line in asyncio.run(act()).splitlines()]

    assert [each["left_out"] for each in lines if each["event"] == "peer offends"] == [0, 3]


def test_a_second_history_is_told_after_a_restart_until_its_evidence_is_moved_away(
    tmp_path: Path,
) -> None:
    async def act() -> list[str | None]:
        told = []
        async with running(tmp_path) as there:
            ledger = there.node.ledger
            ledger.backup(tmp_path / "twin.ledger")
            with Ledger.open(tmp_path / "twin.ledger", key=OPERATOR) as twin:
                notes = [
                    each.append(text) and each.note(1)
                    for each, text in ((ledger, b"one"), (twin, b"another"))
                ]
            split = SplitView.of(there.node.anchor, *notes)
            assert split is not None
            copy = copy_of(there.node, tmp_path)
            evidence = Path(f"{ledger.path}.evidence")
            for name, data in (
                ("", b""),
                ("0.split-view", b"garbage"),
                ("3.split-view", split.encode()),
                ("", b""),
            ):
                evidence.mkdir(exist_ok=True)
                if name:
                    (evidence / name).write_bytes(data)
                try:
                    task = Following(there.node, copy, [], SeededEntropy(1))
                except UnavailableError as error:
                    told.append(str(error))
                    continue
                there.node.fault = task.fault
                task._look(
                    "peer", _Found(copy.checkpoint, 0, False, 0, True, True, frozenset(), [], [])
                )
                told.append(there.node.unready())
                if len(told) == 3:
                    (evidence / name).rename(tmp_path / "kept")
                    (evidence / "0.split-view").unlink()
            copy.close()
            assert there.log.getvalue().count("operator signed two histories") == 1
        return told

    before, garbage, shown, moved = asyncio.run(act())

    assert (before, moved) == (None, None)
    assert garbage is not None and "signed two histories cannot be read: " in garbage
    assert "0.split-view: " in garbage and "move it away, keep it" in garbage
    assert shown is not None and shown.startswith("operator signed two histories: see its COPY")


def test_evidence_that_a_crash_cut_short_keeps_no_node_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of a split view does not verify, and a node that finds one does not start."""
    keeping: Any = SimpleNamespace(_evidence=lambda: tmp_path)
    child = os.fork()
    if not child:
        monkeypatch.setattr(os, "fsync", lambda _: os._exit(9))  # nothing is on disk for sure
        Following._keep(keeping, b"half of a proof", "split-view")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert not (tmp_path / "0.split-view").exists()

    Following._keep(keeping, b"a proof", "split-view")

    assert [path.name for path in tmp_path.iterdir()] == ["0.split-view"]
    assert (tmp_path / "0.split-view").read_bytes() == b"a proof"


def test_a_split_view_is_kept_once_in_the_form_that_verifiers_take(tmp_path: Path) -> None:
    """However often the node is started, and whatever else peers did wrong before."""
    family = json.loads((VECTORS / "std-splits.json").read_text())
    (data,) = (base64.b64decode(each["data"]) for each in family["vectors"][:1])
    lie = Evidence("peer", "went-back", "/v1/checkpoint", "newest height is 4, was 9", b"note")

    async def act() -> list[str | None]:
        told = []
        async with running(tmp_path) as there:
            copy = copy_of(there.node, tmp_path)
            for _ in range(2):
                task = Following(there.node, copy, [], SeededEntropy(1))
                for splits in ([], [SplitView.decode(data)]):
                    found = _Found(
                        copy.checkpoint, 0, False, 0, True, True, frozenset(), [lie], splits
                    )
                    task._look("peer", found)
                    there.node.fault = task.fault
                    told.append(there.node.unready())
            copy.close()
        return told

    before, after, *again = asyncio.run(act())

    assert before is None and after is not None and again == [before, after]
    assert after.startswith("operator signed two histories: see ")
    (kept,) = tmp_path.glob("*.evidence")
    assert sorted(path.name for path in kept.iterdir()) == ["0.json", "0.split-view"]
    anchor = tmp_path / "anchor.toml"
    anchor.write_text(family["anchor"])
    assert b"split view     yes" in run_well("verify", kept / "0.split-view", "--anchor", anchor)
    assert ledgercore_verify.main([str(kept / "0.split-view"), "--anchor", str(anchor)]) == 0


def test_a_copy_and_its_follower_are_for_one_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lists that one thread fills must not be gone through by another: that ends the node."""
    threads: set[str] = set()

    def watched(kind: type, name: str) -> None:
        made = getattr(kind, name)

        def look(self: object, *given: object) -> object:
            threads.add(current_thread().name)
            return made.fget(self) if isinstance(made, property) else made(self, *given)

        monkeypatch.setattr(kind, name, property(look) if isinstance(made, property) else look)

    async def act() -> None:
        async with running(tmp_path) as there, following(there, there.caller(1), tmp_path) as here:
            for name in ("evidence", "split_views", "caught_up", "standing", "next", "wake"):
                watched(Follower, name)
            for name in ("checkpoint", "height", "note", "append"):
                watched(Replica, name)
            async with there.client() as client, asyncio.timeout(10):
                await client.submit_many(there.records(8))
                while here.node.feed.height < there.node.feed.height:
                    await asyncio.sleep(0.02)

    asyncio.run(act())
    assert threads
    assert all(name.startswith("ledgercore-copy") for name in threads)


def test_a_ledger_that_cannot_be_read_is_logged_once_with_the_reason_and_when_it_can_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = [0]

    async def failing() -> None:
        looks[0] += 1
        if looks[0] <= 3:
            raise StoreError("cannot read it")

    async def act() -> str:
        async with running(tmp_path) as there, asyncio.timeout(9):
            monkeypatch.setattr(there.node, "announce", failing)
            while looks[0] < 5:
                await asyncio.sleep(0.02)
            return there.log.getvalue()

    monkeypatch.setattr(node, "LOOK_S", 0.02)
    lines = map(json.loads, asyncio.run(act()).splitlines())
    said = [(each["event"], each.get("reason")) for each in lines if "read" in each["event"]]
    assert said == [("ledger cannot be read", "cannot read it"), ("ledger is read again", None)]


def _fail(self: object) -> str:
    raise RuntimeError("nobody foresaw this")
