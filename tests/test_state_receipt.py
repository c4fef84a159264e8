"""A state, or that there is none, is shown offline as of a signed checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from ledgercore import (
    InvalidProof,
    Ledger,
    LedgerError,
    LimitError,
    MalformedError,
    StateReceipt,
    UntrustedError,
    records,
    rules,
    verify_state,
)
from ledgercore.proofs import STATE_RECEIPT_BYTES
from tests.examples import examples
from tests.network import CONSENT, FAR, KEYS, NEW_CONSENT, ROOT, START, ZERO
from tests.test_history import SUITES, authorise, create, submit

NAME = rules.consent_object(CONSENT)


@pytest.fixture(params=SUITES)
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    with create(tmp_path / "a.ledger", request.param) as ledger:
        authorise(ledger, CONSENT, "consent key")
        yield ledger


def test_a_receipt_of_every_state_verifies(ledger: Ledger) -> None:
    intent = submit(ledger, "consumer", records.ExchangeIntent(CONSENT, ROOT, ZERO, FAR))
    for name, value in ledger.states(b""):
        verified = verify_state(ledger.state_receipt(name).encode(), ledger.trust_anchor)

        assert (verified.object, verified.checkpoint.size) == (name, ledger.size)
        assert verified.state is not None
        assert rules.encode_state(verified.state) == value
    exchange = ledger.state_receipt(rules.exchange_object(intent)).verify(ledger.trust_anchor)
    assert isinstance(exchange.state, rules.ExchangeState)


def test_a_live_consent_and_then_a_revoked_one(ledger: Ledger) -> None:
    live = ledger.state_receipt(NAME)
    submit(ledger, "consent key", records.ConsentRevoke(CONSENT))
    revoked = ledger.state_receipt(NAME)

    before, after = (each.verify(ledger.trust_anchor) for each in (live, revoked))

    assert isinstance(before.state, rules.ConsentState)
    assert isinstance(after.state, rules.ConsentState)
    assert (before.checkpoint.size, before.state.status) == (5, "AUTHORISED")
    assert rules.consent_status_at(before.state, START) == "AUTHORISED"
    assert rules.consent_status_at(before.state, before.state.expires_ms) == "EXPIRED"
    assert (after.checkpoint.size, after.state.status) == (6, "REVOKED")
    with pytest.raises(InvalidProof, match="state root"):
        structs.replace(revoked, proof=live.proof).verify(ledger.trust_anchor)


def test_what_was_never_seen_is_absent(ledger: Ledger) -> None:
    verified = ledger.state_receipt(rules.consent_object(NEW_CONSENT)).verify(ledger.trust_anchor)

    assert (verified.object, verified.state) == (rules.consent_object(NEW_CONSENT), None)


@pytest.mark.parametrize(
    "name", [b"consents/" + ZERO, b"consent/" + ZERO[1:], b"", b"consent", b"network/x"]
)
def test_that_nothing_has_a_name_nothing_can_have_is_no_receipt(
    ledger: Ledger, name: bytes
) -> None:
    """Neither made nor taken: who misspells a name must not be told that it is absent."""
    with pytest.raises(MalformedError, match="object"):
        ledger.state_receipt(name)
    if name:
        receipt = StateReceipt(1, ledger.checkpoint.encode(), ledger.prove_state(name).encode())
        with pytest.raises(MalformedError, match="object"):
            receipt.verify(ledger.trust_anchor)


def test_a_checkpoint_of_another_is_not_trusted(ledger: Ledger, tmp_path: Path) -> None:
    with (
        Ledger.create(tmp_path / "b.ledger", origin="other.example") as other,
        pytest.raises(UntrustedError),
    ):
        ledger.state_receipt(NAME).verify(other.trust_anchor)


def with_flipped_bits(data: bytes) -> Iterator[bytes]:
    for bit in range(8 * len(data)):
        wrong = bytearray(data)
        wrong[bit // 8] ^= 1 << bit % 8
        yield bytes(wrong)


def test_every_changed_bit_is_refused(ledger: Ledger) -> None:
    data, anchor = ledger.state_receipt(NAME).encode(), ledger.trust_anchor
    verify_state(data, anchor)
    for wrong in with_flipped_bits(data):
        with pytest.raises(LedgerError):
            verify_state(wrong, anchor)
    for cut in range(len(data)):
        with pytest.raises(LedgerError):
            verify_state(data[:cut], anchor)
    with pytest.raises(LedgerError):
        verify_state(data + b"\0", anchor)


def test_a_changed_absence_is_refused_or_of_another_name_that_is_absent(ledger: Ledger) -> None:
    """One way through the map ends at nothing for many names, so a verifier compares the name."""
    absent = rules.consent_object(NEW_CONSENT)
    data, anchor = ledger.state_receipt(absent).encode(), ledger.trust_anchor
    others = set()
    for wrong in with_flipped_bits(data):
        try:
            verified = verify_state(wrong, anchor)
        except LedgerError:
            continue
        assert verified.state is None and ledger.state(verified.object) is None
        others.add(verified.object)

    assert absent not in others
    assert 0 < len(others) <= 8 * len(absent)


@examples(200)
@given(data=st.binary(max_size=200))
def test_what_is_no_receipt_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        StateReceipt.decode(b"\x93\x01" + data)


def test_a_receipt_larger_than_any_is_refused() -> None:
    with pytest.raises(LimitError, match="want at most 262144"):
        StateReceipt.decode(bytes(STATE_RECEIPT_BYTES + 1))


def test_a_note_that_is_no_text_is_malformed(ledger: Ledger) -> None:
    with pytest.raises(MalformedError, match="not UTF-8"):
        structs.replace(ledger.state_receipt(NAME), checkpoint=b"\xff").verify(ledger.trust_anchor)


def test_reading_only_is_enough(ledger: Ledger) -> None:
    with Ledger.open(ledger.path, read_only=True) as reader:
        assert reader.state_receipt(NAME) == ledger.state_receipt(NAME)
        assert reader.prove_history(NAME) == ledger.prove_history(NAME)
    assert ledger.trust_anchor.operator_key == KEYS["operator"].public_key
