"""Hold products to their transitions, and to the schema whose fields they give."""

from __future__ import annotations

from typing import Any

from ledgercore._core import VerifiedRecord
from ledgercore.records import ProductPublish, ProductWithdraw
from ledgercore.rules.authorisation import check_issue
from ledgercore.rules.lint import find_token
from ledgercore.rules.schema import schema_texts
from ledgercore.rules.state import NEW, ProductState, SchemaState, product_object, schema_object
from ledgercore.rules.table import Case, Family, Row, SignedBy, check_names, stored_status

__all__ = ["FAMILY", "find_product", "product_is_published"]

PublishCase = Case[ProductPublish, None]


def name_of(record: VerifiedRecord, body: ProductPublish | ProductWithdraw) -> bytes:
    return product_object(body.product)


def find_product(case: Case[Any, Any]) -> ProductState:
    """The product that a record names, or the refusal of what does not exist."""
    product = case.view.get(product_object(case.body.product), ProductState)
    if product is None:
        case.refuse("E_UNKNOWN", f"product {case.body.product} does not exist")
    return product


def product_is_published(case: Case[Any, Any]) -> None:
    """the product exists (else E_UNKNOWN) and is PUBLISHED, else E_PRODUCT"""
    status = find_product(case).status
    if status != "PUBLISHED":
        case.refuse("E_PRODUCT", f"product {case.body.product} is {status}, want PUBLISHED")


def _schema(case: PublishCase) -> SchemaState:
    name, version = case.body.schema, case.body.schema_version
    schema = case.view.get(schema_object(name, version), SchemaState)
    if schema is None:
        case.refuse("E_SCHEMA", f"schema {name}/{version} is not registered")
    return schema


def schema_is_registered(case: PublishCase) -> None:
    """the schema is REGISTERED, else E_SCHEMA"""
    status = _schema(case).status
    if status != "REGISTERED":
        schema = f"{case.body.schema}/{case.body.schema_version}"
        case.refuse("E_SCHEMA", f"schema {schema} is {status}, want REGISTERED")


def codes_are_of_schema(case: PublishCase) -> None:
    """each code is a field of the schema (else E_SCOPE), and listed once, else E_CANON"""
    codes, known = case.body.codes, {code for code, _, _ in _schema(case).fields}
    beyond = [code for code in codes if code not in known]
    if beyond:
        schema = f"{case.body.schema}/{case.body.schema_version}"
        case.refuse("E_SCOPE", f"fields {beyond} are not in schema {schema}")
    if len(set(codes)) < len(codes):
        case.refuse("E_CANON", f"{len(codes)} codes name {len(set(codes))} fields")


def schema_is_authorised(case: PublishCase) -> None:
    """the schema is not token-like, or its authorisation is in force, else E_AUTHORISATION, and
    names the signer, else E_RECIPIENT"""
    check_issue(case, _schema(case), f"schema {case.body.schema}/{case.body.schema_version}")


def product_is_not_token_like(case: PublishCase) -> None:
    """its words with those of the schema describe no token by a rule that the schema alone does
    not break, else E_RESERVED_WORD for T5 and E_TOKEN_LIKE for T1 to T4 and T6"""
    body, schema = case.body, _schema(case)
    texts = [body.product, body.title, body.version, *body.purposes]
    found = find_token([*texts, *schema_texts(body.schema, schema.title, schema.fields)])
    if found and found.rule != schema.token_rule:
        case.refuse(found.code, f"product {body.product} is {found}")


def publish(case: PublishCase) -> ProductState:
    body = case.body
    fields = {field[0]: field for field in _schema(case).fields}
    return ProductState(
        *NEW,
        provider=case.member,
        title=body.title,
        version=body.version,
        schema=body.schema,
        schema_version=body.schema_version,
        fields=tuple(fields[code] for code in body.codes),
        purposes=body.purposes,
        needs_agreement=body.needs_agreement,
    )


def withdraw(case: Case[ProductWithdraw, ProductState]) -> ProductState:
    return case.state


FAMILY = Family(
    name="product",
    state_type=ProductState,
    name_of=name_of,
    status_at=stored_status,
    status_code="E_PRODUCT",
    rows=(
        Row(
            ProductPublish.KIND,
            (),
            SignedBy.PROVIDER,
            "PUBLISHED",
            (
                "schema_is_registered",
                "codes_are_of_schema",
                "schema_is_authorised",
                "product_is_not_token_like",
            ),
        ),
        Row(ProductWithdraw.KIND, ("PUBLISHED",), SignedBy.PROVIDER, "WITHDRAWN"),
    ),
    checks=check_names(
        (
            schema_is_registered,
            codes_are_of_schema,
            schema_is_authorised,
            product_is_not_token_like,
        )
    ),
    effects={ProductPublish.KIND: publish, ProductWithdraw.KIND: withdraw},
)
