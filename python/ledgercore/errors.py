"""Every error that ledgercore raises, as one tree.

::

    LedgerError
    ├── MalformedError          bytes or text not in the one accepted form
    │   └── LimitError          a named limit was passed
    ├── InvalidError            well formed, and wrong
    │   ├── InvalidSignature
    │   ├── InvalidProof
    │   └── UntrustedError      sound, but not of this network, signer or policy
    ├── InconsistentError       two truths where there must be one
    │   ├── CorruptError        stored bytes are not what was signed
    │   ├── ForkError           two checkpoints that cannot both be of one history
    │   └── RollbackError       an older history shown as the latest
    ├── RefusedError            sound, and against a rule; carries the code
    ├── AbsentError             what was asked for by its number, id or name is not there
    │   └── OutOfRangeError     its number is of no record, block or size: an IndexError, too
    └── UnavailableError        a resource could not be had
        ├── PassphraseError     a key is sealed, and its passphrase was not given
        ├── SignerAwayError     a key's token or service cannot be reached now
        ├── StoreError          input or output failed
        │   ├── DiskFullError   passes when space is freed
        │   └── FencedError     another writer has taken the ledger over
        └── BusyError           another holds the ledger or the vault
"""

from __future__ import annotations

import re

__all__ = [
    "AbsentError",
    "BusyError",
    "CorruptError",
    "DiskFullError",
    "FencedError",
    "ForkError",
    "InconsistentError",
    "InvalidError",
    "InvalidProof",
    "InvalidSignature",
    "LedgerError",
    "LimitError",
    "MalformedError",
    "OutOfRangeError",
    "PassphraseError",
    "RefusedError",
    "RollbackError",
    "SignerAwayError",
    "StoreError",
    "UnavailableError",
    "UntrustedError",
]


_RESTORE = (
    "to make it whole restore a backup, or on a node run ledgercore node repair, which takes the "
    "blocks of its peers: docs/cli.md, Restore"
)


_WORDS = re.compile(r"[^\s'\"]+")
_PARAMETER = re.compile(r"(password\s*=\s*)(\\?['\"][^'\"]*['\"]?|[^\s&'\"]+)", re.IGNORECASE)


def _without_passwords(text: str) -> str:
    """The text with ``...`` for each password of a URL, or of what libpq takes in its place.

    An error names what it is about, and a server's address may be given where a path is wanted.
    """
    if "@" in text:
        text = _WORDS.sub(lambda found: _without_password(found[0]), text)
    return _PARAMETER.sub(r"\1...", text)


def _without_password(word: str) -> str:
    before, at, host = word.rpartition("@")
    begin = before.find("://") + 3 if "://" in before else before.find(":/") + 1
    name, colon, _ = before[begin:].partition(":")
    return f"{before[:begin]}{name}:...@{host}" if at and colon else word


class LedgerError(Exception):
    """The root of the tree; of an address in a message no password is shown."""

    def __init__(self, *given: object) -> None:
        super().__init__(
            *(_without_passwords(each) if isinstance(each, str) else each for each in given)
        )


class MalformedError(LedgerError):
    """Bytes or text that are not in the one accepted form.

    ``index`` is the position in a batch, where there is one.
    """

    def __init__(self, message: str, index: int | None = None) -> None:
        super().__init__(message)
        self.index = index


class LimitError(MalformedError):
    """A named limit was passed; the message gives what was got and what is wanted at most."""


class InvalidError(LedgerError):
    """Well formed, and wrong."""


class InvalidSignature(InvalidError):  # noqa: N818
    """A signature that does not verify; ``indices`` are the positions of every bad one."""

    def __init__(self, message: str, indices: tuple[int, ...] = (0,)) -> None:
        super().__init__(message)
        self.indices = indices


class InvalidProof(InvalidError):  # noqa: N818
    """A proof that does not lead to the expected root."""


class UntrustedError(InvalidError):
    """Sound, but not of this network, signer or policy."""


class InconsistentError(LedgerError):
    """Two truths where there must be one."""


class CorruptError(InconsistentError):
    """Stored bytes are not what was signed; a note (PEP 678) says what to do.

    So the message does not: whoever shows both would say it twice.
    """

    def __init__(self, message: str, *, remedy: str = _RESTORE) -> None:
        super().__init__(message)
        self.add_note(remedy)


class ForkError(InconsistentError):
    """Two checkpoints that cannot both be of one history."""


class RollbackError(InconsistentError):
    """An older history shown as the latest."""


class RefusedError(LedgerError):
    """A record that is sound and against a rule.

    ``code`` is one of ``ledgercore.rules.codes``, ``record`` the id of the record at fault, and
    ``remedy`` what its sender can do.
    """

    def __init__(self, code: str, message: str, *, record: bytes = b"", remedy: str = "") -> None:
        super().__init__(f"{code}: {message}" + (f" ({remedy})" if remedy else ""))
        self.code = code
        self.message = message
        self.record = record
        self.remedy = remedy

    def __reduce__(self) -> tuple[object, ...]:
        """As it is made anew in another process."""
        return _refused, (self.code, self.message, self.record, self.remedy)


def _refused(code: str, message: str, record: bytes, remedy: str) -> RefusedError:
    return RefusedError(code, message, record=record, remedy=remedy)


class AbsentError(LedgerError):
    """What was asked for by its number, id or name is not there."""


class OutOfRangeError(AbsentError, IndexError):
    """A number that no record, block or size here has; a list says so with an ``IndexError``."""


class UnavailableError(LedgerError):
    """A resource could not be had."""


class PassphraseError(UnavailableError):
    """A key is sealed, and its passphrase or its token's PIN was not given."""


class SignerAwayError(UnavailableError):
    """A token or a service that keeps a key is away, and may be back the next time: nothing that it
    was asked to sign was given out signed."""


class StoreError(UnavailableError):
    """Input or output failed."""


class DiskFullError(StoreError):
    """No space left, of the disk or a quota: nothing was written, and writing goes on when there is
    some."""


class FencedError(StoreError):
    """A writer that lost its lease: nothing was written, and nothing ever will be by this one."""


class BusyError(UnavailableError):
    """Another writer holds the ledger, or another connection the vault."""


PASSING = (BusyError, DiskFullError, SignerAwayError)
"""Of what a write may fail, what leaves all as it was and may be over the next time; after anything
else only a new start, which verifies everything, may write again."""
