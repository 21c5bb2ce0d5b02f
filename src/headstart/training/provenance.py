"""What training writes down beside the weights: on what, where, and what it said of each validation image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from headstart.data.index import UNLABELED, Index
from headstart.data.pixels import Pixels
from headstart.environment import environment
from headstart.files import Row
from headstart.runs.folder import RunFolder
from headstart.tasks import ModelOutput

STORED = ("features", "probabilities")


def describe_environment(device: torch.device) -> dict[str, Any]:
    """Versions, machine and device, for `environment.json`."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {**environment(), "device": name, "threads": torch.get_num_threads()}


def describe_data(pixels: Pixels) -> dict[str, Any]:
    """What the images are, for `data.json`: enough to know them again, and to name the network's outputs.

    ``counts`` are images per class, with masks those in which it occurs. Of images with masks also ``palette``, and
    by split as ``shares`` the share of each class among the pixels that count, and as ``ignored`` that of the others.
    """
    index = pixels.index
    splits = [split for split in ("train", "val", "test") if split in index.splits]
    masks = {}
    if index.palette is not None:
        masks = {
            "palette": index.palette.to_json(),
            "shares": {split: pixels.shares(split) for split in splits},
            "ignored": {split: pixels.ignored(split) for split in splits},
        }
    return {
        "fingerprint": pixels.fingerprint,
        "root": str(index.root.absolute()),
        "layout": index.layout,
        "split_made": index.split_made,
        "classes": list(index.classes),
        "images": {split: len(index.positions(split)) for split in splits},
        "counts": {split: pixels.counts(split) for split in splits},
        **masks,
        "skipped": [{"filename": name, "reason": reason} for name, reason in pixels.skipped],
    }


def save_features(run: RunFolder, epoch: int, validation: ModelOutput, sample: ModelOutput, seconds: float) -> None:
    """What was seen after ``epoch`` (from 0) in the images that `images.csv` names.

    ``seconds`` is how long it took to look at the sample, which is there for this alone.
    """
    both = {name: torch.cat([getattr(part, name) for part in (validation, sample)]) for name in STORED}
    content = save(both, metadata={"seconds": f"{seconds:.3f}"})
    run.write(f"features/epoch-{epoch + 1:04}.safetensors", content)


def save_confusion(run: RunFolder, confusion: Tensor) -> None:
    """The kept epoch's pixels of each validation image by class and predicted class: ``confusion``, int64 (N, K, K)."""
    run.write("confusion.safetensors", save({"confusion": confusion.contiguous()}))


def feature_table(index: Index, rows: Sequence[int]) -> list[Row]:
    """One row per image whose features are stored: file, split, class (empty where it has none)."""
    names = {UNLABELED: "", **dict(enumerate(index.classes))}
    return [
        {"filename": index.paths[row], "split": index.splits[row], "label": names[index.labels[row]]} for row in rows
    ]


def prediction_table(index: Index, split: str, probabilities: Tensor) -> list[Row]:
    """One row per image of a split, in the index's order; ``probabilities`` is (N, C), on the CPU."""
    return [
        {
            "filename": index.paths[row],
            "label": index.classes[index.labels[row]],
            "predicted": index.classes[int(each.argmax())],
            **{f"probability_{name}": f"{p:.6g}" for name, p in zip(index.classes, each, strict=True)},
        }
        for row, each in zip(index.positions(split), probabilities.numpy(), strict=True)
    ]
