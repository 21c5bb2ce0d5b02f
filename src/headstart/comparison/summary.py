"""Results of a study: one per setting and label fraction, with intervals, differences to A and label multipliers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from headstart.comparison.crossed import Crossed, SeedPrior, seed_prior
from headstart.comparison.intervals import Difference, average, difference_of
from headstart.comparison.label_efficiency import LabelMultiplier, label_multiplier, stretch
from headstart.comparison.settings import SETTINGS
from headstart.comparison.simultaneous import deviations, family_level, winner_bias
from headstart.comparison.study import Study, Trial
from headstart.metrics.bootstrap import Floats, Interval

TrialKey = tuple[str, float]
"""A setting and a label fraction."""
RESAMPLES = 2000
FROZEN = (("D", "B"), ("E", "C"))
"""The same weights, frozen and fine-tuned: compared at every label fraction."""


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
    """None for A itself, and where no trial of A is done, or A learned nothing."""
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
        """Whether the label multiplier differs from 1: exactly where Δ vs A differs from 0."""
        return self.to_a is not None and self.label_multiplier is not None and self.to_a.significant

    @property
    def seconds(self) -> float:
        """Time to one such model from nothing: pre-training, hyper-parameter selection, training."""
        return (self.seconds_pretrain or 0.0) + self.seconds_tune + self.seconds_train


class Results:
    """All results of a study, and the difference of any two settings.

    The differences to A, of any two settings with the most labels, and of frozen and fine-tuned weights are one family:
    their intervals hold together with 95 %. ``resamples`` is the number of bootstrap resamples that this takes.
    """

    def __init__(self, study: Study, resamples: int = RESAMPLES) -> None:
        self.study = study
        self._resamples = resamples
        self._differences: dict[tuple[str, str, float], Difference | None] = {}

    @cached_property
    def _keys(self) -> list[TrialKey]:
        """Setting and label fraction of each result."""
        grid = [(each, fraction) for each in sorted(self.study.settings) for fraction in sorted(self.study.fractions)]
        return [key for key in grid if self.study.at(*key)]

    @cached_property
    def lines(self) -> tuple[Result, ...]:
        """The results by setting, then by increasing label fraction."""
        return tuple(self._result(*key) for key in self._keys)

    @cached_property
    def family(self) -> tuple[tuple[str, str, float], ...]:
        """The comparisons that table, page and sentences draw: (setting, other, label fraction)."""
        keys, most = self._keys, self.largest_fraction
        pairs = [(s, other, f) for s, f in keys for other, g in keys if f == g and s != other]
        asked = ((s, o, f) for s, o, f in pairs if o == "A" or (s, o) in FROZEN or (f == most and "A" != s < o))
        return tuple(each for each in asked if self._common(*each))

    @cached_property
    def _deviations(self) -> Floats:
        """Deviation of each result in each resample, (R, results), in the order of `_keys`."""
        cells = [
            Crossed(
                _scores(self.study.at(*key))[None],
                self.study.groups,
                clusters(self.study.at(*key)),
                folds=self.study.folds,
            )
            for key in self._keys
        ]
        of_unit = np.concatenate([cell.of_unit for cell in cells])
        return deviations(of_unit, [cell.seed_error[0] for cell in cells], self._resamples)

    @cached_property
    def level(self) -> float:
        """Level of each comparison with which the whole family holds 95 %."""
        if len(self.family) < 2:
            return family_level(np.empty((0, 0)), self.family_pairs)
        return family_level(self._deviations, self.family_pairs)

    @property
    def family_pairs(self) -> list[tuple[int, int]]:
        position = {key: i for i, key in enumerate(self._keys)}
        return [(position[one, f], position[two, f]) for one, two, f in self.family]

    def winner_bias(self, fraction: float) -> float:
        """How much too high the score of the setting named best is on average, with this label fraction."""
        at = [i for i, key in enumerate(self._keys) if key[1] == fraction]
        means = [float(_scores(self.study.at(*self._keys[i])).mean()) for i in at]
        return max(0.0, winner_bias(means, self._deviations[:, at]))  # resampled: below 0 by chance alone

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
                if sum(key[1] == fraction for key in self._keys) >= least:
                    return fraction
        return None

    @cached_property
    def scratch_learned(self) -> bool:
        """Whether A is significantly above the majority-class baseline with any of its label fractions.

        Where it is not, its curve is noise, and there is no label multiplier.
        """
        floor = self.study.majority_baseline
        return any(self._score(*key).low > floor for key in self._keys if key[0] == "A")

    @property
    def model(self) -> Trial | None:
        """The trial whose model to use: the first finished seed of the highest setting with the most labels.

        Picking the seed with the highest score would make that score optimistic.
        """
        best = self.at(self.largest_fraction)[:1] if self.largest_fraction is not None else []
        return self.study.at(best[0].setting, best[0].fraction)[0] if best else None

    def difference(self, setting: str, other: str, fraction: float) -> Difference | None:
        """``setting`` minus ``other``, paired over the seeds that both have finished; None where there is none.

        Its interval is simultaneous with those of the `family`.
        """
        key = (setting, other, fraction)
        if key not in self._differences:
            seeds = self._common(*key)
            self._differences[key] = None
            if seeds:
                found = self._pair(*key).contrast([[1.0, -1.0]], self._prior(setting, other))
                self._differences[key] = difference_of(found, self.study.images, len(seeds), self.level)
        return self._differences[key]

    def _pair(self, setting: str, other: str, fraction: float) -> Crossed:
        """Both settings over their common seeds, of which there are some."""
        seeds = self._common(setting, other, fraction)
        cells = [self._at(each, fraction, seeds) for each in (setting, other)]
        shared = self._clusters(seeds, (setting, fraction), (other, fraction))
        return Crossed(np.stack(cells), self.study.groups, shared, folds=self.study.folds)

    def _clusters(self, seeds: Sequence[int], *keys: TrialKey) -> list[int] | None:
        """The pre-training of each seed, where one of these results has several, but not one for each seed."""
        found = (clusters(trial for trial in self.study.at(*key) if trial.seed in seeds) for key in keys)
        return next((each for each in found if each is not None), None)

    def _prior(self, *settings: str) -> SeedPrior | None:
        """What the comparisons of the family say together about the variance between seeds.

        Pre-training varies, too, between the seeds of settings with several: they and the others have priors apart.
        """
        return self._priors[not self.pretrained_anew.isdisjoint(settings)]

    @cached_property
    def _priors(self) -> dict[bool, SeedPrior | None]:
        priors = {}
        for anew in (False, True):
            family = [each for each in self.family if self.pretrained_anew.isdisjoint(each[:2]) != anew]
            pairs = [self._pair(*each) for each in family]
            squares = [pair.mean_square([1.0, -1.0]) for pair in pairs]
            priors[anew] = seed_prior(squares, [pair.seeds - 1 for pair in pairs])
        return priors

    @cached_property
    def pretrained_anew(self) -> frozenset[str]:
        """The settings whose trials start from several pre-trainings."""
        found: dict[str, set[int]] = {}
        for trial in self.study.trials:
            if trial.error is None and trial.seconds_pretrain is not None:
                found.setdefault(trial.setting, set()).add(trial.pretraining)
        return frozenset(setting for setting, numbers in found.items() if len(numbers) > 1)

    def _common(self, setting: str, other: str, fraction: float, *more: TrialKey) -> list[int]:
        """The seeds that both settings have finished, and so have ``more``."""
        keys = ((setting, fraction), (other, fraction), *more)
        return sorted(set.intersection(*({trial.seed for trial in self.study.at(*key)} for key in keys)))

    def _at(self, setting: str, fraction: float, seeds: Sequence[int]) -> Floats:
        """Scores of these seeds, (S, N)."""
        return _scores(trial for trial in self.study.at(setting, fraction) if trial.seed in seeds)

    def _score(self, setting: str, fraction: float) -> Interval:
        trials = self.study.at(setting, fraction)
        return average(_scores(trials), self.study.groups, clusters(trials), folds=self.study.folds)

    def _result(self, setting: str, fraction: float) -> Result:
        trials = self.study.at(setting, fraction)
        return Result(
            setting=setting,
            fraction=fraction,
            labels=_labels(trials),
            score=self._score(setting, fraction),
            to_a=self.difference(setting, "A", fraction) if setting != "A" else None,
            label_multiplier=self._label_multiplier(setting, fraction) if setting != "A" else None,
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

    def _label_multiplier(self, setting: str, fraction: float) -> LabelMultiplier | None:
        delta = self.difference(setting, "A", fraction)
        if delta is None or not self.scratch_learned:
            return None
        points = {_labels(self.study.at("A", f)): f for a, f in self._keys if a == "A"}
        curve = [(n, float(_scores(self.study.at("A", points[n])).mean())) for n in sorted(points)]
        fractions = [points[n] for n, _ in curve]
        stretches = []
        for fewer, more in itertools.pairwise(fractions):
            seeds = self._common(setting, setting, fraction, ("A", fewer), ("A", more))
            own, below, above = (self._at(*key, seeds) for key in ((setting, fraction), ("A", fewer), ("A", more)))
            shared, prior = self._clusters(seeds, (setting, fraction)), self._prior(setting, "A")
            stretches.append(
                stretch(own, below, above, self.study.groups, prior, shared, folds=self.study.folds) if seeds else None
            )
        value = float(_scores(self.study.at(setting, fraction)).mean())
        return label_multiplier(curve, _labels(self.study.at("A", fraction)), value, stretches, delta)


def clusters(trials: Iterable[Trial]) -> list[int] | None:
    """The pre-training that each of S trials starts from, where there are several, but not one for each; else None."""
    numbers = [trial.pretraining for trial in trials if trial.seconds_pretrain is not None]
    return numbers if 1 < len(set(numbers)) < len(numbers) else None


def _scores(trials: Iterable[Trial]) -> Floats:
    """Scores of S finished trials and N images, (S, N)."""
    return np.array([trial.each for trial in trials if trial.each is not None], dtype=np.float64)


def _labels(trials: Sequence[Trial]) -> int:
    return round(float(np.mean([trial.labels for trial in trials])))


def _mean(trials: Sequence[Trial], metric: Callable[[Trial], float | None]) -> float | None:
    known = [value for value in map(metric, trials) if value is not None]
    return float(np.mean(known)) if known else None
