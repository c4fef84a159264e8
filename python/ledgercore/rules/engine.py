"""Apply one record to a view, or refuse it and leave the view as it was.

Checks run in one order, so that a record is refused with the same code everywhere: network and
suite, kind, body, window, signer's chain, object, signer's role, object's status, the row's checks
by name. Nothing here reads a clock: time is the block's.
"""

from __future__ import annotations

from msgspec import structs

from ledgercore._core import Batch, VerifiedBatch, VerifiedRecord
from ledgercore.errors import LimitError, MalformedError
from ledgercore.records import (
    DATA,
    ConsentRevoke,
    ConsentRevokeOnBehalf,
    Genesis,
    RecordBody,
)
from ledgercore.records import decode as decode_body
from ledgercore.rules import (
    agreement,
    audit,
    authorisation,
    consent,
    decision,
    dispute,
    exchange,
    governance,
    member,
    product,
    proposal,
    renewal,
    schema,
)
from ledgercore.rules.codes import COMPARE_CLOCKS, KEEP_WITHIN, refuse
from ledgercore.rules.governance import check_member, check_role, follow_signer
from ledgercore.rules.state import (
    NETWORK,
    BusinessState,
    ConsentState,
    KeyState,
    NetworkState,
    SignerState,
    key_object,
    signer_object,
)
from ledgercore.rules.table import UNMADE, Case, Family, Position, Row, SignedBy
from ledgercore.rules.view import View

__all__ = [
    "FAMILIES",
    "WINDOW_TOLERANCE_MS",
    "WITHOUT_WINDOW",
    "apply",
    "apply_plain",
    "next_position",
]

WINDOW_TOLERANCE_MS = 120_000
"""How far a signer's clock and the block's time may differ."""

FAMILIES = (
    proposal.FAMILY,
    member.FAMILY,
    authorisation.FAMILY,
    schema.FAMILY,
    product.FAMILY,
    agreement.FAMILY,
    consent.FAMILY,
    exchange.FAMILY,
    dispute.FAMILY,
    decision.FAMILY,
    *audit.FAMILIES,
    renewal.FAMILY,
)

WITHOUT_WINDOW = (ConsentRevoke.KIND, ConsentRevokeOnBehalf.KIND)
"""Kinds whose window is not read: a revocation is never refused for its time."""

_PARTIES: dict[str, tuple[str, ...]] = {
    SignedBy.PROVIDER: ("provider",),
    SignedBy.CONSUMER: ("consumer",),
    SignedBy.RECIPIENT: ("consumer", "processor"),
}
"""Whom a state names as parties, in fields that are called like the roles that they need."""

_ROWS = {row.kind: (family, row) for family in FAMILIES for row in family.rows}


def apply(view: View, record: VerifiedRecord, position: Position) -> None:
    """Apply the record, or raise RefusedError with the view unchanged."""
    network = view.get(NETWORK, NetworkState)
    if network is None:
        _apply_genesis(view, record, position)
        return
    if record.network != network.network:
        got, want = record.network.hex(), network.network.hex()
        refuse("E_NET", f"network is {got}, want {want}", record.id)
    if record.suite != network.suite:
        refuse("E_NET", f"suite is {record.suite}, want {network.suite}", record.id)
    if record.kind == DATA:
        # The short way: no body, no object, one change, so no fork to undo.
        check_window(record, position)
        name, signer = follow_signer(view, record)
        check_member(view, record)
        view.put(name, signer)
        return
    _apply_typed(view, record, position)


def apply_plain(view: View, batch: Batch | VerifiedBatch) -> bool:
    """Apply a whole batch of plain data records, signer by signer, as ``apply`` would each.

    False, with the view unchanged, where any record needs a look of its own or would be refused.
    """
    network = view.get(NETWORK, NetworkState)
    chains = batch.chains(network.network, network.suite) if network else None
    if chains is None:
        return False
    changed = []
    for key, begin, end, previous, last in chains:
        owner = view.get(key_object(key), KeyState)
        if owner is None or not owner.member or owner.status != "ACTIVE":
            return False
        name = signer_object(key)
        if _position(view.get(name, SignerState)) != (begin, previous):
            return False
        changed.append((name, SignerState(end, last)))
    for name, signer in changed:
        view.put(name, signer)
    return True


def next_position(view: View, key: bytes) -> tuple[int, bytes]:
    """The sequence and the previous id of the key's next record."""
    return _position(view.get(signer_object(key), SignerState))


def _position(signer: SignerState | None) -> tuple[int, bytes]:
    return (signer.sequence, signer.previous) if signer else governance.FIRST_POSITION


def check_window(record: VerifiedRecord, position: Position) -> None:
    """Refuse a record whose window, widened by the tolerance, does not hold the block's time."""
    begin_ms, end_ms, now_ms = record.not_before_ms, record.expiry_ms, position.time_ms
    if begin_ms and now_ms < begin_ms - WINDOW_TOLERANCE_MS:
        want = f"{begin_ms - WINDOW_TOLERANCE_MS} or more"
        why = f"{WINDOW_TOLERANCE_MS} ms before its not_before_ms {begin_ms}"
        message = f"block time is {now_ms}, want {want}, {why}"
        refuse("E_CLOCK", message, record.id, COMPARE_CLOCKS)
    if end_ms and now_ms >= end_ms + WINDOW_TOLERANCE_MS:
        want = f"less than {end_ms + WINDOW_TOLERANCE_MS}"
        why = f"{WINDOW_TOLERANCE_MS} ms after its expiry_ms {end_ms}"
        message = f"block time is {now_ms}, want {want}, {why}"
        refuse("E_CLOCK", message, record.id, COMPARE_CLOCKS)


def _apply_genesis(view: View, record: VerifiedRecord, position: Position) -> None:
    if record.kind != Genesis.KIND or position.index != 0:
        message = f"record {position.index} is {record.kind}, want genesis as record 0"
        refuse("E_KIND", message, record.id)
    body = _decode(record)
    assert isinstance(body, Genesis)
    check_window(record, position)
    name, signer = follow_signer(view, record)
    fork = view.fork()
    governance.apply_genesis(fork, record, body)
    fork.put(name, signer)
    fork.merge()


def _apply_typed(view: View, record: VerifiedRecord, position: Position) -> None:
    if record.kind not in _ROWS:
        refuse("E_KIND", f"kind is {record.kind}, want data or a kind of the tables", record.id)
    family, row = _ROWS[record.kind]
    body = _decode(record)
    if row.kind not in WITHOUT_WINDOW:
        check_window(record, position)
    signer_name, signer = follow_signer(view, record)
    name = family.name_of(record, body)
    state = view.get(name, family.state_type)
    if row.begin and UNMADE not in row.begin and state is None:
        refuse("E_UNKNOWN", f"{family.name} does not exist", record.id)
    consents = family.consents(view, body, state)
    signed_by = _check_signer(view, record, row, body, state, consents)
    _check_status(family, row, state, record, position)
    fork = view.fork()
    case = Case(fork, record, position, body, state, signed_by)
    for check in row.checks:
        family.checks[check](case)
    moved = family.effects[row.kind](case)
    case.touch(name, structs.replace(moved, status=row.end or moved.status))
    touches = fork.touches()
    # A history that has a record twice is damaged to whoever walks it: such a rule is wrong.
    assert len(set(touches)) == len(touches), f"{row.kind} touches an object twice"
    fork.put(signer_name, signer)
    fork.merge()


def _decode(record: VerifiedRecord) -> RecordBody:
    try:
        return decode_body(record.kind, record.body)
    except LimitError as error:
        refuse("E_LIMIT", str(error), record.id, KEEP_WITHIN)
    except MalformedError as error:
        refuse("E_CANON", str(error), record.id)


def _check_signer(
    view: View,
    record: VerifiedRecord,
    row: Row,
    body: RecordBody,
    state: BusinessState | None,
    consents: tuple[ConsentState, ...],
) -> str:
    """The member who signed, or nothing where a consent's own key did."""
    if row.signer in (SignedBy.CONSENT_KEY, SignedBy.PARTY):
        return _check_party(view, record, row, consents)
    if row.signer is SignedBy.MEMBER:
        return check_member(view, record)
    if row.signer is SignedBy.EITHER:
        signed_by = check_member(view, record)
        parties = tuple(getattr(state, side) for side in (SignedBy.PROVIDER, SignedBy.CONSUMER))
    elif row.signer is SignedBy.OWNER:
        signed_by, parties = check_member(view, record), (getattr(body, "member", ""),)
    else:
        roles = _PARTIES.get(row.signer, (row.signer,))
        signed_by = check_role(view, record, *roles)
        parties = (signed_by,)
        if row.signer in _PARTIES and state is not None and row.begin:
            parties = tuple(filter(None, (getattr(state, role) for role in roles)))
    if signed_by not in parties:
        message = f"{row.signer} is {' or '.join(parties)}, not {signed_by}"
        refuse("E_RECIPIENT", message, record.id)
    return signed_by


def _check_party(
    view: View, record: VerifiedRecord, row: Row, consents: tuple[ConsentState, ...]
) -> str:
    """The member who is a party of a consent, or nothing where the signer is a consent's key."""
    if not consents:
        refuse("E_UNKNOWN", "record names nothing that rests on a consent", record.id)
    if any(record.key == consent.consent_key for consent in consents):
        return ""
    if row.signer is SignedBy.CONSENT_KEY:
        refuse("E_ROLE", "signer is not the key of this consent", record.id)
    signed_by = check_member(view, record)
    parties = {party for consent in consents for party in (consent.provider, consent.consumer)}
    if signed_by not in parties:
        refuse("E_RECIPIENT", f"parties are {sorted(parties)}, not {signed_by}", record.id)
    return signed_by


def _check_status(
    family: Family,
    row: Row,
    state: BusinessState | None,
    record: VerifiedRecord,
    position: Position,
) -> None:
    if state is None:
        return
    if not row.begin:
        refuse("E_EXISTS", f"{family.name} exists", record.id)
    status = family.status_at(state, position.time_ms)
    if status not in row.begin:
        want = " or ".join(each for each in row.begin if each != UNMADE)
        message = f"{family.name} is {status}, want {want} for {row.kind}"
        refuse(family.status_code, message, record.id, family.status_remedies.get(status, ""))
