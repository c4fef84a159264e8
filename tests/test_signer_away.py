"""An operator's signer that is away refuses a block, leaves all as it was, and may come back."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledgercore import Ledger, SignerAwayError, SigningKey, testing
from ledgercore.clock import ManualClock
from ledgercore.entropy import SeededEntropy

KEY = SigningKey(bytes(range(32)))
SIGNERS = 3
PAYLOADS = [b"payload %d" % number for number in range(300)]


class Service:
    """A signer that may be away from one of the messages on that it is asked for next."""

    def __init__(self) -> None:
        self.public_key = KEY.public_key
        self.left: int | None = None

    def sign(self, message: bytes) -> bytes:
        if self.left == 0:
            raise SignerAwayError("service is away: try again")
        if self.left is not None:
            self.left -= 1
        return KEY.sign(message)


def create(place: str, signer: Service) -> Ledger:
    return Ledger.create(
        place,
        origin="away.example/log",
        key=signer,
        members=testing.test_members(SIGNERS),
        clock=ManualClock(1_700_000_000_000),
        entropy=SeededEntropy(1),
    )


@pytest.fixture(params=["file", "server"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        return str(tmp_path / "a.ledger")
    schema = request.getfixturevalue("schema")
    return str(request.getfixturevalue("server").address(tmp_path / "host", schema))


@pytest.mark.parametrize("signed", [0, 1, len(PAYLOADS)])
def test_a_ledger_is_the_same_as_if_its_signer_had_never_been_away(
    place: str, tmp_path: Path, signed: int
) -> None:
    """It is away at the first record, the second one, or at the checkpoint, where all is stored."""
    service, steady = Service(), Service()
    with create(place, service) as ledger, create(str(tmp_path / "twin.ledger"), steady) as twin:
        for size in (1, 1 + len(PAYLOADS) + 20):
            service.left = signed
            with pytest.raises(SignerAwayError, match="service is away"):
                ledger.append_many(PAYLOADS)
            assert (ledger.size, ledger.stopped) == (size, None)
            service.left = None
            assert list(ledger.append_many(PAYLOADS)) == list(twin.append_many(PAYLOADS))
            records = testing.signed_records(twin, signers=SIGNERS, count=20, body_bytes=40)
            service.left = 0
            with pytest.raises(SignerAwayError, match="service is away"):
                ledger.submit_many(records)
            service.left = None
            assert list(ledger.submit_many(records)) == list(twin.submit_many(records))

        ledger.verify()
        assert list(ledger.blocks()) == list(twin.blocks())
        want = twin.checkpoint
    with Ledger.open(place, key=service) as ledger:
        assert ledger.checkpoint == want
        assert ledger.append(b"one more").index == ledger.size - 1
