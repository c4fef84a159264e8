"""End every error in one line and its exit code, and no traceback."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner

from ledgercore.cli import COMMANDS, exit_code, root
from ledgercore.errors import LedgerError
from ledgercore.vault import Vault
from tests.cli.command import COMMAND, DOCUMENT, objects, run, run_well


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        (2, ()),
        (2, ("unheard-of",)),
        (2, ("init", "x")),
        (2, ("append", "a.ledger")),
        (2, ("show", "a.ledger", "--index", "0", "--block", "0")),
        (2, ("show", "a.ledger", "--body")),
        (2, ("prove", "a.ledger")),
        (2, ("prove", "a.ledger", "--index", "0", "--since", "1")),
        (2, ("demo", "--data", "table.csv")),
        (2, ("demo", "--firms", "0")),
        (2, ("show", "")),
        (2, ("demo", "--directory", "")),
        (4, ("append", "missing", "--lines", "record")),
        (4, ("append", "record", "--lines", "record")),
        (4, ("renew", "a.ledger", "missing")),
        (4, ("renew", "missing", "a.ledger")),
        (4, ("show", "a.ledger", "--index", "7")),
        (4, ("show", "a.ledger", "--index", "-1")),
        (4, ("show", "a.ledger", "--index", "9" * 40)),
        (4, ("show", "a.ledger", "--block", "9" * 40)),
        (4, ("show", "a.ledger", "--id", "ab" * 32)),
        (4, ("show", "a.ledger", "--objects", "nonsense")),
        (4, ("prove", "a.ledger", "--since", "3")),
        (4, ("prove", "a.ledger", "--since", "0")),
        (4, ("show", "missing")),
        (4, ("show", ".")),
        (4, ("verify", ".", "--anchor", "anchor.toml")),
        (4, ("verify", "raw", "--anchor", ".")),
        (4, ("backup", "a.ledger", ".")),
        (4, ("init", "missing/x", "--origin", "a")),
        (4, ("append", "a.ledger", "--lines", "missing")),
        (4, ("backup", "a.ledger", "missing/copy")),
        (4, ("verify", "missing", "--anchor", "missing")),
        (4, ("prove", "a.ledger", "--index", "0", "--output", "a.ledger")),
        (4, ("pack", "missing", "00" * 32, "--output", "p")),
        (4, ("pack", "a.ledger", "exchange/" + "00" * 32, "--output", "p")),
        (4, ("demo", "--data", "missing", "--mapping", "missing")),
        (5, ("init", "x", "--origin", "a b")),
        (5, ("init", "x", "--origin", "a", "--suite", "gm")),
        (5, ("init", "x", "--origin", "a", "--suite", "md5")),
        (5, ("show", "a.ledger", "--id", "ab")),
        (5, ("show", "a.ledger", "--state", "consent/xyz")),
        (5, ("verify", "a.ledger", "--anchor", "a.ledger")),
        (5, ("verify", "a.ledger", "--anchor", "anchor.toml")),
        (5, ("pack", "a.ledger", "xyz", "--output", "p")),
    ],
)
def test_user_error_has_its_exit_code(case: Path, code: int, arguments: Sequence[str]) -> None:
    done = run(*arguments, directory=case)

    assert (done.returncode, done.stdout) == (code, b"")
    assert done.stderr
    assert not (case / "x").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("init", b"\xff", "--origin", "a"),
        ("init", "x", "--origin", b"\xff"),
        ("show", "a.ledger", "--state", b"member/\xff"),
        ("show", "a.ledger", "--objects", b"\xc3"),
        ("append", "a.ledger", "--lines", b"\xff", "--json"),
        (b"\xff",),
    ],
)
def test_argument_that_is_not_utf_8_is_wrong_usage(
    case: Path, arguments: Sequence[str | bytes]
) -> None:
    done = run(*(os.fsdecode(each) for each in arguments), directory=case)

    assert (done.returncode, done.stdout) == (2, b"")
    assert re.fullmatch(
        rb"Error: argument '.*\\udc(ff|c3)' is not UTF-8: give names in UTF-8\n", done.stderr
    )


def test_error_for_machines_is_one_object(ledger: Path) -> None:
    done = run("init", ledger, "--origin", "a", "--json")

    (error,) = objects(done.stderr)
    assert (error["error"], error["exit_code"]) == ("StoreError", 4)
    assert "exists already" in error["message"]


@pytest.mark.parametrize(
    ("error", "code", "arguments"),
    [
        ("AbsentError", 4, ("show", "a.ledger", "--index", "7")),
        ("AbsentError", 4, ("show", "a.ledger", "--block", "9" * 40)),
        ("AbsentError", 4, ("show", "a.ledger", "--id", "ab" * 32)),
        ("AbsentError", 4, ("prove", "a.ledger", "--index", "7")),
        ("AbsentError", 4, ("prove", "a.ledger", "--since", "3")),
        ("AbsentError", 4, ("show", "a.ledger", "--objects", "nonsense")),
        ("AbsentError", 4, ("pack", "a.ledger", "ab" * 32, "--output", "p")),
        ("StoreError", 4, ("verify", "raw", "--anchor", "missing")),
        ("MalformedError", 5, ("verify", "raw", "--anchor", "text", "--record", "record")),
        ("MalformedError", 5, ("show", "a.ledger", "--id", "a\nb\x1b[31m")),
    ],
)
def test_error_at_run_time_is_one_line(
    case: Path, error: str, code: int, arguments: Sequence[str]
) -> None:
    person, machine = run(*arguments, directory=case), run(*arguments, "--json", directory=case)

    (shown,) = objects(machine.stderr)
    assert (person.returncode, machine.returncode) == (code, code)
    assert (shown["error"], shown["exit_code"]) == (error, code)
    assert person.stderr.startswith(b"ledgercore: ") and person.stderr.count(b"\n") == 1
    assert b"\x1b" not in person.stderr


def test_messages_are_in_the_users_words(case: Path) -> None:
    """Nothing of how Python writes bytes, types, tuples or patterns."""
    given = [
        ("show", "a.ledger", "--state", "nonsense"),
        ("show", "a.ledger", "--state", "member"),
        ("show", "a.ledger", "--objects", "nonsense"),
        ("prove", "a.ledger", "--history", "signer/" + "00" * 32),
        ("node", "init", "n", "--member", "Bad Name"),
        ("node", "init", "n", "--member", "tax", "--origin", "a/b", "--members", "members"),
        ("verify", "growth", "--anchor", "anchor.toml", "--checkpoint", "growth"),
        ("verify", "raw", "--anchor", "anchor", "--record", "record"),
    ]
    (case / "members").write_text('[[member]]\nmember = "A B"\n')
    (case / "growth").write_text('{"proof": ["zz"], "checkpoint": "x"}')
    (case / "anchor").write_text("origin = 1\n")

    said = [run(*arguments, directory=case).stderr.decode() for arguments in given]

    for message in said:
        assert not re.search(r"b'|\\x|\(\?|\\A|<class|\(',|',\)|`", message), message
    assert "object nonsense is of no family that has states, want one of" in said[0]
    assert "no object's name begins with nonsense" in said[2]
    assert "member[0].member: want an id of lower-case letters" in said[5]
    assert "anchor has origin that is a whole number, want text" in said[7]


def test_missing_directory_is_named_as_the_user_named_it(case: Path) -> None:
    """Not by a file of ours that would be in it."""
    given = [
        ("init", "missing/x", "--origin", "a"),
        ("init", "x", "--origin", "a", "--key", "missing/x"),
        ("backup", "a.ledger", "missing/x"),
        ("prove", "a.ledger", "--index", "0", "--output", "missing/x"),
        ("demo", "--firms", "1", "--html", "missing/x"),
        ("init", "raw/x", "--origin", "a"),
    ]

    said = {" ".join(each): run(*each, directory=case).stderr.decode() for each in given}

    for arguments, message in said.items():
        assert re.search(r"cannot make \S*(missing|raw)/x: ", message), (arguments, message)
        assert "make it, or choose another place" in message
    assert "is not a directory" in said["init raw/x --origin a"]
    bench = run("bench", "--directory", "missing", "--seconds", 1, directory=case)
    assert bench.returncode == 4
    assert b"missing does not exist: make it" in bench.stderr
    assert not (case / "x").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("backup", "a.ledger"),
        ("prove", "a.ledger", "--index", "0", "--output"),
        ("init", "--origin", "a"),
        ("demo", "--firms", "1", "--html"),
    ],
)
def test_what_stands_in_a_new_files_place_is_said(case: Path, arguments: Sequence[str]) -> None:
    """A device or a directory is not to be moved away."""
    os.mkfifo(case / "pipe")
    (case / "directory").mkdir()

    said = {
        place: run(*arguments, place, directory=case).stderr.decode()
        for place in ("directory", "pipe", "/dev/null", "raw")
    }

    assert "directory is a directory, want a new file: name one in it" in said["directory"]
    assert "pipe is a pipe or a device, want a new file: choose another" in said["pipe"]
    assert "/dev/null is a pipe or a device, want a new file" in said["/dev/null"]
    assert "raw exists already: choose another name or move it away" in said["raw"]


def test_damage_names_its_remedy(case: Path) -> None:
    """Whatever is damaged, and in the words of whoever keeps a ledger."""
    whole = (case / "a.ledger").read_bytes()
    for at in (1024, len(whole) // 2, len(whole) - 2000, whole.index(b"one record")):
        (case / "a.ledger").write_bytes(whole[:at] + b"\xff" + whole[at + 1 :])
        done, machine = (
            run("audit", "a.ledger", *more, directory=case) for more in ((), ("--json",))
        )
        if done.returncode == 0:
            continue  # a byte that nothing uses
        said = done.stderr.decode()
        assert done.returncode == 1
        assert "restore a backup, or on a node run ledgercore node repair" in said
        assert said.count("restore") == 1, said
        assert "docs/cli.md, Restore" in objects(machine.stderr)[0]["remedy"]
        assert not re.search(r"\('|',\)|\\\\n|CREATE TABLE|b'", said), said


def test_an_older_backup_in_a_ledgers_place_names_who_has_the_newer_blocks(case: Path) -> None:
    run_well("backup", "a.ledger", "older", directory=case)
    run_well("append", "a.ledger", "--lines", "record", directory=case)
    (case / "older").replace(case / "a.ledger")

    person, machine = (run("show", "a.ledger", *more, directory=case) for more in ((), ("--json",)))

    (error,) = objects(machine.stderr)
    assert (person.returncode, error["error"]) == (1, "RollbackError")
    assert b"its newest blocks are lost: restore a newer backup, or on a node run" in person.stderr
    assert "ledgercore node repair" in error["remedy"]
    assert person.stderr.count(b"node repair") == 1


@pytest.mark.parametrize(
    ("place", "remedy"),
    [
        ("missing", "does not exist: name a ledger, or make it with ledgercore init"),
        ("record", "is not a ledger: name a file that ledgercore init made"),
        ("a.vault", "is not a ledger: name a file that ledgercore init made"),
    ],
)
def test_what_is_no_ledger_is_said_with_a_remedy_that_works(
    case: Path, place: str, remedy: str
) -> None:
    """And before its key is missed: init would refuse a file that is there."""
    Vault(case / "a.vault").close()
    given = [
        ("append", place, "--lines", "record"),
        ("renew", "a.ledger", place),
        ("audit", place),
        ("show", place),
    ]
    if place == "a.vault":  # its own key is a vault's
        given = given[2:]

    for each in given:
        said = run(*each, directory=case).stderr.decode()

        assert said == f"ledgercore: {case / place} {remedy}\n"


def test_unreadable_file_is_no_misuse(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a file can be read shows when it is read: an answer beforehand is not asked for."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    given = [str(case / "raw"), "--anchor", str(case / "anchor.toml")]

    done = CliRunner().invoke(root, ["verify", *given, "--record", str(case / "record")])

    assert done.exit_code == 0, done.output


def test_misused_option_gets_the_usage(ledger: Path) -> None:
    done = run("show", ledger, "--index", "x", "--json")

    assert done.returncode == 2
    assert done.stderr.startswith(b"Usage: ledgercore show ")


@pytest.mark.parametrize("group", [(), ("node",)])
def test_no_command_gets_the_help_once(group: Sequence[str]) -> None:
    done = run(*group)

    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == run_well(*group, "--help")


def test_name_that_is_too_long_is_said_as_any_that_cannot_be_read(case: Path) -> None:
    name = "x" * 300
    for given in (
        ("show", name),
        ("init", name, "--origin", "a"),
        ("init", f"{name}/x", "--origin", "a"),
        ("backup", "a.ledger", name),
        ("bench", "--directory", name, "--seconds", "1"),
    ):
        done = run(*given, directory=case)

        assert done.returncode == 4
        assert re.fullmatch(
            rf"ledgercore: cannot read \S*{name}\S*: File name too long\n", done.stderr.decode()
        )


@pytest.mark.parametrize("name", ["init", "append", "show", "verify", "audit", "pack", "demo"])
def test_path_with_a_nul_is_misuse(name: str) -> None:
    """In this process: no other can be given one."""
    given = {"append": ["--lines", "-"], "init": ["--origin", "a"], "verify": ["--anchor", "a"]}
    given |= {"pack": ["00" * 32, "--output", "p"], "demo": ["--directory", "a\0b"]}
    place = [] if name == "demo" else ["a\0b"]

    done = CliRunner().invoke(root, [name, *place, *given.get(name, [])])

    assert done.exit_code == 2
    assert "want one without NUL" in done.output


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", ["show", "show --json", "show --help", "--help", "--version"])
def test_full_disk_under_the_output(ledger: Path, arguments: str, unbuffered: str) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*COMMAND, *arguments.split(), str(ledger)],
            stdout=full,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            check=False,
        )

    assert done.returncode == 4
    assert b"No space left" in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


def every_error(kind: type[LedgerError]) -> list[type[LedgerError]]:
    return [kind, *(each for below in kind.__subclasses__() for each in every_error(below))]


def test_exit_codes_are_those_of_the_document() -> None:
    """Every error has a code, and docs/cli.md names it beside that code and no other."""
    import_module("ledgercore.node.answers")  # the node's errors are there once it is imported
    rows = re.findall(r"^\| (\d+) \| .*? \| (.*?) \|$", DOCUMENT.read_text(), re.MULTILINE)
    documented = {name: int(code) for code, names in rows for name in re.findall(r"`(\w+)`", names)}

    codes = {
        kind.__name__: exit_code(kind.__new__(kind))
        for kind in every_error(LedgerError)
        if kind is not LedgerError and kind.__module__.startswith("ledgercore.")  # no test's own
    }

    assert documented == codes


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_command_explains_itself(name: str) -> None:
    shown = run_well(name, "--help").decode()

    assert shown.startswith(f"Usage: ledgercore {name} ")
    assert f"`ledgercore {name}" in DOCUMENT.read_text()


def test_help_names_every_exit_code() -> None:
    codes = re.findall(r"^\| (\d+) \| ", DOCUMENT.read_text(), re.MULTILINE)
    epilog = run_well("--help").decode().partition("Exit codes:")[2]

    assert re.findall(r"\d+", epilog) == codes
