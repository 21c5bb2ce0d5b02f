"""The lines of a study are their trials', and hold in every state of the study."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from headstart.comparison.intervals import average, difference
from headstart.comparison.study import Study
from headstart.comparison.summary import Results
from headstart.comparison.table import selection_text, table_rows

pytestmark = pytest.mark.slow

MadeStudy = Callable[..., Study]


def rights(study: Study, setting: str, fraction: float) -> np.ndarray:
    return np.array([trial.correct for trial in study.at(setting, fraction)])


def test_a_line_is_what_the_plain_functions_say(made_study: MadeStudy) -> None:
    study = made_study()
    line = Results(study).get("B", 0.25)
    assert line is not None
    assert line.to_a is not None
    b, a = (rights(study, setting, 0.25) for setting in "BA")
    assert line.score == average(b)
    assert line.to_a.value == pytest.approx(difference(b, a).value)
    assert line.to_a.error == pytest.approx(difference(b, a).error, rel=0.4), "the seeds of all comparisons count"
    alone = Results(made_study("AB", fractions=(0.25,))).get("B", 0.25)
    assert alone is not None
    assert alone.to_a == difference(*(rights(made_study("AB", fractions=(0.25,)), each, 0.25) for each in "BA"))
    assert (line.labels, line.seeds) == (500, 3)
    assert [line.ece, line.knn] == pytest.approx([0.05, 0.4])
    assert line.seconds == pytest.approx(605)
    c = Results(study).get("C", 0.25)
    assert c is not None
    assert c.seconds == pytest.approx(3600 + 605)
    assert selection_text(line.chosen) == "lr 0.001 or 0.002"


def test_the_label_multiplier_is_above_one_for_what_was_made_so_and_below_for_the_floor(made_study: MadeStudy) -> None:
    results = Results(made_study())
    b, g = results.get("B", 0.1), results.get("G", 1.0)
    assert b is not None
    assert b.label_multiplier is not None
    assert b.label_multiplier.above_one
    assert g is not None
    assert g.label_multiplier is not None
    assert g.label_multiplier.below_one
    assert all(line.label_multiplier is None and line.to_a is None for line in results.of("A"))


def test_a_difference_is_over_the_seeds_that_both_have(made_study: MadeStudy) -> None:
    study = made_study(skip=lambda s, f, k: (s == "A" and k == 2) or (s == "B" and k == 0) or (s == "C" and k < 2))
    results = Results(study)
    apart = results.difference("B", "A", 1.0)
    assert apart is not None
    assert apart.seeds == 1
    assert apart.interval.value == pytest.approx(
        rights(study, "B", 1.0)[0].mean() - rights(study, "A", 1.0)[1].mean()
    ), "seed 1 of both"
    assert results.difference("C", "A", 1.0) is None
    line = results.get("C", 1.0)
    assert line is not None
    assert line.to_a is None
    assert line.label_multiplier is None, "it would have no difference to agree with"


def test_without_a_there_is_neither_difference_nor_label_multiplier(made_study: MadeStudy) -> None:
    for study in (made_study("BD"), made_study(skip=lambda s, *_: s == "A")):
        assert all(line.to_a is None and line.label_multiplier is None for line in Results(study).lines)


@pytest.mark.parametrize(
    "study",
    [
        {"skip": lambda *_: True},
        {"fail": lambda *_: True},
        {"settings": "A"},
        {"settings": "AG", "seeds": (5,), "fractions": (1.0,)},
        {"images": 1},
        {"images": 2, "seeds": (0, 1)},
        {"right": dict.fromkeys("ABCDEFG", 1.0)},
        {"skip": lambda s, f, k: f < 1 or k > 0},
        {"fail": lambda s, f, k: s == "A"},
    ],
    ids=["nothing", "all failed", "A alone", "one trial each", "one image", "two images", "ties", "begun", "A failed"],
)
def test_in_every_state_there_are_lines_rows_and_order(made_study: MadeStudy, study: dict[str, object]) -> None:
    made = made_study(**study)
    results = Results(made, resamples=200)
    rows = table_rows(results)
    assert len(rows) == len(made.settings) * len(made.fractions)
    assert sum(row["seeds"] for row in rows) == made.done
    assert sum(row["failed"] for row in rows) == len(made.failed)
    assert len({tuple(row) for row in rows}) == 1, "every row has the same columns"
    for line in results.lines:
        assert 0 <= line.score.low <= line.score.value <= line.score.high <= 1
    if results.largest_fraction is not None:
        values = [line.score.value for line in results.at(results.largest_fraction)]
        assert values == sorted(values, reverse=True)


def test_the_largest_fraction_is_one_where_two_can_be_compared(made_study: MadeStudy) -> None:
    assert Results(made_study(skip=lambda s, f, k: f == 1 and s != "D")).largest_fraction == 0.25
    assert Results(made_study("A")).largest_fraction == 1
    assert Results(made_study(skip=lambda *_: True)).largest_fraction is None


def test_the_model_to_use_is_of_the_best_setting_and_no_seed_is_picked_by_its_accuracy(made_study: MadeStudy) -> None:
    for right, best in (({}, "F"), ({"D": 0.99}, "D")):
        model = Results(made_study(right=right)).model
        assert model is not None
        assert (model.setting, model.fraction, model.seed) == (best, 1.0, 0)
    begun = Results(made_study(right={"F": 0.99}, fail=lambda s, f, k: s == "F" and k == 0)).model
    assert begun is not None
    assert (begun.setting, begun.seed) == ("F", 1)
    assert Results(made_study(skip=lambda *_: True)).model is None
