"""The page of a race: `race.json` -> `report.html`."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

from markupsafe import Markup

from headstart.comparison.race_file import Race, read_race
from headstart.comparison.race_findings import findings, headline
from headstart.comparison.race_results import Line, RaceResults
from headstart.comparison.wording import percent, plain_points
from headstart.files import write_atomically
from headstart.metrics.bootstrap import Interval
from headstart.report.page_formats import FORMATS, Formats
from headstart.report.race_plots import intervals
from headstart.report.run_page import rendered


class RacePage(Formats):
    """What `race.html.jinja` is rendered with."""

    path: str
    race: Race
    headline: str
    findings: list[str]
    rows: list[Row]
    figures: dict[str, Markup]
    images: str
    held_out: int
    margin: str
    rounds: str


class Row(TypedDict):
    """A row of the table of backbones."""

    line: Line
    network: str
    default: bool
    delta: Interval | None
    logme: float | None
    seconds: float
    result: str


def write_race_page(folder: Path, results: RaceResults | None = None) -> Path:
    """Write ``report.html`` into a race's folder, from nothing but its ``race.json``, and return its path."""
    known = results or RaceResults(read_race(folder / "race.json"))
    write_atomically(folder / "report.html", rendered("race.html.jinja", _context(known, str(folder))))
    return folder / "report.html"


def _context(results: RaceResults, path: str) -> RacePage:
    race = results.race
    return RacePage(
        path=path,
        race=race,
        headline=headline(results),
        findings=findings(results),
        rows=[_row(results, line) for line in results.lines()],
        figures={"backbones": Markup(intervals(results))} if results.rounds else {},
        images="test images" if race.split == "test" else "validation images",
        held_out=len(race.trials[0].correct) if race.trials else 0,
        margin=plain_points(race.margin),
        rounds=", ".join(percent(each) for each in race.fractions),
        **FORMATS,
    )


def _row(results: RaceResults, line: Line) -> Row:
    backbone, found = results.race.backbone(line.name), line.round
    best = found.ranking[0] if found is not None else ""
    seconds = backbone.seconds + sum(each.seconds for each in results.race.trials if each.backbone == line.name)
    return Row(
        line=line,
        network=backbone.network,
        default=backbone.default,
        delta=found.difference(line.name, best) if found is not None and line.name != best else None,
        logme=backbone.logme,
        seconds=seconds,
        result=results.outcome(line),
    )
