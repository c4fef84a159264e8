"""Histories are complete and verify offline; nothing can be left out, added, swapped or changed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from ledgercore import (
    Checkpoint,
    CorruptError,
    HistoryProof,
    InvalidProof,
    InvalidSignature,
    Ledger,
    LedgerError,
    LimitError,
    MalformedError,
    UntrustedError,
    records,
    rules,
    verify_history,
)
from ledgercore._core import (
    Frontier,
    Map,
    TileTree,
    leaf_hash,
    prove_multi,
    sign_checkpoint,
    state_keys,
)
from ledgercore.clock import ManualClock
from ledgercore.proofs import HISTORY_BYTES, check_complete
from ledgercore.proofs.wire import split_hashes
from ledgercore.rules import BusinessState, Position, View
from ledgercore.store import SqliteStore, StoredTouch
from tests import network, reference
from tests.examples import examples
from tests.network import CONSENT, KEYS, OTHER_CONSENT, PURPOSE, START, ZERO

CONSENT_OBJECT = rules.consent_object(CONSENT)
SUITES = ("std", "c2sp")


def create(path: Path, suite: str = "std") -> Ledger:
    """A ledger of the network in ``tests.network``, with one published product, in block 1."""
    body = network.genesis_body(suite)
    ledger = Ledger.create(
        path,
        origin=body.origin,
        suite=suite,
        members=body.members,
        key=KEYS["operator"],
        clock=ManualClock(START),
    )
    fields = (records.Field("vat.sales_m", "fen", 4),)
    view, encoded = View(ledger.state), []
    for offered in (records.SchemaRegister("tax", 1, "Tax", fields), network.product("tax.v1")):
        record = network.sign(view, "provider", offered)
        network.apply(view, record)
        encoded.append(record.encode())
    ledger.submit_many(encoded)
    return ledger


def submit(ledger: Ledger, signer: str, body: records.RecordBody | bytes) -> bytes:
    """Submit a record, in a block of its own; its id."""
    record = network.sign(View(ledger.state), signer, body)
    ledger.submit(record.encode())
    return record.id


def authorise(ledger: Ledger, consent: bytes, key: str) -> None:
    submit(ledger, "consumer", network.request(consent, key, max_uses=9))
    submit(ledger, key, network.authorise(View(ledger.state), consent, key))


def exchange(ledger: Ledger, consent: bytes = CONSENT) -> bytes:
    intent = submit(
        ledger, "consumer", records.ExchangeIntent(consent, network.ROOT, ZERO, network.FAR)
    )
    submit(ledger, "provider", network.admit(intent))
    submit(ledger, "consumer", records.ExchangeAcknowledge(intent))
    return intent


def use(ledger: Ledger, *exchanges: bytes) -> None:
    decision = submit(ledger, "consumer", network.decision(*exchanges))
    for intent in exchanges:
        submit(ledger, "consumer", records.ExchangeUse(intent, decision, PURPOSE))


def fill(ledger: Ledger) -> None:
    """Two consents, three exchanges that one decision rests on, and data between them."""
    authorise(ledger, CONSENT, "consent key")
    ledger.append(b"data")
    authorise(ledger, OTHER_CONSENT, "other consent key")
    first = exchange(ledger)
    ledger.append_many([b"more", b"data"])
    use(ledger, first, exchange(ledger, OTHER_CONSENT), exchange(ledger))
    submit(ledger, "consent key", records.ConsentRevoke(CONSENT))
    submit(ledger, "consumer", records.ExchangeErase(first, "revoked"))


@pytest.fixture(scope="module", params=SUITES)
def ledger(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with create(tmp_path_factory.mktemp("history") / "a.ledger", request.param) as ledger:
        fill(ledger)
        yield ledger


def slow_histories(ledger: Ledger) -> dict[bytes, list[int]]:
    """Apply every record to an empty view, and see whose count went up."""
    found: dict[bytes, list[int]] = {}
    view, counts = network.empty_view(), Counter[bytes]()
    for index, record in enumerate(ledger):
        rules.apply(view, record.verify(), Position(0, index, START))
        for name, state in view._states.items():
            if isinstance(state, BusinessState) and state.count != counts[name]:
                assert state.count == counts[name] + 1
                counts[name] = state.count
                found.setdefault(name, []).append(index)
    return found


def indices(entries: Any) -> list[int]:
    return [index for index, _ in entries]


# The index.


def test_every_history_is_what_the_slow_way_finds(ledger: Ledger) -> None:
    want = slow_histories(ledger)

    assert {name: indices(ledger.history(name)) for name in want} == want
    assert {name.split(b"/")[0].decode() for name in want} == {
        *("governance", "member", "schema", "product", "consent", "exchange", "decision")
    }
    assert max(map(len, want.values())) == 12


def test_what_was_never_seen_has_an_empty_history(ledger: Ledger) -> None:
    assert ledger.history(rules.decision_object(ZERO)) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (rules.NETWORK, "has no history, want one of governance, member, authorisation"),
        (rules.signer_object(KEYS["provider"].public_key), "has no history"),
        (b"consents/" + ZERO, "is of no family"),
        (b"consent", "is of no family"),
        (b"consent/" + ZERO[1:], "has an id of 31 bytes, want 32"),
    ],
)
def test_what_can_have_no_history_is_refused(ledger: Ledger, name: bytes, message: str) -> None:
    for ask in (ledger.history, ledger.prove_history):
        with pytest.raises(MalformedError, match=message):
            ask(name)


@examples(15)
@given(cuts=st.lists(st.integers(1, 9), min_size=30, max_size=30), suite=st.sampled_from(SUITES))
def test_histories_do_not_depend_on_the_blocks(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], suite: str
) -> None:
    """The same records in other blocks: the same index, and an audit that agrees."""
    directory = tmp_path_factory.mktemp("cut")
    with create(directory / "one.ledger", suite) as one:
        fill(one)
        encoded = [record.encode() for record in one.records(2)]
        want = slow_histories(one)
        rows = one._reader.store.touches_from(1)
    with create(directory / "other.ledger", suite) as other:
        while encoded:
            count = cuts.pop() if cuts else 9
            assert all(isinstance(each, int) for each in other.submit_many(encoded[:count]))
            encoded = encoded[count:]
        other.verify()

        assert other._reader.store.touches_from(1) == rows
        assert {name: indices(other.history(name)) for name in want} == want


def test_a_refused_record_leaves_no_touch(tmp_path: Path) -> None:
    with create(tmp_path / "a.ledger") as ledger:
        authorise(ledger, CONSENT, "consent key")
        before = ledger._reader.store.touch_count()
        view = View(ledger.state)
        refused = network.sign(view, "consumer", network.request(CONSENT, "new consent key"))
        (outcome,) = ledger.submit_many([refused.encode()])

        assert not isinstance(outcome, int)
        assert ledger._reader.store.touch_count() == before
        assert len(ledger.history(CONSENT_OBJECT)) == 2


def test_data_asks_the_index_for_nothing(tmp_path: Path) -> None:
    """Neither to write nor to look again; a record that touches something does."""
    statements: list[str] = []

    def trace(cursor: object, statement: str, bindings: object) -> bool:
        statements.append(statement)
        return True

    def touching() -> list[str]:
        return [statement for statement in statements if "touch" in statement]

    with create(tmp_path / "a.ledger") as ledger:
        ledger._reader.store._connection.exec_trace = trace
        ledger.append(b"data")
        ledger.append_many([b"more"] * 300)
        assert len(statements) > 10 and touching() == []
        submit(ledger, "consumer", network.request(CONSENT, "consent key"))

        assert touching() != []


def test_readers_in_other_processes_follow(tmp_path: Path) -> None:
    with create(tmp_path / "a.ledger") as ledger:
        with Ledger.open(ledger.path, read_only=True) as reader:
            assert reader.history(CONSENT_OBJECT) == []
            authorise(ledger, CONSENT, "consent key")

            assert indices(reader.history(CONSENT_OBJECT)) == [3, 4]
            assert (
                len(reader.prove_history(CONSENT_OBJECT).verify(ledger.trust_anchor).records) == 2
            )
        exchange(ledger)
    with Ledger.open(ledger.path, key=KEYS["operator"], clock=ManualClock(START)) as again:
        exchange(again)

        assert slow_histories(again)[CONSENT_OBJECT] == indices(again.history(CONSENT_OBJECT))
        again.verify()


# Damage.


@pytest.fixture
def damaged(tmp_path: Path) -> Iterator[Ledger]:
    with create(tmp_path / "a.ledger") as ledger:
        fill(ledger)
        yield ledger


@pytest.mark.parametrize(
    ("statement", "message"),
    [  # of the fourth newest touch of the consent, or of its state
        ("DELETE FROM touch WHERE number = {}", r"history of .*: touch \d+ is damaged or missing"),
        ("UPDATE touch SET previous = number WHERE number = {}", "touch .* is damaged"),
        ("UPDATE touch SET previous = 0 WHERE number = {}", "touch 0 is damaged or missing"),
        ("UPDATE touch SET record = record + 99 WHERE number = {}", "touch .* is damaged"),
        ("UPDATE touch SET record = record - 1 WHERE number = {}", "has other records"),
        ("UPDATE state SET touch = 0 WHERE touch = {}", "touch 0 is damaged or missing"),
        ("UPDATE state SET touch = 4 WHERE touch = {}", "touch 0 is damaged or missing"),
    ],
)
def test_a_damaged_index_gives_an_error_and_no_shorter_list(
    damaged: Ledger, statement: str, message: str
) -> None:
    store = damaged._reader.store
    (number,) = store.newest_touches(state_keys(damaged.suite, [CONSENT_OBJECT]))
    if "UPDATE state" not in statement:
        for _ in range(3):
            number = store.touch(number).previous
    store._connection.execute(statement.format(number))
    assert store._connection.changes() == 1

    with pytest.raises(CorruptError, match=message):
        damaged.history(CONSENT_OBJECT)
    with pytest.raises(CorruptError):
        damaged.prove_history(CONSENT_OBJECT)
    with pytest.raises(CorruptError, match="touch"):
        damaged.verify()


def test_a_history_that_goes_on_before_its_first_record_is_damage(damaged: Ledger) -> None:
    store = damaged._reader.store
    (number,) = store.newest_touches(state_keys(damaged.suite, [CONSENT_OBJECT]))
    while previous := store.touch(number).previous:
        number = previous
    store._connection.execute("UPDATE touch SET previous = 1 WHERE number = ?", (number,))

    with pytest.raises(CorruptError, match="more than the 12 records of its state"):
        damaged.history(CONSENT_OBJECT)


@pytest.mark.parametrize("part", ["record", "previous", "newest"])
def test_a_touch_that_is_not_stored_as_made_is_not_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    add, put = SqliteStore.add_touches, SqliteStore.put_states

    def add_wrong(store: SqliteStore, first: int, touches: list[StoredTouch]) -> None:
        wrong = {part: getattr(touches[0], part) ^ 1} if part != "newest" else {}
        add(store, first, [touches[0]._replace(**wrong), *touches[1:]])

    def put_wrong(store: SqliteStore, height: int, keys: Any, states: Any, touches: Any) -> None:
        wrong = {name: number ^ 1 for name, number in touches.items()} if part == "newest" else {}
        put(store, height, keys, states, {**touches, **wrong})

    with create(tmp_path / "a.ledger") as ledger:
        before = ledger.checkpoint
        monkeypatch.setattr(SqliteStore, "add_touches", add_wrong)
        monkeypatch.setattr(SqliteStore, "put_states", put_wrong)
        with pytest.raises(CorruptError, match="not stored as made"):
            submit(ledger, "consumer", network.request(CONSENT, "consent key"))
    monkeypatch.undo()
    with Ledger.open(ledger.path, key=KEYS["operator"]) as ledger:
        assert ledger.checkpoint == before
        ledger.verify()


# Proofs.


def test_every_history_is_proven_as_of_every_checkpoint(ledger: Ledger) -> None:
    sizes = [Checkpoint.parse(ledger.note(height)).size for height in range(ledger.height + 1)]
    for name, want in slow_histories(ledger).items():
        proven = verify_history(ledger.prove_history(name).encode(), ledger.trust_anchor)
        assert (proven.object, proven.checkpoint.size) == (name, ledger.size)
        assert indices(proven.records) == want
        assert proven.newest.checkpoint == proven.checkpoint
        for height, size in enumerate(sizes):
            proof = ledger.prove_history(name, height=height).encode()
            proven = verify_history(proof, ledger.trust_anchor)
            assert proven.checkpoint == Checkpoint.parse(ledger.note(height))
            assert indices(proven.records) == [index for index in want if index < size]
            assert proven.newest.checkpoint.size == ledger.size


def test_a_history_verifies_to_records_and_the_state(ledger: Ledger) -> None:
    proven = ledger.prove_history(CONSENT_OBJECT).verify(ledger.trust_anchor)

    assert [record.kind for _, record in proven.records][:2] == [
        *("consent.request", "consent.authorise")
    ]
    assert all(ledger.record(index) == record for index, record in proven.records)
    state = proven.newest.state
    assert isinstance(state, rules.ConsentState)
    assert (state.status, state.count, state.uses) == ("REVOKED", 12, 2)


def test_an_empty_history_is_proven(ledger: Ledger) -> None:
    proof = ledger.prove_history(rules.exchange_object(ZERO))
    proven = proof.verify(ledger.trust_anchor)

    assert (proven.records, proven.newest.state) == ((), None)
    with pytest.raises(InvalidProof, match="proof of no record has 1 hashes"):
        structs.replace(proof, proof=(ZERO,)).verify(ledger.trust_anchor)


def test_running_hash_is_that_of_an_independent_hash(ledger: Ledger) -> None:
    proven = ledger.prove_history(CONSENT_OBJECT).verify(ledger.trust_anchor)
    history = ZERO
    for _, record in proven.records:
        history = reference.domain_hash(ledger.suite, "history", history + record.id)

    assert history == proven.newest.state.history


def reproven(ledger: Ledger, proof: HistoryProof, chosen: list[int]) -> HistoryProof:
    """The same state with other records, honestly proven to stand in the tree."""
    listed = tuple((index, ledger.record(index).encode()) for index in chosen)
    hashes = tuple(ledger.prove_records(chosen)) if chosen else ()
    return structs.replace(proof, records=listed, proof=hashes)


def test_every_omission_and_every_addition_is_refused(ledger: Ledger) -> None:
    """Whatever else is honestly proven to stand in the tree, but the right list alone."""
    for name, want in slow_histories(ledger).items():
        proof, anchor = ledger.prove_history(name), ledger.trust_anchor
        assert indices(reproven(ledger, proof, want).verify(anchor).records) == want
        counts = range(len(want)) if len(want) <= 6 else (0, 1, len(want) - 1)
        for chosen in (each for count in counts for each in combinations(want, count)):
            message = f"has {len(chosen)} records, want {len(want)}"
            with pytest.raises(InvalidProof, match=message):
                reproven(ledger, proof, list(chosen)).verify(anchor)
        for gone in want:
            rest = [index for index in want if index != gone]
            for other in {*range(ledger.size)} - {*want}:
                with pytest.raises(InvalidProof, match="other records than the object"):
                    reproven(ledger, proof, sorted([*rest, other])).verify(anchor)
        for other in {*range(ledger.size)} - {*want}:
            with pytest.raises(InvalidProof, match=f"has {len(want) + 1} records"):
                reproven(ledger, proof, sorted([*want, other])).verify(anchor)


def test_every_swap_and_every_repetition_is_refused(ledger: Ledger) -> None:
    proof, anchor = ledger.prove_history(CONSENT_OBJECT), ledger.trust_anchor
    listed = list(proof.records)
    for one, other in combinations(range(len(listed)), 2):
        order = list(range(len(listed)))
        order[one], order[other] = other, one
        places = [(listed[at][0], listed[to][1]) for at, to in enumerate(order)]
        with pytest.raises(LedgerError, match="ascend"):
            structs.replace(proof, records=tuple(listed[at] for at in order)).verify(anchor)
        with pytest.raises(InvalidProof, match="root"):
            structs.replace(proof, records=tuple(places)).verify(anchor)
    for at, twice in enumerate(listed):
        repeated = (*listed[:at], twice, *listed[at:])
        with pytest.raises(LedgerError, match="ascend"):
            structs.replace(proof, records=repeated).verify(anchor)
        with pytest.raises(LedgerError, match="ascend"):
            replaced = (*listed[:at], listed[at - 1], *listed[at + 1 :])
            structs.replace(proof, records=replaced).verify(anchor)


def test_a_list_in_another_order_does_not_have_the_running_hash(ledger: Ledger) -> None:
    """Below the tree, where nothing else holds the order."""
    proven = ledger.prove_history(CONSENT_OBJECT).verify(ledger.trust_anchor)
    ids = [record.id for _, record in proven.records]
    state = proven.newest.state
    check_complete(ledger.suite, "list", state, ids)
    for one, other in combinations(range(len(ids)), 2):
        order = list(ids)
        order[one], order[other] = ids[other], ids[one]
        with pytest.raises(InvalidProof, match="or another order"):
            check_complete(ledger.suite, "list", state, order)
    with pytest.raises(InvalidProof, match="has 12 records, want 0"):
        check_complete(ledger.suite, "list", None, ids)


def test_parts_of_another_checkpoint_or_object_do_not_fit(tmp_path: Path) -> None:
    with create(tmp_path / "a.ledger") as ledger:
        authorise(ledger, CONSENT, "consent key")
        older, anchor = ledger.prove_history(CONSENT_OBJECT), ledger.trust_anchor
        submit(ledger, "consent key", records.ConsentRevoke(CONSENT))
        newer = ledger.prove_history(CONSENT_OBJECT)
        other = ledger.prove_history(rules.product_object("tax.v1"))

    assert len(older.verify(anchor).records) == 2
    for part in ("state", "checkpoint", "records"):
        with pytest.raises(InvalidProof):
            structs.replace(newer, **{part: getattr(older, part)}).verify(anchor)
    with pytest.raises(InvalidProof, match="has 3 records, want 1"):
        structs.replace(newer, state=other.state).verify(anchor)
    with pytest.raises(InvalidProof, match="state root"):
        structs.replace(older, state=newer.state).verify(anchor)


def test_the_checkpoint_must_be_of_the_anchor(ledger: Ledger, tmp_path: Path) -> None:
    with Ledger.create(tmp_path / "b.ledger", origin="other.example") as other:
        with pytest.raises(UntrustedError):
            ledger.prove_history(CONSENT_OBJECT).verify(other.trust_anchor)
        fork = ledger.prove_history(CONSENT_OBJECT, height=3)
        with pytest.raises(UntrustedError):
            structs.replace(fork, earlier=other.checkpoint.encode()).verify(ledger.trust_anchor)


def test_an_earlier_checkpoint_must_be_a_beginning_of_the_newest(tmp_path: Path) -> None:
    with create(tmp_path / "a.ledger") as ledger, create(tmp_path / "b.ledger") as fork:
        authorise(ledger, CONSENT, "consent key")
        authorise(fork, OTHER_CONSENT, "other consent key")
        submit(ledger, "consent key", records.ConsentRevoke(CONSENT))
        anchor = ledger.trust_anchor
        assert fork.trust_anchor == anchor, "one operator shows two histories"
        proof = ledger.prove_history(CONSENT_OBJECT, height=3)
        assert indices(proof.verify(anchor).records) == [3, 4]

        for wrong, error in (
            ({"earlier": fork.note(3).encode()}, InvalidProof),
            ({"earlier": ledger.note(2).encode()}, InvalidProof),
            ({"earlier": ledger.checkpoint.encode(), "consistency": ()}, InvalidProof),
            ({"earlier": None}, MalformedError),
            ({"consistency": ()}, InvalidProof),
            ({"consistency": (*proof.consistency, ZERO)}, InvalidProof),
            ({"earlier": b"\xff"}, MalformedError),
        ):
            with pytest.raises(error):
                structs.replace(proof, **wrong).verify(anchor)


def test_every_changed_byte_is_refused(ledger: Ledger, rng: random.Random) -> None:
    anchor = ledger.trust_anchor
    for height in (None, 3):
        data = ledger.prove_history(rules.product_object("tax.v1"), height=height).encode()
        verify_history(data, anchor)
        for at in range(len(data)):
            for bit in range(8) if height is None else [rng.randrange(8)]:
                wrong = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
                with pytest.raises(LedgerError):
                    verify_history(wrong, anchor)
            with pytest.raises(LedgerError):
                verify_history(data[:at], anchor)
        with pytest.raises(LedgerError):
            verify_history(data + b"\0", anchor)


@examples(200)
@given(data=st.binary(max_size=200))
def test_what_is_no_history_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        HistoryProof.decode(b"\x97\x01" + data)


def test_a_history_too_large_for_anyone_is_not_handed_out(ledger: Ledger) -> None:
    proof = ledger.prove_history(CONSENT_OBJECT)
    large = structs.replace(proof, records=((0, bytes(HISTORY_BYTES)),))

    with pytest.raises(LimitError, match="want at most 16777216"):
        large.encode()
    with pytest.raises(LimitError, match="want at most 16777216"):
        HistoryProof.decode(bytes(HISTORY_BYTES + 1))


def test_signatures_of_records_are_verified(
    ledger: Ledger,
) -> None:
    """An operator may put what nobody signed into its own tree: a history does not take it."""
    data = bytearray(ledger.record(0).encode())
    data[-1] ^= 1
    leaf = leaf_hash(ledger.suite, bytes(data))
    frontier, _ = Frontier(ledger.suite).append(leaf)
    [tile] = TileTree.build(ledger.suite, [leaf])
    name = rules.member_object("provider")
    value = ledger.state(name)
    assert value is not None
    states = Map(ledger.suite).update([(name, value)])
    anchor = ledger.trust_anchor
    checkpoint = Checkpoint(
        origin=anchor.origin,
        size=1,
        root=frontier.root(),
        height=0,
        block_hash=ZERO,
        state_root=states.root(),
    )
    forged = HistoryProof(
        version=1,
        checkpoint=sign_checkpoint(checkpoint, KEYS["operator"]).encode(),
        state=states.prove(name, value).encode(),
        records=((0, bytes(data)),),
        proof=tuple(split_hashes(prove_multi(ledger.suite, [0], 1, {(0, 0): tile}))),
        earlier=None,
        consistency=(),
    )

    with pytest.raises(InvalidSignature, match="record 0"):
        forged.verify(anchor)
