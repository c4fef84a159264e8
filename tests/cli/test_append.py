"""Make a ledger and append to it: what is reported is durable, and soon."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ledgercore import Ledger, Receipt
from ledgercore._core import BODY_BYTES, verify_receipts
from ledgercore.cli import append
from tests.cli.command import COMMAND, objects, run, run_well


def test_init_makes_a_ledger_and_an_owner_only_key(tmp_path: Path) -> None:
    run_well("init", tmp_path / "b.ledger", "--origin", "test.example/log")

    assert (tmp_path / "b.ledger.key").stat().st_mode & 0o777 == 0o600
    with Ledger.open(tmp_path / "b.ledger") as opened:
        assert (opened.origin, opened.suite, opened.size) == ("test.example/log", "std", 1)


def test_init_takes_a_suite(tmp_path: Path) -> None:
    run_well("init", tmp_path / "c", "--origin", "test.example", "--suite", "c2sp")

    assert objects(run_well("show", tmp_path / "c", "--json"))[0]["suite"] == "c2sp"


def test_init_leaves_what_is_there(ledger: Path) -> None:
    before = [path.read_bytes() for path in (ledger, Path(f"{ledger}.key"))]

    done = run("init", ledger, "--origin", "other.example")

    assert done.returncode == 4
    assert b"exists already" in done.stderr
    assert [path.read_bytes() for path in (ledger, Path(f"{ledger}.key"))] == before


@pytest.mark.parametrize(
    ("origin", "reason"),
    [
        ("", "origin is '', want a name"),
        ("a\n", "origin is 'a\\n', want a name"),
        ("a\nb", "origin is 'a\\nb', want a name"),
        ("a b", "origin is 'a b', want a name"),
        ("a+b", "origin is 'a+b', want a name"),
        ("a\x7f", "origin is 'a\\x7f', want a name"),
        ("x" * 300, "origin has 300 bytes, want at most 255"),
        ("\N{EM DASH}" * 86, "origin has 258 bytes, want at most 255"),
    ],
)
def test_init_says_what_an_origin_must_be(tmp_path: Path, origin: str, reason: str) -> None:
    done = run("init", tmp_path / "b", "--origin", origin)

    assert done.returncode == 5
    assert done.stderr.decode().startswith(f"ledgercore: {reason}")
    assert list(tmp_path.iterdir()) == []


def test_init_takes_the_longest_origin(tmp_path: Path) -> None:
    run_well("init", tmp_path / "b", "--origin", "\N{EM DASH}" * 85)


@pytest.mark.parametrize(
    ("content", "code", "reason"),
    [(None, 4, b"key does not exist: bring back"), (b"", 5, b"key is empty: bring back")],
)
def test_append_without_the_key_says_what_to_do(
    ledger: Path, content: bytes | None, code: int, reason: bytes
) -> None:
    key = Path(f"{ledger}.key")
    key.unlink()
    if content is not None:
        key.write_bytes(content)

    done = run("append", ledger, "--lines", "-", data=b"line\n")

    assert done.returncode == code
    assert reason in done.stderr


def test_append_takes_lines_as_they_are(ledger: Path) -> None:
    lines = [b"plain", b"", b"carriage return\r", b"\xff\x00 bytes", b" spaces ", b"no newline"]

    printed = objects(run_well("append", ledger, "--lines", "-", "--json", data=b"\n".join(lines)))

    assert [each["index"] for each in printed] == [1, 2, 3, 4, 5, 6]
    with Ledger.open(ledger, read_only=True) as opened:
        for line, each in zip(lines, printed, strict=True):
            receipt = Receipt.decode(base64.b64decode(each["receipt"], validate=True))
            record = receipt.verify(line, opened.trust_anchor)
            assert (receipt.index, record.id.hex()) == (each["index"], each["id"])
            assert opened.record(each["index"]).body == line


def test_append_reads_a_file_whose_last_newline_ends_a_line(ledger: Path, tmp_path: Path) -> None:
    (tmp_path / "lines").write_bytes(b"one\n\nthree\n")

    printed = run_well("append", ledger, "--lines", tmp_path / "lines")

    assert len(printed.splitlines()) == 3


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_append_verifies_and_reports_many_lines_at_once(
    ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    counts: list[int] = []

    def verify(receipts: list[bytes], bodies: list[bytes], *more: Any) -> Any:
        counts.append(len(receipts))
        return verify_receipts(receipts, bodies, *more)

    monkeypatch.setattr(append, "verify_receipts", verify)
    lines = [b"line %d" % number for number in range(2500)]
    (tmp_path / "lines").write_bytes(b"\n".join(lines))

    done = CliRunner().invoke(
        append.command, [str(ledger), "--lines", str(tmp_path / "lines"), *options]
    )

    assert sum(counts) == 2500
    # The reader's first list ends with its last newline: one line more comes by itself.
    assert counts == [1024, 1024, 451, 1]
    shown = done.stdout.splitlines()
    with Ledger.open(ledger, read_only=True) as opened:
        for number, line in enumerate(lines, 1):
            record = opened.record(number)
            assert record.body == line
            if options:
                found = json.loads(shown[number - 1])
                assert (found["index"], found["id"]) == (number, record.id.hex())
                Receipt.decode(base64.b64decode(found["receipt"])).verify(line, opened.trust_anchor)
            else:
                assert shown[number - 1] == f"{number} {record.id.hex()}"
    assert len(shown) == 2500


def test_append_of_nothing_appends_nothing(ledger: Path) -> None:
    assert run_well("append", ledger, "--lines", "-", "--json") == b""
    with Ledger.open(ledger) as opened:
        assert opened.size == 1


def test_append_answers_each_line_before_the_next_one_comes(ledger: Path) -> None:
    """A program that waits for its receipt gets it, and the record is there for others by then."""
    command = [*COMMAND, "append", str(ledger), "--lines", "-", "--json"]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process,
        Ledger.open(ledger, read_only=True) as reader,
    ):
        assert process.stdin is not None and process.stdout is not None
        for number in range(1, 21):
            process.stdin.write(b"line %d\n" % number)
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            assert answer["index"] == number
            assert reader.record(number).body == b"line %d" % number
        process.stdin.close()

    assert process.returncode == 0


@pytest.mark.parametrize(
    ("answers", "ended_by"),
    [
        (1, signal.SIGKILL),
        (7, signal.SIGKILL),
        (300, signal.SIGKILL),
        (1, signal.SIGTERM),
        (300, signal.SIGTERM),
    ],
)
def test_append_that_is_killed_has_kept_what_it_reported(
    ledger: Path, answers: int, ended_by: signal.Signals
) -> None:
    """SIGTERM ends it as it ends a program that never heard of it: 143 in a shell."""
    command = [*COMMAND, "append", str(ledger), "--lines", "-", "--json"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(b"".join(b"line %d\n" % number for number in range(2_000)))
    process.stdin.flush()
    reported = [json.loads(process.stdout.readline()) for _ in range(answers)]

    process.send_signal(ended_by)
    rest = process.stdout.read()
    assert process.wait() == -ended_by
    process.stdin.close()
    process.stdout.close()

    reported += [json.loads(line) for line in rest.splitlines(keepends=True) if line[-1:] == b"\n"]
    with Ledger.open(ledger) as opened:
        opened.verify()
        for each in reported:
            receipt = Receipt.decode(base64.b64decode(each["receipt"]))
            record = receipt.verify(b"line %d" % (each["index"] - 1), opened.trust_anchor)
            assert opened.find(record.id) == each["index"]


def test_append_stops_at_a_line_that_is_too_long(ledger: Path) -> None:
    fits, long = b"x" * BODY_BYTES, b"x" * (BODY_BYTES + 1)

    done = run("append", ledger, "--lines", "-", data=b"\n".join([b"a", fits, long, b"after"]))

    assert done.returncode == 5
    assert b"line 3 has more than 64512 bytes" in done.stderr
    assert len(done.stdout.splitlines()) == 2
    with Ledger.open(ledger) as opened:
        assert opened.size == 3


def test_append_does_not_wait_for_the_end_of_an_endless_line(ledger: Path) -> None:
    command = [*COMMAND, "append", str(ledger), "--lines", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stderr is not None
        process.stdin.write(bytes(BODY_BYTES + 1))
        process.stdin.flush()
        process.wait(timeout=60)
        assert b"line 1 has more than" in process.stderr.read()

    assert process.returncode == 5


def test_append_waits_for_no_other_writer(ledger: Path) -> None:
    with Ledger.open(ledger):
        done = run("append", ledger, "--lines", "-", data=b"line\n")

    assert done.returncode == 4
    assert b"another writer" in done.stderr


def test_append_without_a_reader_of_its_output(ledger: Path) -> None:
    command = [*COMMAND, "append", str(ledger), "--lines", "-", "--json"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin and process.stdout and process.stderr
    process.stdout.close()
    process.stdin.write(b"line\n")
    process.stdin.close()
    complaint = process.stderr.read()
    process.stderr.close()

    assert process.wait(timeout=60) == 4
    assert complaint == b""
    run_well("audit", ledger)


@pytest.mark.usefixtures("interruptible")
def test_interrupt_ends_quietly_and_keeps_what_was_reported(ledger: Path) -> None:
    command = [*COMMAND, "append", str(ledger), "--lines", "-"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin and process.stdout and process.stderr
    process.stdin.write(b"line\n")
    process.stdin.flush()
    assert process.stdout.readline().startswith(b"1 ")

    process.send_signal(signal.SIGINT)
    output, complaint = process.communicate(timeout=60)

    assert process.returncode == 130
    assert (output, complaint) == (b"", b"ledgercore: interrupted\n")
    with Ledger.open(ledger) as opened:
        assert opened.size == 2


@pytest.mark.usefixtures("interruptible")
def test_interrupt_for_machines_is_one_object(ledger: Path) -> None:
    command = [*COMMAND, "append", str(ledger), "--lines", "-", "--json"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin and process.stdout
    process.stdin.write(b"line\n")
    process.stdin.flush()
    process.stdout.readline()

    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)

    assert process.returncode == 130
    assert objects(complaint) == [
        {"error": "Interrupted", "message": "interrupted", "exit_code": 130}
    ]


def test_a_key_that_others_may_read_is_refused_with_nothing_appended(ledger: Path) -> None:
    Path(f"{ledger}.key").chmod(0o644)

    done = run("append", ledger, "--lines", "-", data=b"line\n")

    assert (done.returncode, done.stdout) == (4, b"")
    assert f"chmod 600 {ledger}.key".encode() in done.stderr
    Path(f"{ledger}.key").chmod(0o600)
    assert run_well("append", ledger, "--lines", "-", data=b"line\n").startswith(b"1 ")
