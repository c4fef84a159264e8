"""Take the files that users name, read each up to its limit, and say what one looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ledgercore.disk import URL, exists, file_bytes, read_bytes
from ledgercore.errors import MalformedError, StoreError

if TYPE_CHECKING:
    from ledgercore._core import Anchor

__all__ = [
    "CONSISTENCY_LOOK",
    "FILE",
    "PATH",
    "check_operator",
    "key_option",
    "looks_like",
    "passphrase_option",
    "read_anchor",
    "read_checkpoint",
    "read_evidence",
    "read_passphrase",
    "read_record",
]

ANCHOR_BYTES = 64 * 1024
NOTE_BYTES = 64 * 1024
EVIDENCE_BYTES = 32 * 1024 * 1024
"""A pack, the largest evidence there is, at its largest."""
PASSPHRASE_BYTES = 1024


class _Path(click.Path):
    """A path that the system takes; what is there, and whether it can be read, shows when it is."""

    def __init__(self) -> None:
        super().__init__(readable=False)

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> Any:
        if not value:
            self.fail("path is empty, want the name of a file or a directory", parameter, context)
        if "\0" in str(value):
            self.fail(f"path is {value!r}, want one without NUL", parameter, context)
        return super().convert(value, parameter, context)


class _File(_Path):
    """A path of a file or a directory: a server's URL is none, and may hold a password."""

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> Any:
        if URL.match(str(value)):
            message = "path is a URL, want a file of this host: write ./NAME where it is one"
            self.fail(message, parameter, context)
        return super().convert(value, parameter, context)


PATH = _Path()
"""A ledger's, which may be a server's URL."""
FILE = _File()

passphrase_option = click.option(
    "--passphrase-file",
    type=FILE,
    envvar="LEDGERCORE_PASSPHRASE_FILE",
    help="A file with the passphrase of the key file, on one line.",
)

key_option = click.option(
    "--key",
    "key_place",
    type=FILE,
    envvar="LEDGERCORE_KEY",
    help="Where the operator's key is: a file, a PKCS#12 file (.p12), or a token (pkcs11:...).",
)


def check_operator(ledger: str, key_place: str | None) -> None:
    """Say that there is no ledger, or where its key must be unless it is said to be elsewhere.

    Whether it is the right one shows when it is read.
    """
    from ledgercore.store import check_there, parse_address

    address = parse_address(ledger)
    check_there(address)
    if key_place is not None:
        return
    key = f"{address.beside()}.key"
    remedy = "bring back the operator's key, or name where it is with --key"
    if not exists(key):
        raise StoreError(f"{key} does not exist: {remedy}")
    if not file_bytes(key):
        raise MalformedError(f"{key} is empty: {remedy}")


def read_anchor(path: str) -> Anchor:
    """The trust anchor in a file."""
    from ledgercore.anchor import parse_anchor

    data = read_bytes(path, ANCHOR_BYTES, "an anchor")
    try:
        return parse_anchor(_text(data))
    except MalformedError as error:
        raise _unlike(path, data, "a trust anchor", error, "ledgercore anchor LEDGER") from None


def read_checkpoint(path: str) -> str:
    """The signed checkpoint in a file; of which ledger it is, is for others to say."""
    from ledgercore._core import Checkpoint

    data = read_bytes(path, NOTE_BYTES, "a checkpoint")
    try:
        note = _text(data)
        Checkpoint.parse(note)
    except MalformedError as error:
        source = "ledgercore show LEDGER --checkpoint"
        raise _unlike(path, data, "a signed checkpoint", error, source) from None
    return note


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise MalformedError(f"it is not UTF-8 at byte {error.start}") from None


def _unlike(
    path: str, data: bytes, wanted: str, error: MalformedError, source: str
) -> MalformedError:
    """What is said of a file that is not what was wanted, and of where that is had."""
    looks = looks_like(data)
    seems = "" if looks == wanted else f": it looks like {looks}"
    return MalformedError(f"{path} is not {wanted} ({error}){seems}; want what {source} prints")


def read_passphrase(path: str | None) -> bytes | None:
    """The first line of a file without its newline; nothing without a file."""
    if path is None:
        return None
    line, end, rest = read_bytes(path, PASSPHRASE_BYTES + 2, "a passphrase").partition(b"\n")
    if rest or not line.removesuffix(b"\r"):
        got = "more than one line" if rest else "no passphrase"
        raise MalformedError(f"{path} has {got}, want one line")
    return line.removesuffix(b"\r") if end else line


def read_record(path: str) -> bytes:
    """The bytes of a record's body."""
    from ledgercore._core import RECORD_BYTES

    return read_bytes(path, RECORD_BYTES, "a record")


def read_evidence(path: str, *, receipt: bool) -> bytes:
    """The bytes of a receipt, or of what may be a pack, a state or a history."""
    from ledgercore._core import RECEIPT_BYTES

    if receipt:
        return read_bytes(path, _in_base64(RECEIPT_BYTES), "a receipt")
    return read_bytes(path, _in_base64(EVIDENCE_BYTES), "an evidence pack")


def _in_base64(size: int) -> int:
    """The bytes of as many in base64, in lines of 64 characters or more with their ends."""
    characters = -(-size // 3) * 4
    return characters + len("\r\n") * -(-characters // 64)


_BEGINNINGS = (
    (b"SQLite format 3\0", "a ledger or a vault"),
    (b"-----BEGIN ", "a key"),
    (b"ledgercore public key ", "a key"),
    (b"origin = ", "a trust anchor"),
    (b"\xef\xbb\xbf", "text behind a byte order mark, want UTF-8 without one"),
    (b"\xff\xfe", "text in UTF-16, want UTF-8"),
    (b"\x93", "a state receipt or an equivocation"),
    (b"\x94", "evidence of a broken promise, or a state proof"),
    (b"\x95", "evidence of a split view"),
    (b"\x96", "a receipt"),
    (b"\x97", "a history"),
    (b"\x98", "a record of a former ledger"),
    (b"\x99", "totals"),
    (b"\x9a", "an opening by order"),
    (b"\x9b", "an evidence pack"),
)
CONSISTENCY_LOOK = "what prove --since prints"
_OBJECTS = (
    ("proof", CONSISTENCY_LOOK),
    ("receipt", "JSON that holds a receipt: take its receipt alone"),
    ("history", "JSON that holds a history: take its history alone"),
    ("split_view", "JSON that holds a split view: take its split_view alone"),
    ("renewed", "JSON that holds a renewed record: take its renewed alone"),
    ("checkpoint", "JSON that holds a checkpoint: take its checkpoint alone"),
    ("operator", "what anchor --json prints"),
)


def looks_like(data: bytes) -> str:
    """What a file seems to be that is not what was wanted."""
    if not data:
        return "an empty file"
    for beginning, what in _BEGINNINGS:
        if data.startswith(beginning):
            return what
    if data.startswith(b"{"):
        first = data.partition(b"\n")[0]
        return next((what for name, what in _OBJECTS if f'"{name}":'.encode() in first), "JSON")
    if b"\r\n" in data:
        return "text whose lines end in CRLF, want LF"
    if b"\n\n\xe2\x80\x94 " in data:
        return "a signed checkpoint"
    return "a file of another kind"
