"""What must not leak is planted, and then looked for in everything that a run leaves."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ledgercore import Ledger
from ledgercore.demo import run_demo
from ledgercore.exchange.messages import Proposal, decode_message
from ledgercore.exchange.salted import FIELD, decode_leaves
from ledgercore.vault import Vault

PLANTED = b"PLANTED-SECRET-"
MAPPING = Path(__file__).resolve().parent.parent / "examples" / "sba.toml"
HEADER = "LoanNr_ChkDgt,Name,NAICS,NoEmp,NewExist,UrbanRural,GrAppv,SBA_Appv,Term,RevLineCr,LowDoc,"


def plant(directory: Path) -> Path:
    """A table whose names are planted."""
    path = directory / "table.csv"
    rows = [
        f"S{number:04},{PLANTED.decode()}{number:04},111111,{number},1,1,5000,2500,12,Y,N,15000,Bank"
        for number in range(40)
    ]
    path.write_text(HEADER + "DisbursementDate,Bank\n" + "\n".join(rows) + "\n")
    return path


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("planted")
    table = plant(root)
    run_demo(root / "demo", data=table, mapping=MAPPING)
    table.unlink()
    return root / "demo"


def secrets(directory: Path) -> list[bytes]:
    """Every salt, key and planted text that the bank's vault holds."""
    vault = Vault(directory / "bank.vault")
    found = [PLANTED]
    for name in vault.names():
        value = vault.load(name) or b""
        if name.endswith("/payload"):
            found += [leaf.salt for leaf in decode_leaves(value, FIELD)]
        elif name.startswith("proposal/"):
            found += [leaf.salt for leaf in decode_message(value, Proposal).terms]
        elif name.endswith("delivery-key"):
            found.append(value)
    vault.close()
    return found


def holding(directory: Path, secret: bytes, *names: str) -> list[str]:
    paths = [path for path in directory.rglob("*") if path.is_file()]
    return [
        path.name
        for path in paths
        if any(path.name.startswith(name) for name in names) and secret in path.read_bytes()
    ]


def test_the_ledger_and_its_files_hold_no_secret(directory: Path) -> None:
    found = secrets(directory)

    assert len(found) > 500
    for secret in found:
        assert holding(directory, secret, "exchange.ledger", "anchor", "rejects", "notes") == []


def test_a_backup_of_the_ledger_holds_none_either(directory: Path) -> None:
    with Ledger.open(directory / "exchange.ledger", read_only=True) as ledger:
        ledger.backup(directory / "exchange.ledger-copy")
    for secret in secrets(directory):
        assert holding(directory, secret, "exchange.ledger-copy") == []


def test_the_vaults_hold_no_secret_in_clear(directory: Path) -> None:
    for secret in secrets(directory):
        assert holding(directory, secret, "bank.vault", "enterprises.vault", "tax-auth") == []


def test_keys_and_vaults_are_for_their_owner_only(directory: Path) -> None:
    paths = [*directory.glob("*.vault*"), *directory.glob("*.key")]

    assert len(paths) >= 12
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in paths} == {0}


def test_the_search_finds_secrets_where_they_may_be(directory: Path) -> None:
    """The control: a pack does hold what was planted, and a vault's key file its key."""
    vault_key = bytes.fromhex((directory / "bank.vault.key").read_text())

    assert "plain.lcp" in holding(directory, PLANTED, "plain.lcp")
    assert holding(directory, vault_key.hex().encode(), "") == ["bank.vault.key"]
    assert holding(directory, vault_key, "") == []


def test_what_was_erased_is_gone_from_the_vault(directory: Path) -> None:
    """Of each 20 firms the last one is erased: 0019 and 0039 of 40."""
    vault = Vault(directory / "bank.vault")
    payloads = [name for name in vault.names("exchange/") if name.endswith("/payload")]
    kept = b"".join(vault.load(name) or b"" for name in payloads)
    vault.close()

    assert PLANTED + b"0000" in kept
    assert PLANTED + b"0019" not in kept and PLANTED + b"0039" not in kept


def test_the_provider_keeps_no_payload_after_the_acknowledgement(directory: Path) -> None:
    vault = Vault(directory / "tax-authority.vault")
    left = vault.names("exchange/")
    vault.close()

    with Ledger.open(directory / "exchange.ledger", read_only=True) as ledger:
        acknowledged = sum(record.kind == "exchange.acknowledge" for record in ledger)
        admitted = sum(record.kind == "exchange.admit" for record in ledger)
    assert admitted == acknowledged > 20
    assert len(left) == 2 * (40 - 2 - acknowledged)  # sealed, and refused by the ledger
