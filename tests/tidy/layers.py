"""Check that the Python package imports only downward.

The layers stand in ``LAYERS``, lowest first. A module may import its own layer and those before
it, also inside functions and under ``TYPE_CHECKING``; the package's root imports any layer and no
layer imports the root.
"""

import ast
from collections.abc import Iterator

__all__ = ["LAYERS", "layer_of", "upward_imports"]

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
