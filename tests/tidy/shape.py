"""Check sizes, names and words, file by file."""

import ast
import re
from pathlib import PurePosixPath

__all__ = [
    "banned_names",
    "banned_words",
    "error_style",
    "headings",
    "long_files",
    "long_functions",
    "machine_paths",
    "ragged_rows",
    "wide_lines",
]

_BANNED_NAMES = {"common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}
# Written in two halves, so that this file keeps its own rule.
_BANNED_WORDS = {
    "tamper-" + "proof": "say tamper-evident",
    "TO" + "DO": "open an issue instead",
    "FIX" + "ME": "open an issue instead",
    "XX" + "X": "open an issue instead",
}
_MACHINE_PATH = re.compile(r"(?<![\w.*}>\])])/(?:home|Users|root|work|opt|mnt|srv)/\w")
_COMMENTED_TABLE = re.compile(r"^\s*(?://[/!]|#) \|")
_PRAGMA = re.compile(r" +# (?:noqa|type: ignore).*$")
_BAR = re.compile(r"(?<!\\)\|")
_FENCE = re.compile(r"^ *(```|~~~)")


def long_files(path: str, text: str, limit_lines: int) -> list[str]:
    """The file, if it has more lines than the limit."""
    lines = len(text.splitlines())
    return [f"{path}: {lines} lines, want at most {limit_lines}"] if lines > limit_lines else []


def wide_lines(path: str, text: str, limit_columns: int) -> list[str]:
    """Lines of more characters than the limit, where they could be broken.

    Rows of a table in a comment and literal instances, which are one long word, cannot; marks for
    the linters are not counted.
    """
    lines = [_PRAGMA.sub("", line) for line in text.splitlines()]
    return [
        f"{path}:{number}: {len(line)} columns, want at most {limit_columns}"
        for number, line in enumerate(lines, 1)
        if len(line) > limit_columns
        and not _COMMENTED_TABLE.match(line)
        and max(map(len, line.split())) <= limit_columns // 2
    ]


def long_functions(path: str, text: str, limit_lines: int) -> list[str]:
    """Python functions of more lines than the limit, signature and docstring included."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > limit_lines:
                found.append(
                    f"{path}:{node.lineno}: {node.name} has {lines} lines, "
                    f"want at most {limit_lines}"
                )
    return found


def headings(path: str, text: str) -> list[str]:
    """A Markdown file without exactly one first-level heading, at its first line."""
    fenced = False
    first_level = []
    for number, line in enumerate(text.splitlines(), 1):
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced and line.startswith("# "):
            first_level.append(number)
    if first_level == [1]:
        return []
    return [f"{path}: first-level headings on lines {first_level}, want one, on line 1"]


def ragged_rows(path: str, text: str) -> list[str]:
    """Rows of a Markdown table with other cells than its head, mostly for a bar not escaped."""
    fenced, width, found = False, 0, []
    for number, line in enumerate(text.splitlines(), 1):
        if _FENCE.match(line):
            fenced = not fenced
        if fenced or not line.startswith("|"):
            width = 0
            continue
        cells = len(_BAR.findall(line)) - 1
        width = width or cells
        if cells != width:
            found.append(f"{path}:{number}: {cells} cells, want {width}: a bar in a cell is \\|")
    return found


def repeated_lines(path: str, text: str) -> list[str]:
    """Long lines that a text has twice: entries of a list that a merge has brought back."""
    first: dict[str, int] = {}
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > 40 and first.setdefault(line, number) != number:
            found.append(f"{path}:{number}: it is line {first[line]} once more")
    return found


def banned_names(path: str) -> list[str]:
    """Files and folders whose name says nothing."""
    names = {PurePosixPath(part).stem for part in PurePosixPath(path).parts}
    return [f"{path}: {name} says nothing: name the concept" for name in names & _BANNED_NAMES]


def banned_words(path: str, text: str) -> list[str]:
    """Words that promise too much or put work off."""
    found = []
    for word, advice in _BANNED_WORDS.items():
        flags = 0 if word.isupper() else re.IGNORECASE
        for match in re.finditer(rf"\b{word}\b", text, flags):
            line = text.count("\n", 0, match.start()) + 1
            found.append(f"{path}:{line}: {match[0]}: {advice}")
    return found


def machine_paths(path: str, text: str) -> list[str]:
    """Absolute paths that exist on one machine only."""
    return [
        f"{path}:{text.count(chr(10), 0, match.start()) + 1}: path of one machine: {match[0]}"
        for match in _MACHINE_PATH.finditer(text)
    ]


def error_style(path: str, text: str) -> list[str]:
    """Messages of raised errors that end with a full stop or begin like a sentence."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)):
            continue
        name = node.exc.func
        named = name.id if isinstance(name, ast.Name) else getattr(name, "attr", "")
        if not named.endswith("Error") and not named.startswith("Invalid"):
            continue
        for argument in node.exc.args:
            begin, end = _ends(argument)
            # A capital then a small letter begins a sentence; TOML and E_ROLE do not.
            if re.match(r"[A-Z][a-z]", begin) or end.endswith("."):
                found.append(f"{path}:{node.lineno}: error reads like a sentence: {begin + end!r}")
    return found


def bare_refusals(path: str, text: str) -> list[str]:
    """Refusals that are made without their code's remedy: ``rules.refuse`` knows it."""
    return [
        f"{path}:{node.lineno}: refusal has no remedy: call rules.refuse"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "RefusedError"
        and "remedy" not in {keyword.arg for keyword in node.keywords}
    ]


def _ends(node: ast.expr) -> tuple[str, str]:
    """The literal text that a message begins and ends with."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    texts = [
        part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else ""
        for part in (parts[0], parts[-1])
    ]
    return texts[0], texts[1]
