"""`masks/`: ground truth and predicted masks of some validation images over the epochs, for the report.

    masks/images/0013_sat.jpg, masks/truth/0013_sat.png     image and ground truth
    masks/epoch-0001/0013_sat.png                           prediction after an epoch
    masks/best/0013_sat.png                                 prediction of the best weights
    masks/uncertainty/0013_sat.png                          and its entropy, in 16 steps and at most 384 pixels wide

A mask is a palette PNG file: its values are class indices (`headstart.palette`), its colors those of the palette.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.errors import HeadstartError
from headstart.palette import Palette
from headstart.runs.folder import RunFolder

IMAGES, TRUTH, BEST, UNCERTAINTY = "images", "truth", "best", "uncertainty"
"""Folders within `masks/`."""

MAX_BYTES, MAX_PIXELS = 1 << 28, 1 << 27
"""Largest file and picture that is read: masks are as large as the images of the data."""

STEPS = 16
"""Steps of uncertainty, 0 to 15: what a person tells apart, and a tenth of the bytes of all values."""
UNCERTAINTY_SIDE = 384
"""Pixels of the longer side of a picture of uncertainty, at most."""

Pixels = NDArray[np.uint8]


def epoch_folder(epoch: int) -> str:
    """Folder of the predictions after an epoch (from 0)."""
    return f"epoch-{epoch + 1:04}"


def mask_names(filenames: Iterable[str]) -> list[str]:
    """File names of the masks of images, without suffix: the stem of each, numbered where two are equal."""
    names: dict[str, None] = {}
    for filename in filenames:
        name = stem = Path(filename).stem
        number = 1
        while name in names:
            number += 1
            name = f"{stem}-{number}"
        names[name] = None
    return list(names)


def write_mask(run: RunFolder, folder: str, name: str, mask: Pixels, palette: Palette) -> None:
    """Write ``masks/folder/name.png``, uint8 (H, W)."""
    picture = Image.fromarray(np.ascontiguousarray(mask), "P")
    picture.putpalette(palette.colorize(np.arange(256, dtype=np.uint8)[None]).tobytes())
    run.write(f"masks/{folder}/{name}.png", _encode(picture, "PNG"))


def write_image(run: RunFolder, name: str, image: Pixels) -> None:
    """Write ``masks/images/name.jpg``, uint8 (H, W, 3)."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    run.write(f"masks/{IMAGES}/{name}.jpg", _encode(picture, "JPEG", quality=90))


def write_uncertainty(run: RunFolder, name: str, entropy: NDArray[np.float32]) -> None:
    """Write ``masks/uncertainty/name.png`` from the entropy of each pixel's probabilities, (H, W), 1 at the most."""
    height, width = entropy.shape
    scale = min(1.0, UNCERTAINTY_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    smaller = np.asarray(Image.fromarray(entropy.astype(np.float32)).resize(size, Image.Resampling.BOX))
    steps = np.rint(np.clip(smaller, 0, 1) * (STEPS - 1)).astype(np.uint8)
    picture = Image.fromarray(steps, "P")
    picture.putpalette([part for step in range(STEPS) for part in [255 * step // (STEPS - 1)] * 3])
    run.write(f"masks/{UNCERTAINTY}/{name}.png", _encode(picture, "PNG", bits=4))


def prediction_folders(run: RunFolder, best_epoch: int | None) -> dict[int, list[Path]]:
    """Epoch (from 1) -> folders with its predictions, in order of preference.

    The predictions of the best weights are those of ``best_epoch``, for more images than any other epoch has.
    """
    path = run.path / "masks"
    folders: dict[int, list[Path]] = {best_epoch: [path / BEST]} if best_epoch is not None else {}
    for each in sorted(path.glob("epoch-*")):
        number = each.name.removeprefix("epoch-")
        if number.isdecimal():
            folders.setdefault(int(number), []).append(each)
    return folders


def read_mask(run: RunFolder, file: Path) -> Pixels:
    """Read a mask of ``run``, uint8 (H, W) of class indices. Raises HeadstartError for another or a damaged file."""
    picture = read_image(run, file)
    if picture.mode not in ("P", "L"):
        raise HeadstartError(
            f"{file}: expected a mask of class indices, found an image ({picture.mode})", "remove the file"
        )
    return np.array(picture, np.uint8)


def read_image(run: RunFolder, file: Path) -> Image.Image:
    """Read a picture of ``run``. Raises HeadstartError for a damaged file."""
    run.has(file.relative_to(run.path).as_posix(), f"copy the run again, or remove {file}: the report does without")
    try:
        if not file.is_file() or file.stat().st_size > MAX_BYTES:
            raise OSError("no regular file of a picture's size")
        with Image.open(file, formats=["PNG", "JPEG"]) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise OSError(f"{picture.width} x {picture.height} pixels")
            picture.load()
    except Exception as error:  # Pillow raises whatever the damage leads it to
        raise HeadstartError(f"{file}: expected an image, found a damaged file ({error})", "remove the file") from None
    return picture


def _encode(picture: Image.Image, kind: str, **options: int) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()
