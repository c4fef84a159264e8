"""Verify on other threads what is stored meanwhile: its block waits for the verdict."""

from __future__ import annotations

from ledgercore._core import Batch, Verification, VerifiedBatch
from ledgercore.entropy import Entropy

__all__ = ["UnverifiedError", "Verifying"]


class UnverifiedError(Exception):
    """What was submitted is not verified: its block is not made, and the writer goes on.

    ``reason`` is ``InvalidSignature``, or what else ended the wait, such as an interrupt.
    """

    def __init__(self, reason: BaseException) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Verifying:
    """A decoded batch whose signatures are being verified.

    What is verified ``ahead`` of need gives way to the block before it.
    """

    def __init__(self, batch: Batch, entropy: Entropy, *, ahead: bool = False) -> None:
        self.batch = batch
        self._verification = Verification(batch, entropy.bytes(32), ahead=ahead)

    def verify(self) -> None:
        """Do what is left of it, and wait for the rest; raises ``UnverifiedError``."""
        try:
            self._verification.verify()
        except BaseException as error:
            raise UnverifiedError(error) from error

    def result(self) -> VerifiedBatch:
        """The same, and the batch with it."""
        try:
            return self._verification.result()
        except BaseException as error:
            raise UnverifiedError(error) from error

    def __len__(self) -> int:
        return len(self.batch)
