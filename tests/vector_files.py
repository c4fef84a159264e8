"""Write the vectors of the specification: evidence, good and bad, with what a verifier says of it.

``python -m tests.vector_files`` writes docs/spec/vectors anew, from fixed keys, clocks and seeds;
a test holds the files to it. Bad evidence is wrong in one way each. A file has the anchor, and for
each piece of evidence what it is verified with, and the claims expected of it or the kind of error.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import structs

from ledgercore import _core, format_anchor
from ledgercore._core import Map, Receipt
from ledgercore.proofs import Promise
from ledgercore.proofs.wire import split_hashes
from ledgercore.rules import SignerState, encode_state, signer_object
from tests.vector_histories import histories, states, totals
from tests.vector_openings import openings
from tests.vector_packs import packs
from tests.vector_world import (
    ABSENCE,
    LEAVES,
    MEMBER,
    NETWORK,
    OPERATOR,
    ORDER,
    PROVEN,
    RECORD,
    STATE,
    STRANGER,
    SUITES,
    TIME_S,
    ZERO,
    Vector,
    World,
    changed,
    encode,
)

VECTORS = Path(__file__).resolve().parent.parent / "docs" / "spec" / "vectors"


def records(world: World) -> Iterator[Vector]:
    """Signed envelopes, and what is nearly one."""
    good, text = world.forge(), "ledgercore"
    yield Vector("record", good, [RECORD])
    yield Vector("record-of-an-empty-body", world.forge(body=b""), [RECORD])
    full = {"references": [bytes([each]) * 32 for each in range(16)], "expiry_ms": 2**64 - 1}
    yield Vector(
        "record-with-all-of-a-header", world.forge(kind="z" * 64, **full, body=b"\x90"), [RECORD]
    )
    bodies = {
        "map": [{"a": 1, "b": None}],
        "depth-8": [[[[[[[[]]]]]]]],
        "numbers": [0, 127, 128, 65535, 65536, 2**64 - 1, -1, -32, -33, -128, -129, -(2**63)],
        "text": ["", text * 3, text * 4, "\u00e9"],
    }
    for name, body in bodies.items():
        yield Vector(f"record-body-{name}", world.forge(kind="x", body=encode(body)), [RECORD])
    wrong: dict[str, dict[str, Any]] = {
        "body-depth-9": {"kind": "x", "body": encode([[[[[[[[[]]]]]]]]])},
        "body-not-shortest": {"kind": "x", "body": b"\x91\xcc\x05"},
        "body-negative-not-shortest": {"kind": "x", "body": b"\x91\xd0\xff"},
        "body-signed-family": {"kind": "x", "body": b"\x91\xd1\x01\x00"},
        "body-float": {"kind": "x", "body": encode([1.5])},
        "body-extension": {"kind": "x", "body": b"\x91\xd4\x01\x00"},
        "body-not-normal-form-c": {"kind": "x", "body": encode(["e\u0301"])},
        "body-not-utf-8": {"kind": "x", "body": b"\x91\xa1\xff"},
        "body-keys-descend": {"kind": "x", "body": b"\x91\x82\xa1b\x01\xa1a\x01"},
        "body-key-twice": {"kind": "x", "body": b"\x91\x82\xa1a\x01\xa1a\x01"},
        "body-key-a-number": {"kind": "x", "body": b"\x91\x81\x01\x01"},
        "body-nested-map": {"kind": "x", "body": b"\x91\x81\xa1a\x80"},
        "body-cut-off": {"kind": "x", "body": b"\xdd\xff\xff\xff\xff"},
        "body-goes-on": {"kind": "x", "body": b"\x90\x90"},
        "body-no-array": {"kind": "x", "body": b"\x01"},
        "version-2": {"version": 2},
        "suite-gm": {"suite": 2},
        "kind-in-capitals": {"kind": "Data"},
        "kind-empty": {"kind": ""},
        "kind-too-long": {"kind": "z" * 65, "body": b"\x90"},
        "key-too-short": {"key": bytes(31)},
        "references-17": {"references": [ZERO] * 17},
        "sequence-negative": {"sequence": -1},
    }
    if world.suite == "std":  # once, for its size
        wrong["body-too-long"] = {"body": bytes(63 * 1024 + 1)}
    for name, header in wrong.items():
        yield Vector(f"record-bad-{name}", world.forge(**header), "malformed")
    yield Vector("record-bad-goes-on", good + b"\0", "malformed")
    yield Vector("record-bad-cut-off", good[:-1], "malformed")
    yield Vector("record-bad-array-not-shortest", b"\xdc\0\x02" + good[1:], "malformed")
    yield Vector(
        "record-bad-body-changed", good.replace(b"statement", b"statemant"), "invalid-signature"
    )
    yield Vector("record-bad-network", world.forge(network=bytes(16)), "untrusted")
    other = {"std": "c2sp", "c2sp": "std"}[world.suite]
    yield Vector("record-bad-suite-of-another-network", World(other).forge(), "untrusted")
    yield from signatures(world, good)


def signatures(world: World, good: bytes) -> Iterator[Vector]:
    """What ZIP-215 accepts, and what nobody does."""
    yield Vector("record-bad-signature-r", changed(good, -64), "invalid-signature")
    yield Vector("record-bad-signature-s", changed(good, -32), "invalid-signature")
    s = int.from_bytes(good[-32:], "little") + ORDER
    yield Vector(
        "record-bad-s-above-order", good[:-32] + s.to_bytes(32, "little"), "invalid-signature"
    )
    yield Vector(
        "record-bad-key-off-curve", world.forge(key=b"\x02" + bytes(31)), "invalid-signature"
    )
    # Keys of small order: any message verifies with R of small order and s of zero.
    prime = 2**255 - 19
    keys = {
        "of-order-4": ZERO,
        "not-canonical": (prime + 1).to_bytes(32, "little"),
        "minus-zero": (1 | 1 << 255).to_bytes(32, "little"),
    }
    for name, key in keys.items():
        data = world.forge(key=key)
        yield Vector(f"record-key-{name}", data[:-64] + key + bytes(32), [RECORD])


def equivocations(world: World) -> Iterator[Vector]:
    """Two records of one sequence."""
    claim = [("equivocation", PROVEN)]
    made = [world.forge(body=body) for body in (b"yes", b"no")]
    made.sort(key=lambda data: bytes(_core.Record.decode(data).id))
    first, second = made
    later = world.forge(body=b"no", sequence=1)
    yield Vector("equivocation", encode([1, first, second]), claim)
    yield Vector("equivocation-bad-order", encode([1, second, first]), "malformed")
    yield Vector("equivocation-bad-version", encode([2, first, second]), "malformed")
    yield Vector("equivocation-bad-same", encode([1, first, first]), "invalid-proof")
    pair = sorted([first, later], key=lambda data: bytes(_core.Record.decode(data).id))
    yield Vector("equivocation-bad-sequences", encode([1, *pair]), "invalid-proof")
    yield Vector(
        "equivocation-bad-signature", encode([1, first, changed(second)]), "invalid-signature"
    )


def splits(world: World) -> Iterator[Vector]:
    """Two checkpoints that cannot both be of one history."""
    claim, header = [("split-view", PROVEN)], {"height": 6, "parent": bytes([8]) * 32}
    parts: dict[str, Any] = {"time_ms": 5, "first_index": 6, "count": 1, "tree_root": ZERO}
    block = _core.Block(**header, **parts, state_root=ZERO).encode()
    hashed = _core.hash_domain(world.suite, "block", block)
    last = world.note(5, cosigners="")
    following = world.note(height=6, block_hash=hashed, cosigners="")

    def split(one: str, other: str, header: bytes = b"", network: bytes = NETWORK) -> bytes:
        return encode([1, network, one.encode(), other.encode(), header])

    pair = sorted([world.note(), world.note(root=ZERO)])
    first, second = sorted(pair, key=lambda note: note.split("\n\n")[0] + "\n")
    pairs = {
        "": (first, second),
        "-of-one-height": (world.note(6, height=7), world.note(7)),
        "-of-falling-heights": (world.note(6, height=9), world.note(7)),
        "-of-states": sorted([world.note(), world.note(state_root=ZERO)]),
        "-not-cosigned": (world.note(6, height=7, cosigners=""), world.note(7)),
    }
    for name, (one, other) in pairs.items():
        yield Vector(f"split{name}", split(one, other), claim)
    yield Vector("split-by-parent", split(last, following, block), claim)
    own = world.note(5, block_hash=bytes([8]) * 32)
    cut = world.note(6, height=7).rsplit("\n", 2)[0] + "\n"
    forged = world.note(6, height=7).replace("\n6\n", "\n5\n")
    unsigned = world.note().split("\n\n")[0] + "\n\n" + cut.splitlines()[-1] + "\n"
    foreign = world.note(origin="tax.example/other", cosigners="")
    wrong: dict[str, tuple[bytes, str]] = {
        "of-one-history": (split(world.note(6), world.note(7)), "invalid-proof"),
        "of-one-checkpoint": (split(world.note(), world.note(cosigners="ab")), "invalid-proof"),
        "order": (split(second, first), "malformed"),
        "version": (encode([2, NETWORK, first.encode(), second.encode(), b""]), "malformed"),
        "network-short": (split(first, second, network=NETWORK[1:]), "malformed"),
        "network": (split(first, second, network=bytes(16)), "untrusted"),
        "origin": (split(first, foreign), "untrusted"),
        "signature": (split(forged, world.note()), "invalid-signature"),
        "signature-of-another-note": (split(cut, unsigned), "invalid-signature"),
        "header-of-its-parent": (split(own, following, block), "invalid-proof"),
        "header-of-another-block": (split(last, following, changed(block)), "invalid-proof"),
        "header-not-the-next": (split(world.note(4), following, block), "invalid-proof"),
        "header-beside-a-contradiction": (split(first, second, block), "invalid-proof"),
        "header-malformed": (split(last, following, block + b"\0"), "malformed"),
        "note-not-utf-8": (encode([1, NETWORK, b"\xff", second.encode(), b""]), "malformed"),
        "cut-off": (split(first, second)[:-1], "malformed"),
    }
    for name, (data, want) in wrong.items():
        yield Vector(f"split-bad-{name}", data, want)


def promises(world: World) -> Iterator[Vector]:
    """The operator's promise of the member's record 3, and a ledger that goes on without it."""
    claim, suite, key = [("broken-promise", PROVEN)], world.suite, MEMBER.public_key
    record, by_ms = _core.Record.decode(world.records[3]).verify(), 5_000
    good = Promise.sign(OPERATOR, record, by_ms)
    parts: dict[str, Any] = {"first_index": 2, "count": 1, "tree_root": ZERO, "state_root": ZERO}

    def block(time_ms: int, height: int = 7) -> bytes:
        return _core.Block(height=height, parent=ZERO, time_ms=time_ms, **parts).encode()

    def receipt(sequence: int | None, header: bytes, of: bytes = key, **changes: Any) -> bytes:
        name, states, value = signer_object(of), Map(suite), None
        if sequence is not None:
            value = encode_state(SignerState(sequence, ZERO))
            states = states.update([(name, value)])
        parts = {"block_hash": _core.hash_domain(suite, "block", header)}
        note = world.note(**parts | {"state_root": states.root()} | changes)
        return encode([1, note.encode(), states.prove(name, value).encode()])

    def broken(
        sequence: int | None = 3,
        promise: Promise = good,
        header: bytes = block(5_001),
        **changes: Any,
    ) -> bytes:
        shown = changes.pop("shown", header)
        return encode([1, promise.encode(), shown, receipt(sequence, header, **changes)])

    first = Promise.sign(OPERATOR, _core.Record.decode(world.records[0]).verify(), by_ms)
    yield Vector("promise-broken", broken(), claim)
    yield Vector("promise-broken-long-since", broken(header=block(2**53 - 1)), claim)
    yield Vector("promise-broken-below", broken(2), claim)
    yield Vector("promise-broken-without-a-record", broken(None), claim)
    yield Vector("promise-broken-of-a-first-record", broken(None, first), claim)
    other = structs.replace(good, network=bytes(16))
    late = structs.replace(good, by_ms=by_ms - 1)
    foreign = Promise.sign(MEMBER, record, by_ms)
    data = broken()
    wrong: dict[str, tuple[bytes, str]] = {
        "kept": (broken(4), "invalid-proof"),
        "first-record-kept": (broken(1, first), "invalid-proof"),
        "not-due": (broken(header=block(by_ms)), "invalid-proof"),
        "of-another-signer": (broken(of=STRANGER.public_key), "invalid-proof"),
        "header-of-another-block": (broken(shown=block(5_002)), "invalid-proof"),
        "header-of-another-height": (broken(header=block(5_001, 6)), "invalid-proof"),
        "header-malformed": (broken(shown=block(5_001) + b"\0"), "malformed"),
        "state-of-another-root": (broken(state_root=ZERO), "invalid-proof"),
        "not-cosigned": (broken(cosigners=""), "untrusted"),
        "network": (broken(promise=other), "untrusted"),
        "time-changed": (broken(promise=late), "invalid-signature"),
        "of-a-member": (broken(promise=foreign), "invalid-signature"),
        "version": (broken(promise=structs.replace(good, version=2)), "malformed"),  # type: ignore[arg-type]
        "goes-on": (data + b"\0", "malformed"),
        "cut-off": (data[:-1], "malformed"),
    }
    for name, (bad, want) in wrong.items():
        yield Vector(f"promise-bad-{name}", bad, want)


def checkpoints(world: World) -> Iterator[Vector]:
    """Signed notes."""
    claim, by = ("checkpoint", PROVEN), ("cosignature", PROVEN)
    good = world.note()
    text, lines = good.split("\n\n")
    operator, witness = lines.splitlines(keepends=True)
    unknown = _core.cosign_checkpoint(world.note(cosigners=""), "c.example", STRANGER, TIME_S)
    unknown = unknown.splitlines(keepends=True)[-1]
    renamed = unknown.replace("c.example", "a.example")
    bad = base64.b64encode(changed(base64.b64decode(witness.split(" ")[2]))).decode()

    def note(*signed: str, body: str = text) -> bytes:
        return (body + "\n\n" + "".join(signed)).encode()

    yield Vector("checkpoint", good.encode(), [claim, by])
    yield Vector(
        "checkpoint-cosigned-by-both", world.note(cosigners="ab").encode(), [claim, by, by]
    )
    yield Vector("checkpoint-witness-first", note(witness, operator), [claim, by])
    yield Vector("checkpoint-unknown-key", note(operator, unknown, witness), [claim, by])
    yield Vector(
        "checkpoint-unknown-key-of-known-name", note(operator, renamed, witness), [claim, by]
    )
    yield Vector("checkpoint-of-no-records", world.note(0).encode(), [claim, by])
    yield Vector("checkpoint-bad-quorum", note(operator), "untrusted")
    yield Vector("checkpoint-bad-quorum-of-strangers", note(operator, unknown), "untrusted")
    yield Vector("checkpoint-bad-operator-missing", note(witness), "untrusted")
    yield Vector(
        "checkpoint-bad-origin",
        world.note(origin="tax.example/other", cosigners="").encode(),
        "untrusted",
    )
    yield Vector(
        "checkpoint-bad-cosignature", note(operator, f"— a.example {bad}\n"), "invalid-signature"
    )
    grown = text.replace("\n7\n", "\n8\n")
    yield Vector(
        "checkpoint-bad-size-changed", note(operator, witness, body=grown), "invalid-signature"
    )
    wrong = {
        "no-signature": (text + "\n\n").encode(),
        "no-empty-line": (text + "\n" + lines).encode(),
        "no-last-newline": good.removesuffix("\n").encode(),
        "goes-on": good.encode() + b"\n",
        "carriage-return": good.replace("\n", "\r\n").encode(),
        "leading-zero": note(operator, witness, body=text.replace("\n7\n", "\n07\n")),
        "size-beyond-64-bits": note(operator, witness, body=text.replace("\n7\n", f"\n{2**64}\n")),
        "line-more": note(operator, witness, body=text + "\nmore"),
        "other-words": note(operator, witness, body=text.replace("\nblock ", "\nBlock ")),
        "other-word-for-state": note(operator, witness, body=text.replace("\nstate ", "\nState ")),
        "two-spaces": note(operator.replace(" ", "  ", 1), witness),
        "hyphen": note(operator.replace("—", "-"), witness),
        "not-utf-8": good.encode() + b"\xff\n",
        "base64-spare-bits": note(operator.replace("=\n", "\n").rstrip("\n") + "\n", witness),
        "base64-short": note(operator, "— c.example AAAA\n"),
        "signatures-65": note(operator, *[unknown] * 64),
        "origin-with-a-space": note(operator, witness, body=text.replace("tax.", "tax ")),
    }
    for name, data in wrong.items():
        yield Vector(f"checkpoint-bad-{name}", data, "malformed")


def trees(world: World) -> Iterator[Vector]:
    """Consistency proofs, and receipts whose paths are of every shape."""
    claim = [("consistency", PROVEN)]

    def proof(hashes: list[bytes], new: str) -> bytes:
        shown = {"proof": [each.hex() for each in hashes], "checkpoint": new}
        return json.dumps(shown, ensure_ascii=False).encode() + b"\n"

    for old, new in ((0, 3), (1, 7), (3, 7), (4, 7), (6, 7), (7, 7)):
        held, path = world.note(old).encode(), world.consistency(old, new)
        good = proof(path, world.note(new))
        yield Vector(f"consistency-{old}-{new}", good, claim, checkpoint=held)
        more = proof([*path, ZERO], world.note(new))
        yield Vector(f"consistency-bad-{old}-{new}-more", more, "invalid-proof", checkpoint=held)
        if path:
            for name, hashes in (("fewer", path[:-1]), ("changed", [changed(path[0]), *path[1:]])):
                data = proof(hashes, world.note(new))
                yield Vector(
                    f"consistency-bad-{old}-{new}-{name}", data, "invalid-proof", checkpoint=held
                )
    first = proof([ZERO, *world.consistency(3, 7)], world.note(7))
    held = world.note(3).encode()
    yield Vector("consistency-bad-more-first", first, "invalid-proof", checkpoint=held)
    rewritten = world.note(3, root=ZERO).encode()
    good = proof(world.consistency(3, 7), world.note(7))
    yield Vector("consistency-bad-older-root", good, "invalid-proof", checkpoint=rewritten)
    nothing = world.note(0, root=ZERO).encode()
    grown = proof([], world.note(3))
    yield Vector("consistency-bad-root-of-nothing", grown, "invalid-proof", checkpoint=nothing)
    forked = proof(world.consistency(3, 7), world.note(7, root=ZERO))
    yield Vector("consistency-bad-fork", forked, "invalid-proof", checkpoint=world.note(3).encode())
    back = proof([], world.note(3))
    yield Vector(
        "consistency-bad-backwards", back, "invalid-proof", checkpoint=world.note().encode()
    )
    unsigned = proof(world.consistency(3, 7), world.note(cosigners=""))
    yield Vector("consistency-bad-quorum", unsigned, "untrusted", checkpoint=world.note(3).encode())
    for size in range(1, LEAVES + 1):
        for index in {0, size // 2, size - 1}:
            body = b"statement %d" % index
            data = world.receipt(index, size)
            yield Vector(f"receipt-{index}-of-{size}", data, [RECORD], record=body)


def receipts(world: World) -> Iterator[Vector]:
    """Receipts, with and without a state."""
    body, states = b"statement 4", world.states
    good, path = world.receipt(4), world.path(4, LEAVES)
    present = states.prove(b"consent/1", b"\x91\x01")
    absent = states.prove(b"consent/9", None)
    wrong_state = _core.StateProof.decode(present.encode().replace(b"\x91\x01", b"\x91\x02"))
    line = base64.b64encode(good) + b"\n"
    yield Vector("receipt-in-base64", line, [RECORD], record=body)
    for name, state in (("present", present), ("absent", absent)):
        shown = STATE if state.value else ABSENCE
        data = world.receipt(4, state=state)
        yield Vector(f"receipt-state-{name}", data, [RECORD, shown], record=body)
    wrong: dict[str, tuple[bytes, str]] = {
        "state": (world.receipt(4, state=wrong_state), "invalid-proof"),
        "index": (world.receipt(4, index=5), "invalid-proof"),
        "index-beyond": (world.receipt(4, index=7), "invalid-proof"),
        "path-more": (world.receipt(4, path=[*path, ZERO]), "invalid-proof"),
        "path-more-first": (world.receipt(4, path=[ZERO, *path]), "invalid-proof"),
        "path-fewer": (world.receipt(4, path=path[:-1]), "invalid-proof"),
        "path-changed": (world.receipt(4, path=[changed(path[0]), *path[1:]]), "invalid-proof"),
        "checkpoint-of-other-records": (
            world.receipt(4, checkpoint=world.note(6)),
            "invalid-proof",
        ),
        "quorum": (world.receipt(4, checkpoint=world.note(cosigners="")), "untrusted"),
        "goes-on": (good + b"\0", "malformed"),
        "cut-off": (good[:-1], "malformed"),
        "version": (b"\x96\x02" + good[2:], "malformed"),
    }
    for name, (data, want) in wrong.items():
        yield Vector(f"receipt-bad-{name}", data, want, record=body)
    beyond = world.receipt(6, index=7)  # whose way is that of the last record
    yield Vector("receipt-bad-index-of-the-size", beyond, "invalid-proof", record=b"statement 6")
    yield Vector("receipt-bad-body", good, "invalid-signature", record=b"statement 5")


def maps(world: World) -> Iterator[Vector]:
    """State proofs under a checkpoint."""
    held, states = world.note().encode(), world.states
    proofs = {
        f"present-{each}": states.prove(b"consent/%d" % each, bytes([0x91, each]))
        for each in range(3)
    }
    proofs |= {f"absent-{each}": states.prove(b"consent/%d" % each, None) for each in range(3, 9)}
    for name, proof in proofs.items():
        shown = STATE if proof.value else ABSENCE
        yield Vector(f"state-{name}", proof.encode(), [shown], checkpoint=held)
    good = msgspec.msgpack.decode(proofs["present-0"].encode())
    name, state, siblings, _ = good
    key = _core.hash_domain(world.suite, "state-key", name)
    value = _core.hash_domain(world.suite, "state-value", state)
    away = bytes([key[0] ^ 0x80]) + key[1:]
    wrong: dict[str, tuple[list[Any], str]] = {
        "state-changed": ([name, b"\x91\x09", siblings, None], "invalid-proof"),
        "object-changed": ([b"consent/7", state, siblings, None], "invalid-proof"),
        "hidden": ([name, None, siblings, None], "invalid-proof"),
        "hidden-behind-itself": ([name, None, siblings, [key, value]], "invalid-proof"),
        "other-of-another-way": ([name, None, siblings, [away, value]], "invalid-proof"),
        "sibling-changed": (
            [name, state, [*siblings[:-1], changed(siblings[-1])], None],
            "invalid-proof",
        ),
        "sibling-fewer": ([name, state, siblings[:-1], None], "invalid-proof"),
        "state-and-other": ([name, state, siblings, [away, value]], "malformed"),
        "sibling-short": ([name, state, [bytes(31)], None], "malformed"),
        "siblings-257": ([name, state, [ZERO] * 257, None], "malformed"),
        "items-3": ([name, state, siblings], "malformed"),
    }
    for what, (parts, want) in wrong.items():
        yield Vector(f"state-bad-{what}", encode(parts), want, checkpoint=held)
    # An operator may sign any root: here the entry of another way stands in the object's place.
    leaf = _core.hash_domain(world.suite, "state-leaf", away + value)
    halves = ZERO + leaf if key[0] & 0x80 else leaf + ZERO
    root = _core.hash_domain(world.suite, "state-node", halves)
    misplaced = encode([name, None, [ZERO], [away, value]])
    signed = world.note(state_root=root).encode()
    yield Vector("state-bad-misplaced", misplaced, "invalid-proof", checkpoint=signed)


def renewals(world: World) -> Iterator[Vector]:
    """Records of a ledger of the other suite, under a newer one that anchors it."""
    former = World(next(suite for suite in SUITES if suite != world.suite))
    leaves = _core.leaf_hashes(world.suite, former.records)
    [tile] = _core.TileTree.build(world.suite, [leaves])
    root = _core.tree_root(world.suite, leaves)

    def receipt(body: bytes, kind: str = "renewal.anchor") -> bytes:
        made = MEMBER.sign_record(world.suite, NETWORK, kind, body, sequence=0, previous=ZERO)
        alone = _core.tree_root(world.suite, _core.leaf_hashes(world.suite, [made.encode()]))
        note = world.note(1, root=alone)
        parts = {"index": 0, "path": [], "envelope": made.envelope(), "state": None}
        return bytes(Receipt(checkpoint=note, **parts).encode())

    def anchoring(**changes: Any) -> bytes:
        parts = {"network": NETWORK, "suite": former.suite, "size": LEAVES}
        parts |= {"checkpoint": former.note().encode(), "root": root} | changes
        return encode(list(parts.values()))

    def renewed(of: int, anchored: bytes, **changes: Any) -> bytes:
        proof = split_hashes(_core.prove_multi(world.suite, [of], LEAVES, {(0, 0): tile}))
        parts = {"version": 1, "network": NETWORK, "suite": former.suite, "index": of}
        parts |= {"record": former.records[of], "proof": proof, "body": anchored}
        parts |= {"receipt": changes.pop("receipt", None) or receipt(anchored)} | changes
        return encode(list(parts.values()))

    body = anchoring()
    for index in range(LEAVES):
        yield Vector(f"renewed-{index}", renewed(index, body), [("renewed", PROVEN)])
    other = MEMBER.sign_record(
        former.suite, NETWORK, "data", b"forged", sequence=0, previous=ZERO
    ).encode()
    foreign = MEMBER.sign_record(
        world.suite, NETWORK, "data", b"statement 0", sequence=0, previous=ZERO
    ).encode()
    path = split_hashes(_core.prove_multi(world.suite, [2], LEAVES, {(0, 0): tile}))
    data = b"opaque"
    wrong: dict[str, tuple[bytes, str]] = {
        "index": (renewed(2, body, index=3), "invalid-proof"),
        "record-forged": (renewed(0, body, record=other), "invalid-proof"),
        "record-of-another-suite": (renewed(0, body, record=foreign), "untrusted"),
        "path-fewer": (renewed(2, body, proof=path[:-1]), "invalid-proof"),
        "path-more": (renewed(2, body, proof=[*path, ZERO]), "invalid-proof"),
        "network": (renewed(2, body, network=bytes(16)), "invalid-proof"),
        "root": (renewed(2, anchoring(root=ZERO)), "invalid-proof"),
        "index-of-the-size": (renewed(6, anchoring(size=6)), "invalid-proof"),
        "body-of-another-anchor": (
            renewed(2, body, body=anchoring(root=ZERO)),
            "invalid-signature",
        ),
        "receipt-of-data": (renewed(2, data, receipt=receipt(data, "data")), "malformed"),
        "body-short": (renewed(2, encode([NETWORK])), "malformed"),
        "version": (renewed(2, body, version=2), "malformed"),
        "goes-on": (renewed(2, body) + b"\0", "malformed"),
        "suite-unknown": (renewed(2, body, suite="gm"), "malformed"),
    }
    for name, (bad, want) in wrong.items():
        yield Vector(f"renewed-bad-{name}", bad, want)


FAMILIES = (
    *(records, equivocations, splits, promises, checkpoints, trees, receipts, maps),
    *(states, histories, totals, openings, renewals),
)


def made() -> dict[str, str]:
    """Every file by its name: the vectors of one family in one suite, a line each."""
    files = {}
    for suite in SUITES:
        world = World(suite)
        for family in FAMILIES:
            anchor = format_anchor(world.anchor)
            files[f"{suite}-{family.__name__}.json"] = written(anchor, list(family(world)))
        with tempfile.TemporaryDirectory() as directory:
            anchor, found = packs(Path(directory), suite)
        files[f"{suite}-packs.json"] = written(anchor, [Vector(*each) for each in found])
    return files


def written(anchor: str, vectors: list[Vector]) -> str:
    """A file: the anchor, and the vectors with their bytes in base64."""
    assert len({vector.name for vector in vectors}) == len(vectors), "two vectors of one name"
    lines = ",\n".join(json.dumps(entry(vector)) for vector in vectors)
    return f'{{"anchor": {json.dumps(anchor)},\n"vectors": [\n{lines}\n]}}\n'


def entry(vector: Vector) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": vector.name}
    shown["claims" if isinstance(vector.want, list) else "error"] = vector.want
    for part in ("data", "record", "checkpoint"):
        given = getattr(vector, part)
        if given is not None:
            shown[part] = base64.b64encode(given).decode()
    return shown


def main() -> None:
    """Write all files."""
    VECTORS.mkdir(exist_ok=True)
    for name, text in made().items():
        (VECTORS / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
