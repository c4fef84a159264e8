"""Draw plots as SVG: bars with their ranges, and lines over a logarithmic axis.

Every plot brings its background, and a second set of colours for readers whose system is dark, so
that it can be read on any page. Nothing here knows what is measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.sax.saxutils import escape

__all__ = ["Bar", "Group", "Line", "draw_bars", "draw_lines"]

WIDTH = 880
MARGIN = 24
LABELS = 210
STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328 }
.title { font-size: 17px; font-weight: 600 }
.muted { fill: #59636e; font-size: 12px }
.group { font-weight: 600 }
.end { text-anchor: end }
.middle { text-anchor: middle }
.card { fill: #ffffff }
.rule { stroke: #d8dee4; stroke-width: 1 }
.whisker { stroke: #1f2328; stroke-width: 1.5 }
.goal { stroke: #bc4c00; stroke-width: 2.5 }
.s0 { fill: #0969da; stroke: #0969da }
.s1 { fill: #8c959f; stroke: #8c959f }
.s2 { fill: #1a7f37; stroke: #1a7f37 }
.s3 { fill: #8250df; stroke: #8250df }
.line { fill: none; stroke-width: 2.5 }
text.name { stroke: none; font-weight: 600 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.muted { fill: #9ea7b3 }
.card { fill: #0d1117 }
.rule { stroke: #2d333b }
.whisker { stroke: #e6edf3 }
.goal { stroke: #f0883e }
.s0 { fill: #4493f8; stroke: #4493f8 }
.s1 { fill: #7d8590; stroke: #7d8590 }
.s2 { fill: #3fb950; stroke: #3fb950 }
.s3 { fill: #ab7df8; stroke: #ab7df8 }
}
"""


@dataclass(frozen=True)
class Bar:
    """One way's figure with its range; ours is drawn in another colour."""

    name: str
    value: float
    low: float
    high: float
    ours: bool
    label: str


@dataclass(frozen=True)
class Group:
    """Bars that belong together, and the goal that ours is held to."""

    title: str
    bars: Sequence[Bar]
    goal: float | None


@dataclass(frozen=True)
class Line:
    """Points of one series."""

    name: str
    points: Sequence[tuple[float, float]]


class _Scale:
    """Map figures to places on the drawing, by their logarithm or as they are."""

    def __init__(self, low: float, high: float, begin: float, end: float, *, log: bool) -> None:
        self._log = log
        self._low, self._high = self._of(low), self._of(high)
        self._begin, self._end = begin, end

    def _of(self, figure: float) -> float:
        return math.log10(figure) if self._log else figure

    def __call__(self, figure: float) -> float:
        share = (self._of(figure) - self._low) / (self._high - self._low)
        return round(self._begin + share * (self._end - self._begin), 1)


def draw_bars(title: str, caption: str, groups: Sequence[Group]) -> str:
    """Horizontal bars over powers of ten; a line across our bar is the goal."""
    step, gap = 19, 16
    figures = [figure for group in groups for bar in group.bars for figure in (bar.low, bar.high)]
    figures += [group.goal for group in groups if group.goal]
    decades = _decades(min(figures), max(figures))
    right = WIDTH - MARGIN - 96  # room for a bar's own figure
    scale = _Scale(decades[0], decades[-1], LABELS, right, log=True)
    top = 96
    body: list[str] = []
    y = top
    for group in groups:
        body.append(_text(MARGIN, y + 11, group.title, "group"))
        y += 18
        for bar in group.bars:
            body += _bar(bar, y, scale, group.goal if bar.ours else None)
            y += step
        y += gap
    axis = [_text(MARGIN, 74, "a second, on a scale of powers of ten", "muted")]
    for decade in decades:
        x = scale(decade)
        axis.append(f'<path class="rule" d="M{x} {top - 8}V{y - gap + 6}"/>')
        axis += [_text(x, top - 14, _short(decade), "muted middle")] * (x > LABELS + 60)
        axis.append(_text(x, y - gap + 22, _short(decade), "muted middle"))
    legend = [
        '<rect class="s0" x="560" y="25" width="14" height="10"/>',
        _text(580, 35, "ledgercore", "muted"),
        '<rect class="s1" x="660" y="25" width="14" height="10"/>',
        _text(680, 35, "peer", "muted"),
        '<path class="goal" d="M729 23V37"/>',
        _text(738, 35, "goal", "muted"),
        '<path class="whisker" d="M786 30H806"/>',
        _text(812, 35, "range", "muted"),
    ]
    return _document(title, caption, y + 24, [*axis[:1], *legend, *axis[1:], *body])


def _bar(bar: Bar, y: float, scale: _Scale, goal: float | None) -> list[str]:
    end, low, high = scale(bar.value), scale(bar.low), scale(bar.high)
    begin, middle = LABELS, y + 6.5
    parts = [
        _text(LABELS - 8, y + 11, bar.name, "end" if bar.ours else "end muted"),
        f'<rect class="{"s0" if bar.ours else "s1"}" x="{begin}" y="{y}" '
        f'width="{max(end - begin, 1):.1f}" height="13"/>',
        f'<path class="whisker" d="M{low} {middle}H{high}M{low} {middle - 3}V{middle + 3}'
        f'M{high} {middle - 3}V{middle + 3}"/>',
    ]
    edge = max(end, high)
    if goal is not None:
        x = scale(goal)
        parts.append(f'<path class="goal" d="M{x} {y - 2.5}V{y + 15.5}"/>')
        if edge < x < edge + 12 + 8 * len(bar.label):  # the figure would stand on the goal's line
            edge = x
    parts.append(_text(edge + 7, y + 11, bar.label, "" if bar.ours else "muted"))
    return parts


def draw_lines(
    title: str,
    caption: str,
    lines: Sequence[Line],
    *,
    across: str,
    up: str,
    log: bool,
) -> str:
    """Series over powers of ten; the other axis by powers of ten too, or from zero."""
    left, right, top, bottom = 84, WIDTH - 190, 92, 400
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    columns = _decades(min(xs), max(xs))
    rows = _decades(min(ys), max(ys)) if log else _even(max(ys))
    over = _Scale(columns[0], max(xs), left, right, log=True)
    upward = _Scale(rows[0], rows[-1], bottom, top, log=log)
    body = [_text(MARGIN, 74, up, "muted"), _text((left + right) / 2, 440, across, "muted middle")]
    for row in rows:
        body.append(f'<path class="rule" d="M{left} {upward(row)}H{right}"/>')
        body.append(_text(left - 8, upward(row) + 4, _short(row), "muted end"))
    for column in columns:
        if column <= max(xs):
            body.append(f'<path class="rule" d="M{over(column)} {bottom}v5"/>')
            body.append(_text(over(column), bottom + 20, _short(column), "muted middle"))
    ends = _apart([upward(line.points[-1][1]) for line in lines])
    for number, (line, end) in enumerate(zip(lines, ends, strict=True)):
        places = [(over(x), upward(y)) for x, y in line.points]
        path = " ".join(f"{x},{y}" for x, y in places)
        body.append(f'<polyline class="s{number} line" style="fill:none" points="{path}"/>')
        body += [f'<circle class="s{number}" cx="{x}" cy="{y}" r="3"/>' for x, y in places]
        body.append(_text(places[-1][0] + 10, end + 4, line.name, f"s{number} name"))
    return _document(title, caption, 452, body)


def _document(title: str, caption: str, height: float, body: Sequence[str]) -> str:
    height = round(height + MARGIN / 2)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="card" width="{WIDTH}" height="{height}" rx="8"/>',
            _text(MARGIN, 34, title, "title"),
            _text(MARGIN, 54, caption, "muted"),
            *body,
            "</svg>\n",
        ]
    )


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text x="{round(x, 1)}" y="{round(y, 1)}" class="{kind}">{escape(text)}</text>'


def _decades(low: float, high: float) -> list[float]:
    """Powers of ten from below the least to above the most."""
    return [
        10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ]


def _even(high: float) -> list[float]:
    """Round figures from zero to above the most, four to eight of them."""
    step = 10.0 ** math.floor(math.log10(high))
    for part in (0.2, 0.25, 0.5, 1.0):
        if high / (step * part) <= 7:
            step *= part
            break
    return [number * step for number in range(math.ceil(high / step) + 1)]


def _short(figure: float) -> str:
    """A figure on an axis: 20k, 1M."""
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if figure >= unit:
            return f"{figure / unit:g}{name}"
    return f"{figure:g}"


def _apart(places: Sequence[float], room: float = 17) -> list[float]:
    """Places of labels, moved down where one would stand on another."""
    order = sorted(range(len(places)), key=lambda at: places[at])
    moved = list(places)
    for above, below in pairwise(order):
        moved[below] = max(moved[below], moved[above] + room)
    return moved
