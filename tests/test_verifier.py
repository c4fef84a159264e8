"""The independent verifier and the package: each judges the other, and strangers judge both."""

from __future__ import annotations

import base64
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgercore import InvalidSignature, Ledger, LedgerError, MalformedError, _core, format_anchor
from ledgercore._core import Anchor
from ledgercore.demo import run_demo
from ledgercore.exchange import build_pack
from ledgercore.primitives import verify_signature
from tests import ristretto, vector_files, vector_world
from tests.conftest import DEEP, REPOSITORY
from tests.examples import TIMES, examples
from tests.town import Town
from verifier import conformance, ledgercore_verify, package_verify
from verifier.ledgercore_verify import Given, Refusal

LoadVectors = Callable[[str], Any]
FILES = sorted(conformance.VECTORS.glob("*.json"))
VERIFIER = REPOSITORY / "verifier" / "ledgercore_verify.py"


def independent(data: bytes, anchor: Anchor, record: bytes | None, held: bytes | None) -> str:
    """The independent verifier's answer, as the conformance command writes it."""
    try:
        trusted = ledgercore_verify.parse_anchor(format_anchor(anchor))
        claims = ledgercore_verify.verify(data, Given(trusted, record, held))
    except Refusal as refusal:
        return conformance.answer_of({"error": refusal.kind})
    except ledgercore_verify.WrongUsage:  # it looks like what is verified beside another file
        return conformance.answer_of({"error": "usage"})
    return conformance.answer_of({"claims": [vars(claim) for claim in claims]})


def package(data: bytes, anchor: Anchor, record: bytes | None, held: bytes | None) -> str:
    """The package's answer."""
    try:
        claims = package_verify.verify(data, anchor, record, held)
    except LedgerError as error:
        return conformance.answer_of({"error": package_verify.kind_of(error)})
    return conformance.answer_of({"claims": [{"name": n, "status": s} for n, s in claims]})


def agreed(
    data: bytes, anchor: Anchor, record: bytes | None = None, held: bytes | None = None
) -> str | None:
    """What both say of accepted evidence; None where both refuse it, for whatever reason."""
    answers = [judge(data, anchor, record, held) for judge in (independent, package)]
    accepted = [answer if answer.startswith("accepted") else None for answer in answers]
    assert accepted[0] == accepted[1], answers
    return accepted[0]


# Vectors.


def test_vectors_are_those_that_are_made() -> None:
    found = {path.name: path.read_text(encoding="utf-8") for path in FILES}

    made = vector_files.made()

    assert found.keys() == made.keys()
    for name in made:
        assert found[name] == made[name], f"{name}: python -m tests.vector_files"


@pytest.mark.parametrize("judge", [independent, package])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_vector_is_answered_as_the_specification_says(
    path: Path, judge: Callable[..., str]
) -> None:
    vectors = list(conformance.load_vectors(path))
    anchor = package_verify.parse_anchor(vectors[0].anchor)

    got = {v.name: judge(v.data, anchor, v.record, v.checkpoint) for v in vectors}

    assert got == {vector.name: vector.want for vector in vectors}


def test_vectors_are_of_every_kind() -> None:
    wants = {each.want for path in FILES for each in conformance.load_vectors(path)}

    kinds = ("malformed", "invalid-signature", "invalid-proof", "untrusted", "invalid")
    assert {f"refused: {kind}" for kind in kinds} <= wants
    assert "accepted: record proven, state proven" in wants


def test_conformance_ends_with_a_failure_where_an_implementation_disagrees(
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = str(next(path for path in FILES if path.stem == "std-equivocations"))
    yes = f'{sys.executable} -c "print(\'{{\\"claims\\": []}}\')"'
    crash = f'{sys.executable} -c "raise SystemExit(1)"'
    silent = f'{sys.executable} -c "pass"'

    assert conformance.main(["--command", f"{sys.executable} {VERIFIER}", path]) == 0
    assert "6 of 6 vectors as expected" in capsys.readouterr().out
    for command in (yes, crash, silent):
        assert conformance.main(["--command", command, path]) == 1
        assert "0 of 6 vectors as expected" in capsys.readouterr().out


# What the ledger makes.


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> tuple[Anchor, dict[str, bytes]]:
    """The demo's anchor and packs."""
    run = run_demo(tmp_path_factory.mktemp("verifier") / "demo", firms=24)
    with Ledger.open(run.ledger, read_only=True) as ledger:
        return ledger.trust_anchor, {name: path.read_bytes() for name, path in run.packs.items()}


@pytest.fixture(scope="module", params=["std", "c2sp"])
def receipt(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Anchor, bytes]]:
    """A receipt with a state, of the record ``body 3``."""
    path = tmp_path_factory.mktemp("receipt") / "a.ledger"
    with Ledger.create(path, origin="test.example/log", suite=request.param) as ledger:
        made = ledger.append_many([b"body %d" % each for each in range(6)])
        yield ledger.trust_anchor, ledger.receipt(made[3].index, state_of=b"network").encode()


def test_both_say_the_same_of_every_pack_of_the_demo(
    town: tuple[Anchor, dict[str, bytes]],
) -> None:
    anchor, packs = town

    found = {name: agreed(data, anchor) for name, data in packs.items()}

    assert len(found) > 3 and None not in found.values()


def test_both_accept_a_receipt_of_a_ledger(receipt: tuple[Anchor, bytes]) -> None:
    anchor, data = receipt

    assert agreed(data, anchor, b"body 3") == "accepted: record proven, state proven"
    assert agreed(base64.b64encode(data) + b"\n", anchor, b"body 3")
    assert agreed(base64.encodebytes(data), anchor, b"body 3")  # on lines of 76
    assert agreed(data, anchor, b"body 4") is None


def test_no_byte_of_a_receipt_can_be_changed_unnoticed(
    receipt: tuple[Anchor, bytes], rng: random.Random
) -> None:
    anchor, data = receipt
    for at in range(len(data)):
        flipped = bytes([data[at] ^ 1 << rng.randrange(8)])

        assert agreed(data[:at] + flipped + data[at + 1 :], anchor, b"body 3") is None, at


def mutate(data: bytes, draw: Callable[[Any], Any]) -> bytes:
    """The bytes with some of them changed, cut out, repeated or put elsewhere."""
    at = draw(st.integers(0, len(data) - 1))
    end = draw(st.integers(at, min(at + 64, len(data))))
    to = draw(st.integers(0, len(data)))
    match draw(st.integers(0, 3)):
        case 0:
            return data[:at] + bytes([data[at] ^ draw(st.integers(1, 255))]) + data[at + 1 :]
        case 1:
            return data[:at] + data[end:]
        case 2:
            return data[:to] + data[at:end] + data[to:]
        case _:
            return data[:at] + draw(st.binary(max_size=8)) + data[end:]


def reshape(value: Any, draw: Callable[[Any], Any]) -> Any:
    """The value with one item of one list in it changed, or of bytes that hold an array."""
    if isinstance(value, list) and value:
        at = draw(st.integers(0, len(value) - 1))
        match draw(st.integers(0, 5)):
            case 0:
                return value[:at] + value[at + 1 :]
            case 1:
                return [*value, value[at]]
            case 2:
                other = draw(st.integers(0, len(value) - 1))
                swapped = list(value)
                swapped[at], swapped[other] = swapped[other], swapped[at]
                return swapped
            case _:
                return [*value[:at], reshape(value[at], draw), *value[at + 1 :]]
    if isinstance(value, int):
        return value + draw(st.sampled_from([-1, 1, 2**32]))
    if isinstance(value, str):
        return draw(st.sampled_from([value + "x", "", "e\u0301", "tax.paid_12m"]))
    if isinstance(value, bytes) and value[:1] >= b"\x90" and draw(st.booleans()):
        try:
            return msgspec.msgpack.encode(reshape(msgspec.msgpack.decode(value), draw))
        except (msgspec.DecodeError, OverflowError, UnicodeDecodeError):
            pass
    if isinstance(value, bytes) and value:
        return mutate(value, draw)
    return draw(st.sampled_from([None, 0, b"", []]))


@given(st.data())
@examples(150, database=None)  # packs differ from run to run
def test_both_accept_or_both_refuse_a_pack_that_is_changed(
    town: tuple[Anchor, dict[str, bytes]], data: st.DataObject
) -> None:
    anchor, packs = town
    pack = packs[data.draw(st.sampled_from(sorted(packs)))]
    if data.draw(st.booleans()):
        changed = mutate(pack, data.draw)
    else:
        changed = msgspec.msgpack.encode(reshape(msgspec.msgpack.decode(pack), data.draw))

    agreed(changed, anchor)


def test_a_pack_that_looks_like_another_kind_of_evidence_is_refused_by_both(
    town: tuple[Anchor, dict[str, bytes]],
) -> None:
    anchor, packs = town
    for data in packs.values():
        for first in range(256):
            if first != data[0]:
                assert agreed(bytes([first]) + data[1:], anchor) is None, first


OFFLINE = ("states", "histories", "totals", "openings", "promises")
"""Families of evidence that is verified with the anchor alone, and is small."""


@pytest.fixture(scope="module")
def offline() -> list[conformance.Vector]:
    """A good piece of evidence of each family and suite, and of each the one with most in it."""
    found = []
    for path in FILES:
        if path.stem.partition("-")[2] in OFFLINE:
            good = [each for each in conformance.load_vectors(path) if "accepted" in each.want]
            found += [good[0], max(good, key=lambda each: len(each.data))]
    return found


def test_both_accept_or_both_refuse_a_proof_with_a_flipped_bit(
    offline: list[conformance.Vector], rng: random.Random
) -> None:
    """Only another name that is absent too may pass: its way through the map is the same."""
    for vector in offline:
        anchor = package_verify.parse_anchor(vector.anchor)
        places = range(len(vector.data))
        for at in places if DEEP else rng.sample(places, 4):
            flipped = bytes([vector.data[at] ^ 1 << rng.randrange(8)])
            answer = agreed(vector.data[:at] + flipped + vector.data[at + 1 :], anchor)

            assert answer is None or "absence" in answer, (vector.name, at)


@given(st.data())
@examples(25, database=None)
def test_both_accept_or_both_refuse_a_proof_that_is_changed(
    offline: list[conformance.Vector], data: st.DataObject
) -> None:
    vector = data.draw(st.sampled_from(offline))
    if data.draw(st.booleans()):
        changed = mutate(vector.data, data.draw)
    else:
        changed = msgspec.msgpack.encode(reshape(msgspec.msgpack.decode(vector.data), data.draw))

    agreed(changed, package_verify.parse_anchor(vector.anchor))


@pytest.mark.skipif(not DEEP, reason="every bit of every vector takes long: LEDGERCORE_DEEP=1")
def test_both_answer_alike_whatever_vector_is_changed(rng: random.Random) -> None:
    """Also bad ones, and those that are held to another file."""
    for vector in (each for path in FILES for each in conformance.load_vectors(path)):
        anchor = package_verify.parse_anchor(vector.anchor)
        for _ in range(20 * TIMES):
            at = rng.randrange(len(vector.data) or 1)
            flipped = bytes([(vector.data[at : at + 1] or b"\0")[0] ^ 1 << rng.randrange(8)])
            changed = vector.data[:at] + flipped + vector.data[at + 1 :]

            agreed(changed, anchor, vector.record, vector.checkpoint)


# Its parts.


def test_hashes_are_those_of_the_official_vectors(load_vectors: LoadVectors) -> None:
    vectors = load_vectors("blake3.json")
    key, context = vectors["key"].encode(), vectors["context_string"]
    for case in vectors["cases"]:
        data = bytes(at % 251 for at in range(case["input_len"]))

        assert ledgercore_verify.blake3(data).hex() == case["hash"][:64]
        assert ledgercore_verify.blake3_keyed(key, data).hex() == case["keyed_hash"][:64]
        derived = ledgercore_verify.blake3_derive_key(context, data)
        assert derived.hex() == case["derive_key"][:64]


@given(st.binary(min_size=64, max_size=64))
@examples(60)
def test_elements_of_the_group_are_those_of_the_core_and_of_whole_numbers(data: bytes) -> None:
    element = ledgercore_verify.draw_element(data)
    encoded = ledgercore_verify.encode_element(element)
    doubled = ledgercore_verify.add_points(element, element)

    assert encoded == ristretto.encode(ristretto.from_uniform(data))
    found = ledgercore_verify.decode_element(encoded, "it")
    assert ledgercore_verify.encode_element(found) == encoded
    sum_of_both = _core.group_add_points([encoded, encoded])
    assert ledgercore_verify.encode_element(doubled) == sum_of_both


@given(st.binary(min_size=32, max_size=32))
@examples(200)
def test_what_is_no_element_for_the_core_is_none_for_it(data: bytes) -> None:
    for shortened in (data, data[:31] + bytes([data[31] & 0x7F]), data[:1] + bytes(31)):
        own = accepts(lambda each=shortened: ledgercore_verify.decode_element(each, "it"))
        try:
            _core.group_add_points([shortened])
        except LedgerError:
            assert not own, shortened.hex()
        else:
            assert own, shortened.hex()


def accepts(verify: Callable[[], object]) -> bool:
    try:
        verify()
    except (InvalidSignature, Refusal):
        return False
    return True


def both_accept(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a signature verifies, by both."""
    own = accepts(lambda: ledgercore_verify.verify_signature(key, message, signature, "it"))
    assert own == accepts(lambda: verify_signature(key, message, signature))
    return own


def test_signatures_of_small_order_are_accepted(load_vectors: LoadVectors) -> None:
    for case in load_vectors("ed25519_zip215_small_order.json")["cases"]:
        key, signature = (bytes.fromhex(case[name]) for name in ("public_key", "signature"))

        assert both_accept(key, case["message_utf8"].encode(), signature)


def test_edge_cases_of_signatures_are_decided_as_in_the_package(load_vectors: LoadVectors) -> None:
    cases = load_vectors("ed25519_speccheck.json")

    found = [
        both_accept(*(bytes.fromhex(case[name]) for name in ("pub_key", "message", "signature")))
        for case in cases
    ]

    # The row of ZIP-215 in that collection's table.
    assert found == [True] * 6 + [False] * 3 + [True] * 3


def test_signatures_of_wycheproof_are_decided_as_in_the_package(load_vectors: LoadVectors) -> None:
    for group in load_vectors("ed25519_wycheproof.json")["testGroups"]:
        key = bytes.fromhex(group["publicKey"]["pk"])
        for case in group["tests"]:
            message, signature = bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"])
            if len(signature) != 64:
                continue
            accepted = both_accept(key, message, signature)
            # ZIP-215 takes encodings of points that RFC 8032 does not.
            assert accepted == (case["result"] == "valid") or case["flags"] == ["InvalidEncoding"]


def canonical(data: bytes) -> bool:
    """Whether bytes are one canonical value, by both."""
    own = accepts(lambda: ledgercore_verify.decode(data, "value"))
    try:
        _core.check_canonical(data)
    except LedgerError:
        assert not own, data.hex()
        return False
    assert own, data.hex()
    return True


def test_one_encoding_of_each_value_is_read(load_vectors: LoadVectors) -> None:
    found = [
        [canonical(bytes.fromhex(each.replace("-", ""))) for each in case["msgpack"]]
        for cases in load_vectors("msgpack-test-suite.json").values()
        for case in cases
    ]

    assert max(map(sum, found)) == 1


@given(st.binary(max_size=40))
@examples(500)
def test_any_bytes_are_canonical_for_both_or_for_none(data: bytes) -> None:
    canonical(data)


VALUES = st.recursive(
    st.none() | st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=300) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=20),
    max_leaves=20,
)


@given(VALUES)
@examples(100)
def test_what_it_encodes_is_what_the_package_encodes(value: Any) -> None:
    data = ledgercore_verify.encode(value)

    assert data == msgspec.msgpack.encode(value)
    if canonical(data):
        assert ledgercore_verify.decode(data, "value") == value


def test_it_knows_the_fields_of_every_kind_in_the_specification() -> None:
    found = {}
    for page in (REPOSITORY / "docs" / "spec").glob("*.md"):
        for kind, fields in re.findall(
            r"^\| `([a-z.-]+)` \| `\[(.*)\]` \|$", page.read_text(), re.M
        ):
            found[kind] = fields.replace(", ", " ")

    assert found == ledgercore_verify.BODIES


def test_both_refuse_an_anchor_that_is_not_in_its_one_form() -> None:
    text = format_anchor(vector_world.World("std").anchor)
    witness = text[text.index("[[witness]]") :]
    for old, new in (
        ("quorum = 1", "quorum = 3"),
        ("quorum = 1", "quorum = -1"),
        ("quorum = 1", "quorum = true"),
        ("quorum = 1\n", ""),
        ("quorum = 1", "quorum = 1\nmore = 1"),
        ('suite = "std"', 'suite = "gm"'),
        ('network = "00', 'network = "0'),
        ('network = "00', 'network = "AA'),
        ('origin = "tax.', 'origin = "vat.'),
        ('name = "a.', 'name = "c.'),
        ('operator = "tax.example/exchange+', 'operator = "tax.example/exchange+0'),
        ("+A", "+B"),
        ("=", ""),
        (witness, "witness = 1\n"),
        (witness, witness + witness),
    ):
        changed = text.replace(old, new, 1)
        assert changed != text
        with pytest.raises(Refusal) as refusal:
            ledgercore_verify.parse_anchor(changed)
        assert refusal.value.kind == "malformed"
        with pytest.raises(MalformedError):
            package_verify.parse_anchor(changed)


# The command.


def test_it_verifies_what_prove_since_writes(tmp_path: Path) -> None:
    path, proof, kept, trusted = (
        tmp_path / name for name in ("a.ledger", "proof", "kept", "anchor")
    )
    with Ledger.create(path, origin="test.example/log") as ledger:
        ledger.append(b"one")
        kept.write_bytes(ledger.checkpoint.encode())
        ledger.append_many([b"two", b"three"])
        trusted.write_text(format_anchor(ledger.trust_anchor), encoding="utf-8")
    command = (sys.executable, "-m", "ledgercore", "prove", path, "--since", "2", "--output", proof)
    subprocess.run([*map(str, command)], check=True, capture_output=True)

    done = run(proof, "--anchor", trusted, "--checkpoint", kept)

    assert done.stdout == "proven   consistency: 4 records go on from the 2 of the older one\n"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the file alone: no site packages, no environment, no directory of its own."""
    command = [sys.executable, "-I", "-S", str(VERIFIER), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_whoever_reads_no_claims_gets_no_traceback(
    tmp_path: Path, receipt: tuple[Anchor, bytes]
) -> None:
    anchor, data = receipt
    paths = [tmp_path / name for name in ("receipt", "anchor", "body")]
    for path, content in zip(paths, (data, format_anchor(anchor).encode(), b"body 3"), strict=True):
        path.write_bytes(content)
    command = [sys.executable, str(VERIFIER), paths[0], "--anchor", paths[1], "--record", paths[2]]
    reading, writing = os.pipe()
    os.close(reading)

    with os.fdopen(writing, "wb") as nobody:
        done = subprocess.run(
            [*map(str, command)], stdout=nobody, stderr=subprocess.PIPE, check=False
        )

    assert (done.returncode, done.stderr) == (4, b"")


def test_the_file_alone_verifies_and_says_why_not(
    tmp_path: Path, receipt: tuple[Anchor, bytes]
) -> None:
    anchor, data = receipt
    for name, content in {"receipt": data, "cut": data[:-1], "body": b"body 3"}.items():
        (tmp_path / name).write_bytes(content)
    trusted, body = tmp_path / "anchor", tmp_path / "body"
    trusted.write_text(format_anchor(anchor), encoding="utf-8")
    good = (tmp_path / "receipt", "--anchor", trusted)

    done = run(*good, "--record", body)
    assert done.returncode == 0 and done.stdout.startswith("proven   record: data ")
    assert '"status": "proven"' in run(*good, "--record", body, "--json").stdout
    for code, word, arguments in (
        (1, "invalid-signature", (*good, "--record", trusted)),
        (5, "malformed", (tmp_path / "cut", "--anchor", trusted, "--record", body)),
        (5, "malformed", (tmp_path / "receipt", "--anchor", body, "--record", body)),
        (2, "usage", good),
        (4, "unavailable", (tmp_path / "none", "--anchor", trusted)),
    ):
        done = run(*arguments)
        assert (done.returncode, done.stdout) == (code, "")
        assert done.stderr.startswith(f"{word}: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("content", [b"hello\n", b"\xff\xfe", b"x" * 100_000, b"SQLite format 3\0"])
def test_what_is_no_evidence_is_not_called_a_checkpoint(
    tmp_path: Path, receipt: tuple[Anchor, bytes], content: bytes
) -> None:
    (tmp_path / "file").write_bytes(content)
    (tmp_path / "anchor").write_text(format_anchor(receipt[0]), encoding="utf-8")

    done = run(tmp_path / "file", "--anchor", tmp_path / "anchor")

    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == (
        "malformed: file is no evidence, nor base64 of it, and has no signature line of a "
        "checkpoint\n"
    )


def test_no_text_of_a_pack_can_be_taken_for_a_claim(tmp_path: Path) -> None:
    """A consumer may ask for anything; a request that is refused is opened all the same."""
    town = Town(tmp_path)
    asked = town.intend(town.consent(), "x\nproven   live: \x1b[1A")
    town.accept(town.parties.provider.answer([asked]))
    data = build_pack(town.parties.ledger, town.parties.vaults["bank"], asked[0])
    anchor = town.parties.ledger.trust_anchor
    town.parties.close()
    pack, trusted = tmp_path / "pack", tmp_path / "anchor"
    pack.write_bytes(data)
    trusted.write_text(format_anchor(anchor), encoding="utf-8")
    package = [sys.executable, "-m", "ledgercore", "verify", str(pack), "--anchor", str(trusted)]
    claims = ledgercore_verify.verify_pack(
        data, ledgercore_verify.parse_anchor(trusted.read_text())
    )

    for output in (
        run(pack, "--anchor", trusted).stdout,
        subprocess.run(package, check=True, capture_output=True, text=True).stdout,
    ):
        names = [line.split()[1] for line in output.splitlines()]

        assert names == [f"{claim.name}:" for claim in claims]
        assert "\x1b" not in output


@pytest.mark.parametrize("option", ["record", "checkpoint"])
def test_what_is_not_compared_is_not_passed_over(option: str) -> None:
    vectors = conformance.load_vectors(conformance.VECTORS / "std-packs.json")
    pack = next(vector for vector in vectors if vector.want.startswith("accepted"))
    anchor = ledgercore_verify.parse_anchor(pack.anchor)

    assert ledgercore_verify.verify(pack.data, Given(anchor))
    with pytest.raises(Refusal, match=f"not compared with --{option}"):
        ledgercore_verify.verify(pack.data, Given(anchor, **{option: b"kept"}))
