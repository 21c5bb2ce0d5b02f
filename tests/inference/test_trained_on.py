"""Training says how many images it did without because others are judged by them."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

import headstart as hs
from headstart.cli.main import main
from headstart.comparison.study import read_study
from headstart.data.splits import training_index
from headstart.recipes import recipe as recipes
from headstart.runs.folder import RunFolder

Small = Callable[..., recipes.Recipe]


@pytest.fixture
def pool(photos: Path, tmp_path: Path) -> Path:
    """A flat folder of 52 images, which holds copies of four that the photographs' models are judged by."""
    index = training_index(str(photos), recipes.Data())
    chosen = index.positions("val")[:4] + index.positions("train")
    folder = tmp_path / "pool"
    folder.mkdir()
    for number, row in enumerate(chosen):
        shutil.copy(photos / index.paths[row], folder / f"{number:02}.jpg")
    return folder


@pytest.mark.slow
def test_a_study_tells_in_its_table_page_and_terminal(
    photos: Path,
    pool: Path,
    tmp_path: Path,
    small: Small,
    unlabeled: Small,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe, pretraining, out = tmp_path / "mine.toml", tmp_path / "byol.toml", tmp_path / "study"
    recipe.write_text(small(augment__sizes=[]).to_toml(), encoding="utf-8")
    pretraining.write_text(unlabeled(train__epochs=1).to_toml(), encoding="utf-8")
    words = ["study", str(photos), "--unlabeled", str(pool), "--settings", "E", "--labels", "1", "--seeds", "1"]
    words += ["--recipe", str(recipe), "--pretraining", str(pretraining), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["headstart", *words])
    monkeypatch.setenv("COLUMNS", "300")
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 0
    facts = RunFolder.open(out / "pretrained" / "self-supervised").data
    known = sum(not file.name.startswith(".") for file in pool.iterdir()) - facts["images"]["val"]
    assert facts["images_trained_on"] + facts["left_out"] == known
    assert 0 < facts["left_out"] <= 4  # those that the pool's own validation split does not hold
    (noted,) = read_study(out / "study.json").excluded
    assert noted.model_dump() == {"folder": str(pool), "images": facts["left_out"], "of": known}
    said = f"Excluded from pre-training: {facts['left_out']} of {known} training images of {pool}"
    assert "".join(said.split()) in "".join(capsys.readouterr().out.split())  # whatever the width
    assert said in (out / "report.html").read_text(encoding="utf-8")
    with pytest.raises(SystemExit):
        main()  # nothing is left to do: what was left out is known all the same
    assert "".join(said.split()) in "".join(capsys.readouterr().out.split())  # whatever the width


@pytest.mark.slow
def test_a_fit_tells_too(photos: Path, pool: Path, tmp_path: Path, unlabeled: Small) -> None:
    said = io.StringIO()
    recipe = unlabeled(train__epochs=1, data__exclude_overlap_with=str(photos))
    run = hs.fit(recipe, pool, out=tmp_path / "run", console=Console(file=said))
    facts = json.loads((run.path / "data.json").read_text(encoding="utf-8"))
    of = facts["images_trained_on"] + facts["left_out"]
    dropped = f"{facts['left_out']} of {of} training images dropped as (near-)duplicates of held-out images of {photos}"
    assert dropped in said.getvalue()
