"""The run folder: the only contract between training and everything after it.

    recipe.toml            complete, every default written out
    environment.json       format version of the folder, package versions, device, provenance of the weights
    data.json              fingerprint, classes, counts, where the images were, ranges of values of more than 8 bits
    trained_on.txt         BLAKE2b-128 of every training image's file, so that `evaluate` can exclude them
    held_out.json          where headstart made the split: every image that is not in training, and its split
    metrics.csv            a row per epoch and split
    predictions.csv        `headstart.runs.predictions`; only of a task that predicts classes
    confusion.safetensors  `headstart.runs.confusion`; only of a task that predicts masks
    masks/                 `headstart.runs.mask_snapshots`; likewise
    architecture.json      the network: its stages, shapes and parameters
    probe.json             what was chosen for a logistic probe; only of one
    features/              `headstart.runs.features`
    thumbnails.zip         `headstart.runs.thumbnails`
    weights/best.safetensors, weights/last.safetensors
    checksums.json         `headstart.runs.checksums`: tells damaged files
    resume/checkpoint.pt   while unfinished: optimizer, schedule position, rows so far
    analysis/              derived: `headstart.runs.analysis` (headstart map)
    report.html            derived; both may be deleted and made again

Every file is written under a temporary name, flushed, and renamed: a reader finds the old file or the new one, never
half of one. This module does not import torch.
"""

from __future__ import annotations

import json
import os
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from headstart.errors import HeadstartError
from headstart.files import Row, json_bytes, table, write_atomically
from headstart.palette import Palette
from headstart.recipes import recipe as recipes
from headstart.recipes.recipe import Recipe
from headstart.runs import facts
from headstart.runs.checksums import recorded, require_unchanged
from headstart.runs.facts import parse
from headstart.runs.tables import metric_rows, text_rows
from headstart.value_range import ValueRanges

FORMAT = 2
"""Version of the folder's format, ``format`` in `environment.json`. Format 1, of headstart before 0.1.0, had none."""


@dataclass(frozen=True)
class RunFolder:
    """A run on disk. Reading it needs nothing outside the folder."""

    path: Path

    @staticmethod
    def create(path: Path, recipe: Recipe, environment: Mapping[str, Any], data: Mapping[str, Any]) -> RunFolder:
        """Make a run folder with what is known before the first step. On failure nothing is left behind."""
        refuse_unless_free(path)
        existed = path.exists()
        run = RunFolder(path)
        try:
            run.write_json("environment.json", {"format": FORMAT, **environment})
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
        """Open the run at ``path``. Raises HeadstartError when there is none, or one of another format."""
        folder = Path(path)
        if not os.path.isdir(folder):  # noqa: PTH112 (Path.is_dir raises for a name of more than 255 bytes)
            raise HeadstartError(f"{folder}: expected a run folder, found no such folder", "headstart fit quick DATA")
        missing = [n for n in ("recipe.toml", "data.json", "environment.json") if not (folder / n).is_file()]
        if missing:
            raise HeadstartError(
                f"{folder}: expected a run folder, found no {missing[0]} in it", "headstart fit quick DATA"
            )
        run = RunFolder(folder)
        run._require_format()
        return run

    def _require_format(self) -> None:
        environment = self.environment
        found = environment.get("format")
        if found == FORMAT:
            return
        by = f"headstart {environment.get('headstart', '(unknown version)')}"
        if isinstance(found, int) and found > FORMAT:
            raise HeadstartError(
                f"{self.path}: expected a run folder of format {FORMAT}, found format {found}, written by {by}",
                "pip install --upgrade headstart",
            )
        raise HeadstartError(
            f"{self.path}: expected a run folder of format {FORMAT}, found {'none' if found is None else found}: it was"
            f" written by an earlier headstart ({by})",
            f"headstart fit {self.path / 'recipe.toml'} {self.data.get('root', 'DATA')} --out NEW_RUN",
        )

    def write(self, name: str, content: bytes | memoryview) -> None:
        with recorded(self.path, name, content):
            write_atomically(self.path / name, content)

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        self.write(name, json_bytes(content))

    def write_table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        self.write(name, table(rows))

    def has(self, name: str, hint: str = "", *, optional: bool = False) -> bool:
        """Whether a file is there, as it was written; without it, False, if it was never written or is ``optional``.

        Raises HeadstartError for a file that was damaged or changed (`headstart.runs.checksums`).
        """
        return require_unchanged(self.path, name, hint or self.copy_again, optional=optional)

    def read(self, name: str, hint: str = "", *, optional: bool = False) -> bytes | None:
        """The bytes of a file that `has` finds; None without it."""
        if not self.has(name, hint, optional=optional):
            return None
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            message = f"{self.path / name}: cannot be read ({error.strerror or error})"
            raise HeadstartError(message, hint or self.copy_again) from None

    @property
    def copy_again(self) -> str:
        """What helps against a damaged file: a hint."""
        return f"copy the run again, or headstart fit {self.path / 'recipe.toml'} DATA --out NEW_RUN"

    def _read_json(self, name: str, kind: type[BaseModel]) -> dict[str, Any] | None:
        content = self.read(name)
        try:
            return None if content is None else parse(content, kind)
        except ValueError as error:
            raise HeadstartError(
                f"{self.path / name}: expected what headstart writes, found another content ({error})", self.copy_again
            ) from None

    @property
    def recipe(self) -> Recipe:
        self.has("recipe.toml")
        return recipes.load_complete(self.path / "recipe.toml", self.copy_again)

    @property
    def environment(self) -> dict[str, Any]:
        return self._read_json("environment.json", facts.Environment) or {}

    @property
    def data(self) -> dict[str, Any]:
        return {"fingerprint": "", "counts": {}, **(self._read_json("data.json", facts.Data) or {})}

    @property
    def architecture(self) -> dict[str, Any] | None:
        """The network's stages, shapes and parameters; None in a run without the file."""
        return self._read_json("architecture.json", facts.Architecture)

    @property
    def probe(self) -> dict[str, Any]:
        """Hyper-parameters chosen for a logistic probe: ``C``, ``held_out_accuracy``, ``seconds``; empty without."""
        return self._read_json("probe.json", facts.Probe) or {}

    @property
    def classes(self) -> list[str]:
        """Class names, in the order of the network's outputs."""
        return list(self.data["classes"])

    @property
    def palette(self) -> Palette | None:
        """Classes of the masks that the network predicts; None if it predicts no masks."""
        content = self.data.get("palette")
        return None if content is None else Palette.from_json(content)

    @property
    def ranges(self) -> ValueRanges:
        """Values of images of more than 8 bits that became 0 and 255 in training; of none, without such images."""
        return ValueRanges.from_json(self.data.get("ranges", {}))

    @property
    def metrics(self) -> list[Row]:
        """One row per finished epoch and split; empty before the first epoch ends."""
        content = self.read("metrics.csv")
        return [] if content is None else metric_rows(content, self.path / "metrics.csv", self.copy_again)

    @property
    def predictions(self) -> list[dict[str, str]]:
        """Rows of `predictions.csv` as text (a class may be called ``1e3``); empty before the first epoch ends."""
        return self._read_text_table("predictions.csv", ("filename", "label"))

    @property
    def feature_images(self) -> list[dict[str, str]]:
        """The images whose features are stored, the validation images first: filename, split, label.

        Empty where `features/` was removed, to make room.
        """
        removed = not (self.path / "features").exists()
        return self._read_text_table("features/images.csv", ("filename", "split", "label"), optional=removed)

    def _read_text_table(self, name: str, columns: Sequence[str], optional: bool = False) -> list[dict[str, str]]:
        content = self.read(name, optional=optional)
        return [] if content is None else text_rows(content, self.path / name, columns, self.copy_again)

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
        """Whether every epoch of the recipe was trained and saved."""
        return self.best.is_file() and not self.checkpoint.is_file() and self._epochs() == self.recipe.train.epochs

    def _epochs(self) -> int:
        return 1 + max((row["epoch"] for row in self.metrics), default=-1)

    def require_finished(self, unfinished_too: bool = False) -> None:
        """Raise HeadstartError unless the run finished; with ``unfinished_too``, unless it has any weights."""
        done, epochs = self._epochs(), self.recipe.train.epochs
        if self.finished or (unfinished_too and self.best.is_file()):
            return
        others = " (or use the best weights so far: add --unfinished)" if self.best.is_file() else ""
        raise HeadstartError(
            f"{self.path}: expected a finished run, found {done} of {epochs} epochs{others}",
            f"headstart fit --resume {self.path}",
        )


def write_trained_on(run: RunFolder, contents: Iterable[str]) -> None:
    """Write `trained_on.txt`: the BLAKE2b-128 of each training image's file, in hexadecimal digits."""
    run.write("trained_on.txt", "".join(f"{content}\n" for content in sorted(set(contents))).encode())


def read_trained_on(run: RunFolder) -> set[str]:
    """Read `trained_on.txt`; empty without the file."""
    content = run.read("trained_on.txt")
    hashes = set((content or b"").decode("ascii", "replace").split())
    if not all(len(each) == 32 and set(each) <= set(string.hexdigits) for each in hashes):
        raise HeadstartError(
            f"{run.path / 'trained_on.txt'}: expected the hash of an image in each line, found another content",
            run.copy_again,
        )
    return hashes


def write_held_out(run: RunFolder, splits: Mapping[str, str]) -> None:
    """Write `held_out.json`: path in the data folder -> split, of the images that are not in training."""
    # ASCII, for file names need not be UTF-8.
    run.write("held_out.json", (json.dumps(splits, indent=0) + "\n").encode())


def read_held_out(run: RunFolder) -> dict[str, str]:
    """Read `held_out.json`; empty without the file, as in a run on data that came with a split."""
    return run._read_json("held_out.json", facts.HeldOut) or {}


def classifier_command(run: RunFolder) -> str:
    """The command that trains a classifier from the run's backbone, its images normalized as in that run."""
    recipe, default = run.recipe, recipes.load("quick").augment
    scales = {name: getattr(recipe.augment, name) for name in ("mean", "std")}
    differ = [
        f' "augment.{name}=[{",".join(f"{value:g}" for value in values)}]"'
        for name, values in scales.items()
        if values != getattr(default, name)
    ]
    return (
        f"headstart fit quick LABELED_DATA backbone.name={recipe.backbone.name} backbone.weights={run.path}"
        f"{''.join(differ)}"
    )


def best_epoch(rows: Iterable[Mapping[str, Any]], metric: str, split: str = "val") -> int | None:
    """The first epoch with the lowest ``loss`` or the highest of any other metric; None without rows.

    ``metric`` may be a recipe's `checkpoint.monitor`: `val_loss`, `val_accuracy`, `val_miou`, or `last` for the last
    epoch.
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
