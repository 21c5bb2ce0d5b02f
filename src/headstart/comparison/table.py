"""Rows of a study's `table.csv`, and of the table that `headstart.study` returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headstart.comparison.forecast_findings import more_labels, target_of
from headstart.comparison.label_efficiency import LabelMultiplier
from headstart.comparison.metric import MetricName
from headstart.comparison.settings import SETTINGS
from headstart.comparison.study import Study
from headstart.comparison.summary import Result, Results
from headstart.metrics.bootstrap import Interval


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
        **(dict.fromkeys(_columns(metric)) if result is None else _values(result, results.study)),
        **_forecast(results, setting, fraction),
        "seeds": result.seeds if result else 0,
        "failed": len(failed),
        "error": failed[0].error if failed else None,
    }


def _forecast(results: Results, setting: str, fraction: float) -> dict[str, Any]:
    """How many more labels a setting needs for the target, in the row of the most labels that it has tried."""
    names = ("more_labels", "more_labels_low", "more_labels_high", "forecast")
    of_setting = results.of(setting)
    if setting == "G" or not of_setting or fraction != of_setting[-1].fraction:
        return {"target": None, **dict.fromkeys(names)}
    return {"target": target_of(results), **dict(zip(names, more_labels(results, setting), strict=True))}


def _columns(metric: MetricName) -> list[str]:
    """Names of the columns that only a finished trial fills, in the order of `_values`."""
    of_predictions = ("ece", "knn", "optimism") if metric == "accuracy" else ()
    return [
        "labels",
        *(metric, f"{metric}_low", f"{metric}_high"),
        *("delta_vs_a", "delta_vs_a_low", "delta_vs_a_high", "delta_vs_a_significant", "delta_vs_a_equivalent"),
        *("delta_vs_a_pointwise_low", "delta_vs_a_pointwise_high", "detectable", "improvement_probability"),
        *("label_multiplier", "label_multiplier_low", "label_multiplier_high"),
        *("label_multiplier_beyond", "label_multiplier_low_beyond", "label_multiplier_high_beyond"),
        "label_multiplier_significant",
        *of_predictions,
        *("seconds_pretrain", "seconds_tune", "seconds_train", "images_seen", "selected"),
    ]


def _values(result: Result, study: Study) -> dict[str, Any]:
    """The values of `_columns`."""
    delta, multiplier, metric = result.to_a, result.label_multiplier, study.metric
    values: list[object] = [result.labels, *_interval(result.score)]
    if delta is None:
        values += [None] * 9
    else:
        values += [*_interval(delta.interval), delta.significant, delta.within(study.margin)]
        values += [delta.pointwise.low, delta.pointwise.high, delta.detectable, delta.improvement]
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
