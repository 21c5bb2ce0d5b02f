"""The page, table and sentences of a race say what `race.json` holds, in every state of the race."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from rich.console import Console

from headstart.comparison.race_file import Backbone, read_race
from headstart.comparison.race_findings import findings, headline
from headstart.comparison.race_results import RaceResults, table_rows
from headstart.comparison.study import BrokenStudyError
from headstart.console.race_table import race_table
from headstart.files import table
from headstart.report.race_page import write_race_page
from made_race import make_race
from pages import assert_loads_nothing, visible

HOSTILE = "<script>alert('x')</script>\"&é"


def test_a_default_that_loses_is_said_with_the_interval() -> None:
    results = make_race({"old": 0.6, "new": 0.85, "bad": 0.3}, {"old": 0.65, "new": 0.9})
    assert results.rounds[0].dropped == ("old", "bad")
    assert results.last_two == ("new", "old")
    assert results.winner == "new"
    assert headline(results).startswith("new is best: it reaches, fine-tuned, ")
    assert results.final is not None
    gap = results.final.difference("new", "old")
    first = findings(results)[0]
    assert first.startswith(
        f"new is significantly better than your recipe's default old: by {100 * gap.value:.0f} points"
    )
    assert f"(95 % CI {100 * gap.low:.0f} to {100 * gap.high:.0f})" in first
    assert any(
        "Dropped, with frozen features and 25 % of the labels" in each and "bad by" in each
        for each in findings(results)
    )
    assert any("Kendall's tau of 1.00" in each and "its first, new, is the best" in each for each in findings(results))


def test_backbones_alike_do_not_differ_significantly() -> None:
    results = make_race({"one": 0.7, "two": 0.71}, {"one": 0.75, "two": 0.75}, images=100)
    assert "does not differ significantly from" in headline(results)
    assert not any("significantly better" in each for each in findings(results))
    assert any("would have been found with a power of 80 %" in each for each in findings(results))


def test_fine_tuned_networks_below_frozen_ones_name_no_winner() -> None:
    results = make_race({"one": 0.8, "two": 0.6}, {"one": 0.3, "two": 0.5})
    assert results.winner == "one"
    assert "with frozen features" in headline(results)
    assert any("stay below the frozen features" in each for each in findings(results))


@pytest.mark.parametrize("tuned", [None, {"one": 0.75, HOSTILE: 0.7}])
def test_page_table_and_terminal_have_every_backbone(tuned: dict[str, float] | None, tmp_path: Path) -> None:
    broken = Backbone(name="gone.pth", network="", weights="", error="gone.pth: expected <weights>, found none")
    before = make_race({"one": 0.7, HOSTILE: 0.68, "bad": 0.2}, tuned)
    results = RaceResults(before.race.model_copy(update={"backbones": (*before.race.backbones, broken)}))
    (tmp_path / "race.json").write_text(results.race.to_json(), encoding="utf-8")
    page = write_race_page(tmp_path).read_text(encoding="utf-8")
    assert_loads_nothing(page)
    assert "<script>alert" not in page
    seen = visible(page)
    for name in ("one", HOSTILE, "bad", "gone.pth: expected <weights>, found none"):
        assert name in seen
    for line in results.lines():
        if line.round is not None:
            assert f"{100 * line.round.score(line.name).value:.1f}" in seen
    rows = list(csv.DictReader(io.StringIO(table(table_rows(results)).decode())))
    assert len(rows) == 3 + 2 + (2 if tuned else 0) + 1
    assert rows[-1]["error"].startswith("gone.pth: expected")
    assert {row["backbone"] for row in rows if row["dropped"] == "True"} == {"bad"}
    console = Console(width=80, file=io.StringIO(), force_terminal=False)
    with console.capture() as capture:
        console.print(race_table(results))
    text = capture.get()
    assert "dropped" in text
    assert "failed" in text
    assert "best" in text


def test_a_race_without_results_has_a_page() -> None:
    empty = make_race({"one": 0.5}, trials=(), finished=False)
    assert headline(empty) == "No backbone has a result yet."
    assert findings(empty) == []
    assert table_rows(empty) == []


def test_an_edited_race_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "race.json"
    file.write_text(make_race({"one": 0.5, "two": 0.6}).race.to_json().replace('"seed": 1', '"seed": 7', 1))
    with pytest.raises(BrokenStudyError, match="found it changed since"):
        read_race(file)
    for content, said in (("[]", "no JSON object"), ("{", "no JSON object"), ('{"format": 1}', "Field required")):
        file.write_text(content)
        with pytest.raises(BrokenStudyError, match=said):
            read_race(file)
