"""Make openings of one exchange by two of three holders, and forge some: vectors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import structs

from ledgercore import _core, rules
from ledgercore._core import Map
from ledgercore.exchange.audit_copy import AuditCopy, copy_hash, make_copy
from ledgercore.rules import State, encode_state
from ledgercore.rules.audit import scope_commitment
from tests.vector_world import NETWORK, PROVEN, ZERO, Vector, World, changed, encode

MEMBERS = ("tax", "bank", "regulator")
AUDIT, EXCHANGE, OTHER, SALT, KEY = (bytes([number]) * 32 for number in range(1, 6))
ORDERED, OPENED = ("ordered", PROVEN), ("opened", PROVEN)


class Ordered:
    """A ledger with an audit key, an order under it, and an exchange that it is about."""

    def __init__(self, world: World) -> None:
        self.world = world
        drawn = [bytes([number]) * 64 for number in (7, 8)]
        commitments, _, self.shares = _core.group_deal(drawn, 1, len(MEMBERS))
        self.key, share_keys = _core.group_share_keys([commitments], len(MEMBERS))
        self.copy = make_copy(KEY, self.key, NETWORK + EXCHANGE)
        begin = ("", 1, ZERO)
        scope = scope_commitment(world.suite, (EXCHANGE,), SALT)
        holders = tuple(zip(MEMBERS, share_keys, strict=True))
        self.audit_key = rules.AuditKeyState(*begin, "regulator", 2, holders, MEMBERS)
        self.audit = rules.AuditState(
            "OPENED", 3, ZERO, "regulator", self.key, "tax-law-54", scope, 900, 900, 2,
            (("tax", 100), ("regulator", 200)), False,
        )  # fmt: skip
        admission = rules.Admission(
            "AUTHORISED",
            2,
            ZERO,
            1,
            3,
            2,
            5,
            ZERO,
            ZERO,
            1024,
            9,
            copy_hash(world.suite, self.copy),
        )
        self.exchange = rules.ExchangeState(
            "ADMITTED", 2, ZERO, ZERO, "bank", "tax", "", ZERO, ZERO, 9, "",
            False, False, None, admission
        )  # fmt: skip

    def part(self, holder: int, **changes: bytes) -> list[Any]:
        given = {"audit": AUDIT, "exchange": EXCHANGE, "ephemeral": self.copy.ephemeral} | changes
        context = NETWORK + given["audit"] + given["exchange"]
        share = self.shares[holder - 1]
        made = _core.group_open_part(share, given["ephemeral"], context, bytes(32))
        return [holder, *made]

    def admitted(self, copy: AuditCopy) -> rules.ExchangeState:
        """The exchange, admitted with another copy."""
        assert self.exchange.admission is not None
        hashed = copy_hash(self.world.suite, copy)
        admission = structs.replace(self.exchange.admission, audit_copy=hashed)
        return structs.replace(self.exchange, admission=admission)

    def of_copy(self, copy: AuditCopy) -> bytes:
        """An opening by two, whose parts are of this copy's point, which was admitted."""
        parts = [self.part(holder, ephemeral=copy.ephemeral) for holder in (1, 3)]
        return self.opening(parts, copy, states={"exchange": self.admitted(copy)})

    def opening(self, parts: list[Any], copy: AuditCopy | None = None, **changes: Any) -> bytes:
        """The evidence; ``states`` are what the operator signs in place of some states."""
        held: dict[str, State] = {"audit_key": self.audit_key, "audit": self.audit}
        held |= {"exchange": self.exchange} | changes.pop("states", {})
        names = {"audit_key": rules.audit_key_object(self.key), "audit": rules.audit_object(AUDIT)}
        names["exchange"] = rules.exchange_object(changes.pop("named", EXCHANGE))
        encoded = {names[word]: encode_state(state) for word, state in held.items()}
        states = Map(self.world.suite).update(list(encoded.items()))
        note = self.world.note(state_root=states.root(), cosigners=changes.pop("cosigners", "a"))
        proofs = [states.prove(names[word], encoded[names[word]]).encode() for word in names]
        shown: dict[str, Any] = {"version": 1, "network": NETWORK, "checkpoint": note.encode()}
        shown |= dict(zip(names, proofs, strict=True)) | {"scope": [EXCHANGE], "salt": SALT}
        shown |= {"copy": copy or self.copy, "parts": parts} | changes
        return encode(list(shown.values()))


def openings(world: World) -> Iterator[Vector]:
    """Two of three holders open what an order is about."""
    made = Ordered(world)
    tax, bank, regulator = (made.part(holder) for holder in (1, 2, 3))
    two, claims = [tax, regulator], [ORDERED, OPENED, OPENED]
    yield Vector("opening", made.opening(two), claims)
    openers = (*made.audit.openers, ("bank", 300))
    by_all = structs.replace(made.audit, openers=openers)
    yield Vector(
        "opening-by-all",
        made.opening([tax, bank, regulator], states={"audit": by_all}),
        [*claims, OPENED],
    )
    disclosed = structs.replace(made.audit, status="REPORTED", disclosed=True)
    yield Vector("opening-reported", made.opening(two, states={"audit": disclosed}), claims)
    late = structs.replace(made.audit, openers=(("tax", 100), ("regulator", 900)))
    assert made.exchange.admission is not None
    uncopied = structs.replace(
        made.exchange, admission=structs.replace(made.exchange.admission, audit_copy=None)
    )
    refused = structs.replace(made.exchange, admission=None)
    other = make_copy(OTHER, made.key, NETWORK + EXCHANGE)
    partly = structs.replace(made.audit_key, accepted=MEMBERS[1:])
    moved = make_copy(KEY, made.key, NETWORK + OTHER)
    seven = _core.group_add_points([moved.ephemeral] * 7)
    copy, nothing = made.copy, structs.replace(made.copy, ephemeral=ZERO)
    wrong: dict[str, tuple[bytes, str]] = {
        "key-that-one-did-not-accept": (
            made.opening(two, states={"audit_key": partly}),
            "invalid-proof",
        ),
        "of-one": (made.opening([tax]), "invalid-proof"),
        "of-none": (made.opening([]), "invalid-proof"),
        "not-signed-to-open": (made.opening([tax, bank]), "untrusted"),
        "signed-after-the-end": (made.opening(two, states={"audit": late}), "untrusted"),
        "holders-descend": (made.opening([regulator, tax]), "malformed"),
        "holder-twice": (made.opening([tax, tax]), "malformed"),
        "holder-of-none": (made.opening([tax, [4, *regulator[1:]]]), "malformed"),
        "part-of-another": (made.opening([tax, [3, *bank[1:]]]), "invalid-proof"),
        "part-no-element": (made.opening([tax, [3, b"\xff" * 32, regulator[2]]]), "malformed"),
        "proof-changed": (
            made.opening([tax, [3, regulator[1], changed(regulator[2], 32)]]),
            "invalid-proof",
        ),
        "proof-above-the-order": (
            made.opening([tax, [3, regulator[1], regulator[2][:32] + b"\xff" * 32]]),
            "malformed",
        ),
        "part-for-another-order": (
            made.opening([tax, made.part(3, audit=OTHER)]),
            "invalid-proof",
        ),
        "part-for-another-exchange": (
            made.opening([tax, made.part(3, exchange=OTHER)]),
            "invalid-proof",
        ),
        "salt": (made.opening(two, salt=ZERO), "invalid-proof"),
        "scope-wider": (made.opening(two, scope=[EXCHANGE, OTHER]), "invalid-proof"),
        "exchange-beyond-the-scope": (made.opening(two, named=OTHER), "invalid-proof"),
        "copy-of-another-key": (made.opening(two, other), "invalid-proof"),
        "copy-of-another-exchange": (made.of_copy(moved), "invalid-proof"),
        "copy-of-a-multiple": (
            made.of_copy(structs.replace(copy, ephemeral=seven)),
            "invalid-proof",
        ),
        "copy-proof-changed": (
            made.of_copy(structs.replace(copy, proof=changed(copy.proof, 32))),
            "invalid-proof",
        ),
        "copy-sealed-changed": (
            made.of_copy(structs.replace(copy, sealed=changed(copy.sealed, 0))),
            "invalid-proof",
        ),
        "copy-proof-above-the-order": (
            made.of_copy(structs.replace(copy, proof=copy.proof[:32] + b"\xff" * 32)),
            "malformed",
        ),
        "copy-proof-short": (
            made.of_copy(structs.replace(copy, proof=copy.proof[:-1])),
            "malformed",
        ),
        "copy-of-the-identity": (
            made.opening(two, nothing, states={"exchange": made.admitted(nothing)}),
            "malformed",
        ),
        "admitted-without-a-copy": (
            made.opening(two, states={"exchange": uncopied}),
            "invalid-proof",
        ),
        "never-admitted": (made.opening(two, states={"exchange": refused}), "invalid-proof"),
        "quorum": (made.opening(two, cosigners=""), "untrusted"),
        "network": (made.opening(two, network=bytes(16)), "untrusted"),
        "version": (made.opening(two, version=2), "malformed"),
        "goes-on": (made.opening(two) + b"\0", "malformed"),
        "cut-off": (made.opening(two)[:-1], "malformed"),
    }
    for name, (data, want) in wrong.items():
        yield Vector(f"opening-bad-{name}", data, want)
