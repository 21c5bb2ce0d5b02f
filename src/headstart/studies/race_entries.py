"""The backbones of a race: from what was typed to a network with its weights."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import timm
import torch

from headstart.errors import HeadstartError
from headstart.models.backbones import default_image_size
from headstart.models.weights import LITES
from headstart.recipes.recipe import Recipe, override
from headstart.runs.folder import RunFolder
from headstart.runs.training_images import run_of
from headstart.tasks import Task, task_named

HELP = "--backbones tf_efficientnet_lite0,resnet18.tv_in1k,runs/mine,resnet50=FILE.safetensors"
TIMED = 16
"""Images of the batch that the speed is timed on."""


@dataclass(frozen=True)
class Entry:
    """A backbone with its weights."""

    name: str
    """As it was typed."""
    recipe: Recipe
    """The recipe of a probe on it: its network, weights and normalization, frozen."""
    default: bool = False
    """Whether it is the backbone of the recipe."""

    @property
    def key(self) -> tuple[str, str]:
        return self.recipe.backbone.name, self.recipe.backbone.weights


@dataclass(frozen=True)
class Failed:
    """A backbone that cannot take part, and why."""

    name: str
    error: HeadstartError


@dataclass(frozen=True)
class Loaded:
    """A network ready to encode images."""

    task: Task
    sha256: str
    """Of its weights."""
    seconds: float
    """Per image, timed on noise."""


def read_entries(texts: Sequence[str], recipe: Recipe) -> list[Entry | Failed]:
    """The backbones of ``texts``, each once, and first the recipe's own where it has weights.

    A text is a timm name (with its pretrained weights), a run folder, a weights file, or ``NAME=FILE``. Raises
    HeadstartError for no text at all.
    """
    named = list(dict.fromkeys(text.strip() for text in texts if text.strip()))
    if not named:
        raise HeadstartError("--backbones: expected names, runs or weights files, found none", HELP)
    found: list[Entry | Failed] = []
    for text in named:
        try:
            found.append(_read(text, recipe))
        except HeadstartError as error:
            found.append(Failed(text, error))
    own = recipe.backbone
    if own.weights == "none":
        return found
    name = own.name if own.weights in ("imagenet", "imagenet-lite") else own.weights
    default = Entry(name, _probe(recipe, own.name, own.weights, recipe.augment.mean, recipe.augment.std), True)
    rest = [each for each in found if isinstance(each, Failed) or each.key != default.key]
    return [default, *(each for each in rest if each.name != name)]


def _read(text: str, recipe: Recipe) -> Entry:
    network, equals, file = text.partition("=")
    if equals and _known(network):
        return _named(text, recipe, network, file)
    path = Path(text)
    folder = run_of(text)
    if folder is not None:
        return _run(text, recipe, folder)
    if path.is_dir():
        raise HeadstartError(f"{text}: expected a run folder, found another folder", HELP)
    if path.is_file():
        return _named(text, recipe, recipe.backbone.name, text)
    if not _known(text) and (path.suffix or len(path.parts) > 1) and "." in path.name:
        raise HeadstartError(f"{text}: expected a weights file, found none", HELP)
    return _named(text, recipe, text, "imagenet-lite" if text.partition(".")[0] in LITES else "imagenet")


def _known(name: str) -> bool:
    return bool(timm.is_model(name.partition(".")[0]))


def _run(text: str, recipe: Recipe, folder: Path) -> Entry:
    """The backbone of a run, whose normalization is that of its own recipe."""
    of_run = RunFolder.open(folder).recipe
    return Entry(text, _probe(recipe, of_run.backbone.name, text, of_run.augment.mean, of_run.augment.std))


def _named(text: str, recipe: Recipe, network: str, weights: str) -> Entry:
    """A network with the normalization that timm's weights of its name were trained with."""
    config = timm.get_pretrained_cfg(network, allow_unregistered=True)
    if network == recipe.backbone.name or config is None:
        return Entry(text, _probe(recipe, network, weights, recipe.augment.mean, recipe.augment.std))
    return Entry(text, _probe(recipe, network, weights, config.mean, config.std))


def _probe(recipe: Recipe, network: str, weights: str, mean: Sequence[float], std: Sequence[float]) -> Recipe:
    return override(
        recipe,
        {
            "backbone.name": network,
            "backbone.weights": weights,
            "backbone.freeze": True,
            "augment.mean": list(mean),
            "augment.std": list(std),
        },
    )


def load(entry: Entry, classes: Sequence[str]) -> Loaded:
    """Build a network, load its weights, and time it on noise of the recipe's image size.

    Raises HeadstartError for an unknown network, weights that cannot be loaded, and images that it does not take.
    """
    recipe = entry.recipe
    task = task_named(recipe.task).build(recipe, classes)
    provenance = task.load_backbone(recipe.backbone)
    task.to(memory_format=torch.channels_last)
    task.eval()
    side = recipe.data.image_size
    noise = torch.zeros(TIMED, 3, side, side).contiguous(memory_format=torch.channels_last)
    try:
        with torch.inference_mode():
            task.encode(noise[:2])
            began = time.perf_counter()
            task.encode(noise)
            seconds = (time.perf_counter() - began) / TIMED
    except Exception as error:  # each network complains in its own way
        raise HeadstartError(
            f"{entry.name}: expected a backbone that takes images of {side} x {side} pixels, found that it does not"
            f" ({str(error)[:120]})",
            f"data.image_size={default_image_size(recipe.backbone.name)}",
        ) from None
    return Loaded(task, provenance.get("sha256", ""), seconds)
