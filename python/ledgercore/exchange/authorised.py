"""See which token-like schemas are authorised now, as the rules would find them."""

from __future__ import annotations

from ledgercore.exchange.reading import read_state
from ledgercore.ledger import Ledger
from ledgercore.rules import (
    AuthorisationState,
    ProductState,
    SchemaState,
    authorisation_object,
    authorisation_status_at,
    product_object,
    refuse,
    schema_object,
)
from ledgercore.rules.authorisation import IN_FORCE
from ledgercore.rules.view import decode_state

__all__ = ["check_authorised", "frozen_schemas"]

_PREFIX = b"schema/"


def check_authorised(ledger: Ledger, product: str, now_ms: int) -> None:
    """Withhold a key where the rules would refuse a use: raise ``E_AUTHORISATION``."""
    offered = read_state(ledger, product_object(product), ProductState)
    name = schema_object(offered.schema, offered.schema_version)
    status = _status(ledger, read_state(ledger, name, SchemaState), now_ms)
    if status not in IN_FORCE:
        refuse("E_AUTHORISATION", f"authorisation of {name.decode()} is {status}: key is withheld")


def frozen_schemas(ledger: Ledger, now_ms: int) -> tuple[str, ...]:
    """The token-like schemas under which nothing new is accepted, as ``name/version``."""
    return tuple(
        name.removeprefix(_PREFIX).decode()
        for name, value in sorted(ledger.states(_PREFIX))
        if _status(ledger, decode_state(value, SchemaState), now_ms) not in IN_FORCE
    )


def _status(ledger: Ledger, schema: SchemaState, now_ms: int) -> str:
    """The status of a schema's authorisation; one that needs none is as if it had it."""
    if not schema.token_rule:
        return "GRANTED"
    state = read_state(ledger, authorisation_object(schema.hash), AuthorisationState)
    return authorisation_status_at(state, now_ms)
