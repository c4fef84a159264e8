"""Take the anchors of former ledgers, each by whichever member says that it has verified one.

The rules see neither the former ledger nor whom it trusted: they hold an anchor to its form, and
count it where it is ordered. Whoever has a record of the former ledger is shown the rest.
"""

from __future__ import annotations

from ledgercore._core import Checkpoint, VerifiedRecord
from ledgercore.errors import LedgerError
from ledgercore.records import RenewalAnchor
from ledgercore.rules.state import NEW, RenewalState, renewal_object
from ledgercore.rules.table import Case, Family, Row, SignedBy, check_names, stored_status

__all__ = ["FAMILY"]

AnchorCase = Case[RenewalAnchor, None]


def name_of(record: VerifiedRecord, body: RenewalAnchor) -> bytes:
    return renewal_object(record.id)


def network_is_another(case: AnchorCase) -> None:
    """former_network is not this network, else E_NET"""
    if case.body.former_network == case.record.network:
        case.refuse("E_NET", "former network is this one, want another")


def checkpoint_is_of_size(case: AnchorCase) -> None:
    """former_checkpoint is a checkpoint of former_size records, one at least, else E_CANON"""
    want = case.body.former_size
    try:
        size = Checkpoint.parse(case.body.former_checkpoint.decode()).size
    except (LedgerError, UnicodeDecodeError) as error:
        case.refuse("E_CANON", f"former_checkpoint: {error}")
    if size != want or size == 0:
        case.refuse(
            "E_CANON", f"former_checkpoint is of size {size}, want {want}, and one at least"
        )


def anchor(case: AnchorCase) -> RenewalState:
    body = case.body
    return RenewalState(
        *NEW,
        member=case.member,
        former_network=body.former_network,
        former_suite=body.former_suite,
        former_size=body.former_size,
        root=body.root,
    )


FAMILY = Family(
    name="renewal",
    state_type=RenewalState,
    name_of=name_of,
    status_at=stored_status,
    status_code="E_EXISTS",
    rows=(
        Row(
            RenewalAnchor.KIND,
            (),
            SignedBy.MEMBER,
            "ANCHORED",
            ("network_is_another", "checkpoint_is_of_size"),
        ),
    ),
    checks=check_names((network_is_another, checkpoint_is_of_size)),
    effects={RenewalAnchor.KIND: anchor},
)
