"""Make state receipts, histories and totals of a ledger with a consumer's book: vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import msgspec

from ledgercore import _core, records, rules
from ledgercore._core import Map
from ledgercore.exchange.totals import Amount, TotalsReport, add_up
from ledgercore.proofs.wire import split_hashes
from ledgercore.records import DecisionRecord
from ledgercore.rules import EMPTY_HISTORY, State, encode_state, extend_history
from tests.vector_world import (
    ABSENCE,
    MEMBER,
    NETWORK,
    ORDER,
    PROVEN,
    RECORD,
    STATE,
    ZERO,
    Vector,
    World,
    changed,
    encode,
)

BANK, EMPTY_BANK = "bank", "empty-bank"
AMOUNTS = (1_000_00, 0, 2**53)
ONE, TWO = bytes([1]) * 32, bytes([2]) * 32
HISTORY, TOTALS = ("history", PROVEN), ("totals", PROVEN)


class Books(World):
    """A ledger of eight records: statements, and three decisions, of amounts, in a bank's book."""

    BOOKED = (1, 4, 6)

    def __init__(self, suite: str) -> None:
        super().__init__(suite)
        self.opened = [
            Amount(amount, (ORDER - at).to_bytes(32, "little"))
            for at, amount in enumerate(AMOUNTS, 1)
        ]
        self.points = _core.group_commit(
            [each.amount for each in self.opened], [each.blinding for each in self.opened]
        )
        bodies = [b"statement %d" % index for index in range(8)]
        for index, point in zip(self.BOOKED, self.points, strict=True):
            bodies[index] = records.encode(decision(point))
        self.ids: list[bytes] = []
        self.records, previous = [], ZERO
        for index, body in enumerate(bodies):
            kind = DecisionRecord.KIND if index in self.BOOKED else "data"
            made = MEMBER.sign_record(suite, NETWORK, kind, body, sequence=index, previous=previous)
            previous = made.id
            self.ids.append(made.id)
            self.records.append(made.encode())
        self.leaves = _core.leaf_hashes(suite, self.records)
        self.held = self.objects()
        self.states = self.map()

    def history(self, indices: Sequence[int]) -> bytes:
        """The running hash of the ids of some records."""
        running = EMPTY_HISTORY
        for index in indices:
            running = extend_history(self.suite, running, self.ids[index])
        return running

    def map(self, **changes: State) -> Map:
        """The map, with some states that no rule gave."""
        objects = self.held | {name.encode(): state for name, state in changes.items()}
        return Map(self.suite).update(
            [(name, encode_state(each)) for name, each in objects.items()]
        )

    def objects(self) -> dict[bytes, State]:
        """One object of each family, and a consent that is revoked."""
        field, begin = (("tax.paid", "fen", 4),), ("ACTIVE", 1, self.history([0]))
        parties = ("bank", "tax", "tax.v1")
        consent = (*parties, "credit", ZERO, ZERO, 2**53, 9, 3, 0, ("agency",), None)
        admission = rules.Admission("AUTHORISED", 2, ZERO, 1, 3, 2, 5, ONE, TWO, 1024, 9, None)
        contests = (rules.Contest(ONE, TWO, 8, "upheld"), rules.Contest(TWO, ONE, 9, ""))
        booked = (len(self.BOOKED), self.history(self.BOOKED))
        found: dict[bytes, State] = {
            b"network": rules.NetworkState(NETWORK, self.suite, "tax.example", ONE, self.ids[0]),
            b"governance": rules.GovernanceState(*begin, ("tax",)),
            rules.key_object(ONE): rules.KeyState("bank", b""),
            rules.signer_object(ONE): rules.SignerState(8, self.ids[7]),
            rules.member_object("bank"): rules.MemberState(
                *begin, "A bank", ("consumer",), ONE, b"", 3
            ),
            rules.schema_object("tax", 1): rules.SchemaState(*begin, "tax", "Tax", field, ONE, ""),
            rules.product_object("tax.v1"): rules.ProductState(
                *begin, "tax", "Tax", "1", "tax", 1, field, ("credit",), True
            ),
            rules.authorisation_object(ONE): rules.AuthorisationState(
                *begin, "authority", "tax", "booking", "cn", "law", 9, 0, 2**53
            ),
            rules.consent_object(ONE): rules.ConsentState(
                "AUTHORISED", 2, self.history([2, 3]), *consent, ()
            ),
            rules.consent_object(TWO): rules.ConsentState(
                "REVOKED", 3, self.history([0, 5, 7]), *consent, ("", "tax")
            ),
            rules.trail_object(ONE): rules.TrailState(0, 13, 7, 1, 2),
            rules.exchange_object(ONE): rules.ExchangeState(
                *begin, ONE, "bank", "tax", "", ZERO, ZERO, 9, "", False, False, None, admission
            ),
            rules.dispute_object(ONE): rules.DisputeState(
                *begin, ("", "bank"), "E_SCOPE", "", (("bank", 2), ("", 1))
            ),
            rules.decision_object(ONE): rules.DecisionState(
                *begin, "bank", (ONE, TWO), "approved", ONE, TWO, 7, contests
            ),
            rules.audit_key_object(ONE): rules.AuditKeyState(
                *begin, "law", 2, (("tax", TWO),), ("tax",)
            ),
            rules.audit_object(ONE): rules.AuditState(
                *begin, "law", ONE, "law-54", TWO, 7, 8, 2, (("tax", 6),), False
            ),
            rules.renewal_object(ONE): rules.RenewalState(*begin, "tax", NETWORK, "std", 8, ONE),
            rules.book_object(BANK): rules.BookState(
                "OPEN", *booked, _core.group_add_points(self.points)
            ),
            b"amounts": rules.AmountsState((ZERO, self.points[0])),
        }
        return found

    def proof(self, name: bytes, **changes: State) -> bytes:
        """The state proof of an object, under the map or one that is changed."""
        state = ({**self.held, **{each.encode(): s for each, s in changes.items()}}).get(name)
        value = None if state is None else encode_state(state)
        return bytes(self.map(**changes).prove(name, value).encode())

    def multiproof(self, indices: Sequence[int], size: int = 8) -> list[bytes]:
        return split_hashes(_core.prove_multi(self.suite, list(indices), size, self.tiles(size)))

    def whole(self, name: bytes, indices: Sequence[int], **changes: Any) -> bytes:
        """The history of an object, with these records."""
        parts: dict[str, Any] = {"version": 1, "checkpoint": self.note(8).encode()}
        parts |= {"state": self.proof(name), "records": [[at, self.records[at]] for at in indices]}
        parts["proof"] = self.multiproof(indices) if indices else []
        parts |= {"earlier": None, "consistency": []} | changes
        return encode(list(parts.values()))

    def as_of(self, size: int) -> dict[str, Any]:
        """What makes a history one as of an earlier size."""
        return {
            "earlier": self.note(size).encode(),
            "consistency": self.consistency(size, 8) if size else [],
        }


def decision(point: bytes | None) -> DecisionRecord:
    return DecisionRecord((ONE,), "approved", ONE, (), TWO, point)


MISSHAPEN: dict[str, tuple[bytes, dict[str, Any]]] = {
    "state-id-short": (rules.exchange_object(ONE), {"consent": ONE[1:]}),
    "state-id-long": (rules.exchange_object(ONE), {"consent": ONE + ONE}),
    "state-item-short": (rules.decision_object(ONE), {"inputs": (ONE, TWO[1:])}),
    "state-key-of-one-byte": (rules.member_object("bank"), {"sealing_key": b"k"}),
    "state-consent-of-one-byte": (rules.key_object(ONE), {"consent": b"c"}),
    "state-network-long": (b"network", {"network": ONE}),
    "state-list-of-257": (rules.consent_object(ONE), {"processors": ("agency",) * 257}),
    "state-hashes-of-257": (rules.decision_object(ONE), {"inputs": (ONE,) * 257}),
    "state-complainants-of-257": (rules.dispute_object(ONE), {"complainants": ("bank",) * 257}),
    "state-field-of-level-6": (rules.schema_object("tax", 1), {"fields": (("a", "fen", 6),)}),
    "state-field-of-level-0": (rules.product_object("tax.v1"), {"fields": (("a", "fen", 0),)}),
    "state-field-that-is-no-code": (
        rules.schema_object("tax", 1),
        {"fields": (("Tax paid", "fen", 4),)},
    ),
    "state-field-of-a-long-unit": (
        rules.product_object("tax.v1"),
        {"fields": (("a", "f" * 257, 4),)},
    ),
    "state-number-below-zero": (rules.consent_object(ONE), {"uses": -1}),
}
"""States that no rule writes, each with what is wrong with it."""


def misshapen(state: State, **changes: Any) -> State:
    """What encodes as a state of its type does, but for fields that such a state cannot have."""
    fields = {name: getattr(state, name) for name in state.__struct_fields__} | changes
    return cast(State, list(fields.values()))


def states(world: World) -> Iterator[Vector]:
    """States with their checkpoint: of every family, present and absent."""
    books = Books(world.suite)
    held = books.note(8).encode()

    def receipt(proof: bytes, note: bytes = held, version: int = 1) -> bytes:
        return encode([version, note, proof])

    for name in books.held:
        word = name.partition(b"/")[0]
        told = f"{word.decode()}{'-revoked' if name == rules.consent_object(TWO) else ''}"
        yield Vector(f"state-receipt-{told}", receipt(books.proof(name)), [STATE])
    for family in ("consent", "exchange", "decision", "key", "agreement", "proposal"):
        data = receipt(books.proof(family.encode() + b"/" + bytes([9]) * 32))
        yield Vector(f"state-receipt-no-{family}", data, [ABSENCE])
    yield Vector("state-receipt-no-member", receipt(books.proof(b"member/nobody")), [ABSENCE])
    live, gone = (books.proof(rules.consent_object(each)) for each in (ONE, TWO))
    name, _, siblings, _ = msgspec.msgpack.decode(gone)
    hidden = encode([name, None, siblings, None])
    odd = rules.KeyState("bank", b"")
    wrong: dict[str, tuple[bytes, str]] = {
        "version": (receipt(live, version=2), "malformed"),
        "goes-on": (receipt(live) + b"\0", "malformed"),
        "cut-off": (receipt(live)[:-1], "malformed"),
        "checkpoint-of-another-map": (
            receipt(live, books.note(8, state_root=ZERO).encode()),
            "invalid-proof",
        ),
        "proof-changed": (receipt(changed(live, -2)), "invalid-proof"),
        "revocation-hidden": (receipt(hidden), "invalid-proof"),
        "quorum": (receipt(live, books.note(8, cosigners="").encode()), "untrusted"),
        "origin": (
            receipt(live, books.note(8, origin="tax.example/other", cosigners="").encode()),
            "untrusted",
        ),
        "signature": (receipt(live, held.replace(b"\n8\n", b"\n7\n")), "invalid-signature"),
        "checkpoint-not-utf-8": (receipt(live, b"\xff"), "malformed"),
        "name-of-no-family": (receipt(books.proof(b"consents/" + ONE)), "malformed"),
        "name-without-its-id": (receipt(books.proof(b"consent")), "malformed"),
        "name-with-a-short-id": (receipt(books.proof(b"consent/" + ONE[1:])), "malformed"),
        "name-with-more": (receipt(books.proof(b"network/x")), "malformed"),
        "name-empty": (receipt(books.proof(b"")), "malformed"),
        "state-of-another-family": (
            receipt(
                books.proof(b"governance", governance=odd),
                books.note(8, state_root=books.map(governance=odd).root()).encode(),
            ),
            "malformed",
        ),
    }
    for name_, (name, changes) in MISSHAPEN.items():
        told = {name.decode(): misshapen(books.held[name], **changes)}
        note = books.note(8, state_root=books.map(**told).root())
        wrong[name_] = (receipt(books.proof(name, **told), note.encode()), "malformed")
    for name_, (data, want) in wrong.items():
        yield Vector(f"state-receipt-bad-{name_}", data, want)


def histories(world: World) -> Iterator[Vector]:
    """Every record of an object, whole and as of earlier checkpoints."""
    books = Books(world.suite)
    book, revoked = rules.book_object(BANK), rules.consent_object(TWO)
    booked, absent = Books.BOOKED, rules.consent_object(bytes([9]) * 32)
    yield Vector("history", books.whole(book, booked), [HISTORY, *[RECORD] * 3])
    yield Vector("history-of-governance", books.whole(b"governance", [0]), [HISTORY, RECORD])
    yield Vector("history-of-nothing", books.whole(absent, []), [HISTORY])
    for size, count in ((0, 0), (1, 0), (2, 1), (4, 1), (5, 2), (7, 3)):
        data = books.whole(book, booked, **books.as_of(size))
        yield Vector(f"history-as-of-{size}", data, [HISTORY, *[RECORD] * count])
    data = books.whole(absent, [], **books.as_of(3))
    yield Vector("history-of-nothing-as-of-3", data, [HISTORY])
    swapped = [[at, books.records[at]] for at in (4, 1, 6)]
    moved = [[1, books.records[1]], [4, books.records[6]], [6, books.records[4]]]
    unsigned = changed(books.records[4], -1)
    yield Vector("history-bad-record-missing", books.whole(book, [1, 4]), "invalid-proof")
    yield Vector("history-bad-record-more", books.whole(book, [1, 4, 5, 6]), "invalid-proof")
    yield Vector("history-bad-record-another", books.whole(book, [1, 4, 7]), "invalid-proof")
    yield Vector("history-bad-records-none", books.whole(book, []), "invalid-proof")
    yield Vector("history-bad-of-nothing-with-a-record", books.whole(absent, [1]), "invalid-proof")
    with_hash = books.whole(absent, [], proof=[ZERO])
    yield Vector("history-bad-of-nothing-with-a-hash", with_hash, "invalid-proof")
    changes: dict[str, tuple[dict[str, Any], str]] = {
        "order": ({"records": swapped}, "invalid-proof"),
        "places": ({"records": moved}, "invalid-proof"),
        "record-changed": (
            {"records": [*moved[:1], [4, unsigned], [6, books.records[6]]]},
            "invalid-proof",
        ),
        "proof-fewer": ({"proof": books.multiproof(booked)[:-1]}, "invalid-proof"),
        "proof-more": ({"proof": [*books.multiproof(booked), ZERO]}, "invalid-proof"),
        "hash-short": ({"proof": [bytes(31)]}, "malformed"),
        "state-of-another": ({"state": books.proof(revoked)}, "invalid-proof"),
        "state-absent": ({"state": books.proof(rules.book_object("other"))}, "invalid-proof"),
        "without-a-history": ({"state": books.proof(b"network")}, "malformed"),
        "name-of-no-family": ({"state": books.proof(b"books/bank")}, "malformed"),
        "quorum": ({"checkpoint": books.note(8, cosigners="").encode()}, "untrusted"),
        "older-checkpoint": ({"checkpoint": books.note(5).encode()}, "invalid-proof"),
        "version": ({"version": 2}, "malformed"),
        "earlier-not-smaller": (
            {"earlier": books.note(8).encode(), "consistency": []},
            "invalid-proof",
        ),
        "earlier-of-other-records": (
            books.as_of(4) | {"earlier": books.note(4, root=ZERO).encode()},
            "invalid-proof",
        ),
        "earlier-quorum": (
            books.as_of(4) | {"earlier": books.note(4, cosigners="").encode()},
            "untrusted",
        ),
        "consistency-changed": (books.as_of(5) | {"consistency": [ZERO] * 4}, "invalid-proof"),
        "consistency-of-65": (books.as_of(5) | {"consistency": [ZERO] * 65}, "malformed"),
        "consistency-alone": ({"consistency": [ZERO]}, "malformed"),
    }
    for name, (parts, want) in changes.items():
        yield Vector(f"history-bad-{name}", books.whole(book, booked, **parts), want)
    yield Vector("history-bad-goes-on", books.whole(book, booked) + b"\0", "malformed")
    yield from _signed_wrongly(books)


def _signed_wrongly(books: Books) -> Iterator[Vector]:
    """What an operator ordered though it is not signed, or is of another network."""
    forged = {
        "signature": (changed(books.records[1], -1), "invalid-signature"),
        "network": (books.forge(network=bytes(16)), "untrusted"),
    }
    for name, (record, want) in forged.items():
        leaf = _core.leaf_hashes(books.suite, [record])
        record_id = _core.Record.decode(record).id
        history = extend_history(books.suite, EMPTY_HISTORY, record_id)
        state = rules.GovernanceState("ACTIVE", 1, history, ())
        note = books.note(1, root=leaf, state_root=books.map(governance=state).root())
        parts = {"checkpoint": note.encode(), "state": books.proof(b"governance", governance=state)}
        data = books.whole(b"governance", [0], **parts, records=[[0, record]], proof=[])
        yield Vector(f"history-bad-ordered-{name}", data, want)


def totals(world: World) -> Iterator[Vector]:
    """A consumer's totals with the history of its book."""
    books = Books(world.suite)
    book = rules.book_object(BANK)
    history = books.whole(book, Books.BOOKED)
    report = add_up(BANK, 0, 8, books.opened)

    def told(report: TotalsReport, history: bytes = history, **changes: Any) -> bytes:
        parts: dict[str, Any] = {"version": 1, "network": NETWORK}
        parts |= {name: getattr(report, name) for name in report.__struct_fields__}
        parts |= {"history": history} | changes
        return encode(list(parts.values()))

    yield Vector("totals", told(report), [TOTALS])
    for begin, end in ((0, 2), (1, 2), (2, 6), (4, 7), (2, 4), (8, 8)):
        opened = [
            each
            for index, each in zip(Books.BOOKED, books.opened, strict=True)
            if begin <= index < end
        ]
        data = told(add_up(BANK, begin, end, opened))
        yield Vector(f"totals-of-{begin}-to-{end}", data, [TOTALS])
    earlier = books.whole(book, Books.BOOKED, **books.as_of(6))
    data = told(add_up(BANK, 0, 6, books.opened[:2]), earlier)
    yield Vector("totals-as-of-6", data, [TOTALS])
    none = books.whole(rules.book_object(EMPTY_BANK), [])
    yield Vector("totals-of-an-empty-book", told(add_up(EMPTY_BANK, 0, 8, []), none), [TOTALS])
    fewer = add_up(BANK, 0, 8, books.opened[:2])
    blinding = report.blinding
    wrong: dict[str, tuple[bytes, str]] = {
        "amount": (told(report, amount=report.amount + 1), "invalid-proof"),
        "amount-below-zero": (told(report, amount=-1), "invalid-proof"),
        "blinding": (told(report, blinding=changed(blinding, 0)), "invalid-proof"),
        "blinding-above-the-order": (
            told(report, blinding=_above(blinding)),
            "malformed",
        ),
        "one-left-out": (told(fewer), "invalid-proof"),
        "one-left-out-and-counted": (told(fewer, count=3), "invalid-proof"),
        "period": (told(report, begin=2), "invalid-proof"),
        "period-that-ends-first": (told(add_up(BANK, 7, 3, [])), "malformed"),
        "period-that-is-not-over": (told(report, end=9), "invalid-proof"),
        "period-after-the-earlier": (told(report, earlier), "invalid-proof"),
        "consumer": (told(report, consumer="other"), "invalid-proof"),
        "network": (told(report, network=bytes(16)), "untrusted"),
        "history-of-another-object": (
            told(report, books.whole(b"governance", [0])),
            "invalid-proof",
        ),
        "history-fewer": (told(fewer, books.whole(book, [1, 4])), "invalid-proof"),
        "history-quorum": (
            told(
                report,
                books.whole(book, Books.BOOKED, checkpoint=books.note(8, cosigners="").encode()),
            ),
            "untrusted",
        ),
        "consumer-in-capitals": (told(report, consumer="Bank"), "malformed"),
        "version": (told(report, version=2), "malformed"),
        "goes-on": (told(report) + b"\0", "malformed"),
        "cut-off": (told(report)[:-1], "malformed"),
    }
    for name, (data, want) in wrong.items():
        yield Vector(f"totals-bad-{name}", data, want)
    yield from _booked_wrongly(books, told)


def _above(blinding: bytes) -> bytes:
    return (int.from_bytes(blinding, "little") + ORDER).to_bytes(32, "little")


def _booked_wrongly(books: Books, told: Any) -> Iterator[Vector]:
    """Books in which an operator has what is no decision that commits to an amount."""
    bodies: dict[str, tuple[str, bytes, str]] = {
        "no-decision": ("data", b"statement", "invalid-proof"),
        "no-amount": (DecisionRecord.KIND, records.encode(decision(None)), "invalid-proof"),
        "no-element": (DecisionRecord.KIND, records.encode(decision(b"\xff" * 32)), "malformed"),
        "no-body": (DecisionRecord.KIND, b"\x90", "malformed"),
    }
    for name, (kind, body, want) in bodies.items():
        record = books.forge(kind=kind, body=body)
        leaf = _core.leaf_hashes(books.suite, [record])
        record_id = _core.Record.decode(record).id
        history = extend_history(books.suite, EMPTY_HISTORY, record_id)
        changes: dict[str, Any] = {"book/bank": rules.BookState("OPEN", 1, history, ZERO)}
        note = books.note(1, root=leaf, state_root=books.map(**changes).root())
        parts = {"checkpoint": note.encode(), "proof": [], "records": [[0, record]]}
        state = books.proof(rules.book_object(BANK), **changes)
        shown = books.whole(rules.book_object(BANK), [0], **parts, state=state)
        data = told(TotalsReport(BANK, 0, 1, 1, 0, ZERO), shown)
        yield Vector(f"totals-bad-booked-{name}", data, want)
