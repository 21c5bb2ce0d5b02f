"""A study in figures: a line for each setting and label fraction, with all that table, page and sentences need."""

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
from headstart.comparison.study import SETTINGS, Setting, Study, Trial
from headstart.metrics.bootstrap import Floats, Interval

TrialKey = tuple[str, float]
"""A setting and a label fraction."""


@dataclass(frozen=True)
class Result:
    """A setting with a fraction of the labels, over the seeds that are done."""

    setting: str
    what: Setting
    fraction: float
    labels: int
    score: Interval
    """The study's metric: accuracy, or mean IoU."""
    to_a: Difference | None
    """None for A itself, and where A has no seed in common."""
    label_multiplier: LabelMultiplier | None
    """None for A itself, and where A has no point."""
    ece: float | None
    knn: float | None
    optimism: float | None
    seconds_pretrain: float | None
    seconds_tune: float
    """Of one trial, the mean."""
    seconds_train: float
    images_seen: float
    chosen: tuple[dict[str, float], ...]
    """A choice for each seed; empty with --no-tune."""
    seeds: int

    @property
    def seconds(self) -> float:
        """What it takes to get one such model from nothing: pre-training, choosing, training."""
        return (self.seconds_pretrain or 0.0) + self.seconds_tune + self.seconds_train


class Results:
    """The lines of a study that have a trial done; comparisons of any two of them."""

    def __init__(self, study: Study, resamples: int = RESAMPLES) -> None:
        self.study = study
        trials = [trial for trial in study.trials if trial.error is None]
        means = resample_images(_each(trials), resamples) if trials else np.empty((resamples, 0))
        self._means = {(c.setting, c.fraction, c.seed): means[:, i] for i, c in enumerate(trials)}
        """Of each trial, over the images of each resample: the same images in all."""
        self._known: dict[tuple[str, str, float], Difference | None] = {}

    @cached_property
    def lines(self) -> tuple[Result, ...]:
        """By setting, and by rising label fraction."""
        places = [
            (setting, fraction)
            for setting in sorted(self.study.settings)
            for fraction in sorted(self.study.fractions)
            if self.study.at(setting, fraction)
        ]
        drawn = {place: self._drawn(*place) for place in places}
        return tuple(self._line(place, drawn) for place in places)

    def get(self, setting: str, fraction: float) -> Result | None:
        return next((each for each in self.lines if (each.setting, each.fraction) == (setting, fraction)), None)

    def of(self, setting: str) -> list[Result]:
        return [each for each in self.lines if each.setting == setting]

    def at(self, fraction: float) -> list[Result]:
        """The lines of one label fraction, best first."""
        found = (each for each in self.lines if each.fraction == fraction)
        return sorted(found, key=lambda each: (-each.score.value, each.setting))

    @property
    def most(self) -> float | None:
        """The largest label fraction at which two settings can be compared, or at which there is one at all."""
        for least in (2, 1):
            for fraction in sorted(self.study.fractions, reverse=True):
                if len(self.at(fraction)) >= least:
                    return fraction
        return None

    @property
    def model(self) -> Trial | None:
        """The trial whose network to use: of the best setting with the most labels, the first seed that is done.

        No seed is picked by its accuracy, which would be too kind to it: what is told of the setting is told of all.
        """
        best = self.at(self.most)[:1] if self.most is not None else []
        return self.study.at(best[0].setting, best[0].fraction)[0] if best else None

    def difference(self, setting: str, other: str, fraction: float) -> Difference | None:
        """What ``setting`` is above ``other``, over the seeds that both have done; None where there is no such seed."""
        key = (setting, other, fraction)
        if key not in self._known:
            one, two = ({trial.seed: trial for trial in self.study.at(each, fraction)} for each in (setting, other))
            common = sorted(one.keys() & two.keys())
            self._known[key] = self._difference(one, two, common) if common else None
        return self._known[key]

    def _difference(self, one: dict[int, Trial], two: dict[int, Trial], seeds: list[int]) -> Difference:
        apart = _each(one[seed] for seed in seeds) - _each(two[seed] for seed in seeds)
        means = self._of_trials(one[seed] for seed in seeds) - self._of_trials(two[seed] for seed in seeds)
        return difference_of(apart, means, seeds)

    def _of_trials(self, trials: Iterable[Trial]) -> Floats:
        return np.stack([self._means[trial.setting, trial.fraction, trial.seed] for trial in trials], axis=1)

    def _drawn(self, setting: str, fraction: float) -> Floats:
        """The mean score in each resample of images and seeds together."""
        trials = self.study.at(setting, fraction)
        return resample_seeds(self._of_trials(trials), _each(trials), [trial.seed for trial in trials])

    def _line(self, place: TrialKey, drawn: dict[TrialKey, Floats]) -> Result:
        setting, fraction = place
        trials = self.study.at(setting, fraction)
        return Result(
            setting=setting,
            what=self.study.what(setting),
            fraction=fraction,
            labels=_labels(trials),
            score=interval_of(float(_each(trials).mean()), drawn[place], 0.0, 1.0),
            to_a=self.difference(setting, "A", fraction) if setting != "A" else None,
            label_multiplier=self._worth(place, drawn) if setting != "A" else None,
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

    def _worth(self, place: TrialKey, drawn: dict[TrialKey, Floats]) -> LabelMultiplier | None:
        curve = {_labels(self.study.at(*each)): each for each in drawn if each[0] == "A"}
        if not curve:
            return None
        labels = sorted(curve)
        of_a = [_each(self.study.at(*curve[n])).mean() for n in labels]
        drawn_a = np.stack([drawn[curve[n]] for n in labels], axis=1)
        trials = self.study.at(*place)
        return label_multiplier(labels, of_a, _labels(trials), float(_each(trials).mean()), drawn_a, drawn[place])


def table_rows(results: Results) -> list[dict[str, Any]]:
    """The rows of `table.csv`: shares as numbers from 0 to 1, times in seconds, nothing where there is nothing.

    A setting and fraction of which no trial is done has a row too, with its seeds done and failed.
    """
    study = results.study
    return [
        _row(results, setting, fraction) for setting in sorted(study.settings) for fraction in sorted(study.fractions)
    ]


def _row(results: Results, setting: str, fraction: float) -> dict[str, Any]:
    line = results.get(setting, fraction)
    to_a, worth_ = (line.to_a, line.label_multiplier) if line else (None, None)
    failed = [trial for trial in results.study.failed if (trial.setting, trial.fraction) == (setting, fraction)]
    return {
        "setting": setting,
        "what": SETTINGS[setting].phrase,
        "fraction": fraction,
        "labels": line.labels if line else None,
        **_spread(results.study.metric, line.score if line else None),
        **_spread("difference_to_a", to_a.interval if to_a else None),
        "images_needed": to_a.required_images if to_a else None,
        **_spread("worth", worth_),
        "worth_beyond": worth_.beyond.value if worth_ else None,
        "worth_low_beyond": worth_.beyond.low if worth_ else None,
        "worth_high_beyond": worth_.beyond.high if worth_ else None,
        **(_of_answers(line) if results.study.metric == "accuracy" else {}),
        "seconds_pretrain": line.seconds_pretrain if line else None,
        "seconds_tune": line.seconds_tune if line else None,
        "seconds_train": line.seconds_train if line else None,
        "images_seen": line.images_seen if line else None,
        "chosen": said_choice(line.chosen) if line else None,
        "seeds": line.seeds if line else 0,
        "failed": len(failed),
        "error": failed[0].error if failed else None,
    }


def _of_answers(line: Result | None) -> dict[str, float | None]:
    """What there is of answers with a class for each image."""
    return {name: getattr(line, name) if line else None for name in ("ece", "knn", "optimism")}


def _spread(name: str, figure: Interval | LabelMultiplier | None) -> dict[str, float | None]:
    ends = (figure.value, figure.low, figure.high) if figure else (None, None, None)
    return dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))


def said_choice(chosen: Sequence[dict[str, float]]) -> str:
    """What the seeds chose, each value once: 'lr 0.001 or 0.003'."""
    names = sorted({name for choice in chosen for name in choice})
    values = {name: sorted({choice[name] for choice in chosen if name in choice}) for name in names}
    return ", ".join(f"{name} {' or '.join(f'{value:g}' for value in each)}" for name, each in values.items())


def _each(trials: Iterable[Trial]) -> Floats:
    """(S, N)."""
    return np.array([trial.each for trial in trials if trial.each is not None], dtype=np.float64)


def _labels(trials: Sequence[Trial]) -> int:
    return round(float(np.mean([trial.labels for trial in trials])))


def _mean(trials: Sequence[Trial], figure: Callable[[Trial], float | None]) -> float | None:
    known = [value for value in map(figure, trials) if value is not None]
    return float(np.mean(known)) if known else None
