"""Features of a race: each frozen backbone sees an image once, however many rounds and seeds need it.

``features/NN-NAME.safetensors`` in the race's folder holds what a backbone has encoded so far, so that an interrupted
race does not encode it again. The folder goes once the race is finished.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from headstart.data.pixels import Pixels
from headstart.data.sampling import Rows, batches
from headstart.files import write_atomically
from headstart.recipes.recipe import Recipe
from headstart.tasks import Task
from headstart.transforms.augment import eval_transform

Floats = NDArray[np.float32]
SAVE_EVERY = 30.0
"""Seconds between two writes of the features while images are encoded."""


def file_of(folder: Path, number: int, name: str) -> Path:
    """The file of a backbone's features."""
    return folder / "features" / f"{number:02d}-{re.sub(r'[^A-Za-z0-9.-]+', '-', name)[-80:]}.safetensors"


class Features:
    """Features of one backbone for some of N images; ``key`` names the weights, the images and how they are seen."""

    def __init__(self, file: Path, count: int, key: str) -> None:
        self.file, self.key = file, key
        self._rows = np.zeros(0, dtype=np.int64)
        self._values = np.zeros((0, 0), dtype=np.float32)
        self._place = np.full(count, -1)
        self._read()

    def _read(self) -> None:
        """Take what an interrupted race has encoded, where it is of the same key; a damaged file counts as none."""
        try:
            found = load_file(self.file)
        except (OSError, SafetensorError):
            return
        rows, values, key = found.get("rows"), found.get("values"), found.get("key")
        if rows is None or values is None or key is None or bytes(key) != self.key.encode():
            return
        if len(rows) == len(values) and (not len(rows) or rows.max() < len(self._place)):
            self._put(rows, values)

    def _put(self, rows: Rows, values: Floats) -> None:
        self._rows, self._values = rows, values
        self._place[rows] = np.arange(len(rows))

    def missing(self, rows: Rows) -> Rows:
        """Those of ``rows`` that are not encoded yet, in order."""
        return rows[self._place[rows] < 0]

    def of(self, rows: Rows) -> Floats:
        """Features of encoded images, (M, D)."""
        return np.asarray(self._values[self._place[rows]])

    def add(
        self,
        task: Task,
        pixels: Pixels,
        rows: Rows,
        recipe: Recipe,
        fabric: Fabric,
        on_batch: Callable[[int], bool],
    ) -> bool:
        """Encode the missing of ``rows`` without augmentation, in batches; whether that was done to the end.

        ``on_batch`` is called with the number of images after each batch, and says whether to go on. What was encoded
        is kept in the file, every half minute as well.
        """
        task = task.to(fabric.device)
        pixels = pixels.on(fabric.device)
        more, saved, done = self.missing(rows), time.monotonic(), True
        parts: list[Floats] = []
        count = 0
        task.eval()
        for some in batches(more, recipe.val.batch_size):
            with torch.inference_mode(), fabric.autocast():
                images = eval_transform(pixels.batch(some, fabric.device), recipe.augment)
                parts.append(task.encode(images)[0].float().cpu().numpy())
            count += len(some)
            if not on_batch(len(some)):
                done = count == len(more)
                break
            if time.monotonic() - saved > SAVE_EVERY and count < len(more):
                self._append(more[:count], parts)
                more, count, saved = more[count:], 0, time.monotonic()
                parts = []
        if count:
            self._append(more[:count], parts)
        return done

    def _append(self, rows: Rows, parts: list[Floats]) -> None:
        values = np.concatenate(parts)
        known = self._values if len(self._rows) else np.zeros((0, values.shape[1]), dtype=np.float32)
        self._put(np.concatenate([self._rows, rows]), np.concatenate([known, values]))
        key = np.frombuffer(self.key.encode(), dtype=np.uint8)
        write_atomically(self.file, save({"rows": self._rows, "values": self._values, "key": key}))
