"""Validation images that the weights were trained on are no new images: fit, its page and a study say how many."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

import headstart as hs
from headstart.comparison.findings import findings
from headstart.comparison.summary import Results
from headstart.comparison.warnings import warnings
from headstart.console.study_progress import run_study_with_progress
from headstart.recipes.recipe import Recipe
from headstart.runs.folder import RunFolder
from headstart.studies.request import make_plan


def held_out(run: Path) -> set[str]:
    return set(json.loads((run / "held_out.json").read_text()))


@pytest.mark.slow
def test_images_that_the_weights_have_seen_are_counted(
    photos: Path, tmp_path: Path, small: Callable[..., Recipe], capsys: pytest.CaptureFixture[str]
) -> None:
    before = hs.fit(small(data__val_fraction=0.1), photos, out=tmp_path / "before").path
    recipe = small(data__val_fraction=0.4, backbone__weights=str(before), augment__sizes=[])
    capsys.readouterr()
    after = hs.fit(recipe, photos, out=tmp_path / "after").path
    seen = len(held_out(after) - held_out(before))
    assert seen > 5, "most of a larger part were trained on before"
    text = f"{seen} of {len(held_out(after))} validation images"
    assert RunFolder.open(after).data["val_seen_by_weights"] == seen
    assert text in (after / "report.html").read_text(encoding="utf-8")
    assert text in (after / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "val_seen_by_weights" not in RunFolder.open(before).data

    plan = make_plan(photos, recipe=recipe, settings="DG", labels=[1.0], seeds=1, out=tmp_path / "study")
    study = run_study_with_progress(plan, console=Console(file=io.StringIO()))
    assert (study.given_weights, study.seen_by_weights) == (str(before), seen)
    assert any(text in each for each in warnings(Results(study)))
    nobody_knows = study.model_copy(update={"given_weights": "imagenet", "seen_by_weights": None})
    assert warnings(Results(nobody_knows)) == [each for each in warnings(Results(study)) if text not in each]
    assert any("D starts from the weights imagenet" in each for each in findings(Results(nobody_knows)))
