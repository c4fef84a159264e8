"""Prove a state and a history from the command line, and verify both from files alone."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from ledgercore import format_anchor, records, verify_history, verify_state
from tests.cli.command import Done, objects, run, run_well
from tests.network import CONSENT, NEW_CONSENT
from tests.test_history import authorise, create, submit

NAME, ABSENT = f"consent/{CONSENT.hex()}", f"consent/{NEW_CONSENT.hex()}"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a ledger, in which a consent is authorised and revoked, and its anchor."""
    with create(tmp_path / "a.ledger") as ledger:
        authorise(ledger, CONSENT, "consent key")
        submit(ledger, "consent key", records.ConsentRevoke(CONSENT))
        (tmp_path / "anchor.toml").write_text(format_anchor(ledger.trust_anchor))
    return tmp_path


def prove(place: Path, *arguments: object) -> bytes:
    return run_well("prove", "a.ledger", *arguments, directory=place)


def verify(place: Path, *arguments: object) -> Done:
    return run("verify", "proof", "--anchor", "anchor.toml", *arguments, directory=place)


@pytest.mark.parametrize("form", ["output", "pipe"])
def test_a_state_is_proven_and_verified_without_the_ledger(place: Path, form: str) -> None:
    given = ("--output", "proof") if form == "output" else ()
    printed = prove(place, "--state", NAME, *given)
    if form == "pipe":
        (place / "proof").write_bytes(printed)
    for path in place.glob("a.ledger*"):
        path.unlink()

    done = verify(place)
    (facts,) = objects(verify(place, "--json").stdout)

    assert (done.returncode, done.stderr) == (0, b"")
    assert b"status    REVOKED\n" in done.stdout
    assert (facts["verified"], facts["object"], facts["size"]) == (True, NAME, 6)
    assert (facts["present"], facts["status"]) == (True, "REVOKED")
    assert facts["state"]["product"] == "tax.v1"


def test_an_absence_is_proven_and_verified(place: Path) -> None:
    prove(place, "--state", ABSENT, "--output", "proof")

    done = verify(place)
    (facts,) = objects(verify(place, "--json").stdout)

    assert b"present   no\n" in done.stdout
    assert (facts["object"], facts["present"], facts["state"]) == (ABSENT, False, None)


@pytest.mark.parametrize(("name", "status"), [(NAME, "REVOKED"), (ABSENT, None)])
def test_a_receipt_with_a_state_says_what_the_state_is(
    place: Path, name: str, status: str | None
) -> None:
    prove(place, "--index", 5, "--state", name, "--output", "proof")
    (place / "record").write_bytes(run_well("show", place / "a.ledger", "--index", 5, "--body"))

    (facts,) = objects(verify(place, "--record", place / "record", "--json").stdout)

    assert (facts["object"], facts["present"]) == (name, status is not None)
    assert facts.get("status") == status
    assert (facts["state"] or {}).get("status") == status


@pytest.mark.parametrize(("height", "kinds"), [(None, 3), (3, 2), (2, 1), (1, 0), (4, 3)])
def test_a_history_is_proven_and_verified(place: Path, height: int | None, kinds: int) -> None:
    given = () if height is None else ("--height", height)
    (place / "proof").write_bytes(prove(place, "--history", NAME, *given))

    done = verify(place)
    (facts,) = objects(verify(place, "--json").stdout)

    want = ["consent.request", "consent.authorise", "consent.revoke"][:kinds]
    assert done.returncode == 0
    lines = done.stdout.decode().splitlines()
    assert [line.split()[1].strip(":") for line in lines[-kinds:] if kinds] == want
    assert [record["kind"] for record in facts["history"]] == want
    assert [record["index"] for record in facts["history"]] == [3, 4, 5][:kinds]
    assert (facts["complete"], facts["records"]) == (True, kinds)
    assert (facts["size"], facts["state_size"]) == (6 if height is None else height + 2, 6)
    assert facts["status"] == "REVOKED"


def test_what_json_holds_are_the_same_bytes(place: Path) -> None:
    (state,) = objects(prove(place, "--state", NAME, "--json"))
    (history,) = objects(prove(place, "--history", NAME, "--json"))

    assert (state["object"], history["object"]) == (NAME, NAME)
    assert base64.b64decode(state["receipt"]) == base64.b64decode(prove(place, "--state", NAME))
    assert base64.b64decode(history["history"]) == base64.b64decode(prove(place, "--history", NAME))


@pytest.mark.parametrize("kind", ["--state", "--history"])
def test_a_changed_byte_is_refused_with_the_reason(place: Path, kind: str) -> None:
    prove(place, kind, NAME, "--output", "right")
    data = (place / "right").read_bytes()
    at = data.index(b"REVOKED")
    (place / "proof").write_bytes(data[:at] + b"S" + data[at + 1 :])

    done = verify(place)

    assert (done.returncode, done.stdout) == (1, b"")
    assert b"ledgercore: state" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_record_does_not_go_with_them(place: Path) -> None:
    for kind, looks in (("--state", b"a state receipt"), ("--history", b"a history")):
        (place / "proof").write_bytes(prove(place, kind, NAME))

        done = verify(place, "--record", "anchor.toml")

        assert done.returncode == 5
        assert b"is not a receipt: it looks like " + looks in done.stderr


@pytest.mark.parametrize(
    ("code", "arguments", "reason"),
    [
        (2, (), b"say one of"),
        (2, ("--state", NAME, "--history", NAME), b"say one of"),
        (2, ("--state", NAME, "--since", 1), b"say one of"),
        (2, ("--index", 1, "--history", NAME), b"say one of"),
        (2, ("--index", 1, "--state", NAME, "--since", 1), b"say one of"),
        (2, ("--state", NAME, "--height", 1), b"--height goes with --history"),
        (4, ("--history", NAME, "--height", 9), b"height is 9, want 0 or more and at most 4"),
        (5, ("--history", "signer/" + "00" * 32), b"has no history, want one of governance"),
        (5, ("--state", "consents/1"), b"is of no family that has states"),
        (5, ("--state", "consent/1"), b"want 64 hexadecimal digits"),
    ],
)
def test_what_cannot_be_proven_is_refused(
    place: Path, code: int, arguments: tuple[object, ...], reason: bytes
) -> None:
    done = run("prove", "a.ledger", *arguments, directory=place)

    assert (done.returncode, done.stdout) == (code, b"")
    assert reason in done.stderr


def test_a_receipt_still_takes_a_state_beside_it(place: Path) -> None:
    prove(place, "--index", 1, "--state", NAME, "--output", "proof")
    (place / "body").write_bytes(run_well("show", place / "a.ledger", "--index", 1, "--body"))

    assert verify(place, "--record", "body").returncode == 0


def test_files_are_what_the_library_verifies(place: Path) -> None:
    from ledgercore import parse_anchor

    anchor = parse_anchor((place / "anchor.toml").read_text())
    prove(place, "--history", NAME, "--output", "history")
    prove(place, "--state", NAME, "--output", "state")

    assert len(verify_history((place / "history").read_bytes(), anchor).records) == 3
    assert verify_state((place / "state").read_bytes(), anchor).checkpoint.size == 6
