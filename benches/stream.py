"""Measure sealing, receiving and opening a stream, beside the cipher alone in the same run.

    python benches/stream.py --mib 1024

Content is generated; sealed chunks go through files in a temporary directory. Rounds are
interleaved, and the medians are printed with the peak memory of the process: it does not grow with
the size.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ledgercore.exchange.stream import (
    CHUNK_BYTES,
    Manifest,
    Sealed,
    StreamReader,
    seal_stream,
)
from ledgercore.exchange.transfer import Receiver, send_chunks

KEY = bytes(range(32))
SUITE = "std"
PATTERN = bytes(range(251)) * (2 * CHUNK_BYTES // 251)


class Generated(io.RawIOBase):
    """A file of so many bytes that is nowhere."""

    def __init__(self, size: int) -> None:
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        count = min(len(buffer), self._left, len(PATTERN))
        buffer[:count] = PATTERN[:count]
        self._left -= count
        return count


def seal(directory: Path, mib: int) -> Sealed:
    content = io.BufferedReader(Generated(mib * 1024 * 1024), CHUNK_BYTES)
    with (directory / "sealed").open("wb") as sealed, (directory / "hashes").open("wb") as hashes:
        return seal_stream(content, sealed, hashes, KEY, SUITE)


def receive(directory: Path, stream: Sealed) -> None:
    manifest = Manifest("ledgercore stream v1", stream.size_bytes, stream.root, b"")
    with (
        (directory / "sealed").open("rb") as sealed,
        (directory / "hashes").open("rb") as hashes,
        (directory / "received").open("w+b") as partial,
    ):
        receiver = Receiver(manifest, hashes, partial, SUITE)
        for chunk in send_chunks(sealed, manifest):
            receiver.take(chunk)
        receiver.finish()


def open_all(directory: Path, stream: Sealed) -> None:
    with (directory / "received").open("rb") as sealed:
        reader = StreamReader(sealed, stream.size_bytes, KEY)
        reader.verify(stream.content_root, SUITE)


def run(directory: Path, mib: int) -> None:
    """Seal, receive and open a stream once."""
    stream = seal(directory, mib)
    receive(directory, stream)
    open_all(directory, stream)


def cipher_alone(mib: int) -> None:
    """What no sealing can be faster than: the same chunks, encrypted and forgotten."""
    cipher, chunk = AESGCM(KEY), PATTERN[:CHUNK_BYTES]
    for number in range(mib * 1024 * 1024 // CHUNK_BYTES):
        cipher.encrypt(number.to_bytes(12, "big"), chunk, None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    seconds: dict[str, list[float]] = {}

    def timed(name: str, work: Callable[[], object]) -> object:
        begin = time.perf_counter()
        result = work()
        seconds.setdefault(name, []).append(time.perf_counter() - begin)
        return result

    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for _ in range(given.rounds):
            timed("AES-256-GCM alone", lambda: cipher_alone(given.mib))
            stream = timed("seal", partial(seal, directory, given.mib))
            assert isinstance(stream, Sealed)
            timed("receive", partial(receive, directory, stream))
            timed("open", partial(open_all, directory, stream))
    best = statistics.median(seconds["AES-256-GCM alone"])
    for what, times in seconds.items():
        median = statistics.median(times)
        print(f"{what:18} {given.mib / median:7.0f} MiB/s  {best / median:.2f} of the cipher")
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line) // 1024
    print(f"peak memory {peak} MiB, streams of {given.mib} MiB")


if __name__ == "__main__":
    main()
