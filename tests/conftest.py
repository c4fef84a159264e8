"""What every test may use: one seed for all that is random, and the vectors of others.

The seed is one and the same, so that a run judges the change and not the day's luck; campaigns
(LEDGERCORE_DEEP) draw a new one. It stands in the first lines, and LEDGERCORE_SEED gives another.
"""

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres import BINARIES, Server, running_server

REPOSITORY = Path(__file__).resolve().parent.parent
VECTORS = Path(
    os.environ.get("LEDGERCORE_VECTORS") or REPOSITORY.parent / "shared" / "vectors"
).resolve()
"""Vectors of others that this repository does not carry."""
DEEP = bool(os.environ.get("LEDGERCORE_DEEP"))
SEED = int(
    os.environ.get("LEDGERCORE_SEED")
    or (random.SystemRandom().getrandbits(32) if DEEP else 20_261_128)
)

settings.register_profile(
    "tests",
    deadline=None,  # a machine that is busy elsewhere breaks no property
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("tests")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Give Hypothesis the same seed, unless the command line names one."""
    if getattr(config.option, "hypothesisseed", None) is None:
        config.option.hypothesisseed = str(SEED)


def pytest_report_header() -> list[str]:
    """What a reader needs to repeat this run."""
    missing = "are not there: their tests are skipped (LEDGERCORE_VECTORS names their directory)"
    found = "are there" if VECTORS.is_dir() else missing
    return [
        f"seed: {SEED} (repeat with LEDGERCORE_SEED={SEED})",
        f"shared vectors: {found}",
        f"PostgreSQL: {BINARIES or 'is not there: its tests are skipped'}",
    ]


@pytest.fixture
def seed() -> int:
    """The seed of this run."""
    return SEED


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Random numbers of this run and test, whatever ran before."""
    return random.Random(f"{SEED} {request.node.nodeid}")


@pytest.fixture
def load_vectors() -> Callable[[str], Any]:
    """Read a JSON file of vectors that nobody here wrote, or skip the test and say why."""

    def load(name: str) -> Any:
        path = VECTORS / name
        if not path.is_file():
            pytest.skip(f"no shared vectors here: {name} is missing")
        return json.loads(path.read_text())

    return load


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL server that all tests share, each in schemas of its own."""
    with running_server() as server:
        yield server


@pytest.fixture
def schema(server: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a schema that nobody else uses, dropped after the test."""
    name = f"test_{abs(hash(request.node.nodeid)):x}"
    yield name
    server.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
