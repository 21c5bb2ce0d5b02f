"""The page of a comparison of runs: run folders -> `comparison.html`, one self-contained file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from markupsafe import Markup

from headstart.comparison.intervals import Difference
from headstart.comparison.recipe_differences import recipe_differences
from headstart.comparison.run_comparison import FEWEST, ClassDifference, RunComparison
from headstart.comparison.run_entries import Entry
from headstart.comparison.run_verdict import how_sure, verdict, warnings
from headstart.errors import HeadstartError
from headstart.files import require_place, write_atomically
from headstart.metrics.bootstrap import Interval
from headstart.report.compare_images import changed_images
from headstart.report.compare_maps import linked_maps
from headstart.report.compare_plots import color_of, overlaid_curves, score_plot
from headstart.report.mask_plots import hexadecimal
from headstart.report.page import relative_link
from headstart.report.page_formats import FORMATS
from headstart.report.run_page import rendered
from headstart.runs.commands import predict_command
from headstart.runs.tables import best_epoch

NAME = "comparison.html"


@dataclass(frozen=True)
class RunRow:
    """A row of the table of time and size: means over an entry's runs; None where unknown."""

    name: str
    color: str
    interval: Interval
    seeds: int
    validated: int
    epochs: int
    best: int | None
    """Epoch of the weights, from 1, of the first run."""
    seconds: float
    speed: float
    """Training images per second."""
    parameters: int | None
    trained: int | None
    megabytes: float
    """Of the best weights."""
    link: str
    """Its report, where there is one; else empty."""


def page_marks(entries: Sequence[Entry]) -> str:
    """What the page of these runs is known by: a digest of where they are."""
    places = [os.path.realpath(run.path) for entry in entries for run in entry.runs]
    return blake2b("\n".join(places).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def require_writable(file: Path, entries: Sequence[Entry], overwrite: bool) -> None:
    """Raise HeadstartError where ``file`` holds anything but an earlier page of these runs, unless ``overwrite``."""
    if file.is_dir():
        raise HeadstartError(f"{file}: expected a file to write, found a folder", f"--output {file / NAME}")
    require_place(file, "--output")
    if overwrite or not os.path.lexists(file) or _is_page_of(file, entries):
        return
    raise HeadstartError(
        f"{file}: expected a free name or the page of these runs, found another file",
        f"--output with another name, or --force to replace {file.name}",
    )


def free_page(folder: Path, entries: Sequence[Entry]) -> Path:
    """``comparison.html`` in ``folder``, or -2, -3, ...: the first that is free or the page of these runs."""
    number = 1
    while True:
        file = folder / (NAME if number == 1 else f"comparison-{number}.html")
        if not os.path.lexists(file) or (file.is_file() and _is_page_of(file, entries)):
            return file
        number += 1


def _is_page_of(file: Path, entries: Sequence[Entry]) -> bool:
    try:
        with file.open("rb") as content:
            return f'name="headstart-compare" content="{page_marks(entries)}"'.encode() in content.read(2000)
    except OSError:
        return False


def write_comparison(comparison: RunComparison, file: Path) -> Path:
    """Write the page of ``comparison`` to ``file``, replacing what is there, and return its path."""
    write_atomically(file, rendered("compare.html.jinja", _context(comparison, file)))
    return file


def _context(comparison: RunComparison, file: Path) -> dict[str, Any]:
    shared, entries = comparison.shared, comparison.entries
    model = comparison.candidates[0]
    rows = [_run_row(comparison, number, file) for number in range(len(entries))]
    pairs = [(one, two, comparison.difference(two, one)) for two, one in comparison.pairs]
    classes = [(two, comparison.class_differences(0, two)) for two in range(1, len(entries))]
    return {
        "marks": page_marks(entries),
        "names": [each.name for each in entries],
        "colors": [color_of(comparison, number) for number in range(len(entries))],
        "metric": shared.metric,
        "fewest": FEWEST,
        "of_classes": "recall" if shared.labels is not None else "IoU",
        "masks": shared.palette is not None,
        "images": len(shared.filenames),
        "headline": verdict(comparison),
        "warnings": warnings(comparison),
        "how_sure": how_sure(comparison),
        "tied": len(comparison.candidates),
        "command": predict_command(entries[model].runs[0].path.absolute(), shared.palette is not None),
        "model": entries[model].name,
        "rows": rows,
        "pairs": pairs,
        "classes": [(two, _sorted(found)) for two, found in classes],
        "recipe": recipe_differences(entries),
        "changed": changed_images(comparison),
        "maps": linked_maps(comparison, file.absolute().parent),
        "legend": [
            (name, hexadecimal(color)) for name, color in zip(shared.palette.names, shared.palette.colors, strict=True)
        ]
        if shared.palette
        else [],
        "paths": [[str(run.path) for run in each.runs] for each in entries],
        "figures": {
            "intervals": Markup(score_plot(comparison)),
            "curves": Markup(overlaid_curves(comparison)),
        },
        "says": _says,
        **FORMATS,
    }


def _says(gap: Difference | None) -> str:
    """Whether a difference is significant, in a word for a table."""
    return "" if gap is None else "significant" if gap.significant else "n.s."


def _sorted(found: list[ClassDifference]) -> list[ClassDifference]:
    """The largest gain first."""
    return sorted(found, key=lambda each: each.one - each.two)


def _run_row(comparison: RunComparison, number: int, file: Path) -> RunRow:
    entry, judged = comparison.entries[number], comparison.shared.judged[number]
    metrics = [run.metrics for run in entry.runs]
    first, network = entry.runs[0], entry.runs[0].architecture
    speeds = [row.get("images_per_second", 0.0) for rows in metrics for row in rows if row["split"] == "train"]
    best = best_epoch(metrics[0], first.recipe.checkpoint.monitor)
    report = first.path / "report.html"
    return RunRow(
        name=entry.name,
        color=color_of(comparison, number),
        interval=comparison.scores[number],
        seeds=len(entry.runs),
        validated=judged.validated,
        epochs=1 + max((row["epoch"] for row in metrics[0]), default=-1),
        best=None if best is None else best + 1,
        seconds=sum(row.get("seconds", 0.0) for rows in metrics for row in rows) / len(metrics),
        speed=float(sorted(speeds)[len(speeds) // 2]) if speeds else 0.0,
        parameters=network["parameters"] if network else None,
        trained=network["trained"] if network else None,
        megabytes=first.best.stat().st_size / 1e6,
        link=relative_link(report, file.absolute().parent) if report.is_file() else "",
    )
