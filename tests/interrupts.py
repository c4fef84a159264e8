"""Interrupt a call wherever Python may raise it: once at each place that it comes by.

CPython looks for a signal where a function begins or a generator goes on, after a call, where a
loop goes round, and in a lock that waits. A call that returns is followed by its look, so that what
is raised there is raised by the call's own instruction: where the next one stands under another
handler, as behind a block, a trace cannot raise it, and whoever was called is interrupted instead.
So it is where a loop goes round: what is raised there is raised by the jump, or before Python 3.13
by what stands before its target.
"""

from __future__ import annotations

import contextlib
import dis
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import ledgercore

__all__ = ["BLOCKS", "Place", "begin_tracing", "interrupted", "places", "trace_instructions"]

Place = tuple[CodeType, int, Any]
"""A function, the offset of an instruction, and who called it where it is anybody's."""

_PACKAGE = Path(ledgercore.__file__).parent

_LOOKING = ("RESUME", "CALL", "CALL_KW", "CALL_FUNCTION_EX")
_JUMP_LOOKS_FIRST = sys.version_info >= (3, 13)

BLOCKS = contextlib.__file__
"""The standard library's functions that make blocks of generators."""


@cache
def places(code: CodeType) -> frozenset[int]:
    """Where an exception may come: the offsets of the instructions before which it is raised."""
    found: set[int] = set()
    entries = dis.Bytecode(code).exception_entries

    def handlers(offset: int) -> list[Any]:
        return [entry for entry in entries if entry.start <= offset < entry.end]

    looked: int | None = None
    for instruction in dis.get_instructions(code):
        name, offset = instruction.opname, instruction.offset
        after_look = looked is not None and handlers(looked) == handlers(offset)
        if after_look or name in ("BEFORE_WITH", "LOAD_SPECIAL"):
            found.add(offset)
        looked = offset if name in _LOOKING else None
        if "JUMP_BACKWARD" in name and "NO_INTERRUPT" not in name:
            target = instruction.argval
            if _JUMP_LOOKS_FIRST:
                found.add(offset)
            elif handlers(target) == handlers(target - 1):
                found.add(target)
    return frozenset(found)


def interrupted(
    call: Callable[[], object], seen: set[Place], *parts: str
) -> Iterator[KeyboardInterrupt]:
    """Make a call again and again, each time interrupted at the next place that is not seen yet.

    Those are interrupted that are in these parts of the package, or anywhere in it and in what
    makes blocks of generators. What is raised keeps the frames that it came through, as a host's
    handler does. Whatever else the call raises ends it. It was made to its end when nothing more
    comes.
    """
    files = tuple(str(_PACKAGE / part) for part in parts or ["", BLOCKS])
    while (error := _once(call, seen, files)) is not None:
        yield error


def begin_tracing(trace: Callable[..., Any]) -> None:
    """Trace this thread; Python 3.12 tells of instructions only where a frame has asked before."""
    sys._getframe().f_trace_opcodes = True
    sys.settrace(trace)


def trace_instructions(frame: FrameType, trace: Callable[..., Any]) -> None:
    """Be told of a frame's instructions and no lines; Python 3.13 begins at once if traced."""
    frame.f_trace = trace
    frame.f_trace_opcodes, frame.f_trace_lines = True, False


def _asked_for(frame: FrameType) -> Place | None:
    """Where a block is begun or ended that is made of a generator: each of them is interrupted."""
    caller = frame.f_back
    if frame.f_code.co_filename != BLOCKS or caller is None:
        return None
    return caller.f_code, caller.f_lasti, None


def _once(
    call: Callable[[], object], seen: set[Place], files: tuple[str, ...]
) -> KeyboardInterrupt | None:
    hit = False

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal hit
        code = frame.f_code
        if hit or code.co_name == "__del__" or not code.co_filename.startswith(files):
            return None  # what Python raises in a finalizer it tells nobody
        trace_instructions(frame, trace)
        place = code, frame.f_lasti, _asked_for(frame)
        if event == "opcode" and place not in seen and frame.f_lasti in places(code):
            seen.add(place)
            hit = True
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    begin_tracing(trace)
    try:
        call()
    except KeyboardInterrupt as error:
        sys.settrace(before)
        return error
    finally:
        sys.settrace(before)
    # Whoever tells others of what was interrupted may keep it to itself.
    return KeyboardInterrupt() if hit else None
