"""What a study trains where nothing else is asked for: recipes, label fractions, and where learning rates are tuned."""

from __future__ import annotations

from collections import Counter

from headstart.data.dataset import Dataset
from headstart.data.requirements import smallest_side, window_within
from headstart.recipes.recipe import Data, Recipe, load, override

FRACTIONS = (0.05, 0.1, 0.25, 0.5, 1.0)
"""Label fractions of a study by default."""
SCRATCH = "scratch-quick"
"""The recipe of setting A beside `quick`: the best known in minutes from random weights."""
SCRATCH_IMAGES = 400_000
"""Images that it trains on in all: `SCRATCH_EPOCHS` at most of the training images."""
SCRATCH_EPOCHS = 60
SCRATCH_FEW, SCRATCH_BATCH = 10_000, 64
"""Training images below which it takes smaller batches, for more steps: 8 epochs of 3,068 photographs of clothing give
72 % with 64 and 69 % with 128 images in a batch."""
LEAST_HOLDOUT = 10
"""Labels that a learning rate is selected on, at least."""


def default_fractions(dataset: Dataset, recipe: Recipe) -> tuple[float, ...]:
    """The `FRACTIONS` that leave every class at least one training image; with masks, two images in all."""
    if recipe.task == "segment":
        count = len(dataset.index(recipe.data, "mask").positions("train"))
        return tuple(fraction for fraction in FRACTIONS if fraction * count >= 1.5)
    fewest = min(dataset.index(recipe.data).counts("train").values())
    return tuple(fraction for fraction in FRACTIONS if fraction * fewest >= 0.5)


def default_recipe(dataset: Dataset) -> str:
    """The shipped recipe of the trials for this data set."""
    return "segment-quick" if dataset.target(Data()) == "mask" else "quick"


def default_window(dataset: Dataset, recipe: Recipe) -> dict[str, int]:
    """Override of a default recipe's windows where training images are smaller than they are; else nothing."""
    side = smallest_side(dataset.scan(recipe.data)) if recipe.data.resize == "keep" else None
    return {} if side is None or side >= recipe.data.image_size else {"data.image_size": window_within(side)}


def default_scratch(dataset: Dataset, recipe: Recipe) -> Recipe | None:
    """The recipe of setting A where ``recipe`` is the default one; None with masks, where it is that of the others.

    A large network made for fine-tuning learns next to nothing from random weights in the time that fine-tuning takes,
    and would make any pre-training look good.
    """
    if recipe.task == "segment":
        return None
    scratch = load(SCRATCH)
    images = max(1.0, sum(_training_labels(dataset, recipe)))
    epochs = min(SCRATCH_EPOCHS, max(scratch.train.epochs, round(SCRATCH_IMAGES / images)))
    batch = SCRATCH_BATCH if images < SCRATCH_FEW else scratch.train.batch_size
    return override(scratch, {"train.epochs": epochs, "val.every": epochs, "train.batch_size": batch})


def default_pretraining(recipe: Recipe) -> str:
    """The shipped recipe of self-supervised pre-training for these trials."""
    return "byol-tiles" if recipe.task == "segment" else "emp-ssl-quick"


def tune_from(dataset: Dataset, recipe: Recipe, fractions: tuple[float, ...]) -> float:
    """The smallest of the label fractions whose labels suffice to select a learning rate on a part of them; else 1.

    That is `LEAST_HOLDOUT` labels held out of them, and with classes two labels of each.
    """
    counts = _training_labels(dataset, recipe)
    enough = (
        each
        for each in fractions
        if each * recipe.data.val_fraction * sum(counts) >= LEAST_HOLDOUT and each * min(counts) >= 1.5
    )
    return min(enough, default=1.0)


def _training_labels(dataset: Dataset, recipe: Recipe) -> list[float]:
    """About how many training images each class has, or all in one, with masks; from the names of the files alone."""
    index, held_out = dataset.scan(recipe.data), recipe.data.val_fraction
    share = 1.0 if index.positions("val") else 1 - held_out
    labels = (label for label, split in zip(index.labels, index.splits, strict=True) if split in ("", "train"))
    return [share * count for count in Counter(labels).values()] or [0.0]
