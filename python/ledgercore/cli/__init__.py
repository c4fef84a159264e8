"""Use a ledger from the command line.

Each command is a file of its own and is imported when it is called, so that help is quick. Exit
codes: 0 done; 1 it does not verify, or is damaged; 2 wrong usage; 3 refused by a rule; 4 busy,
missing, locked, or input and output failed; 5 malformed input; 130 interrupted; 143, as a shell
says it, ended by SIGTERM.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from io import BufferedWriter, RawIOBase, TextIOWrapper
from typing import Any, NoReturn, TextIO

import click

from ledgercore.errors import (
    FencedError,
    InconsistentError,
    InvalidError,
    LedgerError,
    MalformedError,
    PassphraseError,
    RefusedError,
    UnavailableError,
)

__all__ = ["exit_code", "main"]

COMMANDS = {
    "anchor": "Print a ledger's trust anchor.",
    "append": "Append one record a line.",
    "audit": "Verify everything in a ledger.",
    "backup": "Copy a ledger while it is in use.",
    "bench": "Weigh this machine: the five figures of JR/T 0193.",
    "demo": "Run the bank-tax exchange, four parties, with an offline proof at the end.",
    "init": "Make a ledger and its operator's key.",
    "node": "Run one member's node in a network: init, witness, run, join, repair, status.",
    "pack": "Write the evidence pack of an exchange.",
    "prove": "Write a receipt, a state, a history or a proof of growth.",
    "renew": "Anchor the whole of a former ledger in a newer one.",
    "show": "Show a ledger, a record, a block or an object's state.",
    "verify": "Verify a receipt, a state, a history or an evidence pack, offline.",
}


def exit_code(error: LedgerError) -> int:
    """The exit code that an error stands for."""
    if isinstance(error, InvalidError | InconsistentError):
        return 1
    if isinstance(error, RefusedError):
        return 3
    if isinstance(error, FencedError):
        return 6
    return 5 if isinstance(error, MalformedError) else 4


class _InterruptError(click.ClickException):
    """The user wants no more of it."""


@contextmanager
def _output() -> Iterator[None]:
    """Print inside; what was acknowledged stays durable where nobody takes the rest."""
    try:
        yield
    except BrokenPipeError:  # whoever read the output has left
        _leave_output()
        raise click.exceptions.Exit(4) from None
    except OSError as error:
        _leave_output()
        raise UnavailableError(f"input or output failed: {error}") from error


def _leave_output() -> None:
    """Print no more: the interpreter's flush at its end would fail again, with its own code."""
    sys.stdout = None


@contextmanager
def _error_output() -> Iterator[None]:
    """Say inside what went wrong; where nobody takes it, the exit code alone does."""
    try:
        yield
    except OSError:
        sys.stderr = None


class _Commands(click.Group):
    """A group whose commands are imported one at a time, when they are called."""

    def make_context(self, *arguments: Any, **more: Any) -> click.Context:
        with _output():  # help and the version
            return super().make_context(*arguments, **more)

    def invoke(self, context: click.Context) -> object:
        try:
            with _output():
                return super().invoke(context)
        except KeyboardInterrupt as error:  # of which click would print a blank line
            raise _InterruptError(_with_notes("interrupted", error)) from None

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = import_module(f"ledgercore.cli.{name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.group(
    cls=_Commands,
    epilog="Exit codes: 0 done, 1 not verified or damaged, 2 usage, "
    "3 refused by a rule, 4 busy or unavailable, 5 malformed input, "
    "6 taken over by another writer, 130 interrupted, 143 terminated.",
)
@click.version_option(package_name="ledgercore")
def root() -> None:
    """A permissioned, token-free ledger whose receipts anyone can check offline."""


def main() -> None:
    """Run a command; an error is one line and an exit code, never a traceback.

    With ``--json`` the line is an object: the error's type, its message and the exit code. Options
    that are misused get click's own text, with the command's usage.
    """
    as_json = "--json" in sys.argv
    sys.stdout, sys.stderr = map(_whole, (sys.stdout, sys.stderr))
    try:
        if sys.stdout is None:  # closed from the start: nothing could be reported
            raise UnavailableError("standard output is closed, want it open: nothing was done")
        _check_arguments(sys.argv[1:])
        sys.exit(root.main(prog_name="ledgercore", standalone_mode=False))
    except LedgerError as error:
        facts = {}
        if isinstance(error, RefusedError):
            facts = {"code": error.code, "remedy": error.remedy}
        elif notes := getattr(error, "__notes__", ()):
            facts = {"remedy": "; ".join(notes)}
        how = " (--passphrase-file FILE)" if isinstance(error, PassphraseError) else ""
        message = _with_notes(f"{error}{how}", error)
        _end(type(error).__name__, message, exit_code(error), as_json=as_json, **facts)
    except click.exceptions.NoArgsIsHelpError as error:  # its message is the whole help
        with _error_output():
            click.echo(error.format_message(), err=True)
        sys.exit(2)
    except click.UsageError as error:
        with _error_output():
            click.UsageError(_redacted(error.format_message()), error.ctx).show()
        sys.exit(2)
    except _InterruptError as error:
        _end("Interrupted", error.message, 130, as_json=as_json)
    except (click.Abort, KeyboardInterrupt):
        _end("Interrupted", "interrupted", 130, as_json=as_json)
    except click.ClickException as error:
        _end(type(error).__name__, error.message, error.exit_code, as_json=as_json)


def _whole(stream: TextIO) -> TextIO:
    """The stream, so that it writes all of a text or fails, whatever the locale lacks.

    Without a buffer, as with ``PYTHONUNBUFFERED``, the interpreter takes it for written where the
    system took a part of it, as it does on a disk that fills up and for a process that is stopped.
    """
    if not isinstance(stream, TextIOWrapper):
        return stream
    stream.reconfigure(errors="backslashreplace")
    if not isinstance(stream.buffer, RawIOBase):
        return stream
    encoding, errors = stream.encoding, stream.errors
    return TextIOWrapper(BufferedWriter(stream.detach()), encoding, errors, line_buffering=True)


def _check_arguments(arguments: Sequence[str]) -> None:
    """Names, and the paths of ledgers, are UTF-8; other bytes come in as lone surrogates."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            message = f"argument {argument!r} is not UTF-8: give names in UTF-8"
            raise click.UsageError(message) from None


def _redacted(message: str) -> str:
    """The message without what may be a password in what this command was given."""
    from ledgercore.cli.redaction import redact

    places = (os.environ.get(name, "") for name in ("LEDGERCORE_KEY", "LEDGERCORE_PASSPHRASE_FILE"))
    return redact(message, (*sys.argv[1:], *places))


def _with_notes(message: str, error: BaseException) -> str:
    """The message with what else there is to say (PEP 678), where it does not say it itself."""
    notes = [note for note in getattr(error, "__notes__", ()) if note not in message]
    return f"{message} ({'; '.join(notes)})" if notes else message


def _end(error: str, message: str, code: int, /, *, as_json: bool, **facts: str) -> NoReturn:
    """Say what went wrong on one line, whatever the message quotes, and exit."""
    message, facts = _redacted(message), {name: _redacted(text) for name, text in facts.items()}
    if as_json:
        line = json.dumps({"error": error, "message": message, "exit_code": code, **facts})
    else:
        line = f"ledgercore: {''.join(c if c.isprintable() else ascii(c)[1:-1] for c in message)}"
    with _error_output():
        click.echo(line, err=True)
    sys.exit(code)
