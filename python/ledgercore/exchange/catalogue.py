"""Find data products: which member offers which fields, and for which purposes.

Products are states of the ledger, so a member's own copy answers, and every answer leads to the
signed root.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ledgercore.arguments import typed
from ledgercore.ledger import Ledger
from ledgercore.rules import ProductState
from ledgercore.rules.view import decode_state

__all__ = ["Offer", "find_products"]

_PREFIX = b"product/"


@dataclass(frozen=True)
class Offer:
    """One published product; ``Ledger.history`` of it has the records."""

    product: str
    provider: str
    title: str
    version: str
    schema: str
    schema_version: int
    fields: tuple[tuple[str, str, int], ...]
    """Code, unit and level of each field."""
    purposes: tuple[str, ...]
    needs_agreement: bool


@typed
def find_products(
    ledger: Ledger,
    *,
    field: str | None = None,
    purpose: str | None = None,
    provider: str | None = None,
    schema: str | None = None,
    word: str | None = None,
) -> list[Offer]:
    """The published products that meet every condition, in the order of their names.

    ``field`` is a field's code, or the beginning of codes before a dot, as ``vat`` is of
    ``vat.sales_12m``; ``schema`` is a schema's name, in any version; ``word`` stands anywhere in a
    name, a title or a code, in any case.
    """
    found = []
    for offer in _offers(ledger):
        if (
            (field is None or any(_is_of(code, field) for code, _, _ in offer.fields))
            and (purpose is None or purpose in offer.purposes)
            and (provider is None or provider == offer.provider)
            and (schema is None or schema == offer.schema)
            and (word is None or word.casefold() in _text(offer))
        ):
            found.append(offer)
    return found


def _offers(ledger: Ledger) -> Iterator[Offer]:
    for name, value in ledger.states(_PREFIX):
        state = decode_state(value, ProductState)
        if state.status == "PUBLISHED":
            yield Offer(
                product=name.removeprefix(_PREFIX).decode(),
                provider=state.provider,
                title=state.title,
                version=state.version,
                schema=state.schema,
                schema_version=state.schema_version,
                fields=state.fields,
                purposes=state.purposes,
                needs_agreement=state.needs_agreement,
            )


def _is_of(code: str, field: str) -> bool:
    return code == field or code.startswith(f"{field}.")


def _text(offer: Offer) -> str:
    codes = (code for code, _, _ in offer.fields)
    return " ".join((offer.product, offer.title, *codes)).casefold()
