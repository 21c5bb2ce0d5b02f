"""The validation images whose masks are kept to look at: `masks/` of the run folder, for the report.

    masks/images/0013_sat.jpg, masks/truth/0013_sat.png     as they are
    masks/epoch-0001/0013_sat.png                           what the network said after an epoch
    masks/best/0013_sat.png                                 what it says with the kept weights

A mask is a PNG file of the numbers that it is within headstart (`headstart.palette`), shown in the palette's colors.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import PurePosixPath

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from headstart.data.index import Index
from headstart.data.pixels import Pixels
from headstart.errors import HeadstartError, did_you_mean
from headstart.palette import Palette
from headstart.recipes.recipe import Recipe
from headstart.runs.folder import RunFolder, mask_names
from headstart.tasks import Task
from headstart.transforms.augment import eval_transform

FEW = 4
"""Images that are shown where the recipe names none."""


def snapshot_rows(index: Index, names: Sequence[str]) -> list[int]:
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
                f"analysis.masks {name}: expected a validation image, found none of this name;"
                f" {did_you_mean(name, known)}",
                "analysis.masks=[] shows the first few",
            )
    return list(dict.fromkeys(named[name] for name in names))


def write_ground_truth(run: RunFolder, pixels: Pixels, rows: Sequence[int]) -> None:
    """Write the images at ``rows``, and their masks."""
    for row, name in zip(rows, _file_names(pixels.index, rows), strict=True):
        image, mask = _own_size(pixels, row)
        write_image(run, name, image.permute(1, 2, 0).numpy())
        write_mask(run, "truth", name, mask.numpy(), _palette(pixels))


@torch.inference_mode()
def write_predictions(
    run: RunFolder,
    folder: str,
    task: Task,
    recipe: Recipe,
    pixels: Pixels,
    rows: Sequence[int],
    autocast: AbstractContextManager[None],
) -> None:
    """Write what ``task``, in eval mode, says of the images at ``rows``: `epoch_folder`, or ``best``."""
    device = next(task.parameters()).device
    for row, name in zip(rows, _file_names(pixels.index, rows), strict=True):
        image, _ = _own_size(pixels, row)
        with autocast:
            said = task.predict(eval_transform(image.unsqueeze(0).to(device), recipe.augment))[0]
        write_mask(run, folder, name, said.argmax(dim=0).to(torch.uint8).cpu().numpy(), _palette(pixels))


def epoch_folder(epoch: int) -> str:
    """Where the masks of an epoch (from 0) lie."""
    return f"epoch-{epoch + 1:04}"


def write_mask(run: RunFolder, folder: str, name: str, mask: NDArray[np.uint8], palette: Palette) -> None:
    """``masks/folder/name.png``: uint8 (H, W)."""
    picture = Image.fromarray(np.ascontiguousarray(mask), "P")
    picture.putpalette(palette.colorize(np.arange(256, dtype=np.uint8)[None]).tobytes())
    run.write(f"masks/{folder}/{name}.png", _encoded(picture, "PNG"))


def write_image(run: RunFolder, name: str, image: NDArray[np.uint8]) -> None:
    """``masks/images/name.jpg``: uint8 (H, W, 3)."""
    run.write(f"masks/images/{name}.jpg", _encoded(Image.fromarray(np.ascontiguousarray(image)), "JPEG", quality=90))


def _own_size(pixels: Pixels, row: int) -> tuple[torch.Tensor, torch.Tensor]:
    """An image, uint8 (3, h, w), and its mask, (h, w), without what fills the table up."""
    height, width = pixels.sizes[row]
    return pixels.batch([row])[0, :, :height, :width], pixels.masks([row])[0, :height, :width]


def _file_names(index: Index, rows: Sequence[int]) -> list[str]:
    """`mask_names`, of the validation images at ``rows``."""
    of_split = index.positions("val")
    names = dict(zip(of_split, mask_names(index.paths[row] for row in of_split), strict=True))
    return [names[row] for row in rows]


def _palette(pixels: Pixels) -> Palette:
    palette = pixels.index.palette
    assert palette is not None
    return palette


def _encoded(picture: Image.Image, kind: str, **settings: int) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **settings)
    return file.getvalue()
