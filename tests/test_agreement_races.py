"""However an agreement ends, and whenever, nothing begins after it and every revoke goes through.

From the first request on, every event is tried in every state that any order of events leads to. A
state that several orders lead to must be the same on the ledger whichever came, so that each step
from it, played once, holds for all of them: and so for every interleaving of any length.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Any

import pytest
from msgspec import structs

from ledgercore import records, rules
from ledgercore.rules import View, consent, exchange
from tests.agreements import AGREEMENT, requested
from tests.network import (
    CONSENT,
    FAR,
    PURPOSE,
    ROOT,
    START,
    ZERO,
    admit,
    authorise,
    begin,
    code_of,
    consent_state,
    request,
    sign,
)

STEPS = {
    "request": ("consumer", ("", "OFFERED"), "REQUESTED"),
    "offer": ("provider", ("", "REQUESTED"), "OFFERED"),
    "accept": ("consumer", ("OFFERED",), "ACCEPTED"),
    "agree": ("provider", ("REQUESTED", "ACCEPTED"), "AGREED"),
    "verify": ("consumer", ("AGREED",), "VERIFIED"),
    "finalize": ("provider", ("VERIFIED",), "FINALIZED"),
    "terminate": (
        "provider",
        ("REQUESTED", "OFFERED", "ACCEPTED", "AGREED", "VERIFIED"),
        "TERMINATED",
    ),
    "suspend by provider": ("provider", ("FINALIZED",), "SUSPENDED"),
    "suspend by consumer": ("consumer", ("FINALIZED",), "SUSPENDED"),
    "resume by provider": ("provider", ("SUSPENDED",), "FINALIZED"),
    "resume by consumer": ("consumer", ("SUSPENDED",), "FINALIZED"),
    "retire": ("consumer", ("FINALIZED", "SUSPENDED"), "RETIRED"),
}
"""Of the agreement: who signs, from where, and to where."""
OTHERS = ("ask", "authorise", "revoke", "intend", "admit", "release", "acknowledge")
BEGINNINGS = ("ask", "intend", "admit")
ORDERS = [
    ("expire", "end", "deadline"),
    ("expire", "deadline", "end"),
    ("deadline", "expire", "end"),
]
"""What comes when time passes: the consent's end, which is never after the agreement's, and the
key's deadline."""


@dataclass(frozen=True)
class World:
    """What is true of one agreement, one consent with one use under it, and its exchange."""

    order: tuple[str, ...]
    agreement: str = ""
    suspended_by: str = ""
    consent: str = ""
    exchange: str = ""
    uses: int = 0
    passed: int = 0

    def over(self, instant: str) -> bool:
        return instant in self.order[: self.passed]

    def agreed(self) -> str:
        ended = self.agreement in ("", "TERMINATED", "RETIRED")
        return "EXPIRED" if self.over("end") and not ended else self.agreement

    def consented(self) -> str:
        if self.consent == "REQUESTED" and self.over("expire"):
            return "LAPSED"
        if self.consent == "AUTHORISED" and self.uses:
            return "CONSUMED"
        return "EXPIRED" if self.consent == "AUTHORISED" and self.over("expire") else self.consent

    def play(self, event: str) -> tuple[str, World]:
        """The code of refusal, or nothing; and what is true afterwards."""
        if event == "wait":
            return "", replace(self, passed=min(self.passed + 1, len(self.order)))
        code, after = self._negotiate(event) if event in STEPS else self._exchange(event)
        return code, self if code else after

    def _negotiate(self, event: str) -> tuple[str, World]:
        signer, before, end = STEPS[event]
        if not self.agreement and "" not in before:
            return "E_UNKNOWN", self
        if self.agreed() not in before:
            return "E_AGREEMENT_STATE", self
        if not self.agreement and self.over("end"):
            return "E_CLOCK", self
        if event.startswith("resume") and signer != self.suspended_by:
            return "E_RECIPIENT", self
        suspended_by = signer if end == "SUSPENDED" else ""
        return "", replace(self, agreement=end, suspended_by=suspended_by)

    def _exchange(self, event: str) -> tuple[str, World]:
        if event != "ask" and not self.consent:
            return "E_UNKNOWN", self
        if event in ("admit", "release", "acknowledge") and not self.exchange:
            return "E_UNKNOWN", self
        no_agreement = "" if self.agreed() == "FINALIZED" else "E_AGREEMENT_STATE"
        consented = self.consented()
        live = {"AUTHORISED": "", "CONSUMED": "E_USES"}.get(consented, "E_CONSENT_STATE")
        ended = self.consent != "AUTHORISED" or self.over("expire")
        match event:
            case "ask":
                late = "E_CLOCK" if self.over("expire") else ""
                unknown = "" if self.agreement else "E_UNKNOWN"
                taken = "E_EXISTS" if self.consent else ""
                code = taken or late or unknown or no_agreement
                return code, replace(self, consent="REQUESTED")
            case "authorise":
                code = "" if consented == "REQUESTED" else "E_CONSENT_STATE"
                return code, replace(self, consent="AUTHORISED")
            case "revoke":
                code = "E_EXISTS" if consented == "REVOKED" else ""
                return code, replace(self, consent="REVOKED")
            case "intend":
                return live or no_agreement, replace(self, exchange=self.exchange or "INTENDED")
            case "admit":
                state = "" if self.exchange == "INTENDED" else "E_EXCHANGE_STATE"
                late = "E_CLOCK" if self.over("deadline") else ""
                code = state or live or no_agreement or late
                return code, replace(self, exchange="ADMITTED", uses=1)
            case "release":
                waits = self.exchange == "ADMITTED" and not self.over("deadline")
                code = "E_CONSENT_STATE" if ended else ""
                return code if waits else "E_EXCHANGE_STATE", replace(self, exchange="RELEASED")
            case _:
                waits = self.exchange in ("ADMITTED", "RELEASED")
                after = replace(self, exchange="ACKNOWLEDGED")
                return "" if waits else "E_EXCHANGE_STATE", after


@dataclass
class Place:
    """A ledger's view that is in some world, and the exchange's id there."""

    view: View
    exchange: bytes = b"\xee" * 32


def time_ms(passed: int) -> int:
    return START + 1000 * passed


def body_of(event: str, place: Place, order: tuple[str, ...]) -> tuple[str, records.RecordBody]:
    at_ms = {instant: time_ms(number + 1) for number, instant in enumerate(order)}
    named, end_ms = place.exchange, at_ms["end"]
    if event in STEPS:
        kind = f"agreement.{event.split()[0]}"
        match event.split()[0]:
            case "request":
                body: records.RecordBody = requested(expires_ms=end_ms)
            case "offer":
                offer = records.AgreementOffer
                body = offer(AGREEMENT, "tax.v1", (PURPOSE,), ROOT, end_ms, "consumer")
            case "terminate" | "suspend" | "retire":
                body = records.BODIES[kind](AGREEMENT, "NO_NEED")
            case _:
                body = records.BODIES[kind](AGREEMENT)
        return STEPS[event][0], body
    until = {"expires_ms": at_ms["expire"], "lapses_ms": at_ms["expire"]}
    bodies: dict[str, tuple[str, records.RecordBody]] = {
        "ask": (
            "consumer",
            request(CONSENT, "consent key", agreement=AGREEMENT, max_uses=1, **until),
        ),
        "authorise": ("consent key", authorise(place.view, CONSENT, "consent key")),
        "revoke": ("consent key", records.ConsentRevoke(CONSENT)),
        "intend": ("consumer", records.ExchangeIntent(CONSENT, ROOT, ZERO, FAR)),
        "admit": (
            "provider",
            structs.replace(admit(named), deadline_ms=at_ms["deadline"]),
        ),
        "release": ("provider", records.ExchangeRelease(named, ROOT)),
        "acknowledge": ("consumer", records.ExchangeAcknowledge(named)),
    }
    return bodies[event]


def shown(place: Place) -> list[Any]:
    """The objects as they stand, without how many records led there, where and when."""
    found: list[Any] = []
    for name, kind in (
        (rules.agreement_object(AGREEMENT), rules.AgreementState),
        (rules.consent_object(CONSENT), rules.ConsentState),
        (rules.exchange_object(place.exchange), rules.ExchangeState),
    ):
        state = place.view.get(name, kind)
        if state is not None:
            state = structs.replace(state, count=0, history=ZERO)
        if isinstance(state, rules.AgreementState):
            state = structs.replace(state, finalized_ms=0, suspensions=())
        if isinstance(state, rules.ExchangeState) and state.admission is not None:
            admission = structs.replace(state.admission, consent_count=0, time_ms=0)
            state = structs.replace(state, admission=admission)
        found.append(state)
    return found


def step(world: World, place: Place, event: str) -> tuple[World, Place]:
    """Play one event for real, and hold what comes of it to the model."""
    fork = Place(place.view.fork(), place.exchange)
    expected, after = world.play(event)
    if event == "wait":
        return after, fork
    signer, body = body_of(event, fork, world.order)
    record = sign(fork.view, signer, body)

    code = code_of(fork.view, record, time_ms(world.passed))

    assert expected == code, (world, event)
    if event in BEGINNINGS and world.agreed() != "FINALIZED":
        assert code, "nothing begins without an agreement in force"
    if event == "revoke" and world.consent:
        assert not code or world.consent == "REVOKED", "the first revoke is never refused"
        assert consent_state(fork.view).status == "REVOKED"
    if event == "intend" and not code and not world.exchange:
        fork.exchange = record.id
    return after, fork


def explore(order: tuple[str, ...]) -> tuple[set[World], int]:
    """Every state that any order of events leads to, and how many steps were played."""
    first = World(order)
    places = {first: Place(begin())}
    waiting = deque([first])
    played = 0
    while waiting:
        world = waiting.popleft()
        for event in (*STEPS, *OTHERS, "wait"):
            after, place = step(world, places[world], event)
            played += 1
            if after not in places:
                places[after] = place
                waiting.append(after)
            assert shown(place) == shown(places[after]), (world, event)

    return set(places), played


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_every_event_in_every_state_that_any_order_of_events_leads_to(order):
    places, played = explore(order)

    ends = {(world.agreed(), world.exchange) for world in places}
    agreements = {"TERMINATED", "SUSPENDED", "RETIRED", "EXPIRED"}
    assert agreements == {agreed for agreed, _ in ends} & agreements
    for agreed in ("SUSPENDED", "RETIRED"):
        for reached in ("INTENDED", "ADMITTED", "RELEASED", "ACKNOWLEDGED"):
            assert (agreed, reached) in ends
    assert played > 4000


@pytest.mark.parametrize("family", [consent, exchange])
def test_a_rule_that_lets_something_begin_is_found(family, monkeypatch):
    monkeypatch.setitem(family.FAMILY.checks, "agreement_is_in_force", lambda case: None)

    with pytest.raises(AssertionError):
        explore(ORDERS[0])
