"""Tell whether the key that a node has is its member's, as its own ledger or copy says.

What is signed with the key is signed for the member, and others answer it as whoever the ledger
says that it is. Some of what the ledger says holds for good: a key that is another member's, or was
rotated or called compromised, never becomes this member's. A key that it does not know yet may be
in a record that a copy lacks, as after a rotation, whose block no old key can fetch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from ledgercore.rules import KeyState, MemberState, View, key_object, member_object

__all__ = ["KeyFault", "key_fault"]


class KeyFault(NamedTuple):
    """What is wrong with a key; ``kind`` says whether that can pass.

    ``over`` is for good, ``unknown`` may be settled by a block to come, and ``inactive`` is its
    member's, who may do nothing now.
    """

    kind: Literal["over", "unknown", "inactive"]
    reason: str


def key_fault(
    load: Callable[[bytes], bytes | None], member: str, key: bytes, place: str
) -> KeyFault | None:
    """What a ledger has against this key, from this place, as the member's; None is nothing.

    ``load`` gives an object's checked state.
    """
    view = View(load)
    owner = view.get(key_object(key), KeyState)
    current = view.get(member_object(member), MemberState)
    got = f"settings: member is {member!r}, but {place} has key {key.hex()[:16]}"
    want = f"{member!r} is no member here"
    if current is not None:
        want = f"want {current.signing_key.hex()[:16]}"
    if owner is None or not owner.member:
        return KeyFault(
            "unknown",
            f"{got}, which is no member's, {want}: put the key of {member!r} there; a key that was "
            "rotated to is known once the node has caught up",
        )
    if owner.member != member:
        return KeyFault(
            "over",
            f"{got} of {owner.member!r}, {want}: put the key of {member!r} there, or name "
            f"{owner.member!r} as the member",
        )
    if owner.status in ("ROTATED", "COMPROMISED"):
        remedy = "put the key there that took its place"
        if current is not None and current.signing_key == key:
            want, remedy = "want another", "have governance give it one by key.replace"
        return KeyFault(
            "over", f"{got}, which was the member's and is {owner.status}, {want}: {remedy}"
        )
    if owner.status != "ACTIVE":
        return KeyFault(
            "inactive", f"member {member!r} is {owner.status}, want ACTIVE: ask governance"
        )
    return None
