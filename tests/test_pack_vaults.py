"""Which vault opens an evidence pack: one of a party to the exchange, and of the same network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ledgercore import AbsentError, SigningKey, UntrustedError, Vault
from ledgercore.exchange import build_pack, verify_pack
from ledgercore.exchange.signer import Kept, RecordSigner
from tests.cli.command import objects, run, run_well
from tests.town import Town


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    (tmp_path / "town").mkdir()
    town = Town(tmp_path / "town")
    yield town
    town.parties.close()


def delivered(town: Town) -> bytes:
    intent, request = town.intend(town.consent())
    town.parties.consumer.open(*town.deliver(intent, request))
    town.accept([town.parties.consumer.acknowledge(intent)])
    return intent


def foreign(path: Path) -> tuple[Vault, bytes]:
    """A vault whose key has signed on another network."""
    network = bytes(range(16))
    vault = Vault(path)
    signer = RecordSigner(SigningKey(bytes(32)), vault)
    vault.store([signer.item(network, Kept(0, bytes(32), 0, ()))])
    return vault, network


def test_a_vault_of_another_network_is_refused_by_name(town: Town, tmp_path: Path) -> None:
    intent = delivered(town)
    network = town.parties.ledger.network
    vault, other = foreign(tmp_path / "other.vault")

    with pytest.raises(UntrustedError) as caught:
        build_pack(town.parties.ledger, vault, intent)

    vault.close()
    message = str(caught.value)
    assert f"other.vault is of network {other.hex()}, and the ledger of {network.hex()}" in message
    assert "give the vault of a party to the exchange" in message


def test_a_party_of_two_networks_opens_what_it_has(town: Town) -> None:
    """Of one without a part in the exchange nothing is said but that it is withheld."""
    intent = delivered(town)
    ledger, bank = town.parties.ledger, town.parties.vaults["bank"]
    anchor = ledger.trust_anchor
    signer = RecordSigner(SigningKey(bytes(32)), bank)
    bank.store([signer.item(bytes(range(16)), Kept(0, bytes(32), 0, ()))])
    regulator = town.parties.vaults["regulator"]

    opened = verify_pack(build_pack(ledger, bank, intent), anchor)
    without = verify_pack(build_pack(ledger, regulator, intent), anchor)

    assert [claim.status for claim in opened if claim.name == "payload"] == ["proven"]
    assert [claim.status for claim in without if claim.name == "payload"] == ["withheld"]


def test_an_exchange_that_is_not_on_the_ledger_is_absent(town: Town) -> None:
    with pytest.raises(AbsentError, match=r"exchange 0707.* does not exist on this ledger: "):
        build_pack(town.parties.ledger, None, b"\x07" * 32)


def test_the_command_refuses_both(town: Town, tmp_path: Path) -> None:
    intent = delivered(town).hex()
    vault, other = foreign(tmp_path / "other.vault")
    vault.close()
    pack = ("pack", town.parties.ledger.path)
    output = ("--output", tmp_path / "pack", "--json")

    refused = run(*pack, intent, "--vault", tmp_path / "other.vault", *output)
    unknown = run(*pack, "00" * 32, *output)

    (error,) = objects(refused.stderr)
    assert refused.returncode == 1 and error["error"] == "UntrustedError"
    assert other.hex() in error["message"]
    (error,) = objects(unknown.stderr)
    assert unknown.returncode == 4 and error["error"] == "AbsentError"
    assert not (tmp_path / "pack").exists()
    run_well(*pack, intent, *output)
