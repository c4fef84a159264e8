"""Hold products to their transitions."""

from __future__ import annotations

from ledgercore._core import VerifiedRecord
from ledgercore.records import ProductPublish, ProductWithdraw
from ledgercore.rules.state import NEW, ProductState, product_object
from ledgercore.rules.table import Case, Family, Row, Signer, stored_status

__all__ = ["FAMILY"]


def name_of(record: VerifiedRecord, body: ProductPublish | ProductWithdraw) -> bytes:
    return product_object(body.product)


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
        Row(ProductPublish.KIND, (), Signer.PROVIDER, "PUBLISHED"),
        Row(ProductWithdraw.KIND, ("PUBLISHED",), Signer.PROVIDER, "WITHDRAWN"),
    ),
    checks={},
    effects={ProductPublish.KIND: publish, ProductWithdraw.KIND: withdraw},
)
