"""Evidence packs: what they prove offline, and that nothing changed in one goes through."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import pytest

from ledgercore import Ledger, LedgerError, UntrustedError
from ledgercore._core import Anchor
from ledgercore.demo import DemoResult, run_demo
from ledgercore.exchange import build_pack, verify_pack
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

    names = "complete product consent live request scope purpose payload answer release delivery"
    assert found == dict.fromkeys([*names.split(), "decision", "use"], "proven")


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

    from ledgercore.exchange.pack import Pack

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
        for name in ("records", "prove_records", "prove_state"):
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
