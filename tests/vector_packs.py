"""Make evidence packs of one firm's exchanges, and forge some: vectors of the specification."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import msgspec
from msgspec import structs

from ledgercore import RefusedError, format_anchor
from ledgercore._core import SigningKey
from ledgercore.exchange import build_pack, verify_pack
from ledgercore.exchange.pack import Pack
from ledgercore.exchange.signer import RecordSigner
from ledgercore.exchange.submission import Draft
from ledgercore.records import (
    AuditOpen,
    ConsentNarrow,
    ConsentRevoke,
    ConsentRevokeOnBehalf,
    ConsentStay,
    DecisionContest,
    DecisionExplain,
    DecisionReview,
    DisputeOpen,
    DisputeRule,
    ExchangeAcknowledge,
    ExchangeCorrect,
    ExchangeDecline,
    ExchangeErase,
    ExchangeForget,
    ExchangeRelease,
    ExchangeRestrict,
    ExchangeVoid,
    KeyCompromise,
    KeyRotate,
    RecordBody,
    key_message,
)
from ledgercore.rules import consent, exchange
from tests.town import AGENCY, DAY_MS, FIELDS, OTHER_AGENCY, Town
from tests.vector_agreements import agreements
from tests.vector_disputes import disputed_again, misstated
from tests.vector_quorums import quorums

EXTRA = "soc.heads"

Made = tuple[str, bytes, str | list[tuple[str, str]]]


def packs(directory: Path, suite: str) -> tuple[str, list[Made]]:
    """The anchor, and each pack with the claims or the kind of error that is expected."""
    town = Town(directory, suite)
    try:
        anchor = town.parties.ledger.trust_anchor
        good = dict(_good(town))
        rotated, forged = _rotated(directory / "rotated", suite)
        good["rotated"] = rotated
        under, other = agreements(directory / "agreements", suite)
        changed, voted = quorums(directory / "quorums", suite)
        good |= under | changed
        found: list[Made] = []
        for name, pack in good.items():
            claims = verify_pack(_encoded(pack), anchor)
            found.append(
                (f"pack-{name}", _encoded(pack), [(each.name, each.status) for each in claims])
            )
        if suite == "std":  # what is wrong with these has nothing to do with hashes
            bad = [*_bad(town, good), *forged, *other, *voted]
            found += [(f"pack-bad-{name}", data, want) for name, data, want in bad]
        return format_anchor(anchor), found
    finally:
        town.parties.close()


def _encoded(pack: Pack) -> bytes:
    return msgspec.msgpack.encode(pack)


def _packed(town: Town, intent: bytes) -> Pack:
    data = build_pack(town.parties.ledger, town.parties.vaults["bank"], intent)
    return msgspec.msgpack.decode(data, type=Pack)


def _good(town: Town) -> list[tuple[str, Pack]]:
    consumer, provider = town.parties.consumer, town.parties.provider
    town.consent()  # of which nothing is in the packs, but hashes in their proofs
    proposal = town.consent(max_uses=2)
    intent, request = town.intend(proposal)
    consumer.open(*town.deliver(intent, request))
    town.accept([consumer.acknowledge(intent)])
    (decided,) = town.accept(
        [consumer.decide([intent], "approved", b"model", ["paid in time"], amount=90)]
    )
    town.accept([consumer.use(intent, decided.id, "credit.assess")])
    delivered = _packed(town, intent)
    town.accept([consumer.explain(decided.id)])
    town.accept([town.subject.contest(proposal, decided.id, "a person should look")])
    contested = _packed(town, intent)
    correction, _ = provider.correct(intent, town.mapping.offer.product, {FIELDS[0]: "D"})
    town.accept([correction])
    town.accept([consumer.review(decided.id, "declined", "an officer", "as a person sees it")])
    reviewed = _packed(town, intent)
    refused, asked = town.intend(town.consent())
    town.accept(provider.answer([(refused, structs.replace(asked, fields=()))]))
    rejected = _packed(town, refused)
    town.accept([town.subject.revoke(proposal)])
    revoked = _packed(town, intent)
    town.accept(consumer.erase([intent], "consent-revoked"))
    withdrawn = town.consent(max_uses=2)
    voided, asked = town.intend(withdrawn)
    town.accept(provider.answer([(voided, asked)]))
    town.accept([provider.revoke_on_behalf(withdrawn.consent, b"a letter")])
    town.accept([provider.void(voided, "E_CONSENT_STATE")])
    kept, asked = town.intend(town.consent())
    consumer.open(*town.deliver(kept, asked))
    town.accept([consumer.acknowledge(kept)])
    town.accept(consumer.restrict([kept], "tax-law", town.clock.now_ms() + 1000))
    late, asked = town.intend(town.consent())
    town.accept(provider.answer([(late, asked)]))
    town.later(DAY_MS)
    town.accept([consumer.time_out(late)])
    town.accept(provider.erase([late], "timed-out"))
    disputed = _disputed(town)
    audited = _audited(town)
    narrow = town.consent(max_uses=2)
    town.accept([town.subject.narrow(narrow, FIELDS[:1], max_uses=1)])
    town.accept([town.authority().stay(narrow.consent, "court-order", "an order")])
    town.accept([town.authority().lift(narrow.consent)])
    narrowed, asked = town.intend(narrow, FIELDS[0])
    consumer.open(*town.deliver(narrowed, asked))
    processed = _processed(town)
    dropped = _processed(town, until=DELIVERED)
    again = _packed(town, disputed_again(town))
    closed = dict.fromkeys(("terms", "request", "payload", "release"))
    return [
        ("delivered", delivered),
        ("contested", contested),
        ("reviewed", reviewed),
        ("refused", rejected),
        ("revoked", revoked),
        ("erased", _packed(town, intent)),
        ("voided", _packed(town, voided)),
        ("restricted", _packed(town, kept)),
        ("timed-out", _packed(town, late)),
        ("narrowed-and-stayed", _packed(town, narrowed)),
        ("disputed", disputed),
        ("audited", audited),
        ("processed", processed),
        ("processor-dropped-later", dropped),
        ("disputed-again", again),
        ("objection-withheld", structs.replace(disputed, objection=None)),
        ("withheld", structs.replace(delivered, **closed)),
        ("request-withheld", structs.replace(delivered, request=None)),
    ]


def _audited(town: Town) -> Pack:
    """Of a delivery that two holders signed to open; the scope is disclosed."""
    town.share_audit_key()
    intent, request = town.intend(town.consent())
    town.parties.consumer.open(*town.deliver(intent, request))
    town.parties.provider._audit_key, key = None, town.parties.provider._audit_key
    assert key
    now_ms, authority = town.clock.now_ms(), town.authority()
    draft, scope = authority.order(
        key, "tax-law-54", [intent], expires_ms=now_ms + DAY_MS, embargo_until_ms=now_ms
    )
    (place,) = town.accept([draft])
    town.accept([Draft(town.parties.consumer._key, AuditOpen(place.id))])
    town.accept([authority.disclose(place.id, scope)])
    return _packed(town, intent)


ALWAYS, DELIVERED, INTENDED = range(3)
"""How long a consent names its processor."""


def _processed(town: Town, named: str = AGENCY, until: int = ALWAYS) -> Pack:
    """Of a delivery to a processor, by a signatory's mandate; the consent names this one or not."""
    town.parties.provider._mandates = {town.firm: {"LR-2024-7": "Li"}}
    proposal = town.consent(processors=(named,), signatory="Li", mandate="LR-2024-7")
    agency, consumer = town.processor(), town.parties.consumer
    asked = consumer.request(proposal.consent, FIELDS, "credit.assess")
    (place,) = town.accept(agency.intend([asked]))
    if until == INTENDED:
        town.accept([town.subject.narrow(proposal, FIELDS, processors=[])])
    agency.open(*town.deliver(place.id, asked))
    town.accept([agency.acknowledge(place.id)])
    consumer.take_over(agency.hand_over(place.id))
    if until == DELIVERED:
        town.accept([town.subject.narrow(proposal, FIELDS, processors=[])])
    return _packed(town, place.id)


def _disputed(town: Town) -> Pack:
    """Of a delivery with a field too many, declined and disputed, and ruled on."""
    proposal = town.consent()
    intent, request = town.intend(proposal)
    consumer, provider, authority = town.parties.consumer, town.parties.provider, town.authority()
    delivery, release = town.deliver_beyond(intent, request, EXTRA)
    # A sealed key is another at every run: the commitment to the message is made up here.
    town.accept([Draft(provider._key, ExchangeRelease(intent, bytes([7]) * 32))])
    with contextlib.suppress(RefusedError):
        consumer.open(delivery, release)
    town.accept([consumer.decline(intent, RefusedError("E_SCOPE", "a field too many"))])
    town.accept([town.subject.disputes(proposal).open(intent, "E_SCOPE", "not what I agreed to")])
    town.accept([consumer.disputes.show(intent, b"the objection")])
    town.accept([authority.rule(intent, "upheld", "the provider's signature is on the field")])
    return _packed(town, intent)


def _rotated(directory: Path, suite: str) -> tuple[Pack, list[tuple[str, bytes, str]]]:
    """A network like the other whose consumer rotates its key mid-way, and loses the new one.

    With it what is forged: the old key goes on, on the ledger of an operator who lets it.
    """
    directory.mkdir()
    town = Town(directory, suite)
    try:
        ledger, consumer = town.parties.ledger, town.parties.consumer
        intent, asked = town.intend(town.consent())
        key, old = SigningKey(b"n" * 32), consumer._key
        proof = key.sign(key_message(ledger.network, key.public_key, consumer.member))
        body = KeyRotate(consumer.member, key.public_key, b"s" * 32, proof)
        town.accept([Draft(old, body)])
        rotation = ledger.size - 1
        consumer._key = RecordSigner(key, old.vault)
        consumer.open(*town.deliver(intent, asked))
        town.accept([consumer.acknowledge(intent)])
        town.accept([Draft(consumer._key, KeyCompromise(consumer.member))])
        pack = _packed(town, intent)
        indices = [index for index, _ in pack.records if index != rotation]
        missing = structs.replace(
            pack,
            records=tuple(each for each in pack.records if each[0] != rotation),
            proof=tuple(ledger.prove_records(indices)),
        )
        named = [msgspec.msgpack.decode(state)[0] for state in pack.states]
        states = tuple(
            state
            for name, state in zip(named, pack.states, strict=True)
            if not name.startswith(b"member/")
        )
        late = _late(town, old)
        return pack, [
            ("rotation-missing", _encoded(missing), "invalid-proof"),
            ("member-state-missing", _encoded(structs.replace(pack, states=states)), "malformed"),
            ("signed-by-a-rotated-key", _encoded(late), "untrusted"),
        ]
    finally:
        town.parties.close()


def _late(town: Town, old: RecordSigner) -> Pack:
    """Of an operator whose ledger takes a rotated key for the member's."""
    with mock.patch(
        "ledgercore.rules.engine._check_signer", lambda *case: town.parties.consumer.member
    ):
        town.parties.consumer._key = old
        intent, asked = town.intend(town.consent())
        town.deliver(intent, asked)
        town.accept([Draft(old, ExchangeAcknowledge(intent))])
        return _packed(town, intent)


def _widened(town: Town) -> Pack:
    """Of a consent that the consumer asked for with more uses than its terms have."""
    with mock.patch("ledgercore.exchange.provider.check_terms", lambda terms, consent: None):
        intent, request = town.intend(town.widened_consent())
        town.parties.consumer.open(*town.deliver(intent, request))
    return _packed(town, intent)


def _widened_by_narrowing(town: Town) -> Pack:
    """Of an operator whose ledger lets a narrowing add uses."""
    proposal = town.consent()
    checks = consent.FAMILY.checks
    with mock.patch.dict(checks, bounds_are_within=lambda case: None):
        town.accept([town.subject.narrow(proposal, FIELDS[:1], max_uses=9)])
    intent, _ = town.intend(proposal, FIELDS[0])
    return _packed(town, intent)


def _by_another_processor(town: Town) -> Pack:
    """Of an operator whose ledger lets a processor act that the consent does not name."""
    with (
        mock.patch.dict(exchange.FAMILY.checks, signer_is_of_consent=lambda case: None),
        _serving_any_processor(),
    ):
        return _processed(town, OTHER_AGENCY)


def _dropped_before_the_admit(town: Town) -> Pack:
    """Of an operator and a provider that serve a processor that was dropped."""
    with _serving_any_processor():
        return _processed(town, until=INTENDED)


@contextlib.contextmanager
def _serving_any_processor() -> Iterator[None]:
    checks = exchange.FAMILY.checks
    with (
        mock.patch.dict(checks, recipient_is_still_named=lambda case: None),
        mock.patch("ledgercore.exchange.provider.check_named", lambda consent, state: None),
    ):
        yield


def _named_by_narrowing(town: Town) -> Pack:
    """Of an operator whose ledger lets a narrowing name another processor."""
    proposal = town.consent(processors=(OTHER_AGENCY,))
    checks = consent.FAMILY.checks
    draft = town.subject.narrow(proposal, FIELDS)
    body = structs.replace(draft.body, processors=(AGENCY,))
    with mock.patch.dict(checks, bounds_are_within=lambda case: None):
        town.accept([draft._replace(body=body)])
    intent, _ = town.intend(proposal)
    return _packed(town, intent)


@contextlib.contextmanager
def _by_anyone() -> Iterator[None]:
    """An operator whose ledger accepts records of whoever signed them."""
    with (
        mock.patch("ledgercore.rules.engine._check_signer", lambda *case: ""),
        mock.patch("ledgercore.rules.decision._own_consent", lambda case: bytes(32)),
    ):
        yield


def _of_decision(town: Town, intent: bytes, kind: type[RecordBody]) -> list[RecordBody]:
    """What becomes of a decision on the exchange, which is made and contested as need be."""
    if kind not in (DecisionExplain, DecisionContest, DecisionReview):
        return []
    consumer = town.parties.consumer
    town.accept([consumer.acknowledge(intent)])
    (place,) = town.accept([consumer.decide([intent], "approved", b"model", [])])
    contest = bytes(32)
    if kind is DecisionReview:
        with _by_anyone():
            (made,) = town.accept([Draft(consumer._key, DecisionContest(place.id, bytes(32)))])
            contest = made.id
    return [
        DecisionExplain(place.id),
        DecisionContest(place.id, bytes(32)),
        DecisionReview(place.id, contest, "upheld", "approved", bytes(32), bytes(32)),
    ]


def _signed_by_another(town: Town, kind: type[RecordBody]) -> Pack:
    """Of an operator whose ledger accepts a record of whoever signed it: here the other party."""
    proposal = town.consent()
    intent, request = town.intend(proposal)
    town.parties.consumer.open(*town.deliver(intent, request))
    bodies = (
        ConsentRevoke(proposal.consent),
        ConsentRevokeOnBehalf(proposal.consent, bytes(32)),
        ExchangeErase(intent, "purpose-achieved"),
        ExchangeRestrict(intent, "tax-law", town.clock.now_ms() + 1000),
        ExchangeVoid(intent, "E_CONSENT_STATE"),
        town.subject.narrow(proposal, FIELDS[:1]).body,
        ConsentStay(proposal.consent, "court-order", bytes(32)),
        ExchangeRelease(intent, bytes(32)),
        ExchangeCorrect(intent, bytes(32)),
        ExchangeDecline(intent, "E_SCOPE", bytes(32)),
        ExchangeForget(intent, "acknowledged"),
        DisputeOpen(intent, "E_SCOPE", bytes(32)),
        *_of_decision(town, intent, kind),
        DisputeRule(intent, "upheld", bytes(32)),
    )
    (body,) = (each for each in bodies if type(each) is kind)
    providers = (
        ConsentRevokeOnBehalf,
        ExchangeVoid,
        ExchangeRelease,
        ExchangeForget,
        ExchangeCorrect,
    )
    signer = town.parties.consumer if kind in providers else town.parties.provider
    if kind is DisputeOpen:
        signer = town.authority()
    with (
        _by_anyone(),
        mock.patch("ledgercore.exchange.signer.check_true", lambda *case, **more: None),
    ):
        if kind in (ExchangeForget, ExchangeCorrect, ExchangeRestrict):
            town.accept([town.parties.consumer.acknowledge(intent)])
        if kind is DisputeRule:
            town.accept([town.parties.consumer.disputes.open(intent, "E_SCOPE", "")])
        town.accept([Draft(signer._key, body)])
    return _packed(town, intent)


def _objections(good: dict[str, Pack]) -> list[tuple[str, Pack, str]]:
    """A pack's objection, changed; most find another commitment first."""
    disputed = good["disputed"]
    objection = disputed.objection
    assert objection
    (leaf,) = objection.leaves
    lied = structs.replace(objection, leaves=(structs.replace(leaf, value=9),))
    return [
        ("objection-changed", structs.replace(disputed, objection=lied), "invalid-proof"),
        (
            "objection-for-another-code",
            structs.replace(disputed, objection=structs.replace(objection, code="E_CANON")),
            "invalid-proof",
        ),
        (
            "objection-where-nothing-was-declined",
            structs.replace(good["delivered"], objection=objection),
            "invalid-proof",
        ),
        ("audit-without-its-state", _without(good["audited"], b"audit/"), "invalid-proof"),
        ("dispute-without-its-state", _without(disputed, b"dispute/"), "invalid-proof"),
    ]


def _without(pack: Pack, word: bytes) -> Pack:
    """The pack without the states of a family."""
    states = tuple(
        state for state in pack.states if not msgspec.msgpack.decode(state)[0].startswith(word)
    )
    return structs.replace(pack, states=states)


def _bad(town: Town, good: dict[str, Pack]) -> list[tuple[str, bytes, str]]:
    pack, revoked = good["delivered"], good["revoked"]
    payload, request, release, terms = pack.payload, pack.request, pack.release, pack.terms
    assert payload and request and release and terms
    higher = structs.replace(payload[0], value=9)
    other_salt = structs.replace(payload[0], salt=bytes(32))
    moved = structs.replace(payload[0], position=1)
    wider = structs.replace(terms[-1], value="anyone")
    data = _encoded(pack)
    ledger = town.parties.ledger

    def with_records(indices: list[int]) -> Pack:
        records = tuple((index, ledger.record(index).encode()) for index in indices)
        proof = tuple(ledger.prove_records(indices))
        newest = ledger.checkpoint.encode()
        names = [msgspec.msgpack.decode(state)[0] for state in revoked.states]
        states = tuple(ledger.prove_state(name).encode() for name in names)
        return structs.replace(
            revoked, records=records, proof=proof, checkpoint=newest, states=states
        )

    swapped = (*pack.records[:-2], pack.records[-1], pack.records[-2])
    newest, revocation = revoked.records[-1]
    beyond = (*revoked.records[:-1], (newest + 1, revocation))
    town.accept([town.subject.revoke(town.consent())])
    own = [index for index, _ in good["erased"].records]
    foreign = sorted([*own, ledger.size - 1])
    forged: list[tuple[str, Pack, str]] = [
        ("payload-changed", structs.replace(pack, payload=(higher, *payload[1:])), "invalid-proof"),
        (
            "salt-changed",
            structs.replace(pack, payload=(other_salt, *payload[1:])),
            "invalid-proof",
        ),
        ("position", structs.replace(pack, payload=(moved, *payload[1:])), "malformed"),
        ("terms-changed", structs.replace(pack, terms=(*terms[:-1], wider)), "invalid-proof"),
        (
            "request-changed",
            structs.replace(pack, request=structs.replace(request, fields=FIELDS[:1])),
            "invalid-proof",
        ),
        (
            "release-of-another-body",
            structs.replace(
                pack, release=structs.replace(release, admit=release.admit[:-1] + b"\x7f")
            ),
            "invalid-signature",
        ),
        (
            "payload-where-nothing-was-admitted",
            structs.replace(good["refused"], payload=payload),
            "invalid-proof",
        ),
        (
            "release-where-nothing-was-admitted",
            structs.replace(good["refused"], release=release),
            "invalid-proof",
        ),
        *_objections(good),
        ("exchange", structs.replace(pack, exchange=bytes(32)), "invalid-proof"),
        ("records-descend", structs.replace(pack, records=swapped), "invalid-proof"),
        ("records-none", structs.replace(pack, records=(), proof=()), "invalid-proof"),
        ("index-of-the-size", structs.replace(revoked, records=beyond), "invalid-proof"),
        ("state-missing", structs.replace(pack, states=pack.states[1:]), "invalid-proof"),
        ("proof-fewer", structs.replace(pack, proof=pack.proof[:-1]), "invalid-proof"),
        (
            "proof-changed",
            structs.replace(pack, proof=(bytes(32), *pack.proof[1:])),
            "invalid-proof",
        ),
        ("proof-more", structs.replace(pack, proof=(*pack.proof, bytes(32))), "invalid-proof"),
        ("record-without-proof", structs.replace(pack, records=pack.records[:-1]), "invalid-proof"),
        ("record-missing", with_records(own[:-1]), "invalid-proof"),
        ("record-of-another-consent", with_records(foreign), "malformed"),
        ("genesis-missing", with_records(own[1:]), "untrusted"),
        ("older-checkpoint", structs.replace(revoked, checkpoint=pack.checkpoint), "invalid-proof"),
    ]
    texts = structs.replace(request, purpose="e\u0301")
    found = [(name, _encoded(each), want) for name, each, want in forged]
    return [
        *found,
        ("consent-wider-than-its-terms", _encoded(_widened(town)), "invalid"),
        ("void-by-another", _encoded(_signed_by_another(town, ExchangeVoid)), "untrusted"),
        (
            "restriction-by-another",
            _encoded(_signed_by_another(town, ExchangeRestrict)),
            "untrusted",
        ),
        (
            "revocation-on-behalf-by-another",
            _encoded(_signed_by_another(town, ConsentRevokeOnBehalf)),
            "untrusted",
        ),
        ("narrowing-by-another", _encoded(_signed_by_another(town, ConsentNarrow)), "untrusted"),
        ("stay-by-another", _encoded(_signed_by_another(town, ConsentStay)), "untrusted"),
        ("processor-that-is-not-named", _encoded(_by_another_processor(town)), "invalid-proof"),
        ("narrowing-that-widens", _encoded(_widened_by_narrowing(town)), "invalid-proof"),
        ("release-by-another", _encoded(_signed_by_another(town, ExchangeRelease)), "untrusted"),
        ("decline-by-another", _encoded(_signed_by_another(town, ExchangeDecline)), "untrusted"),
        ("correction-by-another", _encoded(_signed_by_another(town, ExchangeCorrect)), "untrusted"),
        ("forgetting-by-another", _encoded(_signed_by_another(town, ExchangeForget)), "untrusted"),
        ("dispute-by-another", _encoded(_signed_by_another(town, DisputeOpen)), "untrusted"),
        ("ruling-by-another", _encoded(_signed_by_another(town, DisputeRule)), "untrusted"),
        (
            "explanation-by-another",
            _encoded(_signed_by_another(town, DecisionExplain)),
            "untrusted",
        ),
        ("contest-by-another", _encoded(_signed_by_another(town, DecisionContest)), "untrusted"),
        ("review-by-another", _encoded(_signed_by_another(town, DecisionReview)), "untrusted"),
        ("erasure-by-another", _encoded(_signed_by_another(town, ExchangeErase)), "untrusted"),
        ("revocation-by-another", _encoded(_signed_by_another(town, ConsentRevoke)), "untrusted"),
        (
            "processor-dropped-before-the-admit",
            _encoded(_dropped_before_the_admit(town)),
            "invalid-proof",
        ),
        *misstated(town),
        ("processor-by-narrowing", _encoded(_named_by_narrowing(town)), "invalid-proof"),
        ("text-not-in-normal-form-c", _encoded(structs.replace(pack, request=texts)), "malformed"),
        ("goes-on", data + b"\0", "malformed"),
        ("cut-off", data[:-1], "malformed"),
        ("version", b"\x9b\x02" + data[2:], "malformed"),
        ("array-not-shortest", b"\xdc\0\x0b" + data[1:], "malformed"),
    ]
