"""See which token-like schemas are authorised now, as the rules would find them."""

from __future__ import annotations

from ledgercore.errors import RefusedError
from ledgercore.ledger import Ledger
from ledgercore.rules import (
    CODES,
    AuthorisationState,
    ProductState,
    SchemaState,
    authorisation_object,
    authorisation_status_at,
    product_object,
    schema_object,
)
from ledgercore.rules.view import decode_state

__all__ = ["check_authorised", "frozen_schemas"]

_PREFIX = b"schema/"
_IN_FORCE = ("GRANTED", "CONSUMED")


def check_authorised(ledger: Ledger, product: str, now_ms: int) -> None:
    """Withhold a key where the rules would refuse a use: raise ``E_AUTHORISATION``."""
    value = ledger.state(product_object(product))
    assert value is not None, "a consent has a product"
    offered = decode_state(value, ProductState)
    name = schema_object(offered.schema, offered.schema_version)
    schema = ledger.state(name)
    assert schema is not None, "a product has a schema"
    status = _status(ledger, decode_state(schema, SchemaState), now_ms)
    if status not in _IN_FORCE:
        message = f"authorisation of {name.decode()} is {status}, key is withheld"
        raise RefusedError("E_AUTHORISATION", message, remedy=CODES["E_AUTHORISATION"].remedy)


def frozen_schemas(ledger: Ledger, now_ms: int) -> tuple[str, ...]:
    """The token-like schemas under which nothing new is accepted, as ``name/version``."""
    return tuple(
        name.removeprefix(_PREFIX).decode()
        for name, value in sorted(ledger.states(_PREFIX))
        if _status(ledger, decode_state(value, SchemaState), now_ms) not in _IN_FORCE
    )


def _status(ledger: Ledger, schema: SchemaState, now_ms: int) -> str:
    """The status of a schema's authorisation; one that needs none is as if it had it."""
    if not schema.token_rule:
        return "GRANTED"
    value = ledger.state(authorisation_object(schema.hash))
    assert value is not None, "a token-like schema was registered under an authorisation"
    return authorisation_status_at(decode_state(value, AuthorisationState), now_ms)
