"""Vectors that nobody here wrote, and packages that nobody here wrote, as judges."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledgercore import InvalidSignature, MalformedError, SigningKey, _core
from ledgercore.primitives import verify_signature, verify_signatures
from tests import reference

LoadVectors = Callable[[str], Any]


def test_every_small_order_case_is_accepted_alone_and_in_a_batch(
    load_vectors: LoadVectors,
) -> None:
    cases = load_vectors("ed25519_zip215_small_order.json")["cases"]
    keys = [bytes.fromhex(case["public_key"]) for case in cases]
    signatures = [bytes.fromhex(case["signature"]) for case in cases]
    messages = [case["message_utf8"].encode() for case in cases]

    assert len(cases) == 196
    for key, message, signature in zip(keys, messages, signatures, strict=True):
        verify_signature(key, message, signature)
    verify_signatures(keys, messages, signatures)


def test_every_domain_hash_is_that_of_another_implementation(load_vectors: LoadVectors) -> None:
    import blake3

    vectors = load_vectors("blake3.json")
    for case in vectors["cases"]:
        data = bytes(at % 251 for at in range(case["input_len"]))
        judge = blake3.blake3(b"", derive_key_context="ledgercore v1 record").digest()
        keyed = blake3.blake3(data, key=vectors["key"].encode()).hexdigest()
        derived = blake3.blake3(data, derive_key_context=vectors["context_string"]).hexdigest()
        # The judge itself is held to the vectors before it judges.
        assert keyed == case["keyed_hash"][:64]
        assert derived == case["derive_key"][:64]
        assert blake3.blake3(data).hexdigest() == case["hash"][:64]
        want = blake3.blake3(data, key=judge).digest()
        assert _core.hash_domain("std", "record", data) == want
        for suite in ("std", "c2sp"):
            assert _core.hash_domain(suite, "record", data) == reference.domain_hash(
                suite, "record", data
            )


@pytest.mark.parametrize("suite", ["std", "c2sp"])
def test_each_domain_hashes_apart(suite: str) -> None:
    domains = ["record", "leaf", "node", "empty", "network", "block", "history", "commitment"]
    domains += ["state-key", "state-value", "state-leaf", "state-node"]

    hashes = [_core.hash_domain(suite, domain, b"data") for domain in domains]

    assert hashes == [reference.domain_hash(suite, domain, b"data") for domain in domains]
    assert len(set(hashes)) == len(domains)
    with pytest.raises(MalformedError, match="hash domain"):
        _core.hash_domain(suite, "blocks", b"data")


def test_only_the_first_encoding_of_a_value_is_canonical(load_vectors: LoadVectors) -> None:
    accepted = refused = 0
    for cases in load_vectors("msgpack-test-suite.json").values():
        for case in cases:
            kind = next(name for name in case if name != "msgpack")
            encodings = [bytes.fromhex(text.replace("-", "")) for text in case["msgpack"]]
            canonical = [data for data in encodings if is_canonical(data)]
            allowed = [shortest(encodings)] if has_form(kind, encodings[0]) else []
            assert canonical == [data for data in allowed if data], case
            accepted += len(canonical)
            refused += len(encodings) - len(canonical)
    assert accepted >= 50 and refused >= 100


def has_form(kind: str, data: bytes) -> bool:
    """Whether a value can be said at all: no extension types, and only scalars in a map."""
    if kind in ("ext", "timestamp"):
        return False
    value = msgpack.unpackb(data)
    return not isinstance(value, dict) or not any(
        isinstance(item, dict | list) for item in value.values()
    )


def is_canonical(data: bytes) -> bool:
    try:
        _core.check_canonical(data)
    except MalformedError:
        return False
    return True


def shortest(encodings: list[bytes]) -> bytes:
    """The shortest encoding, unsigned where a number has two of one length."""
    whole = [data for data in encodings if data[0] not in (0xCA, 0xCB)]
    unsigned = [data for data in whole if not 0xD0 <= data[0] <= 0xD3] or whole
    return min(unsigned, key=len, default=b"")


def test_what_we_sign_another_implementation_verifies(rng: random.Random) -> None:
    for _ in range(50):
        seed, message = rng.randbytes(32), rng.randbytes(rng.randrange(200))
        judge = Ed25519PrivateKey.from_private_bytes(seed)
        key = SigningKey(seed)
        assert key.public_key == judge.public_key().public_bytes_raw()
        assert key.sign(message) == judge.sign(message)
        verify_signature(key.public_key, message, judge.sign(message))


def test_a_batch_of_a_thousand_names_every_bad_signature(rng: random.Random) -> None:
    keys = [SigningKey(rng.randbytes(32)) for _ in range(32)]
    messages = [rng.randbytes(69) for _ in range(1000)]
    publics = [keys[at % 32].public_key for at in range(1000)]
    signatures = [keys[at % 32].sign(message) for at, message in enumerate(messages)]
    verify_signatures(publics, messages, signatures)
    for count in (1, 2, 40, 1000):
        bad = sorted(rng.sample(range(1000), count))
        changed = list(signatures)
        for at in bad:
            wrong = bytearray(changed[at])
            wrong[rng.randrange(64)] ^= 1 << rng.randrange(8)
            changed[at] = bytes(wrong)
        with pytest.raises(InvalidSignature) as caught:
            verify_signatures(publics, messages, changed)
        alone = []
        for at in range(1000):
            try:
                verify_signature(publics[at], messages[at], changed[at])
            except InvalidSignature:
                alone.append(at)
        assert list(caught.value.indices) == alone == bad
