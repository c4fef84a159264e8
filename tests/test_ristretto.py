"""The core's group operations, against whole numbers and RFC 9496."""

from __future__ import annotations

import hashlib
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgercore import InvalidProof, MalformedError, _core
from ledgercore.entropy import SeededEntropy
from tests import ristretto
from tests.examples import examples
from tests.ristretto import BASE, BLINDING, NEUTRAL, ORDER

# RFC 9496, appendix A.1: the multiples of the generator from 0 on.
MULTIPLES = (
    "0000000000000000000000000000000000000000000000000000000000000000",
    "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76",
    "6a493210f7499cd17fecb510ae0cea23a110e8d5b901f8acadd3095c73a3b919",
    "94741f5d5d52755ece4f23f044ee27d5d1ea1e2bd196b462166b16152a9d0259",
)
WIDE = st.binary(min_size=64, max_size=64)


def number(wide: bytes) -> int:
    return int.from_bytes(wide, "little") % ORDER


def little(value: int) -> bytes:
    return (value % ORDER).to_bytes(32, "little")


def test_reference_gives_the_multiples_of_the_standard() -> None:
    assert [bytes.fromhex(each) for each in MULTIPLES] == [
        ristretto.encode(BASE.times(times)) for times in range(4)
    ]


@examples(20)
@given(st.integers(0, 2**64 - 1), WIDE)
def test_commitment_is_what_whole_numbers_say(amount: int, wide: bytes) -> None:
    blinding = _core.group_number(wide)
    assert little(number(wide)) == blinding

    (commitment,) = _core.group_commit([amount], [blinding])

    point = BASE.times(amount) + BLINDING.times(number(wide))
    assert ristretto.encode(point) == commitment


def test_sum_of_commitments_commits_to_the_sum() -> None:
    entropy = SeededEntropy(3)
    blindings = [_core.group_number(entropy.bytes(64)) for _ in range(5)]
    amounts = [7, 0, 2**53 - 1, 11, 1]

    total = _core.group_add_points(_core.group_commit(amounts, blindings))

    blinding = _core.group_add_numbers(blindings)
    assert _core.group_commit([sum(amounts)], [blinding]) == [total]
    assert _core.group_commit([sum(amounts) + 1], [blinding]) != [total]


class Shared:
    """A key that three holders share, any two of whom open."""

    def __init__(self, threshold: int = 2, holders: int = 3) -> None:
        entropy = SeededEntropy(5)
        self.drawn = [[entropy.bytes(64) for _ in range(threshold)] for _ in range(holders)]
        places = enumerate(self.drawn, 1)
        self.deals = [_core.group_deal(each, dealer, holders) for dealer, each in places]
        dealt = [commitments for commitments, _, _ in self.deals]
        self.key, self.keys = _core.group_share_keys(dealt, holders)
        self.shares = [
            _core.group_add_numbers([numbers[at] for _, _, numbers in self.deals])
            for at in range(holders)
        ]


@pytest.fixture(scope="module")
def shared() -> Shared:
    return Shared()


def test_shares_and_keys_are_what_whole_numbers_say(shared: Shared) -> None:
    constant = sum(number(each[0]) for each in shared.drawn)
    slope = sum(number(each[1]) for each in shared.drawn)

    assert ristretto.encode(BASE.times(constant)) == shared.key
    for holder in (1, 2, 3):
        secret = constant + slope * holder
        assert little(secret) == shared.shares[holder - 1]
        assert ristretto.encode(BASE.times(secret)) == shared.keys[holder - 1]


def test_each_holder_sees_whether_it_was_dealt_what_was_committed_to(shared: Shared) -> None:
    commitments, _, numbers = shared.deals[0]
    for holder in (1, 2, 3):
        _core.group_verify_deal(commitments, holder, numbers[holder - 1])
        with pytest.raises(InvalidProof, match="is not committed to"):
            _core.group_verify_deal(commitments, holder, numbers[holder % 3])


def test_proof_of_a_deal_is_what_whole_numbers_say(shared: Shared) -> None:
    for dealer, (commitments, proof, _) in enumerate(shared.deals, 1):
        told, response = (int.from_bytes(half, "little") for half in (proof[:32], proof[32:]))
        first = BASE.times(response) + ristretto.decode(commitments[0]).times(-told)

        message = b"ledgercore audit deal proof v1\n"
        message += b"".join(each.to_bytes(8) for each in (dealer, 2, 3))
        message += commitments[0] + ristretto.encode(first) + commitments[1]
        assert told == number(hashlib.sha512(message).digest())
        _core.group_verify_dealer(commitments, proof, dealer, 3)


def test_nonce_of_a_deal_differs_with_all_that_it_is_bound_to() -> None:
    constant, slope, other = (bytes([each]) * 64 for each in (1, 2, 3))
    proofs = [
        _core.group_deal([constant, *rest], dealer, holders)[1]
        for rest in ([slope], [other], [slope, other])
        for dealer in (1, 2)
        for holders in (3, 4)
    ]

    def nonce(proof: bytes) -> int:
        challenge, response = (int.from_bytes(half, "little") for half in (proof[:32], proof[32:]))
        return (response - challenge * number(constant)) % ORDER

    assert len({nonce(proof) for proof in proofs}) == len(proofs)


@pytest.mark.parametrize("pair", list(combinations((1, 2, 3), 2)))
def test_any_two_holders_open_and_their_point_is_the_sealed_one(
    shared: Shared, pair: tuple[int, ...]
) -> None:
    wide = SeededEntropy(9).bytes(64)
    ephemeral, common = _core.group_seal(shared.key, wide)
    assert ristretto.encode(BASE.times(number(wide))) == ephemeral
    assert ristretto.encode(ristretto.decode(shared.key).times(number(wide))) == common

    parts = []
    for holder in pair:
        share, key = shared.shares[holder - 1], shared.keys[holder - 1]
        part, proof = _core.group_open_part(share, ephemeral, b"order", bytes(32))
        _core.group_verify_part(key, ephemeral, part, proof, b"order")
        parts.append(part)

    assert common == _core.group_combine(pair, parts)


def test_one_holder_alone_opens_nothing(shared: Shared) -> None:
    ephemeral, common = _core.group_seal(shared.key, bytes(range(64)))
    part, _ = _core.group_open_part(shared.shares[0], ephemeral, b"", bytes(32))

    assert common != _core.group_combine([1], [part]) == part


def test_proof_of_a_part_is_what_whole_numbers_say(shared: Shared) -> None:
    ephemeral, _ = _core.group_seal(shared.key, bytes(range(64)))
    part, proof = _core.group_open_part(shared.shares[0], ephemeral, b"order", bytes(32))
    told, response = (int.from_bytes(half, "little") for half in (proof[:32], proof[32:]))
    key, point, shown = (ristretto.decode(each) for each in (shared.keys[0], ephemeral, part))

    first = BASE.times(response) + key.times(-told)
    second = point.times(response) + shown.times(-told)

    encoded = b"".join(ristretto.encode(each) for each in (key, point, shown, first, second))
    digest = hashlib.sha512(b"ledgercore audit part v1\n" + encoded + b"order").digest()
    assert told == number(digest)


NONCE = bytes(range(64, 128))


def test_proof_of_a_copy_is_what_whole_numbers_say(shared: Shared) -> None:
    wide = bytes(range(64))
    ephemeral, _ = _core.group_seal(shared.key, wide)
    proof = _core.group_prove_seal(shared.key, wide, NONCE, b"exchange")

    first = ristretto.encode(BASE.times(number(NONCE)))
    label = b"ledgercore audit copy proof v1\n"
    challenge = hashlib.sha512(label + shared.key + ephemeral + first + b"exchange").digest()
    assert proof[:32] == little(number(challenge))
    assert proof[32:] == little(number(NONCE) + number(challenge) * number(wide))
    _core.group_verify_seal(shared.key, ephemeral, proof, b"exchange")


def test_copy_of_another_key_point_or_context_is_refused(shared: Shared) -> None:
    wide = bytes(range(64))
    ephemeral, _ = _core.group_seal(shared.key, wide)
    proof = _core.group_prove_seal(shared.key, wide, NONCE, b"exchange")
    multiple = _core.group_add_points([ephemeral] * 7)
    for key, point, context in (
        (shared.keys[0], ephemeral, b"exchange"),
        (shared.key, multiple, b"exchange"),
        (shared.key, ephemeral, b"another exchange"),
    ):
        with pytest.raises(InvalidProof, match="not sealed by one that knows its number"):
            _core.group_verify_seal(key, point, proof, context)
    for at in range(0, 64, 7):
        changed = proof[:at] + bytes([proof[at] ^ 1]) + proof[at + 1 :]
        with pytest.raises((InvalidProof, MalformedError)):
            _core.group_verify_seal(shared.key, ephemeral, changed, b"exchange")


def test_part_of_another_share_point_or_context_is_refused(shared: Shared) -> None:
    ephemeral, _ = _core.group_seal(shared.key, bytes(range(64)))
    other, _ = _core.group_seal(shared.key, bytes(64 * [7]))
    part, proof = _core.group_open_part(shared.shares[0], ephemeral, b"order", bytes(32))
    wrong = _core.group_add_points([part, shared.key])
    for key, at, shown, context in (
        (shared.keys[1], ephemeral, part, b"order"),
        (shared.keys[0], other, part, b"order"),
        (shared.keys[0], ephemeral, wrong, b"order"),
        (shared.keys[0], ephemeral, part, b"another order"),
    ):
        with pytest.raises(InvalidProof, match="not made by the holder's share"):
            _core.group_verify_part(key, at, shown, proof, context)
    for at in range(0, 64, 7):
        changed = proof[:at] + bytes([proof[at] ^ 1]) + proof[at + 1 :]
        with pytest.raises((InvalidProof, MalformedError)):
            _core.group_verify_part(shared.keys[0], ephemeral, part, changed, b"order")


def test_nonce_differs_with_the_seed_and_with_what_is_opened(shared: Shared) -> None:
    ephemeral, _ = _core.group_seal(shared.key, bytes(range(64)))
    share = shared.shares[0]

    proofs = {
        _core.group_open_part(share, ephemeral, context, seed)[1]
        for context in (b"one", b"two")
        for seed in (bytes(32), bytes([1]) * 32)
    }

    assert len(proofs) == 4


def test_share_keys_of_another_key_or_threshold_are_refused(shared: Shared) -> None:
    _core.group_verify_share_keys(shared.key, shared.keys, 2)
    for key, keys, threshold in (
        (shared.keys[0], shared.keys, 2),
        (shared.key, [*shared.keys[:2], shared.key], 2),
        (shared.key, shared.keys, 1),
    ):
        with pytest.raises(InvalidProof, match="not of the shared key"):
            _core.group_verify_share_keys(key, keys, threshold)


def test_three_of_five_share_a_key() -> None:
    five = Shared(3, 5)
    _core.group_verify_share_keys(five.key, five.keys, 3)
    ephemeral, common = _core.group_seal(five.key, bytes(range(64)))
    for chosen in combinations(range(1, 6), 3):
        parts = [
            _core.group_open_part(five.shares[at - 1], ephemeral, b"", bytes(32))[0]
            for at in chosen
        ]
        assert common == _core.group_combine(chosen, parts)


NEUTRAL_POINT = ristretto.encode(NEUTRAL)


@pytest.mark.parametrize(
    "call",
    [
        lambda: _core.group_add_points([b"\xff" * 32]),
        lambda: _core.group_add_points([b"\x01" + bytes(31)]),
        lambda: _core.group_add_points([bytes(31)]),
        lambda: _core.group_add_numbers([ORDER.to_bytes(32, "little")]),
        lambda: _core.group_number(bytes(63)),
        lambda: _core.group_seal(NEUTRAL_POINT, bytes(64)),
        lambda: _core.group_prove_seal(NEUTRAL_POINT, bytes(64), bytes(63), b""),
        lambda: _core.group_verify_seal(NEUTRAL_POINT, NEUTRAL_POINT, bytes(64), b""),
        lambda: _core.group_verify_seal(NEUTRAL_POINT, ristretto.encode(BASE), b"\xff" * 64, b""),
        lambda: _core.group_open_part(bytes(32), NEUTRAL_POINT, b"", bytes(32)),
        lambda: _core.group_combine([2, 1], [NEUTRAL_POINT] * 2),
        lambda: _core.group_combine([1, 1], [NEUTRAL_POINT] * 2),
        lambda: _core.group_combine([0, 1], [NEUTRAL_POINT] * 2),
        lambda: _core.group_combine([], []),
        lambda: _core.group_commit([1, 2], [bytes(32)]),
        lambda: _core.group_deal([bytes(64)] * 3, 1, 2),
        lambda: _core.group_deal([], 1, 2),
        lambda: _core.group_deal([bytes(64)], 0, 2),
        lambda: _core.group_deal([bytes(64)], 3, 2),
        lambda: _core.group_verify_dealer([], bytes(64), 1, 2),
        lambda: _core.group_verify_dealer([NEUTRAL_POINT], bytes(64), 0, 2),
        lambda: _core.group_verify_dealer([NEUTRAL_POINT], bytes(64), 3, 2),
        lambda: _core.group_verify_dealer([NEUTRAL_POINT], b"\xff" * 64, 1, 2),
        lambda: _core.group_verify_dealer([b"\xff" * 32], bytes(64), 1, 2),
    ],
)
def test_what_is_no_point_number_or_threshold_is_malformed(call) -> None:
    with pytest.raises(MalformedError):
        call()
