"""Whatever the order, a revoke that comes first wins, and no use is taken twice.

Five events are played in every order to depth six; longer random plays, with several exchanges of
one consent, are compared with a small model that shares nothing with the rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain

from hypothesis import given, settings
from hypothesis import strategies as st

from ledgercore import records
from ledgercore.rules import View
from tests.network import (
    CONSENT,
    EXPIRES,
    PURPOSE,
    ROOT,
    START,
    ZERO,
    admit,
    authorise,
    authorised,
    begin,
    code_of,
    consent_state,
    decision,
    exchange_state,
    intend,
    request,
    running_hash,
    sign,
)

EVENTS = ("revoke", "admit", "expire", "acknowledge", "use")
DEPTH = 6


@dataclass(frozen=True)
class Race:
    """What must be true of one consent with a single use, and its exchange."""

    exchange: str = "INTENDED"
    revoked: bool = False
    expired: bool = False

    def play(self, event: str) -> tuple[str, Race]:
        """The code of refusal, or nothing; and what is true afterwards."""
        over = "E_CONSENT_STATE" if self.revoked or self.expired else ""
        match event:
            case "revoke":
                return "", replace(self, revoked=True)
            case "expire":
                return "", replace(self, expired=True)
            case "admit" if self.exchange == "INTENDED":
                return over, self if over else replace(self, exchange="ADMITTED")
            case "acknowledge" if self.exchange == "ADMITTED":
                return "", replace(self, exchange="ACKNOWLEDGED")
            case "use" if self.exchange in ("ACKNOWLEDGED", "USED"):
                return over, self if over else replace(self, exchange="USED")
            case _:
                return "E_EXCHANGE_STATE", self


def play(view: View, event: str, exchange: bytes, time_ms: int) -> str:
    """The code of refusal of one event, or nothing. A use brings its decision with it."""
    match event:
        case "revoke":
            record = sign(view, "consent key", records.ConsentRevoke(CONSENT))
        case "admit":
            record = sign(view, "provider", admit(exchange))
        case "acknowledge":
            record = sign(view, "consumer", records.ExchangeAcknowledge(exchange))
        case _:
            basis = sign(view, "consumer", decision(exchange))
            code = code_of(view, basis, time_ms)
            if code:
                return code
            record = sign(view, "consumer", records.ExchangeUse(exchange, basis.id, PURPOSE))
    return code_of(view, record, time_ms)


def orders(
    view: View, race: Race, exchange: bytes, path: tuple[str, ...]
) -> Iterator[tuple[str, ...]]:
    """Play every continuation of the path, hold it to the model, and give each that was played."""
    if len(path) == DEPTH:
        return
    for event in EVENTS:
        fork = view.fork()
        expected, after = race.play(event)
        time_ms = EXPIRES if race.expired else START

        code = "" if event == "expire" else play(fork, event, exchange, time_ms)

        assert expected == code, (*path, event)
        assert after.exchange == exchange_state(fork, exchange).status
        assert after.revoked == (consent_state(fork).status == "REVOKED")
        if "revoke" in path and event in ("admit", "use"):
            assert code, "a revoke that comes first must win"
        yield (*path, event)
        yield from orders(fork, after, exchange, (*path, event))


def test_every_order_of_five_events_to_depth_six():
    view = authorised(begin(), max_uses=1)
    exchange = intend(view)

    played = sum(1 for _ in orders(view, Race(), exchange, ()))

    assert sum(len(EVENTS) ** depth for depth in range(1, DEPTH + 1)) == played


def test_revoke_and_authorise_race_either_way():
    view = begin()
    key = "consent key"
    assert "" == code_of(view, sign(view, "consumer", request(CONSENT, key)))
    first, second = view.fork(), view.fork()

    codes = [
        code_of(first, sign(first, key, records.ConsentRevoke(CONSENT))),
        code_of(first, sign(first, key, authorise(first, CONSENT, key))),
        code_of(second, sign(second, key, authorise(second, CONSENT, key))),
        code_of(second, sign(second, key, records.ConsentRevoke(CONSENT))),
    ]

    assert ["", "E_CONSENT_STATE", "", ""] == codes
    assert ["REVOKED"] * 2 == [consent_state(one).status for one in (first, second)]


def test_erase_after_revoke_is_allowed():
    view = authorised(begin())
    exchange = intend(view)
    assert "" == play(view, "admit", exchange, START)
    assert "" == play(view, "acknowledge", exchange, START)
    assert "" == play(view, "revoke", exchange, START)

    erase = sign(view, "consumer", records.ExchangeErase(exchange, "consent_revoked"))

    assert "" == code_of(view, erase, EXPIRES + 1)


# Random plays against a model.

NEXT = {
    "admit": ({"INTENDED"}, "ADMITTED"),
    "refuse": ({"INTENDED"}, "REFUSED"),
    "acknowledge": ({"ADMITTED"}, "ACKNOWLEDGED"),
    "decline": ({"ADMITTED"}, "DECLINED"),
    "use": ({"ACKNOWLEDGED", "USED"}, "USED"),
    "erase": ({"ADMITTED", "ACKNOWLEDGED", "DECLINED", "USED"}, "ERASED"),
}


@dataclass
class Model:
    """One consent with two uses, and the exchanges under it, in the simplest words."""

    time_ms: int = START
    revoked: bool = False
    uses: int = 0
    exchanges: list[str] = field(default_factory=list)
    decided: list[bytes] = field(default_factory=list)

    def expect(self, event: str, number: int) -> str:
        """The code that the event must be refused with, or nothing."""
        over = "E_CONSENT_STATE" if self.revoked or self.time_ms >= EXPIRES else ""
        # A consent whose uses are all taken says so until it is revoked.
        spent = "" if self.revoked or self.uses < 2 else "E_USES"
        if event == "intend":
            return spent or over
        if event == "revoke":
            return ""
        if event == "decide":
            ready = self.exchanges[number] in ("ACKNOWLEDGED", "USED")
            return "" if ready else "E_EXCHANGE_STATE"
        if self.exchanges[number] not in NEXT[event][0]:
            return "E_EXCHANGE_STATE"
        if event == "admit":
            return spent or over
        if event == "use":
            return over or ("" if self.decided[number] else "E_UNKNOWN")
        return ""

    def move(self, event: str, number: int, record_id: bytes) -> None:
        match event:
            case "revoke":
                self.revoked = True
            case "intend":
                self.exchanges.append("INTENDED")
                self.decided.append(b"")
            case "decide":
                self.decided[number] = record_id
            case _:
                self.uses += event == "admit"
                self.exchanges[number] = NEXT[event][1]


def body_of(event: str, exchange: bytes, basis: bytes) -> tuple[str, records.RecordBody]:
    match event:
        case "revoke":
            return "consent key", records.ConsentRevoke(CONSENT)
        case "intend":
            return "consumer", records.ExchangeIntent(CONSENT, ROOT, ZERO)
        case "admit":
            return "provider", admit(exchange)
        case "refuse":
            return "provider", records.ExchangeRefuse(exchange, "E_SCOPE")
        case "acknowledge":
            return "consumer", records.ExchangeAcknowledge(exchange)
        case "decline":
            return "consumer", records.ExchangeDecline(exchange, "E_SCOPE")
        case "decide":
            return "consumer", decision(exchange)
        case "use":
            return "consumer", records.ExchangeUse(exchange, basis or ROOT, PURPOSE)
        case _:
            return "consumer", records.ExchangeErase(exchange, "retention_over")


EVENT = st.sampled_from(("intend", "revoke", "decide", "wait", *NEXT)).map(lambda event: [event])
# Single events seldom line up, so stretches of the usual way through are mixed in.
STRETCH = st.sampled_from(
    (["admit", "acknowledge"], ["admit", "acknowledge", "decide"], ["decide", "use", "use"])
)
STEPS = st.tuples(EVENT | STRETCH, st.integers(0, 1)).map(
    lambda drawn: [(event, drawn[1]) for event in drawn[0]]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=20))
def test_random_plays_agree_with_the_model(steps):
    view = begin()
    consent_trail, exchange_trails, exchanges = [], [], []
    for signer, body in (
        ("consumer", request(CONSENT, "consent key")),
        ("consent key", authorise(view, CONSENT, "consent key")),
    ):
        record = sign(view, signer, body)
        assert "" == code_of(view, record)
        consent_trail.append(record.id)
    model = Model()
    for event, number in [("intend", 0), *chain.from_iterable(steps)]:
        if event == "wait":
            model.time_ms += (EXPIRES - START) // 4
            continue
        if event not in ("intend", "revoke") and number >= len(exchanges):
            continue
        known = number < len(exchanges)
        exchange, basis = (exchanges[number], model.decided[number]) if known else (ROOT, b"")
        signer, body = body_of(event, exchange, basis)
        record = sign(view, signer, body)

        code = code_of(view, record, model.time_ms)

        assert model.expect(event, number) == code, (event, number)
        if code:
            continue
        model.move(event, number, record.id)
        if event == "intend":
            exchanges.append(record.id)
            exchange_trails.append([])
        if event != "decide":
            consent_trail.append(record.id)
        if event != "revoke":
            exchange_trails[-1 if event == "intend" else number].append(record.id)
    check_states(view, model, consent_trail, dict(zip(exchanges, exchange_trails, strict=True)))


def check_states(
    view: View, model: Model, consent_trail: list[bytes], trails: dict[bytes, list[bytes]]
) -> None:
    consent = consent_state(view)
    assert model.uses == consent.uses <= consent.max_uses
    assert (len(consent_trail), running_hash(consent_trail)) == (consent.count, consent.history)
    for (exchange, trail), status in zip(trails.items(), model.exchanges, strict=True):
        state = exchange_state(view, exchange)
        assert status == state.status
        assert (len(trail), running_hash(trail)) == (state.count, state.history)
