"""Sign that items are erased from a vault, and verify what was signed.

An erasure receipt says what is gone, when and by whom: that at a time the vault of a key held
nothing under these names, a name that ends with a slash being a whole folder. It is a signed
promise, and not a proof: nobody can show that no copy is left. It can be made again, so a crash
between erasing and signing loses nothing.

    [[1, network(bin16), key(bin32), erased_ms, ["exchange/8f3c/payload", ...]], signature(bin64)]
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec

from ledgercore._core import hash_domain, verify_signature
from ledgercore.errors import LimitError, MalformedError, UntrustedError
from ledgercore.keys import Signer, sign_message
from ledgercore.proofs.wire import decode_part, encode_part
from ledgercore.records.base import Bytes16, Bytes32, Bytes64, Part, TimeMs
from ledgercore.rules import refuse
from ledgercore.vault import NAME_BYTES, Vault

__all__ = ["LIMIT_NAMES", "Erasure", "ErasureReceipt", "certify_erasure", "verify_erasure"]

LIMIT_NAMES = 65_536
"""Items that a receipt which is made says are gone: those of 9,362 exchanges of a consumer."""
_VERIFIED_NAMES = 1 << 20
"""Items that one which is verified names at most: another program may have made it. How many there
are stands before them, so more are refused before any is read."""

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_BYTES)]


class Erasure(Part, frozen=True):
    """What is gone, when and by whom."""

    version: Literal[1]
    network: Bytes16
    key: Bytes32
    erased_ms: TimeMs
    names: Annotated[tuple[_Name, ...], msgspec.Meta(min_length=1, max_length=_VERIFIED_NAMES)]


class ErasureReceipt(Part, frozen=True):
    """An erasure with the signature of the key that it names."""

    erasure: Erasure
    signature: Bytes64


def certify_erasure(
    vault: Vault, names: Iterable[str], key: Signer, network: bytes, suite: str, erased_ms: int
) -> bytes:
    """The receipt that a vault holds nothing under these names, or ``RefusedError`` if it does.

    ``MalformedError`` for no names: such a receipt would say that nothing is gone. ``LimitError``
    for more than ``LIMIT_NAMES``.
    """
    erasure = Erasure(1, network, key.public_key, erased_ms, tuple(names))
    if not erasure.names:
        raise MalformedError("names of what is erased are none, want one at least, or an exchange")
    if (count := len(erasure.names)) > LIMIT_NAMES:
        message = f"names of what is erased are {count}, want at most {LIMIT_NAMES}"
        raise LimitError(f"{message}: certify fewer exchanges at a time")
    for name in erasure.names:
        if vault.names(name) if name.endswith("/") else vault.load(name) is not None:
            refuse("E_EXCHANGE_STATE", f"{name} is still in the vault: erase it first")
    signature = sign_message(key, _message(erasure, suite))
    return encode_part(ErasureReceipt(erasure, signature))


def verify_erasure(data: bytes, network: bytes, suite: str, key: bytes) -> Erasure:
    """The erasure that a receipt states, if it is of this network and signed by this key."""
    receipt = decode_part(data, ErasureReceipt, "erasure receipt")
    erasure = receipt.erasure
    if erasure.network != network:
        got, want = erasure.network.hex(), network.hex()
        raise UntrustedError(f"erasure is of network {got}, want {want}")
    if erasure.key != key:
        raise UntrustedError(f"erasure is by key {erasure.key.hex()[:16]}, want {key.hex()[:16]}")
    verify_signature(key, _message(erasure, suite), receipt.signature)
    return erasure


def _message(erasure: Erasure, suite: str) -> bytes:
    digest = hash_domain(suite, "commitment", encode_part(erasure))
    return b"ledgercore erasure v1\n" + erasure.network + digest
