"""The run folder: the only thing that passes between training and everything after it.

    recipe.toml            complete, every default written out
    environment.json       versions, device, the weights' provenance and SHA-256
    data.json              fingerprint, classes, counts, where the images were
    trained_on.txt         BLAKE2b-128 of every training image's file, so that `evaluate` can leave them out
    metrics.csv            a row per epoch and split
    predictions.csv        validation images at the best epoch: file, label, prediction, probabilities; only
                           of a task that answers with classes
    confusion.safetensors  validation images at the best epoch: pixels by class and predicted class, (N, K, K), the
                           images in their order; only of a task that answers with masks
    masks/                 of it too, validation images to look at: images, truth, what was predicted after some
                           epochs (epoch-0001) and by the best weights (best); in PNG files whose numbers are places
                           in data.json's palette
    architecture.json      the network: its stages, shapes and parameters
    features/images.csv    the images that are looked at over time: validation, and a sample of training
    features/epoch-0001.safetensors   what the network saw in them after an epoch: features and probabilities
    thumbnails.zip         these images, small, so that a report needs nothing but this folder
    weights/best.safetensors, weights/last.safetensors
    resume/checkpoint.pt   while unfinished: optimizer, schedule position, rows so far
    insight/               derived: maps and measures of the features (headstart map)
    report.html            derived; both may be deleted and made again

Every file is written under a temporary name, flushed, and renamed: a reader sees the old file or the new
one, never half of one. This module does not import torch.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.errors import HeadstartError
from headstart.files import Row, read_table, table, write_atomically
from headstart.palette import Palette
from headstart.recipes import recipe as recipes
from headstart.recipes.recipe import Recipe


@dataclass(frozen=True)
class RunFolder:
    """A run on disk. Reading it needs nothing outside the folder."""

    path: Path

    @staticmethod
    def create(path: Path, recipe: Recipe, environment: Mapping[str, Any], data: Mapping[str, Any]) -> RunFolder:
        """A new run folder with what is known before the first step. Nothing is left behind on failure."""
        refuse_unless_free(path)
        existed = path.exists()
        run = RunFolder(path)
        try:
            run.write_json("environment.json", environment)
            run.write_json("data.json", data)
            # The recipe comes last: a folder with a recipe is a run.
            run.write("recipe.toml", recipe.to_toml().encode())
        except HeadstartError:
            if not existed and path.is_dir():
                for file in path.iterdir():
                    file.unlink()
                path.rmdir()
            raise
        return run

    @staticmethod
    def open(path: str | os.PathLike[str]) -> RunFolder:
        """The run at ``path``, or a HeadstartError when there is none."""
        folder = Path(path)
        if not folder.is_dir():
            raise HeadstartError(f"{folder}: expected a run folder, found no such folder", "headstart fit quick DATA")
        missing = [n for n in ("recipe.toml", "data.json", "environment.json") if not (folder / n).is_file()]
        if missing:
            raise HeadstartError(
                f"{folder}: expected a run folder, found no {missing[0]} in it", "headstart fit quick DATA"
            )
        return RunFolder(folder)

    def write(self, name: str, content: bytes | memoryview) -> None:
        write_atomically(self.path / name, content)

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        self.write(name, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())

    def write_table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        self.write(name, table(rows))

    def _read_json(self, name: str) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise HeadstartError(f"{self.path / name}: cannot be read ({error})", "headstart fit quick DATA") from None
        return content

    @property
    def recipe(self) -> Recipe:
        return recipes.load(str(self.path / "recipe.toml"))

    @property
    def environment(self) -> dict[str, Any]:
        return self._read_json("environment.json")

    @property
    def data(self) -> dict[str, Any]:
        return self._read_json("data.json")

    @property
    def architecture(self) -> dict[str, Any] | None:
        """The network as it is drawn; None in a run that did not write it down."""
        return self._read_json("architecture.json") if (self.path / "architecture.json").is_file() else None

    @property
    def probe(self) -> dict[str, Any]:
        """What was chosen for a logistic probe: ``C``, ``held_out_accuracy``, ``seconds``."""
        return self._read_json("probe.json")

    @property
    def classes(self) -> list[str]:
        """Class names, in the order of the network's outputs."""
        return list(self.data["classes"])

    @property
    def palette(self) -> Palette | None:
        """The classes of the masks that the network answers with; None where it answers with none."""
        content = self.data.get("palette")
        return None if content is None else Palette.from_json(content)

    @property
    def metrics(self) -> list[Row]:
        """One row per finished epoch and split; empty before the first epoch ends."""
        path = self.path / "metrics.csv"
        return read_table(path) if path.is_file() else []

    @property
    def predictions(self) -> list[dict[str, str]]:
        """The validation images at the best epoch, as text (a class may be called ``1e3``)."""
        return self._read_text_table("predictions.csv")

    @property
    def looked_at(self) -> list[dict[str, str]]:
        """The images whose features are stored, the validation images first: filename, split, label."""
        return self._read_text_table("features/images.csv")

    def _read_text_table(self, name: str) -> list[dict[str, str]]:
        path = self.path / name
        if not path.is_file():
            return []
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    @property
    def best(self) -> Path:
        return self.path / "weights" / "best.safetensors"

    @property
    def last(self) -> Path:
        return self.path / "weights" / "last.safetensors"

    @property
    def checkpoint(self) -> Path:
        return self.path / "resume" / "checkpoint.pt"

    @property
    def finished(self) -> bool:
        """Whether every epoch of the recipe was trained and written down."""
        return self.best.is_file() and not self.checkpoint.is_file() and self._epochs() == self.recipe.train.epochs

    def _epochs(self) -> int:
        return 1 + max((row["epoch"] for row in self.metrics), default=-1)

    def require_finished(self, unfinished_too: bool = False) -> None:
        """Raise HeadstartError unless the run finished; with ``unfinished_too``, unless it has any weights."""
        done, asked = self._epochs(), self.recipe.train.epochs
        if self.finished or (unfinished_too and self.best.is_file()):
            return
        others = " (or use the best weights so far: add --unfinished)" if self.best.is_file() else ""
        raise HeadstartError(
            f"{self.path}: expected a finished run, found {done} of {asked} epochs{others}",
            f"headstart fit --resume {self.path}",
        )


def mask_names(filenames: Iterable[str]) -> list[str]:
    """What the masks of images are called in a run's folder: the stem of each, numbered where two have the same."""
    names: dict[str, None] = {}
    for filename in filenames:
        name = stem = Path(filename).stem
        number = 1
        while name in names:
            number += 1
            name = f"{stem}-{number}"
        names[name] = None
    return list(names)


def write_trained_on(run: RunFolder, contents: Iterable[str]) -> None:
    """Write down the training images, by the BLAKE2b-128 of their files."""
    run.write("trained_on.txt", "".join(f"{content}\n" for content in sorted(set(contents))).encode())


def read_trained_on(run: RunFolder) -> set[str]:
    """What `write_trained_on` wrote; empty for a run of an earlier headstart."""
    path = run.path / "trained_on.txt"
    return set(path.read_text(encoding="utf-8").split()) if path.is_file() else set()


def classifier_command(run: RunFolder) -> str:
    """What to type for a classifier that begins from the run's backbone, and is shown images as that one was."""
    recipe, usual = run.recipe, recipes.load("quick").augment
    scales = {name: getattr(recipe.augment, name) for name in ("mean", "std")}
    differ = [
        f' "views.{name}=[{",".join(f"{value:g}" for value in values)}]"'
        for name, values in scales.items()
        if values != getattr(usual, name)
    ]
    return (
        f"headstart fit quick LABELED_DATA backbone.name={recipe.backbone.name} backbone.weights={run.path}"
        f"{''.join(differ)}"
    )


def best_epoch(rows: Iterable[Mapping[str, Any]], metric: str, split: str = "val") -> int | None:
    """The first epoch with the lowest ``loss`` or the highest of any other metric; None without rows.

    ``metric`` may be a recipe's `checkpoint.monitor`: `val_loss`, `val_accuracy`, `val_miou`, or `last` for the last epoch
    there is.
    """
    if metric == "last":
        return max((int(row["epoch"]) for row in rows if row["split"] == split), default=None)
    metric = metric.removeprefix("val_")
    kept = [row for row in rows if row["split"] == split and metric in row]
    if not kept:
        return None
    sign = 1 if metric == "loss" else -1
    return int(min(kept, key=lambda row: (sign * row[metric], row["epoch"]))["epoch"])


def refuse_unless_free(path: Path) -> None:
    """Raise HeadstartError unless a run can be created at ``path``: absent or empty, and writable."""
    if (path / "recipe.toml").exists():
        raise HeadstartError(
            f"{path}: expected a free folder for the run, found another run",
            f"headstart fit --resume {path}, or choose another --out",
        )
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise HeadstartError(
            f"{path}: expected a free folder for the run, found {'files in it' if path.is_dir() else 'a file'}",
            "choose another --out",
        )
    parent = next(p for p in (path, *path.absolute().parents) if p.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise HeadstartError(f"{parent}: expected a folder that can be written, found none", "choose another --out")
