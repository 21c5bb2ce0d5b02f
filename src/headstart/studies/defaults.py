"""What a study trains where nothing else is asked for: recipes, label fractions, and where learning rates are tuned."""

from __future__ import annotations

from headstart.data.dataset import Dataset
from headstart.data.index import Index
from headstart.recipes.recipe import Data, Recipe

FRACTIONS = (0.05, 0.1, 0.25, 0.5, 1.0)
"""Label fractions of a study by default."""
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


def default_pretraining(recipe: Recipe) -> str:
    """The shipped recipe of self-supervised pre-training for these trials."""
    return "byol-tiles" if recipe.task == "segment" else "byol-quick"


def tune_from(dataset: Dataset, recipe: Recipe, fractions: tuple[float, ...]) -> float:
    """The smallest of the label fractions whose labels suffice to select a learning rate on a part of them; else 1.

    That is `LEAST_HOLDOUT` labels held out of them, and with classes two labels of each.
    """
    index = dataset.index(recipe.data, "mask" if recipe.task == "segment" else "label")
    return min((each for each in fractions if _suffices(index, each, recipe.data.val_fraction)), default=1.0)


def _suffices(index: Index, fraction: float, held_out: float) -> bool:
    images = len(index.positions("train"))
    fewest = images if index.masks else min(index.counts("train").values())
    return held_out * fraction * images >= LEAST_HOLDOUT and fraction * fewest >= 1.5
