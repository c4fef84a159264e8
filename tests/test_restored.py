"""A restored vault loses what its party has said on the ledger to be gone, though it has no memory
of saying so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest
from msgspec import structs

from ledgercore import records
from ledgercore._core import Record
from ledgercore.exchange import (
    Accepted,
    Draft,
    Submitted,
    content,
    owed,
    resume,
    submission,
    submit,
)
from ledgercore.exchange.messages import encode_message
from ledgercore.exchange.signer import Kept, RecordSigner
from ledgercore.ledger import Ledger
from ledgercore.vault import Vault
from tests.promises import PROMISES, Act, CutError, backed_up, gone, moved_to, resumed, says_more
from tests.town import Town


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    yield town
    town.parties.close()


def everything(ledger: Ledger, vault: Vault, before: Kept) -> None:
    """The backup is of a moment at which nothing was on its way."""


def no_row(ledger: Ledger, vault: Vault, before: Kept) -> None:
    """It is of a moment before the key had signed anything."""
    (row,) = vault.names(f"chain/{ledger.network.hex()}/")
    vault.erase([row])


def another_on_its_way(ledger: Ledger, vault: Vault, before: Kept) -> None:
    """What was on its way then was refused, and the promise took its place."""
    (row,) = vault.names(f"chain/{ledger.network.hex()}/")
    refused = (("schema.retire", records.encode(records.SchemaRetire("none", 1))),)
    vault.store([(row, encode_message(structs.replace(before, contents=refused)))])


Moment = Callable[[Ledger, Vault, Kept], None]
MOMENTS = (everything, no_row, another_on_its_way)


@pytest.mark.parametrize(("act", "status", "reason", "parts"), PROMISES)
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("go_on", [resumed, says_more])
def test_what_the_ledger_says_is_gone_is_gone_from_a_restored_vault(
    town: Town,
    act: Act,
    status: str,
    reason: str,
    parts: set[str],
    moment: Moment,
    go_on: Callable[[Ledger, Draft], list[Submitted]],
) -> None:
    intent, ledger = moved_to(town, status), town.parties.ledger
    draft = act(town, intent, reason)
    kept = Kept(*ledger.next_position(draft.key.public_key), 0, ())
    backup = backed_up(draft.key.vault)
    town.accept([draft])
    vault = Vault(backup)
    moment(ledger, vault, kept)
    signer = RecordSigner(draft.key._key, vault)
    before = vault.names("exchange/") + vault.names("request/")

    assert go_on(ledger, draft._replace(key=signer)) == []

    assert parts <= gone(before, vault.names("exchange/") + vault.names("request/"))
    with mock.patch.object(Vault, "erase", side_effect=CutError):  # it is settled, and done once
        submit(ledger, [Draft(signer, records.SchemaRegister("third", 1, "", ()))])
    vault.close()


def test_a_new_vault_reads_nothing_of_what_its_key_has_signed(town: Town) -> None:
    """A copy that began from a snapshot may not have it."""
    ledger, key = town.parties.ledger, town.parties.provider.signer._key
    vault = Vault(ledger.path.parent / "new.vault")

    with mock.patch.object(ledger, "record", side_effect=CutError):
        (answer,) = submit(
            ledger,
            [Draft(RecordSigner(key, vault), records.SchemaRegister("another", 1, "", ()))],
        )

    assert isinstance(answer, Accepted)
    vault.close()


def test_what_others_signed_with_the_key_is_read_once_and_under_no_lock(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, signer = town.parties.ledger, town.parties.provider.signer
    transaction, record = Vault.transaction, ledger.record
    held, read = [], []

    @contextmanager
    def holding(vault: Vault) -> Iterator[None]:
        with transaction(vault):
            held.append(vault)
            yield
            held.pop()

    def reading(index: int) -> Record:
        assert not held
        read.append(index)
        return record(index)

    def say(signer: RecordSigner, version: int) -> int:
        schema = records.SchemaRegister("another", version, "", ())
        return town.accept([Draft(signer, schema)])[0].index

    say(signer, 1)
    vault = Vault(ledger.path.parent / "other.vault")
    others = [say(RecordSigner(signer._key, vault), version) for version in (2, 3, 4)]
    vault.close()
    monkeypatch.setattr(Vault, "transaction", holding)
    monkeypatch.setattr(ledger, "record", reading)
    say(signer, 5)
    assert read == [*reversed(others), others[0] - 1]
    read.clear()
    say(signer, 6)
    assert read == []


def test_what_is_long_since_signed_is_read_in_pieces_and_each_once(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A vault of long ago: every third record since says of an exchange that it is gone."""
    monkeypatch.setattr(owed, "READ_RECORDS", 4)
    intents = [moved_to(town, "ACKNOWLEDGED") for _ in range(4)]
    ledger, signer = town.parties.ledger, town.parties.provider.signer
    backup = backed_up(signer.vault)
    for number, intent in enumerate(intents):
        schemas = [records.SchemaRegister("other", 2 * number + at, "", ()) for at in (1, 2)]
        town.accept([Draft(signer, schema) for schema in schemas])
        town.accept(town.parties.provider.erase([intent], "acknowledged"))
    indices, record = [], ledger.record
    vault = Vault(backup)
    restored = RecordSigner(signer._key, vault)

    def reading(index: int) -> Record:
        indices.append(index)
        if len(indices) == 7:  # in the second piece
            raise CutError
        return record(index)

    monkeypatch.setattr(ledger, "record", reading)
    with pytest.raises(CutError):
        resume(ledger, [restored])
    assert 0 < len(vault.names("exchange/")) < 2 * len(intents)
    resume(ledger, [restored])

    assert vault.names("exchange/") == vault.names("reading/") == []
    newest = ledger.size - 1
    assert indices[:4] == [newest - at for at in range(4)]
    assert indices[7:15] == [newest - at for at in range(4, 12)]
    assert len(indices) == len(set(indices)) + 3  # of the piece that was cut off
    vault.close()


def test_no_more_than_a_piece_is_held_of_what_is_gone(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owed, "READ_RECORDS", 2)
    intents = [moved_to(town, "ACKNOWLEDGED") for _ in range(5)]
    ledger, signer = town.parties.ledger, town.parties.provider.signer
    backup = backed_up(signer.vault)
    town.accept(town.parties.provider.erase(intents, "acknowledged"))
    held, destroy_promised = [], content.destroy_promised

    def destroy(ledger: Ledger, vault: Vault, ordered: list[Record]) -> None:
        held.append(len(ordered))
        destroy_promised(ledger, vault, ordered)

    monkeypatch.setattr(owed, "destroy_promised", destroy)
    monkeypatch.setattr(submission, "destroy_promised", destroy)
    with Vault(backup) as vault:
        resume(ledger, [RecordSigner(signer._key, vault)])
        assert vault.names("exchange/") == []

    assert held == [2, 2, 1]
