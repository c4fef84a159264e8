"""A server's URL in the place of anything else is refused, and its password is in no output."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import click
import pytest

from ledgercore import Ledger
from ledgercore.cli import COMMANDS, main, root
from ledgercore.cli.files import FILE, PATH
from ledgercore.cli.redaction import redact
from ledgercore.disk import URL

SECRET = "hunter2"
URLS = (
    f"postgresql://user:{SECRET}@127.0.0.1:1/db",
    f"postgres://user@127.0.0.1:1/db?password={SECRET}",
    f"postgresql://user:a/{SECRET}@127.0.0.1:1/db",
    f"mysql://user:{SECRET}@127.0.0.1:1/db",
    f" postgresql://user:{SECRET}@127.0.0.1:1/db",
    f"of postgresql://user:a\t'{SECRET}'@127.0.0.1:1/./db/",
    f"https://user:{'a' * 60}{SECRET}@127.0.0.1:1/db",
    f"//user:{SECRET}@127.0.0.1:1/db",
    f"postgresql:/user:{SECRET}@127.0.0.1:1/db",
    f"postgresql:user:{SECRET}@127.0.0.1:1/db",
    f"postgres:user:{SECRET}@127.0.0.1:1/db",
    f"mysql:user:{SECRET}@127.0.0.1:1/db",
    f"1https://user@127.0.0.1:1/db?password={SECRET}",
    f"://user:{SECRET}@127.0.0.1:1/db",
    f"member=https://user:{SECRET}@127.0.0.1:1/../db",
)
"""Nobody listens at port 1. The third is one whose password is not written as it must be."""

Refused = Callable[[list[str]], tuple[int, str]]


def commands(group: click.Group, names: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            yield from commands(command, (*names, name))
        else:
            yield (*names, name)


def command_of(names: tuple[str, ...]) -> click.Command:
    command: click.Command = root
    for name in names:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None
        command = found
    return command


PLACES = [
    (names, parameter.name)
    for names in commands(root)
    for parameter in command_of(names).params
    if not (isinstance(parameter, click.Option) and parameter.is_flag)
]
"""Each parameter of each command that takes a text, a number or a path."""


def arguments(names: tuple[str, ...], place: str, url: str, ledger: Path) -> list[str]:
    """The command with all that it must be told, and the URL in one place."""
    said = list(names)
    for parameter in command_of(names).params:
        if parameter.name != place and not parameter.required:
            continue
        text = url if parameter.name == place else str(ledger)
        named = isinstance(parameter, click.Option)
        said += [f"{parameter.opts[-1]}={text}" if named else text]
    return said


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("urls") / "case.ledger"
    Ledger.create(path, origin="example.org/urls").close()
    return path


def test_every_command_is_tried() -> None:
    assert {names[0] for names, _ in PLACES} == set(COMMANDS)
    assert (("node", "run"), "settings") in PLACES
    assert (("verify",), "evidence") in PLACES
    assert (("show",), "state") in PLACES


@pytest.fixture
def refused(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> Refused:
    """Run a command that fails here, in this process: its exit code and all that it prints."""

    def run(said: list[str]) -> tuple[int, str]:
        printed = StringIO()
        with monkeypatch.context() as patched:
            patched.chdir(ledger.parent)
            patched.setattr(sys, "argv", ["ledgercore", *said])
            patched.setattr(sys, "stdout", printed)
            patched.setattr(sys, "stderr", printed)
            with pytest.raises(SystemExit) as ended:
                main()
        assert isinstance(ended.value.code, int)
        return ended.value.code, printed.getvalue()

    return run


@pytest.mark.parametrize(("names", "place"), PLACES)
def test_no_output_has_the_password_of_a_url_given_there(
    names: tuple[str, ...], place: str, ledger: Path, refused: Refused
) -> None:
    for url in URLS:
        if (*names, place) == ("demo", "directory") and not URL.match(url):
            continue  # it would be made, as any directory
        code, printed = refused(arguments(names, place, url, ledger))

        assert code in (2, 3, 4, 5), (url, printed)
        assert printed
        assert SECRET not in printed, url


def test_what_is_too_much_is_not_quoted_either(ledger: Path, refused: Refused) -> None:
    for url in URLS:
        for said in (["show", str(ledger), url], [url]):
            code, printed = refused(said)
            assert (code, SECRET in printed) == (2, False), (url, printed)
            assert re.search("[/:][.]{3}", printed)


@pytest.mark.parametrize("name", ["LEDGERCORE_KEY", "LEDGERCORE_PASSPHRASE_FILE"])
def test_what_stands_in_the_environment_is_not_shown_either(
    name: str, ledger: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    for url in URLS:
        monkeypatch.setenv(name, url)

        code, printed = refused(["append", str(ledger), "--lines", str(ledger)])

        assert (code, SECRET in printed) in ((2, False), (4, False)), (url, printed)


@pytest.mark.parametrize(
    "said", [["init", "new"], ["init", "new", "--key", "new"], ["node", "init", "new"]]
)
def test_no_ledger_is_named_by_a_url(said: list[str], ledger: Path, refused: Refused) -> None:
    """Everybody would read it, in each checkpoint."""
    member = ["--member", "tax"] if said[0] == "node" else []

    code, printed = refused([*said, *member, "--origin", URLS[0]])

    assert code == 5
    assert "origin has ://, as a URL has, want a name such as tax.example/log" in printed
    assert [path for path in ledger.parent.rglob("*") if path.suffix in (".key", ".toml")] == [
        ledger.with_name("case.ledger.key")
    ]
    assert not (ledger.parent / "new").is_file()


def test_what_holds_no_password_is_named_in_full() -> None:
    ledger = "postgresql://user@db.example:5432/exchange"
    given = [ledger, f"{ledger}?sslmode=verify-full", "tax=https://tax.example:7443", "a//b:c"]
    message = f"{ledger} cannot be reached, nor https://tax.example:7443: a/b:c is left"

    assert redact(message, given) == message
    assert redact("at postgresql://user:x@h", ["postgresql://user:x@h"]) == "at postgresql://..."
    assert redact(f"at {given[1]}", given) == "at postgresql://..."


@pytest.mark.parametrize("url", [url for url in URLS if url.startswith("postgres")])
@pytest.mark.parametrize("command", ["init", "show", "audit"])
def test_what_is_nearly_a_url_is_not_taken_for_a_file(
    command: str, url: str, ledger: Path, refused: Refused
) -> None:
    origin = ["--origin", "example.org/urls"] if command == "init" else []
    before = sorted(ledger.parent.iterdir())

    code, printed = refused([command, url, *origin])

    assert (code in (4, 5), "does not exist" in printed) == (True, False)
    if "://" not in url:
        assert "want a path (./NAME where it is one), or a URL of postgresql://" in printed
    assert sorted(ledger.parent.iterdir()) == before


@pytest.mark.parametrize("part", ["x", "a:", "/", "://", "a:b@", "x://a:b@", "?", "@"])
def test_an_argument_of_any_length_is_looked_through_at_once(part: str) -> None:
    """An argument has 128 KiB at most; one that was looked at from each letter on took minutes."""
    text = part * (100_000 // len(part))
    begin = time.process_time()

    redact(f"no such thing: {text!r}", [text])

    assert time.process_time() - begin < 5


@pytest.mark.parametrize("names", [("verify",), ("node", "run"), ("demo",)])
def test_a_file_is_asked_for_in_the_place_of_a_url(
    names: tuple[str, ...], ledger: Path, refused: Refused
) -> None:
    place = next(each.name for each in command_of(names).params if each.type is FILE)

    code, printed = refused(arguments(names, str(place), URLS[0], ledger))

    assert code == 2
    assert "path is a URL, want a file of this host" in printed
    assert command_of(("show",)).params[0].type is PATH  # a ledger's may be one
