"""A study survives its file, and a broken file is said to be one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from headstart.comparison.settings import SETTINGS
from headstart.comparison.study import Study, Trial, read_study
from headstart.errors import HeadstartError
from narrow import given

MadeStudy = Callable[..., Study]


def test_the_settings_are_the_design_s() -> None:
    assert list(SETTINGS) == list("ABCDEFG")
    assert [each.letter for each in SETTINGS.values() if each.frozen] == ["D", "E", "G"]
    assert [each.letter for each in SETTINGS.values() if each.pretraining == "none"] == ["A", "G"]


def test_a_study_survives_its_file(made_study: MadeStudy, tmp_path: Path) -> None:
    study = made_study(fail=lambda *place: place == ("E", 0.25, 1), environment={"device": "cpu"})
    (tmp_path / "study.json").write_text(study.to_json())
    again = read_study(tmp_path / "study.json")
    assert again.to_json() == study.to_json()
    for one, two in zip(study.trials, again.trials, strict=True):
        assert (one.correct is None) == (two.correct is None)
        assert one.correct is None or (two.correct is not None and np.array_equal(one.correct, two.correct))
    assert (again.planned, again.done, len(again.failed), again.images) == (63, 62, 1, 400)


def test_pseudo_values_survive_the_file_to_the_last_digit(made_study: MadeStudy, tmp_path: Path) -> None:
    study = made_study("AB", masks=True, fail=lambda *place: place == ("A", 0.25, 1))
    (tmp_path / "study.json").write_text(study.to_json())
    again = read_study(tmp_path / "study.json")
    assert again.metric == "miou"
    assert again.images == 400
    for one, two in zip(study.trials, again.trials, strict=True):
        assert (one.each is None) == (two.each is None)
        assert one.each is None or np.array_equal(one.each, given(two.each))


def test_a_study_of_before_there_were_masks_is_read(made_study: MadeStudy, tmp_path: Path) -> None:
    facts = json.loads(made_study("A").to_json())
    del facts["metric"]
    for each in facts["trials"]:
        del each["scores"]
    (tmp_path / "study.json").write_text(json.dumps(facts))
    study = read_study(tmp_path / "study.json")
    assert study.metric == "accuracy"
    assert study.trials[0].each is not None
    assert set(study.trials[0].each) == {0.0, 1.0}


def trial(**changes: object) -> Trial:
    facts: dict[str, object] = {"setting": "A", "fraction": 0.5, "labels": 10, "seed": 0, "correct": [True, False]}
    return Trial.model_validate(facts | changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"setting": "H"}, "expected one of A, B"),
        ({"correct": None}, "either `correct` .* or an `error`"),
        ({"error": "failed"}, "either `correct` .* or an `error`"),
        ({"scores": [0.5, 0.4]}, "either `correct` .* or an `error`"),
        ({"correct": None, "scores": [0.5, np.nan]}, "one number for each"),
        ({"correct": None, "scores": []}, "one number for each"),
        ({"correct": "0120"}, "a text of 0 and 1"),
        ({"correct": [0.5, 1.0]}, "expected bools"),
        ({"correct": [[True]]}, "one bool for each of at least one image"),
        ({"correct": ""}, "one bool for each of at least one image"),
        ({"fraction": 1.5}, "less than or equal to 1"),
    ],
)
def test_a_trial_that_cannot_be_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        trial(**changes)


def test_a_trial_s_answers_cannot_be_changed_and_are_a_copy() -> None:
    right = np.array([True, False])
    made = trial(correct=right)
    right[0] = False
    assert made.correct is not None
    assert made.correct.tolist() == [True, False]
    with pytest.raises(ValueError, match="read-only"):
        made.correct[0] = False


@pytest.mark.parametrize(
    ("trials", "said"),
    [
        ([trial(seed=7)], "not in the grid"),
        ([trial(fraction=0.1)], "not in the grid"),
        ([trial(), trial()], "occurs twice"),
        ([trial(), trial(seed=1, correct=[True])], "the same held-out images"),
        ([trial(correct=None, scores=[0.4, 0.5])], "does not fit a study of accuracy"),
    ],
)
def test_trials_that_do_not_fit_the_grid_are_refused(trials: list[Trial], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Study(
            data="d",
            classes=2,
            majority_baseline=0.5,
            settings=("A",),
            fractions=(0.5,),
            seeds=(0, 1),
            trials=tuple(trials),
        )


def test_a_missing_or_broken_file_is_an_error_that_names_it(made_study: MadeStudy, tmp_path: Path) -> None:
    path = tmp_path / "study.json"
    with pytest.raises(HeadstartError, match=r"study\.json: expected a study, found"):
        read_study(path)
    path.write_text("{")
    with pytest.raises(HeadstartError, match=r"study\.json: expected a study of this version"):
        read_study(path)
    facts = json.loads(made_study().to_json())
    facts["trials"][3]["correct"] = "01x"
    path.write_text(json.dumps(facts))
    with pytest.raises(HeadstartError, match=r"trials\.3\.correct"):
        read_study(path)
