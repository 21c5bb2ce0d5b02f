"""Cautions of a study in sentences: what its intervals hold for, and what they leave out; functions of numbers."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.comparison.settings import SETTINGS
from headstart.comparison.summary import Results
from headstart.comparison.wording import listed, percent, points

FEW_IMAGES = 300
"""Validation images below which cross-validation is worth its time."""
NOTABLE_BIAS = 0.0005
"""What naming the highest score adds to it by chance: below, it is 0.0 points."""
NOTABLE_OPTIMISM = 0.005
"""An optimism above this, averaged over the trials, is an inflated score."""


def of_family(results: Results) -> Iterator[str]:
    """How many comparisons the intervals hold for together, and what naming the highest score adds to it."""
    fraction = results.largest_fraction
    if len(results.family) > 1:
        yield (
            f"The intervals of differences and label multipliers are simultaneous: all {len(results.family)}"
            f" comparisons hold together with 95 % (each alone with {100 * (1 - results.level):.1f} %)."
        )
    if fraction is not None and len(results.at(fraction)) > 1 and results.winner_bias(fraction) >= NOTABLE_BIAS:
        yield (
            f"The highest of {len(results.at(fraction))} scores is named after looking: by chance alone that adds"
            f" about {points(results.winner_bias(fraction))} to it on average."
        )


def of_length(results: Results) -> Iterator[str]:
    """That a budget made the trainings shorter than the recipe's, for which differences may be others."""
    if results.study.shortened:
        yield (
            f"Each training is short: {results.study.shortened}. What longer training would change is not measured"
            " here: the differences to training from scratch may be smaller then."
        )


def of_scratch(results: Results) -> Iterator[str]:
    """That the settings from random weights have a recipe of their own: differences to the others are not only those
    of weights."""
    own = results.study.scratch_settings
    others = [each for each in results.study.settings if each not in own]
    if results.study.scratch and own:
        by = f"{listed(list(own))} {'is' if len(own) == 1 else 'are'} trained by {results.study.scratch}"
        if others:
            by += (
                f", not by the recipe of {listed(others)}: differences between these compare two ways to train, network"
                " and schedule included, not the weights alone"
            )
        yield f"{by}. --recipe with a recipe's name trains all settings by that one."


def of_given_weights(results: Results) -> Iterator[str]:
    """That nobody can say whether given weights have seen the evaluation images."""
    study = results.study
    settings = [each for each in study.settings if SETTINGS[each].given]
    if study.given_weights and settings and study.seen_by_weights is None:
        yield (
            f"{listed(settings)} {'starts' if len(settings) == 1 else 'start'} from the weights {study.given_weights}:"
            " whether images of yours were among those that they were trained on cannot be found out here; where they"
            " were, these scores are too high."
        )


def of_weights(results: Results) -> Iterator[str]:
    """How often the weights of settings were pre-trained: once, and the intervals hold for these weights, or anew."""
    found: dict[str, dict[int, int]] = {}
    for trial in results.study.trials:
        if trial.seconds_pretrain is not None and not trial.error:
            found.setdefault(trial.setting, {}).setdefault(trial.seed, trial.pretraining)
    counts = {setting: (len(set(each.values())), len(each)) for setting, each in found.items()}
    for number, seeds in sorted(set(counts.values())):
        settings = sorted(setting for setting, each in counts.items() if each == (number, seeds))
        start = f"{listed(settings)} {'rests' if len(settings) == 1 else 'rest'} on"
        if number == 1:
            anew = (
                ""
                if seeds == 1
                else f" --pretrainings {len(results.study.seeds)} in another folder pre-trains for each seed."
            )
            yield (
                f"{start} weights that were pre-trained once: the intervals hold for these weights, and leave out how"
                f" much another pre-training would differ.{anew}"
            )
        elif number < seeds:
            yield (
                f"{start} {number} pre-trainings, which {seeds} seeds share: the intervals cover another pre-training,"
                f" and {number} are what they know of it."
            )
        else:
            yield f"{start} {number} pre-trainings, one for each seed: the intervals cover another pre-training, too."


def of_selection(results: Results) -> Iterator[str]:
    """How much selecting the epoch on the evaluation images would have inflated the scores."""
    known = [trial.optimism for trial in results.study.trials if trial.optimism is not None]
    if not known:
        return
    mean = sum(known) / len(known)
    how = "inflated the scores by" if mean > NOTABLE_OPTIMISM else "hardly changed the scores:"
    yield (
        "No image is scored by an epoch that it helped to select (cross-fitting). Selecting and scoring on the same"
        f" images would have {how} {points(mean)} on average over the trials."
    )


def of_folds(results: Results) -> Iterator[str]:
    """What cross-validation evaluates, and how its overlapping training sets are allowed for."""
    folds, images = results.study.folds, results.study.images
    if folds > 1 and images:
        yield (
            f"Cross-validation: each of the {images:,} images is evaluated once per seed, by trainings on the other"
            f" {folds - 1} of {folds} parts. These trainings share images, so the variance between images counts"
            f" {folds / (folds - 1):.3g} times."
        )
    elif 0 < images < FEW_IMAGES and results.study.split_made and results.study.metric == "accuracy":
        yield (
            f"{images:,} validation images are few, and headstart split them off itself: --folds 5 in another folder"
            " evaluates on all images."
        )


def of_tuning(results: Results) -> Iterator[str]:
    """Label fractions whose learning rates were selected with more labels than they have."""
    more: dict[float, set[float]] = {}
    for trial in results.study.trials:
        at = 1.0 if trial.tuned_at is None else trial.tuned_at
        if trial.tried and at > trial.fraction:
            more.setdefault(at, set()).add(trial.fraction)
    for at, fractions in sorted(more.items()):
        yield (
            f"The learning rates used with {listed([percent(each) for each in sorted(fractions)])} of the labels were"
            f" selected with {'all labels' if at == 1 else percent(at)}: whoever has so few labels cannot select them"
            " so well."
        )


def of_seeds(results: Results) -> Iterator[str]:
    """Results that rest on one seed."""
    lines = results.lines
    single = [line for line in lines if line.seeds == 1]
    if single and len(single) == len(lines):
        only = "the confidence intervals cover the choice of images, not the randomness of training."
        if len(results.study.seeds) == 1:
            yield f"One seed per trial: {only} Three seeds would cover both."
        else:
            yield f"One seed so far: {only} The next seeds will cover both."
    elif single:
        yield (
            f"{len(single)} of {len(lines)} results rest on one seed so far: their confidence intervals cover the"
            " choice of images only."
        )


def of_excluded(results: Results) -> Iterator[str]:
    """Images excluded from pre-training because they (nearly) duplicate an evaluation image."""
    for excluded in results.study.excluded:
        if excluded.images:
            yield (
                f"Excluded from pre-training: {excluded.images:,} of {excluded.of:,} training images of"
                f" {excluded.folder}, duplicates or near-duplicates of evaluation images."
            )
        else:
            yield (
                f"None of the {excluded.of:,} training images of {excluded.folder} duplicates, or nearly duplicates, an"
                " evaluation image."
            )
