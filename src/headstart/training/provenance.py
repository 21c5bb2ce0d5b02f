"""Provenance of a run: the environment it ran in, and the images it was trained on."""

from __future__ import annotations

from typing import Any

import torch

from headstart.data.pixels import Pixels
from headstart.environment import environment


def describe_environment(device: torch.device) -> dict[str, Any]:
    """Versions, machine and device, for `environment.json`."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {**environment(), "device": name, "threads": torch.get_num_threads()}


def describe_data(pixels: Pixels) -> dict[str, Any]:
    """Description of the images, for `data.json`: identifies them, and names the network's outputs.

    ``counts`` are images per class (with masks, images in which it occurs). With masks also ``palette``, and by split
    ``shares``, the share of each class in the pixels that are not ignored, and ``ignored``, the share of the others.
    With images of more than 8 bits also ``ranges``: the values that became 0 and 255 (`RunFolder.ranges`).
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
        **({"ranges": pixels.conversion.ranges.to_json()} if pixels.conversion.ranges else {}),
        "skipped": [{"filename": name, "reason": reason} for name, reason in pixels.skipped],
    }
