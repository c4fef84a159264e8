"""A refusal says what was got and wanted, and of several remedies the one that helps."""

from __future__ import annotations

import pytest
from msgspec import structs

from ledgercore import RefusedError, records
from ledgercore.rules import codes
from tests.network import (
    CONTEST_ENDS,
    ROOT,
    SCENES,
    START,
    Scene,
    act,
    apply,
    begin,
    body_of,
    decision_scene,
    exchange_scene,
    request,
    sign,
)


def refused(scene: Scene, signer: str, body: records.RecordBody, time_ms: int = START) -> list[str]:
    with pytest.raises(RefusedError) as caught:
        act(scene.view, signer, body, time_ms)
    return [caught.value.code, caught.value.message, caught.value.remedy]


@pytest.mark.parametrize(
    ("window", "message"),
    [
        (
            {"not_before_ms": START + 120_001},
            f"block time is {START}, want {START + 1} or more, "
            f"120000 ms before its not_before_ms {START + 120_001}",
        ),
        (
            {"expiry_ms": START - 120_000},
            f"block time is {START}, want less than {START}, "
            f"120000 ms after its expiry_ms {START - 120_000}",
        ),
    ],
)
def test_a_window_is_told_as_it_is_compared(window: dict[str, int], message: str) -> None:
    view = begin()

    with pytest.raises(RefusedError) as caught:
        apply(view, sign(view, "consumer", b"payload", **window))

    assert ("E_CLOCK", message) == (caught.value.code, caught.value.message)
    assert codes.COMPARE_CLOCKS == caught.value.remedy


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (b"\x01" + bytes(31), "of small order, so that anyone can sign for it"),
        (bytes(32), "of small order, so that anyone can sign for it"),
        (b"\x02" + bytes(31), "no point of the curve"),
    ],
)
def test_no_consent_has_a_key_that_anybody_or_nobody_can_sign_with(key: bytes, why: str) -> None:
    body = structs.replace(request(b"c" * 32, "consent key"), consent_key=key)

    found = refused(Scene(begin()), "consumer", body)

    assert found == ["E_KEY", f"consent key: public key is {why}", codes.OWN_KEY]


def test_a_time_in_a_body_is_no_matter_of_clocks() -> None:
    body = request(b"c" * 32, "consent key", expires_ms=START, lapses_ms=START)

    found = refused(Scene(begin()), "consumer", body)

    assert ["E_CLOCK", f"expires_ms is {START}, want more than {START}", codes.NAME_A_TIME] == found


def test_a_late_contest_is_told_what_can_still_be_done() -> None:
    scene = decision_scene("RECORDED")

    found = refused(scene, "consent key", body_of("decision.contest", scene), CONTEST_ENDS)

    want = f"block time is {CONTEST_ENDS}, want less than {CONTEST_ENDS}, the end of the time to"
    assert ["E_CLOCK", f"{want} contest", codes.LATE_CONTEST] == found


def test_a_dispute_says_what_stands_and_what_helps_then() -> None:
    ruled, opened, used = (
        SCENES["dispute"]("RULED"),
        SCENES["dispute"]("OPEN"),
        SCENES["dispute"]("OPEN"),
    )
    upheld = exchange_scene("USED")
    act(upheld.view, "consumer", body_of("dispute.open", upheld))
    act(upheld.view, "supervisor", records.DisputeRule(upheld.exchange, "upheld", ROOT))

    assert refused(ruled, "provider", body_of("dispute.evidence", ruled)) == [
        "E_DISPUTE",
        "dispute is RULED, want OPEN for dispute.evidence",
        codes.ANOTHER_DISPUTE,
    ]
    assert refused(opened, "provider", body_of("dispute.open", opened)) == [
        "E_DISPUTE",
        "dispute is OPEN, want RULED for dispute.open",
        codes.WAIT_FOR_RULING,
    ]
    stands = "dispute of the exchange (E_SCOPE) is {}, want none or dismissed"
    for scene, kind, signer, what, remedy in (
        (used, "exchange.use", "consumer", "open", codes.WAIT_FOR_RULING),
        (upheld, "exchange.use", "consumer", "upheld", codes.ASK_ANEW),
        (upheld, "dispute.open", "provider", "upheld", codes.ASK_ANEW),
    ):
        found = refused(scene, signer, body_of(kind, scene))
        assert ["E_DISPUTE", stands.format(what), remedy] == found
