"""An erasure receipt says what is gone, when and by whom, and is refused where it is not so."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledgercore.demo.parties import BANK
from ledgercore.errors import LedgerError, MalformedError, RefusedError, UntrustedError
from ledgercore.exchange.erasure import Erasure, ErasureReceipt, verify_erasure
from ledgercore.exchange.messages import encode_message
from ledgercore.vault import Vault
from tests.town import Town


@pytest.fixture
def town(tmp_path: Path):
    town = Town(tmp_path)
    yield town
    town.parties.close()


def test_each_side_certifies_what_it_erased_and_nothing_earlier(town: Town) -> None:
    asked = town.intend(town.consent())
    consumer, provider, ledger = town.parties.consumer, town.parties.provider, town.parties.ledger
    consumer.open(*town.deliver(*asked))
    intents = [asked[0]]
    for party in (consumer, provider):
        with pytest.raises(RefusedError, match="is still in the vault: erase it first"):
            party.certify_erasure(intents)
    provider.forget(intents)
    town.accept(consumer.erase(intents, "purpose-achieved"))

    for party, count in ((consumer, 7), (provider, 2)):
        receipt = party.certify_erasure(intents)
        key = party._key.public_key
        erasure = verify_erasure(receipt, ledger.network, ledger.suite, key)
        assert erasure.erased_ms == ledger.block(ledger.height).time_ms
        assert len(erasure.names) == count
        assert all(asked[0].hex() in name or "request/" in name for name in erasure.names)
        with pytest.raises(UntrustedError, match="erasure is of network"):
            verify_erasure(receipt, bytes(16), ledger.suite, key)
        with pytest.raises(UntrustedError, match="erasure is by key"):
            verify_erasure(receipt, ledger.network, ledger.suite, bytes(32))
        for at in range(len(receipt)):
            changed = receipt[:at] + bytes([receipt[at] ^ 1]) + receipt[at + 1 :]
            with pytest.raises(LedgerError):
                verify_erasure(changed, ledger.network, ledger.suite, key)


def test_a_receipt_that_nothing_is_gone_is_neither_signed_nor_taken(town: Town) -> None:
    consumer, provider, ledger = town.parties.consumer, town.parties.provider, town.parties.ledger
    for party in (consumer, provider):
        with pytest.raises(MalformedError, match="names of what is erased are none, want one at"):
            party.certify_erasure([])

    erasure = Erasure(1, ledger.network, consumer.signer.public_key, 1, ())
    empty = encode_message(ErasureReceipt(erasure, bytes(64)))
    with pytest.raises(MalformedError, match="want a list of length >= 1"):
        verify_erasure(empty, ledger.network, ledger.suite, consumer.signer.public_key)


def test_what_is_erased_cannot_be_opened_from_the_files_with_the_vaults_key(
    town: Town, tmp_path: Path
) -> None:
    asked = town.intend(town.consent())
    consumer = town.parties.consumer
    consumer.open(*town.deliver(*asked))
    name = f"exchange/{asked[0].hex()}/payload"
    key = bytes.fromhex((tmp_path / f"{BANK}.vault.key").read_text())
    before = Vault(tmp_path / f"{BANK}.vault")
    row = before._rows("SELECT * FROM item WHERE slot = ?", before._cipher.slot(name))[0]
    before.close()

    town.parties.vaults[BANK].erase([name])

    files = b"".join(path.read_bytes() for path in tmp_path.glob(f"{BANK}.vault*"))
    assert row.wrapped not in files and row.sealed not in files
    assert key.hex().encode() in files  # the control: the files that were searched are the right
