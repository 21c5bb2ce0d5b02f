"""A dot and its 95 % interval for each of several scores, with the majority-class baseline as a line, as SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import escape

from headstart.metrics.bootstrap import Interval
from headstart.metrics.written import decimals, ends, share
from headstart.report.chart import Marker, axis, shape_of


@dataclass(frozen=True)
class Layout:
    """Places of a chart's parts in pixels; a chart is drawn in both, and the page shows the one that fits."""

    kind: str
    width: int
    row: int
    """Height of a score."""
    track: tuple[int, int]
    """Left end and width of the tracks."""
    text: int
    """From the track of a score up to the foot of its text."""
    value: int
    """Right end of the score."""
    ends: tuple[str, int]
    """Anchor and place of the ends of its interval."""
    longest: int
    """Characters of a name; what is longer is cut in the middle."""
    style: str


BROAD = Layout("broad", 600, 30, (192, 226), -4, 484, ("start", 494), 27, "--least:430px")
NARROW = Layout("narrow", 340, 44, (6, 318), 15, 232, ("end", 324), 25, "font-size:12px")
"""For telephones: the texts of a score stand above its track, at their own size."""


@dataclass(frozen=True)
class Score:
    """A score with its name and how its mark is drawn."""

    letter: str
    """Of a setting; may be empty."""
    name: str
    interval: Interval
    color: str
    marker: Marker = "circle"
    hollow: bool = False


def interval_chart(scores: Sequence[Score], title: str, baseline: float, tied: int) -> str:
    """The chart of ``scores``, in their order; a bracket joins the first ``tied``, which do not differ significantly.

    ``title`` names the metric; ``baseline`` is that of always predicting the most frequent class. The chart is drawn
    for broad and for narrow screens; the style sheet shows one of them.
    """
    return "".join(_drawn(scores, title, baseline, tied, layout) for layout in (BROAD, NARROW))


def _drawn(scores: Sequence[Score], title: str, baseline: float, tied: int, layout: Layout) -> str:
    intervals = [each.interval for each in scores]
    span = axis([baseline, *(end for each in intervals for end in (each.low, each.high))], percent=True, count=3)
    digits = min(decimals(each.low, each.high) for each in intervals)
    bottom = layout.row * len(scores) + 26

    def x(value: float) -> float:
        return layout.track[0] + layout.track[1] * span.place(value)

    said = ", ".join(f"{each.letter or each.name} {share(each.interval)} ({ends(each.interval)})" for each in scores)
    parts = [
        f'<svg class="chart intervals {layout.kind}" viewBox="0 0 {layout.width} {bottom + 20}" role="img"'
        f' style="{layout.style}" aria-label="{escape(title)} with 95 % intervals: {escape(said)}">'
    ]
    for value, text in span.ticks:
        at = min(max(x(value), 4 * len(text)), layout.width - 4 * len(text))  # whole, at the edges too
        parts.append(f'<path class="grid" d="{_vertical(x(value), 20, len(scores), layout)}"/>')
        parts.append(f'<text x="{at:.1f}" y="{bottom + 15}">{escape(text)}</text>')
    parts.append(f'<path class="rule" d="{_vertical(x(baseline), 18, len(scores), layout)}"/>')
    side = "start" if span.place(baseline) < 0.5 else "end"
    parts.append(
        f'<text class="{side}" x="{x(baseline):.1f}" y="13">most frequent class: {100 * baseline:.1f} %</text>'
    )
    for number, each in enumerate(scores):
        top = 20 + layout.row * number
        parts.append(_row(each, top, digits, x, layout))
    if tied > 1:
        right = layout.width - 8 if layout is BROAD else layout.width - 2
        parts.append(f'<path class="bracket" d="M{right - 6} 24H{right}V{16 + layout.row * tied}h-6"/>')
    return "".join([*parts, "</svg>"])


def _vertical(x: float, top: int, rows: int, layout: Layout) -> str:
    """A vertical line through all tracks; on narrow screens with gaps where the texts stand above them."""
    if layout is BROAD:
        return f"M{x:.1f} {top}V{layout.row * rows + 26}"
    tracks = (20 + layout.row * (number + 1) - 12 for number in range(rows))
    return "".join(f"M{x:.1f} {y - 9}V{y + 9}" for y in tracks)


def shortened(name: str, longest: int = BROAD.longest) -> str:
    """A name that fits, cut in the middle: what tells names apart often stands at an end."""
    half = (longest - 1) // 2
    return name if len(name) <= longest else f"{name[: longest - 1 - half]}\N{HORIZONTAL ELLIPSIS}{name[-half:]}"


def _row(each: Score, top: int, digits: int, x: Callable[[float], float], layout: Layout) -> str:
    y = top + (layout.row / 2 if layout is BROAD else layout.row - 12)
    text, (anchor, place) = y - layout.text, layout.ends
    mark = shape_of(each.marker, (x(each.interval.value), y), 5.5)
    letter = f'<text class="start strong" x="0" y="{text:g}">{escape(each.letter)}</text>' if each.letter else ""
    return (
        f'{letter}<text class="start" x="{18 if each.letter else 0}" y="{text:g}">'
        f"{escape(shortened(each.name, layout.longest))}<title>{escape(each.name)}</title></text>"
        f'<g style="color:{each.color}"><path class="line" style="stroke-width:3"'
        f' d="M{x(each.interval.low):.1f} {y:g}H{x(each.interval.high):.1f}"/>'
        f'<g class="mark{" hollow" if each.hollow else ""}">{mark}</g></g>'
        f'<text class="end strong" x="{layout.value}" y="{text:g}">{100 * each.interval.value:.{digits}f} %</text>'
        f'<text class="{anchor}" x="{place}" y="{text:g}">{ends(each.interval, digits)}</text>'
    )
