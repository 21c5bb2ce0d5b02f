"""Confusion matrices as SVG, whose numbers can be read in both color schemes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import escape
from numpy.typing import NDArray

Color = tuple[float, float, float]

LEVELS = 20
"""Shades of a cell."""
LIGHT: tuple[Color, Color] = ((255, 255, 255), (27, 90, 150))
DARK: tuple[Color, Color] = ((26, 32, 41), (109, 179, 242))
"""Colors of the shares 0 and 1 on light and on dark pages."""
MAX_CELLS_WITH_NUMBERS = 25
"""Classes beyond which numbers are shown under the pointer only."""
MAX_CLASSES = 100
"""Classes that a confusion matrix has at the most: its size grows with the square."""
LARGEST, SMALLEST, ACROSS = 38.0, 7.5, 820.0
"""Side of a cell, and of the whole matrix, in pixels."""
LONGEST = 26
"""Characters of a class's name beside the matrix."""


def most_confused(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices of the `MAX_CLASSES` most confused classes, in order; ``counts`` is (K, K)."""
    errors = counts.sum(axis=0) + counts.sum(axis=1) - 2 * counts.diagonal()
    return np.sort(np.argsort(-errors, kind="stable")[:MAX_CLASSES])


def matrix(
    share: NDArray[np.float64],
    names: Sequence[str],
    cells: Sequence[Sequence[str]],
    tips: Sequence[Sequence[str]],
    numbers: Sequence[int] = (),
) -> str:
    """A confusion matrix: rows true class, columns predicted class, shaded by ``share`` (K, K).

    ``cells`` (K, K) are written into it unless there are too many classes, ``tips`` (K, K) shown under the pointer.
    Cells with a share of 0 are empty. With ``numbers`` (K) of the classes, cells carry theirs as ``data-cell``.
    """
    count = len(names)
    side = min(LARGEST, max(SMALLEST, ACROSS / max(count, 1)))
    size = min(12.5, max(6.5, side * 0.95))
    short = [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}" for name in names]
    edge = 34 + 0.6 * size * max(len(name) for name in short)
    angle, below = (90, edge) if side < 22 else (40, 0.68 * edge)  # names of narrow columns would overlap
    width, height = edge + side * count + 0.72 * edge, side * count + 22 + below
    parts = [
        f'<svg class="chart matrix" viewBox="0 0 {width:.0f} {height:.0f}" role="img" style="max-width:{width:.0f}px;'
        f'--least:{min(0.85 * width, 480):.0f}px;font-size:{size:.1f}px"'
        f' aria-label="confusion matrix of {count} classes">'
        f"<style>{_shades()}</style>"
    ]
    middle = edge + side * count / 2
    parts.append(f'<text x="{middle:.1f}" y="{height - 4:.1f}">predicted class</text>')
    parts.append(f'<text transform="translate(13 {side * count / 2:.1f}) rotate(-90)">true class</text>')
    for i, name in enumerate(short):
        at = side * (i + 0.5)
        parts.append(f'<text class="end" x="{edge - 6:.1f}" y="{at + size / 3:.1f}">{escape(name)}</text>')
        turn = f"translate({edge + at - (size / 3 if angle == 90 else 0):.1f} {side * count + 12:.1f}) rotate({angle})"
        parts.append(f'<text class="start" transform="{turn}">{escape(name)}</text>')
    parts.append(f'<rect class="frame" x="{edge:.1f}" y="0.5" width="{side * count:.1f}" height="{side * count:.1f}"/>')
    numbered = count <= MAX_CELLS_WITH_NUMBERS
    for i, j in zip(*np.nonzero(share), strict=True):
        x, y = edge + side * j, side * i
        level = max(1, round(LEVELS * float(share[i, j])))
        text = (
            f'<text x="{x + side / 2:.1f}" y="{y + side / 2 + 4:.1f}">{escape(cells[i][j])}</text>' if numbered else ""
        )
        of = f' data-cell="{numbers[i]}-{numbers[j]}"' if numbers else ""
        parts.append(
            f'<g class="l{level}"{of} data-tip="{escape(tips[i][j])}">'
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{side - 0.6:.1f}" height="{side - 0.6:.1f}"/>{text}</g>'
        )
    return "".join([*parts, "</svg>"])


def _shades() -> str:
    """The style of each level: its shade, and black or white text, whichever has more contrast: 4.5 at least."""
    light = "".join(_rule(level, LIGHT) for level in range(1, LEVELS + 1))
    dark = "".join(_rule(level, DARK) for level in range(1, LEVELS + 1))
    return f"{light}@media screen and (prefers-color-scheme: dark) {{ {dark} }}"


def _rule(level: int, ends: tuple[Color, Color]) -> str:
    share = level / LEVELS
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(*ends, strict=True))
    ink = "#000" if _luminance((red, green, blue)) > 0.179 else "#fff"  # where both have the same contrast
    return f".l{level} rect{{fill:#{red:02x}{green:02x}{blue:02x}}}.l{level} text{{fill:{ink}}}"


def _luminance(color: Color) -> float:
    """Relative luminance (WCAG 2.2), 0 to 1."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
