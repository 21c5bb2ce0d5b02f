"""A dot and its 95 % interval for each of several scores, with the majority-class baseline as a line, as SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import escape

from headstart.metrics.bootstrap import Interval
from headstart.metrics.written import decimals, ends, share
from headstart.report.chart import Marker, axis, shape_of

ROW, NAME, PLOT, WIDTH = 30, 192, 226, 600
"""In pixels: the height of a score, the width of its name, of its track, and of all."""
LONGEST = 27
"""Characters of a name; what is longer is cut in the middle."""


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

    ``title`` names the metric; ``baseline`` is that of always predicting the most frequent class.
    """
    intervals = [each.interval for each in scores]
    span = axis([baseline, *(end for each in intervals for end in (each.low, each.high))], percent=True, count=3)
    digits = min(decimals(each.low, each.high) for each in intervals)
    bottom = ROW * len(scores) + 26

    def x(value: float) -> float:
        return NAME + PLOT * span.place(value)

    said = ", ".join(f"{each.letter or each.name} {share(each.interval)} ({ends(each.interval)})" for each in scores)
    parts = [
        f'<svg class="chart intervals" viewBox="0 0 {WIDTH} {bottom + 20}" role="img" style="--least:430px"'
        f' aria-label="{escape(title)} with 95 % intervals: {escape(said)}">'
    ]
    for value, text in span.ticks:
        parts.append(f'<path class="grid" d="M{x(value):.1f} 20V{bottom}"/>')
        parts.append(f'<text x="{x(value):.1f}" y="{bottom + 15}">{escape(text)}</text>')
    parts.append(f'<path class="rule" d="M{x(baseline):.1f} 18V{bottom}"/>')
    side = "start" if span.place(baseline) < 0.5 else "end"
    parts.append(
        f'<text class="{side}" x="{x(baseline):.1f}" y="13">most frequent class: {100 * baseline:.1f} %</text>'
    )
    for number, each in enumerate(scores):
        parts.append(_row(each, 20 + ROW * (number + 0.5), (x(each.interval.low), x(each.interval.high)), digits, x))
    if tied > 1:
        right = WIDTH - 8
        parts.append(f'<path class="bracket" d="M{right - 6} 24H{right}V{16 + ROW * tied}h-6"/>')
    return "".join([*parts, "</svg>"])


def shortened(name: str, longest: int = LONGEST) -> str:
    """A name that fits, cut in the middle: what tells names apart often stands at an end."""
    half = (longest - 1) // 2
    return name if len(name) <= longest else f"{name[: longest - 1 - half]}\N{HORIZONTAL ELLIPSIS}{name[-half:]}"


def _row(each: Score, y: float, ends_at: tuple[float, float], digits: int, x: Callable[[float], float]) -> str:
    mark = shape_of(each.marker, (x(each.interval.value), y), 5.5)
    letter = f'<text class="start strong" x="0" y="{y + 4}">{escape(each.letter)}</text>' if each.letter else ""
    return (
        f'{letter}<text class="start" x="{18 if each.letter else 0}" y="{y + 4}">{escape(shortened(each.name))}'
        f"<title>{escape(each.name)}</title></text>"
        f'<g style="color:{each.color}">'
        f'<path class="line" style="stroke-width:3" d="M{ends_at[0]:.1f} {y}H{ends_at[1]:.1f}"/>'
        f'<g class="mark{" hollow" if each.hollow else ""}">{mark}</g></g>'
        f'<text class="end strong" x="{NAME + PLOT + 66}" y="{y + 4}">{100 * each.interval.value:.{digits}f} %</text>'
        f'<text class="start" x="{NAME + PLOT + 76}" y="{y + 4}">{ends(each.interval, digits)}</text>'
    )
