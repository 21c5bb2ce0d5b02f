"""Results of a study: one per setting and label fraction, with intervals, differences to A and label multipliers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from headstart.comparison.intervals import (
    RESAMPLES,
    Difference,
    difference_of,
    interval_of,
    resample_images,
    resample_seeds,
)
from headstart.comparison.label_efficiency import LabelMultiplier, label_multiplier
from headstart.comparison.metric import MetricName
from headstart.comparison.settings import SETTINGS
from headstart.comparison.study import Study, Trial
from headstart.metrics.bootstrap import Floats, Interval

TrialKey = tuple[str, float]
"""A setting and a label fraction."""


@dataclass(frozen=True)
class Result:
    """One setting with one label fraction, over the seeds that are done."""

    setting: str
    fraction: float
    labels: int
    score: Interval
    """The study's metric, accuracy or mean IoU: mean over seeds and images."""
    to_a: Difference | None
    """Δ vs A, training from scratch; None for A itself, and where A has no seed in common."""
    label_multiplier: LabelMultiplier | None
    """None for A itself, and where no trial of A is done."""
    ece: float | None
    knn: float | None
    optimism: float | None
    seconds_pretrain: float | None
    seconds_tune: float
    """Of hyper-parameter selection: mean per trial, as the next two."""
    seconds_train: float
    images_seen: float
    chosen: tuple[dict[str, float], ...]
    """The hyper-parameters selected for each seed; empty with --no-tune."""
    seeds: int

    @property
    def phrase(self) -> str:
        """The setting in one phrase: 'fine-tune supervised'."""
        return SETTINGS[self.setting].phrase

    @property
    def multiplier_significant(self) -> bool:
        """Whether the label multiplier differs from 1, and Δ vs A from 0, in the same direction."""
        if self.to_a is None or self.label_multiplier is None:
            return False
        gap = self.to_a.interval
        return (gap.low > 0 and self.label_multiplier.above_one) or (gap.high < 0 and self.label_multiplier.below_one)

    @property
    def seconds(self) -> float:
        """Time to one such model from nothing: pre-training, hyper-parameter selection, training."""
        return (self.seconds_pretrain or 0.0) + self.seconds_tune + self.seconds_train


class Results:
    """All results of a study, and the difference of any two settings.

    ``resamples`` is the number of bootstrap resamples; all results share the same resampled images.
    """

    def __init__(self, study: Study, resamples: int = RESAMPLES) -> None:
        self.study = study
        trials = [trial for trial in study.trials if trial.error is None]
        means = resample_images(_scores(trials), resamples) if trials else np.empty((resamples, 0))
        self._means = {(trial.setting, trial.fraction, trial.seed): means[:, i] for i, trial in enumerate(trials)}
        """Of each trial, (R,): its mean score over the images of each resample, the same images in all trials."""
        self._differences: dict[tuple[str, str, float], Difference | None] = {}

    @cached_property
    def lines(self) -> tuple[Result, ...]:
        """The results by setting, then by increasing label fraction."""
        keys = [
            (setting, fraction)
            for setting in sorted(self.study.settings)
            for fraction in sorted(self.study.fractions)
            if self.study.at(setting, fraction)
        ]
        drawn = {key: self._drawn(*key) for key in keys}
        return tuple(self._result(key, drawn) for key in keys)

    def get(self, setting: str, fraction: float) -> Result | None:
        """The result of one setting and label fraction; None before a trial is done."""
        return next((each for each in self.lines if (each.setting, each.fraction) == (setting, fraction)), None)

    def of(self, setting: str) -> list[Result]:
        """The results of one setting, by increasing label fraction."""
        return [each for each in self.lines if each.setting == setting]

    def at(self, fraction: float) -> list[Result]:
        """The results of one label fraction, highest score first."""
        found = (each for each in self.lines if each.fraction == fraction)
        return sorted(found, key=lambda each: (-each.score.value, each.setting))

    @property
    def largest_fraction(self) -> float | None:
        """The largest label fraction with two results to compare, else with one; None without any."""
        for least in (2, 1):
            for fraction in sorted(self.study.fractions, reverse=True):
                if len(self.at(fraction)) >= least:
                    return fraction
        return None

    @property
    def model(self) -> Trial | None:
        """The trial whose model to use: the first finished seed of the highest setting with the most labels.

        Picking the seed with the highest score would make that score optimistic.
        """
        best = self.at(self.largest_fraction)[:1] if self.largest_fraction is not None else []
        return self.study.at(best[0].setting, best[0].fraction)[0] if best else None

    def difference(self, setting: str, other: str, fraction: float) -> Difference | None:
        """``setting`` minus ``other``, paired over the seeds that both have finished; None where there is none."""
        key = (setting, other, fraction)
        if key not in self._differences:
            one, two = ({trial.seed: trial for trial in self.study.at(each, fraction)} for each in (setting, other))
            common = sorted(one.keys() & two.keys())
            self._differences[key] = self._difference(one, two, common) if common else None
        return self._differences[key]

    def _difference(self, one: dict[int, Trial], two: dict[int, Trial], seeds: list[int]) -> Difference:
        paired = _scores(one[seed] for seed in seeds) - _scores(two[seed] for seed in seeds)
        means = self._resampled(one[seed] for seed in seeds) - self._resampled(two[seed] for seed in seeds)
        return difference_of(paired, means, seeds)

    def _resampled(self, trials: Iterable[Trial]) -> Floats:
        """Mean scores over resampled images, (R, S)."""
        return np.stack([self._means[trial.setting, trial.fraction, trial.seed] for trial in trials], axis=1)

    def _drawn(self, setting: str, fraction: float) -> Floats:
        """The mean score in each resample of images and seeds together, (R,)."""
        trials = self.study.at(setting, fraction)
        return resample_seeds(self._resampled(trials), _scores(trials), [trial.seed for trial in trials])

    def _result(self, key: TrialKey, drawn: dict[TrialKey, Floats]) -> Result:
        setting, fraction = key
        trials = self.study.at(setting, fraction)
        return Result(
            setting=setting,
            fraction=fraction,
            labels=_labels(trials),
            score=interval_of(float(_scores(trials).mean()), drawn[key], 0.0, 1.0),
            to_a=self.difference(setting, "A", fraction) if setting != "A" else None,
            label_multiplier=self._label_multiplier(key, drawn) if setting != "A" else None,
            ece=_mean(trials, lambda trial: trial.ece),
            knn=_mean(trials, lambda trial: trial.knn),
            optimism=_mean(trials, lambda trial: trial.optimism),
            seconds_pretrain=_mean(trials, lambda trial: trial.seconds_pretrain),
            seconds_tune=float(np.mean([trial.seconds_tune for trial in trials])),
            seconds_train=float(np.mean([trial.seconds_train for trial in trials])),
            images_seen=float(np.mean([trial.images_seen for trial in trials])),
            chosen=tuple(trial.chosen for trial in trials if trial.chosen),
            seeds=len(trials),
        )

    def _label_multiplier(self, key: TrialKey, drawn: dict[TrialKey, Floats]) -> LabelMultiplier | None:
        curve = {_labels(self.study.at(*each)): each for each in drawn if each[0] == "A"}
        if not curve:
            return None
        labels = sorted(curve)
        of_a = [_scores(self.study.at(*curve[n])).mean() for n in labels]
        drawn_a = np.stack([drawn[curve[n]] for n in labels], axis=1)
        trials = self.study.at(*key)
        return label_multiplier(labels, of_a, _labels(trials), float(_scores(trials).mean()), drawn_a, drawn[key])


def table_rows(results: Results) -> list[dict[str, Any]]:
    """The rows of `table.csv`: scores as numbers from 0 to 1, times in seconds, None where there is no value.

    A setting and label fraction without a finished trial has a row too, with its seeds and failures.
    """
    study = results.study
    return [
        _row(results, setting, fraction) for setting in sorted(study.settings) for fraction in sorted(study.fractions)
    ]


def _row(results: Results, setting: str, fraction: float) -> dict[str, Any]:
    result, metric = results.get(setting, fraction), results.study.metric
    failed = [trial for trial in results.study.failed if (trial.setting, trial.fraction) == (setting, fraction)]
    return {
        "setting": setting,
        "setting_phrase": SETTINGS[setting].phrase,
        "label_fraction": fraction,
        **(dict.fromkeys(_columns(metric)) if result is None else _values(result, metric)),
        "seeds": result.seeds if result else 0,
        "failed": len(failed),
        "error": failed[0].error if failed else None,
    }


def _columns(metric: MetricName) -> list[str]:
    """Names of the columns that only a finished trial fills, in the order of `_values`."""
    of_predictions = ("ece", "knn", "optimism") if metric == "accuracy" else ()
    return [
        "labels",
        *(metric, f"{metric}_low", f"{metric}_high"),
        *("delta_vs_a", "delta_vs_a_low", "delta_vs_a_high", "delta_vs_a_significant", "required_images"),
        *("label_multiplier", "label_multiplier_low", "label_multiplier_high"),
        *("label_multiplier_beyond", "label_multiplier_low_beyond", "label_multiplier_high_beyond"),
        "label_multiplier_significant",
        *of_predictions,
        *("seconds_pretrain", "seconds_tune", "seconds_train", "images_seen", "selected"),
    ]


def _values(result: Result, metric: MetricName) -> dict[str, Any]:
    """The values of `_columns`."""
    delta, multiplier = result.to_a, result.label_multiplier
    values: list[object] = [result.labels, *_interval(result.score)]
    values += [None] * 5 if delta is None else [*_interval(delta.interval), delta.significant, delta.required_images]
    if multiplier is None:
        values += [None] * 7
    else:
        values += [*_interval(multiplier), multiplier.beyond, multiplier.low_beyond, multiplier.high_beyond]
        values += [result.multiplier_significant]
    if metric == "accuracy":
        values += [result.ece, result.knn, result.optimism]
    values += [result.seconds_pretrain, result.seconds_tune, result.seconds_train, result.images_seen]
    values += [selection_text(result.chosen)]
    return dict(zip(_columns(metric), values, strict=True))


def _interval(interval: Interval | LabelMultiplier) -> tuple[float, float, float]:
    return interval.value, interval.low, interval.high


def selection_text(chosen: Sequence[dict[str, float]]) -> str:
    """The hyper-parameters selected over the seeds, each value once: 'lr 0.001 or 0.003'."""
    names = sorted({name for choice in chosen for name in choice})
    values = {name: sorted({choice[name] for choice in chosen if name in choice}) for name in names}
    return ", ".join(f"{name} {' or '.join(f'{value:g}' for value in each)}" for name, each in values.items())


def _scores(trials: Iterable[Trial]) -> Floats:
    """Scores of S finished trials and N images, (S, N)."""
    return np.array([trial.each for trial in trials if trial.each is not None], dtype=np.float64)


def _labels(trials: Sequence[Trial]) -> int:
    return round(float(np.mean([trial.labels for trial in trials])))


def _mean(trials: Sequence[Trial], metric: Callable[[Trial], float | None]) -> float | None:
    known = [value for value in map(metric, trials) if value is not None]
    return float(np.mean(known)) if known else None
