"""Which schemas are registered, what products take from them, and what is refused as token-like.

Every kind in every state by every signer is in ``test_transitions``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs

from ledgercore import records, rules
from ledgercore.rules import View
from ledgercore.rules.lint import RESERVED_WORDS, RULES, WORDS, find_token
from tests import reference
from tests.network import act, begin, code_of, product, sign

FIELD = records.Field("vat.sales_m", "fen", 4)


def schema(version: int = 1, **changes: Any) -> records.SchemaRegister:
    return structs.replace(records.SchemaRegister("goods", version, "Goods", (FIELD,)), **changes)


def schema_refusal(signer: str = "provider", view: View | None = None, **changes: Any) -> str:
    view = begin() if view is None else view
    return code_of(view, sign(view, signer, schema(**changes)))


def product_refusal(view: View | None = None, **changes: Any) -> str:
    view = begin() if view is None else view
    return code_of(view, sign(view, "provider", product("new.v1", **changes)))


def registered(*bodies: records.RecordBody) -> View:
    view = begin()
    for body in bodies or (schema(),):
        act(view, "provider", body)
    return view


def retired() -> View:
    return registered(schema(), records.SchemaRetire("goods", 1))


REFUSALS: dict[str, dict[str, Callable[[], str]]] = {
    "E_SCHEMA": {
        "a product on none": lambda: product_refusal(schema="none"),
        "a product on a version to come": lambda: product_refusal(schema_version=2),
        "a product on a retired one": lambda: product_refusal(retired(), schema="goods"),
        "retired again": lambda: code_of(
            view := retired(), sign(view, "provider", records.SchemaRetire("goods", 1))
        ),
    },
    "E_UNKNOWN": {"a version that skips one": lambda: schema_refusal(version=2)},
    "E_RECIPIENT": {
        "another's next version": lambda: schema_refusal("other provider", registered(), version=2),
        "another's to retire": lambda: code_of(
            view := registered(), sign(view, "other provider", records.SchemaRetire("goods", 1))
        ),
    },
    "E_CANON": {
        "one code twice": lambda: schema_refusal(fields=(FIELD, FIELD)),
        "a product's code twice": lambda: product_refusal(codes=("vat.sales_m", "vat.sales_m")),
    },
    "E_SCOPE": {"a field of no schema": lambda: product_refusal(codes=("vat.paid_m",))},
    "E_EXISTS": {"one version twice": lambda: schema_refusal(view=registered())},
    "E_RESERVED_WORD": {
        "in a title": lambda: schema_refusal(title="A Stable \uff34\uff2f\uff2b\uff25\uff2e"),
        "in Chinese": lambda: schema_refusal(title="新型稳定币"),
        "in a name": lambda: schema_refusal(schema="nft.register"),
        "in a field": lambda: schema_refusal(fields=(records.Field("nft.id", "code", 2),)),
        "in a product's title": lambda: product_refusal(title="通证"),
        "in a product's purpose": lambda: product_refusal(purposes=("coin.sale",)),
    },
    "E_TOKEN_LIKE": {
        "a balance and its holder": lambda: schema_refusal(title="Balance of each holder"),
        "a claim that is assignable": lambda: schema_refusal(title="Claim, assignable"),
        "a peg": lambda: schema_refusal(fields=(records.Field("peg.rate", "fen", 2),)),
        "a supply": lambda: schema_refusal(title="Total supply"),
        "a reward of validators": lambda: schema_refusal(title="Reward per validator"),
        "a product's words": lambda: product_refusal(title="Redeemable"),
        "a product's words with the schema's": lambda: product_refusal(
            registered(schema(title="Holder of a fund")), schema="goods", title="Balance"
        ),
    },
}


@pytest.mark.parametrize(
    ("code", "case"), [(code, case) for code, cases in REFUSALS.items() for case in cases]
)
def test_refusal_has_its_code(code, case):
    assert code == REFUSALS[code][case]()


@pytest.mark.parametrize(
    "title",
    ["Tokenised no more", "Coincidence", "Account balance", "Settlement", "小微企业纳税信息"],
)
def test_words_of_data_are_free(title):
    assert schema_refusal(title=title) == ""
    assert product_refusal(title=title) == ""


def test_every_reserved_word_and_every_rule_is_found():
    for word in RESERVED_WORDS:
        found = find_token(["data", word.upper()])
        assert found and (found.rule, found.signs, found.code) == ("T5", (word,), "E_RESERVED_WORD")
    for rule, groups in WORDS.items():
        for group in groups:
            found = find_token(group)
            assert found and (found.rule, found.signs, found.code) == (rule, group, "E_TOKEN_LIKE")
            assert len(group) == 1 or find_token(group[:-1]) is None


def test_every_rule_is_looked_for():
    assert {*WORDS, "T5", "T7"} == set(RULES)


def test_the_gravest_rule_is_named():
    found = find_token(["token", "total supply", "block reward"])

    assert found and found.rule == "T6"


def test_a_version_is_registered_once_and_stays_as_it_was():
    view = registered()
    act(view, "provider", schema(2, fields=(FIELD, records.Field("vat.paid_m", "fen", 4))))
    act(view, "provider", records.SchemaRetire("goods", 1))

    first, second = (
        view.get(rules.schema_object("goods", version), rules.SchemaState) for version in (1, 2)
    )
    assert (first.status, second.status) == ("RETIRED", "REGISTERED")
    assert first.fields == (("vat.sales_m", "fen", 4),)
    assert product_refusal(view, schema="goods", schema_version=2, codes=("vat.paid_m",)) == ""


def test_the_hash_is_of_all_that_a_schema_says():
    view = registered()
    state = view.get(rules.schema_object("goods", 1), rules.SchemaState)

    body = records.encode(schema())
    assert state.hash == rules.schema_hash("std", schema())
    assert state.hash == reference.domain_hash("std", "commitment", body)
    for change in ({"title": "x"}, {"schema_version": 2}, {"schema": "x"}, {"fields": ()}):
        assert rules.schema_hash("std", schema(**change)) != state.hash


def test_a_product_has_units_and_levels_of_its_schema_and_lives_on_when_that_is_retired():
    view = begin()
    act(view, "provider", records.SchemaRetire("tax", 1))

    state = view.get(rules.product_object("tax.v1"), rules.ProductState)
    assert (state.status, state.fields) == ("PUBLISHED", (("vat.sales_m", "fen", 4),))
    assert product_refusal(view) == "E_SCHEMA"
