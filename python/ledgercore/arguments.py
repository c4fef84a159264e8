"""Hold what callers pass to the types that annotations name, before anything is done with it.

A wrong type is the caller's mistake and a ``TypeError``: it says what was got and what is wanted,
such as ``intent is str, want bytes``. The items of a list are looked at, too. Those of a mapping or
of an iterable are not, which may be made only as they are read; nor is an annotation whose names
are imported for type checkers alone. Write ``@typed`` above a function and ``@typed_methods`` above
a class, whose ``__init__`` and public methods it holds.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import wraps
from inspect import Parameter, signature
from typing import Annotated, Any, BinaryIO, TypeVar, Union, get_args, get_origin

from msgspec import Struct, structs

from ledgercore.errors import MalformedError
from ledgercore.wording import number_in_words

__all__ = [
    "LIMIT_COUNT",
    "check_argument",
    "check_count",
    "check_number",
    "check_parts",
    "described",
    "typed",
    "typed_methods",
]

CallT = TypeVar("CallT", bound=Callable[..., Any])
ClassT = TypeVar("ClassT", bound=type)
Test = Callable[[Any], bool]

LIMIT_COUNT = (1 << 53) - 1
"""The greatest whole number that every language holds exactly, with all below it."""

_BITS = 64
_LISTS = (Sequence, Collection)
_BY_POSITION = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_BYTES = ": of text encode() makes them, of hexadecimal digits bytes.fromhex()"


def typed(function: CallT) -> CallT:
    """The function, which raises ``TypeError`` for an argument that it is not annotated for."""
    parameters = signature(function).parameters
    placed = [name for name, each in parameters.items() if each.kind in _BY_POSITION]
    tests: dict[str, Test] | None = None

    @wraps(function)
    def call(*args: Any, **given: Any) -> Any:
        nonlocal tests
        if tests is None:  # at the first call: a type may stand below the function that names it
            tests = {name: _test_of(_resolved(function, name)) for name in parameters}
        for name, value in zip(placed, args, strict=False):
            if not tests[name](value):
                raise TypeError(_complaint(name, _resolved(function, name), value))
            check_number(name, value)
        for name, value in given.items():
            if name in tests and not tests[name](value):
                raise TypeError(_complaint(name, _resolved(function, name), value))
            check_number(name, value)
        return function(*args, **given)

    return call  # type: ignore[return-value]  # with the function's own signature


def typed_methods(kind: ClassT) -> ClassT:
    """The class, whose own public methods and ``__init__`` hold what they are given."""
    for name, method in list(vars(kind).items()):
        if isinstance(method, types.FunctionType) and (name == "__init__" or name[0] != "_"):
            setattr(kind, name, typed(method))
    return kind


def check_argument(name: str, hint: Any, value: Any) -> None:
    """Raise ``TypeError`` where a value is not what a type names."""
    if not _test_of(hint)(value):
        raise TypeError(_complaint(name, hint, value))


def check_number(name: str, value: Any) -> None:
    """Raise ``MalformedError`` for a number of more bits than any here has."""
    if isinstance(value, int) and value.bit_length() > _BITS:
        got = number_in_words(value)
        raise MalformedError(f"{name} is {got}, want one of at most {_BITS} bits")


def check_count(name: str, value: int) -> None:
    """Raise ``MalformedError`` for a number that no record has: below 0, or above 2^53 - 1."""
    if not 0 <= value <= LIMIT_COUNT:
        raise MalformedError(f"{name} is {number_in_words(value)}, want 0 to {LIMIT_COUNT}")


def check_parts(made: Struct) -> None:
    """Raise ``TypeError`` for a part that it is not annotated for: a struct is made of anything."""
    for part in structs.fields(made):
        check_argument(part.name, part.type, getattr(made, part.name))
        check_number(part.name, getattr(made, part.name))


def _resolved(function: Callable[..., Any], name: str) -> Any:
    """What an annotation stands for; ``Any`` where there is none, or type checkers alone know."""
    hint = function.__annotations__.get(name, Any)
    if not isinstance(hint, str):
        return hint
    try:
        return eval(hint, vars(sys.modules[function.__module__]))
    except NameError:
        return Any


def _test_of(hint: Any) -> Test:
    """Whether a value is what a type names."""
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any:
        return lambda value: True
    if hint in (None, type(None)):
        return lambda value: value is None
    if origin is Annotated:
        return _test_of(parts[0])
    if origin in (Union, types.UnionType):
        return _test_of_any([_test_of(part) for part in parts])
    if origin in _LISTS:
        return _test_of_list(origin, _test_of(parts[0]))
    if origin is tuple:
        return _test_of_tuple(parts)
    if origin is Iterable:
        return lambda value: isinstance(value, Iterable) and not isinstance(value, str | bytes)
    if origin is Callable:
        return callable
    if hint is int:
        return lambda value: isinstance(value, int) and not isinstance(value, bool)
    if hint is BinaryIO:
        return lambda value: hasattr(value, "read") or hasattr(value, "write")
    kind = origin or hint
    if getattr(kind, "_is_protocol", False):
        names = [name for name in vars(kind) if name[0] != "_"]
        return lambda value: all(hasattr(value, name) for name in names)
    if isinstance(kind, type):
        return lambda value: isinstance(value, kind)
    return lambda value: True


def _test_of_any(tests: Sequence[Test]) -> Test:
    return lambda value: any(test(value) for test in tests)


def _test_of_list(kind: Any, item: Test) -> Test:
    def test(value: Any) -> bool:
        held = isinstance(value, kind) and not isinstance(value, str | bytes | bytearray)
        return held and all(map(item, value))

    return test


def _test_of_tuple(parts: tuple[Any, ...]) -> Test:
    if len(parts) == 2 and parts[1] is ...:
        item = _test_of(parts[0])
        return lambda value: isinstance(value, tuple) and all(map(item, value))
    tests = [_test_of(part) for part in parts]

    def test(value: Any) -> bool:
        held = isinstance(value, tuple) and len(value) == len(tests)
        return held and all(test(each) for test, each in zip(tests, value, strict=True))

    return test


def _complaint(name: str, hint: Any, value: Any) -> str:
    """What was got, and what is wanted."""
    parts = get_args(hint)
    if get_origin(hint) not in (*_LISTS, tuple, Iterable):
        more = _BYTES if isinstance(value, str) and bytes in (hint, *parts) else ""
        return f"{name} is {described(value)}, want {_wanted(hint)}{more}"
    alike = get_origin(hint) in _LISTS or parts[1:] == (...,)
    if alike and isinstance(value, get_origin(hint)):
        test = _test_of(parts[0])
        wrong = [each for each in value if not test(each)]
        if wrong and not isinstance(value, str | bytes | bytearray):
            return f"{name} hold {described(wrong[0])}, want {_wanted(parts[0])}"
    return f"{name} are {described(value)}, want {_wanted(hint)}"


def described(value: Any) -> str:
    """A value's type; of a plain tuple, those of what it holds."""
    if type(value) is tuple:
        return f"({', '.join(map(described, value))})"
    return type(value).__name__


def _wanted(hint: Any) -> str:
    origin, parts = get_origin(hint), get_args(hint)
    if hint in (None, type(None)):
        return "None"
    if origin is Annotated:
        return _wanted(parts[0])
    if origin in (Union, types.UnionType):
        return " or ".join(map(_wanted, parts))
    if origin in (*_LISTS, Iterable):
        return f"a list of {_wanted(parts[0])}"
    if origin is tuple:
        if parts[1:] == (...,):
            return f"a tuple of {_wanted(parts[0])}"
        return f"({', '.join(map(_wanted, parts))})"
    if origin is Callable:
        return "a function"
    if hint is BinaryIO:
        return "a binary file"
    return getattr(origin or hint, "__name__", str(hint))
