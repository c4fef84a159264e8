"""What governance did stands in a pack with its votes; the vectors have what is forged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import msgpack

from ledgercore import records
from ledgercore.demo.parties import BANK, REGULATOR, TAX
from ledgercore.exchange import verify_pack
from ledgercore.exchange.submission import Draft
from ledgercore.proofs import verify_history
from ledgercore.rules import GOVERNANCE, GovernanceState
from tests.network import act, begin, enact, genesis_body, newcomer, running_hash, sign_genesis
from tests.vector_quorums import Council


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Council]:
    town = Council(tmp_path / "town")
    yield town
    town.parties.close()


def quorum_claims(town: Council) -> list[str]:
    pack = msgpack.encode(town.packed())
    found = verify_pack(pack, town.parties.ledger.trust_anchor)
    return [claim.statement for claim in found if claim.name == "quorum"]


def test_a_pack_shows_the_votes_behind_a_new_key(town: Council) -> None:
    assert quorum_claims(town) == []
    key, body = town.replacement(b"n")
    index = town.parties.ledger.size + 2

    town.enact(body, REGULATOR)
    town.take(key)

    told = f"2 of 3 of governance approved record {index}, key.replace of {BANK}"
    assert quorum_claims(town) == [told]


def test_more_votes_than_are_needed_are_counted(town: Council) -> None:
    key, body = town.replacement(b"n")
    town.enact(body, REGULATOR, BANK)
    town.take(key)

    assert quorum_claims(town)[0].startswith("3 of 3 of governance")


def test_who_is_suspended_neither_votes_nor_counts(town: Council) -> None:
    suspension = records.MemberSuspend(town.proposal(), REGULATOR)
    town.enact(suspension, BANK)
    key, body = town.replacement(b"n")
    town.enact(body, BANK)
    town.take(key)

    assert quorum_claims(town)[-1].startswith("2 of 2 of governance")


def test_the_history_of_governance_is_complete_and_has_no_rotation(town: Council) -> None:
    key, proof = town.new_key(TAX, b"r")
    signer = town.voters[TAX]
    rotation = records.KeyRotate(TAX, key.public_key, b"s" * 32, proof)
    town.accept([Draft(signer, rotation)])
    ledger = town.parties.ledger
    assert [record.kind for _, record in ledger.history(GOVERNANCE)] == ["genesis"]

    found = verify_history(ledger.prove_history(GOVERNANCE).encode(), ledger.trust_anchor)

    assert [record.kind for _, record in found.records] == ["genesis"]


def test_every_change_of_who_governs_is_in_the_history_of_governance() -> None:
    view = begin()
    trail, third = [sign_genesis(genesis_body()).id], "third-governor"
    keys = newcomer(view, "newcomer", third)
    for body in (
        records.MemberSuspend(b"1" * 32, third),
        records.MemberReinstate(b"2" * 32, third),
        records.KeyReplace(b"3" * 32, third, *keys),
    ):
        trail.append(enact(view, body))
    act(view, "governor", records.KeyRotate("governor", *newcomer(view, "new key", "governor")))

    state = view.get(GOVERNANCE, GovernanceState)

    assert state is not None
    assert (state.status, state.count, state.history) == ("ACTIVE", 4, running_hash(trail))
    assert state.members == ("governor", "other-governor", third)
