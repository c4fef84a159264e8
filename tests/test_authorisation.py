"""Token-like schemas are refused, unless and while an authorisation allows them.

Every kind in every state by every signer is in ``test_transitions``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from ledgercore import RefusedError, records, rules
from ledgercore.demo.parties import TAX
from ledgercore.exchange import Supervisor
from ledgercore.exchange.submission import submit
from ledgercore.rules import View, authorisation
from ledgercore.rules.amounts import NOTHING
from ledgercore.rules.lint import RULES, WORDS
from tests.network import (
    CONSENT,
    EXPIRES,
    FAR,
    NEW_CONSENT,
    PURPOSE,
    ROOT,
    START,
    TOKEN_SCHEMA,
    ZERO,
    act,
    admit,
    authorise,
    authorised,
    begin,
    code_of,
    decision,
    grant,
    intend,
    product,
    request,
    sign,
)
from tests.town import DAY_MS, Town

HASH = rules.schema_hash("std", TOKEN_SCHEMA)
FEES = records.SchemaRegister("fees", 1, "Fee of each validator", ())
RESERVED = records.SchemaRegister("points", 1, "Loyalty tokens", ())
REVOKE = records.AuthorisationRevoke(HASH, "order-7")


def points(**changes: Any) -> records.ProductPublish:
    return product("points.v1", schema="points", codes=(), **changes)


def granted(**changes: Any) -> View:
    view = begin()
    act(view, "authority", grant(TOKEN_SCHEMA, **changes))
    return view


def issued(**changes: Any) -> View:
    """A token-like schema that is registered, and a product on it."""
    view = granted(**{"max_uses": 9, "expires_ms": FAR} | changes)
    act(view, "provider", TOKEN_SCHEMA)
    act(view, "provider", points())
    return view


def refusal(view: View, signer: str, body: records.RecordBody, time_ms: int = START) -> str:
    return code_of(view, sign(view, signer, body), time_ms)


def grant_refusal(signer: str = "authority", **changes: Any) -> str:
    return refusal(begin(), signer, grant(TOKEN_SCHEMA, **changes))


def register_refusal(view: View, signer: str = "provider", time_ms: int = START) -> str:
    return refusal(view, signer, TOKEN_SCHEMA, time_ms)


def never() -> str:
    view = begin()
    act(view, "authority", grant(FEES))
    return refusal(view, "provider", FEES)


def revoked() -> View:
    view = granted()
    act(view, "authority", REVOKE)
    return view


def third_admit() -> str:
    """Two exchanges may be admitted under it, whatever the consent allows."""
    view = issued(max_uses=2)
    authorised(view, max_uses=9, product="points.v1", expires_ms=FAR)
    intents = [intend(view) for _ in range(3)]
    for intent in intents[:2]:
        act(view, "provider", admit(intent))
    return refusal(view, "provider", admit(intents[2]))


REFUSALS: dict[str, dict[str, Callable[[], str]]] = {
    "E_ROLE": {
        "a grant by a supervisor": lambda: grant_refusal("supervisor"),
        "a grant by governance": lambda: grant_refusal("governor"),
    },
    "E_CLOCK": {"a grant that has ended": lambda: grant_refusal(expires_ms=START)},
    "E_USES": {"a grant of nothing": lambda: grant_refusal(max_uses=0)},
    "E_UNKNOWN": {"a grant to nobody": lambda: grant_refusal(member="nobody")},
    "E_EXISTS": {
        "a grant again": lambda: refusal(revoked(), "authority", grant(TOKEN_SCHEMA)),
    },
    "E_TOKEN_LIKE": {
        "a schema without a grant": lambda: register_refusal(begin()),
        "a schema that pays validators, in spite of a grant": never,
        "a graver rule in a product": lambda: refusal(
            issued(), "provider", points(product="points.v2", title="Block reward")
        ),
    },
    "E_RESERVED_WORD": {
        "a schema without a grant": lambda: refusal(begin(), "provider", RESERVED),
    },
    "E_RECIPIENT": {
        "another provider's schema": lambda: register_refusal(granted(), "other provider"),
        "another provider's product": lambda: refusal(
            issued(), "other provider", points(product="points.v2")
        ),
    },
    "E_AUTHORISATION": {
        "a schema after a revocation": lambda: register_refusal(revoked()),
        "a schema after the end": lambda: register_refusal(granted(), time_ms=EXPIRES),
        "a revocation again": lambda: refusal(revoked(), "authority", REVOKE),
        "an admit above what was granted": third_admit,
    },
}


@pytest.mark.parametrize(
    ("code", "case"), [(code, case) for code, cases in REFUSALS.items() for case in cases]
)
def test_refusal_has_its_code(code, case):
    assert code == REFUSALS[code][case]()


TAX_SCHEMA = records.SchemaRegister("tax", 1, "Tax", (records.Field("vat.sales_m", "fen", 4),))
IN_FORCE = rules.AuthorisationState(
    *("GRANTED", 1, ROOT, "authority", "provider", "a clearing house", "cn", "law-1"),
    max_uses=2,
    uses=0,
    expires_ms=EXPIRES,
)
STATES: dict[str, rules.AuthorisationState | None] = {
    "none": None,
    "in force": IN_FORCE,
    "another's": structs.replace(IN_FORCE, member="other-provider"),
    "used up": structs.replace(IN_FORCE, uses=2),
    "ended": structs.replace(IN_FORCE, expires_ms=START),
    "revoked": structs.replace(IN_FORCE, status="REVOKED"),
}


def breaking(rule: str, view: View) -> tuple[bytes, str, records.RecordBody]:
    """The hash that an authorisation would be of, who breaks the rule, and by what record."""
    if rule == "T7":
        exchange = intend(authorised(view))
        act(view, "provider", admit(exchange))
        act(view, "consumer", records.ExchangeAcknowledge(exchange))
        nothing = structs.replace(decision(exchange), amount_commitment=NOTHING)
        return rules.schema_hash("std", TAX_SCHEMA), "consumer", nothing
    title = " ".join(WORDS[rule][0]) if rule in WORDS else "token"
    body = records.SchemaRegister("new", 1, title, ())
    return rules.schema_hash("std", body), "provider", body


def want_of(rule: str, state: str) -> str:
    if not RULES[rule].authorised or state == "none":
        return RULES[rule].code
    wants = {"in force": "", "another's": "E_RECIPIENT"}
    if rule != "T7":  # a registration takes no use
        wants["used up"] = ""
    return wants.get(state, "E_AUTHORISATION")


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("rule", RULES)
def test_every_rule_under_every_authorisation(rule: str, state: str) -> None:
    view = begin()
    schema_hash, signer, body = breaking(rule, view)
    name, held = rules.authorisation_object(schema_hash), STATES[state]
    if held is not None:
        view.put(name, held)

    code = refusal(view, signer, body)

    assert code == want_of(rule, state)
    after = view.get(name, rules.AuthorisationState)
    uses = [] if held is None else [held.uses + (rule == "T7" and not code)]
    assert ([] if after is None else [after.uses]) == uses


def acknowledged(view: View, second: str) -> list[bytes]:
    """One exchange on the first product and one on a second, both acknowledged."""
    exchanges = []
    for consent, key, offered in (
        (CONSENT, "consent key", "tax.v1"),
        (NEW_CONSENT, "new consent key", second),
    ):
        act(view, "consumer", request(consent, key, product=offered))
        act(view, key, authorise(view, consent, key))
        intent = records.ExchangeIntent(consent, ROOT, ROOT, FAR)
        exchanges.append(act(view, "consumer", intent))
        act(view, "provider", admit(exchanges[-1]))
        act(view, "consumer", records.ExchangeAcknowledge(exchanges[-1]))
    return exchanges


def test_every_input_of_a_row_of_amounts_is_authorised() -> None:
    """A decision on two products, of which the schema of one alone is authorised."""
    view = begin()
    other = records.SchemaRegister("other", 1, "Other", ())
    act(view, "provider", other)
    act(view, "provider", product("other.v1", schema="other", codes=()))
    exchanges = acknowledged(view, "other.v1")
    body = structs.replace(decision(*exchanges), amount_commitment=NOTHING)

    act(view, "authority", grant(TAX_SCHEMA))
    assert refusal(view, "consumer", body) == "E_TOKEN_LIKE"
    act(view, "authority", grant(other))
    assert refusal(view, "consumer", body) == ""

    for schema in (TAX_SCHEMA, other):
        name = rules.authorisation_object(rules.schema_hash("std", schema))
        assert view.get(name, rules.AuthorisationState).uses == 1


def test_a_row_of_amounts_on_two_products_of_a_schema_takes_one_use() -> None:
    """Or its record is twice in the history of the authorisation, which nobody can walk then."""
    view = begin()
    act(view, "provider", product("second.v1"))
    exchanges = acknowledged(view, "second.v1")
    act(view, "authority", grant(TAX_SCHEMA, max_uses=1))
    body = structs.replace(decision(*exchanges), amount_commitment=NOTHING)

    assert refusal(view, "consumer", body) == ""

    name = rules.authorisation_object(rules.schema_hash("std", TAX_SCHEMA))
    state = view.get(name, rules.AuthorisationState)
    assert (state.uses, state.count) == (1, 2)
    assert len([touch for touch in view.touches() if touch.name == name]) == 2
    assert refusal(view, "consumer", body) == "E_AUTHORISATION"


def test_a_rule_that_touches_an_object_twice_is_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    def grant_twice(case: Any) -> rules.AuthorisationState:
        granted = authorisation.grant(case)
        case.touch(rules.authorisation_object(HASH), granted)
        return granted

    kind = records.AuthorisationGrant.KIND
    monkeypatch.setitem(authorisation.FAMILY.effects, kind, grant_twice)

    with pytest.raises(AssertionError, match="grant touches an object twice"):
        granted()


def test_a_reserved_word_is_authorised_too():
    view = begin()
    act(view, "authority", grant(RESERVED))

    assert refusal(view, "provider", RESERVED) == ""


def test_another_version_needs_another_authorisation():
    view = issued()
    body = records.SchemaRegister("points", 2, TOKEN_SCHEMA.title, ())

    assert refusal(view, "provider", body) == "E_TOKEN_LIKE"
    act(view, "authority", grant(body))
    assert refusal(view, "provider", body) == ""


# At run time: everything that begins or goes on, at every step, before and after.


class Flow:
    """An exchange under a token-like schema, to the step before the one that is asked about."""

    def __init__(self, until: str) -> None:
        self.view = issued()
        self.exchange = self.decision = b""
        for name in STEPS:
            if name == until:
                return
            taken = act(self.view, *self.step(name))
            if name == "exchange.intent":
                self.exchange = taken
            elif name == "decision.record":
                self.decision = taken

    def step(self, kind: str) -> tuple[str, records.RecordBody]:
        view, exchange = self.view, self.exchange
        match kind:
            case "product.publish":
                return "provider", points(product="points.v2")
            case "consent.request":
                asked = request(CONSENT, "consent key", product="points.v1", expires_ms=2 * FAR)
                return "consumer", asked
            case "consent.authorise":
                return "consent key", authorise(view, CONSENT, "consent key")
            case "exchange.intent":
                return "consumer", records.ExchangeIntent(CONSENT, ROOT, ZERO, 2 * FAR)
            case "exchange.admit":
                return "provider", admit(exchange)
            case "exchange.release":
                return "provider", records.ExchangeRelease(exchange, ROOT)
            case "exchange.acknowledge":
                return "consumer", records.ExchangeAcknowledge(exchange)
            case "decision.record":
                return "consumer", decision(exchange)
            case "exchange.use":
                return "consumer", records.ExchangeUse(exchange, self.decision, PURPOSE)
            case "exchange.erase":
                return "consumer", records.ExchangeErase(exchange, "revoked")
        return "consent key", records.ConsentRevoke(CONSENT)


FROZEN = (
    *("product.publish", "consent.request", "consent.authorise", "exchange.intent"),
    *("exchange.admit", "exchange.release", "exchange.use"),
)
FREE = ("exchange.acknowledge", "decision.record", "exchange.erase", "consent.revoke")
STEPS = (
    *FROZEN[:6],
    *("exchange.acknowledge", "decision.record", "exchange.use"),
    *("exchange.erase", "consent.revoke"),
)


@pytest.mark.parametrize("kind", STEPS)
def test_a_revocation_freezes_what_is_new_and_never_what_ends(kind: str) -> None:
    flow = Flow(kind)
    step = flow.step(kind)
    before = refusal(flow.view.fork(), *step)
    act(flow.view, "authority", REVOKE)

    assert before == ""
    assert refusal(flow.view, *step) == ("E_AUTHORISATION" if kind in FROZEN else "")
    assert {*FROZEN, *FREE} == set(STEPS)


@pytest.mark.parametrize("kind", FROZEN[:3])
def test_the_end_freezes_as_a_revocation_does(kind: str) -> None:
    """On the millisecond; the later steps have ends of their own, which come first."""
    view = issued(expires_ms=START + 5)
    flow = Flow(kind)
    flow.view = view
    if kind == "consent.authorise":
        act(view, *flow.step("consent.request"))

    assert refusal(view.fork(), *flow.step(kind), time_ms=START + 4) == ""
    assert refusal(view, *flow.step(kind), time_ms=START + 5) == "E_AUTHORISATION"


def test_a_refusal_names_the_record_the_schema_and_the_remedy() -> None:
    flow = Flow("exchange.admit")
    act(flow.view, "authority", REVOKE)
    signer, body = flow.step("exchange.admit")
    record = sign(flow.view, signer, body)

    with pytest.raises(RefusedError) as found:
        rules.apply(flow.view, record, rules.Position(7, 9, START))

    assert found.value.record == record.id
    assert "authorisation of schema points/1 is REVOKED" in str(found.value)
    assert found.value.remedy == rules.CODES["E_AUTHORISATION"].remedy


def test_uses_are_counted_in_the_history_of_the_authorisation() -> None:
    flow = Flow("exchange.release")
    state = flow.view.get(rules.authorisation_object(HASH), rules.AuthorisationState)

    assert (state.uses, state.count, state.member) == (1, 2, "provider")


def test_data_that_is_not_token_like_asks_for_nothing() -> None:
    """The control: the same steps on the schema of the other tests, where nothing was granted."""
    view = authorised(begin())
    act(view, "provider", admit(intend(view)))
    act(view, "consumer", request(NEW_CONSENT, "new consent key"))

    assert not [name for name, _ in view.changes() if name.startswith(b"authorisation/")]


def test_an_authority_allows_a_schema_and_takes_it_back(tmp_path: Path) -> None:
    town = Town(tmp_path)
    provider, authority, ledger = town.parties.provider, town.authority(), town.parties.ledger
    refused = submit(ledger, [provider.register_schema(TOKEN_SCHEMA)])
    draft = authority.authorise(
        TOKEN_SCHEMA,
        TAX,
        infrastructure="a clearing house",
        jurisdiction="cn",
        basis="law-1",
        max_uses=1,
        expires_ms=town.clock.now_ms() + DAY_MS,
    )
    town.accept([draft, provider.register_schema(TOKEN_SCHEMA), provider.publish(points())])
    town.accept([authority.withdraw_authorisation(TOKEN_SCHEMA, "order-7")])

    frozen = submit(ledger, [provider.publish(points(product="points.v2"))])

    codes = [getattr(outcome, "code", "") for outcome in (*refused, *frozen)]
    assert codes == ["E_TOKEN_LIKE", "E_AUTHORISATION"]
    assert Supervisor(ledger).watch().frozen_schemas == ("points/1",)
    assert ledger.verify()
    town.parties.close()


@pytest.mark.parametrize("withdrawn", [False, True])
def test_a_key_is_withheld_once_the_schema_is_frozen(tmp_path: Path, withdrawn: bool) -> None:
    """The admit stands, and its key is not handed over: the control is the same without it."""
    town = Town(tmp_path)
    provider, authority = town.parties.provider, town.authority()
    schema = structs.replace(TOKEN_SCHEMA, fields=town.mapping.schema().fields)
    offered = structs.replace(town.product("points.v1"), schema="points")
    draft = authority.authorise(
        schema,
        TAX,
        infrastructure="a clearing house",
        jurisdiction="cn",
        basis="law-1",
        max_uses=1,
        expires_ms=town.clock.now_ms() + DAY_MS,
    )
    town.accept([draft, provider.register_schema(schema), provider.publish(offered)])
    intent, asked = town.intend(town.consent(product="points.v1"))
    (place,) = town.accept(provider.answer([(intent, asked)]))
    if not withdrawn:
        assert town.parties.consumer.open(
            provider.delivery(intent), provider.release(intent, place)
        )
    else:
        town.accept([authority.withdraw_authorisation(schema, "order-7")])
        with pytest.raises(RefusedError, match="key is withheld") as found:
            provider.release(intent, place)
        assert found.value.code == "E_AUTHORISATION"
    town.parties.close()
