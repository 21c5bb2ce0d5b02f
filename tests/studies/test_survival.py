"""A study survives what happens to its files: broken and foreign runs, an edited study.json, another place."""

from __future__ import annotations

import copy
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import headstart as hs
from headstart.comparison.answer import headline
from headstart.comparison.findings import findings
from headstart.comparison.study import BrokenStudyError, Study, read_study
from headstart.comparison.summary import Results
from headstart.comparison.table import table_rows
from headstart.recipes import recipe as recipes
from headstart.studies.plan import Plan
from headstart.studies.runner import StudyRunner

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def done(
    small: Callable[..., recipes.Recipe], trained: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Plan:
    """A finished study of settings A (its learning rate tuned) and G; to copy."""
    folder = tmp_path_factory.mktemp("survival")
    plan = Plan(
        data=str(shutil.copytree(trained[1], folder / "photos")),
        out=folder / "study",
        recipe=small(backbone__weights="none", train__epochs=1, augment__sizes=[]),
        pretraining=recipes.load("byol-quick"),
        settings="AG",
        fractions=(1.0,),
        seeds=(0,),
    )
    assert finish(plan)[0].done == 2
    return plan


@pytest.fixture
def plan(done: Plan, tmp_path: Path) -> Plan:
    """A copy of it."""
    return replace(done, out=Path(shutil.copytree(done.out, tmp_path / "study")))


def finish(plan: Plan) -> tuple[Study, list[str]]:
    """The study, carried out, and what was said."""
    runner, said = StudyRunner(plan), list[str]()
    runner.on_note = said.append
    for _ in runner.run():
        pass
    return runner.study, said


def figures(study: Study) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in trial.items() if "seconds" not in name}
        for trial in json.loads(study.to_json())["trials"]
    ]


def forget(plan: Plan, *settings: str) -> None:
    """Take trials out of study.json, as if it had been killed before they were recorded."""
    study = read_study(plan.out / "study.json")
    kept = tuple(trial for trial in study.trials if trial.setting not in settings)
    (plan.out / "study.json").write_text(study.model_copy(update={"trials": kept}).to_json(), encoding="utf-8")


def _emptied(run: Path) -> None:
    for file in run.rglob("*"):
        if file.is_file():
            file.write_bytes(b"")


def _foreign(run: Path) -> None:
    file = run / "recipe.toml"
    file.write_text(re.sub(r"(?m)^lr = .*$", "lr = 0.5", file.read_text(encoding="utf-8")), encoding="utf-8")


def _a_file(run: Path) -> None:
    shutil.rmtree(run)
    run.write_bytes(b"no folder")


def _cut_weights(run: Path) -> None:
    file = run / "weights" / "best.safetensors"
    file.write_bytes(file.read_bytes()[:1000])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no predictions": lambda run: (run / "predictions.csv").unlink(),
    "no recipe": lambda run: (run / "recipe.toml").unlink(),
    "emptied": _emptied,
    "of another recipe": _foreign,
    "a file": _a_file,
    "cut weights": _cut_weights,
    "metrics of nothing": lambda run: (run / "metrics.csv").write_bytes(b"\xff\x00,"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_broken_run_is_set_aside_and_trained_again_with_the_same_figures(damage: str, plan: Plan) -> None:
    before = figures(read_study(plan.out / "study.json"))
    forget(plan, "A")
    run = plan.out / ("tuning/A-lr0.001" if damage in ("no recipe", "cut weights") else "trials/A-1-seed0")
    DAMAGES[damage](run)
    study, said = finish(plan)
    assert figures(study) == before
    assert run.with_name(f"{run.name}.broken-1").exists()
    assert [f"{run.name}.broken-1" in line for line in said] == [True], said
    assert "\n" not in said[0]


def test_a_run_of_a_recorded_trial_that_is_gone_is_trained_again(plan: Plan) -> None:
    before = figures(read_study(plan.out / "study.json"))
    run = plan.out / "trials" / "G-1-seed0"
    shutil.rmtree(run)
    study, said = finish(plan)
    assert figures(study) == before
    assert hs.Run(run).finished
    assert said == [f"{run} is trained again: there is no such folder"]


def test_a_moved_study_goes_on_without_training_anything_twice(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moved with its images, and called by relative names from there."""
    moved = tmp_path / "elsewhere"
    shutil.copytree(plan.data, moved / "photos")
    forget(plan, "A")
    plan.out.rename(moved / "study")
    run = moved / "study" / "trials" / "A-1-seed0"
    written = {file: file.stat().st_mtime_ns for file in run.rglob("*.safetensors")}
    monkeypatch.chdir(moved)
    study, said = finish(replace(plan, data="photos", out=Path("study")))
    assert (study.done, study.data, said) == (2, "photos", [])
    assert written == {file: file.stat().st_mtime_ns for file in run.rglob("*.safetensors")}


def test_a_damaged_or_edited_study_file_is_made_again_from_the_runs(plan: Plan) -> None:
    file = plan.out / "study.json"
    content, before = file.read_bytes(), figures(read_study(file))
    edited = content.replace(b'"correct": "0', b'"correct": "1').replace(b'"correct": "1', b'"correct": "0', 1)
    for number, damaged in enumerate((content[:-50], b"", b"[1, 2]", edited), start=1):
        file.write_bytes(damaged)
        study, said = finish(plan)
        assert figures(study) == before
        assert len(said) == 1
        assert f"{file} is made again from the runs" in said[0]
        assert (plan.out / f"study.json.broken-{number}").read_bytes() == damaged
    file.unlink()
    assert figures(finish(plan)[0]) == before


def _variants(value: Any) -> list[Any]:
    kinds: tuple[Any, ...] = (None, 7, -1.5, "text", [], {}, [[]], True)
    return [each for each in kinds if type(each) is not type(value)]


def _edits(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    """(where, value of another type) for every value in a JSON document; None and 'missing' included."""
    edits = [(path, each) for each in _variants(content)] if path else []
    inside = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in list(inside)[:40]:
        edits += _edits(value, (*path, key))
    return edits


def test_no_edit_of_a_study_file_ends_in_a_traceback(done: Plan, tmp_path: Path) -> None:
    """Without its checksum, as an older headstart wrote it: refused in a line, or read and shown."""
    content = json.loads((done.out / "study.json").read_text(encoding="utf-8"))
    content.pop("checksum")
    edits, refused, file = _edits(content), 0, tmp_path / "study.json"
    assert len(edits) > 300
    for where, value in edits:
        changed = copy.deepcopy(content)
        inside = changed
        for key in where[:-1]:
            inside = inside[key]
        inside[where[-1]] = value
        file.write_text(json.dumps(changed), encoding="utf-8")
        try:
            results = Results(read_study(file), resamples=20)
        except hs.HeadstartError as error:
            assert "\n" not in str(error)
            refused += 1
            continue
        table_rows(results)
        headline(results)
        findings(results)
    assert refused > 200


def test_a_changed_study_file_is_refused_by_its_checksum(plan: Plan) -> None:
    file = plan.out / "study.json"
    changed = json.loads(file.read_text(encoding="utf-8"))
    changed["trials"][0]["knn"] = 0.999
    file.write_text(json.dumps(changed), encoding="utf-8")
    with pytest.raises(BrokenStudyError, match="found it changed since"):
        read_study(file)
