"""Verify on other threads what is stored meanwhile: its block waits for the verdict."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from ledgercore._core import Batch, VerifiedBatch
from ledgercore.entropy import Entropy
from ledgercore.ledger.ahead import begin_ahead
from ledgercore.ledger.intake import verify_batches

__all__ = ["UnverifiedError", "Verifying"]


class UnverifiedError(Exception):
    """What was submitted is not verified: its block is not made, and the writer goes on.

    ``reason`` is ``InvalidSignature``, or what else ended the wait, such as an interrupt.
    """

    def __init__(self, reason: BaseException) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Verifying:
    """A decoded batch whose signatures are being verified."""

    def __init__(self, batch: Batch, entropy: Entropy) -> None:
        self.batch = batch
        pool = ThreadPoolExecutor(1, "verify")
        self._verified = begin_ahead(pool, lambda some: verify_batches(some, entropy), [batch])
        pool.shutdown(wait=False)

    def result(self) -> VerifiedBatch:
        """Wait for it; raises ``UnverifiedError``."""
        try:
            (verified,) = self._verified.result()
        except BaseException as error:
            raise UnverifiedError(error) from error
        return verified

    def __len__(self) -> int:
        return len(self.batch)
