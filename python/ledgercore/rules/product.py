"""Hold products to their transitions, and refuse those that are named like tokens."""

from __future__ import annotations

from ledgercore._core import VerifiedRecord
from ledgercore.records import ProductPublish, ProductWithdraw
from ledgercore.rules.lint import reserved_word, token_rule
from ledgercore.rules.state import NEW, ProductState, product_object
from ledgercore.rules.table import Case, Family, Row, Signer, check_names, stored_status

__all__ = ["FAMILY"]


def name_of(record: VerifiedRecord, body: ProductPublish | ProductWithdraw) -> bytes:
    return product_object(body.product)


def _texts(body: ProductPublish) -> list[str]:
    fields = [text for field in body.fields for text in (field.code, field.unit)]
    return [body.product, body.title, body.version, *fields, *body.purposes]


def words_are_free(case: Case[ProductPublish, None]) -> None:
    """no name, title, unit, field or purpose has a reserved word, else E_RESERVED_WORD"""
    word = reserved_word(_texts(case.body))
    if word:
        case.refuse("E_RESERVED_WORD", f"product {case.body.product} has the reserved word {word}")


def product_is_not_token_like(case: Case[ProductPublish, None]) -> None:
    """the words do not describe a token by T1 to T4 or T6, else E_TOKEN_LIKE"""
    rule = token_rule(_texts(case.body))
    if rule:
        case.refuse("E_TOKEN_LIKE", f"product {case.body.product} is like a token by rule {rule}")


def publish(case: Case[ProductPublish, None]) -> ProductState:
    body = case.body
    return ProductState(
        *NEW,
        provider=case.member,
        title=body.title,
        version=body.version,
        fields=tuple((field.code, field.unit, field.level) for field in body.fields),
        purposes=body.purposes,
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
            Signer.PROVIDER,
            "PUBLISHED",
            ("words_are_free", "product_is_not_token_like"),
        ),
        Row(ProductWithdraw.KIND, ("PUBLISHED",), Signer.PROVIDER, "WITHDRAWN"),
    ),
    checks=check_names((words_are_free, product_is_not_token_like)),
    effects={ProductPublish.KIND: publish, ProductWithdraw.KIND: withdraw},
)
