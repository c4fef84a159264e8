"""The specifications show what the code makes."""

from __future__ import annotations

from tests.spec_examples import BLOCK, SPEC, examples, written


def test_every_example_is_in_a_document_and_is_what_the_code_makes() -> None:
    made = examples()
    shown = set()
    for document in SPEC.glob("*.md"):
        text = document.read_text()
        shown |= {found[2] for found in BLOCK.finditer(text)}
        assert text == written(text, made), f"{document.name}: python -m tests.spec_examples"

    assert shown == made.keys()


def test_a_changed_example_is_noticed() -> None:
    made = examples()
    text = f"<!-- example: tree -->\n```\n{made['tree'].swapcase()}x\n```\n"

    assert text != written(text, made)
