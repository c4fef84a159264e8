"""Check that clock, randomness, disk and network are reached only through their seams.

Names are resolved through a module's imports, so ``from os import urandom as draw`` is seen. Paths
are recognised by their methods, because a parsed file knows no types: ``path.read_text()`` counts
wherever it stands, ``Ledger.open()`` does not.
"""

import ast
from collections.abc import Iterator

__all__ = ["direct_calls"]

_ROOT = "python/ledgercore/"

# What may do which: a file, or a folder with its slash.
_SEAMS = {
    "clock": ("clock.py", "waiting.py"),
    "time of a log's line": ("node/logs.py",),
    "patience with a server": ("store/session.py",),
    "randomness": ("entropy.py",),
    "file": ("disk.py", "locks.py", "writeback.py"),
    "socket": (
        "node/channel.py",
        "node/entrance.py",
        "node/server.py",
        "node/tls.py",
        "demo/processes.py",
    ),
    "process": ("demo/processes.py", "demo/desk_process.py", "demo/independent.py"),
    "database": ("store/", "vault/", "testing/"),
}

# A dotted name, or the beginning of one where it ends with a dot.
_NAMES = {
    "aiohttp.": "socket",
    "asyncio.open_connection": "socket",
    "asyncio.open_unix_connection": "socket",
    "asyncio.sleep": "clock",
    "asyncio.start_server": "socket",
    "asyncio.start_unix_server": "socket",
    "asyncio.timeout": "clock",
    "asyncio.timeout_at": "clock",
    "asyncio.wait_for": "clock",
    "apsw.": "database",
    "click.File": "file",
    "click.open_file": "file",
    "datetime.date.today": "clock",
    "datetime.datetime.now": "clock",
    "datetime.datetime.today": "clock",
    "datetime.datetime.utcnow": "clock",
    "fcntl.": "file",
    "fileinput.": "file",
    "glob.": "file",
    "http.client.": "socket",
    "http.server.": "socket",
    "io.open": "file",
    "io.FileIO": "file",
    "linecache.": "file",
    "mmap.": "file",
    "msvcrt.": "file",
    "multiprocessing.": "process",
    "open": "file",
    "psycopg.": "database",
    "os.getrandom": "randomness",
    "os.urandom": "randomness",
    "random.": "randomness",
    "secrets.": "randomness",
    "selectors.": "socket",
    "shutil.": "file",
    "socket.": "socket",
    "socketserver.": "socket",
    "sqlite3.": "database",
    "ssl.": "socket",
    "structlog.processors.TimeStamper": "time of a log's line",
    "subprocess.": "process",
    "tempfile.": "file",
    "threading.Timer": "patience with a server",
    "time.": "clock",
    "urllib.request.": "socket",
    "uvicorn.": "socket",
    "uuid.": "randomness",
}
# Of os, only what touches neither disk nor process is free.
_PURE_OS = {
    "os.PathLike",
    "os.cpu_count",
    "os.environ",
    "os.fspath",
    "os.linesep",
    "os.path",
    "os.path.basename",
    "os.path.commonpath",
    "os.path.dirname",
    "os.path.join",
    "os.path.normpath",
    "os.path.split",
    "os.path.splitext",
    "os.sep",
}
_PATH_METHODS = {
    "chmod",
    "exists",
    "glob",
    "hardlink_to",
    "is_dir",
    "is_file",
    "is_symlink",
    "iterdir",
    "lstat",
    "mkdir",
    "read_bytes",
    "read_text",
    "rglob",
    "rmdir",
    "samefile",
    "stat",
    "symlink_to",
    "unlink",
    "write_bytes",
    "write_text",
}
# Methods that other types have too, with the number of arguments that a path's take.
_AMBIGUOUS_METHODS = {"rename": 1, "replace": 1, "touch": 0}


def _imported_names(tree: ast.Module) -> dict[str, str]:
    """What each name that an import binds stands for."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound = alias.asname or alias.name.split(".")[0]
                names[bound] = alias.name if alias.asname else bound
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def _dotted(node: ast.expr, names: dict[str, str]) -> str | None:
    """The full name of an expression like ``os.path.join``, if it begins with an import."""
    if isinstance(node, ast.Name):
        return names.get(node.id, "open" if node.id == "open" else None)
    if isinstance(node, ast.Attribute):
        owner = _dotted(node.value, names)
        return None if owner is None else f"{owner}.{node.attr}"
    return None


def _seam_of_name(name: str) -> str | None:
    if name in _NAMES:
        return _NAMES[name]
    if name.startswith("os."):
        return None if name.startswith("os.environ.") or name in _PURE_OS else "file"
    for prefix, seam in _NAMES.items():
        if prefix.endswith(".") and name.startswith(prefix):
            return seam
    return None


def _calls_path_method(node: ast.Call, names: dict[str, str]) -> str | None:
    """The method's name, if this is a call that only a path takes."""
    if not isinstance(node.func, ast.Attribute):
        return None
    method, owner = node.func.attr, node.func.value
    if _imports_ledgercore(owner, names):
        return None
    if method in _PATH_METHODS:
        return method
    if _AMBIGUOUS_METHODS.get(method) == len(node.args) and not node.keywords:
        return method
    return method if method == "open" and _takes_mode(node) else None


def _takes_mode(node: ast.Call) -> bool:
    """Whether a call's arguments are those of a file: nothing, or a mode first."""
    if not node.args:
        return all(keyword.arg in ("mode", "encoding", "newline") for keyword in node.keywords)
    first = node.args[0]
    mode = first.value if isinstance(first, ast.Constant) else None
    return isinstance(mode, str) and set(mode) <= set("rwaxbt+")


def _imports_ledgercore(owner: ast.expr, names: dict[str, str]) -> bool:
    """Whether a call goes to a module of ours, as ``disk.exists(path)`` does."""
    return (_dotted(owner, names) or "").startswith("ledgercore.")


def _reached(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """The line, seam and name of every reach outside."""
    names = _imported_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            method = _calls_path_method(node, names)
            if method is not None and _dotted(node.func, names) is None:
                yield node.lineno, "file", f".{method}()"
        if isinstance(node, ast.Name | ast.Attribute):
            name = _dotted(node, names)
            seam = None if name is None else _seam_of_name(name)
            if name is not None and seam is not None:
                yield node.lineno, seam, name


def direct_calls(path: str, text: str) -> list[str]:
    """Uses of clock, randomness, files, sockets, processes and databases outside their seam."""
    inside = path.removeprefix(_ROOT)
    found = {}
    for line, seam, name in _reached(ast.parse(text)):
        allowed = any(
            inside == place or (place.endswith("/") and inside.startswith(place))
            for place in _SEAMS[seam]
        )
        if not allowed:
            place = ", ".join(_SEAMS[seam]) or "nowhere"
            found.setdefault((line, seam), f"{path}:{line}: {name} is {seam}, which is for {place}")
    return [found[key] for key in sorted(found)]
