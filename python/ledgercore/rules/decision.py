"""Hold decisions to the exchanges that they rest on.

A decision touches its input exchanges, so each exchange's history names the decisions made on it.
"""

from __future__ import annotations

from ledgercore._core import VerifiedRecord
from ledgercore.records import DecisionRecord
from ledgercore.rules.state import (
    NEW,
    DecisionState,
    ExchangeState,
    decision_object,
    exchange_object,
)
from ledgercore.rules.table import Case, Family, Row, Signer, check_names, stored_status

__all__ = ["FAMILY"]

READY = ("ACKNOWLEDGED", "USED")
"""Where an exchange must stand to be decided on."""


def name_of(record: VerifiedRecord, body: DecisionRecord) -> bytes:
    return decision_object(record.id)


def _input(case: Case[DecisionRecord, None], exchange_id: bytes) -> ExchangeState:
    exchange = case.view.get(exchange_object(exchange_id), ExchangeState)
    if exchange is None:
        case.refuse("E_UNKNOWN", f"exchange {exchange_id.hex()[:16]} does not exist")
    return exchange


def inputs_are_distinct(case: Case[DecisionRecord, None]) -> None:
    """no exchange is named twice, else E_CANON"""
    inputs = case.body.inputs
    if len(set(inputs)) < len(inputs):
        case.refuse("E_CANON", f"{len(inputs)} inputs name {len(set(inputs))} exchanges")


def inputs_are_of_signer(case: Case[DecisionRecord, None]) -> None:
    """each input is an exchange (else E_UNKNOWN) of this consumer, else E_RECIPIENT"""
    for exchange_id in case.body.inputs:
        consumer = _input(case, exchange_id).consumer
        if consumer != case.member:
            message = f"consumer of {exchange_id.hex()[:16]} is {consumer}, not {case.member}"
            case.refuse("E_RECIPIENT", message)


def inputs_are_ready(case: Case[DecisionRecord, None]) -> None:
    """each input is ACKNOWLEDGED or USED, else E_EXCHANGE_STATE"""
    for exchange_id in case.body.inputs:
        status = _input(case, exchange_id).status
        if status not in READY:
            message = f"exchange {exchange_id.hex()[:16]} is {status}, want {' or '.join(READY)}"
            case.refuse("E_EXCHANGE_STATE", message)


def decide(case: Case[DecisionRecord, None]) -> DecisionState:
    body = case.body
    for exchange_id in body.inputs:
        case.touch(exchange_object(exchange_id), _input(case, exchange_id))
    return DecisionState(
        *NEW,
        consumer=case.member,
        inputs=body.inputs,
        outcome=body.outcome,
        model_hash=body.model_hash,
        explanation_commitment=body.explanation_commitment,
    )


FAMILY = Family(
    name="decision",
    state_type=DecisionState,
    name_of=name_of,
    status_at=stored_status,
    status_code="E_EXISTS",
    rows=(
        Row(
            DecisionRecord.KIND,
            (),
            Signer.CONSUMER,
            "RECORDED",
            ("inputs_are_distinct", "inputs_are_of_signer", "inputs_are_ready"),
        ),
    ),
    checks=check_names((inputs_are_distinct, inputs_are_of_signer, inputs_are_ready)),
    effects={DecisionRecord.KIND: decide},
)
