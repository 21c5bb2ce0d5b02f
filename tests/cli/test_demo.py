"""The demonstration: commands that a user could type, carried out as they are shown."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import headstart as hs
from headstart.cli import demo
from headstart.cli.main import main
from headstart.comparison.study import Study, read_study
from headstart.console import study_progress
from headstart.studies.plan import Plan

pytestmark = pytest.mark.slow

SMALL = ["train.epochs=1", "data.image_size=32", "augment.sizes=[]", "train.batch_size=12", "backbone.name=test_resnet"]


@pytest.fixture
def solar_cells(photos: Path, tmp_path: Path) -> Path:
    """Sixty photographs where the demonstration keeps its solar cells."""
    for number, file in enumerate(sorted(photos.rglob("*.jpg"))):
        folder = tmp_path / "demo" / "solar-cells" / ("train" if number % 3 else "val") / file.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder / f"cell{number:04}.png")
    return tmp_path / "demo" / "solar-cells"


def headstart(*words: str) -> int | str | None:
    """The exit status of a command, in this process."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as left:
        patch.setattr(sys, "argv", ["headstart", *words])
        patch.setenv("COLUMNS", "200")
        main()
    return left.value.code


@pytest.mark.slow
def test_it_checks_studies_and_predicts_with_the_commands_that_it_shows(
    solar_cells: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--settings", "AG", "--labels", "1", "--seeds", "1", "--no-tune"]
    monkeypatch.chdir(solar_cells.parents[1])
    monkeypatch.setattr(demo, "STUDY", [*small, *SMALL])
    assert headstart("demo") == 0
    shown = capsys.readouterr()
    commands = [shlex.split(line)[2:] for line in shown.out.splitlines() if line.startswith("$ headstart ")]
    assert [words[0] for words in commands] == ["check", "study", "predict"]
    assert "from scratch" in shown.out
    assert str(solar_cells.parent / "study" / "report.html") in shown.out
    rows = [line for line in shown.out.splitlines() if re.match(r"\S+/cell00\d\d\.png,", line)]
    assert len(rows) == len(list((solar_cells / "val").glob("*/cell00[0-3]*.png")))
    file = Path("demo/study/study.json")
    before = read_study(file)
    assert before.done == 2
    assert headstart(*commands[1]) == 0, "typed in, a command goes on with what the demonstration did"
    assert read_study(file).to_json() == before.to_json()
    assert headstart("demo") == 0
    again = capsys.readouterr().out
    assert read_study(file).to_json() == before.to_json()
    assert [line for line in again.splitlines() if re.match(r"\S+/cell00\d\d\.png,", line)] == rows


def test_its_study_is_of_settings_a_to_e_at_two_label_fractions_with_three_seeds(
    solar_cells: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[Plan] = []

    def planned(plan: Plan, *_: object, **__: object) -> Study:
        plans.append(plan)
        raise hs.HeadstartError("that will do", "")

    monkeypatch.setattr(study_progress, "run_study_with_progress", planned)
    assert headstart("demo", "--out", str(solar_cells.parent)) == 2
    (plan,) = plans
    assert (plan.settings, plan.fractions, plan.seeds, plan.tuned) == ("ABCDE", (0.1, 1.0), (0, 1, 2), True)
    assert plan.pretrain("self-supervised")[1] == plan.data, "the unlabeled images are its own"
    assert plan.recipe.backbone.weights == "imagenet-lite"
    assert plan.recipe.augment.rotate == 0


def test_the_solar_cells_are_split_as_in_the_paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if find_spec("elpv_dataset") is None:
        pytest.skip("elpv-dataset is not installed: pip install 'headstart[demo]'")
    cells = demo.solar_cells(tmp_path / "solar-cells")
    counts = {split: len(list((cells / split).rglob("*.png"))) for split in ("train", "val")}
    assert counts == {"train": 1968, "val": 656}
    monkeypatch.setattr(demo, "find_spec", lambda _: None)
    assert demo.solar_cells(cells) == cells
    with pytest.raises(hs.HeadstartError, match="expected the package elpv-dataset"):
        demo.solar_cells(tmp_path / "others")
