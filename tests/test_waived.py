"""An erasure before the key came waives the delivery; who wants the use back times it out first."""

from __future__ import annotations

import pytest

from tests.network import (
    DEADLINE,
    act,
    body_of,
    code_of,
    consent_state,
    exchange_scene,
    exchange_state,
    sign,
)

KEYLESS = ("ADMITTED", "OVERDUE")


@pytest.mark.parametrize("status", KEYLESS)
def test_an_erasure_before_the_key_came_ends_the_deadline_and_leaves_the_use_taken(
    status: str,
) -> None:
    scene = exchange_scene(status)
    act(scene.view, "consumer", body_of("exchange.erase", scene), scene.time_ms)

    assert ("ERASED", 1) == (
        exchange_state(scene.view, scene.exchange).status,
        consent_state(scene.view).uses,
    )
    for kind, signer in (
        *(("exchange.time-out", "consumer"), ("exchange.acknowledge", "consumer")),
        *(("exchange.void", "provider"), ("exchange.release", "provider")),
    ):
        late = sign(scene.view, signer, body_of(kind, scene))
        assert "E_EXCHANGE_STATE" == code_of(scene.view, late, DEADLINE)
    forget = sign(scene.view, "provider", body_of("exchange.forget", scene))
    assert "" == code_of(scene.view, forget, DEADLINE)


@pytest.mark.parametrize(
    ("status", "step", "signer"),
    [
        ("OVERDUE", "time-out", "consumer"),
        ("ADMITTED", "void", "provider"),
    ],
)
def test_who_wants_the_use_back_has_it_given_back_and_erases_then(
    status: str, step: str, signer: str
) -> None:
    scene = exchange_scene(status)

    act(scene.view, signer, body_of(f"exchange.{step}", scene), scene.time_ms)
    act(scene.view, "consumer", body_of("exchange.erase", scene), scene.time_ms)

    assert "ERASED" == exchange_state(scene.view, scene.exchange).status
    assert 0 == consent_state(scene.view).uses
