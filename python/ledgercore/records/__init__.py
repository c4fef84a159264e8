"""Encode and decode the typed bodies of records, one class a kind.

A body has one encoding: canonical MessagePack, checked on the way in and on the way out. Kind
``data`` has no class: its body is opaque bytes. Whether a record is allowed is for
``ledgercore.rules``.
"""

from __future__ import annotations

import msgspec

from ledgercore._core import check_canonical
from ledgercore.errors import LimitError, MalformedError
from ledgercore.records.agreement import (
    AgreementAccept,
    AgreementAgree,
    AgreementFinalize,
    AgreementOffer,
    AgreementRequest,
    AgreementResume,
    AgreementRetire,
    AgreementSuspend,
    AgreementTerminate,
    AgreementVerify,
)
from ledgercore.records.audit import (
    AuditAccept,
    AuditDisclose,
    AuditKey,
    AuditOpen,
    AuditOrder,
    AuditReport,
    ShareHolder,
)
from ledgercore.records.authorisation import AuthorisationGrant, AuthorisationRevoke
from ledgercore.records.base import LIMIT_ITEMS, RecordBody, encode_array
from ledgercore.records.consent import (
    ConsentAuthorise,
    ConsentLift,
    ConsentNarrow,
    ConsentReject,
    ConsentRequest,
    ConsentRevoke,
    ConsentRevokeOnBehalf,
    ConsentStay,
    endorsement_message,
)
from ledgercore.records.decision import (
    DecisionContest,
    DecisionExplain,
    DecisionRecord,
    DecisionReview,
)
from ledgercore.records.dispute import DisputeEvidence, DisputeOpen, DisputeRule
from ledgercore.records.exchange import (
    ExchangeAcknowledge,
    ExchangeAdmit,
    ExchangeCorrect,
    ExchangeDecline,
    ExchangeErase,
    ExchangeForget,
    ExchangeIntent,
    ExchangeRefuse,
    ExchangeRelease,
    ExchangeRestrict,
    ExchangeTimeOut,
    ExchangeUse,
    ExchangeVoid,
)
from ledgercore.records.governance import (
    Genesis,
    GovernanceApprove,
    GovernancePropose,
    GovernanceReport,
    KeyCompromise,
    KeyReplace,
    KeyRotate,
    Member,
    MemberAdmit,
    MemberReinstate,
    MemberRetire,
    MemberSuspend,
    Witness,
    key_message,
)
from ledgercore.records.product import ProductPublish, ProductWithdraw
from ledgercore.records.renewal import RenewalAnchor
from ledgercore.records.schema import Field, SchemaRegister, SchemaRetire
from ledgercore.wording import in_words

__all__ = [
    "BODIES",
    "DATA",
    "AgreementAccept",
    "AgreementAgree",
    "AgreementFinalize",
    "AgreementOffer",
    "AgreementRequest",
    "AgreementResume",
    "AgreementRetire",
    "AgreementSuspend",
    "AgreementTerminate",
    "AgreementVerify",
    "AuditAccept",
    "AuditDisclose",
    "AuditKey",
    "AuditOpen",
    "AuditOrder",
    "AuditReport",
    "AuthorisationGrant",
    "AuthorisationRevoke",
    "ConsentAuthorise",
    "ConsentLift",
    "ConsentNarrow",
    "ConsentReject",
    "ConsentRequest",
    "ConsentRevoke",
    "ConsentRevokeOnBehalf",
    "ConsentStay",
    "DecisionContest",
    "DecisionExplain",
    "DecisionRecord",
    "DecisionReview",
    "DisputeEvidence",
    "DisputeOpen",
    "DisputeRule",
    "ExchangeAcknowledge",
    "ExchangeAdmit",
    "ExchangeCorrect",
    "ExchangeDecline",
    "ExchangeErase",
    "ExchangeForget",
    "ExchangeIntent",
    "ExchangeRefuse",
    "ExchangeRelease",
    "ExchangeRestrict",
    "ExchangeTimeOut",
    "ExchangeUse",
    "ExchangeVoid",
    "Field",
    "Genesis",
    "GovernanceApprove",
    "GovernancePropose",
    "GovernanceReport",
    "KeyCompromise",
    "KeyReplace",
    "KeyRotate",
    "Member",
    "MemberAdmit",
    "MemberReinstate",
    "MemberRetire",
    "MemberSuspend",
    "ProductPublish",
    "ProductWithdraw",
    "RecordBody",
    "RenewalAnchor",
    "SchemaRegister",
    "SchemaRetire",
    "ShareHolder",
    "Witness",
    "decode",
    "encode",
    "endorsement_message",
    "key_message",
]

DATA = "data"
"""The kind whose body is opaque bytes."""

BODIES: dict[str, type[RecordBody]] = {
    body.KIND: body
    for body in (
        Genesis,
        GovernancePropose,
        GovernanceReport,
        GovernanceApprove,
        MemberAdmit,
        MemberSuspend,
        MemberReinstate,
        MemberRetire,
        KeyRotate,
        KeyCompromise,
        KeyReplace,
        AuthorisationGrant,
        AuthorisationRevoke,
        SchemaRegister,
        SchemaRetire,
        ProductPublish,
        ProductWithdraw,
        AgreementRequest,
        AgreementOffer,
        AgreementAccept,
        AgreementAgree,
        AgreementVerify,
        AgreementFinalize,
        AgreementTerminate,
        AgreementSuspend,
        AgreementResume,
        AgreementRetire,
        ConsentRequest,
        ConsentAuthorise,
        ConsentReject,
        ConsentNarrow,
        ConsentStay,
        ConsentLift,
        ConsentRevoke,
        ConsentRevokeOnBehalf,
        ExchangeIntent,
        ExchangeAdmit,
        ExchangeRefuse,
        ExchangeRelease,
        ExchangeVoid,
        ExchangeTimeOut,
        ExchangeAcknowledge,
        ExchangeDecline,
        ExchangeUse,
        ExchangeRestrict,
        ExchangeErase,
        ExchangeForget,
        ExchangeCorrect,
        DisputeOpen,
        DisputeEvidence,
        DisputeRule,
        DecisionRecord,
        DecisionExplain,
        DecisionContest,
        DecisionReview,
        AuditKey,
        AuditAccept,
        AuditOrder,
        AuditOpen,
        AuditDisclose,
        AuditReport,
        RenewalAnchor,
    )
}
"""Every kind with a typed body."""

_DECODERS = {kind: msgspec.msgpack.Decoder(body) for kind, body in BODIES.items()}
_ENCODER = msgspec.msgpack.Encoder()


def encode(body: RecordBody) -> bytes:
    """The body's bytes; raise MalformedError for a body that ``decode`` would not accept."""
    data = encode_array(body, f"body of {body.KIND}")
    decode(body.KIND, data)
    return data


def decode(kind: str, data: bytes) -> RecordBody:
    """The typed body of ``kind``, or raise MalformedError (LimitError for a list too long)."""
    decoder = _DECODERS.get(kind)
    if decoder is None:
        raise MalformedError(f"kind is {kind!r}, want one of {', '.join(sorted(BODIES))}")
    check_canonical(data)
    try:
        body: RecordBody = decoder.decode(data)
    except msgspec.DecodeError as error:
        raise MalformedError(f"body of {kind}: {in_words(error, BODIES[kind])}") from error
    _check_items(body)
    if _ENCODER.encode(body) != data:
        raise MalformedError(f"body of {kind} is not in its canonical form")
    return body


def _check_items(body: msgspec.Struct) -> None:
    for name in body.__struct_fields__:
        value = getattr(body, name)
        if not isinstance(value, tuple):
            continue
        if len(value) > LIMIT_ITEMS:
            raise LimitError(f"{name} has {len(value)} items, want at most {LIMIT_ITEMS}")
        for item in value:
            if isinstance(item, msgspec.Struct):
                _check_items(item)
