"""What the parties of a dispute bring forward, and that its evidence can still be verified."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ledgercore import RefusedError, format_anchor, records, rules
from ledgercore.demo.parties import BANK
from ledgercore.exchange import build_pack, verify_pack
from ledgercore.exchange.submission import submit
from ledgercore.rules.codes import KEEP_WITHIN, ONE_PIECE
from ledgercore.rules.dispute import EVIDENCE_LIMIT
from tests import test_rules
from tests.network import ROOT, Scene, act, code_of, exchange_scene, sign
from tests.test_governance import remedy_of
from tests.town import Town
from verifier import ledgercore_verify

PARTIES = ("consent key", "provider", "consumer")
ACCEPTED = [""] * EVIDENCE_LIMIT


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    yield town
    town.parties.close()


def disputed() -> Scene:
    scene = exchange_scene("USED")
    act(scene.view, "consumer", records.DisputeOpen(scene.exchange, "E_PURPOSE", ROOT))
    return scene


def evidence_codes(scene: Scene, party: str, pieces: int) -> list[str]:
    body = records.DisputeEvidence(scene.exchange, ROOT)
    return [code_of(scene.view, sign(scene.view, party, body)) for _ in range(pieces)]


def test_each_party_brings_so_much_evidence_in_a_dispute_and_no_more() -> None:
    scene = disputed()

    for party in PARTIES:  # what one has brought takes nothing from another
        assert [*ACCEPTED, "E_LIMIT"] == evidence_codes(scene, party, EVIDENCE_LIMIT + 1)

    state = scene.view.get(rules.dispute_object(scene.exchange), rules.DisputeState)
    assert state is not None
    assert (("", 16), ("provider", 16), ("consumer", 16)) == state.evidence
    assert 1 + len(PARTIES) * EVIDENCE_LIMIT == state.count


def test_a_limit_that_is_passed_names_the_remedy_for_what_passed_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(test_rules, "code_of", remedy_of)

    found = {case: ask() for case, ask in test_rules.REFUSALS["E_LIMIT"].items()}

    assert ONE_PIECE == found.pop("a piece of evidence too many")
    assert {KEEP_WITHIN} == set(found.values())


def test_each_dispute_of_an_exchange_hears_evidence_anew() -> None:
    scene = disputed()
    evidence_codes(scene, "provider", EVIDENCE_LIMIT)
    act(scene.view, "supervisor", records.DisputeRule(scene.exchange, "dismissed", ROOT))

    act(scene.view, "provider", records.DisputeOpen(scene.exchange, "E_SCOPE", ROOT))

    assert [*ACCEPTED, "E_LIMIT"] == evidence_codes(scene, "provider", EVIDENCE_LIMIT + 1)


def test_a_pack_verifies_with_all_the_evidence_that_its_parties_may_bring(town: Town) -> None:
    """Each party opens a dispute, and each brings in each of them what the rules let it bring."""
    proposal = town.consent()
    intent, request = town.intend(proposal)
    consumer, ledger = town.parties.consumer, town.parties.ledger
    consumer.open(*town.deliver(intent, request))
    town.accept([consumer.acknowledge(intent)])
    parties = (town.subject.disputes(proposal), consumer.disputes, town.parties.provider.disputes)
    for party in parties:
        town.accept([party.open(intent, "E_PURPOSE", "a complaint")])
        town.accept([each.show(intent, b"a") for each in parties for _ in range(EVIDENCE_LIMIT)])
        (more,) = submit(ledger, [party.show(intent, b"one too many")])
        assert isinstance(more, RefusedError) and more.code == "E_LIMIT"
        town.accept([town.authority().rule(intent, "dismissed", "nothing is wrong")])

    pack = build_pack(ledger, town.parties.vaults[BANK], intent)
    claims = verify_pack(pack, ledger.trust_anchor)
    anchor = ledgercore_verify.parse_anchor(format_anchor(ledger.trust_anchor))
    alone = ledgercore_verify.verify_pack(pack, anchor)

    brought = len(parties) ** 2 * EVIDENCE_LIMIT
    assert len(parties) == len([each for each in claims if each.name == "ruled"])
    assert [each.name for each in claims] == [each.name for each in alone]
    assert len(pack) < brought * 512  # of 16 MiB; and 144 records of 65,536
