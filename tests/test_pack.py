"""Evidence packs: what they prove offline, and that nothing changed in one goes through."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import pytest

from ledgercore import Checkpoint, Ledger, LedgerError, LimitError, UntrustedError, records
from ledgercore._core import Anchor
from ledgercore.demo import DemoResult, run_demo
from ledgercore.exchange import build_pack, verify_pack
from ledgercore.exchange.evidence import concerns
from ledgercore.exchange.pack import PACK_BYTES, Pack
from ledgercore.proofs import decode_part
from ledgercore.rules import (
    ExchangeState,
    agreement_object,
    consent_object,
    decision_object,
    decode_state,
    dispute_object,
    exchange_object,
    member_object,
    product_object,
)
from ledgercore.store import SqliteStore, StoredBundle
from ledgercore.vault import Vault
from tests.town import Town


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> DemoResult:
    return run_demo(tmp_path_factory.mktemp("packs") / "demo", firms=24)


@pytest.fixture(scope="module")
def anchor(run: DemoResult) -> Anchor:
    with Ledger.open(run.ledger, read_only=True) as ledger:
        return ledger.trust_anchor


def claims(run: DemoResult, anchor: Anchor, name: str) -> dict[str, str]:
    found = verify_pack(run.packs[name].read_bytes(), anchor)
    return {claim.name: claim.status for claim in found}


def test_a_completed_exchange_is_proven_from_consent_to_use(
    run: DemoResult, anchor: Anchor
) -> None:
    found = claims(run, anchor, "plain")

    names = "complete product agreement consent live request scope purpose payload answer"
    assert found == dict.fromkeys(
        [*names.split(), "release", "delivery", "decision", "use"], "proven"
    )


def test_after_erasure_the_pack_verifies_and_says_so(run: DemoResult, anchor: Anchor) -> None:
    found = claims(run, anchor, "erase")

    assert found["payload"] == "erased"
    assert found["erased"] == found["use"] == found["live"] == found["scope"] == "proven"


def test_a_pack_of_a_refused_exchange_proves_that_it_was_not_admitted(
    run: DemoResult, anchor: Anchor
) -> None:
    for name in ("revoke-early", "expire", "out-of-scope"):
        found = claims(run, anchor, name)
        assert found["outcome"] == "proven" and "live" not in found


def test_use_after_a_late_revocation_is_not_in_the_pack(run: DemoResult, anchor: Anchor) -> None:
    found = claims(run, anchor, "revoke-late")

    assert found["revoked"] == "proven" and "use" not in found


def test_every_changed_byte_is_refused(run: DemoResult, anchor: Anchor, rng: random.Random) -> None:
    data = run.packs["plain"].read_bytes()
    for at in rng.sample(range(len(data)), 1500):
        wrong = data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
        with pytest.raises(LedgerError):
            verify_pack(wrong, anchor)
    for cut in (0, 1, len(data) // 2, len(data) - 1):
        with pytest.raises(LedgerError):
            verify_pack(data[:cut], anchor)
    with pytest.raises(LedgerError):
        verify_pack(data + b"\0", anchor)


def test_a_pack_without_one_of_its_records_is_not_complete(
    run: DemoResult, anchor: Anchor, tmp_path: Path
) -> None:
    """Even an honest multiproof over the rest does not hide that a record is missing."""
    import msgspec

    pack = msgspec.msgpack.decode(run.packs["revoke-late"].read_bytes(), type=Pack)
    with Ledger.open(run.ledger, read_only=True) as ledger:
        for gone in range(2, len(pack.records)):
            rest = pack.records[:gone] + pack.records[gone + 1 :]
            proof = tuple(ledger.prove_records([index for index, _ in rest]))
            shorter = msgspec.structs.replace(pack, records=rest, proof=proof)
            with pytest.raises(LedgerError):
                verify_pack(msgspec.msgpack.encode(shorter), anchor)


def test_a_pack_of_another_network_is_not_trusted(run: DemoResult, tmp_path: Path) -> None:
    other = Ledger.create(tmp_path / "other.ledger", origin="tax.example/exchange")
    with other, pytest.raises(UntrustedError):
        verify_pack(run.packs["plain"].read_bytes(), other.trust_anchor)


def test_a_party_without_the_openings_proves_the_rest(run: DemoResult, anchor: Anchor) -> None:
    vault = Vault(run.ledger.parent / "regulator.vault")
    with Ledger.open(run.ledger, read_only=True) as ledger:
        exchange = next(record.id for record in ledger if record.kind == "exchange.intent")
        pack = build_pack(ledger, vault, exchange)
    vault.close()

    found = {claim.name: claim.status for claim in verify_pack(pack, anchor)}

    assert found["payload"] == found["scope"] == "withheld"
    assert found["live"] == found["complete"] == "proven"


def test_verifying_a_pack_loads_neither_ledger_nor_vault() -> None:
    code = "from ledgercore.exchange import verify_pack; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {*done.stdout.split()}

    assert "ledgercore.exchange.claims" in loaded
    assert not {"apsw", "ledgercore.ledger", "ledgercore.store", "ledgercore.vault"} & loaded


def test_a_pack_of_a_live_ledger_is_of_one_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process appends before each of the reads; the pack verifies, and misses nothing."""
    town = Town(tmp_path)
    proposal = town.consent(max_uses=9)
    intent, _ = town.intend(proposal)
    with Ledger.open(town.parties.ledger.path, read_only=True) as ledger:
        for name in ("state", "history", "prove_records", "prove_state"):
            read = getattr(ledger, name)

            def live(*args: object, read: Callable[..., object] = read) -> object:
                town.intend(proposal)
                return read(*args)

            monkeypatch.setattr(ledger, name, live)
        before = town.parties.ledger.size
        pack = build_pack(ledger, None, intent)
    found = {claim.name: claim for claim in verify_pack(pack, town.parties.ledger.trust_anchor)}
    after = town.parties.ledger.size
    town.parties.close()

    assert found["complete"].status == "proven"
    assert before < int(found["complete"].statement.split()[-1]) < after


def scanned(ledger: Ledger, consent: bytes) -> tuple[dict[int, bytes], list[bytes]]:
    """The slow way: every record of the ledger, and whether it concerns the consent."""
    found, objects = {0: ledger.record(0).encode()}, []
    exchanges: set[bytes] = set()
    decisions: set[bytes] = set()
    published: dict[str, tuple[int, bytes]] = {}
    negotiated: dict[bytes, dict[int, bytes]] = {}
    for index, record in enumerate(ledger.records(1), 1):
        if record.kind == "data":
            continue
        body = records.decode(record.kind, record.body)
        if record.kind.startswith("agreement."):
            negotiated.setdefault(body.agreement, {})[index] = record.encode()
        elif isinstance(body, records.ProductPublish):
            published[body.product] = (index, record.encode())
        elif concerns(body, consent, exchanges, decisions):
            found[index] = record.encode()
            if isinstance(body, records.ConsentRequest):
                at, encoded = published[body.product]
                found[at] = encoded
                objects.append(product_object(body.product))
                assert body.agreement is not None
                objects.append(agreement_object(body.agreement))
                found |= negotiated[body.agreement]
            elif isinstance(body, records.ExchangeIntent):
                exchanges.add(record.id)
            elif isinstance(body, records.DecisionRecord):
                decisions.add(record.id)
                objects.append(decision_object(record.id))
            elif isinstance(body, records.DisputeOpen):
                objects.append(dispute_object(body.exchange))
    keys = {each.signing_key: each.member for each in ledger.genesis.members}
    signers = {ledger.record(index).key for index in found if index} & set(keys)
    return found, objects + [member_object(each) for each in sorted(keys[key] for key in signers)]


def test_packs_hold_what_a_scan_of_the_ledger_finds(run: DemoResult) -> None:
    with Ledger.open(run.ledger, read_only=True) as ledger:
        intents = [record.id for record in ledger if record.kind == "exchange.intent"]
        for exchange in intents:
            pack = decode_part(build_pack(ledger, None, exchange), Pack, "pack", PACK_BYTES)
            value = ledger.state(exchange_object(exchange))
            assert value is not None
            consent = decode_state(value, ExchangeState).consent
            found, objects = scanned(ledger, consent)

            assert pack.records == tuple(sorted(found.items()))
            names = [consent_object(consent), exchange_object(exchange), *objects]
            assert pack.states == tuple(ledger.prove_state(name).encode() for name in names)
            assert pack.proof == tuple(ledger.prove_records(sorted(found)))
    assert len(intents) > 20


def test_a_pack_reads_only_its_own_bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of thousands of records before and after: as often as in a ledger without them."""
    reads: list[int] = []
    bundle_of = SqliteStore.bundle_of

    def count(store: SqliteStore, index: int) -> StoredBundle | None:
        found = bundle_of(store, index)
        assert found is not None
        reads.append(found.first_index)
        return found

    town = Town(tmp_path)
    with town.parties.ledger as ledger:
        ledger.append_many([b"before"] * 5000)
        intent, request = town.intend(town.consent())
        town.deliver(intent, request)
        ledger.append_many([b"after"] * 5000)
        for _ in range(50):
            town.intend(town.consent())
        monkeypatch.setattr(SqliteStore, "bundle_of", count)
        pack = decode_part(build_pack(ledger, None, intent), Pack, "pack", PACK_BYTES)

        monkeypatch.undo()
        own = {ledger._reader._bundle_of(index).first_index for index, _ in pack.records}
    assert Checkpoint.parse(pack.checkpoint.decode()).size > 10_000
    assert set(reads) == own and len(own) == len(pack.records) == 12
    assert len(reads) <= 2 * len(pack.records)


def test_a_pack_is_made_while_another_thread_appends(tmp_path: Path) -> None:
    town = Town(tmp_path)
    proposal = town.consent(max_uses=9)
    intent, _ = town.intend(proposal)
    done = Event()

    def append() -> None:
        while not done.is_set():
            town.intend(proposal)

    thread = Thread(target=append)
    thread.start()
    try:
        for _ in range(20):
            pack = build_pack(town.parties.ledger, None, intent)
            verify_pack(pack, town.parties.ledger.trust_anchor)
    finally:
        done.set()
        thread.join()
        town.parties.close()


def test_a_pack_that_nobody_would_take_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = Town(tmp_path)
    try:
        intent, _ = town.intend(town.consent())
        ledger = town.parties.ledger
        size = len(build_pack(ledger, None, intent))
        monkeypatch.setattr("ledgercore.exchange.pack.PACK_BYTES", size - 1)

        with pytest.raises(LimitError, match=f"pack has {size} bytes, want at most {size - 1}"):
            build_pack(ledger, None, intent)
    finally:
        town.parties.close()
