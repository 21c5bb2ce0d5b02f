"""The run folder: the only contract between training and everything after it.

    recipe.toml            complete, every default written out
    environment.json       format version of the folder, package versions, device, provenance of the weights
    data.json              fingerprint, classes, counts, where the images were, ranges of values of more than 8 bits
    trained_on.txt         `headstart.runs.training_images`: so that `evaluate` can exclude them
    held_out.json, groups.json    likewise, where headstart made the split, and where images have groups
    metrics.csv            a row per epoch and split
    predictions.csv        `headstart.runs.predictions`; only of a task that predicts classes
    confusion.safetensors  `headstart.runs.confusion`; only of a task that predicts masks
    masks/                 `headstart.runs.mask_snapshots`; likewise
    architecture.json      the network: its stages, shapes and parameters
    probe.json             what was chosen for a logistic probe; only of one
    features/              `headstart.runs.features`
    heat-maps.zip          `headstart.runs.heat_maps`; only of a task that predicts classes
    thumbnails.zip         `headstart.runs.thumbnails`
    weights/best.safetensors, weights/last.safetensors
    checksums.json         `headstart.runs.checksums`: tells damaged files
    resume/                while unfinished: checkpoint.pt (optimizer, schedule position, rows so far)
    .lock                  while a process writes into the folder: `headstart.runs.lock`
    analysis/              derived: `headstart.runs.analysis` (headstart map)
    labels-to-check.csv    derived: `headstart.runs.label_errors` (headstart labels)
    report.html, figures/  derived; all of these may be deleted and made again

Every file is written under a temporary name, flushed, and renamed: a reader finds the old file or the new one, never
half of one. This module does not import torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from headstart.errors import HeadstartError, quoted
from headstart.file_memory import require_room_for_json
from headstart.files import Row, json_bytes, table, write_atomically
from headstart.palette import Palette
from headstart.recipes import recipe as recipes
from headstart.recipes.recipe import Recipe
from headstart.runs import facts, lifecycle
from headstart.runs.checksums import recorded, require_unchanged
from headstart.runs.folder_format import FORMAT, other_format
from headstart.runs.lifecycle import refuse_unless_free
from headstart.runs.lock import NAME as LOCK
from headstart.runs.lock import own
from headstart.runs.tables import metric_rows, text_rows
from headstart.value_range import ValueRanges


@dataclass(frozen=True)
class RunFolder:
    """A run on disk. Reading it needs nothing outside the folder."""

    path: Path

    @staticmethod
    def create(
        path: Path,
        recipe: Recipe,
        environment: Mapping[str, Any],
        data: Mapping[str, Any],
        write_rest: Callable[[RunFolder], object] | None = None,
    ) -> RunFolder:
        """Make a run folder with what is known before the first step; ``write_rest`` writes what else belongs to it.

        It becomes a run in one step. On failure nothing is left behind; what a dead process leaves is nobody's.
        """
        with own(path):
            refuse_unless_free(path)
            run = RunFolder(path)
            try:
                lifecycle.begin(path)
                run.write_json("environment.json", {"format": FORMAT, **environment})
                run.write_json("data.json", data)
                if write_rest is not None:
                    write_rest(run)
                # The recipe comes last, in one step: a folder with a recipe is a run.
                run.write("recipe.toml", recipe.to_toml().encode())
            except BaseException:  # Ctrl-C as well
                lifecycle.clear(path)
                raise
            lifecycle.born(path)
        return run

    @staticmethod
    def open(path: str | os.PathLike[str]) -> RunFolder:
        """Open the run at ``path``. Raises HeadstartError when there is none, or one of another format."""
        folder = Path(path)
        lifecycle.require_folder(folder)
        if lifecycle.is_cut_short(folder) or (lifecycle.is_free(folder) and (folder / LOCK).exists()):
            raise HeadstartError(
                f"{folder}: expected a run folder, found a start that was stopped before its first step",
                "the headstart fit command that began it, again",
            )
        lifecycle.require_run(folder)
        run = RunFolder(folder)
        if run.environment.get("format") != FORMAT:
            raise other_format(folder, run.environment, run.data)
        return run

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
        return f"copy the run again, or headstart fit {quoted(self.path / 'recipe.toml')} DATA --out NEW_RUN"

    @property
    def write_again(self) -> str:
        """What helps against a damaged file of those that are known before the first step: a hint."""
        return f"copy the run again, or remove the file, then headstart fit --resume {quoted(self.path)}"

    def facts(
        self, name: str, kind: type[BaseModel], hint: str = "", *, optional: bool = False
    ) -> dict[str, Any] | None:
        """The values of a JSON file; None without it. Raises HeadstartError for other values than those of ``kind``."""
        require_room_for_json(self.path / name, hint or self.copy_again)
        content = self.read(name, hint, optional=optional)
        try:
            return None if content is None else facts.parse(content, kind)
        except ValueError as error:
            raise HeadstartError(
                f"{self.path / name}: expected what headstart writes, found another content ({error})",
                hint or self.copy_again,
            ) from None

    @property
    def recipe(self) -> Recipe:
        self.has("recipe.toml")
        return recipes.load_complete(self.path / "recipe.toml", self.copy_again)

    @property
    def environment(self) -> dict[str, Any]:
        return self.facts("environment.json", facts.Environment) or {}

    @property
    def data(self) -> dict[str, Any]:
        return {"fingerprint": "", "counts": {}, **(self.facts("data.json", facts.Data) or {})}

    @property
    def architecture(self) -> dict[str, Any] | None:
        """The network's stages, shapes and parameters; None in a run without the file."""
        return self.facts("architecture.json", facts.Architecture, self.write_again)

    @property
    def probe(self) -> dict[str, Any]:
        """Hyper-parameters chosen for a logistic probe: ``C``, ``held_out_accuracy``, ``seconds``; empty without."""
        return self.facts("probe.json", facts.Probe) or {}

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
        name, content = "predictions.csv", self.read("predictions.csv")
        return [] if content is None else text_rows(content, self.path / name, ("filename", "label"), self.copy_again)

    @property
    def feature_images(self) -> list[dict[str, str]]:
        """The images whose features are stored, the validation images first: filename, split, label.

        Empty where `features/` was removed, to make room.
        """
        removed = not (self.path / "features").exists()
        name = "features/images.csv"
        content = self.read(name, self.write_again, optional=removed)
        columns = ("filename", "split", "label")
        return [] if content is None else text_rows(content, self.path / name, columns, self.write_again)

    @property
    def best(self) -> Path:
        return self.path / "weights" / "best.safetensors"

    @property
    def last(self) -> Path:
        return self.path / "weights" / "last.safetensors"

    @property
    def checkpoint(self) -> Path:
        return self.path / lifecycle.RESUME / lifecycle.CHECKPOINT

    @property
    def trained(self) -> bool:
        """Whether every epoch of the recipe is trained and saved: the weights are final."""
        if self.best.is_dir():
            raise HeadstartError(f"{self.best}: expected a file, found a folder", self.copy_again)
        return self.best.is_file() and self._epochs() == self.recipe.train.epochs

    @property
    def finished(self) -> bool:
        """Whether everything is there: the run is trained, and maps and report are made if they were to be."""
        return self.trained and not lifecycle.is_marked_unfinished(self.path)

    def require_resumable(self) -> None:
        """Raise HeadstartError where training would overwrite the weights of a run that had finished.

        A run without its metrics, or with a part of them, that waits for nothing has finished: it was damaged since.
        """
        weights = [file for file in (self.best, self.last) if file.exists()]
        if weights and not lifecycle.is_marked_unfinished(self.path) and not self.trained:
            raise HeadstartError(
                f"{self._damage()}; training again would overwrite {weights[0]}",
                f"copy the file back, or a new run: headstart fit {quoted(self.path / 'recipe.toml')}"
                f" {quoted(self.data['root'])}",
            )

    def _damage(self) -> str:
        found, epochs = self._epochs(), self.recipe.train.epochs
        if found == epochs:
            return f"{self.best}: expected the best weights of a finished run, found no such file"
        return (
            f"{self.path / 'metrics.csv'}: expected the {epochs} epochs of a finished run, found"
            f" {found if (self.path / 'metrics.csv').is_file() else 'no such file'}"
        )

    def _epochs(self) -> int:
        return 1 + max((row["epoch"] for row in self.metrics), default=-1)

    def require_finished(self, unfinished_too: bool = False) -> None:
        """Raise HeadstartError unless the run is trained; with ``unfinished_too``, unless it has any weights."""
        if self.trained or (unfinished_too and self.best.is_file()):
            return
        if self.best.is_file() and not lifecycle.is_marked_unfinished(self.path):
            raise HeadstartError(self._damage(), "add --unfinished, which uses its weights as they are")
        others = " (or use the best weights so far: add --unfinished)" if self.best.is_file() else ""
        done, epochs = self._epochs(), self.recipe.train.epochs
        raise HeadstartError(
            f"{self.path}: expected a finished run, found {done} of {epochs} epochs{others}",
            f"headstart fit --resume {quoted(self.path)}",
        )


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
        f"headstart fit quick LABELED_DATA backbone.name={recipe.backbone.name} backbone.weights={quoted(run.path)}"
        f"{''.join(differ)}"
    )
