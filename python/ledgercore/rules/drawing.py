"""Draw lanes with arrows between them as SVG: transition tables, and whoever has such rows.

A state is a lane, and what takes an object from one to another is an arrow of a row of its own: so
no two lines cross a text, however a table grows. An object begins at the dot; a record that leaves
it where it is stands on a ring.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from ledgercore.rules.table import UNMADE, Row

__all__ = ["ROW", "draw_arrow", "draw_lane", "draw_transitions"]

ROW = 34
"""Height of a row."""

_LANE, _LEFT, _TOP, _HEAD, _RING = 170, 90, 64, 7, 5

_STYLE = (
    "svg{background:#fff;font:12px system-ui,sans-serif}"
    "text{text-anchor:middle;fill:#222;paint-order:stroke;stroke:#fff;stroke-width:4px}"
    ".name{font-weight:600}.lane{stroke:#ccc}g line{stroke:#246}"
    "polygon,.begin{fill:#246}.ring{fill:#fff;stroke:#246}"
)


def draw_transitions(title: str, rows: Iterable[Row]) -> str:
    """One object's states and the records that move it, as a picture that stands alone."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for begin in row.begin or (UNMADE,):
            arrows.setdefault((begin, row.end or begin), []).append(row.kind.partition(".")[2])
    states = list(dict.fromkeys(state for pair in arrows for state in pair))
    lanes = {state: _LEFT + _LANE * at for at, state in enumerate(states)}
    drawn, line = [], _TOP
    for (begin, end), kinds in arrows.items():
        line += ROW
        text = ", ".join(kinds)
        if begin == end:
            drawn.append(_ring(lanes[begin], line, text))
        else:
            drawn.append(draw_arrow(lanes[begin], lanes[end], line, text))
            if begin == UNMADE:
                drawn.append(f'<circle class="begin" cx="{lanes[begin]}" cy="{line}" r="{_RING}"/>')
    width, height = 2 * _LEFT + _LANE * (len(states) - 1), line + ROW
    names = [draw_lane(name or "(new)", x, _TOP, height) for name, x in lanes.items()]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>\n"
        + "\n".join([*names, *drawn])
        + "\n</svg>\n"
    )


def draw_lane(name: str, x: int, top: int, height: int, style: str = "lane") -> str:
    """A line down the picture, with its name above."""
    return (
        f'<line class="{style}" x1="{x}" y1="{top - 16}" x2="{x}" y2="{height}"/>'
        f'<text class="name" x="{x}" y="{top - 28}">{escape(name)}</text>'
    )


def draw_arrow(begin: int, end: int, y: int, text: str, style: str = "record") -> str:
    """An arrow from lane to lane, with its text above."""
    head = _HEAD if begin < end else -_HEAD
    points = f"{end},{y} {end - head},{y - 4} {end - head},{y + 4}"
    return (
        f'<g class="{style}"><line x1="{begin}" y1="{y}" x2="{end - head}" y2="{y}"/>'
        f'<polygon points="{points}"/>'
        f'<text x="{(begin + end) / 2:g}" y="{y - 6}">{escape(text)}</text></g>'
    )


def _ring(x: int, y: int, text: str) -> str:
    """What leaves an object in its state."""
    return (
        f'<circle class="ring" cx="{x}" cy="{y}" r="{_RING}"/>'
        f'<text x="{x}" y="{y - 10}">{escape(text)}</text>'
    )
