"""Make packs whose agreement was suspended or retired, and forge some: vectors of packs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import msgspec
from msgspec import structs

from ledgercore.exchange import build_pack
from ledgercore.exchange.pack import Pack
from ledgercore.exchange.submission import Draft
from ledgercore.records import AgreementFinalize, AgreementResume, AgreementVerify
from ledgercore.rules import AgreementState, agreement, consent, exchange
from ledgercore.rules.table import Case
from tests.town import Town

Forged = tuple[str, bytes, str]


def agreements(directory: Path, suite: str) -> tuple[dict[str, Pack], list[Forged]]:
    """Packs of a network like that of the others, and those that no verifier accepts."""
    directory.mkdir()
    town = Town(directory, suite)
    try:
        good = _good(town)
        return good, _bad(town, good["agreement-resumed"])
    finally:
        town.parties.close()


def _good(town: Town) -> dict[str, Pack]:
    """Stopped by a suspension, admitted after it, and under an agreement that is retired now."""
    bank, authority = town.parties.consumer.agreements, town.parties.provider.agreements
    proposal = town.consent(max_uses=2)
    stopped, _ = town.intend(proposal)
    town.accept([authority.suspend(town.agreement, "INCIDENT")])
    suspended = _packed(town, stopped)
    town.accept([authority.resume(town.agreement)])
    resumed = _delivered(town, proposal.consent)
    first = town.agreement
    town.agreement = _agree(town)
    town.accept([bank.retire(first, "RENEWED")])
    return {
        "agreement-suspended": suspended,
        "agreement-resumed": resumed,
        "agreement-retired": _packed(town, stopped),
    }


def _bad(town: Town, pack: Pack) -> list[Forged]:
    ledger = town.parties.ledger
    named = [msgspec.msgpack.decode(state)[0] for state in pack.states]
    stateless = tuple(
        state
        for state, name in zip(pack.states, named, strict=True)
        if not name.startswith(b"agreement/")
    )
    finalized = next(
        index for index, data in pack.records if ledger.record(index).kind == "agreement.finalize"
    )
    newest = _packed(town, pack.exchange)
    rest = tuple(each for each in newest.records if each[0] != finalized)
    missing = structs.replace(
        newest, records=rest, proof=tuple(ledger.prove_records([index for index, _ in rest]))
    )
    other = _foreign(town, newest)
    foreign = sorted([*newest.records, other])
    taken = structs.replace(
        newest,
        records=tuple(foreign),
        proof=tuple(ledger.prove_records([index for index, _ in foreign])),
    )
    forged: list[tuple[str, Pack, str]] = [
        ("agreement-without-its-state", structs.replace(pack, states=stateless), "invalid-proof"),
        ("agreement-record-missing", missing, "invalid-proof"),
        ("agreement-of-another-consent", taken, "malformed"),
        ("agreement-needed-and-not-named", _unnamed(town), "invalid-proof"),
        ("agreement-beyond-its-end", _beyond(town), "invalid-proof"),
        ("agreement-finalized-by-another", _finalized_by_another(town), "untrusted"),
        ("agreement-finalized-after-its-end", _finalized_at(town, 10**15), "invalid-proof"),
        ("agreement-finalized-after-the-admit", _finalized_at(town, 1), "invalid-proof"),
        ("agreement-not-negotiated", _skipped(town), "invalid-proof"),
        ("admitted-while-suspended", _while_suspended(town), "invalid-proof"),
        ("agreement-resumed-by-another", _resumed_by_another(town), "untrusted"),
    ]
    return [(name, msgspec.msgpack.encode(each), want) for name, each, want in forged]


def _packed(town: Town, intent: bytes) -> Pack:
    data = build_pack(town.parties.ledger, town.parties.vaults["bank"], intent)
    return msgspec.msgpack.decode(data, type=Pack)


def _delivered(town: Town, consent_id: bytes) -> Pack:
    consumer = town.parties.consumer
    request = consumer.request(consent_id, ["cr.grade"], "credit.assess")
    (place,) = town.accept(consumer.intend([request]))
    consumer.open(*town.deliver(place.id, request))
    return _packed(town, place.id)


def _drafts(town: Town) -> tuple[bytes, list[Draft]]:
    """A negotiation without an offer, whose steps the parties would take in turn."""
    bank, authority = town.parties.consumer.agreements, town.parties.provider.agreements
    offer, end_ms = town.mapping.offer, town.clock.now_ms() + 10**11
    contract = bank.draw_up("bank", offer.product, (offer.purpose,), "as before", end_ms)
    town.accept([bank.request(contract)])
    named = contract.agreement
    return named, [
        authority.agree(contract),
        Draft(bank.key, AgreementVerify(named)),
        authority.finalize(named),
    ]


def _agree(town: Town) -> bytes:
    named, steps = _drafts(town)
    for step in steps:
        town.accept([step])
    return named


def _foreign(town: Town, pack: Pack) -> tuple[int, bytes]:
    """A record of another agreement."""
    ledger, present = town.parties.ledger, {index for index, _ in pack.records}
    index = next(
        index
        for index in range(1, ledger.size)
        if ledger.record(index).kind == "agreement.verify" and index not in present
    )
    return index, ledger.record(index).encode()


@contextmanager
def _lax(*names: str) -> Iterator[None]:
    """An operator whose ledger leaves some checks out."""
    passing = dict.fromkeys(names, lambda case: None)
    with (
        mock.patch.dict(agreement.FAMILY.checks, passing),
        mock.patch.dict(consent.FAMILY.checks, passing),
        mock.patch.dict(exchange.FAMILY.checks, passing),
    ):
        yield


def _unnamed(town: Town) -> Pack:
    with _lax("agreement_is_named"):
        proposal = town.authorise(town.ask(town.terms(), agreement=None))
    return _delivered(town, proposal.consent)


def _beyond(town: Town) -> Pack:
    with _lax("agreement_is_in_force"), town.unheld():
        late = town.clock.now_ms() + 10**12
        proposal = town.authorise(town.ask(town.terms(expires_ms=late)))
    return _delivered(town, proposal.consent)


def _finalized_by_another(town: Town) -> Pack:
    named, (agree, verify, _) = _drafts(town)
    town.accept([agree])
    town.accept([verify])
    with mock.patch("ledgercore.rules.engine._check_signer", lambda *case: "bank"):
        town.accept([Draft(town.parties.consumer._key, AgreementFinalize(named))])
    return _under(town, named)


def _finalized_at(town: Town, later_ms: int) -> Pack:
    """Of a ledger whose state says that the agreement was finalized later than it was."""

    def finalize(case: Case[AgreementFinalize, AgreementState]) -> AgreementState:
        return structs.replace(case.state, finalized_ms=case.position.time_ms + later_ms)

    with mock.patch.dict(agreement.FAMILY.effects, {AgreementFinalize.KIND: finalize}):
        named = _agree(town)
    return _under(town, named)


def _skipped(town: Town) -> Pack:
    """Of a ledger that lets a provider put in force what nobody verified."""
    named, (agree, _, finalize) = _drafts(town)
    town.accept([agree])
    with mock.patch("ledgercore.rules.engine._check_status", lambda *case: None):
        town.accept([finalize])
    return _under(town, named)


def _while_suspended(town: Town) -> Pack:
    named = _agree(town)
    proposal = town.authorise(town.ask(town.terms(), agreement=named))
    town.accept([town.parties.provider.agreements.suspend(named, "INCIDENT")])
    with _lax("agreement_is_in_force"):
        return _delivered(town, proposal.consent)


def _resumed_by_another(town: Town) -> Pack:
    named = _agree(town)
    town.accept([town.parties.provider.agreements.suspend(named, "INCIDENT")])
    resume = Draft(town.parties.consumer._key, AgreementResume(named))
    with _lax("signer_suspended_it"):
        town.accept([resume])
    return _under(town, named)


def _under(town: Town, named: bytes) -> Pack:
    """Of an exchange under this agreement."""
    proposal = town.authorise(town.ask(town.terms(), agreement=named))
    return _delivered(town, proposal.consent)
