"""The bodies of one agreement on the product of ``tests.network``, and the ways to its states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import structs

from ledgercore import records

AGREEMENT = b"a" * 32
PURPOSE = "credit.assess"
CONTRACT, OTHER_CONTRACT = b"r" * 32, bytes(32)
FAR = 1_700_000_000_000 + 10_000_000_000
"""The end of ``tests.network``, which is long after its beginning."""

AGREEMENT_PATHS = {
    "": (),
    "REQUESTED": ("request",),
    "OFFERED": ("request", "offer"),
    "ACCEPTED": ("request", "offer", "accept"),
    "AGREED": ("request", "agree"),
    "VERIFIED": ("request", "agree", "verify"),
    "FINALIZED": ("request", "agree", "verify", "finalize"),
    "TERMINATED": ("request", "terminate"),
    "SUSPENDED": ("request", "agree", "verify", "finalize", "suspend"),
    "RETIRED": ("request", "agree", "verify", "finalize", "retire"),
    "EXPIRED": ("request", "agree", "verify", "finalize"),
}


def requested(**changes: Any) -> records.AgreementRequest:
    body = records.AgreementRequest(AGREEMENT, "tax.v1", (PURPOSE,), CONTRACT, FAR)
    return structs.replace(body, **changes)


def agreement_bodies(expires_ms: int) -> dict[str, Callable[[], records.RecordBody]]:
    """The body of each kind; the offer is of another contract than the request."""
    return {
        "agreement.request": lambda: requested(expires_ms=expires_ms),
        "agreement.offer": lambda: records.AgreementOffer(
            AGREEMENT, "tax.v1", (PURPOSE,), OTHER_CONTRACT, expires_ms, "consumer"
        ),
        "agreement.accept": lambda: records.AgreementAccept(AGREEMENT),
        "agreement.agree": lambda: records.AgreementAgree(AGREEMENT),
        "agreement.verify": lambda: records.AgreementVerify(AGREEMENT),
        "agreement.finalize": lambda: records.AgreementFinalize(AGREEMENT),
        "agreement.terminate": lambda: records.AgreementTerminate(AGREEMENT, "NO_NEED"),
        "agreement.suspend": lambda: records.AgreementSuspend(AGREEMENT, "INCIDENT"),
        "agreement.resume": lambda: records.AgreementResume(AGREEMENT),
        "agreement.retire": lambda: records.AgreementRetire(AGREEMENT, "NO_NEED"),
    }
