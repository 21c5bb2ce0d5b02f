"""Races of made-up predictions."""

from __future__ import annotations

from typing import Any

import numpy as np

from headstart.comparison.race_file import Backbone, Race, RaceTrial
from headstart.comparison.race_results import RaceResults

FRACTIONS = (0.25, 1.0)


def make_race(
    frozen: dict[str, float], tuned: dict[str, float] | None = None, images: int = 400, **more: Any
) -> RaceResults:
    """A race of made-up predictions, correct with these shares; the first is the recipe's default."""
    random = np.random.default_rng(0)
    easy = random.random(images)
    trials: list[dict[str, Any]] = []
    for name, share in frozen.items():
        for fraction in FRACTIONS:
            for seed in (0, 1) if fraction < 1 else (0,):
                correct = easy + 0.1 * random.normal(size=images) < share - 0.1 * (fraction < 1)
                trials.append(
                    {"backbone": name, "setting": "D", "fraction": fraction, "seed": seed, "correct": correct}
                )
    for name, share in (tuned or {}).items():
        correct = easy + 0.1 * random.normal(size=images) < share
        trials.append({"backbone": name, "setting": "B", "fraction": 1.0, "seed": 0, "correct": correct})
    fields: dict[str, Any] = {
        "name": "race",
        "data": "photos",
        "classes": 3,
        "majority_baseline": 0.4,
        "split": "val",
        "groups": None,
        "image_size": 64,
        "fractions": FRACTIONS,
        "seeds": (0, 1),
        "fine_tune": tuned is not None,
        "margin": 0.02,
        "fingerprint": "",
        "backbones": tuple(
            Backbone(name=name, network="resnet18", weights="imagenet", default=not number, logme=share)
            for number, (name, share) in enumerate(frozen.items())
        ),
        "trials": tuple(RaceTrial(labels=round(800 * each["fraction"]), **each) for each in trials),
        "finished": True,
    }
    return RaceResults(Race(**(fields | more)))
