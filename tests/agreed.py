"""An agreement in force on the network of the tests of rules, and how it stands."""

from __future__ import annotations

from typing import Any

from ledgercore import records, rules
from ledgercore.rules import View
from tests.agreements import AGREEMENT, requested
from tests.network import act


def agreed(view: View, **changes: Any) -> View:
    """An agreement in force."""
    act(view, "consumer", requested(**changes))
    act(view, "provider", records.AgreementAgree(AGREEMENT))
    act(view, "consumer", records.AgreementVerify(AGREEMENT))
    act(view, "provider", records.AgreementFinalize(AGREEMENT))
    return view


def agreement_state(view: View) -> rules.AgreementState:
    state = view.get(rules.agreement_object(AGREEMENT), rules.AgreementState)
    assert state is not None
    return state
