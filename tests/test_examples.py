"""Generated tests find what is planted, and campaigns take more examples."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import msgpack
import pytest
from hypothesis import Phase, find, given
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from tests.examples import TIMES, examples
from tests.test_wire import NOISE, is_canonical


def accepts_what_trails(data: bytes) -> bool:
    """A reader with a planted defect: it stops after the first value."""
    return any(is_canonical(data[:end]) for end in range(1, len(data) + 1))


def accepts_the_byte_never_used(data: bytes) -> bool:
    """A reader with a planted defect: it takes 0xc1, which stands for nothing, for nil."""
    return is_canonical(data.replace(b"\xc1", b"\xc0"))


def is_wrong(reader: Callable[[bytes], bool], data: bytes) -> bool:
    if not reader(data):
        return False
    try:
        return bool(msgpack.packb(msgpack.unpackb(data)) != data)
    except ValueError:  # msgpack refuses it, or something trails
        return True


@pytest.mark.parametrize("reader", [accepts_what_trails, accepts_the_byte_never_used])
def test_a_planted_defect_is_found(reader: Callable[[bytes], bool], seed: int) -> None:
    counted = examples(2000, phases=(Phase.generate,), database=None)
    found = find(NOISE, lambda data: is_wrong(reader, data), settings=counted, random=Random(seed))
    assert is_wrong(reader, found)


def test_nothing_is_found_where_nothing_is_planted() -> None:
    counted = examples(2000, phases=(Phase.generate,), database=None)
    with pytest.raises(NoSuchExample):
        find(NOISE, lambda data: is_wrong(is_canonical, data), settings=counted)


def test_a_campaign_takes_more_examples() -> None:
    taken = 0

    @examples(10, database=None)
    @given(st.integers())
    def count(_: int) -> None:
        nonlocal taken
        taken += 1

    count()
    assert taken == 10 * TIMES
