"""Warnings of a study in sentences: what may make its answer another one. Functions of numbers."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.comparison.metric import METRICS
from headstart.comparison.settings import SETTINGS
from headstart.comparison.summary import Results
from headstart.comparison.wording import label_share, listed, name
from headstart.errors import quoted
from headstart.metrics.written import score, score_with_ci

FEW_IMAGES = 100
"""Evaluation images below which only differences of ten points and more are found."""


def warnings(results: Results, data: str = "") -> list[str]:
    """All warnings, the one that changes most first.

    ``data`` is the folder of the study's images for commands that are typed from anywhere; by default as the study was
    typed.
    """
    return [
        *of_leaks(results, data),
        *of_seen_images(results),
        *of_baseline(results),
        *of_failures(results),
        *of_few_images(results),
        *of_grid_edges(results),
    ]


def of_baseline(results: Results) -> Iterator[str]:
    """Training from scratch, or every setting, that is not significantly above the majority-class baseline."""
    at = results.at(results.largest_fraction) if results.largest_fraction is not None else []
    baseline = score(results.study.majority_baseline)
    if at and not any(each.score.low > results.study.majority_baseline for each in at):
        yield (
            f"No setting is significantly above always predicting the most frequent class ({baseline}): nothing was"
            " learned that could be compared. Longer training, or more labels, come first."
        )
        return
    if results.of("A") and not results.scratch_learned:
        a = results.of("A")[-1]
        yield (
            f"{name('A')} is not significantly above always predicting the most frequent class: with {label_share(a)}"
            f" its {METRICS[results.study.metric].title} is {score_with_ci(a.score)}, that of guessing {baseline}. What"
            " others gain over it is no measure of pre-training; longer training is a fairer comparison."
        )


def of_seen_images(results: Results) -> Iterator[str]:
    """Held-out images that the given weights were trained on, so that they are no new images."""
    study = results.study
    settings = [each for each in study.settings if SETTINGS[each].given]
    if study.seen_by_weights and study.images and settings:
        split = "test" if study.split == "test" else "validation"
        yield (
            f"{study.seen_by_weights:,} of {study.images:,} {split} images are among those that the weights of"
            f" {listed(settings)} ({study.given_weights}) were trained on: these scores are too high."
        )


def of_leaks(results: Results, data: str = "") -> Iterator[str]:
    """Held-out images that were trained on: recalling them counts as recognizing them; ``data`` is their folder."""
    study, leaked = results.study, results.study.leaked
    if leaked and study.images:
        split = "test" if study.split == "test" else "validation"
        share = f"{leaked:,} of {study.images:,} {split} images ({score(leaked / study.images)})"
        yield (
            f"{share} show the same picture as a training image: scores may be too high, most of all where all weights"
            f" are trained. Next: `headstart check {quoted(data or study.data)}`, which names them."
        )


def of_failures(results: Results) -> Iterator[str]:
    """Trials that failed."""
    failed = results.study.failed
    if failed:
        names = listed(sorted({trial.setting for trial in failed}))
        yield (
            f"{len(failed)} of {results.study.planned} trials failed ({names}); the same command runs them again."
            f" The first error: {failed[0].error}"
        )


def of_few_images(results: Results) -> Iterator[str]:
    """Too few evaluation images to tell settings apart."""
    images = results.study.images
    if 0 < images < FEW_IMAGES:
        split = "test" if results.study.split == "test" else "validation"
        yield f"{images:,} {split} images are few: only large differences can be found on them."


def of_grid_edges(results: Results) -> Iterator[str]:
    """Settings whose selected learning rate is the largest or smallest tried: the optimum may lie beyond."""
    chosen = {(trial.setting, trial.chosen["lr"], trial.tried) for trial in results.study.trials if trial.tried}
    at = {
        which: {(setting, lr) for setting, lr, tried in chosen if lr == end(tried)}
        for which, end in (("largest", max), ("smallest", min))
    }
    both = {setting for setting, _ in at["largest"]} & {setting for setting, _ in at["smallest"]}
    if both:
        yield (
            f"The learning rates selected for {listed(sorted(both))} are the largest and, with other labels, the"
            " smallest tried: a wider grid may be better."
        )
    for which, beyond, size in (("largest", "larger", "large"), ("smallest", "smaller", "small")):
        for lr in sorted({lr for setting, lr in at[which] if setting not in both}):
            settings = listed(sorted(setting for setting, each in at[which] if each == lr and setting not in both))
            yield (
                f"The learning rate selected for {settings} is the {which} tried ({lr:g}): a {beyond} one may be"
                f" better. An optimizer.lr three times as {size} centers the grid there."
            )
