"""Say where a vault keeps content of exchanges, and destroy what a record says is gone.

Such a record is a promise: nothing is destroyed before the ledger has it, for a refused one would
have destroyed in vain, and nothing is signed after it before that is done. A crash in between
leaves the promise in its signer's vault, as every record is kept there before it is signed, and
``resume`` keeps it. Until it is kept there, what it bars is refused by it: what comes in between
would be destroyed with the rest, or make it untrue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ledgercore import records
from ledgercore._core import Record
from ledgercore.exchange.objection import objection_name
from ledgercore.exchange.reading import read_state
from ledgercore.ledger import Ledger
from ledgercore.records import (
    ExchangeErase,
    ExchangeForget,
    ExchangeIntent,
    ExchangeTimeOut,
    ExchangeVoid,
)
from ledgercore.rules import ExchangeState, exchange_object
from ledgercore.vault import Vault

__all__ = [
    "PROMISES",
    "corrections_folder",
    "delivery_key_name",
    "destroy",
    "destroy_promised",
    "given_folders",
    "holds_content",
    "missed_name",
    "named_exchange",
    "opened_name",
    "received_names",
    "released_name",
    "sealed_folder",
    "withheld_name",
]


def sealed_folder(intent: bytes, ciphertext_hash: bytes = b"") -> str:
    """Where a provider keeps what it sealed for an exchange, or one ciphertext of it."""
    return f"exchange/{intent.hex()}/sealed/{ciphertext_hash.hex()}"


def corrections_folder(intent: bytes) -> str:
    """Where a provider keeps what it said to be otherwise, each by its commitment."""
    return f"exchange/{intent.hex()}/correction/"


def given_folders(intents: Iterable[bytes]) -> list[str]:
    """Where a provider keeps content of exchanges."""
    return [folder(intent) for intent in intents for folder in (sealed_folder, corrections_folder)]


def delivery_key_name(of: ExchangeIntent | ExchangeState) -> str:
    """Where a recipient keeps the private half: of each exchange, though two have one request."""
    return f"request/{of.request_commitment.hex()}/{of.delivery_key.hex()}/delivery-key"


def opened_name(intent: bytes) -> str:
    """Where a recipient keeps the release with which it opened an exchange."""
    return f"exchange/{intent.hex()}/release"


def released_name(intent: bytes) -> str:
    """Where a provider keeps that it gave the key of an exchange out."""
    return f"exchange/{intent.hex()}/released"


def withheld_name(intent: bytes) -> str:
    """Where a provider keeps that no key of an exchange was given out: it forgot it, or checked."""
    return f"exchange/{intent.hex()}/withheld"


def missed_name(intent: bytes) -> str:
    """Where a recipient keeps that no key of an exchange came: it forgot its own, or checked."""
    return f"exchange/{intent.hex()}/missed"


def received_names(ledger: Ledger, intents: Iterable[bytes]) -> list[str]:
    """Where a recipient keeps content of exchanges and the keys to it."""
    names = []
    for intent in intents:
        kept = f"exchange/{intent.hex()}"
        names += [_delivery_key_of(ledger, intent), f"{kept}/payload", f"{kept}/stream-key"]
        names += [f"{kept}/unwanted", objection_name(intent), f"{kept}/delivery"]
        names.append(f"{kept}/correction")
    return names


def _delivery_key_of(ledger: Ledger, intent: bytes) -> str:
    return delivery_key_name(read_state(ledger, exchange_object(intent), ExchangeState))


PROMISES: dict[str, Callable[[Ledger, bytes], list[str]]] = {
    ExchangeVoid.KIND: lambda ledger, intent: [sealed_folder(intent), withheld_name(intent)],
    ExchangeForget.KIND: lambda ledger, intent: [
        *given_folders([intent]),
        released_name(intent),
        withheld_name(intent),
    ],
    ExchangeTimeOut.KIND: lambda ledger, intent: [
        _delivery_key_of(ledger, intent),
        missed_name(intent),
    ],
    ExchangeErase.KIND: lambda ledger, intent: [
        *received_names(ledger, [intent]),
        missed_name(intent),
    ],
}
"""What each kind of record says is gone from its signer's vault, of the exchange that it names."""


def named_exchange(kind: str, body: bytes) -> bytes:
    """The exchange that a promise is about."""
    promise = records.decode(kind, body)
    assert isinstance(promise, ExchangeErase | ExchangeForget | ExchangeTimeOut | ExchangeVoid)
    return promise.exchange


def holds_content(vault: Vault) -> bool:
    """Whether a vault keeps anything of an exchange, or of a request for one."""
    return any(vault.names(folder) for folder in ("exchange/", "request/"))


def destroy_promised(ledger: Ledger, vault: Vault, ordered: Iterable[Record]) -> None:
    """Destroy what records on the ledger say is gone from their signer's vault; again is safe."""
    promised = [record for record in ordered if record.kind in PROMISES]
    if promised:
        destroy(vault, _named(ledger, promised))


def destroy(vault: Vault, names: Sequence[str]) -> int:
    """Erase items, and all that is in a folder, whose name ends with a slash; how many it was."""
    return vault.erase(_items(vault, names))


def _named(ledger: Ledger, promised: Iterable[Record]) -> list[str]:
    names = []
    for record in promised:
        names += PROMISES[record.kind](ledger, named_exchange(record.kind, record.body))
    return names


def _items(vault: Vault, names: Iterable[str]) -> list[str]:
    return [each for name in names for each in (vault.names(name) if name[-1] == "/" else [name])]
