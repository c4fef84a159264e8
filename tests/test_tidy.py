"""Keep the house rules. Every rule first shows, on a snippet that breaks it, that it bites."""

import re

import pytest

import tidy

LIMIT_FILE_LINES = 600
LIMIT_FUNCTION_LINES = 70
LIMIT_COLUMNS = 100

PYTHON = tidy.sources(".py", under="python")
STUBS = tidy.sources(".pyi", under="python")
RUST = tidy.sources(".rs", under="rust")
CODE = [*PYTHON, *STUBS, *RUST, *tidy.sources(".py", under="tests")]
CODE += [*tidy.sources(".py", under="benches"), *tidy.sources(".py", under="examples")]
VERIFIER = tidy.sources(".py", under="verifier")
CODE += VERIFIER
# One file to read and to carry: whoever judges the ledger needs nothing else. The compiled core is
# one module, and a module has one stub.
LONG_FILES = {"verifier/ledgercore_verify.py", "python/ledgercore/_core.pyi"}
MARKDOWN = tidy.sources(".md")
TEXT = [source for source in tidy.sources() if not source.path.startswith("requirements")]
LIBRARY = (tidy.REPOSITORY / "rust/lib.rs").read_text()

SNIPPET_LIBRARY = "pub mod error;\npub mod tree;\nmod python;\npub use error::{Error, Result};\n"


def join(found: list[list[str]]) -> str:
    return "\n".join(line for lines in found for line in lines)


def test_tree_is_seen() -> None:
    """An empty list of files would make every rule below pass."""
    assert len(PYTHON) > 20
    assert len(RUST) > 20
    assert {"ARCHITECTURE.md", "README.md"} <= {source.path for source in MARKDOWN}
    assert {"Makefile", "LICENSE"} <= {source.path for source in TEXT}


# Layers.


@pytest.mark.parametrize(
    ("path", "text", "line"),
    [
        ("store/sqlite.py", "from ledgercore.ledger import Ledger\n", 1),
        ("errors.py", "import ledgercore.cli.main\n", 1),
        ("rules/view.py", "def f():\n    from ledgercore import store\n", 2),
        ("disk.py", "if TYPE_CHECKING:\n    from ledgercore.anchor import Anchor\n", 2),
        ("store/sqlite.py", "from .contract import Store\n", 1),
        ("vault.py", "from ledgercore import Ledger\n", 1),
        ("vault.py", "import ledgercore\n", 1),
    ],
)
def test_layer_rule_reports(path: str, text: str, line: int) -> None:
    found = tidy.upward_imports(f"python/ledgercore/{path}", text)

    assert [report.split(":")[1] for report in found] == [str(line)]


def test_layer_rule_reports_a_module_without_a_layer() -> None:
    assert tidy.upward_imports("python/ledgercore/extra.py", "")


def test_layer_rule_accepts_downward_imports() -> None:
    text = "from ledgercore import _core\nfrom ledgercore.store.contract import Store\nimport os\n"

    assert tidy.upward_imports("python/ledgercore/ledger/writer.py", text) == []


def test_imports_go_downward() -> None:
    assert join([tidy.upward_imports(*source) for source in [*PYTHON, *STUBS]]) == ""


@pytest.mark.parametrize(
    "text",
    [
        "from ledgercore.node import feed\n",
        "def f():\n    from ledgercore.node.feed import Feed\n",
        "if TYPE_CHECKING:\n    import ledgercore.node.feed\n",
    ],
)
def test_circle_rule_reports(text: str) -> None:
    begin = "from ledgercore.node.logs import Log\n"
    there = {"python/ledgercore/node/logs.py": "", "python/ledgercore/node/feed.py": begin}

    assert tidy.circles(there) == []
    assert tidy.circles(there | {"python/ledgercore/node/logs.py": text})


def test_no_modules_import_each_other() -> None:
    assert tidy.circles({source.path: source.text for source in PYTHON}) == []


# Seams.


@pytest.mark.parametrize(
    "text",
    [
        "import time\ntime.sleep(1)",
        "import time as t\nclock = t.monotonic",
        "from time import perf_counter\nperf_counter()",
        "from datetime import datetime\ndatetime.now()",
        "import datetime\ndatetime.datetime.utcnow()",
        "from datetime import date as day\nday.today()",
        "import asyncio\nawait asyncio.sleep(1)",
        "import os\nos.urandom(32)",
        "from os import urandom as draw\ndraw(32)",
        "import secrets\nsecrets.token_bytes(32)",
        "import random\nrandom.Random(1)",
        "import uuid\nuuid.uuid4()",
        "open('file')",
        "load = open",
        "import os\nos.remove('file')",
        "import os\nos.path.exists('file')",
        "from pathlib import Path\nPath('file').touch()",
        "import os\nos.open('file', os.O_RDONLY)",
        "import shutil\nshutil.copy('a', 'b')",
        "from pathlib import Path\nPath('file').read_text()",
        "def f(path): path.unlink()",
        "def f(path): path.open('rb')",
        "def f(path): path.open()",
        "def f(path): path.replace(other)",
        "def f(path): (path / 'x').mkdir(parents=True)",
        "import tempfile\ntempfile.mkdtemp()",
        "import socket\nsocket.create_connection(('host', 1))",
        "from urllib.request import urlopen\nurlopen('address')",
        "import subprocess\nsubprocess.run(['ls'])",
        "import sqlite3\nsqlite3.connect('file')",
        "import structlog\nstructlog.processors.TimeStamper(fmt='iso')",
        "from threading import Timer\nTimer(1, print)",
        "import apsw\napsw.Connection('file')",
        "import click\n@click.argument('f', type=click.File())\ndef f(): ...",
    ],
)
def test_seam_rule_reports(text: str) -> None:
    assert len(tidy.direct_calls("python/ledgercore/ledger/writer.py", text)) == 1


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("clock.py", "import time\ntime.time_ns()"),
        ("entropy.py", "import secrets\nsecrets.token_bytes(32)"),
        ("disk.py", "import os\nfrom pathlib import Path\nos.fsync(3)\nPath('x').unlink()"),
        ("store/sqlite.py", "import apsw\napsw.Connection('file')"),
        ("cli/append.py", "from ledgercore import disk\ndisk.read_bytes('x'); disk.exists('x')"),
        ("cli/append.py", "Ledger.open('a.ledger'); cls.open(path); 'a b'.replace('a', 'b')"),
        ("cli/append.py", "import datetime\ndatetime.datetime.fromtimestamp(1, datetime.UTC)"),
        ("cli/append.py", "import os\nos.path.basename('x'); os.fspath('x')"),
        ("cli/append.py", "def f(clock, case): clock.now_ms(); case.touch(1, 2)"),
        ("cli/append.py", "def f(consumer): consumer.open(delivery, release)"),
    ],
)
def test_seam_rule_accepts(path: str, text: str) -> None:
    assert tidy.direct_calls(f"python/ledgercore/{path}", text) == []


def test_only_seams_reach_outside() -> None:
    assert join([tidy.direct_calls(*source) for source in PYTHON]) == ""


# Rust.


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("rust/error.rs", "use crate::tree::Proof;"),
        ("rust/error.rs", "use crate::{\n    error::{Error, Result},\n    tree::Proof,\n};"),
        ("rust/error.rs", "use super::tree::Proof;"),
        ("rust/tree/proof.rs", "fn f() { super::super::python::build() }"),
        ("rust/tree/mod.rs", "#[cfg(test)]\nmod tests { use crate::python::build; }"),
        ("rust/error.rs", "mod inner {\n    use super::super::tree::Proof;\n}"),
        ("rust/tree/mod.rs", "use crate::Missing;"),
        ("rust/extra.rs", ""),
    ],
)
def test_rust_order_rule_reports(path: str, text: str) -> None:
    assert len(tidy.upward_modules(path, text, SNIPPET_LIBRARY)) == 1


def test_rust_order_rule_accepts_modules_above() -> None:
    text = "use crate::{Error, error::Result};\nuse super::node;\n// crate::python\n"
    text += "mod inner {\n    use super::super::super::error;\n    use super::super::node;\n}\n"

    assert tidy.upward_modules("rust/tree/proof.rs", text, SNIPPET_LIBRARY) == []


def test_rust_modules_use_only_modules_above() -> None:
    assert join([tidy.upward_modules(*source, LIBRARY) for source in RUST]) == ""


@pytest.mark.parametrize(
    "text",
    ["use super::page::Page;", "use super::{EMPTY, page};", "fn f() { super::page::open() }"],
)
def test_rust_circle_rule_reports(text: str) -> None:
    there = {"rust/map/page.rs": "use super::node::Node;", "rust/map/node.rs": "use super::EMPTY;"}
    tested = "#[cfg(test)]\nmod tests {\n    use super::super::page::Page;\n}\n"

    assert tidy.module_circles(there | {"rust/map/node.rs": tested}) == []
    assert len(tidy.module_circles(there | {"rust/map/node.rs": text})) == 1


def test_rust_modules_of_a_folder_do_not_use_each_other() -> None:
    assert tidy.module_circles({source.path: source.text for source in RUST}) == []


@pytest.mark.parametrize(
    "text",
    [
        "use std::fs::File;",
        "use std::net::TcpStream;",
        "fn f() { std::time::Instant::now(); }".replace("Instant::now", "Duration::ZERO"),
        "use rand::Rng;",
        "fn f() { unsafe { g() } }",
        "use pyo3::prelude::*;",
        "#[cfg(test)]\nmod tests { unsafe fn f() {} }",
    ],
)
def test_purity_rule_reports(text: str) -> None:
    assert len(tidy.core_effects("rust/tree/proof.rs", text)) == 1


def test_purity_rule_accepts_comments_literals_and_the_binding() -> None:
    assert tidy.core_effects("rust/wire.rs", '// unsafe\nlet c = ("pyo3", \'"\'); // std::fs') == []
    assert tidy.core_effects("rust/python/tree.rs", "use pyo3::prelude::*;") == []


def test_core_is_pure() -> None:
    assert join([tidy.core_effects(*source) for source in RUST]) == ""
    assert "#![deny(unsafe_code)]" in LIBRARY
    allowed = {path for path, text in RUST if "allow(unsafe_code)" in text}
    assert allowed == set(tidy.KERNELS)


# Sizes.


def test_size_rules_report() -> None:
    python = "def f():\n" + "    x = 1\n" * 5
    rust = "impl A {\n    pub fn f(\n        a: u8,\n    ) -> u8 {\n        a\n    }\n}\n"

    assert tidy.long_files("a.py", "\n" * 4, 3)
    assert tidy.wide_lines("a.py", "xxx " * 3, 10)
    assert tidy.long_functions("a.py", python, 5)
    assert tidy.long_rust_functions("a.rs", rust, 4)


def test_size_rules_accept_the_limit() -> None:
    python = "def f():\n" + "    x = 1\n" * 4
    rust = "fn f() {\n    let brace = '{';\n}\nfn g() {}\ntrait A {\n    fn h();\n}\n"

    assert not tidy.long_files("a.py", "\n" * 3, 3)
    assert not tidy.wide_lines("a.py", "xxx xxx xx", 10)
    assert not tidy.wide_lines("a.py", "xxx xxx xx  # noqa: E501", 10)
    assert not tidy.wide_lines("a.rs", "//! | a | table |", 10)
    assert not tidy.wide_lines("a.rs", "//! 0123456789abcdef", 10)
    assert not tidy.long_functions("a.py", python, 5)
    assert not tidy.long_rust_functions("a.rs", rust, 3)


def test_limit_rule_reports() -> None:
    limits = tidy.limits_of_core("/// Bytes.\npub const BODY_BYTES: usize = 63 * 1024;\n")

    found = [
        tidy.second_limits("a.py", text, limits)
        for text in ("BODY_BYTES = 1\n", "_BODY_BYTES: int = 1\n", "from core import BODY_BYTES\n")
    ]

    assert [len(each) for each in found] == [1, 1, 0]


def test_limits_are_said_once() -> None:
    limits = tidy.limits_of_core((tidy.REPOSITORY / "rust/limits.rs").read_text())

    assert "BODY_BYTES" in limits
    assert join([tidy.second_limits(*source, limits) for source in PYTHON]) == ""


def test_files_are_short() -> None:
    short = [source for source in CODE if source.path not in LONG_FILES]

    assert join([tidy.long_files(*source, LIMIT_FILE_LINES) for source in short]) == ""


def test_lines_are_narrow() -> None:
    assert join([tidy.wide_lines(*source, LIMIT_COLUMNS) for source in CODE]) == ""


def test_functions_are_short() -> None:
    python = [tidy.long_functions(*source, LIMIT_FUNCTION_LINES) for source in PYTHON + VERIFIER]
    rust = [tidy.long_rust_functions(*source, LIMIT_FUNCTION_LINES) for source in RUST]

    assert join(python + rust) == ""


# Words.


def test_word_rules_report() -> None:
    assert tidy.banned_names("python/ledgercore/utils.py")
    assert tidy.banned_names("rust/manager/mod.rs")
    assert tidy.banned_words("a.md", "It is Tamper-" + "Proof.")
    assert tidy.banned_words("a.py", "# TO" + "DO later")
    assert tidy.machine_paths("a.md", "see /ho" + "me/somebody/notes")
    assert tidy.headings("a.md", "# One\n\n# Two\n")
    assert tidy.headings("a.md", "Text before\n# One\n")
    assert tidy.ragged_rows("a.md", "# A\n\n| a | b |\n|---|---|\n| `c|d` | e |\n")
    assert tidy.repeated_lines("a.md", f"- {'a' * 40}\n- b\n- {'a' * 40}\n")
    assert tidy.error_style("a.py", "raise StoreError(f'cannot read {path}.')")
    assert tidy.error_style("a.py", "raise ValueError('Count is negative')")
    assert tidy.bare_refusals("a.py", "raise RefusedError('E_ROLE', 'signer is a bank')")


def test_word_rules_accept() -> None:
    assert not tidy.banned_names("python/ledgercore/store/sqlite.py")
    assert not tidy.banned_words("a.md", "It is tamper-evident.")
    assert not tidy.machine_paths("a.md", "bin/env, https://example.org/home/page, ../shared")
    assert not tidy.headings("a.md", "# One\n\n```\n# a comment\n```\n\n## Part\n")
    assert not tidy.ragged_rows("a.md", "| a | b |\n|---|---|\n| `c\\|d` | e |\n\n| f |\n|---|\n")
    assert not tidy.repeated_lines("a.md", f"### Added\n- {'a' * 40}\n- b\n### Added\n")
    assert not tidy.error_style("a.py", "raise StoreError(f'proof has {got} hashes, want 3')")
    assert not tidy.bare_refusals("a.py", "refuse('E_ROLE', 'signer is a bank')")


def test_names_say_something() -> None:
    assert join([tidy.banned_names(source.path) for source in TEXT]) == ""


def test_every_refusal_has_its_remedy() -> None:
    """But for a node's, whose one refusal of its own says it in its message."""
    others = [source for source in PYTHON if "/node/" not in source.path]

    assert join([tidy.bare_refusals(*source) for source in others]) == ""


def test_words_promise_no_more_than_is_kept() -> None:
    assert join([tidy.banned_words(*source) for source in TEXT]) == ""


def test_no_path_of_one_machine() -> None:
    assert join([tidy.machine_paths(*source) for source in TEXT]) == ""


def test_markdown_has_one_title() -> None:
    assert join([tidy.headings(*source) for source in MARKDOWN]) == ""


def test_rows_of_a_table_have_its_cells() -> None:
    assert join([tidy.ragged_rows(*source) for source in MARKDOWN]) == ""


def test_changes_are_said_once() -> None:
    (changes,) = (source for source in MARKDOWN if source.path == "CHANGELOG.md")

    assert join([tidy.repeated_lines(*changes)]) == ""


def test_errors_are_phrases() -> None:
    assert join([tidy.error_style(*source) for source in PYTHON]) == ""


# The map.


def unmapped(text: str, names: set[str]) -> set[str]:
    """The modules that a map does not name."""
    return names - set(re.findall(r"\w+", "".join(re.findall(r"^    .*$", text, re.MULTILINE))))


def test_map_rule_reports() -> None:
    assert unmapped("    rust/  wire\n\nThe tree", {"wire", "tree"}) == {"tree"}


def test_map_names_every_module() -> None:
    text = next(source.text for source in MARKDOWN if source.path == "ARCHITECTURE.md")
    layers = {tidy.layer_of(source.path) for source in [*PYTHON, *STUBS]}
    modules = {tidy.module_of(source.path)[0] for source in RUST}

    assert unmapped(text, layers | modules) <= {"__init__", "__main__", "lib"}
