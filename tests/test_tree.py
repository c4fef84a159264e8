"""The history tree against the reference, and every wrong proof refused."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgercore import InvalidProof, LimitError, MalformedError, _core, primitives
from ledgercore._core import Frontier, TileTree
from ledgercore.proofs.wire import split_hashes
from tests import reference
from tests.examples import examples

SUITES = ("std", "c2sp")
SIZES = 131

Tiles = dict[tuple[int, int], TileTree]


def joined(hashes: Sequence[bytes]) -> bytes:
    return b"".join(hashes)


def grow(suite: str, leaves: Sequence[bytes], step: int = 1 << 20) -> tuple[Frontier, Tiles]:
    """A tree that is appended to step by step, with all its tiles, unfinished ones included."""
    frontier, every = Frontier(suite), []
    for begin in range(0, len(leaves), step):
        frontier, filled = frontier.append(joined(leaves[begin : begin + step]))
        every += filled
    return frontier, named_tiles(frontier, every)


def named_tiles(frontier: Frontier, filled: list[tuple[int, int, bytes]]) -> Tiles:
    """Full tiles and unfinished ones, with the nodes over them."""
    tiles = {(level, index): hashes for level, index, hashes in filled}
    for level, tail in enumerate(frontier.tails()):
        tiles[level, frontier.size >> 8 * level + 8] = tail
    return dict(zip(tiles, TileTree.build(frontier.suite, list(tiles.values())), strict=True))


def hashes_of(tiles: Tiles) -> dict[tuple[int, int], bytes]:
    return {name: tile.hashes for name, tile in tiles.items()}


@pytest.fixture(scope="module", params=SUITES)
def suite(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def leaves(suite: str) -> list[bytes]:
    return [reference.leaf(suite, b"leaf %d" % number) for number in range(SIZES)]


@pytest.fixture(scope="module")
def roots(suite: str, leaves: list[bytes]) -> list[bytes]:
    return [reference.root(suite, leaves[:size]) for size in range(SIZES)]


def test_hashes_agree_with_the_reference(suite: str) -> None:
    for length in (0, 1, 55, 56, 57, 63, 64, 65, 120, 1016, 1017, 1024, 1025, 5000):
        data = bytes(range(256)) * 20
        assert _core.leaf_hash(suite, data[:length]) == reference.leaf(suite, data[:length])
    assert primitives.node_hash(suite, b"l" * 32, b"r" * 32) == reference.node(
        suite, b"l" * 32, b"r" * 32
    )


def test_leaf_hashes_of_many_items_are_those_of_each(suite: str) -> None:
    """More than are taken out of Python at a time, and borders of what lanes take."""
    items = [number.to_bytes(3, "big") * (number % 40) for number in range(16_384 + 130)]
    hashes = [reference.leaf(suite, item) for item in items]
    for count in (0, 1, 513, 16_383, 16_384, 16_385, len(items)):
        assert _core.leaf_hashes(suite, items[:count]) == joined(hashes[:count])
    with pytest.raises(TypeError, match="data is a str, want a list of bytes"):
        _core.leaf_hashes(suite, "ab")  # type: ignore[arg-type]


def test_roots_agree_for_every_size(suite: str, leaves: list[bytes], roots: list[bytes]) -> None:
    for size in range(SIZES):
        assert _core.tree_root(suite, joined(leaves[:size])) == roots[size]


def test_roots_of_large_trees_agree(suite: str) -> None:
    leaves = [reference.leaf(suite, b"%d" % number) for number in range(2 * 4096 + 1)]
    for size in (255, 256, 257, 4095, 4096, 4097, 4098, 6000, 8191, 8192, 8193):
        root = _core.tree_root(suite, joined(leaves[:size]))
        assert root == reference.root(suite, leaves[:size])
        assert root == Frontier(suite).append(joined(leaves[:size]))[0].root()


def test_the_tree_of_rfc_6962_has_its_known_roots() -> None:
    data = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
    data.append("606162636465666768696a6b6c6d6e6f")
    leaves = [reference.leaf("c2sp", bytes.fromhex(item)) for item in data]
    known = {
        0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    }
    for size, want in known.items():
        assert reference.root("c2sp", leaves[:size]).hex() == want
        assert _core.tree_root("c2sp", joined(leaves[:size])).hex() == want


def test_appending_in_any_steps_gives_one_tree(suite: str) -> None:
    leaves = [reference.leaf(suite, b"%d" % number) for number in range(1000)]
    whole, tiles = grow(suite, leaves)
    want = (whole.root(), whole.tails(), hashes_of(tiles))
    for step in (1, 7, 255, 256, 257):
        frontier, stepped = grow(suite, leaves, step)
        assert (frontier.root(), frontier.tails(), hashes_of(stepped)) == want
    restored = Frontier(suite, whole.size, whole.tails())
    assert restored.append(leaves[0])[0].root() == whole.append(leaves[0])[0].root()


def test_inclusion_is_exact_for_every_index_and_size(
    suite: str, leaves: list[bytes], roots: list[bytes]
) -> None:
    _, tiles = grow(suite, leaves)
    for size in range(1, SIZES):
        for index in range(size):
            proof = _core.prove_inclusion(suite, index, size, tiles)
            assert proof == reference.inclusion(suite, index, leaves[:size])
            _core.verify_inclusion(suite, leaves[index], index, size, proof, roots[size])


def test_consistency_is_exact_for_every_pair_of_sizes(
    suite: str, leaves: list[bytes], roots: list[bytes]
) -> None:
    _, tiles = grow(suite, leaves)
    for second in range(SIZES):
        for first in range(second + 1):
            proof = _core.prove_consistency(suite, first, second, tiles)
            assert proof == reference.consistency(suite, first, leaves[:second])
            _core.verify_consistency(suite, first, second, proof, roots[first], roots[second])


def test_proofs_hold_in_large_trees() -> None:
    choose = random.Random(1)
    data = [b"%d" % number for number in range(1 << 20)]
    hashes = _core.leaf_hashes("std", data)
    whole, filled = Frontier("std").append(hashes)
    tiles = named_tiles(whole, filled)
    for _ in range(150):
        size = choose.randrange(1, 1 << choose.randrange(1, 21))
        index, older = choose.randrange(size), choose.randrange(size + 1)
        root = Frontier("std").append(hashes[: 32 * size])[0].root()
        leaf = hashes[32 * index : 32 * index + 32]
        needed = {name: tiles[name] for name in _core.inclusion_tiles([index], size)}
        proof = _core.prove_inclusion("std", index, size, needed)
        _core.verify_inclusion("std", leaf, index, size, proof, root)
        needed = {name: tiles[name] for name in _core.consistency_tiles(older, size)}
        proof = _core.prove_consistency("std", older, size, needed)
        older_root = Frontier("std").append(hashes[: 32 * older])[0].root()
        _core.verify_consistency("std", older, size, proof, older_root, root)


def test_a_multiproof_of_any_leaves_of_a_small_tree_verifies() -> None:
    for size in range(1, 12):
        leaves = [reference.leaf("std", b"%d" % number) for number in range(size)]
        frontier, tiles = grow("std", leaves)
        for chosen in range(1, 1 << size):
            targets = [index for index in range(size) if chosen >> index & 1]
            proof = _core.prove_multi("std", targets, size, tiles)
            assert proof == joined(reference.multiproof("std", targets, leaves))
            shown = joined([leaves[target] for target in targets])
            _core.verify_multi("std", shown, targets, size, proof, frontier.root())


def test_a_multiproof_of_many_leaves_of_a_large_tree_verifies(suite: str) -> None:
    for size, step in ((1 << 14, 5), ((1 << 14) + 1, 5), (20_000, 7), (20_000, 1)):
        hashes = _core.leaf_hashes(suite, [b"%d" % number for number in range(size)])
        leaves = split_hashes(hashes)
        frontier, tiles = grow(suite, leaves)
        targets = sorted({*range(0, size, step), size - 1})
        proof = _core.prove_multi(suite, targets, size, tiles)
        shown = joined([leaves[target] for target in targets])
        _core.verify_multi(suite, shown, targets, size, proof, frontier.root())


@examples(200)
@given(st.data())
def test_multiproofs_agree_and_verify(data: st.DataObject) -> None:
    suite = data.draw(st.sampled_from(SUITES))
    size = data.draw(st.integers(1, 600))
    targets = sorted(data.draw(st.sets(st.integers(0, size - 1), min_size=1, max_size=20)))
    leaves = [reference.leaf(suite, b"%d" % number) for number in range(size)]
    frontier, tiles = grow(suite, leaves)
    needed = {name: tiles[name] for name in _core.multiproof_tiles(targets, size)}

    proof = _core.prove_multi(suite, targets, size, needed)

    hashes = reference.multiproof(suite, targets, leaves)
    assert proof == joined(hashes)
    shown = joined([leaves[target] for target in targets])
    for form in (proof, hashes, tuple(hashes)):
        _core.verify_multi(suite, shown, targets, size, form, frontier.root())
    position = data.draw(st.integers(0, len(shown) - 1))
    wrong = bytearray(shown)
    wrong[position] ^= 1
    with pytest.raises(InvalidProof):
        _core.verify_multi(suite, bytes(wrong), targets, size, proof, frontier.root())
    with pytest.raises(InvalidProof):
        _core.verify_multi(suite, shown, targets, size, proof + bytes(32), frontier.root())
    with pytest.raises(
        MalformedError, match=r"^proof hashes have \d+ bytes, want a multiple of 32$"
    ):
        _core.verify_multi(suite, shown, targets, size, proof + b"short", frontier.root())


def flips(value: bytes) -> list[bytes]:
    """The value with each byte changed in turn."""
    return [value[:at] + bytes([value[at] ^ 0x40]) + value[at + 1 :] for at in range(len(value))]


def refused(verify: Callable[..., None], *arguments: object) -> None:
    with pytest.raises((InvalidProof, MalformedError)):
        verify(*arguments)


def changes(proof: list[bytes]) -> list[list[bytes]]:
    """Proofs that differ from this one in one byte, or in their length."""
    changed = [
        [*proof[:at], wrong, *proof[at + 1 :]]
        for at, part in enumerate(proof)
        for wrong in flips(part)
    ]
    longer = [[*proof, bytes(32)], [bytes(32), *proof]]
    shorter = [proof[:-1], proof[1:], [*proof[:-1], b"short"]] if proof else []
    return changed + longer + shorter


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 13, 64, 100])
def test_every_changed_part_of_an_inclusion_is_refused(
    suite: str, leaves: list[bytes], roots: list[bytes], size: int
) -> None:
    _, tiles = grow(suite, leaves)
    verify, root = _core.verify_inclusion, roots[size]
    for index in {0, size // 2, size - 1}:
        leaf = leaves[index]
        proof = _core.prove_inclusion(suite, index, size, tiles)
        verify(suite, leaf, index, size, proof, root)
        for wrong in flips(leaf):
            refused(verify, suite, wrong, index, size, proof, root)
        for wrong in flips(root):
            refused(verify, suite, leaf, index, size, proof, wrong)
        for changed in changes(proof):
            refused(verify, suite, leaf, index, size, changed, root)
        for other in range(size + 2):
            if other != index:
                refused(verify, suite, leaf, other, size, proof, root)


@pytest.mark.parametrize("size", [1, 2, 5, 8, 21])
def test_another_size_holds_only_where_the_siblings_stand_alike(
    suite: str, leaves: list[bytes], roots: list[bytes], size: int
) -> None:
    """An inclusion proof does not fix the size: the checkpoint does, beside the root."""
    _, tiles = grow(suite, leaves)
    verify, root = _core.verify_inclusion, roots[size]
    for index in range(size):
        proof = _core.prove_inclusion(suite, index, size, tiles)
        for other in range(index + 1, 40):
            if reference.sides(index, other) == reference.sides(index, size):
                verify(suite, leaves[index], index, other, proof, root)
            else:
                refused(verify, suite, leaves[index], index, other, proof, root)


@pytest.mark.parametrize("targets", [[0], [3, 4], [0, 6, 12], [5, 6, 7, 8, 9]])
def test_every_changed_part_of_a_multiproof_is_refused(
    suite: str, leaves: list[bytes], roots: list[bytes], targets: list[int]
) -> None:
    _, tiles = grow(suite, leaves)
    verify, shown = _core.verify_multi, joined([leaves[target] for target in targets])
    proof = split_hashes(_core.prove_multi(suite, targets, 13, tiles))
    verify(suite, shown, targets, 13, proof, roots[13])
    for wrong in flips(shown):
        refused(verify, suite, wrong, targets, 13, proof, roots[13])
    for wrong in flips(roots[13]):
        refused(verify, suite, shown, targets, 13, proof, wrong)
    for changed in changes(proof):
        refused(verify, suite, shown, targets, 13, changed, roots[13])
    for at, target in enumerate(targets):
        for other in set(range(14)) - set(targets):
            moved = [*targets[:at], other, *targets[at + 1 :]]
            refused(verify, suite, shown, moved, 13, proof, roots[13])
        fewer = [known for known in targets if known != target]
        refused(verify, suite, shown, fewer, 13, proof, roots[13])


@pytest.mark.parametrize(
    ("first", "second"), [(1, 2), (3, 7), (4, 7), (6, 13), (64, 100), (63, 130)]
)
def test_every_changed_part_of_a_consistency_is_refused(
    suite: str, leaves: list[bytes], roots: list[bytes], first: int, second: int
) -> None:
    _, tiles = grow(suite, leaves)
    verify, older, newer = _core.verify_consistency, roots[first], roots[second]
    proof = _core.prove_consistency(suite, first, second, tiles)
    verify(suite, first, second, proof, older, newer)
    for wrong in flips(older):
        refused(verify, suite, first, second, proof, wrong, newer)
    for wrong in flips(newer):
        refused(verify, suite, first, second, proof, older, wrong)
    for changed in changes(proof):
        refused(verify, suite, first, second, changed, older, newer)


def test_a_missing_tile_is_named() -> None:
    with pytest.raises(InvalidProof, match=r"tile \(0, 0\) has 0 hashes, want 1"):
        _core.prove_inclusion("std", 1, 2, {})


def test_a_short_tile_is_named() -> None:
    _, tiles = grow("std", [bytes([number]) * 32 for number in range(8)])
    hashes = tiles[0, 0].hashes
    [tiles[0, 0]] = TileTree.build("std", [hashes[: 32 * 3]])
    with pytest.raises(InvalidProof, match=r"tile \(0, 0\) has 3 hashes, want 4"):
        _core.prove_inclusion("std", 0, 8, tiles)
    with pytest.raises(MalformedError, match="tile have 95 bytes, want a multiple of 32"):
        TileTree.build("std", [hashes[:95]])
    with pytest.raises(LimitError, match="tile hashes is 257, want at most 256"):
        TileTree.build("std", [bytes(32 * 257)])


def test_a_tile_of_another_suite_is_refused() -> None:
    _, tiles = grow("c2sp", [bytes([number]) * 32 for number in range(8)])
    with pytest.raises(MalformedError, match=r"tile \(0, 0\) is of suite c2sp, want std"):
        _core.prove_inclusion("std", 0, 8, tiles)


def test_a_full_tile_has_a_root(suite: str) -> None:
    leaves = [bytes([number]) * 32 for number in range(256)]
    full, short = TileTree.build(suite, [joined(leaves), joined(leaves[1:])])
    assert full.root == reference.root(suite, leaves)
    assert short.root is None


def test_many_inclusions_name_the_first_that_fails() -> None:
    leaves = [reference.leaf("std", b"%d" % number) for number in range(50)]
    frontier, tiles = grow("std", leaves)
    root = frontier.root()
    proofs = [_core.prove_inclusion("std", index, 50, tiles) for index in range(50)]
    primitives.verify_inclusions("std", joined(leaves), [*range(50)], 50, proofs, root)
    for wrong in (31, 40, 5):
        proofs[wrong] = proofs[wrong - 1]
        first = min(wrong, 31)
        with pytest.raises(InvalidProof, match=f"^proof {first}: root is .*, want "):
            primitives.verify_inclusions("std", joined(leaves), [*range(50)], 50, proofs, root)
    with pytest.raises(MalformedError, match="batch has 50 leaves and 49 proofs, want 50 each"):
        primitives.verify_inclusions("std", joined(leaves), [*range(50)], 50, proofs[1:], root)
