"""The plan of a study: the recipe of every trial, every pre-training and every learning-rate candidate."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from headstart.comparison.intervals import MARGIN
from headstart.comparison.metric import MetricName
from headstart.comparison.settings import SETTINGS
from headstart.comparison.trial_paths import trial_name, trial_path
from headstart.recipes.recipe import Recipe, load, override

SUPERVISED, SELF_SUPERVISED, CONTINUED = "supervised", "self-supervised", "continued"
PRETRAINING_OF = {"B": SUPERVISED, "C": SELF_SUPERVISED, "D": SUPERVISED, "E": SELF_SUPERVISED, "F": CONTINUED}
"""Setting -> the weights that its backbone starts from; the others start from random weights."""
FROM_RANDOM = "".join(letter for letter, setting in SETTINGS.items() if not setting.given)
"""The settings that know nothing but what is learned from random weights on the study's own images."""
TRIAL_ORDER = ("DG", "A", "E", "BCF")
"""Groups of settings, cheapest first, so that the first minutes give a table, with a difference to A."""
LEARNING_RATES = (1 / 3, 1.0, 3.0)
"""Candidates of a tuned learning rate, as multiples of the recipe's."""
FURTHER_RATES = (1 / 9, 1 / 27, 9.0, 27.0)
"""Further ones: each is tried where the best of those before it lies at its end of them."""
LOWER_RATES = 1 / 3
"""Further factor of these where fine-tuning starts from a linear probe, which larger steps would lead away from."""
TUNING_SHARE = 1 / 3
"""Epochs of a learning-rate candidate, as a share of the recipe's."""
FREE = ("image_size", "epochs", "start", "fractions", "seeds", "tuned", "pretraining", "pretrainings")
"""What a budget may choose. `start` is whether fine-tuning starts from a linear probe, `pretraining` the length and
image size of the self-supervised pre-training, `pretrainings` how many of them there are."""


@dataclass(frozen=True)
class Plan:
    """The grid of a study (settings x label fractions x seeds), and the recipes of its trials."""

    data: str
    """The labeled images."""
    out: Path
    """The study's folder."""
    recipe: Recipe
    """The base of every trial's recipe; its weights are the supervised ones unless there is a corpus."""
    pretraining: Recipe
    """The recipe of self-supervised pre-training."""
    settings: str
    """Letters A to G, each once."""
    fractions: tuple[float, ...]
    """Label fractions, above 0 and up to 1."""
    seeds: tuple[int, ...]
    scratch: Recipe | None = None
    """The recipe of `scratch_settings`, on the images of `recipe` (its section `data`); None: it is `recipe`."""
    scratch_settings: str = FROM_RANDOM
    """Letters; earlier versions had setting A alone."""
    tuned: bool = True
    """Tune each setting's learning rate, or its probe's L2 strength, on training images."""
    unlabeled: str | None = None
    """Images for self-supervised pre-training; None: the training images, without their labels."""
    corpus: str | None = None
    """Labeled images for supervised pre-training."""
    corpus_target: Literal["label", "mask"] = "label"
    """What the corpus labels its images with."""
    tune_from: float = 1.0
    """Learning rates are tuned within the labels of each fraction from this one on; 1: with all labels only."""
    pretrainings: int = 1
    """Pre-trainings of each kind, with seeds of their own: the i-th seed's trials start from number i modulo these."""
    folds: int = 1
    """Parts of the images that are validated on in turn; 1: the validation split alone."""
    margin: float = 100 * MARGIN
    """Points within which two settings are equivalent; not part of what is trained."""
    target_score: float | None = None
    """The score, in per cent, that more labels are forecast for; not part of what is trained."""
    requested: tuple[Recipe, Recipe] | None = None
    """`recipe` and `pretraining` as requested, where a budget has shortened them since."""
    free: frozenset[str] = frozenset()
    """What nobody asked for, so that a budget may choose it: of `FREE`."""

    @property
    def given_weights(self) -> str:
        """The weights that settings start from and the study does not train; empty without."""
        given = any(SETTINGS[each].given for each in self.settings)
        weights = self.recipe.backbone.weights
        return weights if given and self.corpus is None and weights != "none" else ""

    @property
    def by_scratch(self) -> str:
        """The settings that `scratch` trains."""
        return "" if self.scratch is None else "".join(each for each in self.settings if each in self.scratch_settings)

    @property
    def masks(self) -> bool:
        """Whether the task is semantic segmentation, with masks as labels."""
        return self.recipe.task == "segment"

    @property
    def target(self) -> Literal["label", "mask"]:
        """What the trials learn from."""
        return "mask" if self.masks else "label"

    @property
    def metric(self) -> MetricName:
        """The metric that compares settings and tunes learning rates."""
        return "miou" if self.masks else "accuracy"

    def trial_order(self) -> Iterator[tuple[int, str]]:
        """(seed, settings) in the order of training: seed by seed, the cheap settings first."""
        for seed in self.seeds:
            for group in TRIAL_ORDER:
                settings = "".join(setting for setting in group if setting in self.settings)
                if settings:
                    yield seed, settings

    def trials(self) -> Iterator[tuple[str, float, int]]:
        """(setting, fraction, seed) of every trial."""
        return itertools.product(self.settings, self.fractions, self.seeds)

    def pretrained_kinds(self) -> list[str]:
        """The kinds of weights to pre-train, in order."""
        needed = {PRETRAINING_OF[setting] for setting in self.settings if setting in PRETRAINING_OF}
        if CONTINUED in needed:
            needed.add(SUPERVISED)
        return [
            kind
            for kind in (SUPERVISED, SELF_SUPERVISED, CONTINUED)
            if kind in needed and not (kind == SUPERVISED and self.corpus is None)
        ]

    def all_pretrainings(self) -> Iterator[tuple[str, int]]:
        """Kind of weights and number of each pre-training."""
        return itertools.product(self.pretrained_kinds(), range(self.pretrainings))

    def number(self, seed: int) -> int:
        """Which pre-training the trials of a seed start from, from 0."""
        return self.seeds.index(seed) % self.pretrainings

    def tuned_settings(self) -> list[str]:
        """The settings whose learning rate is tuned."""
        return [each for each in self.settings if self.tuned and (self.masks or not SETTINGS[each].frozen)]

    def folder(self, kind: str, number: int = 0) -> Path:
        """The run folder of a pre-training."""
        return self.out / "pretrained" / f"{kind}{_suffix(number)}"

    def trial_folder(self, setting: str, fraction: float, seed: int) -> Path:
        """The run folder of a trial; with folds, that of the first."""
        return self.out / trial_path(setting, fraction, seed, self.folds)

    def weights(self, setting: str, number: int = 0) -> str:
        """The `backbone.weights` of a setting, from a pre-training of this number where they are pre-trained."""
        kind = PRETRAINING_OF.get(setting)
        if kind is None:
            return "none"
        given = kind == SUPERVISED and self.corpus is None
        return self.recipe.backbone.weights if given else str(self.folder(kind, number))

    def recipe_of(self, setting: str) -> Recipe:
        """The base of a setting's recipes; no image is larger than those of `recipe`."""
        if setting not in self.scratch_settings or self.scratch is None:
            return self.recipe
        side, own = self.recipe.data.image_size, self.scratch
        changes: dict[str, Any] = {"augment.sizes": [min(size, side) for size in own.augment.sizes]}
        changes["val.image_size"] = min(own.val.image_size or side, side)
        if setting in PRETRAINING_OF:
            changes["head.start"] = self.recipe.head.start
        return override(own.model_copy(update={"data": self.recipe.data}), changes)

    def trial(self, setting: str, fraction: float, seed: int, lr: float | None = None) -> Recipe:
        """The recipe of one trial; ``lr`` is the tuned learning rate."""
        frozen, base = SETTINGS[setting].frozen, self.recipe_of(setting)
        changes: dict[str, Any] = {
            "name": trial_name(setting, fraction, seed),
            "description": f"{SETTINGS[setting].phrase}, {fraction:.0%} of the labels",
            "seed": seed,
            "data.label_fraction": fraction,
            "backbone.weights": self.weights(setting, self.number(seed)),
            "backbone.freeze": frozen,
            **({} if setting in PRETRAINING_OF else {"backbone.freeze_stages": 0}),  # random stages would stay random
            "analysis.save_images": False,
        }
        if self.masks:  # no epoch is chosen, and there is no kNN metric
            changes |= {"checkpoint.monitor": "last", "analysis.train_samples": 0, "analysis.epochs": []}
            changes |= {"optimizer.lr": lr or base.optimizer.lr}
            changes |= {"probe.method": "sgd"} if frozen else {}
        elif not self.tuned:  # one recipe for all: the recipe chooses the epoch, and cross-fitting evaluates it
            changes["analysis.epochs"] = list(range(1, base.train.epochs + 1))
        elif frozen:
            changes |= {
                "probe.method": "logistic",
                "probe.share_features": True,
                "head.hidden": [],
                "train.epochs": 1,
                "augment.sizes": [],
            }
            changes |= {"checkpoint.monitor": "last", "analysis.epochs": []}
        else:
            changes |= {"checkpoint.monitor": "last", "optimizer.lr": lr or base.optimizer.lr}
            changes["probe.share_features"] = base.head.start == "probe"
            changes["analysis.epochs"] = base.analysis.epochs or [base.train.epochs]  # what the table reads
        return override(base, changes)

    @property
    def tuned_at(self) -> tuple[float, ...]:
        """The label fractions within whose labels learning rates are tuned."""
        return tuple(sorted(each for each in self.fractions if each >= self.tune_from)) or (1.0,)

    def tuned_for(self, fraction: float) -> float:
        """The label fraction that the learning rates of ``fraction`` come from: itself, or the next one tuned at."""
        return next((each for each in self.tuned_at if each >= fraction), self.tuned_at[-1])

    def tunings(self, setting: str, fraction: float = 1.0) -> dict[float, tuple[Path, Recipe]]:
        """Learning rate -> (run folder, recipe) of its candidate, validated on labels of this fraction held out."""
        return self._candidates(setting, fraction, LEARNING_RATES)

    def further_tunings(self, setting: str, fraction: float = 1.0) -> dict[float, tuple[Path, Recipe]]:
        """The same of those beyond both ends of `tunings`, outwards, which are tried only where the best lies there."""
        return self._candidates(setting, fraction, FURTHER_RATES)

    def _candidates(
        self, setting: str, fraction: float, factors: tuple[float, ...]
    ) -> dict[float, tuple[Path, Recipe]]:
        base = self.trial(setting, fraction, self.seeds[0])
        epochs = math.ceil(TUNING_SHARE * base.train.epochs)
        center = base.optimizer.lr * (LOWER_RATES if base.starts_from_probe() else 1)
        candidates = {}
        for factor in factors:
            lr = float(f"{center * factor:.2g}")
            changes = {
                "optimizer.lr": lr,
                "train.epochs": epochs,
                "data.validate_on": "train",
                "analysis.train_samples": 0,
            }
            name = f"{setting}{'' if fraction == 1 else f'-{fraction:g}'}-lr{lr:g}"
            recipe = override(base, {**changes, "name": name, "analysis.epochs": [epochs]})
            candidates[lr] = (self.out / "tuning" / name, recipe)
        return candidates

    def pretrain(self, kind: str, number: int = 0) -> tuple[Recipe, str]:
        """The recipe of a pre-training, and the folder of its images."""
        first = self._corpus_recipe if kind == SUPERVISED else self.pretraining
        common = {"name": f"{kind}-pretraining{_suffix(number)}", "analysis.save_images": False}
        common |= {"seed": first.seed + number}
        if kind == SUPERVISED:
            assert self.corpus is not None
            scratch = {"backbone.weights": "none", "backbone.freeze_stages": 0, "checkpoint.monitor": "last"}
            scratch["data.exclude_overlap_with"] = self.data
            return override(first, {**common, **scratch}), self.corpus
        base = self.recipe_of("F" if kind == CONTINUED else "C")
        changes: dict[str, Any] = {
            "backbone.name": base.backbone.name,
            "backbone.weights": self.weights("B", number) if kind == CONTINUED else "none",
            "augment.mean": list(base.augment.mean),
            "augment.std": list(base.augment.std),
            "data.val_fraction": base.data.val_fraction,  # the same images must be held out as in the trials
            "data.skip_unreadable": base.data.skip_unreadable,
        }
        if base.data.fold is not None:
            changes["data.fold"] = list(base.data.fold)
        if base.data.group_regex is not None:
            changes["data.group_regex"] = base.data.group_regex
        if self.masks:  # without its masks the data may hold out other images
            changes["data.exclude_overlap_with"] = self.data
        if self.unlabeled is None:
            return override(self.pretraining, {**common, **changes}), self.data
        return override(self.pretraining, {**common, **changes, "data.exclude_overlap_with": self.data}), self.unlabeled

    @cached_property
    def _corpus_recipe(self) -> Recipe:
        """The trials' recipe; for segmentation with a corpus of one class per image, `quick` with their backbone."""
        if not self.masks or self.corpus_target == "mask":
            return self.recipe
        base = self.recipe
        changes = {
            "backbone.name": base.backbone.name,
            "augment.mean": list(base.augment.mean),
            "augment.std": list(base.augment.std),
            "data.skip_unreadable": base.data.skip_unreadable,
            "train.precision": base.train.precision,
        }
        return load("quick", changes)


def _suffix(number: int) -> str:
    """What tells a pre-training's name from that of the first: nothing, ``-2``, ``-3``."""
    return f"-{number + 1}" if number else ""
