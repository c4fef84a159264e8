"""Whatever the order, a revoke that comes first wins, and no use is taken twice.

Seven events and the passing of three instants are played in every order to its end; longer random
plays, with several exchanges of one consent, are compared with a small model that shares nothing
with the rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as replace_fields

from ledgercore import records, rules
from ledgercore.rules import View
from tests.examples import examples
from tests.network import (
    CONSENT,
    DEADLINE,
    EXPIRES,
    FAR,
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

EVENTS = ("revoke", "admit", "release", "acknowledge", "void", "time-out", "use", "wait")
INSTANTS = ("expire", "lapse", "deadline")
"""What comes when time passes: the consent's end, the intent's, and the key's."""
KEYLESS = ("ADMITTED", "OVERDUE")


@dataclass(frozen=True)
class Race:
    """What must be true of one consent with a single use, and its exchange."""

    order: tuple[str, ...]
    exchange: str = "INTENDED"
    revoked: bool = False
    passed: int = 0

    def over(self, instant: str) -> bool:
        return instant in self.order[: self.passed]

    def status(self) -> str:
        if self.exchange == "INTENDED" and self.over("lapse"):
            return "LAPSED"
        late = self.exchange == "ADMITTED" and self.over("deadline")
        return "OVERDUE" if late else self.exchange

    def uses(self) -> int:
        return 0 if self.exchange in ("INTENDED", "VOIDED", "TIMED_OUT") else 1

    def play(self, event: str) -> tuple[str, Race]:
        """The code of refusal, or nothing; and what is true afterwards."""
        over = "E_CONSENT_STATE" if self.revoked or self.over("expire") else ""
        match event, self.status():
            case "revoke", _:
                return "E_EXISTS" if self.revoked else "", replace(self, revoked=True)
            case "wait", _:
                return "", replace(self, passed=min(self.passed + 1, len(self.order)))
            case "admit", "INTENDED":
                code = over or ("E_CLOCK" if self.over("deadline") else "")
                return code, self if code else replace(self, exchange="ADMITTED")
            case "release", "ADMITTED":
                return over, self if over else replace(self, exchange="RELEASED")
            case "acknowledge", "ADMITTED" | "OVERDUE" | "RELEASED":
                return "", replace(self, exchange="ACKNOWLEDGED")
            case "void", "ADMITTED" | "OVERDUE":
                return "", replace(self, exchange="VOIDED")
            case "time-out", "OVERDUE":
                return "", replace(self, exchange="TIMED_OUT")
            case "use", "ACKNOWLEDGED" | "USED":
                return over, self if over else replace(self, exchange="USED")
            case _:
                return "E_EXCHANGE_STATE", self


@dataclass(frozen=True)
class Schedule:
    """When the three instants are."""

    order: tuple[str, ...]

    def time_ms(self, passed: int) -> int:
        return START + 1000 * passed

    def at_ms(self, instant: str) -> int:
        return self.time_ms(self.order.index(instant) + 1)


def play(view: View, event: str, exchange: bytes, now_ms: int, deadline_ms: int) -> str:
    """The code of refusal of one event, or nothing. A use brings its decision with it."""
    match event:
        case "revoke":
            record = sign(view, "consent key", records.ConsentRevoke(CONSENT))
        case "admit":
            body = replace_fields(admit(exchange), deadline_ms=deadline_ms)
            record = sign(view, "provider", body)
        case "release":
            record = sign(view, "provider", records.ExchangeRelease(exchange, ROOT))
        case "void":
            record = sign(view, "provider", records.ExchangeVoid(exchange, "E_LATE"))
        case "acknowledge":
            record = sign(view, "consumer", records.ExchangeAcknowledge(exchange))
        case "time-out":
            record = sign(view, "consumer", records.ExchangeTimeOut(exchange))
        case _:
            basis = sign(view, "consumer", decision(exchange))
            code = code_of(view, basis, now_ms)
            if code:
                return code
            record = sign(view, "consumer", records.ExchangeUse(exchange, basis.id, PURPOSE))
    return code_of(view, record, now_ms)


def orders(view: View, race: Race, exchange: bytes, path: tuple[str, ...]) -> Iterator[Race]:
    """Play every continuation of the path, hold it to the model, and give each state reached.

    What is refused changes nothing, which ``code_of`` checks, so nothing more can follow from it.
    """
    schedule = Schedule(race.order)
    for event in EVENTS:
        fork = view.fork()
        expected, after = race.play(event)
        now_ms = schedule.time_ms(race.passed)
        deadline_ms = schedule.at_ms("deadline")

        code = "" if event == "wait" else play(fork, event, exchange, now_ms, deadline_ms)

        assert expected == code, (*path, event)
        state = exchange_state(fork, exchange)
        assert after.status() == rules.exchange_status_at(state, schedule.time_ms(after.passed))
        assert after.revoked == (consent_state(fork).status == "REVOKED")
        assert after.uses() == consent_state(fork).uses
        if "revoke" in path and event in ("admit", "release", "use"):
            assert code, "a revoke that comes first must win"
        yield after
        if after != race:
            yield from orders(fork, after, exchange, (*path, event))


@pytest.mark.parametrize("order", list(permutations(INSTANTS)), ids="-".join)
def test_every_order_of_all_events_to_its_end(order):
    schedule = Schedule(order)
    view = begin()
    times = {"expires_ms": schedule.at_ms("expire"), "lapses_ms": START + 1}
    authorised(view, max_uses=1, **times)
    exchange = intend(view, schedule.at_ms("lapse"))

    played = list(orders(view, Race(order), exchange, ()))

    ends = {race.status() for race in played}
    assert {"ACKNOWLEDGED", "USED", "RELEASED", "VOIDED", "TIMED_OUT", "LAPSED"} <= ends
    assert len(played) > 1000


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
    for event in ("admit", "acknowledge", "revoke"):
        assert "" == play(view, event, exchange, START, DEADLINE)

    erase = sign(view, "consumer", records.ExchangeErase(exchange, "consent_revoked"))

    assert "" == code_of(view, erase, EXPIRES + 1)


# Random plays against a model.

NEXT = {
    "admit": ({"INTENDED"}, "ADMITTED"),
    "refuse": ({"INTENDED"}, "REFUSED"),
    "release": ({"ADMITTED"}, "RELEASED"),
    "void": ({*KEYLESS}, "VOIDED"),
    "time-out": ({"OVERDUE"}, "TIMED_OUT"),
    "acknowledge": ({*KEYLESS, "RELEASED"}, "ACKNOWLEDGED"),
    "decline": ({*KEYLESS, "RELEASED"}, "DECLINED"),
    "use": ({"ACKNOWLEDGED", "USED"}, "USED"),
    "erase": (
        {*KEYLESS, "RELEASED", "ACKNOWLEDGED", "DECLINED", "USED", "VOIDED", "TIMED_OUT"},
        "ERASED",
    ),
}


@dataclass
class Model:
    """One consent with two uses, and the exchanges under it, in the simplest words."""

    time_ms: int = START
    revoked: bool = False
    uses: int = 0
    exchanges: list[str] = field(default_factory=list)
    decided: list[bytes] = field(default_factory=list)

    def status(self, number: int) -> str:
        late = self.exchanges[number] == "ADMITTED" and self.time_ms >= DEADLINE
        return "OVERDUE" if late else self.exchanges[number]

    def expect(self, event: str, number: int) -> str:
        """The code that the event must be refused with, or nothing."""
        over = "E_CONSENT_STATE" if self.revoked or self.time_ms >= EXPIRES else ""
        # A consent whose uses are all taken says so until it is revoked.
        spent = "" if self.revoked or self.uses < 2 else "E_USES"
        if event == "intend":
            return spent or over
        if event == "revoke":
            return "E_EXISTS" if self.revoked else ""
        if event == "decide":
            ready = self.status(number) in ("ACKNOWLEDGED", "USED")
            return "" if ready else "E_EXCHANGE_STATE"
        if self.status(number) not in NEXT[event][0]:
            return "E_EXCHANGE_STATE"
        if event == "admit":
            return spent or over
        if event == "release":
            return over
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
                self.uses += (event == "admit") - (event in ("void", "time-out"))
                self.exchanges[number] = NEXT[event][1]


def body_of(event: str, exchange: bytes, basis: bytes) -> tuple[str, records.RecordBody]:
    match event:
        case "revoke":
            return "consent key", records.ConsentRevoke(CONSENT)
        case "intend":
            return "consumer", records.ExchangeIntent(CONSENT, ROOT, ZERO, FAR)
        case "admit":
            return "provider", admit(exchange)
        case "release":
            return "provider", records.ExchangeRelease(exchange, ROOT)
        case "void":
            return "provider", records.ExchangeVoid(exchange, "E_LATE")
        case "time-out":
            return "consumer", records.ExchangeTimeOut(exchange)
        case "refuse":
            return "provider", records.ExchangeRefuse(exchange, "E_SCOPE")
        case "acknowledge":
            return "consumer", records.ExchangeAcknowledge(exchange)
        case "decline":
            return "consumer", records.ExchangeDecline(exchange, "E_SCOPE", ROOT)
        case "decide":
            return "consumer", decision(exchange)
        case "use":
            return "consumer", records.ExchangeUse(exchange, basis or ROOT, PURPOSE)
        case _:
            return "consumer", records.ExchangeErase(exchange, "retention_over")


EVENT = st.sampled_from(("intend", "revoke", "decide", "wait", *NEXT)).map(lambda event: [event])
# Single events seldom line up, so stretches of the usual way through are mixed in.
STRETCH = st.sampled_from(
    (
        ["admit", "acknowledge"],
        ["admit", "acknowledge", "decide"],
        ["decide", "use", "use"],
        ["admit", *["wait"] * 12, "time-out"],
    )
)
STEPS = st.tuples(EVENT | STRETCH, st.integers(0, 1)).map(
    lambda drawn: [(event, drawn[1]) for event in drawn[0]]
)


@examples(300)
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
    for number, (exchange, trail) in enumerate(trails.items()):
        state = exchange_state(view, exchange)
        assert model.status(number) == rules.exchange_status_at(state, model.time_ms)
        assert (len(trail), running_hash(trail)) == (state.count, state.history)
