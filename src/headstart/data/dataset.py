"""A data set opened once: its folder is scanned once, and its images are decoded once per data configuration.

A study hands one `Dataset` to all of its trials; a single run opens its own.
"""

from __future__ import annotations

import os
from typing import Any, Literal

from headstart.data.checks.duplicate_sets import duplicate_sets
from headstart.data.index import Index, group_by
from headstart.data.layouts import Choice, scan
from headstart.data.pair_index import without_masks
from headstart.data.parallel import Progress
from headstart.data.pixels import Pixels, decode
from headstart.data.splits import holdout_from_train, to_training_index
from headstart.recipes.recipe import Data

Target = Literal["label", "mask", "none"]
"""What a task learns from: a class per image, a mask, or the images alone."""
UNUSED = {"label_fraction", "exclude_overlap_with"}
"""Fields of `Data` that select training rows later, and change neither the index nor the pixels."""


class Dataset:
    """The images below one folder, for any number of recipes.

    Scans, indexes and decoded pixels are kept in memory (the pixels are memory-mapped): files that are added, removed
    or changed afterwards go unnoticed. Pickled for another process, it takes its indexes along and not its pixels,
    which are found there in the pixel cache.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = os.fspath(root)
        """The folder (or CSV file), as the user named it."""
        self._opened: dict[str, Dataset] = {self.root: self}
        self._scanned: dict[Choice, Index] = {}
        self._indexes: dict[tuple[str, str], Index] = {}
        self._pixels: dict[tuple[str, str], Pixels] = {}

    def __str__(self) -> str:
        return self.root

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_pixels": {}}

    def open(self, root: str) -> Dataset:
        """The data set in another folder: the same object for the same folder, from whichever it is opened."""
        if root not in self._opened:
            other = Dataset(root)
            other._opened = self._opened
            self._opened[root] = other
        return self._opened[root]

    def scan(self, data: Data) -> Index:
        """All images as the folder lists them (`layouts.scan`). Raises HeadstartError for an unclear layout."""
        choice = Choice(data.layout, data.columns)
        if choice not in self._scanned:
            self._scanned[choice] = scan(self.root, choice=choice)
        return group_by(self._scanned[choice], data.group_regex)

    def target(self, data: Data) -> Literal["label", "mask"]:
        """What the folder labels its images with."""
        return "mask" if self.scan(data).masks else "label"

    def index(self, data: Data, target: Target = "label", progress: Progress | None = None) -> Index:
        """The index to train on (`splits.training_index`), with a holdout for `data.validate_on=train`.

        Where headstart makes a split, it decodes every file for it, once. Raises HeadstartError, naming the class or
        file, for anything that cannot be trained on.
        """
        key = _key(data, target)
        if key not in self._indexes:
            index = to_training_index(self.scan(data), self.root, data, target, progress)
            if data.validate_on == "train":
                index = holdout_from_train(index, data.val_fraction, duplicate_sets(index, progress))
            self._indexes[key] = index
        return self._indexes[key]

    def pixels(self, data: Data, target: Target = "label", progress: Progress | None = None) -> Pixels:
        """The decoded images of `index` (`pixels.decode`). Raises HeadstartError for unreadable files."""
        key = _key(data, target)
        if key not in self._pixels:
            self._pixels[key] = decode(self.index(data, target, progress), data, progress)
        return self._pixels[key]

    def pixels_without_masks(self, data: Data, progress: Progress | None = None) -> Pixels:
        """The decoded images, with the splits of the data's own target: to find overlaps with its held-out images."""
        plain = data.model_copy(update={"validate_on": "val"})
        index = self.index(plain, self.target(plain), progress)
        if not index.masks:
            return self.pixels(plain, "label", progress)
        key = _key(plain, "without masks")
        if key not in self._pixels:
            self._pixels[key] = decode(without_masks(index), plain, progress)
        return self._pixels[key]


def open_dataset(data: str | os.PathLike[str] | Dataset) -> Dataset:
    """The dataset in a folder; ``data`` itself where it is open already."""
    return data if isinstance(data, Dataset) else Dataset(data)


def _key(data: Data, target: str) -> tuple[str, str]:
    return data.model_dump_json(exclude=UNUSED), target
