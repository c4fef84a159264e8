"""Who may ask a node, and what becomes of everybody else's requests."""

from __future__ import annotations

import asyncio
import io
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from msgspec import structs

from ledgercore import (
    Checkpoint,
    Record,
    RefusedError,
    SigningKey,
    UnavailableError,
    records,
    testing,
)
from ledgercore.clock import ManualClock, SystemClock
from ledgercore.demo.authority import Authority
from ledgercore.entropy import SeededEntropy
from ledgercore.errors import InvalidError, InvalidSignature, MalformedError, UntrustedError
from ledgercore.node.client import NodeClient
from ledgercore.node.limits import Limits
from ledgercore.node.logs import make_log
from ledgercore.node.rates import TooManyError
from ledgercore.node.settings import Peer
from ledgercore.node.submission import Ordered, decode_ordered, encode_ordered
from ledgercore.node.tls import Context, client_context, pinned_contexts
from ledgercore.node.warrant import Replays, parse_warrant, sign_request
from tests.node.running import IMPATIENT, MEMBERS, Running, following, running

NETWORK = bytes(16)
CERTIFICATE = b"c" * 32
REQUEST = ("POST", "/v1/records", b"body")
START_MS = 1_700_000_000_000


def signed(**changes: Any) -> str:
    given = {"key": SigningKey(b"k" * 32), "network": NETWORK, "to": "bank", "request": REQUEST}
    given["certificate"] = CERTIFICATE
    clock, entropy = ManualClock(START_MS), SeededEntropy(1)
    return sign_request(**(given | changes), clock=clock, entropy=entropy)


async def raw(
    there: Running,
    header: str | None,
    method: str = "GET",
    path: str = "/v1/anchor",
    body: bytes = b"",
) -> tuple[int, bytes]:
    """A request with whatever header; the status and the body of its answer."""
    headers = {} if header is None else {"authorization": header}
    connector = aiohttp.TCPConnector(ssl=client_context(there.tls))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.request(method, there.url + path, headers=headers, data=body or None) as response,
    ):
        return response.status, await response.read()


def header(
    there: Running,
    number: int = 0,
    request: tuple[str, str, bytes] = ("GET", "/v1/anchor", b""),
    **changes: Any,
) -> str:
    given = {
        "key": testing.signing_key(number),
        "network": there.node.ledger.network,
        "to": "operator",
        "certificate": client_context(there.tls).certificate,
        "request": request,
        "clock": SystemClock(),
        "entropy": SeededEntropy(number),
    }
    return sign_request(**(given | changes))


def test_an_warrant_comes_back_as_it_was_signed() -> None:
    warrant = parse_warrant(signed())

    warrant.check(NETWORK, "bank", "POST", "/v1/records")
    warrant.check_body(b"body")
    assert warrant.time_ms == START_MS


@pytest.mark.parametrize(
    "asked",
    [
        (b"x" * 16, "bank", "POST", "/v1/records"),
        (NETWORK, "tax", "POST", "/v1/records"),
        (NETWORK, "bank", "GET", "/v1/records"),
        (NETWORK, "bank", "POST", "/v1/records?x=1"),
    ],
)
def test_an_warrant_of_another_request_is_refused(asked: tuple[bytes, str, str, str]) -> None:
    with pytest.raises(UntrustedError):
        parse_warrant(signed()).check(*asked)


def test_a_request_for_another_members_node_says_what_to_change() -> None:
    warrant = parse_warrant(signed())

    with pytest.raises(
        UntrustedError,
        match=r"is for the node of 'bank', want 'tax', whose node this is: name that member with "
        r"this address, as in a \[\[peer\]\], or give the address of the node of 'bank'$",
    ):
        warrant.check(NETWORK, "tax", "POST", "/v1/records")


def test_a_body_that_was_not_signed_is_refused() -> None:
    with pytest.raises(UntrustedError):
        parse_warrant(signed()).check_body(b"other")


def test_every_changed_character_of_an_warrant_is_refused() -> None:
    text = signed()
    begin = len("ledgercore ")

    for at in range(begin, len(text)):
        changed = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
        with pytest.raises((MalformedError, InvalidSignature)):
            parse_warrant(changed)


def test_an_warrant_is_taken_once_and_only_near_its_time() -> None:
    clock = ManualClock(START_MS)
    replays = Replays(clock, 30, 2, make_log(io.StringIO()))
    warrant = parse_warrant(signed())
    replays.take(warrant)

    with pytest.raises(UntrustedError, match="used before"):
        replays.take(warrant)
    with pytest.raises(UntrustedError, match="time"):
        replays.take(structs.replace(warrant, time_ms=START_MS + 31_000, nonce=b"n" * 16))
    with pytest.raises(UnavailableError, match="node began after"):
        replays.take(structs.replace(warrant, time_ms=START_MS - 1, nonce=b"n" * 16))


def test_nonces_are_bounded_and_forgotten_only_when_their_time_is_over() -> None:
    clock = ManualClock(START_MS)
    replays = Replays(clock, 30, 2, make_log(io.StringIO()))
    warrant = parse_warrant(signed())
    late = structs.replace(warrant, time_ms=START_MS + 30_000)
    replays.take(late)
    replays.take(structs.replace(warrant, nonce=b"2" * 16))

    with pytest.raises(UnavailableError, match="2 requests"):
        replays.take(structs.replace(warrant, nonce=b"3" * 16))
    clock.advance(60_000)  # the late one's time is valid still
    with pytest.raises((UntrustedError, UnavailableError)):
        replays.take(late)
    clock.advance(1)
    replays.take(structs.replace(warrant, time_ms=START_MS + 60_000, nonce=b"4" * 16))
    assert len(replays) == 1


REFUSED: dict[str, tuple[int, Callable[[Running], str | None]]] = {
    "nothing": (401, lambda there: None),
    "another scheme": (400, lambda there: "Bearer x"),
    "no warrant": (400, lambda there: "ledgercore AAAA"),
    "a stranger": (403, lambda there: header(there, 9)),
    "another network": (401, lambda there: header(there, network=b"x" * 16)),
    "another node": (401, lambda there: header(there, to="member-1")),
    "another certificate": (401, lambda there: header(there, certificate=CERTIFICATE)),
    "another path": (401, lambda there: header(there, request=("GET", "/v1/checkpoint", b""))),
    "another body": (401, lambda there: header(there, request=("GET", "/v1/anchor", b"x"))),
    "yesterday": (401, lambda there: header(there, clock=ManualClock(START_MS))),
}


def test_requests_that_no_active_member_signed_for_this_node_are_refused(tmp_path: Path) -> None:
    async def act() -> None:
        async with running(tmp_path) as there:
            got = {name: await raw(there, make(there)) for name, (_, make) in REFUSED.items()}
            good = await raw(there, header(there))

            assert {name: status for name, (status, _) in got.items()} == {
                name: status for name, (status, _) in REFUSED.items()
            }
            assert good[0] == 200

    asyncio.run(act())


def test_a_request_that_is_sent_again_by_whoever_saw_it_is_refused(tmp_path: Path) -> None:
    async def act() -> None:
        async with running(tmp_path) as there:
            seen = header(there)

            assert (await raw(there, seen))[0] == 200
            status, body = await raw(there, seen)
            assert (status, b"used before" in body) == (401, True)

    asyncio.run(act())


def test_a_connection_needs_a_certificate_of_the_members_authority(tmp_path: Path) -> None:
    async def act() -> None:
        async with running(tmp_path) as there:
            (tmp_path / "foreign").mkdir()
            foreign = Authority(tmp_path / "foreign").issue("stranger")
            mixed = structs.replace(foreign, authorities=there.tls.authorities)
            naked = Context(ssl.PROTOCOL_TLS_CLIENT)
            naked.load_verify_locations(there.tls.authorities)
            naked.certificate = bytes(32)
            old = client_context(there.tls)
            old.minimum_version = ssl.TLSVersion.TLSv1_2
            old.maximum_version = ssl.TLSVersion.TLSv1_2
            expired = there.authority.issue("expired", days=-1)

            for context in (client_context(mixed), naked, old, client_context(expired)):
                caller = replace(there.caller(), context=context)
                async with NodeClient(there.url, "operator", caller, IMPATIENT) as client:
                    with pytest.raises(UnavailableError, match="certificate"):
                        await client.fetch("GET", "/healthz")

    asyncio.run(act())


def test_a_suspended_member_is_cut_off_with_the_block_that_says_so(tmp_path: Path) -> None:
    suspension = records.MemberSuspend(bytes([1]) * 32, "member-1")
    lapses_ms = SystemClock().now_ms() + 600_000
    proposal = records.GovernancePropose(
        suspension.proposal, suspension.KIND, records.encode(suspension), lapses_ms
    )
    approval = records.GovernanceApprove(suspension.proposal)
    changes = [(2, proposal), (3, approval), (2, suspension)]
    asyncio.run(cut_off(tmp_path, lambda there: changes, "member member-1 is SUSPENDED"))


def test_a_rotated_key_is_cut_off_with_the_block_that_says_so(tmp_path: Path) -> None:
    def changes(there: Running) -> list[Change]:
        return [(1, rotation(there, 1, SigningKey(b"n" * 32)))]

    asyncio.run(cut_off(tmp_path, changes, "of member-1 is ROTATED"))


def test_a_compromised_key_is_cut_off_with_the_block_that_says_so(tmp_path: Path) -> None:
    changes = [(1, records.KeyCompromise("member-1"))]
    asyncio.run(cut_off(tmp_path, lambda there: changes, "of member-1 is COMPROMISED"))


Change = tuple[int, records.RecordBody]


async def cut_off(directory: Path, changes: Callable[[Running], list[Change]], reason: str) -> None:
    """Member 1's stream and connections end with the records of the changes, and no other's."""
    governors = [
        structs.replace(member, roles=(*member.roles, "governance"))
        for member in testing.test_members(MEMBERS)[2:]
    ]
    members = (*testing.test_members(MEMBERS)[:2], *governors)
    async with (
        running(directory, members=members) as there,
        there.client(0) as other,
        there.client(1) as client,
    ):
        stream, kept = client.events(), other.events()
        await anext(stream)
        await anext(kept)
        reader, writer = await idle_connection(there, 1)
        key = testing.signing_key(1).public_key
        idle = await other.checkpoint()
        *before, last = changes(there)
        for number, body in before:
            await other.submit(typed(there, number, body))
        assert key in there.server.open.bound_keys()
        height = there.node.ledger.height

        await other.submit(typed(there, *last))

        # With the answer to whoever submitted the record nothing is open for the key any more.
        assert key not in there.server.open.bound_keys()
        async with asyncio.timeout(10):
            assert await reader.read() == b""
            # Cut off, it ends; or what it last told of is asked about, which nobody answers.
            with pytest.raises((RefusedError, UnavailableError, StopAsyncIteration)):
                while True:
                    assert Checkpoint.parse(await anext(stream)).height <= height
            while Checkpoint.parse(await anext(kept)).height <= height:
                pass
        writer.transport.abort()
        with pytest.raises(RefusedError, match=reason):
            await client.checkpoint()
        assert await other.checkpoint() != idle
        assert there.node.metrics.cut._value.get() >= 2


async def idle_connection(
    there: Running, number: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that has asked once, has its answer, and stays open."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", there.server.port, ssl=client_context(there.tls), server_hostname="localhost"
    )
    signed = header(there, number, entropy=SeededEntropy(900 + number))
    writer.write(f"GET /v1/anchor HTTP/1.1\r\nhost: x\r\nauthorization: {signed}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r")[0])
    await reader.readexactly(length)
    return reader, writer


def typed(there: Running, number: int, body: records.RecordBody) -> bytes:
    """A member's next record."""
    key, ledger = testing.signing_key(number), there.node.ledger
    sequence, previous = ledger.next_position(key.public_key)
    record = key.sign_record(
        suite=ledger.suite,
        network=ledger.network,
        kind=body.KIND,
        body=records.encode(body),
        sequence=sequence,
        previous=previous,
    )
    return record.encode()


def rotation(there: Running, number: int, key: SigningKey) -> records.KeyRotate:
    member = f"member-{number}"
    proof = key.sign(records.key_message(there.node.ledger.network, key.public_key, member))
    return records.KeyRotate(member, key.public_key, bytes(32), proof)


ENDING: dict[str, Callable[[Running], records.RecordBody]] = {
    "rotated": lambda there: rotation(there, 1, SigningKey(b"n" * 32)),
    "compromised": lambda there: records.KeyCompromise("member-1"),
}


@pytest.mark.parametrize("ending", ENDING)
def test_a_record_that_ends_the_key_that_asks_is_answered_with_its_receipt(
    tmp_path: Path, ending: str
) -> None:
    """At the operator's node and at the member's own, whose copy cannot have the block by then."""

    async def act(own: bool) -> None:
        (tmp_path / f"{own}").mkdir()
        async with running(tmp_path / f"{own}") as there:
            caller = there.caller(1)
            async with following(there, caller, tmp_path / f"{own}") as node:
                asked = node if own else there
                client = NodeClient(asked.url, asked.node.member, there.caller(1), IMPATIENT)
                async with client, asyncio.timeout(10):
                    record = typed(there, 1, ENDING[ending](there))
                    before = node.node.ledger.size

                    receipt = await client.submit(record)

                    assert receipt.index == before
                    assert receipt.verify(Record.decode(record).body, there.node.anchor)
                    with pytest.raises(RefusedError, match=ending.upper()):
                        await client.submit(typed(there, 0, records.KeyCompromise("member-0")))
                    if ending == "compromised":
                        return
                    # With the new key the node goes on, and its copy comes to have the record.
                    caller.key = SigningKey(b"n" * 32)
                    while node.node.feed.height < there.node.feed.height:
                        await asyncio.sleep(0.02)
                    assert node.node.ledger.record(before).encode() == record

    for own in (False, True):
        asyncio.run(act(own))


def test_records_that_neither_the_copy_nor_a_receipt_bears_out_are_not_waited_for(
    tmp_path: Path,
) -> None:
    """More of them than receipts come of end the key by which the copy would fetch their block."""

    async def act() -> None:
        async with running(tmp_path, Limits(receipts_at_once=2)) as there:
            caller = there.caller(1)
            async with (
                following(there, caller, tmp_path) as node,
                NodeClient(node.url, node.node.member, there.caller(1), IMPATIENT) as client,
            ):
                others = testing.signed_records(there.node.ledger, signers=1, count=2)
                batch = [*others, typed(there, 1, ENDING["rotated"](there))]

                async with asyncio.timeout(10):
                    with pytest.raises(UnavailableError, match="of the newest 2 alone: ask any"):
                        await client.submit_many(batch)

                assert there.node.ledger.size == 4

    asyncio.run(act())


def test_two_records_are_not_at_one_index(tmp_path: Path) -> None:
    """Also where it has a receipt, or the copy has one of them there."""

    async def act() -> None:
        async with running(tmp_path) as there, there.client() as client:
            first, second = there.records(2)
            receipt = await client.submit(second)
            for receipts in ({}, {receipt.index: receipt}):
                said = encode_ordered(Ordered([receipt.index] * 2, receipts))
                for records in ([first, second], [second, first]):
                    with pytest.raises(UntrustedError, match="two records are said to be at"):
                        decode_ordered(said, records, client.anchor)
                assert decode_ordered(said, [second, second], client.anchor).outcomes

    asyncio.run(act())


def test_a_receipt_of_another_record_does_not_pass_for_an_answer(tmp_path: Path) -> None:
    async def act() -> None:
        async with running(tmp_path) as there, there.client() as client:
            first, second = there.records(2)
            receipt = await client.submit(first)
            said = encode_ordered(Ordered([receipt.index], {receipt.index: receipt}))

            assert decode_ordered(said, [first], client.anchor).receipts
            with pytest.raises(InvalidError):
                decode_ordered(said, [second], client.anchor)
            with pytest.raises(MalformedError, match="1 outcomes, want 2"):
                decode_ordered(said, [first, second], client.anchor)

    asyncio.run(act())


def test_a_certificate_that_is_not_the_signing_members_is_refused(tmp_path: Path) -> None:
    """One member's warrant by another's connection; the control goes by its own, and is taken."""

    async def act() -> None:
        async with running(tmp_path) as there:
            other = there.authority.issue("member-1")
            asked = {"own": there.tls, "other": other}
            statuses = {}
            for number, (name, tls) in enumerate(asked.items()):
                signed = header(there, entropy=SeededEntropy(50 + number))
                connector = aiohttp.TCPConnector(ssl=client_context(tls))
                async with (
                    aiohttp.ClientSession(connector=connector) as session,
                    session.get(
                        there.url + "/v1/anchor", headers={"authorization": signed}
                    ) as response,
                ):
                    statuses[name] = (response.status, await response.read())

            assert statuses["own"][0] == 200
            assert statuses["other"][0] == 401
            assert b"ask with the member's own certificate" in statuses["other"][1]

    asyncio.run(act())


def test_a_node_with_another_certificate_than_its_members_is_asked_nothing(tmp_path: Path) -> None:
    """A member's node in another's place, by a certificate of the same authority and name."""

    async def act() -> None:
        async with running(tmp_path) as there:
            peers = {}
            for name, text in {
                "own": (tmp_path / "operator.crt").read_text(),
                "other": Path(there.tls.certificate).read_text(),
                "both": (tmp_path / "operator.crt").read_text() * 2,
            }.items():
                (tmp_path / f"{name}.pem").write_text(text)
                path = str(tmp_path / f"{name}.pem")
                peers[name] = Peer(member="operator", url=there.url, certificates=path)
            before = there.node.metrics.requests.labels("anchor", "200")._value.get()
            for name, peer in peers.items():
                caller = replace(there.caller(), pinned=pinned_contexts(there.tls, [peer]))
                async with NodeClient(there.url, "operator", caller, IMPATIENT) as client:
                    if name == "other":
                        with pytest.raises(UnavailableError, match="that the settings have for"):
                            await client.fetch("GET", "/v1/anchor")
                        with pytest.raises(UnavailableError, match="that the settings have for"):
                            await anext(client.events())
                    else:
                        await client.fetch("GET", "/v1/anchor")
            assert there.node.metrics.requests.labels("anchor", "200")._value.get() == before + 2

    asyncio.run(act())


def test_pinned_certificates_that_are_none_are_refused(tmp_path: Path) -> None:
    tls = Authority(tmp_path).issue("a-member")
    (tmp_path / "none.pem").write_text("nothing\n")
    peer = Peer(member="b", url="https://b.example", certificates=str(tmp_path / "none.pem"))

    with pytest.raises(MalformedError, match=r"none\.pem has no certificate"):
        pinned_contexts(tls, [peer])


def test_a_connection_speaks_for_one_key(tmp_path: Path) -> None:
    async def act() -> None:
        async with running(tmp_path) as there:
            connector = aiohttp.TCPConnector(ssl=client_context(there.tls), limit=1)
            async with aiohttp.ClientSession(connector=connector) as session:
                statuses = []
                for number in (0, 0, 1):
                    entropy = SeededEntropy(100 + len(statuses))
                    headers = {"authorization": header(there, number, entropy=entropy)}
                    async with session.get(there.url + "/v1/anchor", headers=headers) as response:
                        await response.read()
                        statuses.append(response.status)

            assert statuses == [200, 200, 403]

    asyncio.run(act())


def test_a_member_that_asks_too_often_waits(tmp_path: Path) -> None:
    async def act() -> None:
        limits = Limits(requests_per_s=1, requests_burst=5)
        async with running(tmp_path, limits) as there, there.client(0) as busy:
            for _ in range(5):
                await busy.fetch("GET", "/v1/anchor")
            with pytest.raises(TooManyError) as refused:
                await busy.fetch("GET", "/v1/anchor")
            assert str(refused.value) == (
                "node of operator: member member-0 asks more than 1 times a second and 5 at once: "
                "this node's limits requests_per_s and requests_burst; ask again in 1 s"
            )
            assert refused.value.wait_s == 1
            async with there.client(1) as other:
                assert await other.fetch("GET", "/v1/anchor")

    asyncio.run(act())
