"""Records through Python, against records that other packages build byte by byte."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import msgpack
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledgercore import (
    InvalidProof,
    InvalidSignature,
    LedgerError,
    LimitError,
    MalformedError,
    SigningKey,
    _core,
)
from ledgercore._core import (
    Batch,
    Equivocation,
    Record,
    VerifiedBatch,
    VerifiedRecord,
    bundle_record,
)
from tests import reference

SECRET = bytes(range(32))
KEY = SigningKey(SECRET)
NETWORK = b"sixteen bytes id"
SEED = bytes(32)
SUITE_IDS = {"std": 1, "c2sp": 3}


def signed(body: bytes = b"payload", suite: str = "std", **changes: Any) -> Record:
    given: dict[str, Any] = {"kind": "data", "sequence": 0, "previous": bytes(32)} | changes
    return KEY.sign_record(suite, NETWORK, given.pop("kind"), body, **given)


def built(suite: str, kind: str, body: bytes, **given: Any) -> tuple[bytes, bytes]:
    """A record and its id, by msgpack, cryptography and the hashes of the reference."""
    judge = Ed25519PrivateKey.from_private_bytes(SECRET)
    header = [
        1,
        NETWORK,
        kind,
        SUITE_IDS[suite],
        judge.public_key().public_bytes_raw(),
        given.get("sequence", 0),
        given.get("previous", bytes(32)),
        given.get("references", []),
        given.get("not_before_ms", 0),
        given.get("expiry_ms", 0),
        body,
    ]
    record_id = reference.domain_hash(suite, "record", msgpack.packb(header))
    signature = judge.sign(b"\x14ledgercore record v1" + NETWORK + record_id)
    return msgpack.packb([header, signature]), record_id


def chain(count: int, body_bytes: int = 40) -> Batch:
    bodies = [number.to_bytes(body_bytes) for number in range(count)]
    return KEY.sign_batch("std", NETWORK, "data", bodies, sequence=0, previous=bytes(32))


def encoded(batch: Batch) -> list[bytes]:
    return [batch[at].encode() for at in range(len(batch))]


def forged(record: bytes) -> bytes:
    """The same record with the last bit of its signature changed."""
    return record[:-1] + bytes([record[-1] ^ 1])


# One record.


@pytest.mark.parametrize("suite", SUITE_IDS)
@pytest.mark.parametrize("size", [0, 1, 255, 256, 64_512])
def test_a_record_is_what_other_packages_build(suite: str, size: int) -> None:
    given = {
        "sequence": 300,
        "previous": b"p" * 32,
        "references": [b"r" * 32, b"s" * 32],
        "not_before_ms": 1_767_225_600_000,
        "expiry_ms": 2**64 - 1,
    }
    record = signed(bytes(size), suite, **given)
    data, record_id = built(suite, "data", bytes(size), **given)

    assert record.encode() == data
    assert record.id == record_id
    assert Record.decode(data).verify() == record
    assert {name: getattr(record, name) for name in given} == given
    assert (record.suite, record.kind, record.network) == (suite, "data", NETWORK)
    assert (record.key, record.body) == (KEY.public_key, bytes(size))
    assert record.signature == data[-64:]


def test_a_body_of_another_kind_is_a_canonical_array() -> None:
    body = msgpack.packb(["name", 7, b"bytes"])

    assert signed(body, kind="member.admit").encode() == built("std", "member.admit", body)[0]
    for wrong in (b"", b"\x80", body + b"\0", msgpack.packb([1.5])):
        with pytest.raises(MalformedError):
            signed(wrong, kind="member.admit")


def test_every_changed_byte_is_refused() -> None:
    data = signed(b"payload", references=[b"r" * 32]).encode()
    malformed = unsigned = 0
    for at in range(len(data)):
        for change in (1, 0x10, 0x80):
            wrong = bytearray(data)
            wrong[at] ^= change
            try:
                record = Record.decode(bytes(wrong))
            except MalformedError:
                malformed += 1
                continue
            assert record.encode() == bytes(wrong)
            with pytest.raises(InvalidSignature):
                record.verify()
            unsigned += 1
    assert malformed > 30
    assert unsigned > 500


def test_noise_is_malformed_and_nothing_else(rng: random.Random) -> None:
    data = signed().encode()
    for _ in range(2000):
        wrong = bytearray(data)
        begin = rng.randrange(len(data))
        wrong[begin : begin + rng.randrange(20)] = rng.randbytes(rng.randrange(20))
        if bytes(wrong) == data:
            continue
        with pytest.raises(LedgerError):
            Record.decode(bytes(wrong)).verify()


@pytest.mark.parametrize(
    ("data", "error", "reason"),
    [
        (b"", MalformedError, "ends early"),
        (b"\xc0", MalformedError, "want an array"),
        (b"\xdd\xff\xff\xff\xff", MalformedError, "record has 4294967295 items, want 2"),
        (b"\x92\xdd\xff\xff\xff\xff", MalformedError, "header has 4294967295 items, want 11"),
        (b"\x92\x9b\x02", MalformedError, "record version is 2, want 1"),
        (bytes(65_537), LimitError, "record bytes is 65537, want at most 65536"),
    ],
)
def test_hostile_records_say_why(data: bytes, error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        Record.decode(data)


def test_the_reserved_suite_says_so() -> None:
    data = bytearray(signed().encode())
    at = data.index(b"\xa4data") + 5
    data[at] = 2

    with pytest.raises(MalformedError, match="suite gm is reserved"):
        Record.decode(bytes(data))


def test_an_envelope_restores_its_record() -> None:
    for size in (0, 255, 256, 64_512):
        record = signed(bytes(size))
        envelope = record.envelope()

        assert len(envelope) < 220
        assert Record.from_envelope(envelope, bytes(size)) == record
        with pytest.raises(InvalidSignature):
            Record.from_envelope(envelope, bytes(size)[1:] + b"x").verify()
        with pytest.raises(MalformedError, match="envelope"):
            Record.from_envelope(record.encode(), b"")


def test_only_verification_makes_a_verified_record() -> None:
    record = signed()
    verified = record.verify()

    assert type(verified) is VerifiedRecord
    assert type(Record.decode(verified.encode())) is Record
    assert type(VerifiedRecord.decode(verified.encode())) is Record
    assert verified == record
    assert hash(verified) == hash(record)
    for make in (VerifiedRecord, _core.VerifiedBatch, Record):
        with pytest.raises(TypeError):
            make()
    with pytest.raises(TypeError):
        type("Verified", (VerifiedRecord,), {})


# Batches.


def test_a_chain_is_its_records_signed_one_by_one() -> None:
    batch, previous = chain(20), bytes(32)
    for sequence in range(20):
        one = signed(sequence.to_bytes(40), sequence=sequence, previous=previous)
        assert batch[sequence] == one
        previous = one.id


def test_a_chain_ends_before_its_numbers_do() -> None:
    with pytest.raises(MalformedError, match="want room for 1 records"):
        KEY.sign_batch("std", NETWORK, "data", [b""], sequence=2**64 - 1, previous=bytes(32))


@pytest.mark.parametrize("count", [0, 1, 7, 8, 600])
def test_a_batch_keeps_ids_leaves_and_order(count: int) -> None:
    records = encoded(chain(count))
    batch = Batch.decode(records)
    verified = batch.verify(SEED)
    leaves = b"".join(reference.leaf("std", record) for record in records)

    assert len(batch) == len(verified) == count
    assert batch.ids() == verified.ids() == [Record.decode(record).id for record in records]
    assert batch.leaf_hashes() == verified.leaf_hashes() == leaves
    assert [verified[at].encode() for at in range(count)] == records
    with pytest.raises(IndexError, match=f"position is {count}, want 0 to below {count}"):
        verified[count]


def test_a_batch_names_the_first_malformed_record() -> None:
    records = encoded(chain(600))
    records[300] = records[300][:-1]
    records[500] = b""

    with pytest.raises(MalformedError, match="record 300: ") as caught:
        Batch.decode(records)
    assert caught.value.index == 300


def test_a_batch_names_every_bad_signature() -> None:
    records = encoded(chain(600))
    for at in (0, 299, 599):
        records[at] = forged(records[at])
    batch = Batch.decode(records)

    with pytest.raises(InvalidSignature) as caught:
        batch.verify(SEED)
    assert caught.value.indices == (0, 299, 599)
    with pytest.raises(MalformedError, match="seed has 3 bytes, want 32"):
        batch.verify(b"abc")


def test_a_batch_has_its_limit() -> None:
    with pytest.raises(LimitError, match="records in a batch is 65537, want at most 65536"):
        Batch.decode([b""] * 65_537)


def test_selected_records_stay_verified_and_in_order() -> None:
    verified = chain(10).verify(SEED)
    some = verified.select([7, 2, 2])

    assert some.ids() == [verified.ids()[at] for at in (7, 2, 2)]
    assert verified.select([]).ids() == []
    with pytest.raises(IndexError):
        verified.select([10])


# Bundles.


@pytest.mark.parametrize("count", [0, 1, 256, 257, 600])
def test_bundles_hold_256_records_each(count: int) -> None:
    batch = chain(count)
    records, bundles = encoded(batch), batch.verify(SEED).bundles()

    assert bundles == [
        msgpack.packb(records[begin : begin + 256]) for begin in range(0, count, 256)
    ]
    assert Batch.decode_bundles(bundles).ids() == batch.ids()
    for at in range(0, count, 97):
        assert bundle_record(bundles[at // 256], at % 256) == records[at]


@pytest.mark.parametrize("by", ["decoded", "signed", "bundles"])
def test_records_make_the_same_bundles_wherever_they_come_from(by: str) -> None:
    """Those that stand as a bundle already, and those that are chosen or joined out of others."""
    records = encoded(chain(600))
    pieces = [records[:256], records[256:266], records[266:522], records[522:]]
    whole = {
        "decoded": Batch.decode(records),
        "signed": chain(600),
        "bundles": Batch.decode_bundles([msgpack.packb(piece) for piece in pieces]),
    }[by].verify(SEED)

    def bundles(chosen: Sequence[int]) -> list[bytes]:
        some = [records[at] for at in chosen]
        return [msgpack.packb(some[begin : begin + 256]) for begin in range(0, len(some), 256)]

    assert whole.bundles() == bundles(range(600))
    assert [whole[at].encode() for at in range(600)] == records
    for chosen in ([*range(256)], [*range(255)], [*range(1, 257)], [*range(255, -1, -1)], [3], []):
        assert whole.select(chosen).bundles() == bundles(chosen)
    twice = VerifiedBatch.join([whole, whole.select(range(7))])
    assert twice.bundles() == bundles([*range(600), *range(7)])
    assert b"".join(whole.ids()) == whole.joined_ids()


def test_bundles_are_decoded_from_views_of_bytes() -> None:
    bundles = chain(300).bundles()
    answer, cut = b"".join(bundles), len(bundles[0])

    batch = Batch.decode_bundles([memoryview(answer)[:cut], memoryview(answer)[cut:]])

    assert batch.ids() == chain(300).ids() and batch.bundles() == bundles
    for other in (memoryview(bytearray(bundles[0])), memoryview(answer)[::2]):
        with pytest.raises((TypeError, ValueError, BufferError)):
            Batch.decode_bundles([other])
    with pytest.raises(MalformedError):
        Batch.decode_bundles([memoryview(answer)[:0]])


def test_bundles_name_the_first_malformed_record() -> None:
    records = encoded(chain(600))
    bundles = [msgpack.packb(records[:256]), msgpack.packb([*records[256:300], b"", b""])]
    bundles.append(msgpack.packb([b"", *records[400:]]))

    with pytest.raises(MalformedError, match="record 300: ") as caught:
        Batch.decode_bundles(bundles)
    assert caught.value.index == 300
    with pytest.raises(LimitError, match="records in a batch is 65792, want at most 65536"):
        Batch.decode_bundles([msgpack.packb([b""] * 256)] * 257)


@pytest.mark.parametrize(
    ("bundle", "reason"),
    [
        (b"", "ends early"),
        (b"\x90\x00", "follow the end"),
        (b"\x91\x01", "want a byte string"),
        (b"\xdc\x01\x01", "records in a bundle is 257, want at most 256"),
        (b"\xdd\xff\xff\xff\xff", "records in a bundle is 4294967295"),
        (b"\x90", "bundle has 0 records, want more than 0"),
    ],
)
def test_hostile_bundles_are_refused(bundle: bytes, reason: str) -> None:
    with pytest.raises(MalformedError, match=reason):
        bundle_record(bundle, 0)


# Equivocation.


def test_two_records_of_one_sequence_are_a_proof() -> None:
    one, other = signed(b"one"), signed(b"other")
    proof = Equivocation(one, other)
    first, second = sorted((one, other), key=lambda record: record.id)

    assert (proof.first, proof.second) == (first, second)
    assert type(proof.first) is VerifiedRecord
    assert proof.encode() == msgpack.packb([1, first.encode(), second.encode()])
    assert Equivocation(other, one).encode() == proof.encode()
    assert Equivocation.decode(proof.encode()).first == first


def test_records_that_do_not_contradict_are_no_proof() -> None:
    one = signed(b"one")
    stranger = SigningKey(b"s" * 32)
    given: dict[str, Any] = {"sequence": 0, "previous": bytes(32)}
    for other, error in (
        (one, InvalidProof),
        (Record.decode(forged(one.encode())), InvalidProof),
        (signed(b"other", sequence=1), InvalidProof),
        (stranger.sign_record("std", NETWORK, "data", b"other", **given), InvalidProof),
        (KEY.sign_record("std", bytes(16), "data", b"other", **given), InvalidProof),
        (Record.decode(forged(signed(b"other").encode())), InvalidSignature),
    ):
        with pytest.raises(error):
            Equivocation(one, other)


def test_every_changed_byte_of_a_proof_is_refused() -> None:
    data = Equivocation(signed(b"one"), signed(b"other")).encode()
    for at in range(len(data)):
        wrong = bytearray(data)
        wrong[at] ^= 4
        with pytest.raises(LedgerError):
            Equivocation.decode(bytes(wrong))
