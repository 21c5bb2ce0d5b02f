"""Sentences on how many more labels each setting needs, which promise no more than the interval of the forecast."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np

from headstart.comparison.forecast import FEWEST_POINTS, HORIZON, Declined, Forecast, LabelsNeeded, forecast
from headstart.comparison.metric import METRICS
from headstart.comparison.study import Study
from headstart.comparison.summary import Results, clusters
from headstart.comparison.wording import label_share, listed, name, points
from headstart.metrics.written import score, score_with_ci

STEPS = (0.05, 0.01)
"""The target is the next multiple of the first, or near 100 % of the second."""
LEAST_BEND = 0.0005
"""Less is not 0.1 points."""


def of_forecasts(results: Results) -> Iterator[str]:
    """How many more labels each setting but G is forecast to need for the `target`."""
    metric, target = METRICS[results.study.metric].title, target_of(results)
    if target is None:
        return
    declined: dict[str, list[str]] = {}
    for setting in sorted(set(results.study.settings) - {"G"}):
        of_setting = results.of(setting)
        if not of_setting or (len(of_setting) < FEWEST_POINTS and results.study.target is None):
            continue
        if of_setting[-1].score.value >= target:
            yield (
                f"{name(setting)} reaches {score(target)} {metric} with {label_share(of_setting[-1])}:"
                f" {score_with_ci(of_setting[-1].score)}."
            )
            continue
        found = forecast_of(results.study, setting)
        if isinstance(found, Declined):
            declined.setdefault(found.reason, []).append(name(setting))
        else:
            yield forecast_sentence(name(setting), found, target, metric)
    for reason, settings in declined.items():
        yield f"No forecast of more labels for {listed(settings)}: {reason}."


def target_of(results: Results) -> float | None:
    """The score that more labels are forecast for: what was asked, else the next round one above the best."""
    at = results.largest_fraction
    if results.study.target is not None or at is None:
        return results.study.target
    return next_target(results.at(at)[0].score.value)


def more_labels(results: Results, setting: str) -> tuple[float | None, float | None, float | None, str]:
    """More labels for the `target`, both ends of the 80 % interval, and ``forecast``, or why a number is missing.

    None stands for more than ten times the labels tried, and for all three where there is no forecast.
    """
    target, of_setting = target_of(results), results.of(setting)
    if target is None or not of_setting:
        return None, None, None, "no target" if of_setting else "no result"
    if of_setting[-1].score.value >= target:
        return 0.0, None, None, "reached"
    found = forecast_of(results.study, setting)
    if isinstance(found, Declined):
        return None, None, None, f"none: {found.reason}"
    needed = found.labels_needed(target)
    value, low, high = (
        None if math.isinf(each) else float(round(each - found.labels[0]))
        for each in (needed.value, needed.low, needed.high)
    )
    return value, low, high, "not reachable" if low is None else "beyond" if value is None else "forecast"


def next_target(best: float) -> float | None:
    """The next multiple of 5 % above the score ``best``, from 95 % on of 1 %; None from 99 % on."""
    for step in STEPS:
        target = round((math.floor(best / step + 1e-9) + 1) * step, 2)
        if 0 < target < 1:
            return target
    return None


def forecast_of(study: Study, setting: str) -> Forecast | Declined:
    """The forecast of one setting, from the seeds that have finished with every label fraction that has a result."""
    curve = [study.at(setting, fraction) for fraction in sorted(study.fractions)]
    curve = [trials for trials in curve if trials]
    common = set.intersection(*({trial.seed for trial in trials} for trials in curve)) if curve else set()
    if not common:
        return Declined("no seed has finished with all label fractions")
    kept = [[trial for trial in trials if trial.seed in common] for trials in curve]
    labels = tuple(round(float(np.mean([trial.labels for trial in trials]))) for trials in kept)
    if len(set(labels)) < len(labels):
        return Declined("two label fractions have the same number of labels")
    each = np.array([[trial.each for trial in trials] for trials in kept], dtype=np.float64)
    shared = clusters(kept[0])
    if shared is not None:  # pre-trainings are what is resampled
        each = np.stack([each[:, np.equal(shared, number)].mean(axis=1) for number in sorted(set(shared))], axis=1)
    return _remembered(labels, each.shape, each.tobytes(), study.groups)


@lru_cache(maxsize=32)  # the page of a study is written again after each of its trials
def _remembered(
    labels: tuple[int, ...], shape: tuple[int, ...], each: bytes, groups: tuple[int, ...] | None
) -> Forecast | Declined:
    return forecast(labels, np.frombuffer(each).reshape(shape), groups)


def forecast_sentence(name: str, found: Forecast, target: float, metric: str = "accuracy") -> str:
    """The labels that ``target`` needs, with the 80 % interval, or that it is not reachable.

    Ends of the interval are rounded outwards, to two digits.
    """
    needed, tried = found.labels_needed(target), found.labels[0]
    goal = f"{100 * target:.3g} % {metric}"
    most = _digits(needed.horizon - tried, math.floor)
    if math.isinf(needed.low):
        text = f"{goal} is not reachable with {name}: not with {HORIZON} times its {tried:,.0f} labels"
    elif math.isinf(needed.value):
        low = _digits(needed.low - tried, math.floor)
        text = f"{name} probably does not reach {goal} with {most:,} more labels (80 % interval {low:,} or more)"
    else:
        value = _digits(needed.value - tried, round)
        text = f"{name} needs about {value:,} more labels ({_ends(needed, tried, most)}) for {goal}"
    if found.bend > LEAST_BEND:
        text += (
            f". Its label curve falls in places; isotonic regression changes it by up to {points(found.bend)}, within"
            " the noise of seeds and images"
        )
    return f"Forecast: {text}."


def _ends(needed: LabelsNeeded, tried: float, most: int) -> str:
    low = _digits(needed.low - tried, math.floor)
    high = f"more than {most:,}" if math.isinf(needed.high) else f"{_digits(needed.high - tried, math.ceil):,}"
    return f"80 % interval {low:,} to {high}"


def _digits(number: float, direction: Callable[[float], int]) -> int:
    """To two significant digits in a direction: `math.floor`, `math.ceil` or `round`."""
    if number <= 0:
        return 0
    step = 10 ** max(math.floor(math.log10(number)) - 1, 0)
    return int(direction(round(number / step, 6)) * step)
