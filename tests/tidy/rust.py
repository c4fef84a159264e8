"""Check the Rust modules: order, circles, purity, and the length of functions."""

import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

__all__ = ["core_effects", "long_functions", "module_circles", "module_of", "upward_modules"]

_COMMENT_OR_STRING = re.compile(
    r"""
    //[^\n]* | /\*.*?\*/  # comments
    | b?r(\#*)".*?"\1 | b?"(?:\\.|[^"\\])*"  # strings
    | b?'(?:\\[^\n']+|[^\\'\n])'  # characters, and no lifetimes
    """,
    re.VERBOSE | re.DOTALL,
)
_EFFECTS = {
    "files": r"\bstd::fs\b",
    "sockets": r"\bstd::net\b",
    "clock": r"\bstd::time\b|\bSystemTime\b|\bInstant::now\b",
    "environment": r"\bstd::env\b",
    "processes": r"\bstd::process\b",
    "randomness": r"\brand::|\bOsRng\b|\bgetrandom\b|\bthread_rng\b",
    "unsafe code": r"\bunsafe\b",
    "Python": r"\bpyo3\b",
}
KERNELS = ("rust/signature/avx2.rs", "rust/signature/ifma.rs")
"""Files that use a processor's own instructions, which a compiler cannot check for."""

_FUNCTION = re.compile(r"^[ \t]*(?:pub(?:\([^)]*\))? )?(?:const )?fn (\w+)", re.MULTILINE)


def _code(text: str) -> str:
    """The text with comments and literals blanked, line for line."""
    return _COMMENT_OR_STRING.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def _line(code: str, offset: int) -> int:
    return code.count("\n", 0, offset) + 1


def module_of(path: str) -> list[str]:
    """``rust/tree/proof.rs`` is ``["tree", "proof"]``, ``rust/tree/mod.rs`` is ``["tree"]``."""
    parts = path.removeprefix("rust/").removesuffix(".rs").split("/")
    return parts[:-1] if parts[-1] == "mod" else parts


def _matching(code: str, offset: int) -> int:
    """Where the brace that opens at an offset is closed."""
    depth = 0
    for position in range(offset, len(code)):
        depth += {"{": 1, "}": -1}.get(code[position], 0)
        if depth == 0:
            return position
    return len(code)


def _first_names(code: str, offset: int) -> list[str]:
    """The names right after ``crate::``: one, or those at the first depth of a braced list."""
    if code[offset : offset + 1] != "{":
        name = re.match(r"\w+", code[offset:])
        return [name[0]] if name else []
    inner = code[offset + 1 : _matching(code, offset)]
    while "{" in inner:
        inner = re.sub(r"\{[^{}]*\}", "", inner)
    return [item.split("::")[0].strip() for item in inner.split(",") if item.strip()]


def _used_names(path: str, code: str) -> Iterator[tuple[int, str]]:
    """The line and crate-level name of every path that begins at the crate."""
    for match in re.finditer(r"\bcrate::", code):
        for name in _first_names(code, match.end()):
            yield _line(code, match.start()), name
    # As many supers as the place is deep lead to the crate.
    inline = [
        (match.start(), _matching(code, match.end() - 1))
        for match in re.finditer(r"\bmod \w+ \{", code)
    ]
    for match in re.finditer(r"\b(?:super::)+", code):
        depth = len(module_of(path)) + sum(a < match.start() < b for a, b in inline)
        if match[0].count("super") == depth:
            for name in _first_names(code, match.end()):
                yield _line(code, match.start()), name


def _modules(library: str) -> tuple[list[str], dict[str, str]]:
    """The modules in the order of lib.rs, and the module behind each name it exports again."""
    code = _code(library)
    modules = re.findall(r"^(?:pub )?mod (\w+);", code, re.MULTILINE)
    exported = {}
    for match in re.finditer(r"\bpub use (\w+)::(?=(\w+|\{))", code):
        for name in _first_names(code, match.end()):
            exported[name] = match[1]
    return modules, exported


def upward_modules(path: str, text: str, library: str) -> list[str]:
    """Uses of a module that stands below the file's own in lib.rs."""
    modules, exported = _modules(library)
    own = module_of(path)[0]
    if own == "lib":
        return []
    if own not in modules:
        return [f"{path}: {own} is not listed in rust/lib.rs"]
    found = []
    for line, name in _used_names(path, _code(text)):
        module = exported.get(name, name)
        if module not in modules:
            found.append(f"{path}:{line}: crate::{name} is no module of rust/lib.rs")
        elif modules.index(module) > modules.index(own):
            found.append(f"{path}:{line}: {own} uses {module}, which stands below it in lib.rs")
    return found


def module_circles(texts: Mapping[str, str]) -> list[str]:
    """Circles of modules that use each other inside one folder, of all texts by path.

    What stands in the folder's own ``mod.rs`` is for all of them; unit tests may look anywhere.
    """
    found = []
    for folder in sorted({path.rpartition("/")[0] for path in texts}):
        modules = {
            module_of(path)[-1]: _code(text).partition("#[cfg(test)]\nmod ")[0]
            for path, text in texts.items()
            if path.rpartition("/")[0] == folder and not path.endswith(("/mod.rs", "/lib.rs"))
        }
        graph = {
            module: {
                name
                for match in re.finditer(r"(?<!::)\bsuper::", code)
                for name in _first_names(code, match.end())
            }
            & modules.keys()
            for module, code in modules.items()
        }
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            found.append(f"{folder}: modules use each other: {' <- '.join(error.args[1])}")
    return found


def core_effects(path: str, text: str) -> list[str]:
    """Reaches out of the pure core, unsafe code, and Python outside its folder.

    Unit tests may read vectors and draw numbers; unsafe code is for the kernels alone.
    """
    code = _code(text)
    tests = code.find("#[cfg(test)]")
    found = []
    for effect, pattern in _EFFECTS.items():
        if effect == "Python" and path.startswith("rust/python/"):
            continue
        if effect == "unsafe code" and path in KERNELS:
            continue
        searched = code if tests < 0 or effect in ("unsafe code", "Python") else code[:tests]
        for match in re.finditer(pattern, searched):
            found.append(f"{path}:{_line(code, match.start())}: {effect} in the core: {match[0]}")
    return found


def long_functions(path: str, text: str, limit_lines: int) -> list[str]:
    """Functions of more lines than the limit, signature and braces included."""
    code = _code(text)
    found = []
    for match in _FUNCTION.finditer(code):
        body = re.compile(r"[{;]").search(code, match.end())
        if body is None or body[0] == ";":
            continue
        first = _line(code, match.start(1))
        lines = _line(code, _matching(code, body.start())) - first + 1
        if lines > limit_lines:
            found.append(
                f"{path}:{first}: {match[1]} has {lines} lines, want at most {limit_lines}"
            )
    return found
