"""One training: what the loop works on, started anew or as it stood when it was last saved."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from headstart.architecture import architecture
from headstart.checkpoint import Progress, load_checkpoint, save_checkpoint
from headstart.data.order import Rows, seed_of, steps_in_epoch, training_order
from headstart.data.pixels import Pixels, decode
from headstart.data.split import training_index
from headstart.data.thumbnails import thumbnails
from headstart.errors import HeadstartError
from headstart.optimizer import make_optimizer
from headstart.recipe import Recipe
from headstart.record import data_facts, looked_at, surroundings
from headstart.run import RunFolder, refuse_unless_free
from headstart.tasks import Task, task_named

Decoding = Callable[[int, int], None]
"""Called with (images decoded, images in all)."""


@dataclass
class Training:
    """What the loop works on."""

    recipe: Recipe
    run: RunFolder
    pixels: Pixels
    labels: Tensor
    fabric: Fabric
    task: Task
    network: Any
    """`task` as Fabric wraps it; its forward is the loss."""
    optimizer: Any
    progress: Progress

    @property
    def train_rows(self) -> Rows:
        return np.array(self.pixels.index.positions("train"), dtype=np.int64)

    @property
    def sample_rows(self) -> Rows:
        """The training images that are looked at beside the validation images: always the same, drawn by the seed."""
        order = training_order(seed_of("sample", self.recipe.seed), 0, len(self.train_rows))
        return self.train_rows[np.sort(order[: self.recipe.insight.sample])]

    @property
    def steps(self) -> int:
        """Steps per epoch."""
        return steps_in_epoch(len(self.train_rows), self.recipe.train.batch)

    def save(self) -> None:
        """Write down where the training stands."""
        if self.fabric.is_global_zero:
            state = {"task": self.task.state_dict(), "optimizer": self.optimizer.state_dict()}
            save_checkpoint(self.run, self.progress, state)


def start(recipe: Recipe, data: str, out: Path, decoding: Decoding | None = None) -> Training:
    """Everything before the first step. What can fail does so before the run folder is made.

    Raises HeadstartError for data, weights or an output folder that cannot be used.
    """
    fabric = _launch(recipe)
    if fabric.is_global_zero:
        refuse_unless_free(out)
    training, provenance = _prepare(fabric, recipe, RunFolder(out), data, decoding)
    if fabric.is_global_zero:
        facts = {**surroundings(fabric.device), "processes": fabric.world_size, "weights": provenance}
        RunFolder.create(out, recipe, facts, data_facts(training.pixels))
        seen = [*training.pixels.index.positions("val"), *training.sample_rows.tolist()]
        training.run.write("thumbnails.zip", thumbnails(training.pixels, seen))
        training.run.write_table("features/images.csv", looked_at(training.pixels.index, seen))
        training.run.write_json("architecture.json", architecture(training.task, recipe.data.size))
    fabric.barrier()
    return training


def resume(path: Path, data: str | None = None, decoding: Decoding | None = None) -> Training:
    """A run as it stood when it was last saved; ``data`` says where its images are now, if they have moved.

    Raises HeadstartError for a finished run, for other images than it began with, and for a damaged checkpoint.
    """
    run = RunFolder.open(path)
    recipe, facts = run.recipe, run.data
    if run.finished:
        raise HeadstartError(
            f"{path}: expected an unfinished run, found all {recipe.train.epochs} epochs done",
            f"headstart report {path}",
        )
    saved = load_checkpoint(run) if run.checkpoint.is_file() else None  # none: it was stopped before the first save
    none = recipe.backbone.model_copy(update={"weights": "none"})
    begun = recipe if saved is None else recipe.model_copy(update={"backbone": none})
    training, _ = _prepare(_launch(recipe), begun, run, data or facts["root"], decoding)
    if training.pixels.fingerprint != facts["fingerprint"]:
        raise HeadstartError(
            f"{data or facts['root']}: expected the images that {path} began with (fingerprint {facts['fingerprint']}),"
            f" found others ({training.pixels.fingerprint})",
            f"headstart fit {path / 'recipe.toml'} {data or facts['root']} (a new run)",
        )
    if saved is not None:
        training.progress, state = saved
        training.task.load_state_dict(state["task"])
        training.optimizer.load_state_dict(state["optimizer"])
    return training


def _launch(recipe: Recipe) -> Fabric:
    """Fabric on the devices of this machine: one, or what torchrun asked for."""
    local, world = (int(os.environ.get(name, "1")) for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
    fabric = Fabric(devices=local, num_nodes=max(1, world // local), precision=recipe.train.precision)
    fabric.launch()
    return fabric


def _prepare(
    fabric: Fabric, recipe: Recipe, run: RunFolder, data: str, decoding: Decoding | None
) -> tuple[Training, dict[str, Any]]:
    """Index, network, weights, pixels: the quick to fail first. Returns the weights' provenance too."""
    kind = task_named(recipe.task)
    index = training_index(data, recipe.data, kind.labelled)
    torch.manual_seed(seed_of("weights", recipe.seed))
    task = kind.build(recipe, index.classes)
    provenance = task.load_backbone(recipe.backbone)
    with fabric.rank_zero_first():
        pixels = decode(index, recipe.data, decoding)
    task.to(memory_format=torch.channels_last)
    network, optimizer = fabric.setup(task, make_optimizer(task, recipe.optimizer))
    labels = torch.tensor(pixels.index.labels)
    return Training(recipe, run, pixels, labels, fabric, task, network, optimizer, Progress()), provenance
