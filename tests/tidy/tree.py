"""List the files of the tree that a person wrote."""

import os
from pathlib import Path
from typing import NamedTuple

__all__ = ["REPOSITORY", "Source", "sources"]

REPOSITORY = Path(__file__).resolve().parents[2]

_SKIPPED_DIRECTORIES = {
    ".git",
    ".hypothesis",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".venv",
    "__pycache__",
    "build",
    "dist",
    "results",
    "target",
}
_SUFFIXES = {"", ".md", ".py", ".pyi", ".rs", ".toml", ".txt"}


class Source(NamedTuple):
    """One file: its path inside the repository, and its text."""

    path: str
    text: str


def sources(*suffixes: str, under: str = "") -> list[Source]:
    """The files with these suffixes (all of text where none is given), sorted by path."""
    found = []
    for directory, names, files in os.walk(REPOSITORY / under):
        skipped = _SKIPPED_DIRECTORIES | ({"demo"} if Path(directory) == REPOSITORY else set())
        names[:] = sorted(set(names) - skipped)
        for file in files:
            path = Path(directory) / file
            # In a linked work tree .git is a file, which git wrote.
            if path.suffix in (suffixes or _SUFFIXES) and file != ".git":
                relative = path.relative_to(REPOSITORY).as_posix()
                found.append(Source(relative, path.read_text(encoding="utf-8")))
    return sorted(found)
