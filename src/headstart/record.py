"""What training writes down beside the weights: on what, where, and what it said of each validation image."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from headstart.data.index import Index
from headstart.data.pixels import Pixels
from headstart.environment import environment
from headstart.run import Row


def surroundings(device: torch.device) -> dict[str, Any]:
    """Versions, machine and device, for `environment.json`."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {**environment(), "device": name, "threads": torch.get_num_threads()}


def data_facts(pixels: Pixels) -> dict[str, Any]:
    """What the images are, for `data.json`: enough to know them again, and to name the network's outputs."""
    index = pixels.index
    splits = [split for split in ("train", "val", "test") if split in index.splits]
    return {
        "fingerprint": pixels.fingerprint,
        "root": str(index.root.absolute()),
        "layout": index.layout,
        "split_made": index.split_made,
        "classes": list(index.classes),
        "counts": {split: index.counts(split) for split in splits},
        "skipped": [{"filename": name, "reason": reason} for name, reason in pixels.skipped],
    }


def predictions(index: Index, split: str, probabilities: NDArray[np.float32]) -> list[Row]:
    """One row per image of a split, in the index's order; ``probabilities`` is (N, C)."""
    return [
        {
            "filename": index.paths[row],
            "label": index.classes[index.labels[row]],
            "predicted": index.classes[int(np.argmax(each))],
            **{f"probability_{name}": f"{p:.6g}" for name, p in zip(index.classes, each, strict=True)},
        }
        for row, each in zip(index.positions(split), probabilities, strict=True)
    ]
