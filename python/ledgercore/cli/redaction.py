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

_ANY = re.compile(rf"{URL.pattern}|([A-Za-z][A-Za-z0-9+.-]*:|//)(?=.*:.*@)", re.DOTALL)
"""Where what may hold a password begins: a URL, also one that lacks its slashes or its scheme."""

_PLAIN = re.compile(
    rf"{URL.pattern}([^/@:?]*@)?(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)?(:[0-9]{{1,5}})?(/[^@?]*)?"
    r"(?=(\?[^@]*)?\Z)"
)
"""What holds none of a URL that is as it must be: all before its parameters."""

_NAMED = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*:/*|/+)[^/@:?]*")
"""What holds none of any other: what stands before a password, or a host."""


def redact(message: str, given: Iterable[str]) -> str:
    """The message with ``...`` for what it quotes of each URL that is, or may hold, a password."""
    for text in given:
        if found := _ANY.search(text):
            forms = tuple(_forms(text[found.start() :]))
            for form in forms:
                message = _cut(message, form, forms)
    return message


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
