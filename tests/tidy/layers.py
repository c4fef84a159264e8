"""Check that the Python package imports only downward.

The layers stand in ``LAYERS``, lowest first. A module may import its own layer and those before
it, also inside functions and under ``TYPE_CHECKING``; the package's root imports any layer and no
layer imports the root. No modules import each other in a circle, inside a layer either.
"""

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

__all__ = ["LAYERS", "circles", "layer_of", "upward_imports"]

PACKAGE = "ledgercore"
LAYERS = (
    "errors",
    "wording",
    "arguments",
    "_core",
    "clock",
    "entropy",
    "waiting",
    "disk",
    "locks",
    "writeback",
    "threads",
    "heaps",
    "passphrase",
    "keyfile",
    "keys",
    "anchor",
    "records",
    "rules",
    "proofs",
    "store",
    "ledger",
    "primitives",
    "aio",
    "sync",
    "vault",
    "profiles",
    "exchange",
    "testing",
    "evaluation",
    "node",
    "demo",
    "cli",
)
_ROOT = "__init__"
_ENTRY = "__main__"


def layer_of(path: str) -> str:
    """The layer that a file belongs to: ``python/ledgercore/store/sqlite.py`` is of ``store``."""
    first = path.removeprefix(f"python/{PACKAGE}/").split("/")[0]
    return first.removesuffix(".pyi").removesuffix(".py")


def _imported_layers(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The line and layer of every import from the package, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield node.lineno, "." * node.level
                continue
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for module in modules:
            package, _, rest = module.partition(".")
            if package == PACKAGE:
                layer = rest.split(".")[0]
                yield node.lineno, layer if layer in LAYERS else _ROOT


def upward_imports(path: str, text: str) -> list[str]:
    """Imports of a layer above the file's own, of the package's root, or relative ones."""
    own = layer_of(path)
    if own in (_ROOT, _ENTRY):
        return []
    if own not in LAYERS:
        return [f"{path}: {own} is in no layer: add it to LAYERS in tests/tidy/layers.py"]
    found = []
    for line, layer in _imported_layers(ast.parse(text)):
        if layer.startswith("."):
            found.append(f"{path}:{line}: relative import, want an absolute one")
        elif layer == _ROOT:
            found.append(f"{path}:{line}: {own} imports the package's root, want the module meant")
        elif LAYERS.index(layer) > LAYERS.index(own):
            found.append(f"{path}:{line}: {own} imports {layer}, a layer above it")
    return found


def _module_of(path: str) -> str:
    """``python/ledgercore/store/__init__.py`` is ``ledgercore.store``."""
    parts = path.removeprefix("python/").removesuffix(".py").split("/")
    return ".".join(parts[:-1] if parts[-1] == _ROOT else parts)


def _imported_modules(text: str, modules: Mapping[str, object]) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                found.add(module if module in modules else str(node.module))
    return found & modules.keys()


def circles(texts: Mapping[str, str]) -> list[str]:
    """A circle of modules that import each other, if there is one, of all texts by path.

    The root is left out, which resolves names when they are first used.
    """
    modules = {_module_of(path): text for path, text in texts.items()}
    modules.pop(PACKAGE, None)
    graph = {module: _imported_modules(text, modules) for module, text in modules.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [f"modules import each other: {' <- '.join(error.args[1])}"]
    return []
