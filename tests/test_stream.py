"""A stream is sealed, sent, cut, resumed and read with one chunk in memory, or it is refused."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from ledgercore import _core
from ledgercore.demo.parties import BANK
from ledgercore.errors import InvalidError, LimitError, RefusedError, UntrustedError
from ledgercore.exchange import stream as stream_module
from ledgercore.exchange.messages import Delivery, encode_message
from ledgercore.exchange.pack import build_pack, verify_pack
from ledgercore.exchange.salted import FIELD, encode_leaves, make_leaves
from ledgercore.exchange.sealing import seal_payload
from ledgercore.exchange.stream import (
    CHUNK_BYTES,
    TAG_BYTES,
    Manifest,
    Sealed,
    StreamReader,
    TreeHash,
    content_value,
    seal_stream,
    stream_key,
)
from ledgercore.exchange.transfer import Receiver, send_chunks
from tests.examples import examples
from tests.town import DAY_MS, FIELDS, Town

KEY = bytes(range(32))
SEALED_BYTES = CHUNK_BYTES + TAG_BYTES
SIZES = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 3 * CHUNK_BYTES + 7]


def content_of(size: int, seed: int = 0) -> bytes:
    return hashlib.shake_256(b"content %d" % seed).digest(size)


class Made:
    """A sealed stream in memory."""

    def __init__(self, content: bytes, suite: str = "std") -> None:
        sealed, hashes = io.BytesIO(), io.BytesIO()
        self.suite = suite
        self.stream: Sealed = seal_stream(io.BytesIO(content), sealed, hashes, KEY, suite)
        self.sealed, self.hashes = sealed.getvalue(), hashes.getvalue()
        self.manifest = Manifest(
            "ledgercore stream v1", self.stream.size_bytes, self.stream.root, b""
        )
        step = SEALED_BYTES
        self.chunks = [self.sealed[at : at + step] for at in range(0, len(self.sealed), step)]

    def receiver(self, partial: bytes = b"") -> tuple[Receiver, io.BytesIO]:
        file = io.BytesIO(partial)
        return Receiver(self.manifest, io.BytesIO(self.hashes), file, self.suite), file


def read(sealed: bytes, size: int) -> bytes:
    return b"".join(StreamReader(io.BytesIO(sealed), size, KEY).chunks())


class Trickle(io.RawIOBase):
    """A file that gives a few bytes at a time, as a socket does."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(min(size, 70_001))


# The form.


@pytest.mark.parametrize("suite", ["std", "c2sp"])
@pytest.mark.parametrize("size", SIZES)
def test_chunks_are_those_of_the_construction(size: int, suite: str) -> None:
    content = content_of(size)
    made = Made(content, suite)
    parts = [content[at : at + CHUNK_BYTES] for at in range(0, size, CHUNK_BYTES)] or [b""]

    assert len(made.chunks) == len(parts) == made.manifest.chunks
    assert len(made.sealed) == made.manifest.sealed_bytes
    for number, (chunk, part) in enumerate(zip(made.chunks, parts, strict=True)):
        nonce = bytes(7) + number.to_bytes(4, "big") + bytes([number == len(parts) - 1])
        assert AESGCM(KEY).decrypt(nonce, chunk, None) == part
    leaves = _core.leaf_hashes(suite, made.chunks)
    assert made.hashes == leaves
    assert made.stream.root == _core.tree_root(suite, leaves)
    assert made.stream.content_root == _core.tree_root(suite, _core.leaf_hashes(suite, parts))
    assert read(made.sealed, size) == content


def test_a_tree_hash_is_the_tree_however_it_is_fed() -> None:
    hashes = _core.leaf_hashes("std", [bytes([n % 251]) for n in range(1000)])
    for step in (1, 7, 256, 300, 1000):
        tree = TreeHash("std")
        for at in range(0, len(hashes), 32 * step):
            tree.add_hashes(hashes[at : at + 32 * step])
        assert tree.root() == tree.root() == _core.tree_root("std", hashes)


def test_a_source_may_give_less_than_is_asked_for() -> None:
    content = content_of(2 * CHUNK_BYTES + 5)
    sealed, hashes = io.BytesIO(), io.BytesIO()
    seal_stream(Trickle(content), sealed, hashes, KEY, "std")  # type: ignore[arg-type]

    assert sealed.getvalue() == Made(content).sealed


def test_content_past_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "STREAM_BYTES", CHUNK_BYTES)
    assert Made(content_of(CHUNK_BYTES))
    with pytest.raises(LimitError, match=f"content has more than {CHUNK_BYTES} bytes"):
        Made(content_of(CHUNK_BYTES + 1))


# Reading.


@examples(40)
@given(
    seeks=st.lists(
        st.tuples(st.integers(0, 3 * CHUNK_BYTES + 100), st.integers(0, CHUNK_BYTES + 9)),
        min_size=1,
        max_size=5,
    )
)
def test_any_part_is_read_as_from_a_file(seeks: list[tuple[int, int]]) -> None:
    content = content_of(3 * CHUNK_BYTES + 7)
    reader = StreamReader(io.BytesIO(MADE.sealed), len(content), KEY)
    buffered, plain = io.BufferedReader(reader), io.BytesIO(content)
    for offset, count in seeks:
        assert buffered.seek(offset) == plain.seek(offset)
        assert buffered.read(count) == plain.read(count)
    assert reader.seek(-7, io.SEEK_END) == len(content) - 7
    assert reader.readall() == content[-7:]


MADE = Made(content_of(3 * CHUNK_BYTES + 7))
A, B, C, D = MADE.chunks


@pytest.mark.parametrize(
    "sealed",
    [
        pytest.param(B + A + C + D, id="reordered"),
        pytest.param(A + A + C + D, id="duplicated"),
        pytest.param(A + B + D[:-1] + C + D[-1:], id="moved by a byte"),
        pytest.param(A + B + C, id="truncated at a chunk"),
        pytest.param(A + B + C + D[:-1], id="truncated"),
        pytest.param(A + B + C + D + D, id="extended by a chunk"),
        pytest.param(A + B + C + D + b"\0", id="extended"),
        pytest.param(b"", id="emptied"),
    ],
)
def test_what_is_not_the_sealed_stream_is_refused(sealed: bytes) -> None:
    with pytest.raises(InvalidError, match=r"chunk \d is not what was sealed|sealed stream has"):
        read(sealed, MADE.manifest.size_bytes)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_shorter_size_does_not_hide_that_chunks_are_missing(count: int) -> None:
    """The last chunk was sealed as the last: an earlier one cannot take its place."""
    with pytest.raises(InvalidError, match=f"chunk {count - 1} is not what was sealed there"):
        read(b"".join(MADE.chunks[:count]), count * CHUNK_BYTES)


@examples(40)
@given(at=st.integers(0, len(MADE.sealed) - 1), bit=st.integers(0, 7))
def test_every_flipped_bit_is_refused(at: int, bit: int) -> None:
    sealed = bytearray(MADE.sealed)
    sealed[at] ^= 1 << bit
    receiver, file = MADE.receiver(bytes(sealed))

    with pytest.raises(InvalidError):
        read(bytes(sealed), MADE.manifest.size_bytes)
    assert receiver.next == at // SEALED_BYTES
    assert file.getvalue() == MADE.sealed[: receiver.next * SEALED_BYTES]


def test_other_content_under_the_same_key_is_not_what_was_committed_to() -> None:
    reader = StreamReader(io.BytesIO(MADE.sealed), MADE.manifest.size_bytes, KEY)
    output = io.BytesIO()
    reader.verify(MADE.stream.content_root, "std", output)

    assert output.getvalue() == content_of(3 * CHUNK_BYTES + 7)
    with pytest.raises(InvalidError, match="content of the stream is not what was committed to"):
        reader.verify(Made(content_of(5)).stream.content_root, "std")


# Sending.


@pytest.mark.parametrize("size", SIZES)
def test_a_transfer_goes_on_after_a_cut_at_any_chunk(size: int) -> None:
    made = Made(content_of(size))
    for cut in range(made.manifest.chunks + 1):
        receiver, file = made.receiver()
        for chunk in made.chunks[:cut]:
            receiver.take(chunk)
        receiver, file = made.receiver(file.getvalue())  # after the cut
        assert receiver.next == cut
        for chunk in send_chunks(io.BytesIO(made.sealed), made.manifest, receiver.next):
            receiver.take(chunk)
        receiver.finish()
        assert file.getvalue() == made.sealed


@pytest.mark.parametrize("torn", [1, 512, CHUNK_BYTES, SEALED_BYTES - 1])
def test_what_a_crash_tore_is_cut_off(torn: int) -> None:
    tails = (B[:torn], 1), (b"\0" * torn, 1), (B + C + b"x" * torn, 3), (MADE.sealed, 1)
    for tail, whole in tails:
        receiver, file = MADE.receiver(A + tail)
        assert receiver.next == whole
        assert file.getvalue() == MADE.sealed[: receiver.next * SEALED_BYTES]
        for chunk in MADE.chunks[receiver.next :]:
            receiver.take(chunk)
        receiver.finish()
        assert file.getvalue() == MADE.sealed


def test_a_whole_file_with_more_behind_it_is_cut_to_the_stream() -> None:
    receiver, file = MADE.receiver(MADE.sealed + b"more")

    receiver.finish()
    assert file.getvalue() == MADE.sealed
    with pytest.raises(InvalidError, match="chunk 4 is past the end, want 4"):
        receiver.take(D)


def test_a_chunk_that_is_not_the_next_one_is_refused_and_not_written() -> None:
    receiver, file = MADE.receiver()
    receiver.take(A)

    for wrong in (A, C, D, B[:-1], B + b"\0", b"", bytes(len(B))):
        with pytest.raises(InvalidError, match=r"chunk 1 (has \d+ bytes|is not the one)"):
            receiver.take(wrong)
    with pytest.raises(InvalidError, match="stream has 1 chunks, want 4"):
        receiver.finish()
    assert file.getvalue() == A
    receiver.take(B)


@pytest.mark.parametrize(
    "hashes",
    [
        MADE.hashes[:-1],
        MADE.hashes[:-32],
        MADE.hashes + bytes(32),
        MADE.hashes + b"\0",
        b"",
        MADE.hashes[32:64] + MADE.hashes[:32] + MADE.hashes[64:],
        MADE.hashes[:-1] + bytes([MADE.hashes[-1] ^ 1]),
    ],
)
def test_hashes_that_are_not_the_manifests_are_refused(hashes: bytes) -> None:
    with pytest.raises(InvalidError, match="hashes"):
        Receiver(MADE.manifest, io.BytesIO(hashes), io.BytesIO(), "std")


# The exchange.


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    yield town
    town.parties.close()


def test_a_stream_is_exchanged_received_opened_and_erased(town: Town, tmp_path: Path) -> None:
    content = content_of(2 * CHUNK_BYTES + 99)
    provider, consumer, ledger = town.parties.provider, town.parties.consumer, town.parties.ledger
    intent, request = town.intend(town.consent(), "cr.grade")
    paths = [tmp_path / name for name in ("sealed", "hashes", "received")]
    with paths[0].open("wb") as sealed, paths[1].open("wb") as hashes:
        draft = provider.answer_stream(intent, request, io.BytesIO(content), sealed, hashes)
    (place,) = town.accept([draft])
    delivery = provider.delivery(intent)

    # The sealed chunks are held to the ledger before there is a key; the transfer is cut once.
    with paths[0].open("rb") as sealed, paths[1].open("rb") as hashes:
        paths[2].write_bytes(b"")
        for take in (1, 3):
            with paths[2].open("r+b") as partial:
                receiver = consumer.receive_stream(delivery, hashes, partial)
                chunks = send_chunks(sealed, receiver.manifest, receiver.next)
                for _, chunk in zip(range(take), chunks, strict=False):
                    receiver.take(chunk)
                if take == 3:
                    receiver.finish()
        assert receiver.next == receiver.manifest.chunks == 3
    with paths[2].open("rb") as received:
        output, release = io.BytesIO(), provider.release(intent, place)
        with pytest.raises(UntrustedError, match="no key is kept for the stream"):
            consumer.stream(delivery, received)
        consumer.open_stream(delivery, release, received, output)
        town.accept([consumer.acknowledge(intent)])
        assert output.getvalue() == content
        with consumer.stream(delivery, received) as reader:
            assert reader.read(7) == content[:7]

        claims = verify_pack(
            build_pack(ledger, town.parties.vaults[BANK], intent), ledger.trust_anchor
        )
        assert {"payload", "answer", "release", "delivery"} <= {claim.name for claim in claims}
        assert content[:64] not in paths[2].read_bytes()

        town.accept(consumer.erase([intent], "purpose-achieved"))
        with pytest.raises(RefusedError, match="exchange is ERASED: nothing of it is opened"):
            consumer.stream(delivery, received)
        with pytest.raises(RefusedError, match="exchange is ERASED: nothing of it is opened"):
            consumer.receive_stream(delivery, io.BytesIO(), io.BytesIO())
        with pytest.raises(RefusedError, match="exchange is ERASED: nothing of it is opened"):
            consumer.open_stream(delivery, release, received)
        assert consumer.certify_erasure([intent])


def test_another_delivery_or_stream_than_was_admitted_is_refused(town: Town) -> None:
    provider, consumer = town.parties.provider, town.parties.consumer
    proposal, made = town.consent(max_uses=2), []
    for seed in (1, 2):
        intent, request = town.intend(proposal, "cr.grade")
        files = io.BytesIO(content_of(CHUNK_BYTES + 5, seed)), io.BytesIO(), io.BytesIO()
        (place,) = town.accept([provider.answer_stream(intent, request, *files)])
        made.append((provider.delivery(intent), provider.release(intent, place), files))
    (delivery, release, (_, sealed, hashes)), (other, _, (_, other_sealed, other_hashes)) = made

    with pytest.raises(InvalidError, match="delivery and release are of two exchanges"):
        consumer.open_stream(other, release, other_sealed)
    renamed = structs.replace(other, exchange=delivery.exchange)
    with pytest.raises(InvalidError, match="delivery is not the ciphertext that was admitted"):
        consumer.open_stream(renamed, release, other_sealed)
    with pytest.raises(InvalidError, match="chunk 0 is not what was sealed there"):
        consumer.open_stream(delivery, release, other_sealed)
    with pytest.raises(InvalidError, match="hashes of the chunks do not lead to the root"):
        consumer.receive_stream(delivery, other_hashes, io.BytesIO())
    with pytest.raises(InvalidError, match="payload is not what was sealed"):
        consumer.open(delivery, release)
    assert consumer.receive_stream(delivery, hashes, io.BytesIO(sealed.getvalue())).next == 2
    assert consumer.open_stream(delivery, release, sealed)


def test_a_stream_in_answer_to_two_fields_is_declined(town: Town) -> None:
    """Another program of a provider's, since ours streams one field; its key came, though."""
    provider, consumer, ledger = town.parties.provider, town.parties.consumer, town.parties.ledger
    intent, _ = town.intend(town.consent())
    key, context, sealed = b"k" * 32, ledger.network + intent, io.BytesIO()
    chunk_key = stream_key(key, context)
    stream = seal_stream(io.BytesIO(b"x"), sealed, io.BytesIO(), chunk_key, ledger.suite)
    value, product = content_value(1, stream.content_root), town.mapping.offer.product
    leaves = make_leaves(FIELD, product, [(name, value) for name in FIELDS], provider._entropy)
    payload = seal_payload(encode_leaves(leaves), key, context, provider._entropy)
    manifest = encode_message(Manifest("ledgercore stream v1", 1, stream.root, payload))
    answer = provider._admit(intent, leaves, key, manifest, 1)
    (place,) = town.accept(provider._keep_sealed([(intent, answer)]))
    delivery, release = provider.delivery(intent), provider.release(intent, place)

    with pytest.raises(InvalidError, match="does not describe the stream") as error:
        consumer.open_stream(delivery, release, sealed)

    town.later(2 * DAY_MS)
    with pytest.raises(RefusedError, match="exchange was opened here"):
        consumer.time_out(intent)
    town.accept([consumer.decline(intent, error.value)])


def test_a_stream_is_refused_as_any_answer_is(town: Town) -> None:
    provider = town.parties.provider
    intent, request = town.intend(town.consent())
    draft = provider.answer_stream(intent, request, io.BytesIO(), io.BytesIO(), io.BytesIO())
    assert draft.body.code == "E_SCOPE"  # two fields

    single = town.intend(town.consent(), "cr.grade")
    with pytest.raises(RefusedError, match="not admitted"):
        town.parties.consumer.receive_stream(stream_delivery(single[0]), io.BytesIO(), io.BytesIO())


def stream_delivery(intent: bytes):

    return Delivery(intent, b"")


# Memory.

MEMORY = """
import re, sys
from pathlib import Path
from benches.stream import Generated, run

def peak_mib():
    # Of this process alone: what getrusage tells begins with the peak of the one that started it.
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

directory, mib, whole = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "whole"
run(directory, 4)  # what imports, buffers and allocators take once
before = peak_mib()
if whole:
    data = Generated(mib * 1024 * 1024).read()
else:
    run(directory, mib)
print(round(peak_mib() - before))
"""
ROOT = Path(__file__).resolve().parent.parent


def grown_mib(directory: Path, mib: int, how: str) -> int:
    command = [sys.executable, "-c", MEMORY, str(directory), str(mib), how]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, check=True, env=environment, timeout=250)
    return int(done.stdout)


def test_sealing_sending_and_opening_take_the_same_memory_for_any_size(tmp_path: Path) -> None:
    assert grown_mib(tmp_path, 128, "streamed") <= 8
    assert grown_mib(tmp_path, 128, "whole") >= 100  # the control: it is measured
