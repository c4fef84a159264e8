"""A number that is negative or too large is refused with what was got and what is wanted.

None of them is an ``OverflowError``, which names neither, nor taken for another number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ledgercore import (
    Anchor,
    Block,
    Checkpoint,
    Ledger,
    LedgerError,
    MalformedError,
    Receipt,
    Record,
    SigningKey,
    cosign_checkpoint,
    keys,
    primitives,
    records,
)
from ledgercore._core import Frontier
from ledgercore.entropy import SeededEntropy
from ledgercore.exchange import Draft, submit
from ledgercore.exchange.salted import Leaf, commit, encode_leaves
from ledgercore.exchange.sharing import deal, share_of
from ledgercore.keyfile import store_key
from ledgercore.records import ConsentRevoke, Field
from ledgercore.records.base import Part, encode_array
from tests.town import ASKED, Town

KEY = SigningKey(bytes(range(32)))
HASH = bytes(32)
NUMBERS = (-1, -(1 << 63) - 1, 1 << 64, 1 << 80, 10**4000, 10**5000, -(10**5000))


class Table(Part, frozen=True):
    """A part with a mapping in it, which no body has yet."""

    by_name: dict[str, int]


class Scene:
    """A ledger, what is on it, and a town."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ledger = Ledger.create(directory / "a.ledger", origin="tax.example/log", key=KEY)
        self.ledger.append(b"one")
        self.record = self.ledger.record(1)
        self.anchor = self.ledger.trust_anchor
        (directory / "town").mkdir()
        self.town = Town(directory / "town")
        self.proposal = self.town.consent(max_uses=9)
        self.intent, self.request = self.town.intend(self.proposal)

    def submitted(self, *drafts: Draft) -> None:
        for outcome in submit(self.town.parties.ledger, drafts):
            if isinstance(outcome, LedgerError):
                raise outcome

    def revocation(self) -> bytes:
        signer = self.town.subject.revoke(self.proposal).key
        ledger, body = self.town.parties.ledger, ConsentRevoke(self.proposal.consent)
        sequence, previous = ledger.next_position(signer.public_key)
        data = keys.sign_record(
            signer._key,
            ledger.suite,
            ledger.network,
            body.KIND,
            b"\x91\xc4\x20" + self.proposal.consent,
            sequence=sequence,
            previous=previous,
        )
        return data.encode()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    scene = Scene(tmp_path_factory.mktemp("numbers"))
    yield scene
    scene.ledger.close()
    scene.town.parties.close()


def anchor(scene: Scene, quorum: int) -> Anchor:
    known = scene.anchor
    named = {name: getattr(known, name) for name in ("origin", "network", "suite", "operator_key")}
    return Anchor(**named, quorum=quorum)


def block(scene: Scene, **given: int) -> Block:
    numbers = {"height": 1, "time_ms": 1, "first_index": 0, "count": 1} | given
    return Block(**numbers, parent=HASH, tree_root=HASH, state_root=HASH)  # type: ignore[arg-type]


def checkpoint(scene: Scene, **given: int) -> Checkpoint:
    numbers: dict[str, Any] = {"size": 2, "height": 1} | given
    return Checkpoint(**numbers, origin="a", root=HASH, block_hash=HASH, state_root=HASH)


def receipt(scene: Scene, index: int) -> Receipt:
    note, envelope = scene.ledger.checkpoint, scene.record.envelope()
    return Receipt(index=index, path=[], checkpoint=note, envelope=envelope)


def signed(scene: Scene, **given: int) -> Record:
    numbers: dict[str, Any] = {"sequence": 0} | given
    return KEY.sign_record("std", scene.anchor.network, "data", b"", **numbers, previous=HASH)


def signed_by(scene: Scene, **given: int) -> Record:
    numbers: dict[str, Any] = {"sequence": 0} | given
    network = scene.anchor.network
    return keys.sign_record(KEY, "std", network, "data", b"", **numbers, previous=HASH)


def batch(scene: Scene, sequence: int) -> object:
    network = scene.anchor.network
    return KEY.sign_batch("std", network, "data", [b""], sequence=sequence, previous=HASH)


def verified(scene: Scene, index: int) -> object:
    receipt, note = scene.ledger.receipt(1).encode(), scene.anchor
    return primitives.verify_receipts([receipt], [b"one"], note)[index]


def terms(scene: Scene, **given: int) -> None:
    consumer, key = scene.town.parties.consumer, scene.town.subject.new_consent_key()
    proposal = consumer.propose(scene.town.terms(**given), key)
    scene.town.subject.agree(proposal)
    end_ms = scene.town.clock.now_ms() + 1000
    scene.submitted(consumer.request_consent(proposal, end_ms, scene.town.agreement))


def contract(scene: Scene, expires_ms: int) -> None:
    product, agreements = scene.town.mapping.offer.product, scene.town.parties.consumer.agreements
    drawn = agreements.draw_up("bank", product, ("credit.assess",), ASKED, expires_ms)
    scene.submitted(agreements.request(drawn))


def ordered(scene: Scene, **given: int) -> None:
    numbers: dict[str, Any] = {"expires_ms": 1, "embargo_until_ms": 1} | given
    draft, _ = scene.town.authority().order(HASH, "law", [scene.intent], **numbers)
    scene.submitted(draft)


def authorised(scene: Scene, **given: int) -> None:
    numbers: dict[str, Any] = {"max_uses": 1, "expires_ms": 1 << 52} | given
    named = {"infrastructure": "a", "jurisdiction": "cn", "basis": "law"}
    schema = scene.town.mapping.schema()
    scene.submitted(scene.town.authority().authorise(schema, "tax", **named, **numbers))


def corrected(scene: Scene, value: int) -> None:
    provider, product = scene.town.parties.provider, scene.town.mapping.offer.product
    draft, _ = provider.correct(scene.intent, product, {"cr.grade": value})
    scene.submitted(draft)  # a value may be below zero, and the exchange is not one to correct


Call = Callable[[Scene, int], object]

CALLS: dict[str, Call] = {
    "Anchor.quorum": anchor,
    "Block.height": lambda scene, n: block(scene, height=n),
    "Block.time_ms": lambda scene, n: block(scene, time_ms=n),
    "Block.first_index": lambda scene, n: block(scene, first_index=n),
    "Block.count": lambda scene, n: block(scene, count=n),
    "Checkpoint.size": lambda scene, n: checkpoint(scene, size=n),
    "Checkpoint.height": lambda scene, n: checkpoint(scene, height=n),
    "Receipt.index": receipt,
    "SigningKey.sign_record.sequence": lambda scene, n: signed(scene, sequence=n),
    "SigningKey.sign_record.not_before_ms": lambda scene, n: signed(scene, not_before_ms=n),
    "SigningKey.sign_record.expiry_ms": lambda scene, n: signed(scene, expiry_ms=n),
    "SigningKey.sign_batch.sequence": batch,
    "cosign_checkpoint.time_s": lambda scene, n: cosign_checkpoint(
        scene.ledger.checkpoint, "w.example", KEY, n
    ),
    "keys.cosign_checkpoint.time_s": lambda scene, n: keys.cosign_checkpoint(
        scene.ledger.checkpoint, "w.example", KEY, n
    ),
    "keys.sign_record.sequence": lambda scene, n: signed_by(scene, sequence=n),
    "keys.sign_record.expiry_ms": lambda scene, n: signed_by(scene, expiry_ms=n),
    "verify_inclusion.index": lambda scene, n: primitives.verify_inclusion(
        "std", HASH, n, 3, [], HASH
    ),
    "verify_inclusion.size": lambda scene, n: primitives.verify_inclusion(
        "std", HASH, 0, n, [], HASH
    ),
    "verify_inclusions.indices": lambda scene, n: primitives.verify_inclusions(
        "std", HASH * 2, [0, n], 3, [[], []], HASH
    ),
    "verify_inclusions.size": lambda scene, n: primitives.verify_inclusions(
        "std", HASH, [0], n, [[]], HASH
    ),
    "verify_consistency.first_size": lambda scene, n: primitives.verify_consistency(
        "std", n, 3, [], HASH, HASH
    ),
    "verify_consistency.second_size": lambda scene, n: primitives.verify_consistency(
        "std", 1, n, [], HASH, HASH
    ),
    "verify_receipts[index]": verified,
    "Frontier.size": lambda scene, n: Frontier("std", n),
    "Ledger.create.quorum": lambda scene, n: Ledger.create(
        scene.directory / "b.ledger", origin="a", quorum=n
    ),
    "Ledger.record": lambda scene, n: scene.ledger.record(n),
    "Ledger.receipt": lambda scene, n: scene.ledger.receipt(n),
    "Ledger.receipts": lambda scene, n: scene.ledger.receipts([n]),
    "Ledger.prove_records": lambda scene, n: scene.ledger.prove_records([n]),
    "Ledger.block": lambda scene, n: scene.ledger.block(n),
    "Ledger.note": lambda scene, n: scene.ledger.note(n),
    "Ledger.prove_history.height": lambda scene, n: scene.ledger.prove_history(
        b"governance", height=n
    ),
    "Ledger.prove_consistency.first": lambda scene, n: scene.ledger.prove_consistency(n),
    "Ledger.prove_consistency.second": lambda scene, n: scene.ledger.prove_consistency(1, n),
    "Ledger.promise.within_ms": lambda scene, n: scene.town.parties.ledger.promise(
        scene.revocation(), n
    ),
    "store_key.cost": lambda scene, n: store_key(scene.directory / "k", HASH, b"word", cost=n),
    "Terms.expires_ms": lambda scene, n: terms(scene, expires_ms=n),
    "Terms.max_uses": lambda scene, n: terms(scene, max_uses=n),
    "Terms.retain_until_ms": lambda scene, n: terms(scene, retain_until_ms=n),
    "Consumer.intend.lifetime_ms": lambda scene, n: scene.submitted(
        *scene.town.parties.consumer.intend([scene.request], lifetime_ms=n)
    ),
    "Consumer.restrict.until_ms": lambda scene, n: scene.submitted(
        *scene.town.parties.consumer.restrict([scene.intent], "tax-law", n)
    ),
    "Consumer.decide.amount": lambda scene, n: scene.town.parties.consumer.decide(
        [scene.intent], "approved", b"model", [], amount=n
    ),
    "Consumer.report_totals.begin": lambda scene, n: scene.town.parties.consumer.report_totals(
        n, 3
    ),
    "Consumer.report_totals.end": lambda scene, n: scene.town.parties.consumer.report_totals(0, n),
    "Provider.retire_schema.version": lambda scene, n: scene.submitted(
        scene.town.parties.provider.retire_schema("tax.sme", n)
    ),
    "Provider.correct.value": corrected,
    "Subject.narrow.expires_ms": lambda scene, n: scene.submitted(
        scene.town.subject.narrow(scene.proposal, ["cr.grade"], expires_ms=n)
    ),
    "Subject.narrow.max_uses": lambda scene, n: scene.submitted(
        scene.town.subject.narrow(scene.proposal, ["cr.grade"], max_uses=n)
    ),
    "Authority.order.expires_ms": lambda scene, n: ordered(scene, expires_ms=n),
    "Authority.order.embargo_until_ms": lambda scene, n: ordered(scene, embargo_until_ms=n),
    "Authority.authorise.max_uses": lambda scene, n: authorised(scene, max_uses=n),
    "Authority.authorise.expires_ms": lambda scene, n: authorised(scene, expires_ms=n),
    "agreements.draw_up.expires_ms": contract,
    "deal.dealer": lambda scene, n: deal(SeededEntropy(1), n, 2, 3),
    "deal.threshold": lambda scene, n: deal(SeededEntropy(1), 1, n, 3),
    "deal.holders": lambda scene, n: deal(SeededEntropy(1), 1, 2, n),
    "share_of.holder": lambda scene, n: share_of(n, [deal(SeededEntropy(1), 1, 1, 1)[0]], [HASH]),
}


@pytest.mark.parametrize("number", NUMBERS, ids=range(len(NUMBERS)))
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_number_out_of_range_is_refused_in_words(scene: Scene, call: Call, number: int) -> None:
    with pytest.raises((LedgerError, IndexError)) as error:
        call(scene, number)

    assert " want " in str(error.value)
    assert len(str(error.value)) < 500
    assert not (scene.directory / "b.ledger").exists()


@pytest.mark.parametrize("name", ["expires_ms", "max_uses", "retain_until_ms"])
@pytest.mark.parametrize("number", [-1, 1 << 53, (1 << 64) - 1, 10**5000], ids=range(4))
def test_terms_are_made_of_numbers_that_a_consent_can_have(
    scene: Scene, name: str, number: int
) -> None:
    with pytest.raises(MalformedError, match=f"^{name} is .*, want 0 to 9007199254740991$"):
        scene.town.terms(**{name: number})


@pytest.mark.parametrize("number", [1 << 64, -(1 << 63) - 1, 10**5000], ids=range(3))
def test_a_number_without_encoding_is_named_by_its_place(number: int) -> None:
    leaves = [Leaf("use", "scope", "name", at, HASH, at * number) for at in range(2)]
    calls = {
        "body of exchange.restrict: until_ms": lambda: records.encode(
            records.ExchangeRestrict(HASH, "law", number)
        ),
        "body of schema.register: fields[1].level": lambda: records.encode(
            records.SchemaRegister("a", 1, "a", (Field("a", "", 1), Field("b", "", number)))
        ),
        "leaves: [1].value": lambda: encode_leaves(leaves),
        "leaf: value": lambda: commit("std", leaves),
        "table: by_name['use']": lambda: encode_array(Table({"use": number}), "table"),
        "number": lambda: encode_array(number, "number"),  # type: ignore[arg-type]
    }
    for place, call in calls.items():
        with pytest.raises(MalformedError) as error:
            call()
        assert str(error.value) == f"{place} has no encoding, want a number of -2^63 to 2^64 - 1"
