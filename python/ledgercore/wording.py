"""Say in a user's words what a decoder of tables and typed bodies found wrong.

msgspec answers in the words of Python: types, regular expressions, and a path that begins with a
dollar. The facts are the same here, and the place comes first.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import inspect

__all__ = [
    "FORMS",
    "in_words",
    "number_in_words",
    "type_in_words",
    "unknown_in_words",
    "unknown_keys",
]

_TYPES = {
    "array": "a list",
    "bool": "true or false",
    "bytes": "bytes",
    "float": "a number",
    "int": "a whole number",
    "null": "nothing",
    "object": "a table",
    "str": "text",
}

_NAMES = {
    bool: "true or false",
    bytes: "bytes",
    dict: "a table",
    float: "a number with a fraction",
    int: "a whole number",
    list: "a list",
    str: "text",
    type(None): "nothing",
}

_ID = "lower-case letters, digits, dots, hyphens and underscores, a letter or digit first"
FORMS = {
    r"\A[a-z0-9][a-z0-9._-]*\Z": f"an id of {_ID}",
    r"\A[A-Z][A-Z0-9_]*\Z": "a code of upper-case letters, digits and underscores",
    r"\A[a-z.-]+\Z": "a kind of lower-case letters, dots and hyphens",
    r"\A[A-Z]{1,16}\Z": "1 to 16 upper-case letters",
    r"\A[0-9a-f]{64}\Z": "64 lower-case hexadecimal digits",
    r"\A([0-9a-f]{64})?\Z": "64 lower-case hexadecimal digits, or empty text",
    "^[0-9a-f]{64}$": "64 lower-case hexadecimal digits",
    r"\A(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}\Z": "an address and a port",
    r"\Ahttps://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._/-]*)?\Z": "an address that begins with https://",
}
"""What each pattern of a typed field stands for."""

_SHOWN_BITS = 128
"""Bits of a number that a message shows digit by digit at most."""

_FORMS = {repr(pattern): words for pattern, words in FORMS.items()}
_NONE = "none of what may stand there"
_REWORDED = (
    (r"Expected `str` matching regex (.*)", "want {}"),
    (r"Object missing required field `(.*)`", "{} is missing"),
    (r"Object contains unknown field `(.*)`", "{} is not known here"),
    (r"Invalid enum value (.*)", "{} is " + _NONE),
    (r"Expected (.*)", "want {}"),
)


def in_words(error: Exception, kind: type | None = None) -> str:
    """What was wrong and where, such as ``member[0].name: want text, got a whole number``.

    With the type that was decoded, fields of its arrays have their names, and a word that may not
    stand where it does is told with those that may.
    """
    what, _, path = str(error).partition(" - at `$")
    for pattern, words in _REWORDED:
        if found := re.fullmatch(pattern, what):
            what = words.format(_FORMS.get(found[1], found[1]))
            break
    place = path.removesuffix("`").lstrip(".").replace("[...]", "")
    if kind is not None:
        place, field = _resolve(place, inspect.type_info(kind))
        if isinstance(field, inspect.LiteralType) and what.endswith(_NONE):
            want = " or ".join(map(repr, field.values))
            what = f"got {what.removesuffix(f' is {_NONE}')}, want {want}"
    what = re.sub("`([a-z]+(?: \\| [a-z]+)*)`", lambda found: _type(found[1]), what)
    return f"{place}: {what}" if place else what


def _resolve(path: str, kind: inspect.Type) -> tuple[str, inspect.Type | None]:
    """A path such as ``[3][0][2]`` with the names of fields, and the type of what stands there."""
    place = ""
    found: inspect.Type | None = _one(kind)
    for step in re.findall(r"\[\d+\]|[^.\[\]]+", path):
        if isinstance(found, inspect.StructType) and step.startswith("["):
            field = found.fields[int(step[1:-1])]
            place, found = f"{place}.{field.name}", _one(field.type)
            continue
        inside = found.item_type if isinstance(found, inspect.VarTupleType) else None
        place, found = place + step, _one(inside) if inside else None
    return place.lstrip("."), found


def _one(kind: inspect.Type) -> inspect.Type:
    """The type itself, or the one that stands in a field which may also be empty."""
    if isinstance(kind, inspect.UnionType):
        present = [each for each in kind.types if not isinstance(each, inspect.NoneType)]
        return present[0] if len(present) == 1 else kind
    return kind


def unknown_in_words(key: str, known: Iterable[str]) -> str:
    """That a table has no such key, and which one may be meant: all, where none is like it."""
    want = [*known]
    near = difflib.get_close_matches(key, want, n=2) or [each for each in want if key in each]
    return f"{key:.80} is not known here, want {' or '.join(near) or 'only ' + ', '.join(want)}"


def unknown_keys(table: Any, kind: type) -> list[str]:
    """Each key of a table, and of tables in it, that its type does not have, as a message says it.

    A decoder stops at the first that it meets, and does not know which one may be meant.
    """
    return [*_unknown(table, inspect.type_info(kind), "")]


def _unknown(value: Any, kind: inspect.Type, place: str) -> Iterator[str]:
    if isinstance(kind, inspect.UnionType):
        for each in kind.types:
            yield from _unknown(value, each, place)
    elif isinstance(kind, inspect.VarTupleType) and isinstance(value, list):
        for number, each in enumerate(value):
            yield from _unknown(each, kind.item_type, f"{place}[{number}]")
    elif isinstance(kind, inspect.StructType) and isinstance(value, dict):
        fields = {field.encode_name: field.type for field in kind.fields}
        for key, each in value.items():
            if key in fields:
                yield from _unknown(each, fields[key], f"{place}.{key}" if place else key)
            else:
                yield (f"{place}: " if place else "") + unknown_in_words(key, fields)


def number_in_words(number: int) -> str:
    """A number as a message shows it: of one that nobody can read, how long it is.

    Python refuses to write out one of thousands of digits.
    """
    bits = number.bit_length()
    return str(number) if bits <= _SHOWN_BITS else f"a number of {bits} bits"


def type_in_words(kind: type) -> str:
    """A type's name in what a user reads, such as ``a whole number``."""
    return _NAMES.get(kind, kind.__name__)


def _type(names: str) -> str:
    return " or ".join(_TYPES.get(name, name) for name in names.split(" | "))
