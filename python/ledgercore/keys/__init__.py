"""Sign with a key wherever it is kept: in memory, in a file, in a token, with a service."""

from ledgercore.keys.pkcs12 import PKCS12_ROUNDS, load_pkcs12, store_pkcs12
from ledgercore.keys.place import ensure_signer, load_signer
from ledgercore.keys.signing import (
    Signer,
    cosign_checkpoint,
    sign_batch,
    sign_checkpoint,
    sign_message,
    sign_record,
)

__all__ = [
    "PKCS12_ROUNDS",
    "Signer",
    "cosign_checkpoint",
    "ensure_signer",
    "load_pkcs12",
    "load_signer",
    "sign_batch",
    "sign_checkpoint",
    "sign_message",
    "sign_record",
    "store_pkcs12",
]
