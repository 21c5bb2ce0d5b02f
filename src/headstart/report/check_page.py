"""The picture sheet of a checked dataset: images with what their labels or masks are taken to be, and every issue."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from PIL import Image

from headstart.data.checks.check import CheckResult
from headstart.data.checks.issues import Issue
from headstart.data.checks.next_steps import next_steps
from headstart.data.checks.samples import class_rows, describe, sample_rows
from headstart.data.decode import Unreadable, read
from headstart.data.index import UNLABELED, Index
from headstart.data.masks.codec import read_mask
from headstart.errors import HeadstartError
from headstart.files import require_place, write_atomically
from headstart.palette import Palette
from headstart.report.page import data_url, render_page

SIDE = 160
"""The longer side of a picture, in pixels."""
MAX_CLASSES, PER_CLASS = 12, 4
"""Classes with pictures, and pictures of each."""
MAX_PAIRS = 12
"""Images shown beside their masks, or without labels."""
MAX_FILES = 1000
"""Files named per issue; the rest is counted."""
MARK = b'<meta name="generator" content="headstart check">'
"""By this a page is known that may be replaced."""


@dataclass(frozen=True)
class Shown:
    """An image on the page."""

    filename: str
    split: str
    said: str
    """What its label or mask is taken to be."""
    picture: str
    """Data URL; empty for a file that cannot be read."""
    mask: str
    """Data URL of the mask in the colors of the legend; empty without one."""
    fault: str
    """Why there is no picture or no mask."""


class CheckPage(TypedDict):
    """What `check.html.jinja` is rendered with."""

    result: CheckResult
    facts: list[tuple[str, str]]
    issues: list[tuple[Issue, list[str], int]]
    """(issue, its files or sets of files, how many more there are)."""
    groups: list[tuple[str, int, list[Shown]]]
    """(class, its images, some of them)."""
    more_classes: int
    pairs: list[Shown]
    """Images with masks, or without labels."""
    steps: list[tuple[str, str]]
    """What to type next: (what for, command)."""
    legend: list[tuple[str, str, bool]]
    """(class, color, whether it is ignored)."""


def write_check_page(index: Index, result: CheckResult, file: Path) -> None:
    """Write the page of a dataset, one file that loads nothing: ``index`` and ``result`` are those of `check`.

    Raises HeadstartError where ``file`` exists and is another one's, and where it cannot be written.
    """
    require_page(file)
    write_atomically(file, render_page("check.html.jinja", _context(index, result), percent=_percent))


def require_page(file: Path) -> None:
    """Raise HeadstartError where ``file`` exists and is another one's, and where it cannot be written."""
    if file.exists() and not (file.is_file() and MARK in file.read_bytes()[:1000]):
        raise HeadstartError(
            f"--html {file}: expected a new file or a page of headstart check, found another",
            f"--html {file.with_name(f'{file.stem}-check.html')}",
        )
    require_place(file, "--html")


def _context(index: Index, result: CheckResult) -> CheckPage:
    labeled = not index.masks and UNLABELED not in index.labels
    pairs = [] if labeled else [_shown(index, row) for row in sample_rows(index, limit=MAX_PAIRS)]
    groups = [
        (name, index.labels.count(label), [_shown(index, row) for row in class_rows(index, label, PER_CLASS)])
        for label, name in enumerate(index.classes[:MAX_CLASSES] if labeled else ())
    ]
    return CheckPage(
        result=result,
        steps=next_steps(result, str(Path(result.root).absolute())),
        facts=_facts(result),
        issues=[_issue(issue) for issue in result.issues],
        groups=groups,
        more_classes=max(0, len(index.classes) - MAX_CLASSES) if labeled else 0,
        pairs=pairs,
        legend=_legend(index.palette) if index.palette is not None else [],
    )


def _facts(result: CheckResult) -> list[tuple[str, str]]:
    """(name, value) of what the dataset is taken to be."""
    split = {"given": "given", "made": "made by headstart", "none": "none"}[result.split]
    facts = [
        ("layout", result.layout),
        ("images", ", ".join(f"{number:,} {name}" for name, number in result.images.items())),
        ("split", split),
        ("classes", f"{len(result.classes):,}"),
    ]
    if result.sizes:
        (w0, w, w1), (h0, h, h1) = result.sizes["width"], result.sizes["height"]
        facts += [("median size", f"{w:g} × {h:g} pixels"), ("width", f"{w0} to {w1}"), ("height", f"{h0} to {h1}")]
    kinds = [*result.formats.items(), *result.modes.items()]
    return [*facts, ("format", ", ".join(f"{number:,} {name}" for name, number in kinds))]


def _issue(issue: Issue) -> tuple[Issue, list[str], int]:
    lines = [" = ".join(files) for files in issue.sets] or list(issue.files)
    return issue, lines[:MAX_FILES], max(0, len(lines) - MAX_FILES)


def _legend(palette: Palette) -> list[tuple[str, str, bool]]:
    shown = len(palette.classes)
    return [
        (name, "#{:02x}{:02x}{:02x}".format(*color), place >= shown)
        for place, (name, color) in enumerate(zip(palette.names, palette.colors, strict=True))
    ]


def _shown(index: Index, row: int) -> Shown:
    """A row of the index, with small copies of its image and its mask."""
    faults: list[str] = []

    def url(make: Callable[[], str]) -> str:
        try:
            return make()
        except Unreadable as error:
            faults.append(str(error))
            return ""

    palette, mask = index.palette, index.masks[row] if index.masks else ""
    return Shown(
        filename=index.paths[row],
        split=index.splits[row],
        said=describe(index, row),
        picture=url(lambda: _picture(index.root / index.paths[row])),
        mask=url(lambda: _colored(index.root / mask, palette)) if mask and palette is not None else "",
        fault="; ".join(faults),
    )


def _picture(file: Path) -> str:
    image = read(file, enough_for=SIDE).rgb
    image.thumbnail((SIDE, SIDE))
    return data_url("jpeg", _encoded(image, "JPEG"))


def _colored(file: Path, palette: Palette) -> str:
    mask = Image.fromarray(palette.colorize(read_mask(file, palette)))
    mask.thumbnail((SIDE, SIDE), Image.Resampling.NEAREST)
    return data_url("png", _encoded(mask, "PNG"))


def _encoded(image: Image.Image, kind: str) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, quality=82)
    return content.getvalue()


def _percent(share: float) -> str:
    return f"{share:.2%}"
