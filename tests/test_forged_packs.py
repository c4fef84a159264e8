"""Evidence packs that their maker has forged: the ledger in them is real, what is said of it not.

The maker may be a party with openings of its own, or a party together with the ledger's operator.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ledgercore import InvalidError
from ledgercore.exchange import build_pack, verify_pack
from tests.town import Town


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    yield town
    town.parties.close()


def test_a_consent_wider_than_its_terms_is_proven_by_nobody(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the provider does not look, either."""
    monkeypatch.setattr("ledgercore.exchange.provider.check_terms", lambda terms, consent: None)
    intent, request = town.intend(town.widened_consent())
    town.parties.consumer.open(*town.deliver(intent, request))
    pack = build_pack(town.parties.ledger, town.parties.vaults["bank"], intent)

    with pytest.raises(InvalidError, match="in the terms"):
        verify_pack(pack, town.parties.ledger.trust_anchor)
