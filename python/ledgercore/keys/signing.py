"""Sign with whatever holds a key: ``SigningKey``, a token, or a service that its owner runs.

A signer is asked for signatures and for nothing else. What it signs is made in one call of the
core, and put together in another, so that a batch crosses there and back once; in between the
signer is asked for one message after the other. ``SigningKey`` does all of it in one call.

What a signer gives back is not believed: a wrong signature is ``InvalidSignature`` here, before
anything is stored under it or handed out with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ledgercore import _core
from ledgercore._core import (
    Batch,
    Checkpoint,
    Record,
    SigningKey,
    UnsignedBatch,
    attach_cosignature,
    attach_signature,
    cosigned_message,
    verify_signature,
)
from ledgercore.errors import InvalidSignature

__all__ = [
    "Signer",
    "cosign_checkpoint",
    "sign_batch",
    "sign_checkpoint",
    "sign_message",
    "sign_record",
]

_SIGNATURE_BYTES = 64


class Signer(Protocol):
    """An Ed25519 key that somebody keeps; safe to share between threads.

    Errors are ``LedgerError``s that name the remedy: ``SignerAwayError`` where the key cannot be
    reached now and gave out no signature, which leaves a ledger as it was and lets it go on,
    ``UnavailableError`` where it cannot be had for another reason, ``InvalidError`` where its
    keeper refuses.
    """

    @property
    def public_key(self) -> bytes:
        """The 32 bytes of the public half (RFC 8032 section 5.1.5)."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of the signature (RFC 8032 section 5.1.6, without prehash or context).

        The same message gives the same signature: what is sent again must be the same record.
        """
        ...


def sign_message(signer: Signer, message: bytes) -> bytes:
    """The signer's signature of a message, verified where the signer is one of the owner's own.

    Raises ``InvalidSignature`` where that gives anything but 64 bytes, or another key's signature.
    """
    signature = _ask(signer, message)
    if not isinstance(signer, SigningKey):
        _check(signer, message, signature)
    return signature


def _ask(signer: Signer, message: bytes) -> bytes:
    """What the signer gives, in the form of a signature."""
    signature = signer.sign(message)
    is_bytes = isinstance(signature, bytes | bytearray)
    if not is_bytes or len(signature) != _SIGNATURE_BYTES:
        got = f"{len(signature)} bytes" if is_bytes else type(signature).__name__
        raise InvalidSignature(
            f"signer's sign() gave {got}, want the {_SIGNATURE_BYTES} bytes of an Ed25519 "
            "signature: see what it takes from its keeper's answer"
        )
    return bytes(signature)


def sign_record(
    signer: Signer,
    suite: str,
    network: bytes,
    kind: str,
    body: bytes,
    *,
    sequence: int,
    previous: bytes,
    references: Sequence[bytes] = (),
    not_before_ms: int = 0,
    expiry_ms: int = 0,
) -> Record:
    """One signed record; 0 sets no time before or from which it is not ordered."""
    unsigned = UnsignedBatch(
        suite,
        network,
        kind,
        [body],
        signer.public_key,
        sequence=sequence,
        previous=previous,
        references=references,
        not_before_ms=not_before_ms,
        expiry_ms=expiry_ms,
    )
    return _attach(signer, unsigned)[0]


def sign_batch(
    signer: Signer,
    suite: str,
    network: bytes,
    kind: str,
    bodies: Sequence[bytes],
    *,
    sequence: int,
    previous: bytes,
    expiry_ms: int = 0,
) -> Batch:
    """A chain of signed records, one a body; 0 sets no time from which none is ordered."""
    if isinstance(signer, SigningKey):  # over all cores, in one call
        return signer.sign_batch(
            suite,
            network,
            kind,
            bodies,
            sequence=sequence,
            previous=previous,
            expiry_ms=expiry_ms,
        )
    unsigned = UnsignedBatch(
        suite,
        network,
        kind,
        bodies,
        signer.public_key,
        sequence=sequence,
        previous=previous,
        expiry_ms=expiry_ms,
    )
    return _attach(signer, unsigned)


def _attach(signer: Signer, unsigned: UnsignedBatch) -> Batch:
    messages = unsigned.messages()
    signatures = [_ask(signer, message) for message in messages]
    if messages and not isinstance(signer, SigningKey):
        # The first one shows a signer that signs otherwise; the ledger verifies every one.
        _check(signer, messages[0], signatures[0])
    return unsigned.attach(signatures)


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer) -> str:
    """The signed note of a checkpoint, under its origin as the key's name."""
    if isinstance(signer, SigningKey):
        return _core.sign_checkpoint(checkpoint, signer)
    signature = sign_message(signer, checkpoint.format().encode())
    return attach_signature(checkpoint, signer.public_key, signature)


def cosign_checkpoint(note: str, name: str, signer: Signer, time_s: int) -> str:
    """The note with one more cosignature, by a witness of that name."""
    signature = sign_message(signer, cosigned_message(note, time_s))
    return attach_cosignature(note, name, signer.public_key, time_s, signature)


def _check(signer: Signer, message: bytes, signature: bytes) -> None:
    try:
        verify_signature(signer.public_key, message, signature)
    except InvalidSignature as error:
        raise InvalidSignature(
            "signer's signature does not verify under its public key: see that it signs with that "
            "key, as plain Ed25519 without prehash or context"
        ) from error
