"""A draft that is refused, or never submitted, takes nothing from what the ledger commits to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ledgercore import RefusedError, records
from ledgercore._core import hash_domain
from ledgercore.demo.parties import BANK, REGULATOR, TAX
from ledgercore.errors import InvalidError, InvalidProof, UnavailableError, UntrustedError
from ledgercore.exchange import (
    Accepted,
    Draft,
    build_pack,
    read_statement,
    resume,
    show_statement,
    sign,
    submit,
    verify_pack,
)
from ledgercore.exchange.messages import Proposal, encode_message
from ledgercore.exchange.statement import kept_statement, open_statement
from ledgercore.records import RecordBody
from ledgercore.rules import DecisionState, decision_object
from ledgercore.rules.view import decode_state
from tests.town import Town

AGENT = "enterprises"


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    yield town
    town.parties.close()


class Scene:
    """A consent with an acknowledged exchange, and a decision that was contested."""

    def __init__(self, town: Town) -> None:
        consumer = town.parties.consumer
        self.proposal: Proposal = town.consent()
        self.intent, request = town.intend(self.proposal)
        consumer.open(*town.deliver(self.intent, request))
        town.accept([consumer.acknowledge(self.intent)])
        draft = consumer.decide([self.intent], "declined", b"model", ["R_ARREARS"])
        (place,) = town.accept([draft])
        self.decision = place.id


def contest(town: Town, scene: Scene, text: str) -> Draft:
    return town.subject.contest(scene.proposal, scene.decision, text)


def review(town: Town, scene: Scene, text: str) -> Draft:
    """Of the contest that waits, or of one that there is not."""
    seen = "approved", text, "as a person sees it"
    value = town.parties.ledger.state(decision_object(scene.decision))
    assert value is not None
    waits = any(not each.review for each in decode_state(value, DecisionState).contests)
    named = None if waits else bytes(32)
    return town.parties.consumer.review(scene.decision, *seen, contest=named)


def stay(town: Town, scene: Scene, text: str) -> Draft:
    return town.authority().stay(scene.proposal.consent, "court-order", text)


def revoke(town: Town, scene: Scene, text: str) -> Draft:
    return town.parties.provider.revoke_on_behalf(scene.proposal.consent, text.encode())


def dispute(town: Town, scene: Scene, text: str) -> Draft:
    return town.parties.consumer.disputes.open(scene.intent, "E_PURPOSE", text)


def show(town: Town, scene: Scene, text: str) -> Draft:
    return town.parties.consumer.disputes.show(scene.intent, text.encode())


def rule(town: Town, scene: Scene, text: str) -> Draft:
    return town.authority().rule(scene.intent, "dismissed", text)


Make = Callable[[Town, Scene, str], Draft]

STATEMENTS: tuple[tuple[Make, tuple[Make, ...], str, str, str], ...] = (
    (contest, (), "grounds_commitment", AGENT, "contest/{decision}"),
    (review, (contest,), "reviewer_commitment", BANK, "review/{decision}"),
    (stay, (), "order_commitment", REGULATOR, "stay/{consent}"),
    (revoke, (), "evidence_commitment", TAX, "revocation/{consent}"),
    (dispute, (), "statement_commitment", BANK, "dispute/{exchange}/{key}/statement"),
    (show, (dispute,), "evidence_commitment", BANK, "dispute/{exchange}/{key}/evidence"),
    (rule, (dispute,), "reasons_commitment", REGULATOR, "dispute/{exchange}/reasons"),
)


def folder_of(town: Town, scene: Scene, folder: str) -> str:
    return folder.format(
        decision=scene.decision.hex(),
        consent=scene.proposal.consent.hex(),
        exchange=scene.intent.hex(),
        key=town.parties.consumer._key.public_key.hex(),
    )


def newest(town: Town, kind: str) -> RecordBody:
    """The body of the ledger's newest record of a kind."""
    found = [record for record in town.parties.ledger if record.kind == kind]
    return records.decode(kind, found[-1].body)


@pytest.mark.parametrize(
    ("make", "before", "field", "vault", "folder"),
    STATEMENTS,
    ids=lambda each: getattr(each, "__name__", ""),
)
@pytest.mark.parametrize("end", ["refused", "not submitted", "resumed"])
def test_the_statement_that_the_ledger_commits_to_can_be_opened(
    town: Town, make: Make, before: tuple[Make, ...], field: str, vault: str, folder: str, end: str
) -> None:
    """Whatever else is drafted: a second one, or after a crash the same one again."""
    scene, ledger = Scene(town), town.parties.ledger
    for each in before:
        town.accept([each(town, scene, "before")])
    draft = make(town, scene, "what was said")
    sign(ledger, [draft])  # kept to be submitted: a crash comes here, or none does
    if end == "resumed":
        make(town, scene, "again")
        assert len(resume(ledger, [draft.key])) == 1
    else:
        town.accept([draft])
        second = make(town, scene, "another")
        if end == "refused" and make is not show:  # which may be said again
            (outcome,) = submit(ledger, [second])
            assert isinstance(outcome, RefusedError)

    commitment = getattr(newest(town, draft.body.KIND), field)
    kept = kept_statement(town.parties.vaults[vault], folder_of(town, scene, folder), commitment)
    assert open_statement(kept, commitment, ledger.suite) == b"what was said"
    (record,) = [each.id for each in ledger if each.body == records.encode(draft.body)]
    assert show_statement(ledger, town.parties.vaults[vault], record) == kept
    assert read_statement(ledger, record, kept) == b"what was said"
    for other in (kept[:-1], kept + b"!", bytes(32)):
        with pytest.raises(InvalidProof, match="statement is not the one that the record commits"):
            read_statement(ledger, record, other)


def test_a_record_without_a_statement_shows_none(town: Town) -> None:
    scene, ledger, vault = Scene(town), town.parties.ledger, town.parties.vaults[BANK]

    for record, code in ((scene.intent, "E_KIND"), (bytes(32), "E_UNKNOWN")):
        with pytest.raises(RefusedError, match=code):
            show_statement(ledger, vault, record)
        with pytest.raises(RefusedError, match=code):
            read_statement(ledger, record, bytes(40))
    with pytest.raises(UntrustedError, match=r"no statement behind .* is kept in explanation/"):
        show_statement(ledger, town.parties.vaults[TAX], scene.decision)
    shown = show_statement(ledger, vault, scene.decision)
    assert shown == town.parties.consumer.explanation(scene.decision)


def test_what_a_restarted_program_resumes_is_counted_once(town: Town) -> None:
    """It has no drafts: what it left is in the vaults, of each party under its signer."""
    scene, parties, ledger = Scene(town), town.parties, town.parties.ledger
    consumer = parties.consumer
    draft = consumer.decide([scene.intent], "approved", b"model", [], amount=100)
    said = contest(town, scene, "look again")
    withdrawn = parties.provider.withdraw(town.mapping.offer.product)
    drafts = [draft, said, withdrawn, stay(town, scene, "an order")]
    sign(ledger, drafts)

    signers = [consumer.signer, *town.subject.signers(), parties.provider.signer]
    answers = resume(ledger, [*signers, town.authority().signer])

    kinds = [ledger.record(each.index).kind for each in answers if isinstance(each, Accepted)]
    assert sorted(kinds) == sorted(draft.body.KIND for draft in drafts)
    total = consumer.report_totals(0, ledger.size)
    assert (total.count, total.amount) == (1, 100)
    assert resume(ledger, signers) == []


def test_what_is_decided_again_without_resuming_is_another_decision(town: Town) -> None:
    """The control: submit brings the one that was left to its end, and orders the other, too."""
    scene, ledger, consumer = Scene(town), town.parties.ledger, town.parties.consumer
    sign(ledger, [consumer.decide([scene.intent], "approved", b"model", [], amount=100)])

    town.accept([consumer.decide([scene.intent], "approved", b"model", [], amount=100)])

    total = consumer.report_totals(0, ledger.size)
    assert (total.count, total.amount) == (2, 200)


def test_the_correction_and_the_release_on_the_ledger_stay_beside_later_drafts(town: Town) -> None:
    provider, ledger, vault = town.parties.provider, town.parties.ledger, town.parties.vaults[TAX]
    intent, request = town.intend(town.consent())
    (admit,) = town.accept(provider.answer([(intent, request)]))
    release = provider.release(intent, admit)
    confirmed = provider.confirm_release(release)
    ledger.append(b"another head, and so another receipt")
    provider.confirm_release(provider.release(intent, admit))
    town.accept([confirmed])
    town.parties.consumer.open(provider.delivery(intent), release)
    town.accept([town.parties.consumer.acknowledge(intent)])
    product = town.mapping.offer.product
    draft, correction = provider.correct(intent, product, {"cr.grade": "D"})
    town.accept([draft])
    provider.correct(intent, product, {"cr.grade": "C"})

    at = f"exchange/{intent.hex()}"
    sent = newest(town, "exchange.release").release_commitment
    assert vault.load(f"{at}/sealed/sent/{sent.hex()}") == encode_message(release)
    said = hash_domain(ledger.suite, "commitment", encode_message(correction))
    assert said == newest(town, "exchange.correct").correction_commitment
    assert vault.load(f"{at}/correction/{said.hex()}") == encode_message(correction)
    assert len(vault.names(f"{at}/correction/")) == len(vault.names(f"{at}/sealed/sent/")) == 2
    town.accept(provider.erase([intent], "acknowledged"))
    assert vault.names(f"{at}/") == []


def test_the_objection_on_the_ledger_is_the_packs_though_another_was_drafted(town: Town) -> None:
    consumer, ledger, vault = town.parties.consumer, town.parties.ledger, town.parties.vaults[BANK]
    intent, request = town.intend(town.consent())
    consumer.open(*town.deliver(intent, request))
    error = RefusedError("E_SCOPE", "grade of another firm")
    town.accept([consumer.decline(intent, error, fields=("cr.grade",))])

    (outcome,) = submit(ledger, [consumer.decline(intent, InvalidError("cannot be opened"))])

    assert isinstance(outcome, RefusedError)
    pack = build_pack(ledger, vault, intent)
    claims = {claim.name: claim for claim in verify_pack(pack, ledger.trust_anchor)}
    assert "committed to cr.grade, as shown" in claims["objection"].statement
    town.accept(consumer.erase([intent], "declined"))
    assert vault.names(f"exchange/{intent.hex()}/objection/") == []
    assert consumer.certify_erasure([intent])


def test_drafts_that_were_ordered_unseen_are_the_same_records_again(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(town)
    consumer, ledger = town.parties.consumer, town.parties.ledger
    drafts = [
        consumer.decide([scene.intent], "approved", b"model", ["R_ARREARS"], amount=amount)
        for amount in (100, 20)
    ]
    submit_many, size = ledger.submit_many, ledger.size

    def lost(records: list[bytes]) -> list[object]:
        submit_many(records)
        raise UnavailableError("answer was lost")

    monkeypatch.setattr(ledger, "submit_many", lost)
    with pytest.raises(UnavailableError):
        submit(ledger, drafts)
    monkeypatch.undo()
    assert resume(ledger, [consumer.signer]) == []
    again = submit(ledger, drafts)
    assert again == submit(ledger, drafts) and ledger.size == size + 2
    report = consumer.report_totals(0, ledger.size)
    assert (report.amount, report.count) == (120, 2)
    # An equal draft that is made anew is another record.
    town.accept([Draft(*drafts[0])])
    assert ledger.size == size + 3
