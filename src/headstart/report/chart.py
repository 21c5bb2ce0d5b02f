"""Line charts as SVG: axes, lines, bands, markers and error bars, so that a page needs no plotting library.

Text takes the page's colors, in both color schemes. A mark with a ``data-tip`` shows it under the pointer, and a key of
the legend hides its line (`page.js`).
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from markupsafe import escape

BLUE, ORANGE, GRAY = "var(--blue)", "var(--orange)", "var(--soft)"
Marker = Literal["", "circle", "square", "diamond", "star"]
RIGHT, TOP, BOTTOM = 14, 12, 46
"""Pixels around the plot."""
NARROW = 340
"""Width of a chart for telephones: a broader one is drawn twice, and the style sheet shows the one that fits."""
NARROW_HEIGHT, LETTER, TITLE_LETTERS = 320, 6.6, 46
"""Its height at the most; of its texts the width of a letter, and letters in a line of the title of an axis."""


@dataclass(frozen=True)
class Axis:
    """An axis from ``low`` to ``high`` with its ticks, (value, text)."""

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    title: str = ""
    log: bool = False

    def place(self, value: float) -> float:
        """Where a value lies, from 0 to 1."""
        low, high, at = (math.log(each) if self.log else each for each in (self.low, self.high, value))
        return (at - low) / (high - low) if high > low else 0.5


@dataclass(frozen=True)
class Line:
    """Points with what is drawn for them; ``y`` is None where there is a gap."""

    name: str
    color: str
    """Any color of CSS."""
    x: Sequence[float]
    y: Sequence[float | None]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    """Ends of the intervals: a band behind a line, bars at a single point."""
    dash: str = ""
    marker: Marker = "circle"
    hollow: bool = False
    sizes: Sequence[float] = ()
    """Radius of each marker."""
    tips: Sequence[str] = ()
    bins: Sequence[int] = ()
    """Number of each marker, by which the page opens its images."""
    key: str = ""
    """Lines with the same key are hidden together."""
    legend: bool = True
    width: float = 2.5
    step: bool = False
    """Horizontal first, then vertical."""
    labels: Sequence[str] = ()
    """Text beside each point."""
    under: str = ""
    """Color of a wider line below, for colors that are no different from the page's."""
    faint: bool = False
    """With a fainter band."""


@dataclass(frozen=True)
class Arrow:
    """A horizontal arrow between two points, with a text above it."""

    key: str
    """It is hidden with the lines of this key."""
    color: str
    start: float
    end: float
    y: float
    text: str
    tip: str


@dataclass(frozen=True)
class Chart:
    """Lines between two axes."""

    lines: Sequence[Line]
    x: Axis
    y: Axis
    says: str
    """What the chart shows, for who does not see it."""
    width: int = 1000
    height: int = 400
    title: str = ""
    left: int = 58
    """Pixels for the texts of the vertical axis."""
    verticals: Sequence[tuple[float, str]] = field(default=())
    """Dotted vertical lines with their text."""
    arrows: Sequence[Arrow] = ()

    def svg(self) -> str:
        """The chart as an SVG element; a broad one as two, the second for narrow screens."""
        if self.width <= NARROW:
            return self._svg("chart", "")
        narrow = replace(self, width=NARROW, height=min(self.height, NARROW_HEIGHT), left=min(self.left, 52))
        return self._svg("chart broad", "") + narrow._svg("chart narrow", ' style="font-size:12px"')

    def _svg(self, kind: str, style: str) -> str:
        top = TOP + (22 if self.title else 0)
        head = (
            f'<svg class="{kind}" viewBox="0 0 {self.width} {self.height}" role="img"'
            f' aria-label="{escape(self.says)}"{style}>'
        )
        title = f'<text class="strong" x="{self.width / 2:g}" y="18">{escape(self.title)}</text>' if self.title else ""
        parts = [head, title, *self._axes(top)]
        for value, text in self.verticals:
            at = self._at(value, self.y.low, top)
            side, away = ("start", 4) if at[0] < self.width - 60 else ("end", -4)
            parts.append(f'<path class="rule" d="M{at[0]:.1f} {top}V{self.height - self._bottom}"/>')
            parts.append(f'<text class="{side}" x="{at[0] + away:.1f}" y="{top + 10}">{escape(text)}</text>')
        for line in self.lines:
            parts += [f'<g data-line="{escape(line.key or line.name)}">', *self._line(line, top), "</g>"]
        return "".join([*parts, *self._arrows(top), "</svg>"])

    @property
    def _titles(self) -> list[str]:
        """The lines of the title of the horizontal axis."""
        return textwrap.wrap(self.x.title, TITLE_LETTERS) if self.width <= NARROW else [self.x.title]

    @property
    def _bottom(self) -> int:
        return BOTTOM + 15 * max(0, len(self._titles) - 1)

    def _arrows(self, top: int) -> Iterator[str]:
        """The arrows, their texts where they do not run into each other."""
        taken: list[tuple[float, float, float]] = []
        for arrow in self.arrows:
            (start, y), (end, _) = (self._at(x, arrow.y, top) for x in (arrow.start, arrow.end))
            half = LETTER * len(arrow.text) / 2
            places = (start + share * (end - start) for share in (0.5, 0.3, 0.7, 0.12, 0.88))
            shown = [min(max(place, self.left + half), self.width - RIGHT - half) for place in places]
            free = (
                x for x in shown if all(abs(x - at) > half + of or abs(y - height) > 14 for at, height, of in taken)
            )
            taken.append((next(free, shown[0]), y, half))
            yield _arrow(arrow, start, end, *taken[-1][:2])

    def _at(self, x: float, y: float, top: int) -> tuple[float, float]:
        wide, high = self.width - self.left - RIGHT, self.height - top - self._bottom
        return self.left + wide * self.x.place(x), top + high * (1 - self.y.place(y))

    def _axes(self, top: int) -> Iterator[str]:
        bottom, right = self.height - self._bottom, self.width - RIGHT
        for value, text in self.y.ticks:
            y = self._at(self.x.low, value, top)[1]
            yield f'<path class="grid" d="M{self.left} {y:.1f}H{right}"/>'
            yield f'<text class="end" x="{self.left - 6}" y="{y + 4:.1f}">{escape(text)}</text>'
        free = float(self.width)  # right of the next text: those that would run into it are left out
        for value, text in sorted(self.x.ticks, reverse=True):
            x, half = self._at(value, self.y.low, top)[0], LETTER * len(text) / 2
            yield f'<path class="grid" d="M{x:.1f} {top}V{bottom}"/>'
            at = min(x, self.width - half)
            if at + half <= free:
                yield f'<text x="{at:.1f}" y="{bottom + 16}">{escape(text)}</text>'
                free = at - half - 4
        for number, text in enumerate(reversed(self._titles)):
            yield f'<text x="{(self.left + right) / 2:g}" y="{self.height - 6 - 15 * number}">{escape(text)}</text>'
        if self.y.title:
            middle = (top + bottom) / 2
            yield f'<text transform="translate(13 {middle:g}) rotate(-90)">{escape(self.y.title)}</text>'

    def _line(self, line: Line, top: int) -> Iterator[str]:
        points = [None if y is None else self._at(x, y, top) for x, y in zip(line.x, line.y, strict=True)]
        color = f"color:{line.color}"
        several = sum(each is not None for each in points) > 1
        if line.low and several:
            ends = [*zip(line.x, line.high, strict=True), *reversed([*zip(line.x, line.low, strict=True)])]
            outline = " ".join("{:.1f},{:.1f}".format(*self._at(x, y, top)) for x, y in ends)
            yield f'<polygon class="band{" faint" if line.faint else ""}" style="{color}" points="{outline}"/>'
        if several and line.width:
            path = _path(points, line.step)
            if line.under:
                yield f'<path class="line" style="color:{line.under};stroke-width:{2 * line.width:g}" d="{path}"/>'
            dash = f";stroke-dasharray:{line.dash}" if line.dash else ""
            yield f'<path class="line" style="{color};stroke-width:{line.width:g}{dash}" d="{path}"/>'
        for i, point in enumerate(points):
            if point is None:
                continue
            if line.low and not several:
                ends = [(line.x[i], line.low[i]), (line.x[i], line.high[i])]
                (x, bottom), (_, high) = (self._at(*end, top) for end in ends)
                yield f'<path class="line" style="{color};stroke-width:2" d="M{x:.1f} {bottom:.1f}V{high:.1f}"/>'
            if line.marker:
                yield _marker(line, point, i)
            if line.labels:
                x, y = point[0] + 9, point[1] - 6
                yield f'<text class="strong start" x="{x:.1f}" y="{y:.1f}">{escape(line.labels[i])}</text>'


def _arrow(arrow: Arrow, start: float, end: float, middle: float, y: float) -> str:
    back = 7 if end < start else -7
    return (
        f'<g data-line="{escape(arrow.key)}" style="color:{arrow.color}" data-tip="{escape(arrow.tip)}">'
        f'<path class="line" style="stroke-width:1.5" d="M{start:.1f} {y:.1f}H{end:.1f}'
        f'm{back} -4l{-back} 4l{back} 4"/>'
        f'<text class="strong" x="{middle:.1f}" y="{y - 6:.1f}">{escape(arrow.text)}</text></g>'
    )


def _path(points: Sequence[tuple[float, float] | None], step: bool) -> str:
    path, down = "", False
    for point in points:
        if point is None:
            down = False
            continue
        x, y = point
        path += (f"H{x:.1f}V{y:.1f}" if step else f"L{x:.1f} {y:.1f}") if down else f"M{x:.1f} {y:.1f}"
        down = True
    return path


def _marker(line: Line, point: tuple[float, float], number: int) -> str:
    radius = line.sizes[number] if line.sizes else 4.5
    tip = f' data-tip="{escape(line.tips[number])}"' if line.tips else ""
    opens = f' data-bin="{line.bins[number]}"' if line.bins else ""
    kind = f"mark{' hollow' if line.hollow else ''}"
    shape = shape_of(line.marker, point, radius)
    reach = f'<circle class="reach" cx="{point[0]:.1f}" cy="{point[1]:.1f}" r="{max(radius, 11):g}"/>' if tip else ""
    return f'<g class="{kind}" style="color:{line.color}"{opens}{tip}>{reach}{shape}</g>'


def shape_of(marker: Marker, point: tuple[float, float], radius: float) -> str:
    """The outline of a marker around a point."""
    x, y = point
    if marker == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"/>'
    corners, turn, inner = {"square": (4, 0.25, 1.0), "diamond": (4, 0.0, 1.0), "star": (10, 0.25, 0.45)}[marker]
    radii = [1.25 * radius * (1.3 if marker == "star" else 1) * (inner if i % 2 else 1) for i in range(corners)]
    angles = [2 * math.pi * (i + turn * 2 * (marker == "square")) / corners - math.pi / 2 for i in range(corners)]
    path = " ".join(f"{x + r * math.cos(a):.1f},{y + r * math.sin(a):.1f}" for r, a in zip(radii, angles, strict=True))
    return f'<polygon points="{path}"/>'


def legend(lines: Sequence[Line]) -> str:
    """A key for each line that has one; pressed, it shows its line."""
    keys = []
    for line in lines:
        if not line.legend:
            continue
        dash = f";stroke-dasharray:{line.dash}" if line.dash else ""
        stroke = f'<path class="line" style="stroke-width:2.5{dash}" d="M1 7H27"/>' if line.width else ""
        shape = shape_of(line.marker, (14, 7), 4) if line.marker else ""
        mark = f'<g class="mark{" hollow" if line.hollow else ""}">{shape}</g>'
        keys.append(
            f'<button type="button" class="key" aria-pressed="true" data-line="{escape(line.key or line.name)}">'
            f'<svg viewBox="0 0 28 14" aria-hidden="true" style="color:{line.color}">{stroke}'
            f"{mark}</svg>{escape(line.name)}</button>"
        )
    return f'<div class="keys">{"".join(keys)}</div>'


def nice_ticks(
    low: float, high: float, count: int = 5, percent: bool = False
) -> tuple[float, float, list[tuple[float, str]]]:
    """Round ends that enclose ``low`` and ``high``, and about ``count`` round ticks between them."""
    if not high > low:
        low, high = low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1)
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(each * power for each in (1, 2, 2.5, 5, 10) if each * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    values = [step * i for i in range(first, last + 1)]
    exact = [0.0 if abs(value) < step / 1e6 else value for value in values]
    return values[0], values[-1], [(each, f"{100 * each:.4g} %" if percent else f"{each:.4g}") for each in exact]


def axis(
    values: Sequence[float], title: str = "", *, percent: bool = False, count: int = 5, zero: bool = False
) -> Axis:
    """An axis around ``values``; of shares in ``percent``, within 0 and 1; with ``zero``, from 0."""
    known = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = (0.0 if zero else min(known)), max(known)
    start, end, ticks = nice_ticks(low, high, count, percent)
    if percent:
        start, end = max(start, 0.0), min(end, 1.0)
        ticks = [each for each in ticks if start - 1e-9 <= each[0] <= end + 1e-9]
    return Axis(start, end, ticks, title)
