"""Copies follow their peers: honest ones are enough, and whatever others answer is found out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ledgercore import Ledger, Replica, SigningKey, cosign_checkpoint, testing
from ledgercore.clock import ManualClock
from ledgercore.entropy import SeededEntropy
from ledgercore.errors import (
    CorruptError,
    DiskFullError,
    LimitError,
    MalformedError,
    StoreError,
    UnavailableError,
)
from ledgercore.proofs import verify_split_view
from ledgercore.records import Witness
from ledgercore.sync import (
    Ask,
    Follower,
    Request,
    Response,
    Source,
    Take,
    Wait,
    begin_copy,
    catch_up,
    follow,
)
from ledgercore.sync.messages import (
    ask_blocks,
    ask_checkpoint,
    decode_frames,
    decode_hashes,
    encode_frames,
    encode_hashes,
    split_frames,
)

ORIGIN = "synced.example"
KEY = SigningKey(bytes(32))
SIGNERS = 3

Answer = Callable[[Request], Response]


class World:
    """Peers by name, a clock that moves when somebody waits, and what was asked."""

    def __init__(self) -> None:
        self.clock = ManualClock(1_800_000_000_000)
        self.peers: dict[str, Answer] = {}
        self.asked: list[tuple[str, str]] = []

    def carry(self, peer: str, request: Request) -> Response:
        self.asked.append((peer, request.path))
        return self.peers[peer](request)

    def pause(self, seconds: float) -> bool:
        self.clock.advance(int(seconds * 1000) + 1)
        return self.clock.elapsed_s() > 600

    def follower(self, replica: Replica, seed: int = 1) -> Follower:
        return Follower(replica, self.peers, self.clock, SeededEntropy(seed))


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    members = testing.test_members(SIGNERS)
    clock = ManualClock(1_800_000_000_000)
    with Ledger.create(
        tmp_path / "a.ledger", origin=ORIGIN, members=members, key=KEY, clock=clock
    ) as ledger:
        grow(ledger, 4)
        yield ledger


def grow(ledger: Ledger, blocks: int) -> None:
    for number in range(blocks):
        ledger.append_many([b"payload %d" % number] * 3)
        ledger.submit_many(testing.signed_records(ledger, signers=SIGNERS, count=5))


def begun(ledger: Ledger, path: Path) -> Replica:
    return Replica.create(path, ledger.trust_anchor, next(ledger.blocks()))


def test_a_copy_catches_up_and_goes_on_where_it_was_cut(
    ledger: Ledger, world: World, tmp_path: Path
) -> None:
    world.peers = {"a": Source(ledger).answer}
    anchor = ledger.trust_anchor
    with begin_copy(tmp_path / "b.ledger", anchor, ["a"], world.carry) as replica:
        catch_up(world.follower(replica), world.carry, world.pause)
        assert replica.checkpoint == ledger.checkpoint
    grow(ledger, 2)
    with Replica.open(tmp_path / "b.ledger", anchor) as replica:
        catch_up(world.follower(replica), world.carry, world.pause)
        assert replica.checkpoint == ledger.checkpoint
        # The next copy is fed by this one.
        world.peers = {"b": Source(replica).answer}
        with begin_copy(tmp_path / "c.ledger", anchor, ["b"], world.carry) as third:
            catch_up(world.follower(third), world.carry, world.pause)
            assert third.checkpoint == ledger.checkpoint
    with Ledger.open(tmp_path / "c.ledger", read_only=True) as copy:
        assert copy.verify().records == ledger.size


def test_blocks_come_in_pages_and_the_next_height_follows_from_them(
    ledger: Ledger, world: World, tmp_path: Path
) -> None:
    source = Source(ledger)

    def pages_of_two(request: Request) -> Response:
        response = source.answer(request)
        if "/blocks" not in request.path:
            return response
        return Response(200, encode_frames(decode_frames(response.body, 1024)[:2], 1 << 30))

    world.peers = {"a": pages_of_two}
    with begun(ledger, tmp_path / "b.ledger") as replica:
        catch_up(world.follower(replica), world.carry, world.pause)
        assert replica.height == ledger.height == 8
    paths = [path for _, path in world.asked if "blocks" in path]
    assert paths == [f"/v1/blocks?begin={begin}&end=9" for begin in (1, 3, 5, 7)]


def lies(ledger: Ledger) -> dict[str, tuple[str, Answer]]:
    """What a peer answers, and the offence that it is scored for."""
    source = Source(ledger)

    def on(word: str, change: Callable[[Response], Response]) -> Answer:
        def answer(request: Request) -> Response:
            response = source.answer(request)
            return change(response) if word in request.path else response

        return answer

    def body(data: bytes) -> Callable[[Response], Response]:
        return lambda response: Response(200, data)

    def frames(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[Response], Response]:
        return lambda response: Response(
            200, encode_frames(change(decode_frames(response.body, 1024)), 1 << 30)
        )

    def flipped(data: bytes) -> bytes:
        return data[:-1] + bytes([data[-1] ^ 1])

    def unreachable(request: Request) -> Response:
        raise OSError("connection refused")

    note = ledger.checkpoint
    other_root = note.replace(note.splitlines()[2], note.splitlines()[3].split()[2])
    return {
        "unreachable": ("unreachable", unreachable),
        "status 500": ("refused", lambda request: Response(500, b"")),
        "nothing": ("behind", lambda request: Response(404, b"")),
        "a note that is none": ("malformed", on("checkpoint", body(b"\xff\x00"))),
        "an empty note": ("malformed", on("checkpoint", body(b""))),
        "a note signed by nobody": ("forged", on("checkpoint", body(other_root.encode()))),
        "an endless note": ("malformed", on("checkpoint", body(bytes(65 * 1024)))),
        "a proof that is none": ("malformed", on("consistency", body(b"AAAA\n"))),
        "a proof cut short": ("malformed", on("consistency", body(b"AAAA"))),
        "a proof of too much": (
            "malformed",
            on("consistency", body(encode_hashes([bytes(32)] * 64))),
        ),
        "a wrong proof": ("wrong-proof", on("consistency", body(encode_hashes([bytes(32)] * 4)))),
        "no proof": ("wrong-proof", on("consistency", body(b""))),
        "no block": ("empty", on("blocks", body(b""))),
        "endless blocks": ("malformed", on("blocks", body(bytes(18 * 1024 * 1024)))),
        "a giant count": ("malformed", on("blocks", body(b"\xff\xff\xff\xff" + bytes(99)))),
        "many empty blocks": ("malformed", on("blocks", body(bytes(4 * 1025)))),
        "empty blocks": ("wrong-block", on("blocks", body(bytes(4 * 2)))),
        "more blocks than asked for": ("malformed", on("blocks", frames(lambda each: each * 2))),
        "reordered blocks": ("wrong-block", on("blocks", frames(lambda each: each[::-1]))),
        "the same block twice": ("wrong-block", on("blocks", frames(lambda each: each[:1] * 2))),
        "a block left out": ("wrong-block", on("blocks", frames(lambda each: each[:1] + each[2:]))),
        "a flipped bit": ("wrong-block", on("blocks", frames(lambda each: [flipped(each[0])]))),
        "a cut frame": ("malformed", on("blocks", lambda r: Response(200, r.body[:-1]))),
    }


def run(world: World, follower: Follower, done: Callable[[], bool], limit_s: float) -> None:
    """Carry requests until all is done, or so much time has passed."""
    end = world.clock.elapsed_s() + limit_s
    while not done() and world.clock.elapsed_s() < end:
        what = follower.next()
        if isinstance(what, Wait):
            world.clock.advance(what.duration_ms)
            continue
        if isinstance(what, Take):
            follower.take()
            continue
        try:
            follower.receive(what, world.carry(*what))
        except OSError as error:
            follower.fail(what, str(error))


def test_each_liar_is_scored_and_another_peer_is_asked(
    ledger: Ledger, world: World, tmp_path: Path
) -> None:
    for number, (name, (offence, liar)) in enumerate(lies(ledger).items()):
        world.peers = {"liar": liar, "honest": Source(ledger).answer}
        with begun(ledger, tmp_path / f"{number}.ledger") as replica:
            follower = world.follower(replica, seed=number)
            run(world, follower, lambda: replica.height == ledger.height, 30)
            assert replica.checkpoint == ledger.checkpoint, name
        # With nobody else to ask, whatever the liar is asked for shows what it does.
        world.peers = {"liar": liar}
        with begun(ledger, tmp_path / f"{number}-alone.ledger") as replica:
            follower = world.follower(replica, seed=number)
            run(world, follower, lambda: False, 100)
            assert {each.offence for each in follower.evidence} == {offence}, name
            assert len(follower.evidence) <= 32
            assert not follower.split_views, name


def test_a_peer_that_shows_less_than_before_is_not_waited_for(
    ledger: Ledger, world: World, tmp_path: Path
) -> None:
    source = Source(ledger)
    heights = iter([8, 3, 2])

    def answer(request: Request) -> Response:
        if request.path == "/v1/checkpoint":
            return Response(200, ledger.note(next(heights, 1)).encode())
        if "blocks" in request.path:
            return Response(404, b"")
        return source.answer(request)

    world.peers = {"liar": answer, "honest": source.answer}
    with begun(ledger, tmp_path / "b.ledger") as replica:
        follower = world.follower(replica)
        while replica.height < ledger.height or len(follower.evidence) < 3:
            what = follower.next()
            if isinstance(what, Wait):
                world.clock.advance(what.duration_ms)
            elif isinstance(what, Take):
                follower.take()
            else:
                follower.receive(what, world.carry(*what))
            assert world.clock.elapsed_s() < 60
        assert {each.offence for each in follower.evidence} <= {"behind", "went-back"}
        assert "went-back" in {each.offence for each in follower.evidence}


def test_a_liar_is_shut_out_and_its_evidence_is_bounded(
    ledger: Ledger, world: World, tmp_path: Path
) -> None:
    liar = lies(ledger)["a flipped bit"][1]
    world.peers = {"liar": liar}
    with begun(ledger, tmp_path / "b.ledger") as replica:
        follower = world.follower(replica)
        with pytest.raises(UnavailableError, match=r"at height 0, .* \[\[peer\]\]: liar: wrong-b"):
            catch_up(follower, world.carry, world.pause)
        assert follower.standing("liar").shut_out and not follower.level
        assert sum(path.startswith("/v1/blocks") for _, path in world.asked) == 4
        assert isinstance(follower.next(), Wait)
        assert all(len(each.answer) <= 64 * 1024 for each in follower.evidence)
        assert replica.height == 0


@pytest.mark.parametrize("drive", [catch_up, follow])
def test_nobody_is_waited_for_where_no_peer_is_asked_any_more(
    ledger: Ledger, world: World, tmp_path: Path, drive: Callable[..., None]
) -> None:
    liar = lies(ledger)["a flipped bit"][1]
    with begun(ledger, tmp_path / "b.ledger") as replica:
        world.peers = {"liar": liar, "other": liar}
        with pytest.raises(UnavailableError, match=r"liar: wrong-block; other: wrong-block$"):
            drive(world.follower(replica), world.carry, world.pause)
        world.peers = {}
        with pytest.raises(UnavailableError, match=r"another .*: there was none$"):
            drive(world.follower(replica), world.carry, world.pause)
        assert world.clock.elapsed_s() < 60
        # One that only fails is waited for: it may answer yet.
        world.peers = {"liar": liar, "silent": lambda request: Response(503, b"")}
        drive(world.follower(replica), world.carry, world.pause)
        assert world.clock.elapsed_s() > 600


@pytest.mark.parametrize(
    "path",
    ["//[v1/x", "//[v1/checkpoint", "http://[/v1/anchor", "", "?", "/v1/anchor#x", "//x/v1/anchor"],
)
def test_a_path_that_is_none_is_not_found(ledger: Ledger, path: str) -> None:
    assert Source(ledger).answer(Request("GET", path, 100, 100)).status == 404


def test_late_answers_are_passed_over(ledger: Ledger, world: World, tmp_path: Path) -> None:
    source = Source(ledger)
    world.peers = {"a": source.answer}
    with begun(ledger, tmp_path / "b.ledger") as replica:
        follower = world.follower(replica)
        late = follower.next()
        assert isinstance(late, Ask)
        assert isinstance(follower.next(), Wait)
        follower.fail(late, "no answer within 3000 ms")
        follower.receive(late, source.answer(late.request))
        catch_up(follower, world.carry, world.pause)
        follower.receive(late, source.answer(late.request))
        assert replica.height == ledger.height
        assert [each.offence for each in follower.evidence] == ["unreachable"]


def test_a_full_disk_of_ones_own_blames_nobody(
    ledger: Ledger, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.peers = {"a": Source(ledger).answer}

    def full(self: Replica, expected: object) -> int:
        raise DiskFullError("disk is full")

    with begun(ledger, tmp_path / "b.ledger") as replica:
        follower = world.follower(replica)
        with monkeypatch.context() as patched:
            patched.setattr(Replica, "take", full)
            with pytest.raises(DiskFullError):
                catch_up(follower, world.carry, world.pause)
        assert not follower.evidence
        catch_up(follower, world.carry, world.pause)
        assert replica.height == ledger.height


def test_damage_of_ones_own_is_not_taken_for_absence(
    ledger: Ledger, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = {CorruptError: True, StoreError: True, UnavailableError: False}
    with begun(ledger, tmp_path / "b.ledger") as replica:
        replica.append(ledger.blocks(1))
        for kind, raises in failures.items():
            world.peers = {"a": Source(ledger).answer}
            follower = world.follower(replica)

            def fail(self: Replica, height: int, kind: type[Exception] = kind) -> str:
                raise kind("block 3")

            with monkeypatch.context() as patched:
                patched.setattr(Replica, "note", fail)
                ask = follower.next()
                assert isinstance(ask, Ask)
                answer = Source(ledger).answer(ask.request)
                if raises:
                    with pytest.raises(kind, match="block 3"):
                        follower.receive(ask, answer)
                else:
                    follower.receive(ask, answer)
            assert not follower.evidence


@pytest.fixture
def forked(ledger: Ledger, tmp_path: Path) -> Iterator[Ledger]:
    """The same operator's other history, which parts from the ledger's after its height."""
    ledger.backup(tmp_path / "fork.ledger")
    with Ledger.open(tmp_path / "fork.ledger", key=KEY) as other:
        for count in (20, 1, 20):
            other.append_many([b"only here"] * count)
        grow(ledger, 2)
        yield other


@pytest.mark.parametrize("ahead", [0, 1, 2, 3])
def test_two_histories_of_the_operator_become_evidence_for_anyone(
    ledger: Ledger, forked: Ledger, world: World, tmp_path: Path, ahead: int
) -> None:
    """Whatever the copy holds of the one history when it meets a peer with the other."""
    split = 8
    world.peers = {"a": Source(ledger).answer}
    with begun(ledger, tmp_path / "b.ledger") as replica:
        replica.append(ledger.blocks(1, split + 1 + ahead))
        world.peers = {"fork": Source(forked).answer, "a": Source(ledger).answer}
        follower = world.follower(replica)
        follow(follower, world.carry, lambda seconds: world.pause(seconds) or seconds > 599)
        assert follower.split_views
        for view in follower.split_views:
            first, second = verify_split_view(view.encode(), ledger.trust_anchor)
            assert first != second
        if ahead:
            assert replica.checkpoint == ledger.checkpoint


def test_only_a_fork_below_a_withheld_note_is_shown_by_the_next_header(
    ledger: Ledger, forked: Ledger, world: World, tmp_path: Path
) -> None:
    """A peer that proves nothing and shows no old note gives itself away by its blocks."""
    source = Source(forked)
    with begun(ledger, tmp_path / "b.ledger") as replica:
        replica.append(ledger.blocks(1, 10))
        blocks = Response(200, encode_frames(forked.blocks(10, 12)))
        world.peers = {"fork": source.answer}
        follower = world.follower(replica)
        ask = follower.next()
        assert isinstance(ask, Ask)
        follower.receive(ask, source.answer(ask.request))
        # The proof cannot hold; the machine is led on as if it had.
        follower._peers["fork"].proven = True
        ask = follower.next()
        assert isinstance(ask, Ask) and "blocks" in ask.request.path
        follower.receive(ask, blocks)
        follower.take()
        assert [view.header != b"" for view in follower.split_views] == [True]
        verify_split_view(follower.split_views[0].encode(), ledger.trust_anchor)


def test_frames_and_hashes_have_one_form() -> None:
    frames = [b"", b"a", bytes(300)]
    assert decode_frames(encode_frames(frames), 3) == frames
    assert encode_frames([bytes(10), bytes(10), bytes(10)], 28) == encode_frames([bytes(10)] * 2)
    assert encode_frames([bytes(100)], 28) == encode_frames([bytes(100)])
    assert decode_frames(b"", 0) == []
    answer = encode_frames(frames)
    assert [each.obj is answer for each in split_frames(answer, 3)] == [True] * 3  # no copies
    for wrong in (b"\0\0\0", b"\0\0\0\1", b"\0\0\0\2a", b"\0\0\0\0\0"):
        with pytest.raises(MalformedError):
            decode_frames(wrong, 9)
    with pytest.raises(LimitError):
        decode_frames(encode_frames(frames), 2)
    hashes = [bytes([each]) * 32 for each in range(3)]
    assert decode_hashes(encode_hashes(hashes)) == hashes
    for wrong in (b"\n", b"AA==\n", encode_hashes(hashes)[:-1], encode_hashes([bytes(33)])):
        with pytest.raises(MalformedError):
            decode_hashes(wrong)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/checkpoint", 200),
        ("/v1/checkpoint/3", 200),
        ("/v1/checkpoint/99", 404),
        ("/v1/checkpoint/-1", 400),
        ("/v1/checkpoint/99999999999999999999999", 400),
        ("/v1/anchor", 200),
        ("/v1/consistency?first=1&second=9", 200),
        ("/v1/consistency?first=9&second=1", 400),
        ("/v1/consistency?first=1&second=99999", 400),
        ("/v1/consistency?first=1", 400),
        ("/v1/blocks?begin=0&end=2", 200),
        ("/v1/blocks?begin=2&end=2", 400),
        ("/v1/blocks?begin=99&end=100", 404),
        ("/v1/blocks?begin=0&end=99999999999999", 200),
        ("/v1/other", 404),
        ("/v2/checkpoint", 404),
    ],
)
def test_a_source_answers_every_path_and_never_raises(
    ledger: Ledger, path: str, status: int
) -> None:
    response = Source(ledger).answer(Request("GET", path, 1 << 20, 1000))

    assert response.status == status


def test_no_copy_begins_without_the_genesis_of_the_anchor(
    ledger: Ledger, world: World, tmp_path: Path
) -> None:
    def second_block(request: Request) -> Response:
        return Source(ledger).answer(ask_blocks(1, 2))

    world.peers = {"a": second_block, "b": lambda request: Response(500, b"")}
    with pytest.raises(UnavailableError, match="no peer gave the genesis"):
        begin_copy(tmp_path / "b.ledger", ledger.trust_anchor, ["a", "b"], world.carry)
    assert not (tmp_path / "b.ledger").exists()
    world.peers["c"] = Source(ledger).answer
    begin_copy(tmp_path / "b.ledger", ledger.trust_anchor, ["a", "b", "c"], world.carry).close()


def test_an_operator_whose_first_cosigned_checkpoint_is_an_older_one_is_followed(
    world: World, tmp_path: Path
) -> None:
    """Before one is cosigned it shows its newest, which nobody takes; that is no promise."""
    witness = testing.signing_key(50)
    named = [Witness("w.example", witness.public_key)]
    with Ledger.create(
        tmp_path / "a.ledger", origin=ORIGIN, key=KEY, witnesses=named, quorum=1
    ) as ledger:
        for number in range(3):
            ledger.append(b"%d" % number)
        source = Source(ledger)
        world.peers = {"operator": source.answer}
        with begun(ledger, tmp_path / "b.ledger") as copy:
            follower = world.follower(copy)

            def poll(asks: int) -> None:
                while asks:
                    what = follower.next()
                    if isinstance(what, Ask):
                        follower.receive(what, source.answer(what.request))
                        asks -= 1
                    elif isinstance(what, Take):
                        follower.take()
                    else:
                        world.pause(what.duration_ms / 1000)

            poll(1)
            assert [each.offence for each in follower.evidence] == ["refused"]
            # The witness answers what it was asked before, and falls silent.
            ledger.add_cosignatures(cosign_checkpoint(ledger.note(1), "w.example", witness, 1))
            poll(5)
            assert copy.height == 1
            assert [each.offence for each in follower.evidence] == ["refused"]
            assert not follower.standing("operator").score
            # What was published once stays so: a peer that shows less has gone back.
            ledger.add_cosignatures(cosign_checkpoint(ledger.note(3), "w.example", witness, 2))
            poll(5)
            assert copy.height == 3
            older = source.answer(Request("GET", "/v1/checkpoint/1", 1 << 20, 1000))
            what = follower.next()
            while not isinstance(what, Ask):
                world.pause(what.duration_ms / 1000)
                what = follower.next()
            follower.receive(what, older)
            assert follower.evidence[-1].offence == "went-back"


def test_news_that_comes_while_a_peer_is_asked_is_asked_for_at_once(
    ledger: Ledger, world: World, tmp_path: Path
) -> None:
    source = Source(ledger)
    world.peers = {"a": source.answer}
    with begun(ledger, tmp_path / "b.ledger") as copy:
        follower = world.follower(copy)
        catch_up(follower, world.carry, world.pause)
        asked = resting(follower, world)
        answer = source.answer(asked.request)
        grow(ledger, 1)

        follower.wake("a", ledger.checkpoint)
        follower.receive(asked, answer)

        while copy.height < ledger.height:
            what = follower.next()
            assert not isinstance(what, Wait)
            if isinstance(what, Take):
                follower.take()
            else:
                follower.receive(what, world.carry(*what))


def test_what_a_peer_tells_late_is_no_offence_and_what_it_tells_falsely_is(
    ledger: Ledger, world: World, tmp_path: Path
) -> None:
    world.peers = {"a": Source(ledger).answer}
    with begun(ledger, tmp_path / "b.ledger") as copy:
        follower = world.follower(copy)
        catch_up(follower, world.carry, world.pause)
        for note in (ledger.note(2), ledger.checkpoint, "no checkpoint"):
            follower.wake("a", note)
        assert follower.evidence == []
        follower.receive(resting(follower, world), Source(ledger).answer(ask_checkpoint()))
        forged = ledger.checkpoint
        grow(ledger, 1)
        lines = ledger.checkpoint.split("\n")
        forged = "\n".join([*lines[:-2], forged.split("\n")[-2], ""])

        follower.wake("a", forged)

        told = [(each.offence, each.path) for each in follower.evidence]
        assert told == [("forged", "/v1/events")]


def resting(follower: Follower, world: World) -> Ask:
    """What is asked next, when it may be."""
    while isinstance(what := follower.next(), Wait):
        world.pause(what.duration_ms / 1000)
    assert isinstance(what, Ask)
    return what
