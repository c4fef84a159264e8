"""No error shows the password of an address, wherever that was given and in whatever form."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ledgercore import Ledger, LedgerError
from ledgercore.anchor import parse_anchor
from ledgercore.disk import read_bytes
from ledgercore.errors import MalformedError, StoreError
from ledgercore.keys import load_signer
from ledgercore.node.settings import load_settings

SECRET = "hunter2"
PLACES: tuple[str | Path, ...] = (
    f"host=db.example user=me password={SECRET}",
    f"host=db.example password = '{SECRET} {SECRET}' user=me",
    f"dbname=x sslpassword={SECRET}&PASSWORD={SECRET}",
    f"me:{SECRET}@db.example",
    f"me:{SECRET}@db.example:5432/exchange",
    f"./me:{SECRET}@db.example/exchange",
    f"postgresql://me:{SECRET}@db.example/exchange?password={SECRET}",
    Path(f"postgresql://me:{SECRET}@db.example/exchange"),
    Path(f"mysql://me:{SECRET}@db.example/exchange"),
    Path(f"me:{SECRET}@db.example"),
    Path(f"host=db.example password={SECRET}"),
)
TAKES: dict[str, Callable[[str | Path], object]] = {
    "a ledger": Ledger.open,
    "a ledger to read": lambda place: Ledger.open(place, read_only=True),
    "a key": lambda place: load_signer(str(place)),
    "settings": load_settings,
    "a file": read_bytes,
    "an anchor": lambda place: parse_anchor(f"origin = {place}"),
}


@pytest.mark.parametrize("place", PLACES, ids=str)
@pytest.mark.parametrize("what", TAKES)
def test_no_error_shows_a_password(
    what: str, place: str | Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(LedgerError) as refused:
        TAKES[what](place)

    assert SECRET not in str(refused.value)
    assert SECRET not in "".join(map(str, refused.value.args))


def test_a_password_goes_and_all_else_of_a_message_stays() -> None:
    said = {
        f"cannot open a/me:{SECRET}@h: no": "cannot open a/me:...@h: no",
        f"at 'postgresql://me:{SECRET}@h:1/x?password={SECRET}&a=b'": "at 'postgresql://me:...@h:1/x"
        "?password=...&a=b'",
        "node of tax at https://tax.example:7443: is it there": None,
        "operator@tax.example has no member: ask a@b": None,
        "passphrase is wrong, of a password: 3 left": None,
    }

    for given, wanted in said.items():
        error = MalformedError(given, 3)
        assert str(error) == (wanted or given)
        assert str(pickle.loads(pickle.dumps(StoreError(given)))) == (wanted or given)
        assert error.index == 3


@pytest.mark.parametrize("part", ["x", "a:", "@", "a:b@", "password=", "password = '", "x://", " "])
def test_a_message_of_any_length_is_looked_through_at_once(part: str) -> None:
    begin = time.process_time()

    LedgerError("@" + part * (1_000_000 // len(part)))

    assert time.process_time() - begin < 5
