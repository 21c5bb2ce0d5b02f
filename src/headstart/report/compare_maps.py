"""Linked maps of compared runs: the same images in each, so that one under the pointer is marked in all."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from headstart.comparison.run_comparison import RunComparison
from headstart.report.embedding_view import MIN_POINTS, linked_view, sample
from headstart.report.map_data import MapSource
from headstart.report.page import relative_link
from headstart.report.plots import as_script
from headstart.runs.analysis import read_feature_analysis

MAX_MAPS = 4
"""Runs with a map on a page at the most, the first ones."""


@dataclass(frozen=True)
class LinkedMaps:
    """Maps of several runs on one page."""

    ids: list[tuple[str, str]]
    """The id of each map on the page, and its title; empty where there are none."""
    view: Markup
    """`EmbeddingView` as JSON."""
    note: str
    """What is not drawn, and why; may be empty."""


def linked_maps(comparison: RunComparison, folder: Path) -> LinkedMaps:
    """Maps of the first run of each entry, of the images that all of them have a place for and were validated on.

    ``folder`` is that of the page.
    """
    sources: list[MapSource] = []
    notes: list[str] = []
    names = sorted(comparison.shared.filenames)
    for entry in comparison.entries:
        run = entry.runs[0]
        analysis, rows = read_feature_analysis(run) or (None, [])
        mapped = {row["row"] for row in rows}
        places = {
            image["filename"]: row
            for row, image in enumerate(run.feature_images)
            if image["split"] == "val" and row in mapped
        }
        here = [name for name in names if name in places]
        if analysis is None or len(here) < MIN_POINTS:
            notes.append(
                f"{entry.name}: a map needs {MIN_POINTS} shared images, found {len(here)} with stored features."
            )
        elif len(sources) == MAX_MAPS:
            notes.append(f"{entry.name}: only the first {MAX_MAPS} are drawn.")
        else:
            names = here
            sources.append(MapSource(entry.name, run, analysis, rows, []))
    if len(sources) < 2:
        return LinkedMaps([], Markup(), " ".join(notes))
    chosen = [names[i] for i in sample(list(range(len(names))))]
    drawn = []
    for each in sources:
        place = {image["filename"]: row for row, image in enumerate(each.run.feature_images) if image["split"] == "val"}
        drawn.append(MapSource(each.name, each.run, each.analysis, each.rows, [place[name] for name in chosen]))
    view = linked_view(drawn, len(names), f"{relative_link(drawn[0].run.path, folder)}/")
    ids = [(f"map-{i}", each.name) for i, each in enumerate(drawn)]
    return LinkedMaps(ids, Markup(as_script(json.dumps(view, separators=(",", ":")))), " ".join(notes))
