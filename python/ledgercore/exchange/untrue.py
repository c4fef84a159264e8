"""Refuse a record that its signer's vault shows to be untrue, or no longer can show to be true.

That no key was sent only the provider's vault can tell. One that was restored from a backup does
not know what was released since. The ledger shows that it is such a one where it has records of the
vault's key that the vault did not keep: then a key of whatever is admitted may have been released.
"""

from __future__ import annotations

from collections.abc import Iterable

from ledgercore.exchange.content import opened_name, released_name, sealed_folder, withheld_name
from ledgercore.ledger import Ledger
from ledgercore.records import ExchangeTimeOut, ExchangeVoid
from ledgercore.rules import ExchangeState, exchange_object, refuse
from ledgercore.rules.view import decode_state
from ledgercore.vault import Vault

__all__ = ["check_true", "doubt_withheld", "keep_withheld"]

_DOUBTED = b"restored"
"""What stands for a release that a vault does not know of, where one that it gave is empty."""


def check_true(ledger: Ledger, vault: Vault, kind: str, intent: bytes) -> None:
    """Refuse a promise of a kind that a vault does not bear out: that no key was sent, or came."""
    if kind == ExchangeVoid.KIND:
        _check_withheld(ledger, vault, intent)
    if kind == ExchangeTimeOut.KIND and vault.load(opened_name(intent)) is not None:
        refuse(
            "E_EXCHANGE_STATE", "exchange was opened here: acknowledge it, or decline it", intent
        )


def _check_withheld(ledger: Ledger, vault: Vault, intent: bytes) -> None:
    released, state = vault.load(released_name(intent)), _state(ledger, intent)
    if released == b"":
        message = "key of the exchange was released here: send it, or have the recipient time out"
        refuse("E_EXCHANGE_STATE", message, intent)
    if released is not None:
        why = "vault is older than what its key has signed"
    elif _is_admitted(state) and not _was_kept(vault, intent, state):
        why = "nothing of the exchange is kept here"
    else:
        return
    message = f"{why}, and a key may have been released: have the recipient time out"
    refuse("E_EXCHANGE_STATE", message, intent)


def keep_withheld(ledger: Ledger, vault: Vault, intents: Iterable[bytes]) -> list[str]:
    """Keep of keys that are to be forgotten that they were not given out, while that matters.

    The names of what was kept so, or of a release, where no void can follow any more.
    """
    over, kept = [], []
    with vault.transaction():
        for intent in intents:
            state = _state(ledger, intent)
            if state is not None and not _is_admitted(state):
                over += [released_name(intent), withheld_name(intent)]
            elif vault.load(released_name(intent)) is None and _was_kept(vault, intent, state):
                kept.append((withheld_name(intent), b""))
        vault.store(kept)
    return over


def doubt_withheld(ledger: Ledger, vault: Vault) -> None:
    """Keep of each admitted exchange whose key is here that it may have been released elsewhere."""
    folders = {name.split("/")[1] for name in vault.names("exchange/") if "/sealed/" in name}
    with vault.transaction():
        doubted = [
            (released_name(intent), _DOUBTED)
            for intent in map(bytes.fromhex, sorted(folders))
            if _is_admitted(_state(ledger, intent)) and vault.load(released_name(intent)) is None
        ]
        vault.store(doubted)


def _state(ledger: Ledger, intent: bytes) -> ExchangeState | None:
    value = ledger.state(exchange_object(intent))
    return None if value is None else decode_state(value, ExchangeState)


def _is_admitted(state: ExchangeState | None) -> bool:
    """Whether the ledger would take a void."""
    return state is not None and state.status == "ADMITTED"


def _was_kept(vault: Vault, intent: bytes, state: ExchangeState | None) -> bool:
    """Whether a vault has the key of an admitted exchange, or had it until it was forgotten."""
    names = [withheld_name(intent)]
    if state is not None and state.admission is not None:
        names.append(f"{sealed_folder(intent, state.admission.ciphertext_hash)}/key")
    return any(vault.load(name) is not None for name in names)
