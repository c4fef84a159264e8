"""Name where a vault keeps the chain of a key, and say on which networks its keys have signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # who verifies a pack needs none
    from ledgercore.vault import Vault

__all__ = ["chain_name", "networks_of"]

_CHAINS = "chain/"


def chain_name(network: bytes, key: bytes) -> str:
    """The item of a public key's chain: ``chain/<network>/<key>``."""
    return f"{_CHAINS}{network.hex()}/{key.hex()}"


def networks_of(vault: Vault) -> list[str]:
    """The networks, in hexadecimal, that keys of the vault have signed on."""
    return sorted({name.split("/")[1] for name in vault.names(_CHAINS)})
