"""Run + images -> labels with probabilities: the same pixels, arithmetic and batches as the validation in `fit`."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from headstart.data.csv_index import read_rows, require_column
from headstart.data.index import UNLABELED, Index, images_below, natural_key
from headstart.data.layouts import scan
from headstart.data.pixels import Pixels, decode, stream
from headstart.data.sampling import Rows, batches
from headstart.data.splits import make_val_split
from headstart.errors import HeadstartError, did_you_mean
from headstart.files import Row
from headstart.models.run_weights import read_weights
from headstart.palette import Palette
from headstart.recipes.recipe import Recipe
from headstart.runs.folder import RunFolder, classifier_command, read_trained_on
from headstart.tasks import Task, task_named
from headstart.transforms.augment import eval_transform

Progress = Callable[[int, int], None]
"""Called with (images done, images in all)."""


@dataclass(frozen=True)
class Model:
    """A trained network, ready to look at images."""

    task: Task
    recipe: Recipe
    classes: tuple[str, ...]
    device: torch.device
    palette: Palette | None = None
    """Of a network that answers with masks."""

    @property
    def mixed(self) -> bool:
        """Whether it computes in bfloat16 where that is exact enough, as it was trained."""
        return self.recipe.train.precision == "bf16-mixed"

    @torch.inference_mode()
    def probabilities(self, pixels: torch.Tensor) -> NDArray[np.float32]:
        """uint8 (B, 3, S, S), S = ``recipe.data.size`` -> float32 (B, C); of masks (B, 3, H, W) -> (B, K, H, W)."""
        images = eval_transform(pixels.to(self.device), self.recipe.augment)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.mixed):
            answer: NDArray[np.float32] = self.task.predict(images).cpu().numpy()
        return answer


@dataclass(frozen=True)
class Predictions:
    """What a model says of some files."""

    classes: tuple[str, ...]
    files: tuple[Path, ...]
    """Those that could be read, in the order asked."""
    probabilities: NDArray[np.float32]
    """(N, C), a row per file."""
    unreadable: tuple[tuple[Path, str], ...]
    """(file, reason)."""

    @property
    def labels(self) -> list[str]:
        """The likeliest class of each file, as it stood in the training data."""
        return [self.classes[best] for best in self.probabilities.argmax(axis=1)]

    def rows(self, probabilities: bool = False) -> list[Row]:
        """A row per file: ``filename`` (without its folder) and ``label``, and if asked a column per class."""
        return [
            {"filename": file.name, "label": label, **(self._columns(each) if probabilities else {})}
            for file, label, each in zip(self.files, self.labels, self.probabilities, strict=True)
        ]

    def _columns(self, each: NDArray[np.float32]) -> Row:
        return {f"probability_{name}": f"{p:.6g}" for name, p in zip(self.classes, each, strict=True)}


@dataclass(frozen=True)
class Evaluation:
    """Labels and probabilities of the images of one split."""

    split: str
    """`val`, `test`, `train`, or `all` where the data has no split that the run knows."""
    paths: tuple[str, ...]
    """Relative to the folder."""
    labels: NDArray[np.int64]
    """(N,): positions in the run's classes."""
    probabilities: NDArray[np.float32]
    """(N, C)"""
    excluded: int = 0
    """Images that the run was trained on."""


def load(run: RunFolder, unfinished: bool = False) -> Model:
    """The best weights of a run.

    Raises HeadstartError unless it finished, or ``unfinished`` ones are asked for, and for a run without answers.
    """
    recipe, classes = run.recipe, tuple(run.classes)
    if task_named(recipe.task).target == "none":
        raise HeadstartError(
            f"{run.path}: expected a run that answers with classes, found the task {recipe.task}, which has none;"
            " train a classifier from its weights",
            classifier_command(run),
        )
    run.require_finished(unfinished)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    task = task_named(recipe.task).build(recipe, classes)
    task.load_weights(read_weights(run))
    task.eval().to(device).to(memory_format=torch.channels_last)
    return Model(task, recipe, classes, device, run.palette)


def predict(model: Model, files: Sequence[Path], progress: Progress | None = None) -> Predictions:
    """Look at ``files``; those that cannot be read are named and left out."""
    settings = model.recipe.data
    found: list[int] = []
    answers = [np.empty((0, len(model.classes)), np.float32)]
    unreadable: list[tuple[Path, str]] = []
    for positions, pixels, faults in stream(files, settings.image_size, settings.resize, model.recipe.val.batch_size):
        if positions:
            answers.append(model.probabilities(pixels))
        found += positions
        unreadable += [(files[position], reason) for position, reason in faults]
        if progress is not None:
            progress(len(found) + len(unreadable), len(files))
    return Predictions(model.classes, tuple(files[i] for i in found), np.concatenate(answers), tuple(unreadable))


def find_images(places: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The image files that folders, patterns (``photos/*.jpg``) and names mean, folders in natural order.

    Raises HeadstartError for a place where there is none.
    """
    files: list[Path] = []
    for place in places:
        path = Path(place)
        if path.is_dir():
            found = [path / name for name in sorted(images_below(path), key=natural_key)]
        elif path.exists():
            found = [path]
        else:
            found = [Path(name) for name in sorted(glob.glob(str(place), recursive=True), key=natural_key)]  # noqa: PTH207
        if not found:
            raise HeadstartError(f"{place}: expected images, found none", f"ls {path.parent}")
        files += found
    return files


def predict_table(
    table: Path, model: Model, folder: Path, progress: Progress | None = None
) -> tuple[list[Row], Predictions]:
    """The rows of a CSV with a ``filename`` column, ``label`` filled in (empty where the file cannot be read,
    or none is named).

    The names are relative to ``folder``; the other columns are carried over.
    """
    header, lines = read_rows(table)
    require_column(table, header, "filename")
    rows = [row for _, row in lines]
    if not rows:
        raise HeadstartError(f"{table}: expected rows of images, found none", "headstart predict --help")
    names = [row["filename"].strip() for row in rows]
    answer = predict(model, [folder / name for name in dict.fromkeys(names) if name], progress)
    label_of = dict(zip(answer.files, answer.labels, strict=True))
    empty = [Path(f"{table} line {line}") for (line, _), name in zip(lines, names, strict=True) if not name]
    filled = [{**row, "label": label_of.get(folder / name, "")} for row, name in zip(rows, names, strict=True)]
    return filled, replace(answer, unreadable=(*answer.unreadable, *((row, "no filename") for row in empty)))


def evaluate(
    model: Model, run: RunFolder, data: str, split: str | None = None, progress: Progress | None = None
) -> Evaluation:
    """Look at the labeled images of ``data``: those of ``split``, or, unless one is named, at what was not trained on.

    That is the test split where there is one, else the validation split: the folder's own, or the one that `fit`
    made when these are the images it made it of. A folder with no split that the run has not seen is taken whole. In
    other images than the run's own, those that it was trained on are known by their bytes, and left out.
    """
    index = scan(data, model.recipe.data.group_regex)
    if UNLABELED in index.labels:
        raise HeadstartError(
            f"{data}: expected labeled images, found {index.layout}", f"headstart predict {run.path} {data}"
        )
    unknown = [name for name in index.classes if name not in model.classes]
    if unknown:
        raise HeadstartError(
            f"{data}: class {unknown[0]}: expected the classes of {run.path}, found one it has not learned;"
            f" {did_you_mean(unknown[0], model.classes)}",
            f"headstart check {data}",
        )
    own_split = "val" in index.splits
    pixels = decode(
        index if own_split else make_val_split(index, model.recipe.data.val_fraction), model.recipe.data, progress
    )
    index = pixels.index
    chosen, rows, left_out = select_eval_rows(run, pixels, split, own_split, data)
    answers = [model.probabilities(pixels.batch(some)) for some in batches(rows, model.recipe.val.batch_size)]
    number = [model.classes.index(name) for name in index.classes]
    labels = np.array([number[index.labels[row]] for row in rows], dtype=np.int64)
    paths = tuple(index.paths[row] for row in rows)
    return Evaluation(chosen, paths, labels, np.concatenate(answers), left_out)


def select_eval_rows(
    run: RunFolder, pixels: Pixels, split: str | None, own_split: bool, data: str
) -> tuple[str, Rows, int]:
    """What `evaluate` looks at: the split, its rows, and how many of them are left out.

    ``own_split``: whether the data came with a validation split. Raises HeadstartError where nothing is left.
    """
    own_images = pixels.fingerprint == run.data["fingerprint"]
    chosen = split or ("test" if "test" in pixels.index.splits else "val" if own_split or own_images else "all")
    asked = _rows_of(pixels.index, chosen, data)
    rows = asked if split or own_images else _not_trained_on(run, pixels, asked, data)
    return chosen, rows, len(asked) - len(rows)


def _rows_of(index: Index, split: str, data: str) -> Rows:
    rows = np.array(list(range(len(index))) if split == "all" else index.positions(split), dtype=np.int64)
    if not len(rows):
        there = ", ".join(sorted({*index.splits, "all"}))
        raise HeadstartError(
            f"{data}: expected images of the split {split}, found only {there}", "choose another --split"
        )
    return rows


def _not_trained_on(run: RunFolder, pixels: Pixels, rows: Rows, data: str) -> Rows:
    trained_on = read_trained_on(run)
    left = np.array([row for row in rows if pixels.contents[row] not in trained_on], dtype=np.int64)
    if not len(left):
        raise HeadstartError(
            f"{data}: expected images that {run.path} was not trained on, found its {len(rows)} training images",
            f"headstart evaluate {run.path} {data} --split all",
        )
    return left
