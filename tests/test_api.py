"""Hold the public names together: what is exported, what is typed, and which errors there are."""

import ast
import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import ledgercore
from ledgercore import _core, errors, primitives, testing
from ledgercore.clock import ManualClock

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / "python" / "ledgercore"
ALL_MODULES = [module.name for module in pkgutil.walk_packages(ledgercore.__path__, "ledgercore.")]
MODULES = [name for name in ALL_MODULES if not name.endswith(("__main__", "._core"))]
PUBLIC = ("anchor", "clock", "entropy", "errors", "primitives", "testing")
HELP_TIMES = 2
"""How much more help may take than to start an interpreter and import click."""


def defined_names(module: ModuleType) -> set[str]:
    """Public classes and functions that a module itself defines."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    }


def test_every_exported_name_is_there() -> None:
    missing = [name for name in ledgercore.__all__ if not hasattr(ledgercore, name)]

    assert missing == []


def test_exported_names_are_sorted_and_once() -> None:
    assert sorted(set(ledgercore.__all__)) == ledgercore.__all__


def test_exported_names_are_what_type_checkers_see() -> None:
    """The names under TYPE_CHECKING and those of __all__ are one list."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = [
        alias.name
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]

    assert sorted(seen) == ledgercore.__all__


def test_exported_names_come_from_where_type_checkers_see_them() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    for node in block.body:
        assert isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names:
            home = import_module(node.module)
            assert getattr(home, alias.name) is getattr(ledgercore, alias.name)


def test_all_errors_are_exported() -> None:
    assert set(errors.__all__) <= set(ledgercore.__all__)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Blockchain'"):
        ledgercore.Blockchain  # noqa: B018


def test_dir_lists_what_is_exported() -> None:
    assert set(ledgercore.__all__) <= set(dir(ledgercore))


def test_modules_were_found() -> None:
    assert len(MODULES) > 30


@pytest.mark.parametrize("name", MODULES)
def test_module_has_what_it_exports(name: str) -> None:
    module = import_module(name)
    exported = getattr(module, "__all__", None)

    assert exported is not None or name.startswith("ledgercore.cli.")
    assert [each for each in exported or () if not hasattr(module, each)] == []


@pytest.mark.parametrize("name", PUBLIC)
def test_public_module_exports_what_it_defines(name: str) -> None:
    module = import_module(f"ledgercore.{name}")

    assert defined_names(module) - set(module.__all__) == set()


def test_stub_exports_what_the_core_has() -> None:
    stub = ast.parse((PACKAGE / "_core.pyi").read_text())
    named = {
        node.name
        for node in stub.body
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_")
    }
    named |= {
        node.target.id
        for node in stub.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }

    assert named == {name for name in vars(_core) if not name.startswith("_")}


def test_every_core_error_has_an_exception() -> None:
    """Each variant of the Rust enum stands in the one match, and each class there is ours."""
    enum = (REPOSITORY / "rust" / "error.rs").read_text()
    body = re.search(r"pub enum Error \{(.*?)^\}", enum, re.DOTALL | re.MULTILINE)
    assert body is not None
    variants = set(re.findall(r"^    (\w+)[ ({,]", body[1], re.MULTILINE))
    match = (REPOSITORY / "rust" / "python" / "error.rs").read_text()
    imported = re.findall(r"import_exception!\(ledgercore\.errors, (\w+)\)", match)

    assert len(variants) >= 5
    assert set(re.findall(r"\bError::([A-Z]\w+)", match)) == variants
    assert set(imported) <= set(errors.__all__)
    assert set(re.findall(r"(\w+)::new_err", match)) == set(imported)


@pytest.mark.parametrize(
    ("kind", "message", "call"),
    [
        (errors.MalformedError, "ends early", lambda: _core.check_canonical(b"\x91")),
        (errors.MalformedError, "reserved", lambda: _core.leaf_hash("gm", b"")),
        (errors.LimitError, "at most", lambda: sign_body(bytes(70_000))),
        (
            errors.InvalidSignature,
            "verify",
            lambda: verify_other_message(),
        ),
        (
            errors.InvalidProof,
            "root is",
            lambda: _core.verify_inclusion("std", bytes(32), 0, 1, [], b"\x01" * 32),
        ),
    ],
)
def test_core_error_arrives_as_its_exception(
    kind: type[Exception], message: str, call: Callable[[], object]
) -> None:
    with pytest.raises(kind, match=message) as raised:
        call()

    assert type(raised.value) is kind


def verify_other_message() -> None:
    """A signature under another message."""
    key = testing.signing_key(0)
    primitives.verify_signature(key.public_key, b"one", key.sign(b"another"))


def sign_body(body: bytes) -> _core.Record:
    """A record of any network with this body."""
    key = testing.signing_key(0)
    return key.sign_record("std", bytes(16), "data", body, sequence=0, previous=bytes(32))


def test_bad_signatures_of_a_batch_are_all_named() -> None:
    key = testing.signing_key(1)
    messages = [bytes([number]) for number in range(40)]
    signatures = [key.sign(message) for message in messages]
    for bad in (0, 17, 39):
        signatures[bad] = key.sign(b"something else")

    with pytest.raises(ledgercore.InvalidSignature) as raised:
        primitives.verify_signatures([key.public_key] * 40, messages, signatures)

    assert list(raised.value.indices) == [0, 17, 39]


def test_records_for_tests_are_accepted_and_repeatable(tmp_path: Path) -> None:
    made = []
    for name in ("first", "second"):
        with ledgercore.Ledger.create(
            tmp_path / name,
            origin="test.example",
            members=testing.test_members(3),
            key=testing.signing_key(99),
            clock=ManualClock(1_767_225_600_000),
        ) as ledger:
            records = testing.signed_records(ledger, signers=3, count=10, body_bytes=50)
            assert ledger.submit_many(records) == list(range(1, 11))
            more = testing.signed_records(ledger, signers=3, count=4, body_bytes=50)
            assert ledger.submit_many(more) == [11, 12, 13, 14]
            made.append(records + more)

    assert made[0] == made[1]
    assert len({*made[0]}) == 14


def test_states_are_verified_together_without_a_ledger(tmp_path: Path) -> None:
    with ledgercore.Ledger.create(tmp_path / "a.ledger", origin="test.example") as ledger:
        names = [b"network", b"member/nobody"]
        proofs = [ledger.prove_state(name).encode() for name in names]
        root = ledgercore.Checkpoint.parse(ledger.checkpoint).state_root

        states = primitives.verify_states(ledger.suite, proofs, root)

    assert [each.object for each in states] == names
    assert [each.value is None for each in states] == [False, True]
    with pytest.raises(ledgercore.InvalidProof):
        primitives.verify_states("std", proofs, bytes(32))


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import ledgercore, sys; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()

    assert "ledgercore" in loaded
    assert not {"ledgercore._core", "apsw", "msgspec", "rich", "click", "cryptography"} & {*loaded}


def test_help_is_quick() -> None:
    """Beside a program that only imports the library for commands, best of several in turns.

    The processor's time is compared: what else the machine does takes none of that.
    """
    code = (
        "import resource, subprocess, sys\n"
        "def used_s():\n"
        "    used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "    return used.ru_utime + used.ru_stime\n"
        "best = {('-c', 'import click'): 9.0, ('-m', 'ledgercore', '--help'): 9.0}\n"
        "for _ in range(9):\n"
        "    for command in best:\n"
        "        begin = used_s()\n"
        "        subprocess.run([sys.executable, *command], check=True, capture_output=True)\n"
        "        best[command] = min(best[command], used_s() - begin)\n"
        "print(*best.values())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    bare, quick = map(float, done.stdout.split())

    assert quick < HELP_TIMES * bare
