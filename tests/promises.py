"""Records that say what is gone, and the programs that follow where one was cut off."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest

from ledgercore import records
from ledgercore.demo.parties import BANK, TAX
from ledgercore.exchange import Accepted, Draft, Submitted, resume, submit
from ledgercore.ledger import Ledger
from ledgercore.vault import Vault
from tests.town import DAY_MS, Town

Act = Callable[[Town, bytes, str], Draft]


def void(town: Town, intent: bytes, code: str) -> Draft:
    return town.parties.provider.void(intent, code)


def forget(town: Town, intent: bytes, basis: str) -> Draft:
    return town.parties.provider.erase([intent], basis)[0]


def erase(town: Town, intent: bytes, basis: str) -> Draft:
    return town.parties.consumer.erase([intent], basis)[0]


def time_out(town: Town, intent: bytes, _: str) -> Draft:
    return town.parties.consumer.time_out(intent)


def admitted(town: Town) -> tuple[bytes, Accepted]:
    intent, request = town.intend(town.consent())
    (place,) = town.accept(town.parties.provider.answer([(intent, request)]))
    return intent, place


def moved_to(town: Town, status: str) -> bytes:
    """An exchange that was delivered, and then went on to a status; ADMITTED has no key yet."""
    intent, request = town.intend(town.consent())
    if status in ("INTENDED", "ADMITTED"):
        drafts = town.parties.provider.answer([(intent, request)])
        town.accept(drafts if status == "ADMITTED" else [])
        return intent
    delivery, release = town.deliver(intent, request)
    provider, consumer = town.parties.provider, town.parties.consumer
    if status == "RELEASED":
        town.accept([provider.confirm_release(release)])
    if status == "OVERDUE":
        town.later(2 * DAY_MS)
        return intent
    consumer.open(delivery, release)
    if status in ("ACKNOWLEDGED", "ERASED"):
        town.accept([consumer.acknowledge(intent)])
    if status == "ERASED":
        town.accept(consumer.erase([intent], "subject-asked"))
    return intent


def backed_up(vault: Vault) -> Path:
    """A copy of a vault and of its key, as it stands."""
    vault.erase([])  # moves its log into the file
    directory = vault.path.parent / "backup"
    directory.mkdir()
    for name in (vault.path.name, f"{vault.path.name}.key"):
        shutil.copy(vault.path.parent / name, directory / name)
    return directory / vault.path.name


def content(town: Town, intent: bytes) -> list[str]:
    """Items of content in the vaults of both sides, and keys to it."""
    names = [name for member in (TAX, BANK) for name in town.parties.vaults[member].names()]
    ends = ("/payload", "/key", "/ciphertext", "/delivery-key")
    return [name for name in names if name.endswith(ends) and "chain/" not in name]


PROMISES: tuple[tuple[Act, str, str, set[str]], ...] = (
    (void, "ADMITTED", "E_SCOPE", {"key", "ciphertext"}),
    (forget, "ACKNOWLEDGED", "acknowledged", {"key", "ciphertext"}),
    (erase, "ACKNOWLEDGED", "subject-asked", {"payload", "delivery-key"}),
    (time_out, "OVERDUE", "", {"delivery-key"}),
)


def gone(before: list[str], after: list[str]) -> set[str]:
    assert set(after) <= set(before)
    return {name.rpartition("/")[2] for name in set(before) - set(after)}


class CutError(Exception):
    """The program is killed."""


def cut_off(town: Town, *drafts: Draft) -> None:
    """The ledger orders drafts, and its program is killed before it hears of that."""
    ledger = town.parties.ledger
    submit_many = ledger.submit_many

    def submit_then_die(encoded: list[bytes]) -> list[object]:
        submit_many(encoded)
        raise CutError

    with mock.patch.object(ledger, "submit_many", submit_then_die), pytest.raises(CutError):
        submit(ledger, drafts)


def resumed(ledger: Ledger, draft: Draft) -> list[Submitted]:
    return resume(ledger, [draft.key])


def says_more(ledger: Ledger, draft: Draft) -> list[Submitted]:
    """The restarted program does not resume, and goes on with something else."""
    schema = records.SchemaRegister("another", 1, "", ())
    (answer,) = submit(ledger, [Draft(draft.key, schema)])
    assert isinstance(answer, Accepted) == (draft.key.vault.path.name == f"{TAX}.vault")
    return []
