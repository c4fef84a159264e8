"""Refuse a record that its signer's vault knows to be untrue, or doubts.

That no key was sent only the provider's vault can tell, and that none came only the one that has
the delivery key: a processor's, where that asked. One that was restored from a backup does not know
what was done since. The ledger shows that it is such a one where it has records of the vault's key
that the vault did not keep. Then whatever had been admitted by the time that this is found is
doubted: how many records the ledger had is kept.

    doubted/<network>: [size]

Only the owner can find out what such a vault does not know, and say so of one exchange.
"""

from __future__ import annotations

from collections.abc import Iterable

from ledgercore.exchange.content import (
    delivery_key_name,
    missed_name,
    opened_name,
    released_name,
    sealed_folder,
    withheld_name,
)
from ledgercore.exchange.messages import decode_message, encode_message
from ledgercore.ledger import Ledger
from ledgercore.records import ExchangeTimeOut, ExchangeVoid
from ledgercore.records.base import Count, Part
from ledgercore.rules import Admission, ExchangeState, exchange_object, refuse
from ledgercore.rules.view import decode_state
from ledgercore.vault import Vault

__all__ = ["check_true", "doubt", "keep_missed", "keep_withheld"]

_CHECKED = b"checked"
"""What is kept where the owner says that no key was sent, or came. Nothing stands where a key was
forgotten unused: a vault that is older than what its key has signed is doubted all the same."""


class _Doubted(Part, frozen=True):
    """What was admitted among so many of the ledger's first records is doubted."""

    size: Count


def doubt(ledger: Ledger, vault: Vault) -> None:
    """Keep that a vault does not know what was done in exchanges that are admitted by now."""
    vault.store([(_name(ledger), encode_message(_Doubted(ledger.size)))])


def check_true(
    ledger: Ledger, vault: Vault, kind: str, intent: bytes, *, checked: bool = False
) -> None:
    """Refuse a promise of a kind that a vault does not bear out: that no key was sent, or came.

    Where the owner has ``checked`` it no doubt bars it, now or when it is signed: that is kept.
    What the vault does know bars it all the same.
    """
    if kind == ExchangeVoid.KIND:
        _check_unsent(ledger, vault, intent, checked=checked)
    if kind == ExchangeTimeOut.KIND:
        _check_not_come(ledger, vault, intent, checked=checked)


def _check_unsent(ledger: Ledger, vault: Vault, intent: bytes, *, checked: bool) -> None:
    if vault.load(released_name(intent)) is not None:
        message = "key of the exchange was released here: send it, or have the recipient time out"
        refuse("E_EXCHANGE_STATE", message, intent)
    admission = _admission(_state(ledger, intent))
    if admission is None or vault.load(withheld_name(intent)) == _CHECKED:
        return  # the ledger refuses it, or its owner knows that nothing was released
    if checked:
        vault.store([(withheld_name(intent), _CHECKED)])
    elif why := _why_doubted(ledger, vault, intent, admission):
        message = (
            f"{why}, and a key may have been released: have the recipient time out, or find out "
            "that none was, and void it with checked=True"
        )
        refuse("E_EXCHANGE_STATE", message, intent)


def _check_not_come(ledger: Ledger, vault: Vault, intent: bytes, *, checked: bool) -> None:
    if vault.load(opened_name(intent)) is not None:
        message = "exchange was opened here: acknowledge it, or decline it"
        refuse("E_EXCHANGE_STATE", message, intent)
    state = _state(ledger, intent)
    admission = _admission(state)
    if state is None or admission is None or vault.load(missed_name(intent)) == _CHECKED:
        return
    if checked:
        vault.store([(missed_name(intent), _CHECKED)])
    elif why := _why_unseen(ledger, vault, intent, state, admission):
        message = (
            f"{why}, and a key may have come: have the provider void the exchange, or find out "
            "that none did, and time it out with checked=True"
        )
        refuse("E_EXCHANGE_STATE", message, intent)


def keep_withheld(ledger: Ledger, vault: Vault, intents: Iterable[bytes]) -> list[str]:
    """Keep of keys that are to be forgotten that they were not given out, while that matters.

    It does before the admit, too, which may be on its way. The names of what was kept so, or of a
    release, where no void can follow any more.
    """
    over, kept = [], []
    with vault.transaction():
        for intent in intents:
            state, withheld = _state(ledger, intent), withheld_name(intent)
            if state is None:
                continue
            if state.status not in ("INTENDED", "ADMITTED"):
                over += [released_name(intent), withheld]
            elif vault.load(released_name(intent)) is not None or vault.load(withheld) is not None:
                continue
            elif _has_sealed(vault, intent, state.admission):
                kept.append((withheld, b""))
        vault.store(kept)
    return over


def keep_missed(ledger: Ledger, vault: Vault, intents: Iterable[bytes]) -> list[str]:
    """Keep of delivery keys that are to be forgotten that they opened nothing, while that matters.

    It does before the admit, too. The names of what was kept so where no time-out can follow any
    more.
    """
    over, kept = [], []
    with vault.transaction():
        for intent in intents:
            state, missed = _state(ledger, intent), missed_name(intent)
            if state is None or state.status not in ("INTENDED", "ADMITTED"):
                over.append(missed)
            elif vault.load(delivery_key_name(state)) is None or vault.load(missed) is not None:
                continue  # nothing goes that could have opened it, or more is kept than that
            elif vault.load(opened_name(intent)) is None:
                kept.append((missed, b""))
        vault.store(kept)
    return over


def _why_unseen(
    ledger: Ledger, vault: Vault, intent: bytes, state: ExchangeState, admission: Admission
) -> str:
    """Why a recipient's vault doubts that no key came; empty where it knows."""
    if why := _why_older(ledger, vault, admission):
        return why
    if vault.load(missed_name(intent)) is None and vault.load(delivery_key_name(state)) is None:
        asked = f", for which {state.processor} asked," if state.processor else ""
        return f"the delivery key of the exchange{asked} is not kept here"
    return ""


def _why_doubted(ledger: Ledger, vault: Vault, intent: bytes, admission: Admission) -> str:
    """Why a provider's vault doubts that it gave no key out; empty where it knows."""
    if vault.load(withheld_name(intent)) is None and not _has_sealed(vault, intent, admission):
        return "no key of the exchange is kept here"
    return _why_older(ledger, vault, admission)


def _has_sealed(vault: Vault, intent: bytes, admission: Admission | None) -> bool:
    """Whether a provider's vault has the key of what was admitted, or before that of any answer."""
    if admission is None:
        return bool(vault.names(sealed_folder(intent)))
    return vault.load(f"{sealed_folder(intent, admission.ciphertext_hash)}/key") is not None


def _why_older(ledger: Ledger, vault: Vault, admission: Admission) -> str:
    """Why a vault doubts all that was done in an exchange by now; empty where it knows."""
    kept = vault.load(_name(ledger))
    if kept is None or admission.index >= decode_message(kept, _Doubted).size:
        return ""
    return "vault is older than what its key has signed"


def _state(ledger: Ledger, intent: bytes) -> ExchangeState | None:
    value = ledger.state(exchange_object(intent))
    return None if value is None else decode_state(value, ExchangeState)


def _admission(state: ExchangeState | None) -> Admission | None:
    """The admission of an exchange of which the ledger would take either record."""
    return None if state is None or state.status != "ADMITTED" else state.admission


def _name(ledger: Ledger) -> str:
    return f"doubted/{ledger.network.hex()}"
