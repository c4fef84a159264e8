"""Keep passwords out of errors: of a URL that was given, no more is shown than how it begins.

An error names what it is about, and that may be a URL in the place of a path, a number or an id.
A ledger's own is shown by ``ledgercore.store``, without its password and parameters, and stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from os.path import normpath
from pathlib import PurePath

from ledgercore.disk import URL

__all__ = ["redact"]

_ANY = re.compile(r"(?<![A-Za-z0-9+.-])[A-Za-z0-9+.-]*:(//)?|//")
"""Where a URL may begin, also one that lacks its slashes or its scheme."""

_PLAIN = re.compile(
    rf"{URL.pattern}([^/@:?]*@)?(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)?(:[0-9]{{1,5}})?(/[^@?]*)?"
    r"(?=(\?[^@]*)?\Z)"
)
"""What holds none of a URL that is as it must be: all before its parameters."""

_NAMED = re.compile(r"(?P<scheme>[A-Za-z0-9+.-]*:/*|/+)[^/@:?]*")
"""What holds none of any other: what stands before a password, or a host."""


def redact(message: str, given: Iterable[str]) -> str:
    """The message with ``...`` for what it quotes of each URL that is, or may hold, a password."""
    for text in given:
        if (begin := _begin(text)) is not None:
            forms = tuple(_forms(text[begin:]))
            for form in forms:
                message = _cut(message, form, forms)
    return message


def _begin(text: str) -> int | None:
    """Where what may hold a password begins: a URL, or what has a name, a colon and an @ behind."""
    colon = text.rfind(":", 0, max(text.rfind("@"), 0))
    for found in _ANY.finditer(text):
        if found[1] or URL.match(found[0]) or found.end() <= colon:
            return found.start()
    return None


def _forms(url: str) -> Iterator[str]:
    """How a message may quote it: as text, or as a path, and either with escapes."""
    path = re.sub("/+", "/", url)
    for form in (url, str(PurePath(path)), normpath(path)):
        yield form
        yield repr(form)[1:-1]


def _cut(message: str, form: str, forms: Sequence[str]) -> str:
    """The message without what begins as this form does, as far as it is one of them."""
    named = _NAMED.match(form)
    if named is None:  # the ".." in it left no more
        return message
    shown = plain.end() if (plain := _PLAIN.match(form)) else named.end()
    if shown == len(form):
        return message
    while (at := message.find(form[: shown + 1])) >= 0:
        quoted = max(_same(each, message[at:]) for each in forms)  # perhaps its beginning alone
        message = f"{message[:at]}{named['scheme']}...{message[at + quoted :]}"
    return message


def _same(form: str, text: str) -> int:
    """How many characters two texts begin with alike."""
    pairs = zip(form, text, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(form), len(text)))
