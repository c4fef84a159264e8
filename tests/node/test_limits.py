"""Bounds are documented as the code has them, and refused all at once."""

from __future__ import annotations

import pytest

from ledgercore import MalformedError
from ledgercore.node.limits import Limits, bounds_of
from tests.limits_page import PAGE, table


def test_the_page_has_every_bound_as_the_code_has_it() -> None:
    """Where it does not: ``python -m tests.limits_page``."""
    assert table() in PAGE.read_text()
    assert all(f"| `{name}` |" in table() for name in Limits.__struct_fields__)


@pytest.mark.parametrize("name", Limits.__struct_fields__)
def test_a_bound_is_taken_at_no_less_and_no_more_than_the_page_says(name: str) -> None:
    least, most = bounds_of(name)

    for wrong in (least / 2 if least < 1 else least - 1, most + 1):
        with pytest.raises(MalformedError, match=rf"limits\.{name} is [0-9.]+, want "):
            Limits(**{name: wrong})


def test_ranges_and_conflicts_are_told_at_once() -> None:
    with pytest.raises(MalformedError) as refused:
        Limits(nonces=0, streams=2048, body_bytes=-5, ready_s=0.5, answer_s=90)

    said = str(refused.value).split("; ")
    assert [each.split()[0].removeprefix("limits.") for each in said] == [
        *("body_bytes", "nonces", "ready_s"),
        *("streams", "answer_s"),
    ]
    assert said[0].startswith("limits.body_bytes is -5, want 65540 to 2147483648: one record takes")
