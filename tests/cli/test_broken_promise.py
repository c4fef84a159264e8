"""Anyone who has the anchor verifies that the operator broke a promise."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tests.cli.command import objects, run, run_well
from tests.vector_files import VECTORS


@pytest.fixture
def vectors(tmp_path: Path) -> dict[str, Path]:
    """The evidence of the specification's vectors, by name, beside its anchor."""
    family = json.loads((VECTORS / "std-promises.json").read_text())
    (tmp_path / "anchor").write_text(family["anchor"])
    for vector in family["vectors"]:
        (tmp_path / vector["name"]).write_bytes(base64.b64decode(vector["data"]))
    return {vector["name"]: tmp_path / vector["name"] for vector in family["vectors"]}


def test_a_broken_promise_is_verified(vectors: dict[str, Path]) -> None:
    evidence = vectors["promise-broken"]

    (shown,) = objects(
        run_well("verify", evidence, "--anchor", evidence.with_name("anchor"), "--json")
    )

    assert shown["verified"] and shown["broken_promise"]
    assert (shown["sequence"], shown["promised_by_ms"], shown["time_ms"]) == (3, 5000, 5001)


def test_a_promise_that_was_kept_is_refused(vectors: dict[str, Path]) -> None:
    evidence = vectors["promise-bad-kept"]

    done = run("verify", evidence, "--anchor", evidence.with_name("anchor"))

    assert (done.returncode, done.stdout) == (1, b"")
    assert b"next sequence is 4, want at most 3" in done.stderr
