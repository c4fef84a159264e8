"""Exchanges under the consents of two subjects, on which one decision rests."""

from __future__ import annotations

from ledgercore import records
from ledgercore.exchange.messages import Proposal
from tests.network import (
    FAR,
    NEW_CONSENT,
    ROOT,
    ZERO,
    Scene,
    act,
    admit,
    authorise,
    exchange_scene,
    request,
)
from tests.town import Town

__all__ = ["acknowledged_of_two", "decided_on_two"]


def acknowledged_of_two() -> tuple[Scene, bytes]:
    """A scene whose exchange is acknowledged, and another one under a second consent."""
    scene = exchange_scene("ACKNOWLEDGED")
    view, key = scene.view, "new consent key"
    act(view, "consumer", request(NEW_CONSENT, key))
    act(view, key, authorise(view, NEW_CONSENT, key))
    other = act(view, "consumer", records.ExchangeIntent(NEW_CONSENT, ROOT, ZERO, FAR))
    act(view, "provider", admit(other))
    act(view, "consumer", records.ExchangeAcknowledge(other))
    return scene, other


def decided_on_two(town: Town) -> tuple[list[Proposal], list[bytes], bytes]:
    """The proposals of both consents, the exchange under each, and the decision on both."""
    consumer = town.parties.consumer
    proposals = [town.consent() for _ in range(2)]
    intents = []
    for proposal in proposals:
        intent, asked = town.intend(proposal)
        consumer.open(*town.deliver(intent, asked))
        intents.append(intent)
    town.accept([consumer.acknowledge(intent) for intent in intents])
    (place,) = town.accept([consumer.decide(intents, "declined", b"model", ["R_ARREARS"])])
    return proposals, intents, place.id
