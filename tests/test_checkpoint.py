"""Checkpoints, and the notes that sign them, held to C2SP by a judge of our own.

The judge reads signed-note and tlog-cosignature anew, on the signatures of ``cryptography``. An
anchor's text and its verifier keys are in test_receipt.py.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature as BadSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from ledgercore import Anchor, Checkpoint, SigningKey, cosign_checkpoint
from ledgercore._core import sign_checkpoint
from ledgercore.errors import InvalidError, InvalidSignature, LimitError, MalformedError
from tests.examples import examples

ORIGIN = "tax.example/exchange"
SEED = bytes(32)
KEY = SigningKey(SEED)
NAMES = [f"witness-{number}.example" for number in (1, 2, 3)]
SEEDS = {name: name.encode().ljust(32, b"\0") for name in NAMES}
ROOT, BLOCK, STATE = bytes(range(32)), b"\xfb" * 32, b"\xff" * 32

NAME = r"[^\s+\x00-\x1f\x7f-\x9f]+"
HASH = "[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]="
NUMBER = "(?:0|[1-9][0-9]*)"
TEXT = rf"({NAME})\n{NUMBER}\n{HASH}\nblock {NUMBER} {HASH}\nstate {HASH}"
LINE = rf"— ({NAME}) ([A-Za-z0-9+/]+=*)"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def public(seed: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def key_id(name: str, algorithm: int, key: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + bytes([algorithm]) + key).digest()[:4]


def line(name: str, algorithm: int, seed: bytes, body: bytes) -> str:
    return f"— {name} {b64(key_id(name, algorithm, public(seed)) + body)}\n"


def plain(name: str, seed: bytes, text: str) -> str:
    """A signature line (0x01)."""
    return line(name, 1, seed, Ed25519PrivateKey.from_private_bytes(seed).sign(text.encode()))


def cosignature(name: str, seed: bytes, text: str, time_s: int = 1_700_000_000) -> str:
    """A cosignature line (0x04)."""
    message = f"cosignature/v1\ntime {time_s}\n{text}".encode()
    signature = Ed25519PrivateKey.from_private_bytes(seed).sign(message)
    return line(name, 4, seed, time_s.to_bytes(8, "big") + signature)


def judged(note: str, trusted: Anchor) -> bool:
    """Whether a note of a checkpoint holds under an anchor."""
    text, _, signatures = note.rpartition("\n\n")
    lines = [re.fullmatch(LINE, each) for each in signatures.split("\n")]
    origin = re.fullmatch(TEXT, text)
    if lines.pop() or signatures[-1:] != "\n" or not origin or origin[1] != trusted.origin:
        return False
    operator = trusted.origin, key_id(trusted.origin, 1, trusted.operator_key)
    known = {(name, key_id(name, 4, key)): key for name, key in trusted.witnesses}
    known[operator] = trusted.operator_key
    signers = set()
    for each in lines:
        body = base64.b64decode(each[2] + "==") if each else b""
        if not each or b64(body) != each[2] or len(body) <= 4:
            return False
        signer, time_s = (each[1], body[:4]), int.from_bytes(body[4:12], "big")
        claim = body[12:], f"cosignature/v1\ntime {time_s}\n{text}\n".encode()
        claim = (body[4:], f"{text}\n".encode()) if signer == operator else claim
        try:
            if signer in known:
                Ed25519PublicKey.from_public_bytes(known[signer]).verify(*claim)
                signers.add(signer)
        except BadSignature:
            return False
    return operator in signers and len(signers) > trusted.quorum


def checkpoint(origin: str = ORIGIN, size: int = 3) -> Checkpoint:
    return Checkpoint(
        origin=origin, size=size, root=ROOT, height=1, block_hash=BLOCK, state_root=STATE
    )


def anchor(quorum: int = 0, witnesses: int = 3, origin: str = ORIGIN) -> Anchor:
    return Anchor(
        origin=origin,
        network=bytes(range(16)),
        suite="std",
        operator_key=public(SEED),
        witnesses=[(name, public(SEEDS[name])) for name in NAMES[:witnesses]],
        quorum=quorum,
    )


PLAIN = checkpoint().format()
OPERATOR = plain(ORIGIN, SEED, PLAIN)
SIGNED = f"{PLAIN}\n{OPERATOR}"
COSIGNED = [cosignature(name, SEEDS[name], PLAIN) for name in NAMES]

HASHES, NUMBERS = st.binary(min_size=32, max_size=32), st.integers(0, 2**64 - 1)
ORIGINS = st.from_regex(NAME, fullmatch=True).filter(lambda name: len(name.encode()) < 256)
FIELDS = ("origin", "size", "root", "height", "block_hash", "state_root")


@examples()
@given(st.tuples(ORIGINS, NUMBERS, HASHES, NUMBERS, HASHES, HASHES))
def test_a_checkpoint_is_the_text_of_its_parts(parts: Any) -> None:
    made = Checkpoint(**dict(zip(FIELDS, parts, strict=True)))
    origin, size, root, height, block, state = parts
    text = f"{origin}\n{size}\n{b64(root)}\nblock {height} {b64(block)}\nstate {b64(state)}\n"

    for read in (Checkpoint.parse(text), Checkpoint.parse(sign_checkpoint(made, KEY))):
        assert read == made and made.format() == read.format() == text
        assert tuple(getattr(read, name) for name in FIELDS) == parts


@pytest.mark.parametrize(
    ("part", "others", "reason"),
    [
        ("3\n", "03\n,+3\n,00\n", "one form"),
        ("3\n", f"-3\n, 3\n,3 \n,3.0\n,0x3\n,3\r\n,٣\n,{1 << 64}\n", "^size is"),
        ("block 1 ", "block 01 ,block +1 ", "one form"),
        ("block 1 ", f"block  1 ,block -1 ,block {1 << 64} ", "^height is"),
        ("block 1 ", "Block 1 ,BLOCK 1 , block 1 ,block\t1 ,block,", "^line 4"),
        ("state ", "State ,STATE ,state\t,root ,,state  ,state block ", "^line 5|^state root"),
        (b64(ROOT), f"{b64(ROOT)[:-1]},{b64(ROOT)}=,{b64(ROOT)[:-2]}9=,{ROOT.hex()}", "^root is"),
        (b64(ROOT), f" {b64(ROOT)},{b64(ROOT)}\r,{b64(ROOT)[:40]},{b64(ROOT)}AAAA", "^root is"),
        (b64(STATE), f"{b64(STATE).replace('/', '_')},{b64(STATE)[:-2]}//", "^state root is"),
        (b64(BLOCK), f"{b64(BLOCK).replace('+', '-')},{b64(BLOCK)[:-2]}t=", "^block hash is"),
        (ORIGIN, "a b,a+b,a\t,a\0,a\x7f,a\x85,a\xa0,a\u2028,", "^origin is"),
        (ORIGIN, "x" * 256 + "," + "é" * 128, "^name bytes is 256, want at most 255"),
    ],
)
def test_another_form_of_a_part_is_refused(part: str, others: str, reason: str) -> None:
    assert PLAIN.count(part) == 1
    for other, end in itertools.product(others.split(","), ("", "\n" + OPERATOR)):
        with pytest.raises(MalformedError, match=reason):
            Checkpoint.parse(PLAIN.replace(part, other) + end)
    if part == ORIGIN:
        with pytest.raises(MalformedError, match=reason):
            checkpoint(others.split(",")[0])


def test_another_order_or_number_of_lines_is_refused() -> None:
    lines = PLAIN.splitlines(keepends=True)
    wrong = {"".join(order) for order in itertools.permutations(lines)} - {PLAIN}
    wrong |= {"".join(lines[:at] + lines[at + 1 :]) for at in range(5)}
    for extra in (*lines, "x\n", "\n"):
        wrong |= {"".join([*lines[:at], extra, *lines[at:]]) for at in range(6)}
    wrong |= {PLAIN[:-1], PLAIN + "\0", PLAIN.replace("\n", "\r\n"), ""}

    assert len(wrong) > 150
    for text in wrong:
        with pytest.raises(MalformedError):
            Checkpoint.parse(text)
    with pytest.raises(LimitError, match=r"^checkpoint bytes is 16385, want at most 16384$"):
        Checkpoint.parse("x" * 16385)


def test_notes_and_cosignatures_are_those_of_another_implementation() -> None:
    note = sign_checkpoint(checkpoint(), KEY)
    assert note == SIGNED
    for name, time_s in zip(NAMES, (0, 1_700_000_000, 2**63 - 1), strict=True):
        before, note = note, cosign_checkpoint(note, name, SigningKey(SEEDS[name]), time_s)
        assert note == before + cosignature(name, SEEDS[name], PLAIN, time_s)

    accepted(note, anchor(3))
    assert Checkpoint.parse(note) == checkpoint()


def refused(note: str, trusted: Anchor, reason: str) -> None:
    """Package and judge refuse alike."""
    assert not judged(note, trusted)
    with pytest.raises((MalformedError, InvalidError), match=reason) as caught:
        trusted.verify_checkpoint(note)
    forged = str(caught.value).startswith("signature of ")
    assert isinstance(caught.value, InvalidSignature) == forged


def accepted(note: str, trusted: Anchor) -> None:
    assert judged(note, trusted)
    assert trusted.verify_checkpoint(note) == checkpoint()


def test_any_k_of_n_witnesses_are_enough_and_fewer_are_not() -> None:
    for count, quorum in itertools.product(range(4), range(4)):
        for lines in itertools.permutations(COSIGNED, count):
            note = SIGNED + "".join(lines)
            if count >= quorum:
                accepted(note, anchor(quorum))
            else:
                refused(note, anchor(quorum), f"cosigned by {count} witnesses, want {quorum}$")


def test_a_witness_counts_once_however_often_it_cosigned() -> None:
    later = cosignature(NAMES[0], SEEDS[NAMES[0]], PLAIN, 1_700_000_001)
    for again in (COSIGNED[0], later, COSIGNED[0] * 9 + later):
        accepted(SIGNED + COSIGNED[0] + again, anchor(1))
        refused(SIGNED + COSIGNED[0] + again, anchor(2), "cosigned by 1 witnesses, want 2")
        accepted(SIGNED + COSIGNED[0] + again + COSIGNED[2], anchor(2))


def unknown() -> list[str]:
    """Lines of signers that the anchor does not name, one way or another."""
    name, seed = NAMES[1], SEEDS[NAMES[1]]
    return [
        cosignature("unknown.example", seed, PLAIN),
        cosignature(name, SEEDS[NAMES[0]], PLAIN),
        cosignature(ORIGIN, SEED, PLAIN),
        plain(name, seed, PLAIN),
        *(f"— {name} {b64(bytes(size))}\n" for size in (5, 76, 5004)),
        f"— {ORIGIN} {b64(bytes(68))}\n",
    ]


def test_lines_of_unknown_signers_are_passed_over_and_do_not_count() -> None:
    for strange in unknown():
        for lines in itertools.permutations([OPERATOR, COSIGNED[0], strange]):
            accepted(PLAIN + "\n" + "".join(lines), anchor(1))
        refused(SIGNED + strange, anchor(1), "cosigned by 0 witnesses, want 1")
        refused(f"{PLAIN}\n{strange}{COSIGNED[0]}", anchor(1), f"not signed by {ORIGIN}$")


def test_a_wrong_line_of_a_known_key_refuses_the_whole_note() -> None:
    other, name, seed = checkpoint(size=4).format(), NAMES[2], SEEDS[NAMES[2]]
    body = base64.b64decode(COSIGNED[2].split()[-1])[4:]
    bodies = [b"\0", body[:8], body[:-1], body + b"\0", body[8:], bytes(8) + body[8:]]
    for bad in [cosignature(name, seed, other), *(line(name, 4, seed, each) for each in bodies)]:
        for lines in ([bad], [bad, COSIGNED[2]], [COSIGNED[2], bad], [*COSIGNED, bad]):
            refused(SIGNED + "".join(lines), anchor(), f"signature of {name} on the note")
        accepted(SIGNED + bad, anchor(witnesses=2))
    for bad in [plain(ORIGIN, SEED, other), *(line(ORIGIN, 1, SEED, each) for each in bodies)]:
        for lines in ([bad], [bad, OPERATOR], [OPERATOR, bad]):
            refused(PLAIN + "\n" + "".join(lines), anchor(), f"signature of {ORIGIN} on the note")


def test_another_origin_or_operator_is_refused() -> None:
    refused(SIGNED, anchor(origin="x"), f"^checkpoint is of {ORIGIN}, want x$")
    forged = sign_checkpoint(checkpoint(), SigningKey(SEEDS[NAMES[0]]))
    for note in (forged, f"{PLAIN}\n{OPERATOR.replace(ORIGIN, 'x')}"):
        refused(note, anchor(), f"^note is not signed by {ORIGIN}$")
        accepted(note + OPERATOR, anchor())


def test_the_number_of_signature_lines_and_of_bytes_has_a_limit() -> None:
    accepted(SIGNED + COSIGNED[0] * 63, anchor(1))
    for add in (lambda note: note + COSIGNED[0], lambda note: cosign_checkpoint(note, "x", KEY, 1)):
        with pytest.raises(LimitError, match=r"^signature lines is 65, want at most 64$"):
            anchor().verify_checkpoint(add(SIGNED + COSIGNED[0] * 63))
    with pytest.raises(LimitError, match=r"^note bytes is 163\d\d, want at most 16384$"):
        anchor().verify_checkpoint(f"{SIGNED}— x {'A' * (16384 - len(SIGNED))}\n")


def test_signature_lines_have_one_form_whoever_signed() -> None:
    forms = "- N B|— N  B|—  N B|— B|— N| — N B|— N B |— N B\r|— a+N B|— a\tN B|— N =B|— N B=|x|"
    forms += "|— N _B|— N bm9uZQ==|— N AAAAAAB=|— N AAAAAAA|— N B B"
    for good in (unknown()[0], COSIGNED[1]):
        accepted(SIGNED + good, anchor())
        for form in forms.split("|"):
            bad = form.replace("N", good.split()[1]).replace("B", good.split()[2])
            refused(
                f"{SIGNED}{bad}\n", anchor(), "^signature line is|in a newline|in an empty line"
            )
            refused(f"{PLAIN}\n{bad}\n{OPERATOR}", anchor(), "^signature line is|^checkpoint has")
    for bad in (SIGNED[:-1], SIGNED + "\n", PLAIN + "\n", PLAIN, "\n" + SIGNED, SIGNED + SIGNED):
        refused(bad, anchor(), "newline|empty line|^signature line is|^checkpoint has")


@pytest.mark.parametrize(("witnesses", "quorum"), [(2, 2), (2, 1), (0, 0)])
def test_every_flipped_bit_of_a_note_is_judged_alike(witnesses: int, quorum: int) -> None:
    """A flip goes through only where it leaves, or makes, a line of an unknown signer."""
    strange, trusted = unknown()[0], anchor(quorum, witnesses)
    note = f"{SIGNED}{strange}{COSIGNED[0]}{COSIGNED[1]}".encode()
    accepted(note.decode(), trusted)
    passed = set()
    for at, bit in itertools.product(range(len(note)), range(8)):
        wrong = note[:at] + bytes([note[at] ^ 1 << bit]) + note[at + 1 :]
        flipped = wrong.decode(errors="replace")  # As bytes, in a receipt, it is no text any more.
        if judged(flipped, trusted):
            accepted(flipped, trusted)
            passed.add((note[:at].count(b"\n") - 6, at - note.rfind(b"\n", 0, at) - 1))
        else:
            refused(flipped, trusted, ".")
    # Of a line that the quorum does not need, the name and the id: the first six characters.
    named = {at for row, at in passed if row > 1 and witnesses}
    assert {row for row, _ in passed} == ({1} if quorum == 2 else {1, 2, 3})
    assert max(named, default=0) < len(f"— {NAMES[0]} ".encode()) + 6
