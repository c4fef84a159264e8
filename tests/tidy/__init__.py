"""The house rules as functions: each takes a file's path and text, and lists what breaks them."""

from tidy.layers import LAYERS, circles, layer_of, upward_imports
from tidy.limits import limits_of_core, second_limits
from tidy.rust import KERNELS, core_effects, module_circles, module_of, upward_modules
from tidy.rust import long_functions as long_rust_functions
from tidy.seams import direct_calls
from tidy.shape import (
    banned_names,
    banned_words,
    bare_refusals,
    error_style,
    headings,
    long_files,
    long_functions,
    machine_paths,
    ragged_rows,
    repeated_lines,
    wide_lines,
)
from tidy.tree import REPOSITORY, Source, sources

__all__ = [
    "KERNELS",
    "LAYERS",
    "REPOSITORY",
    "Source",
    "banned_names",
    "banned_words",
    "bare_refusals",
    "circles",
    "core_effects",
    "direct_calls",
    "error_style",
    "headings",
    "layer_of",
    "limits_of_core",
    "long_files",
    "long_functions",
    "long_rust_functions",
    "machine_paths",
    "module_circles",
    "module_of",
    "ragged_rows",
    "repeated_lines",
    "second_limits",
    "sources",
    "upward_imports",
    "upward_modules",
    "wide_lines",
]
