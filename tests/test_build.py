"""Check the build: what the core says of itself, the locks, and the commands around them."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import ledgercore

REPOSITORY = Path(__file__).resolve().parent.parent
CARGO = tomllib.loads((REPOSITORY / "Cargo.toml").read_text())
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
LOCKS = {"requirements.txt": "test", "requirements-bench.txt": "bench"}
LOCKS["requirements-wheel.txt"] = "wheel"


def locked(name: str) -> dict[str, tuple[str, list[str]]]:
    """Project to version and hashes, as a lock file has them."""
    text = (REPOSITORY / name).read_text().replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        pinned, *hashes = line.split()
        project, version = pinned.split("==")
        found[canonicalize_name(project)] = (version, hashes)
    return found


def kernels_of(features: set[str]) -> list[str]:
    """What a processor with these features verifies signatures with, the fastest last."""
    asked = {"avx2": {"avx2", "fma"}, "avx512ifma": {"avx512f", "avx512ifma"}}
    return ["portable", *(name for name, needs in asked.items() if needs <= features)]


def test_build_info_tells_version_profile_and_kernels() -> None:
    info = ledgercore.build_info()

    kernels = {"signature_kernel", "signature_kernels", "hash_kernel"}
    assert {"version", "profile", "cpu_features"} | kernels == set(info)
    assert info["version"] == CARGO["package"]["version"]
    assert info["version"] == importlib.metadata.version("ledgercore")
    assert info["profile"] == "release"
    assert info["signature_kernels"].split() == kernels_of(set(info["cpu_features"].split()))
    assert info["signature_kernel"] == info["signature_kernels"].split()[-1]
    assert "blake3" in info["hash_kernel"]


def test_build_info_names_features_of_this_processor() -> None:
    """Where the system lists the processor's flags, ours are among them."""
    processor = Path("/proc/cpuinfo")
    if not processor.is_file() or "flags" not in processor.read_text():
        pytest.skip("this system does not list its processor's flags")
    flags = set(re.findall(r"\w+", processor.read_text()))
    other_names = {"sse4.1": "sse4_1", "sha": "sha_ni"}

    features = ledgercore.build_info()["cpu_features"].split()

    assert {other_names.get(feature, feature) for feature in features} <= flags
    assert ("avx2" in flags) == ("avx2" in features)


@pytest.mark.parametrize("name", LOCKS)
def test_lock_has_hashes_and_no_host(name: str) -> None:
    text = (REPOSITORY / name).read_text()

    assert all(hashes for _, hashes in locked(name).values())
    assert set(re.findall(r"--[a-z-]+", text)) == {"--hash"}
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line.split()[0]) for line in pins(text))


def pins(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith(" ")]


@pytest.mark.parametrize(("name", "extra"), LOCKS.items())
def test_lock_covers_what_the_project_declares(name: str, extra: str) -> None:
    versions = {project: version for project, (version, _) in locked(name).items()}

    for text in PROJECT["dependencies"] + PROJECT["optional-dependencies"][extra]:
        wanted = Requirement(text)
        assert versions[canonicalize_name(wanted.name)] in wanted.specifier, text


def test_locks_agree() -> None:
    """The bench and wheel locks are installed over the first one and must not move it."""
    first = locked("requirements.txt")

    for name in LOCKS:
        for project, (version, _) in locked(name).items():
            assert first.get(project, (version,))[0] == version, f"{name}: {project}"


def test_release_build_keeps_overflow_checks() -> None:
    """Sizes and indices come from outside; a wrapped one would be a wrong proof."""
    assert CARGO["profile"]["release"]["overflow-checks"] is True


def test_core_depends_on_python_only_by_feature() -> None:
    assert CARGO["dependencies"]["pyo3"]["optional"] is True
    assert CARGO["features"] == {"default": [], "python": ["dep:pyo3"]}
    assert "extension-module" not in CARGO["dependencies"]["pyo3"]["features"]


def test_ci_runs_check_guard_and_test() -> None:
    script = REPOSITORY / ".ci" / "run"

    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in script.read_text()
    assert script.read_text().rstrip().endswith("make check guard test")


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(
    "target", ["demo", "test", "check", "guard", "bench", "bench-full", "wheel", "lock", "clean"]
)
def test_make_knows_target(target: str) -> None:
    """Print what make would do, and do nothing; CONTRIBUTING names these."""
    printed = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", target],
        cwd=REPOSITORY,
        env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert printed.returncode == 0, printed.stderr
    assert printed.stdout.strip()
