"""What parties pass each other off the ledger, and how much of it is read at most."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from ledgercore import LimitError, MalformedError
from ledgercore._core import RECEIPT_BYTES, RECORD_BYTES, hash_domain
from ledgercore.exchange import Delivery, Proposal, Release, Request
from ledgercore.exchange.agreement import TEXT_BYTES, Contract
from ledgercore.exchange.erasure import (
    LIMIT_NAMES,
    Erasure,
    ErasureReceipt,
    certify_erasure,
    verify_erasure,
)
from ledgercore.exchange.messages import MESSAGE_BYTES, Handover, decode_message, encode_message
from ledgercore.keys import sign_message
from ledgercore.proofs.wire import encode_part
from ledgercore.records.base import LIMIT_ITEMS
from ledgercore.testing import signing_key
from ledgercore.vault import NAME_BYTES, Vault


@pytest.mark.parametrize("kind", [Delivery, Handover, Proposal, Release, Request])
def test_what_is_too_large_is_refused_before_any_of_it_is_read(
    kind: type[Delivery | Handover | Proposal | Release | Request],
) -> None:
    data = bytes(MESSAGE_BYTES + 1)

    tracemalloc.start()
    try:
        with pytest.raises(LimitError, match=f"has {len(data)} bytes, want at most"):
            decode_message(data, kind)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak_bytes < 64 * 1024


def test_what_is_too_large_is_not_sent() -> None:
    with pytest.raises(LimitError, match=r"delivery has .* want at most"):
        encode_message(Delivery(bytes(32), bytes(MESSAGE_BYTES)))


def test_the_largest_handover_is_no_larger_than_a_message() -> None:
    """It has the most parts, each of which has a bound of its own."""
    release = Release(bytes(32), bytes(RECORD_BYTES), bytes(RECEIPT_BYTES), bytes(80))
    request = Request(bytes(32), ("f" * 64,) * 256, "", "", "", bytes(32))
    handover = Handover(bytes(32), request, bytes(RECORD_BYTES), release)

    assert decode_message(encode_message(handover), Handover) == handover


def test_the_longest_contract_is_no_larger_than_a_message() -> None:
    text, id_ = "t" * TEXT_BYTES, "i" * 64
    contract = Contract(bytes(32), id_, id_, ("p" * 256,) * LIMIT_ITEMS, 1, text, bytes(32))

    assert decode_message(encode_message(contract), Contract) == contract


def test_a_receipt_of_as_many_erasures_as_it_may_name_verifies_and_one_more_is_not_made(
    tmp_path: Path,
) -> None:
    names = [f"{number:0{NAME_BYTES}}" for number in range(LIMIT_NAMES + 1)]
    key, of = signing_key(1), (bytes(16), "std")
    with Vault(tmp_path / "vault") as vault:
        receipt = certify_erasure(vault, names[1:], key, *of, 1)
        with pytest.raises(LimitError, match="certify fewer exchanges at a time"):
            certify_erasure(vault, names, key, *of, 1)

    assert len(verify_erasure(receipt, *of, key.public_key).names) == LIMIT_NAMES


def receipt_of(names: tuple[str, ...]) -> bytes:
    """What a program signs that has no limit of its own."""
    key = signing_key(1)
    erasure = Erasure(1, bytes(16), key.public_key, 1, names)
    signed = encode_part(erasure)
    message = b"ledgercore erasure v1\n" + bytes(16) + hash_domain("std", "commitment", signed)
    return encode_part(ErasureReceipt(erasure, sign_message(key, message)))


def test_a_receipt_that_names_more_than_one_that_is_made_verifies() -> None:
    names = tuple(f"exchange/{number:064x}/payload" for number in range(LIMIT_NAMES + 1))

    verified = verify_erasure(receipt_of(names), bytes(16), "std", signing_key(1).public_key)

    assert verified.names == names


def test_a_receipt_that_names_too_many_is_refused_before_they_are_read() -> None:
    data = receipt_of(("n",) * ((1 << 20) + 1))

    tracemalloc.start()
    try:
        with pytest.raises(MalformedError, match=r"erasure receipt: .* want a list of length <="):
            verify_erasure(data, bytes(16), "std", signing_key(1).public_key)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak_bytes < 64 * 1024
