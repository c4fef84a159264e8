"""A party signs one record a sequence, whatever crashes, is lost, or comes back from a backup."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ledgercore import Ledger, Record, SigningKey
from ledgercore.clock import ManualClock
from ledgercore.demo.parties import BANK
from ledgercore.entropy import SeededEntropy
from ledgercore.errors import InconsistentError, RefusedError, RollbackError
from ledgercore.exchange import signer as signer_module
from ledgercore.exchange import submission
from ledgercore.exchange.pack import build_pack
from ledgercore.exchange.signer import Kept, RecordSigner, outstanding
from ledgercore.exchange.submission import Accepted, Draft, resume, submit
from ledgercore.records import Member, SchemaRegister, SchemaRetire
from ledgercore.vault import Vault
from tests.examples import examples
from tests.town import Town

KEY = SigningKey(bytes([5]) * 32)
VAULT_KEY = bytes([6]) * 32
STEPS = ("reserving", "reserved", "sent", "judged", "releasing")


class CrashError(BaseException):
    """The process ends here: nothing after it runs, and its transaction is not committed."""


class Network:
    """A ledger as a party sees it, on which every record that leaves the party is looked at.

    ``crash`` names the step at which the party's process ends. A record that is sent with another
    one of its sequence not yet refused is what must never happen.
    """

    def __init__(self, directory: Path) -> None:
        self.ledger = Ledger.create(
            directory / "a.ledger",
            origin="example.org/chain",
            members=[Member("tax", "tax", ("provider",), KEY.public_key, bytes(32))],
            clock=ManualClock(1_700_000_000_000),
            entropy=SeededEntropy(1),
        )
        self.crash = ""
        self.sent: dict[int, bytes] = {}
        self.refused: set[bytes] = set()
        self.equivocations: list[int] = []

    @property
    def __class__(self) -> type:
        """It stands in for a ledger, and is taken for one where types are looked at."""
        return Ledger

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ledger, name)

    def reach(self, step: str) -> None:
        if self.crash == step:
            self.crash = ""
            raise CrashError(step)

    def next_position(self, key: bytes) -> tuple[int, bytes]:
        self.reach("reserving")
        return self.ledger.next_position(key)

    def submit_many(self, records: Sequence[bytes]) -> list[Any]:
        self.reach("reserved")
        for record in map(Record.decode, records):
            before = self.sent.get(record.sequence, record.id)
            if before != record.id and before not in self.refused:
                self.equivocations.append(record.sequence)
            self.sent[record.sequence] = record.id
        self.reach("sent")
        results = self.ledger.submit_many(records)
        for record, result in zip(map(Record.decode, records), results, strict=True):
            if isinstance(result, RefusedError):
                self.refused.add(record.id)
        self.reach("judged")
        if any(isinstance(result, RefusedError) for result in results) and self.crash:
            self.crash = "reserving"  # the next thing that is asked is asked while releasing
        return results


def publish(signer: RecordSigner, number: int) -> Draft:
    return Draft(signer, SchemaRegister(f"schema-{number}", 1, "", ()))


class Party:
    """A party whose vault can be copied, put back, and opened anew."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "a.vault"
        self.open()

    def open(self) -> None:
        self.vault = Vault(self.path, VAULT_KEY, entropy=SeededEntropy(2))
        self.signer = RecordSigner(KEY, self.vault)

    def close(self) -> None:
        self.vault.close()

    def restart(self) -> None:
        self.vault.close()
        self.open()

    def restore(self, copy: Path) -> None:
        self.vault.close()
        for left in self.path.parent.glob("a.vault*"):
            left.unlink()
        shutil.copy(copy, self.path)
        self.open()


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    network = Network(tmp_path)
    yield network
    network.ledger.close()


@pytest.fixture
def party(tmp_path: Path) -> Iterator[Party]:
    party = Party(tmp_path)
    yield party
    party.vault.close()


# Each step.


@pytest.mark.parametrize("step", STEPS)
def test_after_a_crash_at_any_step_the_same_records_are_sent(
    network: Network, party: Party, step: str
) -> None:
    submit(network, [publish(party.signer, 0)])
    drafts = [publish(party.signer, number) for number in (1, 0, 2)]  # 0 is there: refused
    network.crash = step
    with pytest.raises(CrashError):
        submit(network, drafts)
    party.restart()

    outcomes = submit(network, [publish(party.signer, 3)])

    assert isinstance(outcomes[0], Accepted)
    assert network.equivocations == []
    names = [record.body for record in network.ledger if record.kind == "schema.register"]
    assert len(names) == len(set(names)) >= 2
    assert not outstanding(network, party.signer)


def test_the_same_drafts_after_a_crash_are_the_same_records(network: Network, party: Party) -> None:
    drafts = [publish(party.signer, number) for number in (1, 2)]
    network.crash = "sent"
    with pytest.raises(CrashError):
        submit(network, drafts)
    sent = dict(network.sent)
    party.restart()

    outcomes = submit(network, [publish(party.signer, number) for number in (1, 2)])

    assert [outcome.id for outcome in outcomes if isinstance(outcome, Accepted)] == [*sent.values()]
    assert network.ledger.size == 3


def test_what_is_resumed_is_told(network: Network, party: Party) -> None:
    submit(network, [publish(party.signer, 0)])
    network.crash = "reserved"
    with pytest.raises(CrashError):
        submit(network, [publish(party.signer, number) for number in (1, 0)])
    party.restart()

    accepted, refused = resume(network, [party.signer])

    assert isinstance(accepted, Accepted) and accepted.index == 2
    assert isinstance(refused, RefusedError) and refused.code == "E_EXISTS"
    assert resume(network, [party.signer]) == []


def test_the_control_run_without_reserving_signs_two_records(
    network: Network, party: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RecordSigner, "load", lambda self, network: None)
    network.crash = "sent"
    with pytest.raises(CrashError):
        submit(network, [publish(party.signer, 1)])
    party.restart()
    submit(network, [publish(party.signer, 2)])

    assert network.equivocations == [0]


# Nothing is signed that is not kept.


def test_nothing_is_signed_before_it_is_durable(
    network: Network, party: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    sign = RecordSigner.records

    def watched(signer: RecordSigner, ledger: Ledger, kept: Kept) -> list[Record]:
        beside = Vault(party.path, VAULT_KEY)  # sees only what is committed
        seen.append(RecordSigner(KEY, beside).load(ledger.network) == kept)
        beside.close()
        return sign(signer, ledger, kept)

    monkeypatch.setattr(RecordSigner, "records", watched)
    submit(network, [publish(party.signer, number) for number in (1, 1, 2)])

    assert len(seen) >= 2 and all(seen)


# Backups and other views.


def test_a_restored_backup_goes_on_from_where_the_ledger_is(
    network: Network, party: Party, tmp_path: Path
) -> None:
    submit(network, [publish(party.signer, 0)])
    party.vault.erase([])
    shutil.copy(party.path, tmp_path / "backup")
    submit(network, [publish(party.signer, number) for number in (1, 2, 3)])
    party.restore(tmp_path / "backup")

    (outcome,) = submit(network, [publish(party.signer, 4)])

    assert isinstance(outcome, Accepted) and outcome.index == 5
    assert network.equivocations == []


def test_an_older_ledger_is_not_signed_for(network: Network, party: Party, tmp_path: Path) -> None:
    submit(network, [publish(party.signer, 0)])
    network.ledger.backup(tmp_path / "older.ledger")
    submit(network, [publish(party.signer, 1)])
    submit(network, [publish(party.signer, 2)])
    with (
        Ledger.open(tmp_path / "older.ledger", read_only=True) as older,
        pytest.raises(RollbackError, match=r"has 1 records of key .* want at least 2: it is"),
    ):
        submit(older, [publish(party.signer, 3)])


def test_a_ledger_with_another_record_in_its_chain_is_not_signed_for(
    network: Network, party: Party
) -> None:
    submit(network, [publish(party.signer, 0)])
    kept = Kept(1, b"\7" * 32, 0, (("product.withdraw", b"\x91\xa1a"),))
    party.vault.store([party.signer.item(network.network, kept)])

    with pytest.raises(
        InconsistentError, match=r"record of sequence 0 of key .* another than it once"
    ):
        submit(network, [publish(party.signer, 1)])


def test_what_another_process_reserved_is_not_released(network: Network, party: Party) -> None:
    """Both were refused the same record; the other has gone on before this one releases it."""
    submit(network, [publish(party.signer, 0)])
    other = RecordSigner(KEY, Vault(party.path, VAULT_KEY))
    release = signer_module.release

    def late(ledger: Ledger, vault: Vault, refused: Any) -> None:
        refused = list(refused)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(submission, "release", release)
            resume(network, [other])
            network.crash = "sent"
            with pytest.raises(CrashError):
                submit(network, [publish(other, 1)])
        release(ledger, vault, refused)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(submission, "release", late)
        submit(network, [publish(party.signer, 0)])
    submit(network, [publish(party.signer, 2)])

    assert network.equivocations == []
    assert network.ledger.size == 4
    other.vault.close()


def test_packs_are_built_while_the_same_party_signs(tmp_path: Path) -> None:
    """One asks the vault under the ledger's lock, the other the ledger under the vault's."""
    town = Town(tmp_path)
    intent, request = town.intend(town.consent())
    town.deliver(intent, request)
    vault, ledger = town.parties.vaults[BANK], town.parties.ledger
    done = threading.Event()

    def pack() -> None:
        while not done.is_set():
            build_pack(ledger, vault, intent)

    builder = threading.Thread(target=pack, daemon=True)
    builder.start()
    for _ in range(40):
        signer = RecordSigner(SigningKey(bytes([5]) * 32), vault)
        submit(ledger, [Draft(signer, SchemaRetire("none", 1))])  # refused: kept, and released
    done.set()
    builder.join(20)

    assert not builder.is_alive()
    town.parties.close()


# Everything together.


class Chains(RuleBasedStateMachine):
    """Two processes of one party, crashes at every step, backups, and records that are refused."""

    @initialize()
    def begin(self) -> None:
        self.closing = ExitStack()
        path = Path(self.closing.enter_context(TemporaryDirectory()))
        self.network = Network(path)
        self.closing.callback(self.network.ledger.close)
        self.parties = [Party(path), Party(path)]
        for party in self.parties:
            self.closing.callback(party.close)
        self.backups: list[Path] = []
        self.number = 0

    def act(self, who: int, step: str, action: Callable[[RecordSigner], Any]) -> None:
        self.network.crash = step
        try:
            action(self.parties[who].signer)
        except CrashError:
            self.parties[who].restart()
        self.network.crash = ""

    @rule(
        who=st.integers(0, 1),
        fresh=st.lists(st.booleans(), min_size=1, max_size=4),
        step=st.sampled_from(("", "", *STEPS)),
    )
    def publishes(self, who: int, fresh: list[bool], step: str) -> None:
        numbers = []
        for is_fresh in fresh:
            self.number += is_fresh
            numbers.append(self.number)  # a number again is refused, if the first was ordered
        self.act(who, step, lambda s: submit(self.network, [publish(s, n) for n in numbers]))

    @rule(who=st.integers(0, 1), step=st.sampled_from(("", *STEPS)))
    def withdraws(self, who: int, step: str) -> None:
        body = SchemaRetire(f"schema-{self.number}", 1)
        self.act(who, step, lambda signer: submit(self.network, [Draft(signer, body)]))

    @rule(who=st.integers(0, 1), step=st.sampled_from(("", *STEPS)))
    def resumes(self, who: int, step: str) -> None:
        self.act(who, step, lambda signer: resume(self.network, [signer]))

    @rule()
    def backs_up(self) -> None:
        self.parties[0].vault.erase([])
        copy = self.parties[0].path.with_name(f"backup-{len(self.backups)}")
        shutil.copy(self.parties[0].path, copy)
        self.backups.append(copy)

    @precondition(lambda self: self.backups and not self.in_flight())
    @rule(data=st.data())
    def restores(self, data: st.DataObject) -> None:
        """What is on its way is judged before: no backup knows of it (docs/spec/vault.md)."""
        backup = data.draw(st.sampled_from(self.backups))  # a run may end here
        self.parties[1].vault.close()
        self.parties[0].restore(backup)
        self.parties[1].open()

    def in_flight(self) -> bool:
        """One at the next sequence may be refused, and one behind it never judged."""
        begin, _ = self.network.ledger.next_position(KEY.public_key)
        sent = self.network.sent.items()
        return any(at >= begin and last not in self.network.refused for at, last in sent)

    @invariant()
    def never_two_records_with_one_sequence(self) -> None:
        if hasattr(self, "network"):
            assert self.network.equivocations == []

    def teardown(self) -> None:
        if not hasattr(self, "network"):
            return
        with self.closing:  # also after what follows fails, or a rule was cut short
            submit(self.network, [publish(self.parties[0].signer, self.number + 1)])
            assert self.network.equivocations == []
            assert not outstanding(self.network, self.parties[1].signer)


TestChains = Chains.TestCase
TestChains.settings = examples(60, stateful_step_count=25)
