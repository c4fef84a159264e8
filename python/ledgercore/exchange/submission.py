"""Sign bodies as records in their signers' chains, and submit them.

Every sequence is reserved in its signer's vault before it is signed, so that no crash and no
restored vault makes a party sign two records with one (``ledgercore.exchange.signer``).

A refused record does not count in its signer's chain, so the signer's later ones, which were
signed as following it, are refused with it. They are signed again and resubmitted; nothing is
lost, and each signer's own order stays. They then stand after what others had submitted behind
them, so that a record which builds on another signer's belongs in a later call.

What an accepted record says is gone is destroyed before its call returns
(``ledgercore.exchange.content``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from ledgercore import records
from ledgercore._core import Record
from ledgercore.arguments import check_argument, check_count, described, typed
from ledgercore.errors import RefusedError
from ledgercore.exchange.content import PROMISES, destroy_promised
from ledgercore.exchange.owed import read_back, settle
from ledgercore.exchange.signer import (
    LIFETIME_MS,
    Content,
    RecordSigner,
    outstanding,
    release,
    reserve,
)
from ledgercore.ledger import Ledger
from ledgercore.records import RecordBody
from ledgercore.vault import Vault

__all__ = ["Accepted", "Draft", "Submitted", "resume", "sign", "submit", "submit_one"]


class Draft(NamedTuple):
    """A body, and the signer that is to sign it."""

    key: RecordSigner
    body: RecordBody


@dataclass(frozen=True)
class Accepted:
    """Where a record stands."""

    id: bytes
    index: int


Submitted = Accepted | RefusedError

_Signed = tuple[RecordSigner, Record]
T = TypeVar("T")


@typed
def submit(
    ledger: Ledger, drafts: Sequence[Draft], *, lifetime_ms: int = LIFETIME_MS
) -> list[Submitted]:
    """Sign and order the drafts; each one's place, or why it was refused. Durable on return.

    What an earlier call kept and did not bring to its end, because of a crash, is submitted first.
    The drafts of a signer's last call are the same records again, whether that call came to its end
    or not, and whether they were ordered or not: so it is safe to submit them again. A restarted
    program has no drafts: it calls ``resume`` first.

    What an accepted one says is gone is gone on return. Where the vault cannot destroy it now its
    error is raised at once, and ``resume`` destroys it: the accepted ones are ordered by then, and
    those that followed a refused one are not signed again. Raises ``RefusedError``, with nothing
    signed, for a time-out of what was opened since it was drafted, and a void of what was released.

    No record is ordered later than ``lifetime_ms`` after it was reserved, which is before it is
    signed, by the ledger's time and within its tolerance, but a revocation, which is signed without
    an end: whoever kept one that was refused could hand it in again until its signer has signed
    another. 0 sets no end; give more records than a token signs in that time a longer one. Drafts
    that an earlier call signed, and that have expired since, are signed anew; what else it kept and
    has expired is forgotten, of which ``resume`` alone tells.
    """
    check_count("lifetime_ms", lifetime_ms)
    answers: dict[int, Submitted] = {}
    made: dict[int, _Signed] = {}
    renewed: set[int] = set()
    waiting = list(range(len(drafts)))
    while waiting:
        signed = _sign(ledger, [drafts[at] for at in waiting], lifetime_ms)
        made.update(zip(waiting, signed, strict=True))
        _remember(drafts, made)
        results = ledger.submit_many([record.encode() for _, record in signed])
        refused: dict[bytes, _Signed] = {}
        promising: dict[bytes, RecordSigner] = {}
        again = []
        for at, (signer, record), result in zip(waiting, signed, results, strict=True):
            if record.key in refused:
                again.append(at)
            elif isinstance(result, RefusedError):
                refused[record.key] = signer, record
                if at not in renewed and _has_expired(ledger, record, result):
                    renewed.add(at)
                    again.append(at)
                else:
                    answers[at] = result
            else:
                answers[at] = Accepted(record.id, result)
                if record.kind in PROMISES:
                    promising[record.key] = signer
        _finish(ledger, promising.values(), refused.values())
        waiting = again
    return [answers[at] for at in range(len(drafts))]


def _has_expired(ledger: Ledger, record: Record, refusal: RefusedError) -> bool:
    """Whether a record was signed so long ago that this is why it was refused."""
    return refusal.code == "E_CLOCK" and 0 < record.expiry_ms <= ledger.now_ms


@typed
def submit_one(ledger: Ledger, draft: Draft, *, lifetime_ms: int = LIFETIME_MS) -> Accepted:
    """Sign and order one draft, durable on return; raises the ``RefusedError`` of a rule."""
    (answer,) = submit(ledger, [draft], lifetime_ms=lifetime_ms)
    if isinstance(answer, RefusedError):
        raise answer
    return answer


@typed
def resume(ledger: Ledger, signers: Iterable[RecordSigner]) -> list[Submitted]:
    """Submit again what the signers had reserved, and what the ledger has not ordered.

    And destroy what ordered records of theirs say is gone, where a crash came before that, or the
    vault is of before.

    Call it first after a restart, or after a vault was restored: with ``party.signer`` of a member
    and ``subject.signers()``, and then with the signers of former keys of that time, too. A record
    that is made again is another one, with salts of its own, and would be ordered beside the first.
    What had been ordered before is not in the answer; what has expired meanwhile is refused with
    ``E_CLOCK``, and never ordered: it can be made again.
    """
    signers = list(signers)
    check_argument("signers", Sequence[RecordSigner], signers)
    left = [(signer, record) for signer in signers for record in outstanding(ledger, signer)]
    results = ledger.submit_many([record.encode() for _, record in left])
    answers: list[Submitted] = []
    refused: dict[bytes, _Signed] = {}
    for (signer, record), result in zip(left, results, strict=True):
        if isinstance(result, RefusedError):
            refused.setdefault(record.key, (signer, record))
            answers.append(result)
        else:
            answers.append(Accepted(record.id, result))
    _finish(ledger, signers, refused.values())
    return answers


@typed
def sign(
    ledger: Ledger, drafts: Sequence[Draft], *, lifetime_ms: int = LIFETIME_MS
) -> list[Record]:
    """The records that ``submit`` orders of the same drafts, each kept before it is signed.

    They expire as those of ``submit`` do: what is handed in later is given a longer
    ``lifetime_ms``. So a revocation, which never expires, can be promised before it is submitted:
    ``docs/spec/promise.md``. Whoever then submits records otherwise calls ``resume`` after it, for
    what they say is gone.
    """
    check_count("lifetime_ms", lifetime_ms)
    signed = _sign(ledger, drafts, lifetime_ms)
    _remember(drafts, dict(enumerate(signed)))
    return [record for _, record in signed]


def _sign(ledger: Ledger, drafts: Sequence[Draft], lifetime_ms: int) -> list[_Signed]:
    """The drafts as records, in their order, each in its signer's chain.

    Those that were ordered, and whoever submitted them was not told, are the same records again.
    """
    for signer, body in drafts:
        if not isinstance(signer, RecordSigner) or not isinstance(body, RecordBody):
            got = described((signer, body))
            raise TypeError(f"draft holds {got}, want (RecordSigner, RecordBody)")
    ordered = [draft.key.ordered(ledger, draft) for draft in drafts]
    signers: dict[bytes, RecordSigner] = {}
    contents: dict[bytes, list[Content]] = {}
    for (signer, body), known in zip(drafts, ordered, strict=True):
        if known is not None:
            continue
        name = signer.public_key
        signers.setdefault(name, signer)
        contents.setdefault(name, []).append((body.KIND, records.encode(body)))
    signed: dict[bytes, Iterator[Record]] = {}
    for vault, group in _by_vault((signer, name) for name, signer in signers.items()):
        asked = [(signer, contents[name]) for signer, name in group]
        while (reserved := reserve(ledger, vault, asked, lifetime_ms)) is None:
            resume(ledger, [signer for signer, _ in group])
        signed |= {name: iter(made) for name, made in reserved.items()}
    return [
        (signer, known or next(signed[signer.public_key]))
        for (signer, _), known in zip(drafts, ordered, strict=True)
    ]


def _remember(drafts: Sequence[Draft], signed: Mapping[int, _Signed]) -> None:
    """Have the signers know the drafts of a call again, by their positions."""
    last: dict[RecordSigner, list[tuple[Draft, Record]]] = {}
    for at, (signer, record) in signed.items():
        last.setdefault(signer, []).append((drafts[at], record))
    for signer, known in last.items():
        signer.remember(known)


def _finish(ledger: Ledger, signers: Iterable[RecordSigner], refused: Iterable[_Signed]) -> None:
    """Destroy what signers' ordered records say is gone, and then forget them and the refused."""
    owing = [(signer, read_back(ledger, signer)) for signer in signers]
    by_vault = _by_vault((signer, owed) for signer, owed in owing if owed is not None)
    for vault, group in by_vault:
        destroy_promised(ledger, vault, [each for _, owed in group for each in owed.promises])
    for vault, given_back in _by_vault(refused):
        release(ledger, vault, given_back)
    for vault, group in by_vault:
        settle(ledger, vault, [owed for _, owed in group])


def _by_vault(
    items: Iterable[tuple[RecordSigner, T]],
) -> list[tuple[Vault, list[tuple[RecordSigner, T]]]]:
    """What belongs to the signers of each vault, which is written once for all of them."""
    groups: dict[int, tuple[Vault, list[tuple[RecordSigner, T]]]] = {}
    for signer, item in items:
        groups.setdefault(id(signer.vault), (signer.vault, []))[1].append((signer, item))
    return list(groups.values())
