"""Sign a request, and verify that a member of this network meant it for this node, once.

A warrant says who asks what of whom, and when. It is canonical MessagePack, and its signature
covers ``ledgercore request v1\\n`` and the bytes of its fields, an array::

    [1, network, to, key, certificate, method, target, SHA-256 of the body, time, nonce]

It travels in base64 in the header ``authorization``, after the word ``ledgercore`` and a blank. The
format, with a literal instance, is docs/spec/node.md. Whether the key is a member's is not checked
here. Call ``Replays.take`` only after everything else: what is refused uses up no nonce.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from bisect import bisect_left, insort
from collections import deque
from math import ceil
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ledgercore._core import check_canonical, verify_signature
from ledgercore.clock import Clock
from ledgercore.entropy import Entropy
from ledgercore.errors import (
    InvalidSignature,
    LimitError,
    MalformedError,
    UnavailableError,
    UntrustedError,
)
from ledgercore.keys import Signer, sign_message
from ledgercore.node.limits import WARRANT_CHARACTERS
from ledgercore.node.logs import Log
from ledgercore.records.base import Bytes16, Bytes32, Bytes64, Identifier, Part, TimeMs

__all__ = ["SCHEME", "Replays", "Warrant", "body_hash", "parse_warrant", "sign_request"]

SCHEME = "ledgercore"
CONTEXT = b"ledgercore request v1\n"

_Name = tuple[bytes, bytes]
"""The key and the nonce of a warrant."""


class Warrant(Part, frozen=True):
    """Who asks what of whom, and when; ``to`` is the member whose node is asked.

    ``certificate`` is the hash of the TLS certificate that the request comes with: whose connection
    it is, its member says, and nobody else's will do.
    """

    version: Literal[1]
    network: Bytes16
    to: Identifier
    key: Bytes32
    certificate: Bytes32
    method: Annotated[str, Meta(pattern=r"\A[A-Z]{1,16}\Z")]
    target: Annotated[str, Meta(min_length=1, max_length=2048)]
    body_hash: Bytes32
    time_ms: TimeMs
    nonce: Bytes16

    def check(self, network: bytes, to: str, method: str, target: str) -> None:
        """Raise ``UntrustedError`` unless it is this request, of this network and node."""
        if self.network != network:
            raise UntrustedError(
                f"warrant is of network {self.network.hex()}, want {network.hex()}"
            )
        if self.to != to:
            raise UntrustedError(
                f"warrant is for the node of {self.to!r}, want {to!r}, whose node this is: name "
                "that member with this address, as in a [[peer]], or give the address of the node "
                f"of {self.to!r}"
            )
        if (self.method, self.target) != (method, target):
            raise UntrustedError("warrant is of another request than the one that brought it")

    def check_certificate(self, certificate: bytes) -> None:
        """Raise ``UntrustedError`` unless the connection has the certificate that was signed."""
        if certificate != self.certificate:
            raise UntrustedError(
                f"connection has certificate {certificate.hex()[:16]}, and the warrant names "
                f"{self.certificate.hex()[:16]}: ask with the member's own certificate"
            )

    def check_body(self, body: bytes) -> None:
        """Raise ``UntrustedError`` unless this is the body that was signed."""
        if body_hash(body) != self.body_hash:
            raise UntrustedError("body is another than the warrant's signature covers")


class _Signed(Part, frozen=True):
    fields: bytes
    signature: Bytes64


_FIELDS = msgspec.msgpack.Decoder(Warrant)
_SIGNED = msgspec.msgpack.Decoder(_Signed)


def body_hash(body: bytes) -> bytes:
    """The hash of a body as a warrant has it, in every suite."""
    return hashlib.sha256(body).digest()


def sign_request(
    key: Signer,
    network: bytes,
    to: str,
    certificate: bytes,
    request: tuple[str, str, bytes],
    clock: Clock,
    entropy: Entropy,
) -> str:
    """The value of the header ``authorization``; the request is method, target and body.

    ``certificate`` is ``Context.certificate`` of the connection that the request goes by.
    """
    method, target, body = request
    fields = msgspec.msgpack.encode(
        Warrant(
            version=1,
            network=network,
            to=to,
            key=key.public_key,
            certificate=certificate,
            method=method,
            target=target,
            body_hash=body_hash(body),
            time_ms=clock.now_ms(),
            nonce=entropy.bytes(16),
        )
    )
    signed = msgspec.msgpack.encode(_Signed(fields, sign_message(key, CONTEXT + fields)))
    return f"{SCHEME} {base64.b64encode(signed).decode()}"


def parse_warrant(header: str) -> Warrant:
    """The warrant in a header, its signature verified, and nothing else of it."""
    scheme, _, text = header.partition(" ")
    if scheme.lower() != SCHEME:
        raise MalformedError(f"authorization is of scheme {scheme[:32]!r}, want {SCHEME!r}")
    if len(text) > WARRANT_CHARACTERS:
        raise LimitError(f"warrant has {len(text)} characters, want at most {WARRANT_CHARACTERS}")
    try:
        data = base64.b64decode(text, validate=True)
        check_canonical(data)
        signed = _SIGNED.decode(data)
        check_canonical(signed.fields)
        warrant = _FIELDS.decode(signed.fields)
    except (binascii.Error, UnicodeDecodeError, msgspec.DecodeError, ValueError) as error:
        raise MalformedError(f"warrant: {error}") from error
    try:
        verify_signature(warrant.key, CONTEXT + signed.fields, signed.signature)
    except InvalidSignature:
        raise InvalidSignature("warrant's signature does not verify") from None
    return warrant


class Replays:
    """Take each warrant once, and only near its time.

    A nonce is remembered until its time is over, both as measured and by the clock: one that is set
    back brings no warrant back that was taken before. It is not remembered across a restart: so
    what was signed before this was made is put off, until its sender signs anew: that is no fault
    of its clock, which may be behind by as much as any. How long ago this was made is measured, for
    a clock that was ahead must not refuse everybody once it is right.
    """

    def __init__(self, clock: Clock, skew_s: float, limit: int, log: Log) -> None:
        """``limit`` bounds the nonces of requests, and apart from them those that a clock which was
        set back keeps; beyond it those go that come into time last, and the log says so once."""
        self._clock = clock
        self._log = log
        self._skew_s = skew_s
        self._skew_ms = int(skew_s * 1000)
        self._limit = limit
        self._made_s = clock.elapsed_s()
        self._seen: set[_Name] = set()
        self._order: deque[tuple[float, int, _Name]] = deque()
        """Until when each is remembered by what is measured, and its warrant's time."""
        self._ahead: list[tuple[int, _Name]] = []
        """Those that only the clock keeps, sorted by their warrants' times."""
        self._full = False
        """Whether there were more of these than are kept."""

    def __len__(self) -> int:
        return len(self._seen)

    def take(self, warrant: Warrant) -> None:
        """Raise ``UntrustedError`` where it is too old, too new, or was taken before.

        Raises ``UnavailableError`` where it was signed before this was made, or there are too many.
        """
        now_ms, elapsed_s = self._clock.now_ms(), self._clock.elapsed_s()
        self._forget(now_ms, elapsed_s)
        earliest, latest = now_ms - self._skew_ms, now_ms + self._skew_ms
        if not earliest <= warrant.time_ms <= latest:
            raise UntrustedError(
                f"warrant's time is {warrant.time_ms}, want {earliest} to {latest}, within "
                f"{self._skew_s:g} s of the node's: set the clock, or sign it anew"
            )
        if warrant.time_ms < now_ms - ceil(1000 * (elapsed_s - self._made_s)):
            raise UnavailableError(
                "node began after the warrant was signed, as its time says: sign it anew, which "
                f"helps within {self._skew_s:g} s"
            )
        if len(self._order) >= self._limit:
            raise UnavailableError(
                f"{self._limit} requests came within {self._skew_ms} ms, want fewer: wait"
            )
        name = (warrant.key, warrant.nonce)
        if name in self._seen:
            raise UntrustedError("warrant was used before: sign each request anew")
        self._seen.add(name)
        # No time in it is valid for longer than from one end of the window to the other.
        self._order.append((elapsed_s + 2 * self._skew_s, warrant.time_ms, name))

    def _forget(self, now_ms: int, elapsed_s: float) -> None:
        while self._order and self._order[0][0] < elapsed_s:
            _, time_ms, name = self._order.popleft()
            insort(self._ahead, (time_ms, name))
        self._drop(slice(bisect_left(self._ahead, (now_ms - self._skew_ms,))))
        if len(self._ahead) > self._limit:
            if not self._full:
                self._full = True
                self._log.warning(
                    "nonces are full",
                    kept=self._limit,
                    reason="the clock was set back: warrants from before it could be used again",
                )
            self._drop(slice(self._limit, None))

    def _drop(self, some: slice) -> None:
        self._seen.difference_update(name for _, name in self._ahead[some])
        del self._ahead[some]
