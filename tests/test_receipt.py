"""Receipts, verified with and without the package; and the text of the anchor they hold under.

Signatures here are of ``cryptography``, hashes of ``tests/reference.py``; records of the package.
"""

from __future__ import annotations

import copy
import itertools
import pickle
import tomllib
from pathlib import Path
from typing import Any

import msgpack
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ledgercore import (
    Anchor,
    Checkpoint,
    InvalidProof,
    Ledger,
    Receipt,
    Record,
    SigningKey,
    cosign_checkpoint,
)
from ledgercore._core import Map, format_verifier_key, parse_verifier_key
from ledgercore.anchor import format_anchor, parse_anchor
from ledgercore.errors import InvalidError, InvalidSignature, MalformedError, UntrustedError
from tests import reference
from tests import test_checkpoint as notes
from tests.test_checkpoint import NAMES, ORIGIN, SEED, SEEDS, b64, public

NETWORK, HEX = bytes(range(16)), bytes(range(16)).hex()
USER, OTHER = SigningKey(bytes([1]) * 32), SigningKey(bytes([2]) * 32)
KNOWN = [(name, public(SEEDS[name])) for name in NAMES]
STATES = {b"consent/1": b"\x91\x01", b"consent/2": b"\x91\x02"}
BODIES = [b"body %d" % number for number in range(13)]
SUITES = pytest.mark.parametrize("suite", ["std", "c2sp"])


def signed(suite: str, size: int, root: bytes) -> str:
    """The note of a checkpoint, cosigned by two of the three witnesses."""
    text = f"{ORIGIN}\n{size}\n{b64(root)}\nblock 1 {b64(bytes(32))}\n"
    text += f"state {b64(reference.map_root(suite, STATES))}\n"
    cosigned = [notes.cosignature(name, SEEDS[name], text) for name in NAMES[:2]]
    return "\n".join([text, notes.plain(ORIGIN, SEED, text) + "".join(cosigned)])


def whole(suite: str, records: list[Record], index: int) -> dict[str, Any]:
    """The parts of a receipt for one of the records, which are the whole tree."""
    leaves = [reference.leaf(suite, record.encode()) for record in records]
    return {
        "index": index,
        "path": reference.inclusion(suite, index, leaves),
        "checkpoint": signed(suite, len(leaves), reference.root(suite, leaves)),
        "envelope": records[index].envelope(),
        "state": Map(suite).update(list(STATES.items())).prove(b"consent/1", b"\x91\x01"),
    }


def chain(suite: str = "std", size: int = 5) -> list[Record]:
    batch = USER.sign_batch(suite, NETWORK, "data", BODIES, sequence=0, previous=bytes(32))
    return [batch[at] for at in range(size)]


def parts(suite: str = "std", index: int = 2, size: int = 5) -> dict[str, Any]:
    return whole(suite, chain(suite, size), index)


def made(suite: str = "std", index: int = 2, size: int = 5, /, **changes: Any) -> bytes:
    return Receipt(**{**parts(suite, index, size), **changes}).encode()


def anchor(suite: str = "std", **changes: Any) -> Anchor:
    usual = {"origin": ORIGIN, "network": NETWORK, "operator_key": public(SEED)}
    return Anchor(**{"suite": suite, "witnesses": KNOWN[:2], "quorum": 2, **usual, **changes})


ANCHOR = anchor()
UNSIGNED = "^signature does not verify$"  # by the record's signer


def judge(data: bytes, body: bytes, trusted: Anchor) -> None:
    """Hold a receipt to the anchor without the package."""
    version, index, path, note, envelope, _ = msgpack.unpackb(data)
    header, signature = msgpack.unpackb(envelope)
    assert (version, header[0], header[1], header[10]) == (1, 1, trusted.network, None)
    header[10] = body
    identity = reference.domain_hash(trusted.suite, "record", msgpack.packb(header))
    message = b"\x14ledgercore record v1" + trusted.network + identity
    Ed25519PublicKey.from_public_bytes(header[4]).verify(signature, message)
    _, size, root = note.decode().split("\n")[:3]
    leaf = reference.leaf(trusted.suite, msgpack.packb([header, signature]))
    for side, sibling in zip(reference.sides(index, int(size)), path, strict=True):
        left, right = (sibling, leaf) if side == "left" else (leaf, sibling)
        leaf = reference.node(trusted.suite, left, right)
    assert b64(leaf) == root and notes.judged(note.decode(), trusted)


def sound(data: bytes, trusted: Anchor = ANCHOR, body: bytes = BODIES[2]) -> Receipt:
    judge(data, body, trusted)
    receipt = Receipt.decode(data)
    record = receipt.verify(body, trusted)
    assert (record.body, record.envelope(), receipt.encode()) == (body, receipt.envelope, data)
    return receipt


def refused(
    data: bytes, kind: Any, reason: str = ".", trusted: Anchor = ANCHOR, body: bytes = BODIES[2]
) -> None:
    with pytest.raises(kind, match=reason):
        Receipt.decode(data).verify(body, trusted)


@SUITES
def test_receipts_of_every_index_hold_and_have_one_encoding(suite: str) -> None:
    for size in (*range(1, 10), 13):
        for index in range(size):
            want = parts(suite, index, size)
            receipt = sound(made(suite, index, size), anchor(suite), BODIES[index])
            assert receipt == Receipt(**want) != Receipt(**{**want, "state": None})
            assert all(getattr(receipt, name) == want[name] for name in want.keys() - {"state"})
            fields = [1, index, want["path"], want["checkpoint"].encode(), want["envelope"]]
            assert msgpack.packb([*fields, want["state"].encode()]) == receipt.encode()


@SUITES
def test_receipts_and_anchors_go_to_other_processes(suite: str) -> None:
    receipt, trusted = Receipt.decode(made(suite)), anchor(suite)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        sent = pickle.loads(pickle.dumps((receipt, trusted), protocol))
        assert sent == (receipt, trusted)
        assert sent[0].verify(BODIES[2], sent[1]).body == BODIES[2]
    assert copy.deepcopy((receipt, trusted)) == (receipt, trusted)


@SUITES
def test_receipts_of_a_ledger_hold_without_it(suite: str, tmp_path: Path) -> None:
    with Ledger.create(tmp_path / "a.ledger", origin=ORIGIN, suite=suite) as ledger:
        kept = [receipt.encode() for receipt in ledger.append_many(BODIES)]
        kept += [receipt.encode() for receipt in ledger.append_many(BODIES[:3])]
        trusted = parse_anchor(format_anchor(ledger.trust_anchor))
    for at, (data, body) in enumerate(zip(kept, BODIES + BODIES[:3], strict=True)):
        assert sound(data, trusted, body).index == at + 1
        refused(data, InvalidSignature, UNSIGNED, trusted, body + b".")


@SUITES
def test_every_flipped_bit_and_every_byte_more_or_less_is_refused(suite: str) -> None:
    data, body, trusted = made(suite), BODIES[2], anchor(suite)
    sound(data, trusted)
    for at, bit in itertools.product(range(len(data)), range(8)):
        wrong = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
        refused(wrong, (MalformedError, InvalidError), ".", trusted)
    for at, byte in enumerate(body):
        changed = body[:at] + bytes([byte ^ 1]) + body[at + 1 :]
        refused(data, InvalidSignature, UNSIGNED, trusted, changed)
    for at in range(len(data)):
        refused(data[:at], MalformedError)
        for rest in (data[at + 1 :], data[at : at + 1] + data[at:]):
            refused(data[:at] + rest, (MalformedError, InvalidError), ".", trusted)
    refused(data + data, MalformedError)


def test_other_encodings_are_refused() -> None:
    want = parts()
    note, proof = want["checkpoint"].encode(), want["state"].encode()
    fields = [msgpack.packb(each) for each in (1, 2, want["path"], note, want["envelope"], proof)]
    sound(b"\x96" + b"".join(fields))
    numbers = "cc02 cd0002 ce00000002 cf0000000000000002 d002 ff c0 c3 ca40000000"
    changes = [(0, bytes.fromhex(form)) for form in ("00", "02", "cc01", "", "0101", "c0")]
    changes += [(1, bytes.fromhex(form)) for form in numbers.split()]
    changes += [(2, msgpack.packb([bytes(size)])) for size in (0, 31, 33)]
    changes += [(2, b"\xdc\0\3" + fields[2][1:]), (2, fields[2].replace(b"\xc4 ", b"\xc5\0 "))]
    changes += [(at, msgpack.packb(text)) for at in (3, 4, 5) for text in ("", b"", note.decode())]
    changes += [(at, b"\xc6\0\0" + fields[at][1:]) for at in (3, 4)] + [(3, b"\xc4\1\xff")]
    for at, other in changes:
        data = b"".join([*fields[:at], other, *fields[at + 1 :]])
        refused(b"\x96" + data, MalformedError)
    for head in (b"\x95", b"\x97", b"\xdc\0\6", b"\xdd\0\0\0\6", b"\x86", b""):
        refused(head + b"".join(fields), MalformedError)
    refused(bytes(262145), MalformedError, "^receipt bytes is 262145, want at most 262144$")


def test_another_record_is_refused() -> None:
    for record in chain(size=13)[3:] + chain()[:2]:
        refused(made(envelope=record.envelope()), InvalidProof, "^root is", body=record.body)
        refused(made(envelope=record.envelope()), InvalidSignature, UNSIGNED)
        refused(made(), InvalidSignature, UNSIGNED, body=record.body)
    mine, last = chain()[2], chain()[1].id
    for key, number in ((OTHER, 2), (USER, 3)):
        other = key.sign_record("std", NETWORK, "data", BODIES[2], sequence=number, previous=last)
        refused(made(envelope=other.envelope()), InvalidProof, "^root is")
    for wrong in (mine.encode(), b"", mine.envelope()[:-1], mine.envelope() + b"\0"):
        refused(made(envelope=wrong), MalformedError)


def test_an_operator_cannot_make_a_record_sound() -> None:
    """It signs a tree with a record that its signer did not sign, or of another network."""
    for position, kind in ((-1, InvalidSignature), (8, UntrustedError)):
        data = bytearray(chain()[2].encode())
        data[position] ^= 1
        records = [*chain()[:2], Record.decode(bytes(data)), *chain()[3:]]
        refused(made(**whole("std", records, 2)), kind, "signature|^record is of another network")


def test_another_anchor_or_quorum_is_refused() -> None:
    for quorum in range(3):
        sound(made(), anchor(witnesses=KNOWN, quorum=quorum))
    for reason, changes in (
        (f"^checkpoint is of {ORIGIN}, want x$", {"origin": "x"}),
        ("^record is of another network or suite$", {"network": bytes(16)}),
        ("^record is of another network or suite$", {"suite": "c2sp"}),
        (f"^note is not signed by {ORIGIN}$", {"operator_key": OTHER.public_key}),
        ("cosigned by 1 witnesses, want 2$", {"witnesses": KNOWN[1:]}),
        ("cosigned by 2 witnesses, want 3$", {"witnesses": KNOWN, "quorum": 3}),
    ):
        refused(made(), UntrustedError, reason, anchor(**changes))


@SUITES
def test_another_index_size_or_root_is_refused(suite: str) -> None:
    for size, index in ((1, 0), (5, 2), (5, 4), (8, 3), (13, 12)):
        given = anchor(suite), BODIES[index]
        root = Checkpoint.parse(parts(suite, index, size)["checkpoint"]).root
        for other in {*range(20), 2**64 - 1} - {index}:
            refused(made(suite, index, size, index=other), InvalidProof, ".", *given)
        for other in {*range(20), 2**64 - 1} - {size}:
            # Two sizes may share a path: only the operator can sign the one for the other.
            again = made(suite, index, size, checkpoint=signed(suite, other, root))
            if other > index and reference.sides(index, other) == reference.sides(index, size):
                sound(again, *given)
            else:
                refused(again, InvalidProof, ".", *given)
        again = made(suite, index, size, checkpoint=signed(suite, size, bytes(32)))
        refused(again, InvalidProof, "^root is", *given)


def test_another_path_is_refused() -> None:
    path = parts()["path"]
    changed = [path[:-1], path[1:], [], [*path, bytes(32)], [bytes(32), *path], path * 2]
    changed += [list(order) for order in itertools.permutations(path)][1:]
    for wrong in [*changed, [*path[:-1], path[0]], [bytes(32)] * 3, [bytes(32)] * 64]:
        refused(made(path=wrong), InvalidProof)


def test_what_cannot_be_decoded_cannot_be_made() -> None:
    for reason, changes in (
        ("path hashes is 65, want at most 64", {"path": [bytes(32)] * 65}),
        ("checkpoint bytes is 16385, want at most 16384", {"checkpoint": "x" * 16385}),
        ("envelope bytes is 65537, want at most 65536", {"envelope": bytes(65537)}),
    ):
        with pytest.raises(MalformedError, match=f"^{reason}$"):
            Receipt(**{**parts(), **changes})
    for most in ({"path": [bytes(32)] * 64}, {"checkpoint": "x" * 16384}):
        Receipt(**{**parts(), **most})


def test_the_state_is_held_to_the_root_that_is_signed() -> None:
    states = Map("std").update(list(STATES.items()))
    for state in (None, states.prove(b"consent/2", b"\x91\x02"), states.prove(b"none", None)):
        sound(made(state=state))
    other = states.update([(b"consent/1", b"\x91\x03")])
    for wrong in (other.prove(b"consent/1", b"\x91\x03"), other.prove(b"none", None)):
        refused(made(state=wrong), InvalidProof)


def verifier_key(name: str, key: bytes, algorithm: int = 1) -> str:
    return f"{name}+{notes.key_id(name, algorithm, key).hex()}+{b64(bytes([algorithm]) + key)}"


SIGNS, COSIGNS = (verifier_key(ORIGIN, public(SEED), algorithm) for algorithm in (1, 4))


def test_an_anchor_is_the_text_of_its_parts() -> None:
    origins = (ORIGIN, 'a"b\\c', "é—\U0001f512", "#[x]='")
    policies = ((0, 0), (1, 0), (1, 1), (3, 2))
    for origin, (count, quorum) in itertools.product(origins, policies):
        made = anchor(origin=origin, witnesses=KNOWN[:count], quorum=quorum)
        text, table = format_anchor(made), {"origin": origin, "suite": "std", "quorum": quorum}
        table |= {"network": HEX, "operator": verifier_key(origin, public(SEED))}
        known = [{"name": name, "key": verifier_key(name, key, 4)} for name, key in KNOWN[:count]]
        assert tomllib.loads(text) == table | ({"witness": known} if count else {})
        assert parse_anchor(text) == made and format_anchor(parse_anchor(text)) == text
        assert made.operator_vkey == table["operator"] and made != ANCHOR


@pytest.mark.parametrize(
    ("part", "others", "reason"),
    [
        (
            "quorum = 2\n",
            ",quorum = '2'\n,quorum = true\n,quorum = 2.0\n",
            "^anchor has (no )?quorum",
        ),
        ("quorum = 2", "quorum = -1,quorum = 3,quorum = 02,quorum", "^quorum is|not TOML"),
        ("quorum = 2", f"quorum = {2**64},quorum = {'9' * 5000}", "^quorum is|not TOML"),
        ("quorum", "time = 1\nquorum", "^anchor: time is not known"),
        ("\nkey", "\ntime = 1\nkey", "^witness: time is not known"),
        ('"std"', '"gm","STD","sha256","",std', "suite|not TOML"),
        (HEX, f"{HEX[1:]},{HEX.upper()},{HEX}0,, {HEX[1:]}", "^network"),
        (f'"{ORIGIN}"', f'"x","","{ORIGIN} "', "^operator's key is named"),
        (f'"{ORIGIN}+', f'"x+,"{ORIGIN}++,"', "^verifier key is"),
        (
            SIGNS,
            f"{COSIGNS},{verifier_key(ORIGIN, public(SEED), 2)}",
            "^verifier key .*, want 0x01$",
        ),
        (
            verifier_key(*KNOWN[0], 4),
            f"{verifier_key(*KNOWN[0], 1)},{verifier_key(*KNOWN[0], 6)}",
            "^verifier key .*, want 0x04$",
        ),
        (f'"{NAMES[0]}"', f'"x","{NAMES[1]}"', "^witness's key is named"),
        (
            "[[witness]]",
            "[witness],[[witnesses]],[witness.x]",
            "not TOML|anchor has|anchor: witnesses is not",
        ),
    ],
)
def test_another_form_of_an_anchor_is_refused(part: str, others: str, reason: str) -> None:
    assert format_anchor(ANCHOR).count(part) in (1, 2)
    for other in others.split(","):
        with pytest.raises(MalformedError, match=reason):
            parse_anchor(format_anchor(ANCHOR).replace(part, other, 1))


def test_an_anchor_that_cannot_be_is_refused() -> None:
    name, key = KNOWN[0]
    wrong: list[dict[str, Any]] = [{"quorum": 3}, *({"suite": name} for name in ("gm", "STD", ""))]
    wrong += [{"witnesses": [*KNOWN, twin]} for twin in ((name, USER.public_key), ("x", key))]
    wrong += [{"witnesses": [*KNOWN, (name, bytes(32))]} for name in (ORIGIN, "", "a b", "a+b")]
    wrong += [{"origin": name} for name in ("", "a b", "a+b", "a\n", "x" * 256, NAMES[0])]
    wrong += [{what: bytes(n)} for what in ("network", "operator_key") for n in (0, 15, 17, 31, 33)]
    wrong += [{"witnesses": [*KNOWN, ("x", bytes(size))]} for size in (0, 31, 33)]
    for changes in wrong:
        with pytest.raises(MalformedError):
            anchor(**changes)


def test_a_name_that_cannot_be_is_called_what_it_is() -> None:
    key = USER.public_key
    for what, call in (
        ("origin", lambda: anchor(origin="a b")),
        ("witness", lambda: anchor(witnesses=[*KNOWN, ("a b", key)])),
        ("signer", lambda: format_verifier_key("a b", key)),
        ("signer", lambda: cosign_checkpoint(parts()["checkpoint"], "a b", USER, 0)),
    ):
        with pytest.raises(MalformedError, match=f'^{what} is "a b", want a name without spaces'):
            call()


@pytest.mark.parametrize(
    ("text", "cosigner"),
    [
        # Of golang.org/x/mod/sumdb/note, and of a public witness (transparency-dev/formats).
        ("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", False),
        ("remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2", True),
    ],
)
def test_every_changed_character_of_a_verifier_key_is_refused(text: str, cosigner: bool) -> None:
    name, key = parse_verifier_key(text, cosigner=cosigner)
    assert format_verifier_key(name, key, cosigner=cosigner) == text
    assert verifier_key(name, key, 4 if cosigner else 1) == text
    with pytest.raises(
        MalformedError, match=f"^verifier key of {name} has algorithm 0x0[14], want"
    ):
        parse_verifier_key(text, cosigner=not cosigner)
    wrong = [text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :] for at in range(len(text))]
    wrong += [text[:at] for at in range(len(text))]
    upper = f"{name}+{text.split('+')[1].upper()}+{text.split('+', 2)[2]}"
    for other in [*wrong, upper, text + "=", text + "\n", verifier_key("a b", key), ""]:
        with pytest.raises(MalformedError, match=r"^verifier key is"):
            parse_verifier_key(other, cosigner=cosigner)
