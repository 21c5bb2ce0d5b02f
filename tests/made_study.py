"""Studies with made-up figures."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from headstart.comparison.settings import SETTINGS
from headstart.comparison.study import Study, Trial

RIGHT = {"A": 0.6, "B": 0.76, "C": 0.66, "D": 0.65, "E": 0.5, "F": 0.77, "G": 0.28}
"""Share of images that a made-up study answers rightly with all labels."""
LOST = {"A": 0.35, "B": 0.15, "C": 0.3, "D": 0.06, "E": 0.06, "F": 0.15, "G": 0.03}
"""What of it is lost with each label fraction divided by ten."""


def make_study(
    settings: str = "ABCDEFG",
    fractions: tuple[float, ...] = (0.1, 0.25, 1.0),
    seeds: tuple[int, ...] = (0, 1, 2),
    images: int = 400,
    skip: Callable[[str, float, int], bool] = lambda *_: False,
    fail: Callable[[str, float, int], bool] = lambda *_: False,
    right: dict[str, float] | None = None,
    masks: bool = False,
    **more: Any,
) -> Study:
    """A study with made-up figures; ``skip`` and ``fail`` say which (setting, fraction, seed) are to come or failed.

    With ``masks`` it is judged by mean IoU, and each image has a pseudo-value.
    """
    random = np.random.default_rng(0)
    easy = random.random(images)
    trials = []
    for seed, fraction, setting in itertools.product(seeds, fractions, settings):
        if skip(setting, fraction, seed):
            continue
        place = {"setting": setting, "fraction": fraction, "labels": round(2000 * fraction), "seed": seed}
        if fail(setting, fraction, seed):
            trials.append(Trial(**place, error="<b>out of memory</b>"))
            continue
        share = (RIGHT | (right or {}))[setting] + LOST[setting] * np.log10(fraction)
        frozen = SETTINGS[setting].frozen
        each = 0.7 * easy + 0.3 * random.random(images) < np.quantile(0.7 * easy + 0.15, share)
        answers = {"correct": each, "ece": 0.05, "knn": None if setting == "A" else 0.4}
        answers["optimism"] = None if frozen else 0.012
        trials.append(
            Trial(
                **place,
                **({"scores": each + np.tile([0.2, -0.2], images)[:images]} if masks else answers),
                chosen={"l2": 0.1} if frozen else {"lr": 0.001 * (1 + seed % 2)},
                seconds_pretrain=3600.0 if setting in "CE" else None,
                seconds_tune=5.0,
                seconds_train=20.0 if frozen else 600.0,
                images_seen=0 if frozen else 60_000,
            )
        )
    about = {"data": "photos", "classes": 10, "majority_baseline": 0.2} | more
    about |= {"metric": "miou" if masks else "accuracy"}
    return Study(settings=tuple(settings), fractions=fractions, seeds=seeds, trials=tuple(trials), **about)
