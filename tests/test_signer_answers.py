"""What a signer of the owner's own gives that is no signature is said, and signs nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from ledgercore import InvalidSignature, Ledger, SigningKey, keys
from ledgercore.exchange.erasure import certify_erasure
from ledgercore.exchange.signer import RecordSigner
from ledgercore.vault import Vault

KEY = SigningKey(bytes(range(32)))
NETWORK, ORIGIN = bytes(16), "signer.example/log"


class OddService:
    """A signer whose keeper answers otherwise than its program thinks."""

    def __init__(self, answer: object) -> None:
        self.public_key = KEY.public_key
        self._answer = answer

    def sign(self, message: bytes) -> bytes:
        return self._answer  # type: ignore[return-value]  # that is what is found out


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "gave NoneType, want the 64 bytes of an Ed2"),
        ("ab" * 64, "gave str, want the 64 bytes of an Ed2"),
        ([1, 2], "gave list, want the 64 bytes of an Ed2"),
        (b"", "gave 0 bytes, want the 64 bytes of an Ed2"),
        (bytes(63), "gave 63 bytes, want the 64 bytes of an Ed2"),
        (bytes(72), "gave 72 bytes, want the 64 bytes of an Ed2"),
        (bytearray(65), "gave 65 bytes, want the 64 bytes of an Ed2"),
        (bytes(64), "does not verify under its public key: see that it signs with that key"),
    ],
)
def test_what_a_signer_gives_that_is_no_signature_is_said(
    tmp_path: Path, answer: object, said: str
) -> None:
    service = OddService(answer)
    signed = {"suite": "std", "network": NETWORK, "sequence": 0, "previous": bytes(32)}
    calls: list[Callable[[], object]] = [
        lambda: keys.sign_record(service, kind="data", body=b"x", **signed),
        lambda: keys.sign_batch(service, kind="data", bodies=[b"x", b"y"], **signed),
        lambda: Ledger.create(tmp_path / "a.ledger", origin=ORIGIN, key=service),
        lambda: RecordSigner(service, vault).sign(b"an endorsement"),
        lambda: certify_erasure(vault, ["exchange/17"], service, NETWORK, "std", 1),
        lambda: keys.cosign_checkpoint(note, "w.example", service, 1),
    ]
    with Ledger.create(tmp_path / "b.ledger", origin=ORIGIN, key=KEY) as ledger:
        note = ledger.checkpoint

    with closing(Vault(tmp_path / "a.vault")) as vault:
        for call in calls:
            with pytest.raises(InvalidSignature, match=said):
                call()


def test_a_signature_in_a_bytearray_is_one(tmp_path: Path) -> None:
    signature = KEY.sign(b"message")

    assert keys.sign_message(OddService(bytearray(signature)), b"message") == signature
