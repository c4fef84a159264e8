"""Use an installed ledgercore as a stranger would, and fail loudly where it does not work."""

import json
import sys
import tempfile
from pathlib import Path

import ledgercore
from ledgercore import InvalidError, Ledger


def check_build() -> None:
    """The wheel carries an optimised core, and it is the installed one."""
    info = ledgercore.build_info()
    print(info)
    assert info["profile"] == "release", info
    assert Path(ledgercore.__file__).is_relative_to(sys.prefix), ledgercore.__file__


def check_demo(summary: Path) -> None:
    """The demo accepted every firm that it generated."""
    result = json.loads(summary.read_text())
    assert result["rows"] == 20, result
    assert result["accepted"] == 20, result
    assert result["rejected"] == [], result
    assert result["exchanges"] > 0, result


def check_ledger(directory: Path) -> None:
    """A receipt outlives its ledger object, and a changed byte is noticed."""
    path = directory / "smoke.ledger"
    with Ledger.create(path, origin="example.org/smoke") as ledger:
        receipt = ledger.append_many([b"first", b"second"])[1]
    with Ledger.open(path) as ledger:
        ledger.verify()
        anchor = ledger.trust_anchor
    receipt.verify(b"second", anchor)
    try:
        receipt.verify(b"Second", anchor)
    except InvalidError as error:
        print(f"a changed byte: {error}")
    else:
        raise AssertionError("a changed byte went unnoticed")


def main() -> None:
    """Run every check."""
    check_build()
    check_demo(Path(sys.argv[1]))
    with tempfile.TemporaryDirectory() as directory:
        check_ledger(Path(directory))


if __name__ == "__main__":
    main()
