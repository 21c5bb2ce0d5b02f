"""What more seeds would show: their number has the power that is promised, and their time is that of the trials."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

from headstart.comparison.findings import findings
from headstart.comparison.intervals import Difference, difference
from headstart.comparison.more_time import of_more_time, seconds_of_seed, seeds_needed
from headstart.comparison.study import Study
from headstart.comparison.summary import Results

MadeStudy = Callable[..., Study]


def known(of_seed: float, of_image: float, rest: float, seeds: int = 3, images: int = 200) -> Difference:
    """A difference whose variances are known: standard deviations between seeds, images, and both."""
    seed, image = of_seed**2 / seeds + rest**2 / (seeds * images), of_image**2 / images
    error = float(np.sqrt(seed + image))
    return Difference(0.0, error, error**4 * (seeds - 1) / seed**2, error, images, seeds, image_share=image / error**2)


@pytest.mark.parametrize(("of_seed", "true"), [(0.01, 0.03), (0.015, 0.03), (0.02, 0.05)])
def test_so_many_seeds_find_the_difference_in_four_of_five_studies(of_seed: float, true: float) -> None:
    """With known variances in a few more: the promise allows for few degrees of freedom (benchmarks/coverage.py)."""
    found = known(of_seed, 0.1, 0.2)
    seeds = seeds_needed(found, true)
    assert seeds is not None
    assert found.seeds < seeds
    random, significant = np.random.default_rng(0), 0
    for _ in range(400):
        scores = true + of_seed * random.standard_normal((seeds, 1)) + 0.1 * random.standard_normal(200)
        scores = scores + 0.2 * random.standard_normal((seeds, 200))
        interval = difference(scores, np.zeros_like(scores)).pointwise
        significant += interval.low > 0
    assert 0.78 <= significant / 400 <= 0.93


def test_no_seed_helps_where_the_images_are_the_limit() -> None:
    assert seeds_needed(known(0.01, 0.5, 0.2), 0.03) is None
    assert seeds_needed(known(0.01, 0.0, 0.2), 0.1) == 3


def test_a_study_says_what_more_time_would_show(made_study: MadeStudy) -> None:
    study = made_study("ABG", seeds=(0, 1, 2), images=200, right={"A": 0.50, "B": 0.56})
    results = Results(study)
    found = results.difference("B", "A", 1.0)
    assert found is not None
    assert not found.significant
    (sentence,) = of_more_time(results)
    assert sentence in findings(results)
    match = re.search(r"(\d) more seeds? \(about ([\d.]+) h of training\) would show it with a power of 80 %", sentence)
    assert match, sentence
    more, hours = int(match[1]), float(match[2])
    assert found.detectable_with(3 + more) <= max(abs(found.value), 0.02) < found.detectable_with(2 + more)
    trained = sum(trial.seconds_train for trial in study.trials) / 3
    assert seconds_of_seed(study) == pytest.approx(trained)
    assert hours == round(more * trained / 3600, 1)


def test_a_study_whose_seeds_agree_says_that_its_images_are_the_limit(made_study: MadeStudy) -> None:
    study = made_study("AB", seeds=(0, 1, 2), images=400, right={"A": 0.50, "B": 0.53})
    first = {trial.setting: trial.correct for trial in study.trials if (trial.fraction, trial.seed) == (1.0, 0)}
    same = tuple(trial.model_copy(update={"correct": first[trial.setting]}) for trial in study.trials)
    (sentence,) = of_more_time(Results(study.model_copy(update={"trials": same})))
    assert "no time will show it with a power of 80 %: the 400 validation images are what limits it" in sentence


def test_a_pre_training_for_each_seed_is_part_of_the_time(made_study: MadeStudy) -> None:
    study = made_study("AC", seeds=(0, 1))
    trials = tuple(trial.model_copy(update={"pretraining": trial.seed}) for trial in study.trials)
    anew = study.model_copy(update={"trials": trials, "pretrainings": 2})
    assert seconds_of_seed(anew) == pytest.approx(seconds_of_seed(study) + 3600)


def test_nothing_is_said_of_what_is_clear_or_of_one_seed(made_study: MadeStudy) -> None:
    assert list(of_more_time(Results(made_study("AB", right={"A": 0.45, "B": 0.75})))) == []
    assert list(of_more_time(Results(made_study("AB", seeds=(0,), right={"A": 0.5, "B": 0.53})))) == []
