"""Messages about tables and bodies are in a user's words, with every fact of the decoder's."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from ledgercore import MalformedError, records
from ledgercore.wording import FORMS, in_words, unknown_keys

PACKAGE = Path(__file__).resolve().parent.parent / "python" / "ledgercore"


class Entry(msgspec.Struct, forbid_unknown_fields=True):
    """A table with a field of each kind."""

    name: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")] = "0" * 64
    count: Annotated[int, Meta(ge=0)] = 0
    text: Annotated[str, Meta(max_length=3)] = ""
    color: Literal["red", "blue"] = "red"
    items: tuple[int, ...] = ()
    either: int | str | None = None


class Table(msgspec.Struct):
    entry: tuple[Entry, ...]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"name": "x"}, "entry[0].name: want 64 lower-case hexadecimal digits"),
        ({"count": -1}, "entry[0].count: want a whole number >= 0"),
        ({"count": "x"}, "entry[0].count: want a whole number, got text"),
        ({"text": "long"}, "entry[0].text: want text of length <= 3"),
        ({"color": "green"}, "entry[0].color: 'green' is none of what may stand there"),
        ({"items": 1}, "entry[0].items: want a list, got a whole number"),
        ({"items": [True]}, "entry[0].items[0]: want a whole number, got true or false"),
        (
            {"either": 1.5},
            "entry[0].either: want a whole number or text or nothing, got a number",
        ),
        ({"other": 1}, "entry[0]: other is not known here"),
        (1, "entry[0]: want a table, got a whole number"),
    ],
)
def test_what_is_wrong_is_said_in_words(entry: Any, words: str) -> None:
    with pytest.raises(msgspec.ValidationError) as raised:
        msgspec.convert({"entry": [entry]}, Table)

    assert in_words(raised.value) == words


def test_keys_that_are_not_known_are_told_with_those_that_may_be_meant() -> None:
    table = {"entry": [{"colour": 1, "text": "a"}, {"zzz": 1}, 3], "entrys": []}

    assert unknown_keys(table, Table) == [
        "entry[0]: colour is not known here, want color",
        "entry[1]: zzz is not known here, want only name, count, text, color, items, either",
        "entrys is not known here, want entry",
    ]
    assert unknown_keys({"entry": [{"name": "x"}]}, Table) == []


def test_what_has_no_place_is_said_without() -> None:
    with pytest.raises(msgspec.ValidationError) as raised:
        msgspec.convert({}, Table)

    assert in_words(raised.value) == "entry is missing"
    assert in_words(ValueError("other {} things")) == "other {} things"


def test_every_pattern_of_a_typed_field_has_its_words() -> None:
    patterns = {
        keyword.value.value
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "pattern" and isinstance(keyword.value, ast.Constant)
    }

    assert patterns == FORMS.keys()


def test_a_wrong_body_is_told_by_its_fields_names_and_the_words_that_may_stand() -> None:
    found = {}
    for kind, body in (
        ("dispute.rule", [bytes(32), "maybe", bytes(32)]),
        ("dispute.open", [bytes(32), "scope", bytes(32)]),
        ("schema.register", ["tax", 1, "Tax", [["a", "fen", 1], ["b", "fen", 9]]]),
        ("consent.request", [*[bytes(32), "a", "b"], *[bytes(32)] * 2, 1, 1, 1, [], b"x"]),
    ):
        with pytest.raises(MalformedError) as raised:
            records.decode(kind, msgspec.msgpack.encode(body))
        found[kind] = str(raised.value).removeprefix(f"body of {kind}: ")

    assert found == {
        "dispute.rule": "ruling: got 'maybe', want 'dismissed' or 'upheld'",
        "dispute.open": "grounds: want a code of upper-case letters, digits and underscores",
        "schema.register": "fields[1].level: want a whole number <= 5",
        "consent.request": "agreement: want bytes of length >= 32",
    }
