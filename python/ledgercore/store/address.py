"""Say where a ledger is kept: in a file, or on a PostgreSQL server.

A user names one thing, a path or a URL such as

    postgresql://ledger@db.example/exchange?directory=/var/lib/ledgercore&sslmode=verify-full

Of its parameters two are ours: ``directory`` is where this host keeps the key, the head file and
the writer's lock, ``schema`` (``ledgercore`` if it is not given) is where the tables stand. All
others go to libpq as they are. Nothing is opened here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, urlencode

from ledgercore.disk import URL, resolve
from ledgercore.errors import MalformedError, StoreError

__all__ = ["KEYWORDS", "SERVERS", "Address", "parse_address", "shown"]

SERVERS = ("postgresql://", "postgres://")
"""How the URL of a ledger on a server begins."""
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_RESERVED = "pg_"
_PASSWORD = re.compile(r"(?<=://)([^/@:]*):[^/@]*@")
_STRAY = re.compile(r"://[^/?@]*(/[^?]*@|\?[^=]*@)")
"""An @ that ends no name or password, as where one of them has a / or a ? as it is."""


KEYWORDS = re.compile(r"(?!\.?/)(.*\s)?(host|hostaddr|port|dbname|user|password|service)\s*=")
"""How a connection string in libpq's other form begins: it would be a file of that name."""


class Address(NamedTuple):
    """A parsed address; ``server`` is empty where the ledger is a file."""

    name: str
    """For messages: a URL without its password and parameters, or the file's path."""
    files: Path | None
    """What the small files beside the ledger are named for: ``<files>.key`` and so on."""
    server: str = ""
    """What libpq is given."""
    schema: str = ""

    def beside(self) -> Path:
        """The same as ``files``, for whoever cannot do without."""
        if self.files is None:
            raise StoreError(
                f"{self.name} has no directory for its key and head file: add "
                "?directory=/var/lib/ledgercore, or another directory of this host, to the address"
            )
        return self.files


def parse_address(place: str | Path) -> Address:
    """The address that a path or a URL stands for; MalformedError where it is neither."""
    text = str(place)
    if not text.startswith(SERVERS):
        # A Path has lost the ./ of ./NAME, and is one by its type.
        if isinstance(place, str) and (scheme := URL.match(text)):
            # The rest is not shown: it may hold a password.
            raise MalformedError(
                f"address begins with {scheme.group()}, want a path (./NAME where it is one), or a "
                "URL of postgresql://"
            )
        if isinstance(place, str) and KEYWORDS.match(place):
            # It would be a file of that name, with a password in it.
            raise MalformedError(
                "path is as libpq's keywords are, want postgresql://USER@HOST/DATABASE?directory="
                "DIRECTORY for a ledger on a server, or ./NAME for a file that is named so"
            )
        path = resolve(place)
        return Address(str(path), path)
    if _STRAY.search(text):
        # It would be read as a host or a port, and shown as one in an error.
        raise MalformedError(
            "address has / or ? before an @: write what is special in a name or a password as %XX "
            "(RFC 3986, section 2.1)"
        )
    base, _, query = text.partition("?")
    parameters = parse_qsl(query, keep_blank_values=True)
    ours = {name: value for name, value in parameters if name in ("directory", "schema")}
    schema = ours.get("schema", "ledgercore")
    if not _SCHEMA.fullmatch(schema):
        raise MalformedError(
            f"schema is {schema!r}, want lower-case letters, digits and underscores, at most 63"
        )
    if schema.startswith(_RESERVED):
        raise MalformedError(
            f"schema is {schema!r}, want one that does not begin with {_RESERVED}: "
            "PostgreSQL keeps such names for itself"
        )
    theirs = [(name, value) for name, value in parameters if name not in ours]
    server = f"{base}?{urlencode(theirs, quote_via=quote)}" if theirs else base
    files = resolve(ours["directory"]) / schema if ours.get("directory") else None
    return Address(_PASSWORD.sub(r"\1@", base), files, server, schema)


def shown(place: str | Path) -> str:
    """A place as it may be printed: a URL without its password and parameters, a path as it is."""
    text = str(place)
    return parse_address(text).name if text.startswith(SERVERS) else text
