"""Figures of a page as SVG files that stand alone: white, with their legend, in the colors of light pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from headstart.files import write_atomically

FOLDER = "figures"
"""Beside the page."""
STYLE = Path(__file__).parent / "templates" / "style.css"
OF_CHARTS = (".chart", ".line", ".band", ".mark", ".matrix")
KEY = re.compile(r'<button[^>]*class="key"[^>]*><svg[^>]*style="color:([^"]*)">(.*?)</svg>(.*?)</button>', re.DOTALL)
CHART = re.compile(r'<svg class="(chart[^"]*)" viewBox="0 0 ([\d.]+) ([\d.]+)"[^>]*>(.*?)</svg>', re.DOTALL)
NARROW = re.compile(r"\bnarrow\b")
"""Of charts that are drawn twice, for broad and for narrow screens."""
SAID = re.compile(r'aria-label="([^"]*)"')
SIZE = re.compile(r"font-size:[\d.]+px")
MARGIN, ROW, LETTER = 14, 22, 7.2
"""Pixels around the figure, of a row of the legend, and of a letter in it, on average."""


def write_figures(folder: Path, figures: Mapping[str, str]) -> None:
    """Write ``figures/NAME.svg`` into ``folder`` for each of ``figures``, as their pages show them."""
    for name, markup in figures.items():
        write_atomically(folder / FOLDER / f"{name}.svg", standalone(markup), flush=False)


def standalone(markup: str) -> bytes:
    """The charts of a figure beside each other, under the legend, as one SVG file."""
    charts = [
        (match[0], match[1], float(match[2]), float(match[3]), match[4])
        for match in CHART.finditer(markup)
        if not NARROW.search(match[1])
    ]
    width = sum(chart[2] for chart in charts)
    keys, x, y = [], 0.0, 0.0
    for color, mark, name in KEY.findall(markup):
        needed = 34 + LETTER * len(name) + 18
        if x and x + needed > width:
            x, y = 0.0, y + ROW
        keys.append(f'<g transform="translate({x:.0f} {y:.0f})" style="color:{color}">{mark}</g>')
        keys.append(f'<text class="start" x="{x + 34:.0f}" y="{y + 11:.0f}">{name}</text>')
        x += needed
    top = y + ROW + 6 if keys else 0.0
    parts, left = [], 0.0
    for whole, kind, wide, high, inside in charts:
        said, size = SAID.search(whole), SIZE.search(whole.partition(">")[0])
        title = f"<title>{said[1]}</title>" if said else ""
        style = f' style="{size[0]}"' if size else ""
        body = re.sub(
            r"@media screen and \(prefers-color-scheme: dark\) \{.*\}(?=</style>)", "", inside, flags=re.DOTALL
        )
        place = f'x="{left:g}" y="{top:g}" width="{wide:g}" height="{high:g}" viewBox="0 0 {wide:g} {high:g}"'
        parts.append(f'<svg class="{kind}" {place}{style}>{title}{body}</svg>')
        left += wide
    height = top + max((chart[3] for chart in charts), default=0.0)
    box = f"{-MARGIN} {-MARGIN} {width + 2 * MARGIN:g} {height + 2 * MARGIN:g}"
    text = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" width="{width + 2 * MARGIN:g}"'
        f' height="{height + 2 * MARGIN:g}"><style>{_rules()}</style>'
        f'<rect x="{-MARGIN}" y="{-MARGIN}" width="100%" height="100%" fill="#fff"/>'
        f'<g class="chart">{"".join(keys)}</g>{"".join(parts)}</svg>\n'
    )
    return _plain(text).encode("utf-8", "replace")


def _rules() -> str:
    """The rules of the style sheet that are of charts."""
    lines = STYLE.read_text(encoding="utf-8").splitlines()
    return "".join(line for line in lines if line.startswith(OF_CHARTS))


def _plain(text: str) -> str:
    """Without variables and mixtures of colors, which drawing programs do not know: the values of light pages."""
    lines = [line for line in STYLE.read_text(encoding="utf-8").splitlines() if line.startswith(":root")]
    values = dict(re.findall(r"--([\w-]+): ([^;]+);", "".join(lines)))
    text = text.replace("color-mix(in srgb, var(--soft) 22%, transparent)", "var(--soft); stroke-opacity: 0.22")
    text = re.sub(r"min-width: var\(--least, 0\); ", "", text)
    return re.sub(r"var\(--([\w-]+)\)", lambda match: values.get(match[1], "currentColor"), text)
