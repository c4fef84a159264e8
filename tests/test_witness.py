"""A witness cosigns one history of each ledger, and says to whoever asks why not another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from ledgercore import BusyError, CorruptError, Ledger, SigningKey, StoreError, UnavailableError
from ledgercore.clock import ManualClock
from ledgercore.records import Witness as WitnessEntry
from ledgercore.store import WitnessStore
from ledgercore.sync import Publisher, Request, Response, Witness, publish
from ledgercore.sync.messages import ask_cosignature
from tests.histories import ORIGIN, History, anchor

NAME = "w.example"
KEY = SigningKey(bytes([9]) * 32)
SUITES = ["std", "c2sp"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "w.witness"


@pytest.fixture
def store(path: Path) -> Iterator[WitnessStore]:
    store = WitnessStore.create(path)
    yield store
    store.close()


def watching(store: WitnessStore, suite: str = "std") -> Witness:
    return Witness(NAME, KEY, [anchor(suite)], store, ManualClock(1_700_000_000_000))


def ask(witness: Witness, history: History, old: int, new: int, of: int | None = None) -> Response:
    proof = history.proof(old if of is None else of, new)
    return witness.answer(ask_cosignature(old, proof, history.note(new)))


@pytest.mark.parametrize("suite", SUITES)
def test_cosignatures_verify_and_follow_one_history(store: WitnessStore, suite: str) -> None:
    history, witness = History(suite), watching(store, suite)
    trusting = anchor(suite, witnesses=[(NAME, KEY.public_key)], quorum=1)
    old = 0
    for new in (1, 1, 2, 7, 7, 64, 65, 200):
        response = ask(witness, history, old, new)
        assert response.status == 200
        trusting.verify_checkpoint(history.note(new) + response.body.decode())
        old = new
    cosigned = witness.cosigned(ORIGIN)
    assert cosigned is not None and cosigned.size == 200


@pytest.mark.parametrize("suite", SUITES)
def test_what_does_not_go_on_from_what_was_cosigned_is_refused(
    store: WitnessStore, suite: str
) -> None:
    history, fork = History(suite), History(suite, parts_at=5, branch=1)
    witness = watching(store, suite)
    assert ask(witness, history, 0, 8).status == 200

    stale = ask(witness, history, 3, 9)
    assert (stale.status, stale.body, stale.content_type) == (409, b"8\n", "text/x.tlog.size")
    assert ask(witness, history, 0, 9).status == 409
    assert ask(witness, history, 4, 3, of=0).status == 400
    assert ask(witness, history, 3, 7).status == 409
    assert ask(witness, history, 8, 9, of=7).status == 422
    assert ask(witness, fork, 8, 9).status == 422
    assert ask(witness, fork, 8, 8).status == 422
    cosigned = witness.cosigned(ORIGIN)
    assert cosigned is not None and cosigned.size == 8
    assert ask(witness, history, 8, 9).status == 200


def test_contradicting_checkpoints_are_kept_as_evidence(store: WitnessStore, path: Path) -> None:
    history, fork = History(), History(parts_at=5, branch=1)
    witness = watching(store)
    ask(witness, history, 0, 8)

    ask(witness, fork, 8, 8)
    ask(witness, fork, 0, 8)

    (view,) = witness.split_views()
    first, second = view.verify(anchor())
    assert sorted([first.root, second.root]) == sorted(
        [history.checkpoint(8).root, fork.checkpoint(8).root]
    )
    store.close()
    assert WitnessStore(path).evidence() == [view.encode()]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"old 0\n", 400),
        (b"old 0\n\n", 404),
        (b"old -1\n\nx", 400),
        (b"old 01\n\nx", 400),
        (b"old 99999999999999999999999\n\nx", 400),
        (b"new 0\n\nx", 400),
        (b"old 0\nAAAA\n\nx", 400),
        (b"old 0\n" + (b"A" * 43 + b"=\n") * 64 + b"\nx", 400),
        (b"old 0\n\n" + bytes(70_000), 400),
        (b"old 0\n\n\xff", 400),
        (b"old 0\n\nwatched.example\nno more\n", 400),
        (b"old 0\n\nother.example\n1\n", 404),
        (b"old 1\n\n" + b"watched.example\n" * 9, 400),
    ],
)
def test_malformed_requests_are_answered(store: WitnessStore, body: bytes, status: int) -> None:
    request = Request("POST", "/v1/add-checkpoint", 1 << 20, 1000, body)

    assert watching(store).answer(request).status == status
    assert store.cosigned(ORIGIN) is None


def test_a_checkpoint_that_the_operator_did_not_sign_is_refused(store: WitnessStore) -> None:
    witness, note = watching(store), History().note(3)
    for wrong in (note.replace("\n3\n", "\n4\n"), note.split("\n\n")[0] + "\n\n— x AAAAAAAA\n"):
        assert witness.answer(ask_cosignature(0, [], wrong)).status in (400, 403)
    changed = note.replace("\n3\n", "\n4\n")
    assert witness.answer(ask_cosignature(0, [], changed)).status == 403
    assert witness.answer(ask_cosignature(0, [bytes(32)], note)).status == 422
    assert witness.cosigned(ORIGIN) is None


def test_a_witness_that_lost_its_file_or_has_another_does_not_go_on(
    store: WitnessStore, path: Path, tmp_path: Path
) -> None:
    assert ask(watching(store), History(), 0, 8).status == 200
    store.replace(ORIGIN, store.cosigned(ORIGIN), History().note(9).replace("\n9\n", "\n3\n"))
    witness = watching(store)
    for _ in range(2):
        assert b"is damaged" in ask(witness, History(), 8, 9).body
    with pytest.raises(CorruptError, match="is damaged"):
        witness.cosigned(ORIGIN)
    store.close()
    path.unlink()
    with pytest.raises(StoreError, match="must retire its key"):
        WitnessStore(path)
    Ledger.create(tmp_path / "a.ledger", origin=ORIGIN).close()
    with pytest.raises(StoreError, match="not a witness's file"):
        WitnessStore(tmp_path / "a.ledger")
    with pytest.raises(StoreError, match="exists already"):
        WitnessStore.create(tmp_path / "a.ledger")


def test_a_signer_that_is_away_for_a_while_does_not_stop_the_witness(
    store: WitnessStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    witness = watching(store)

    def away(*given: object) -> str:
        raise UnavailableError("signer does not answer")

    with monkeypatch.context() as patched:
        patched.setattr("ledgercore.sync.witness.cosign_checkpoint", away)
        refused = ask(witness, History(), 0, 8)
        assert (refused.status, refused.body) == (503, b"signer does not answer\n")
    assert ask(witness, History(), 8, 8).status == 200


class NoLock:
    """As where two hosts share a disk, on which locks do not hold."""

    def __init__(self, path: str) -> None:
        pass

    def close(self) -> None:
        pass


REPLACES = """
import sys
from ledgercore.store import WitnessStore
WitnessStore(sys.argv[1]).replace("a.example", None, "another history")
"""


def test_a_host_that_reads_the_file_lets_no_other_process_cosign_from_it(path: Path) -> None:
    """A process gives SQLite's locks away when it closes any descriptor of the file."""
    others: list[subprocess.CompletedProcess[str]] = []

    def read_and_let_another(cursor: object, sql: str, bindings: object) -> bool:
        if "INSERT" in sql:  # the transaction has begun
            path.read_bytes()
            command = [sys.executable, "-c", REPLACES, str(path)]
            others.append(subprocess.run(command, capture_output=True, text=True, check=False))
        return True

    with closing(WitnessStore.create(path)) as store:
        assert store.cosigned("a.example") is None
        store._connection.set_exec_trace(read_and_let_another)
        store.replace("a.example", None, "one history")

    (other,) = others
    assert other.returncode == 1
    assert "is open already, in this process or another" in other.stderr
    with closing(WitnessStore(path)) as again:
        assert again.cosigned("a.example") == "one history"


def test_a_witness_s_file_is_one_process_s_by_whatever_name(path: Path) -> None:
    link = path.with_name("link")
    link.symlink_to(path)
    with closing(WitnessStore.create(path)), pytest.raises(BusyError, match="stop the other one"):
        WitnessStore(link)
    WitnessStore(link).close()
    path.with_name("hard").hardlink_to(path)
    with pytest.raises(StoreError, match="has 2 names"):
        WitnessStore(path)


def test_a_forked_process_leaves_a_witness_s_file_to_its_parent(path: Path) -> None:
    """It has not the lock, which the next process takes once the parent has ended."""
    with closing(WitnessStore.create(path)) as store:
        store.replace("a.example", None, "one history")
        child = os.fork()
        if not child:
            signal.alarm(60)
            refused = 0
            uses: list[Callable[[], object]] = [
                lambda: store.replace("a.example", "one history", "another"),
                lambda: store.cosigned("a.example"),
                lambda: store.add_evidence(b"evidence"),
                store.evidence,
            ]
            for use in uses:
                try:
                    use()
                except UnavailableError as error:
                    refused += "was opened in process" in str(error)
            store.close()
            os._exit(refused)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 4
        assert store.cosigned("a.example") == "one history"
        with pytest.raises(BusyError, match="is open already, in this process or another"):
            WitnessStore(path)


def test_two_connections_of_one_witness_never_cosign_two_histories(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the lock does not hold; both histories race from a size."""
    monkeypatch.setattr("ledgercore.store.witnessed.WriterLock", NoLock)
    for number in range(20):
        begin = 5 + number
        histories = [History(parts_at=begin, branch=branch) for branch in (1, 2)]
        fresh = path.with_name(f"{number}.witness")
        WitnessStore.create(fresh).close()
        base = WitnessStore(fresh)
        assert ask(watching(base), histories[0], 0, begin).status == 200
        base.close()

        def race(history: History, fresh: Path = fresh, begin: int = begin) -> list[int]:
            own = WitnessStore(fresh)
            witness = watching(own)
            found = [ask(witness, history, begin + at, begin + at + 1).status for at in range(5)]
            own.close()
            return found

        with ThreadPoolExecutor(2) as pool:
            outcomes = list(pool.map(race, histories))
        assert [200 in statuses for statuses in outcomes].count(True) == 1, outcomes


# Publication.


WITNESSES = {f"w{number}.example": SigningKey(bytes([40 + number]) * 32) for number in range(3)}


class Town:
    """A ledger whose anchor wants two of three witnesses, and the witnesses."""

    def __init__(self, directory: Path, suite: str) -> None:
        entries = [WitnessEntry(name, key.public_key) for name, key in WITNESSES.items()]
        self.ledger = Ledger.create(
            directory / "a.ledger", origin=ORIGIN, suite=suite, witnesses=entries, quorum=2
        )
        clock = ManualClock(1_700_000_000_000)
        self.stores = {name: WitnessStore.create(directory / name) for name in WITNESSES}
        self.witnesses = {
            name: Witness(name, key, [self.ledger.trust_anchor], self.stores[name], clock)
            for name, key in WITNESSES.items()
        }
        self.down: set[str] = set()
        self.lies: dict[str, Response] = {}
        self.asked: list[str] = []

    def carry(self, peer: str, request: Request) -> Response:
        self.asked.append(peer)
        if peer in self.down:
            raise OSError("connection refused")
        return self.lies.get(peer) or self.witnesses[peer].answer(request)

    def close(self) -> None:
        self.ledger.close()
        for store in self.stores.values():
            store.close()


@pytest.fixture(params=SUITES)
def town(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Town]:
    town = Town(tmp_path, request.param)
    yield town
    town.close()


def test_receipts_verify_once_k_of_n_have_cosigned(town: Town) -> None:
    publisher = Publisher(town.ledger)
    for number in range(3):
        receipt = town.ledger.append(b"payload %d" % number)
        town.down = {f"w{number}.example"}
        note = publish(publisher, town.carry)
        assert publisher.published == note == town.ledger.checkpoint
        receipt = town.ledger.receipt(receipt.index)
        receipt.verify(b"payload %d" % number, town.ledger.trust_anchor)
    # What was down for a round is caught up with: it says what it knows.
    town.down = set()
    town.ledger.append(b"last")
    publish(Publisher(town.ledger), town.carry)


def test_what_the_quorum_does_not_cosign_is_not_published(town: Town) -> None:
    publisher = Publisher(town.ledger)
    lies = {
        "status 500": Response(500, b"no"),
        "no line": Response(200, b""),
        "no text": Response(200, b"\xff"),
        "another's line": Response(200, b"\xe2\x80\x94 x.example AAAAAAAA\n"),
        "a size from nowhere": Response(409, b"99999999999"),
        "a size that is none": Response(409, b"many"),
        "a size of zeros": Response(409, b"0" * 20 + b"1"),
        "a size of two forms": Response(409, b"01"),
        "a size without end": Response(409, b"0" * 20 + b"9" * 4_980),
        "the same size for ever": Response(409, b"1\n"),
    }
    town.down = {"w0.example"}
    for name, lie in lies.items():
        town.lies = {"w1.example": lie}
        town.asked.clear()
        with pytest.raises(UnavailableError, match="not cosigned by the quorum: "):
            publish(publisher, town.carry)
        assert publisher.published is None, name
        assert town.asked.count("w1.example") <= 3
    town.lies = {}
    publish(publisher, town.carry)
    assert publisher.published is not None


def test_a_witness_that_knows_another_history_is_evidence_and_no_quorum(
    town: Town, tmp_path: Path
) -> None:
    """The operator goes on from an old copy: witnesses that saw the first do not cosign."""
    town.ledger.append(b"first")
    town.ledger.backup(tmp_path / "old.ledger")
    town.ledger.append(b"second")
    publish(Publisher(town.ledger), town.carry)
    (tmp_path / "old.ledger.key").write_bytes((tmp_path / "a.ledger.key").read_bytes())
    (tmp_path / "old.ledger.key").chmod(0o600)
    with Ledger.open(tmp_path / "old.ledger") as other:
        other.append(b"another second")
        town.down = {"w2.example"}
        with pytest.raises(UnavailableError, match="contradicts"):
            publish(Publisher(other), town.carry)
        views = [view for each in town.witnesses.values() for view in each.split_views()]
        assert views
        for view in views:
            view.verify(town.ledger.trust_anchor)
