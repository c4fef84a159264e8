"""Fields mean one thing everywhere, and products are found by what they offer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledgercore.demo.parties import TAX
from ledgercore.errors import MalformedError
from ledgercore.exchange import find_products
from ledgercore.exchange.submission import submit
from ledgercore.profiles import MISSING
from ledgercore.profiles.bank_tax import DICTIONARY, PURPOSES, SCHEMA
from ledgercore.records import ProductPublish
from ledgercore.records.base import Value
from tests.town import Town

SPEC = Path(__file__).parent.parent / "docs" / "spec" / "fields.md"


def test_the_document_is_the_dictionary() -> None:
    text = SPEC.read_text(encoding="utf-8")

    shown = re.search(r"<!-- begin fields -->\n\n(.*?)\n\n<!-- end fields -->", text, re.DOTALL)
    assert shown is not None
    assert shown[1] == DICTIONARY.document(), "python -m ledgercore.profiles.bank_tax"
    assert re.findall(r"`([a-z.]+)`", text.split("Purposes:")[1]) == list(PURPOSES)


def test_the_schema_has_every_field_that_a_value_is_checked_for() -> None:
    codes = [field.code for field in SCHEMA.fields]

    assert len(codes) == len(set(codes)) == 17 + 2 * 36 + 2 * 3
    assert codes == list(DICTIONARY.codes)
    for field in SCHEMA.fields:
        entry = DICTIONARY.entry(field.code)
        assert (field.unit, field.level) == (entry.unit, entry.level)


def test_codes_are_distinct_and_levels_are_levels() -> None:
    codes = [entry.code for entry in DICTIONARY.entries]

    assert len(set(codes)) == len(codes) >= 20
    assert all(1 <= entry.level <= 5 for entry in DICTIONARY.entries)


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("tax.paid_12m", 0),
        ("cit.profit_y.3", -5),
        ("vat.sales_m.36", 17),
        ("cr.grade", "M"),
        ("id.reg_date", "2019-02-28"),
        ("id.name", "Firm 7"),
        *(("tax.arrears", code) for code in MISSING),
    ],
)
def test_a_value_of_its_kind_is_taken(code: str, value: Value) -> None:
    DICTIONARY.check_value(code, value)


@pytest.mark.parametrize(
    ("code", "value", "reason"),
    [
        ("tax.paid_12m", -1, "want a whole number of fen"),
        ("tax.paid_12m", "17", "want a whole number of fen"),
        ("tax.paid_12m", True, "want a whole number of fen"),
        ("cr.grade", "E", "want one of"),
        ("cr.grade", 3, "want text"),
        ("id.name", "", "want text, or one of"),
        ("id.reg_date", "28.2.2019", "want a date"),
        ("vat.sales_m", 1, "want a code of the dictionary bank_tax"),
        ("vat.sales_m.0", 1, "want a code of the dictionary bank_tax"),
        ("vat.sales_m.37", 1, "want a code of the dictionary bank_tax"),
        ("vat.sales_m.01", 1, "want a code of the dictionary bank_tax"),
        ("nothing.like_it", 1, "want a code of the dictionary bank_tax"),
    ],
)
def test_another_value_is_refused(code: str, value: Value, reason: str) -> None:
    with pytest.raises(MalformedError, match=reason):
        DICTIONARY.check_value(code, value)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    yield town
    town.parties.close()


def offer(town: Town, product: str, title: str, codes: list[str], purposes: list[str]) -> None:
    body = ProductPublish(product, title, "1", "bank_tax", 1, tuple(codes), tuple(purposes))
    (outcome,) = submit(town.parties.ledger, [town.parties.provider.publish(body)])
    assert not isinstance(outcome, Exception), outcome


def test_products_are_found_by_what_they_offer(town: Town) -> None:
    ledger = town.parties.ledger
    before = {each.product for each in find_products(ledger)}
    (registered,) = submit(ledger, [town.parties.provider.register_schema(SCHEMA)])
    assert not isinstance(registered, Exception), registered
    offer(town, "tax.sales.v1", "Sales", ["vat.sales_m.1", "vat.sales_12m"], ["credit.assess"])
    offer(town, "tax.staff.v1", "Heads", ["soc.heads"], ["credit.monitor", "credit.assess"])

    def found(**conditions: str) -> set[str]:
        return {each.product for each in find_products(ledger, **conditions)} - before

    assert found() == {"tax.sales.v1", "tax.staff.v1"}
    assert found(field="vat") == found(field="vat.sales_m") == {"tax.sales.v1"}
    assert found(field="vat.sales") == found(field="va") == set()
    assert found(purpose="credit.monitor") == {"tax.staff.v1"}
    assert found(purpose="credit.assess", word="HEADS") == {"tax.staff.v1"}
    assert found(provider="nobody") == set()
    assert found(schema="bank_tax") == {"tax.sales.v1", "tax.staff.v1"}
    assert found(schema="bank_tax", word="heads") == {"tax.staff.v1"}
    one = next(each for each in find_products(ledger) if each.product == "tax.staff.v1")
    assert one.fields == (("soc.heads", "count", 3),)
    assert (one.provider, one.schema, one.schema_version) == (TAX, "bank_tax", 1)

    submit(ledger, [town.parties.provider.withdraw("tax.staff.v1")])
    assert found() == {"tax.sales.v1"}
