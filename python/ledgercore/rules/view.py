"""Read and change the state of objects as one unit.

A view stands over a loader of encoded states, or over another view. It holds decoded states and
encodes each changed one once, in ``changes``; ``touches`` says which records touched which objects.
A fork that is not merged leaves nothing behind, so a refused record does not either. A view is for
one thread at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import msgspec

from ledgercore.errors import CorruptError
from ledgercore.rules.state import BusinessState, State, state_type

__all__ = ["Touch", "View", "decode_object", "decode_state", "encode_state"]


StateT = TypeVar("StateT", bound=State)

_ENCODER = msgspec.msgpack.Encoder()
_UNREAD: Any = object()
"""In the place of a state that a view has not asked its loader for."""


encode_state: Callable[[State], bytes] = _ENCODER.encode
"""The bytes that the map holds."""


def decode_state(data: bytes, state_type: type[StateT]) -> StateT:
    """The state in ``data``; raise CorruptError if it is not one, for only rules write states."""
    try:
        return msgspec.msgpack.decode(data, type=state_type)
    except msgspec.DecodeError as error:
        raise CorruptError(f"state of {state_type.__name__}: {error}") from error


def decode_object(name: bytes, data: bytes) -> State:
    """The state of the object with this name, as ``decode_state`` decodes it."""
    return decode_state(data, state_type(name))


class Touch(NamedTuple):
    """That the record at an index is in the history of an object."""

    name: bytes
    record: int


class View:
    """States by object name, over a loader; ``fork`` to try, ``merge`` to keep."""

    def __init__(self, load: Callable[[bytes], bytes | None]) -> None:
        self._load = load
        self._parent: View | None = None
        self._states: dict[bytes, State | None] = {}
        self._changed: dict[bytes, State] = {}
        self._touches: list[Touch] = []

    def get(self, name: bytes, state_type: type[StateT]) -> StateT | None:
        """The object's state, or None. An object has one type of state for ever."""
        view = self
        while (state := view._states.get(name, _UNREAD)) is _UNREAD and view._parent is not None:
            view = view._parent
        if state is _UNREAD:
            data = view._load(name)
            state = None if data is None else decode_state(data, state_type)
            view._states[name] = state
        assert state is None or type(state) is state_type
        return state

    def put(self, name: bytes, state: State) -> None:
        """Set the object's state."""
        self._states[name] = state
        self._changed[name] = state

    def touch(self, name: bytes, state: BusinessState, index: int) -> None:
        """Set the state of an object whose history the record at an index extends."""
        self.put(name, state)
        self._touches.append(Touch(name, index))

    def fork(self) -> View:
        """A view over this one; this one must not change until the fork is merged or dropped."""
        fork = View(self._load)
        fork._parent = self
        return fork

    def merge(self) -> None:
        """Put what changed in this fork into the view below it."""
        parent = self._parent
        assert parent is not None, "only a fork merges"
        parent._states.update(self._changed)
        parent._changed.update(self._changed)
        parent._touches += self._touches

    def settle(self) -> None:
        """Let the view below this fork know what changed, now that it is committed."""
        parent = self._parent
        assert parent is not None, "only a fork settles"
        parent._states.update(self._changed)

    def __len__(self) -> int:
        """How many objects are known."""
        return len(self._states)

    def changes(self) -> list[tuple[bytes, bytes]]:
        """Each changed object's name and encoded state, in the order of names."""
        return [(name, encode_state(state)) for name, state in sorted(self._changed.items())]

    def touches(self) -> list[Touch]:
        """Each object that a record touched and the record's index, in the order of records."""
        return self._touches
