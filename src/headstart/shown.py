"""The validation images whose masks are kept over the epochs: `masks/` of the run folder, for the report.

    masks/images/0013_sat.jpg, masks/truth/0013_sat.png     as they are
    masks/epoch-0001/0013_sat.png                           what the network said after an epoch

Masks are painted in the palette's colours.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import PurePosixPath

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from headstart.data.index import Index
from headstart.data.pixels import Pixels
from headstart.data.views import plain_view
from headstart.errors import HeadstartError, nearest
from headstart.recipe import Recipe
from headstart.run import RunFolder
from headstart.tasks import Task

FEW = 4
"""Images that are shown where the recipe names none."""


def shown_rows(index: Index, names: Sequence[str]) -> list[int]:
    """The validation images of these names: ``0013``, ``0013_sat``, ``0013_sat.jpg`` or the whole path.

    Raises HeadstartError for a name of none.
    """
    rows = index.positions("val")
    if not names:
        return rows[:FEW]
    named: dict[str, int] = {}
    for row in reversed(rows):  # of images with one name, the first
        path = PurePosixPath(index.paths[row])
        named |= dict.fromkeys((str(path), path.name, path.stem, path.stem.removesuffix("_sat")), row)
    for name in names:
        if name not in named:
            known = [PurePosixPath(index.paths[row]).stem for row in rows]
            raise HeadstartError(
                f"insight.masks {name}: expected a validation image, found none of this name;"
                f" nearest: {nearest(name, known)}",
                "insight.masks=[] shows the first few",
            )
    return list(dict.fromkeys(named[name] for name in names))


def show_truth(run: RunFolder, pixels: Pixels, rows: Sequence[int]) -> None:
    """Write the images at ``rows``, and their masks."""
    for row, name in zip(rows, _file_names(pixels.index, rows), strict=True):
        image, mask = _own_size(pixels, row)
        run.write(f"masks/images/{name}.jpg", _encoded(image.permute(1, 2, 0).numpy(), "JPEG"))
        run.write(f"masks/truth/{name}.png", _painted(pixels, mask.numpy()))


@torch.inference_mode()
def show_predicted(
    run: RunFolder,
    epoch: int,
    task: Task,
    recipe: Recipe,
    pixels: Pixels,
    rows: Sequence[int],
    autocast: AbstractContextManager[None],
) -> None:
    """Write what ``task``, in eval mode, says of the images at ``rows`` after ``epoch`` (from 0)."""
    device = next(task.parameters()).device
    for row, name in zip(rows, _file_names(pixels.index, rows), strict=True):
        image, _ = _own_size(pixels, row)
        with autocast:
            said = task.predict(plain_view(image.unsqueeze(0).to(device), recipe.views))[0]
        mask = said.argmax(dim=0).to(torch.uint8).cpu().numpy()
        run.write(f"masks/epoch-{epoch + 1:04}/{name}.png", _painted(pixels, mask))


def _own_size(pixels: Pixels, row: int) -> tuple[torch.Tensor, torch.Tensor]:
    """An image, uint8 (3, h, w), and its mask, (h, w), without what fills the table up."""
    height, width = pixels.sizes[row]
    return pixels.batch([row])[0, :, :height, :width], pixels.masks([row])[0, :height, :width]


def _file_names(index: Index, rows: Sequence[int]) -> list[str]:
    """The images' names without suffix; with their folders, where two have one name."""
    paths = [PurePosixPath(index.paths[row]) for row in rows]
    count = Counter(path.stem for path in paths)
    return [path.stem if count[path.stem] == 1 else str(path).replace("/", "-") for path in paths]


def _painted(pixels: Pixels, mask: NDArray[np.uint8]) -> bytes:
    palette = pixels.index.palette
    assert palette is not None
    return _encoded(palette.paint(mask), "PNG")


def _encoded(rgb: NDArray[np.uint8], kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgb)).save(file, kind, quality=90)
    return file.getvalue()
