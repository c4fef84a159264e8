"""Make members, keys and signed records for tests and benchmarks.

Everything here comes from fixed seeds, so that a run can be repeated: none of these keys is a
secret, and none may sign anything that matters. Pair it with ``ManualClock`` and
``SeededEntropy``, and time and randomness are repeatable too.

::

    from ledgercore import Ledger, testing

    with Ledger.create(path, origin="test.example", members=testing.test_members(32)) as ledger:
        records = testing.signed_records(ledger, signers=32, count=1000, body_bytes=400)
        outcomes = ledger.submit_many(records)

Import the module rather than its names: a test runner takes ``test_members`` for a test.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ledgercore._core import SigningKey
from ledgercore.errors import MalformedError
from ledgercore.records import DATA, Member

if TYPE_CHECKING:
    from ledgercore.ledger import Ledger

__all__ = ["signed_batches", "signed_records", "signing_key", "test_members"]

ROLES = ("provider", "consumer")


def signing_key(number: int) -> SigningKey:
    """The key of one test member: the same number gives the same key."""
    return SigningKey(_seed("signing", number))


def test_members(signers: int) -> tuple[Member, ...]:
    """Members in both roles, whose keys are those of ``signing_key``.

    Their sealing keys are bytes that nobody has the private half of: enough for the rules.
    """
    return tuple(
        Member(
            member=f"member-{number}",
            name=f"Test member {number}",
            roles=ROLES,
            signing_key=signing_key(number).public_key,
            sealing_key=_seed("sealing", number),
        )
        for number in range(signers)
    )


def signed_records(
    ledger: Ledger, *, signers: int, count: int, body_bytes: int = 400
) -> list[bytes]:
    """Encoded data records that the ledger will accept in this order, from its members in turn.

    The ledger's genesis names ``test_members`` of at least as many signers. Each signer's records
    go on from the ones that are there; each has a body of its own.
    """
    return next(signed_batches(ledger, signers=signers, count=count, body_bytes=body_bytes))


def signed_batches(
    ledger: Ledger, *, signers: int, count: int, body_bytes: int = 400
) -> Iterator[list[bytes]]:
    """Such records without end, ``count`` at a time: each batch goes on from the one before."""
    for name, got, least in (
        ("signers", signers, 1),
        ("count", count, 0),
        ("body_bytes", body_bytes, 0),
    ):
        if got < least:
            raise MalformedError(f"{name} is {got}, want {least} or more")
    keys = [signing_key(number) for number in range(signers)]
    positions = [ledger.next_position(key.public_key) for key in keys]
    while True:
        chains = []
        for number, key in enumerate(keys):
            sequence, previous = positions[number]
            bodies = [
                _body(number, sequence + at, body_bytes)
                for at in range(len(range(number, count, signers)))
            ]
            chain = key.sign_batch(
                ledger.suite, ledger.network, DATA, bodies, sequence=sequence, previous=previous
            )
            if chain:
                positions[number] = (sequence + len(chain), chain[len(chain) - 1].id)
            chains.append(chain)
        yield [chains[at % signers][at // signers].encode() for at in range(count)]


def _seed(purpose: str, number: int) -> bytes:
    return hashlib.sha256(f"ledgercore testing {purpose} {number}".encode()).digest()


def _body(number: int, sequence: int, body_bytes: int) -> bytes:
    return hashlib.shake_256(_seed(f"body of {number}", sequence)).digest(body_bytes)
