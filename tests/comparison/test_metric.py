"""A study of masks speaks of mean IoU wherever one of classes speaks of accuracy."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from headstart.comparison.answer import headline
from headstart.comparison.findings import findings, of_ranking
from headstart.comparison.intervals import average
from headstart.comparison.study import Study
from headstart.comparison.summary import Results
from headstart.comparison.table import table_rows
from headstart.console.tables import study_table
from headstart.report.study_page import study_page
from headstart.report.study_plots import over_labels, over_time
from pages import visible

MadeStudy = Callable[..., Study]


@pytest.fixture
def results(made_study: MadeStudy) -> Results:
    return Results(made_study(masks=True, right={"G": 0.12}))


def test_the_figures_are_those_of_the_pseudo_values(results: Results) -> None:
    line = results.get("B", 0.25)
    assert line is not None
    scores = np.array([trial.scores for trial in results.study.at("B", 0.25)])
    assert line.score == average(scores)
    assert line.label_multiplier is not None


def test_columns_have_its_name_and_none_are_of_answers(results: Results) -> None:
    rows = table_rows(results)
    assert {"miou", "miou_low", "miou_high", "delta_vs_a"} < rows[0].keys()
    assert not {"accuracy", "ece", "knn", "optimism"} & rows[0].keys()
    console = Console(width=110)
    with console.capture() as captured:
        console.print(study_table(results))
    first, second = captured.get().splitlines()[:2]
    assert first.split() == ["Δ", "vs", "A", "label", "multiplier"]
    assert second.split()[:4] == ["setting", "labels", "mean", "IoU"]
    assert "knn" not in captured.get()


def test_sentences_figures_and_page_say_mean_iou(results: Results) -> None:
    page = study_page(results, "runs/study").decode()
    text = visible(page)
    said = [headline(results), *findings(results), over_labels(results), over_time(results, 1.0), text]
    for each in said:
        assert not re.search(r"accura|are right|\bhead\b|ECE|kNN|answering", each), each
    assert "mean IoU" in said[0]
    assert "G (the floor) reaches" in " ".join(said)
    assert "the majority-class baseline 20.0 %" in " ".join(said)
    assert "Mean IoU over labels" in text
    assert "decoder only" in text


def test_equals_are_within_the_margin(made_study: MadeStudy) -> None:
    study = made_study("AB", masks=True, fractions=(1.0,), seeds=(0,))
    a, b = study.trials
    same = study.model_copy(update={"trials": (a, b.model_copy(update={"scores": a.scores}))})
    (said,) = of_ranking(Results(same))
    assert "A and B are within 2 points of each other (95 % CI" in said


def test_the_page_has_as_many_columns_in_every_row(made_study: MadeStudy, tmp_path: Path) -> None:
    for masks in (False, True):
        page = study_page(Results(made_study(masks=masks, skip=lambda s, *_: s == "E")), "runs/study").decode()
        table = re.findall(r'<table id="trials".*?</table>', page, flags=re.DOTALL)[0]
        counts = {len(re.findall(r"<t[dh][ >]", row)) for row in re.findall(r"<tr.*?</tr>", table, flags=re.DOTALL)}
        assert counts == {10 if masks else 12}
