"""Signatures through Python: one predicate, all bad ones named, the interpreter left free."""

from __future__ import annotations

import random
import threading
import time

import pytest

from ledgercore import InvalidSignature, MalformedError, SigningKey, build_info
from ledgercore._core import verify_signature, verify_signatures

ORDER = 2**252 + 27742317777372353535851937790883648493
SEED = bytes(range(32))

Signed = tuple[list[bytes], list[bytes], list[bytes]]


def signed(rng: random.Random, count: int, signers: int = 5) -> Signed:
    """Public keys, messages and signatures; messages of many lengths."""
    keys = [SigningKey(rng.randbytes(32)) for _ in range(signers)]
    messages = [rng.randbytes(rng.randrange(300)) for _ in range(count)]
    used = [keys[at % signers] for at in range(count)]
    signatures = [key.sign(message) for key, message in zip(used, messages, strict=True)]
    return [key.public_key for key in used], messages, signatures


def refused(publics: list[bytes], messages: list[bytes], signatures: list[bytes]) -> list[int]:
    """The positions that the batch names, after each signature was judged alone."""
    alone = []
    for at, claim in enumerate(zip(publics, messages, signatures, strict=True)):
        try:
            verify_signature(*claim)
        except InvalidSignature as error:
            assert error.indices == (0,)
            alone.append(at)
    try:
        verify_signatures(publics, messages, signatures, SEED)
    except InvalidSignature as error:
        assert isinstance(error.indices, tuple)
        assert list(error.indices) == alone
    else:
        assert alone == []
    return alone


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 64, 65, 300])
def test_signatures_hold_in_batches_of_every_size(rng: random.Random, count: int) -> None:
    assert refused(*signed(rng, count)) == []


def test_random_damage_is_judged_alike_alone_and_in_a_batch(rng: random.Random) -> None:
    named = 0
    for _ in range(30):
        parts = signed(rng, rng.randrange(1, 40))
        for _ in range(rng.randrange(4)):
            part, at = rng.choice(parts), rng.randrange(len(parts[0]))
            wrong = bytearray(part[at] or b"\0")
            wrong[rng.randrange(len(wrong))] ^= 1 << rng.randrange(8)
            part[at] = bytes(wrong)
        named += len(refused(*parts))
    assert named > 0


def test_a_scalar_at_or_over_the_order_is_refused(rng: random.Random) -> None:
    publics, messages, signatures = signed(rng, 20)
    for at in (3, 11):
        scalar = int.from_bytes(signatures[at][32:], "little") + ORDER
        signatures[at] = signatures[at][:32] + scalar.to_bytes(32, "little")

    assert refused(publics, messages, signatures) == [3, 11]


def test_swapped_signatures_are_refused(rng: random.Random) -> None:
    """The sum of both equations would hold, were their weights the same."""
    publics, messages, signatures = signed(rng, 40, signers=1)
    signatures[4], signatures[30] = (
        signatures[4][:32] + signatures[30][32:],
        signatures[30][:32] + signatures[4][32:],
    )

    assert refused(publics, messages, signatures) == [4, 30]


def test_the_seed_does_not_change_the_verdict(rng: random.Random) -> None:
    publics, messages, signatures = signed(rng, 50)
    signatures[17] = signatures[18]
    for _ in range(10):
        with pytest.raises(InvalidSignature) as caught:
            verify_signatures(publics, messages, signatures, rng.randbytes(32))
        assert caught.value.indices == (17,)


def test_the_message_of_the_error_counts_and_names(rng: random.Random) -> None:
    publics, messages, _ = signed(rng, 20)
    with pytest.raises(
        InvalidSignature,
        match=r"^20 of 20 signatures do not verify: at 0, 1, 2, 3, 4, 5, 6, 7, \.\.\.$",
    ):
        verify_signatures(publics, messages, [bytes(63) + b"\xff"] * 20, SEED)


@pytest.mark.parametrize(
    ("key", "signature", "reason"),
    [
        (bytes(31), bytes(64), "public key has 31 bytes, want 32"),
        (bytes(33), bytes(64), "public key has 33 bytes, want 32"),
        (bytes(32), bytes(63), "signature has 63 bytes, want 64"),
        (bytes(32), bytes(65), "signature has 65 bytes, want 64"),
    ],
)
def test_values_of_another_length_are_malformed(key: bytes, signature: bytes, reason: str) -> None:
    with pytest.raises(MalformedError, match=reason):
        verify_signature(key, b"message", signature)
    with pytest.raises(MalformedError, match=reason):
        verify_signatures([key], [b"message"], [signature], SEED)


@pytest.mark.parametrize("kernel", build_info()["signature_kernels"].split())
def test_a_kernel_can_be_named(rng: random.Random, kernel: str) -> None:
    publics, messages, signatures = signed(rng, 500)
    verify_signatures(publics, messages, signatures, SEED, kernel=kernel)
    signatures[77] = signatures[78]

    with pytest.raises(InvalidSignature) as caught:
        verify_signatures(publics, messages, signatures, SEED, kernel=kernel)

    assert caught.value.indices == (77,)


def test_a_kernel_that_is_not_here_is_malformed() -> None:
    with pytest.raises(MalformedError, match=r"kernel is .*sse2.*, want one of .*: portable"):
        verify_signatures([], [], [], SEED, kernel="sse2")


def test_lists_of_another_length_are_malformed(rng: random.Random) -> None:
    publics, messages, signatures = signed(rng, 10)
    for lists in (
        (publics[1:], messages, signatures),
        (publics, messages[1:], signatures),
        (publics, messages, signatures[1:]),
    ):
        with pytest.raises(MalformedError, match=r"keys and .* signatures, want .* each"):
            verify_signatures(*lists, SEED)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_seeds_have_32_bytes(size: int) -> None:
    with pytest.raises(MalformedError, match=f"seed has {size} bytes, want 32"):
        SigningKey(bytes(size))
    with pytest.raises(MalformedError, match=f"seed has {size} bytes, want 32"):
        verify_signatures([], [], [], bytes(size))


def test_a_key_does_not_show_its_secret() -> None:
    secret = bytes(range(32))
    key = SigningKey(secret)

    assert secret.hex()[:12] not in repr(key)
    assert key.public_key.hex()[:12] in repr(key)
    assert not [name for name in dir(key) if "secret" in name or "seed" in name]


def test_a_batch_leaves_the_interpreter_free(rng: random.Random) -> None:
    """Were the lock held, this thread would stand still for as long as the batch takes."""
    publics, messages, signatures = signed(rng, 64)
    batch = (publics * 256, messages * 256, signatures * 256, SEED)
    worker = threading.Thread(target=verify_signatures, args=batch)
    begin = last = time.perf_counter()
    longest = 0.0

    worker.start()
    while worker.is_alive():
        now = time.perf_counter()
        longest, last = max(longest, now - last), now

    assert longest < (time.perf_counter() - begin) / 2
