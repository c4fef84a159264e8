"""Say who a member is, for the genesis that names it or the proposal that admits it.

A member has two keys: one signs its records, and to the other something can be sealed for it. The
private half of the second stays in the member's vault.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledgercore import keys
from ledgercore.arguments import typed
from ledgercore.entropy import Entropy, SystemEntropy
from ledgercore.exchange.sealing import public_delivery_key
from ledgercore.records import Member
from ledgercore.vault import Vault

__all__ = ["make_member"]


@typed
def make_member(
    member: str,
    roles: Sequence[str],
    key: keys.Signer,
    vault: Vault,
    *,
    name: str | None = None,
    entropy: Entropy | None = None,
) -> Member:
    """A member with its roles, such as ``["provider"]``, and the public halves of its keys.

    ``member`` is its id, such as ``bank-a``, and ``name`` what people call it.
    """
    private = (entropy or SystemEntropy()).bytes(32)
    public = public_delivery_key(private)
    vault.store([(f"sealing-key/{public.hex()}", private)])
    return Member(member, member if name is None else name, tuple(roles), key.public_key, public)
