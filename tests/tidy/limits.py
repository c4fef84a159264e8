"""Check that each limit is said once: in the core, where it has it, and nowhere in Python again."""

import ast
import re
from collections.abc import Set

__all__ = ["limits_of_core", "second_limits"]

_LIMIT = re.compile(r"^pub const (\w+): usize = ", re.MULTILINE)


def limits_of_core(text: str) -> set[str]:
    """The names that ``rust/limits.rs`` defines."""
    return set(_LIMIT.findall(text))


def second_limits(path: str, text: str, limits: Set[str]) -> list[str]:
    """Assignments of a Python module to the name of a limit that the core has."""
    found = []
    for node in ast.parse(text).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) and node.value else targets
        names = [each.id.lstrip("_") for each in targets if isinstance(each, ast.Name)]
        found += [
            f"{path}:{node.lineno}: {name} is a limit of the core: import it"
            for name in names
            if name in limits
        ]
    return found
