"""The contests of a decision, for tests that review it."""

from __future__ import annotations

from ledgercore.rules import DecisionState, View, decision_object

__all__ = ["contest_of"]

NONE = b"r" * 32


def contest_of(view: View, decision: bytes) -> bytes:
    """The decision's contest that waits, or its last one, or none there is."""
    state = view.get(decision_object(decision), DecisionState)
    contests = state.contests if state else ()
    waiting = [each.record for each in contests if not each.review]
    return (waiting or [each.record for each in contests][-1:] or [NONE])[0]
