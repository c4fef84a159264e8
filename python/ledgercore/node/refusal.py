"""Carry a refusal to whoever submitted the record: the one form in which a node answers it.

::

    {"code": "E_MEMBER", "message": "key is no member's", "remedy": "sign with ..."}

``record`` is the id of the record at fault in hexadecimal, and is left out where there is none.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from ledgercore.errors import RefusedError

__all__ = ["Refusal"]


class Refusal(Struct, frozen=True, omit_defaults=True):
    """What a ``RefusedError`` says, so that it is raised elsewhere as it was."""

    code: Annotated[str, Meta(min_length=1)]
    message: str = ""
    remedy: str = ""
    record: Annotated[str, Meta(pattern=r"\A([0-9a-f]{64})?\Z")] = ""

    @classmethod
    def of(cls, error: RefusedError) -> Refusal:
        """What an error says."""
        return cls(error.code, error.message, error.remedy, error.record.hex())

    def error(self) -> RefusedError:
        """The error, as the ledger raised it."""
        record = bytes.fromhex(self.record)
        return RefusedError(self.code, self.message, record=record, remedy=self.remedy)
