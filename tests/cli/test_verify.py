"""Verify a receipt from files alone, and refuse what differs in one byte."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ledgercore import LedgerError, MalformedError, Receipt, parse_anchor
from tests.cli.command import objects, run, run_well, verify
from tests.vector_files import VECTORS


@pytest.mark.parametrize("form", ["raw", "text"])
def test_verify_takes_bytes_and_base64(case: Path, form: str) -> None:
    done = verify(case, form)

    assert (done.returncode, done.stderr) == (0, b"")
    assert b"verified  yes" in done.stdout


@pytest.mark.parametrize(("width", "ending"), [(76, b"\n"), (64, b"\r\n"), (76, b"")])
def test_verify_takes_base64_that_is_wrapped(case: Path, width: int, ending: bytes) -> None:
    """As coreutils' base64 and PEM wrap it; what is no base64 in one line is none in several."""
    text = base64.b64encode((case / "raw").read_bytes())
    lines = [text[at : at + width] for at in range(0, len(text), width)]
    (case / "wrapped").write_bytes((ending or b"\n").join(lines) + ending)
    (case / "spaced").write_bytes(b"\n".join([lines[0] + b" ", *lines[1:]]))

    assert verify(case, "wrapped").returncode == 0
    assert verify(case, "spaced").returncode == 5


def test_verify_needs_no_ledger(case: Path) -> None:
    for path in case.glob("a.ledger*"):
        path.unlink()

    assert verify(case).returncode == 0


def test_verify_refuses_every_flipped_byte(case: Path) -> None:
    """In this process, through the same functions: a process for each would take minutes."""
    raw, anchor = (case / "raw").read_bytes(), parse_anchor((case / "anchor.toml").read_text())
    Receipt.decode(raw).verify(b"one record", anchor)
    for at in range(len(raw)):
        changed = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        with pytest.raises(LedgerError):
            Receipt.decode(changed).verify(b"one record", anchor)
    (case / "changed").write_bytes(changed)

    assert verify(case, "changed").returncode in (1, 5)


@pytest.mark.parametrize(("end", "code"), [(100, 5), (None, 1)])
def test_verify_names_the_file_that_is_damaged(case: Path, end: int | None, code: int) -> None:
    receipt = Receipt.decode((case / "raw").read_bytes())
    changed = Receipt(
        index=receipt.index,
        path=[bytes(32) for _ in receipt.path],
        checkpoint=receipt.checkpoint,
        envelope=receipt.envelope,
    )
    (case / "damaged").write_bytes(changed.encode()[:end])

    done = verify(case, "damaged")

    assert (done.returncode, done.stdout) == (code, b"")
    remedy = f" ({case / 'damaged'} was changed or cut off: ask for it again)\n"
    assert done.stderr.decode().endswith(remedy)


def test_verify_refuses_another_record(case: Path) -> None:
    (case / "other").write_bytes(b"one recorD")

    done = verify(case, record="other")

    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode() == (
        f"ledgercore: signature does not verify: {case / 'other'} is not the body of record 1 of "
        "test.example/log, of which this receipt is, or the receipt was changed; whoever has the "
        "ledger writes that body with ledgercore show LEDGER --index 1 --body\n"
    )


def test_verify_blames_no_record_for_a_checkpoint(case: Path) -> None:
    receipt = Receipt.decode((case / "raw").read_bytes())
    text, _, signature = receipt.checkpoint.rpartition(" ")
    forged = signature[:20] + ("B" if signature[20] == "A" else "A") + signature[21:]
    (case / "forged").write_bytes(
        Receipt(
            index=receipt.index,
            path=receipt.path,
            checkpoint=f"{text} {forged}",
            envelope=receipt.envelope,
        ).encode()
    )

    done = verify(case, "forged")

    assert done.returncode == 1
    assert b"signature" in done.stderr
    assert b"is not the body" not in done.stderr


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_verify_explains_a_newline_too_many(case: Path, ending: bytes) -> None:
    (case / "other").write_bytes(b"one record" + ending)

    done = verify(case, record="other")

    assert done.returncode == 1
    assert b"ends in a newline that the record does not have" in done.stderr


def test_verify_refuses_another_ledgers_anchor(case: Path, tmp_path: Path) -> None:
    run_well("init", tmp_path / "b.ledger", "--origin", "test.example/log")
    (case / "anchor.toml").write_bytes(run_well("anchor", tmp_path / "b.ledger"))

    done = verify(case)

    assert done.returncode == 1
    assert b"not signed by test.example/log" in done.stderr


def spare_bits(text: str) -> str:
    """The same bytes for a lenient decoder: another last letter before the padding."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    body = text.rstrip("=\n")
    return body[:-1] + letters[letters.index(body[-1]) ^ 1] + text[len(body) :]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: " " + text,
        lambda text: text[:8] + "\n" + text[8:],
        lambda text: text + "\n",
        lambda text: text.replace("A", "_", 1),
        lambda text: text[:-3] + "\n",
    ],
)
def test_verify_takes_base64_in_one_form_only(case: Path, change: Callable[[str], str]) -> None:
    (case / "text").write_text(change((case / "text").read_text()))

    assert verify(case, "text").returncode == 5


def test_verify_refuses_base64_with_spare_bits(ledger: Path, case: Path) -> None:
    """Receipts of three lengths, of which some have bits to spare."""
    checked = 0
    for size in range(3):
        lines = b"x" * size + b"\n"
        (line,) = objects(run_well("append", ledger, "--lines", "-", "--json", data=lines))
        if line["receipt"].endswith("="):
            changed = spare_bits(line["receipt"])
            assert base64.b64decode(changed) == base64.b64decode(line["receipt"])
            (case / "text").write_text(changed)
            assert verify(case, "text").returncode == 5
            checked += 1

    if not checked:
        pytest.skip("all three receipts were whole groups of three bytes")


def test_verify_asks_for_the_record_of_a_receipt(case: Path) -> None:
    done = run("verify", case / "raw", "--anchor", case / "anchor.toml")

    assert done.returncode == 2
    assert b"add --record FILE" in done.stderr


@pytest.mark.parametrize(
    ("got", "want"),
    [
        ("quorum = 99999999999999999999", "quorum is 99999999999999999999, want 0 to 0"),
        ("quorum = 1", "quorum is 1, want 0 to 0"),
        ("quorum = -1", "quorum is -1, want 0 to 0"),
        ("quorum = " + "9" * 5000, "anchor is not TOML: "),
        ("quorum = " + "[" * 20_000 + "]" * 20_000, "anchor is nested too deeply"),
        ("quorum = 'none'", "anchor has quorum that is text, want a whole number"),
        ("quorum = true", "anchor has quorum that is true or false, want a whole number"),
        ("", "anchor has no quorum, want one that is a whole number"),
        (
            "quorum = 0\n[[witness]]\nname = 1\nkey = ''",
            "witness has name that is a whole number, want text",
        ),
        ("quorum = 0 # \\udcff", "anchor has a lone surrogate at "),
    ],
)
def test_anchor_that_is_none_is_malformed(case: Path, got: str, want: str) -> None:
    text = (case / "anchor.toml").read_text()
    changed = text.replace("quorum = 0", got.replace("\\udcff", "\udcff"))

    with pytest.raises(MalformedError, match=f"^{want}"):
        parse_anchor(changed)

    if "\udcff" not in changed:
        (case / "anchor.toml").write_text(changed)
        done = verify(case)
        assert (done.returncode, done.stdout) == (5, b"")
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "looks"),
    [
        ("empty", "an empty file"),
        ("a.ledger", "a ledger or a vault"),
        ("a.ledger.key", "a key"),
        ("anchor.toml", "a trust anchor"),
        ("kept", "a signed checkpoint"),
        ("json", "JSON that holds a receipt: take its receipt alone"),
        ("record", "a file of another kind"),
    ],
)
def test_verify_says_what_it_was_given(case: Path, name: str, looks: str) -> None:
    (case / "empty").touch()
    for file, command in {
        "kept": ("show", "a.ledger", "--checkpoint"),
        "json": ("prove", "a.ledger", "--index", "1", "--json"),
    }.items():
        (case / file).write_bytes(run_well(*command, directory=case))

    alone = run("verify", name, "--anchor", "anchor.toml", directory=case)
    beside = run(*("verify", name, "--anchor", "anchor.toml", "--record", "record"), directory=case)

    assert (alone.returncode, beside.returncode) == (5, 5)
    said = f"ledgercore: {name} is not an evidence pack or a receipt: it looks like {looks}\n"
    assert alone.stderr.decode() == said
    assert beside.stderr.decode() == said.replace("an evidence pack or a receipt", "a receipt")


@pytest.mark.parametrize(
    ("encoding", "looks"),
    [
        ("utf-8-sig", "text behind a byte order mark, want UTF-8 without one"),
        ("utf-16", "text in UTF-16, want UTF-8"),
    ],
)
def test_verify_says_what_an_editor_made_of_an_anchor(
    case: Path, encoding: str, looks: str
) -> None:
    (case / "anchor.toml").write_text((case / "anchor.toml").read_text(), encoding=encoding)

    done = verify(case)

    assert done.returncode == 5
    assert "is not a trust anchor (" in done.stderr.decode()
    assert f"it looks like {looks};" in done.stderr.decode()


@pytest.mark.parametrize(
    ("name", "looks"), [("record", "a file of another kind"), ("raw", "a receipt")]
)
def test_verify_says_which_of_its_files_is_another(case: Path, name: str, looks: str) -> None:
    growth = json.dumps({"proof": [], "checkpoint": ""})
    (case / "growth").write_text(growth)
    kept = ("--anchor", "anchor.toml", "--checkpoint")
    given = {
        "is not a trust anchor (": ("verify", "raw", "--anchor", name, "--record", "record"),
        "is not a signed checkpoint (": ("verify", "growth", *kept, name),
        "is not what prove --since prints: ": ("verify", name, *kept, "growth"),
    }

    for said, arguments in given.items():
        done = run(*arguments, directory=case)

        assert done.returncode == 5
        assert done.stderr.decode().startswith(f"ledgercore: {name} {said}")
        assert f": it looks like {looks}" in done.stderr.decode()


@pytest.mark.parametrize(
    ("file", "name", "shown"),
    [
        ("std-totals", "totals", {"consumer": "bank", "decisions": 3, "amount": 2**53 + 1_000_00}),
        ("c2sp-equivocations", "equivocation", {"equivocation": True, "sequence": 0}),
        ("c2sp-states", "state-receipt-consent-revoked", {"status": "REVOKED"}),
    ],
)
def test_verify_takes_vectors_of_the_specification(
    tmp_path: Path, file: str, name: str, shown: dict[str, object]
) -> None:
    table = json.loads((VECTORS / f"{file}.json").read_text())
    vectors = {each["name"]: base64.b64decode(each["data"]) for each in table["vectors"]}
    (tmp_path / "proof").write_bytes(vectors[name])
    (tmp_path / "anchor.toml").write_text(table["anchor"])

    (facts,) = objects(
        run_well("verify", "proof", "--anchor", "anchor.toml", "--json", directory=tmp_path)
    )

    assert facts.items() >= {"verified": True, **shown}.items()
