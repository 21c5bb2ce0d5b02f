"""A large image in tiles: its memory and time as a whole process, and how far tiles are from the whole image.

The large image is made of the validation chips of a data set, side by side over and over. What `headstart predict`
takes for it is what `/usr/bin/time` counts. Then an image that a network can be asked
about as a whole is looked at both ways:

- the greatest difference of a probability anywhere, and the share of pixels that get another class;
- the greatest step of a probability across a tile's border beyond the step that the whole image has there: a seam. The
  same of tiles laid side by side without overlap, which is what blending is there against.

    python benchmarks/tiles.py RUN IMAGES [SIDE OF THE LARGE IMAGE, 10000] [SIDE OF THE WHOLE, 1200]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from headstart.inference.model import load_model
from headstart.inference.segment import find_rasters, make_predict_fn
from headstart.inference.tiling import Tiling, predict_tiled
from headstart.runs.folder import RunFolder

TILING = Tiling()
SIDE = TILING.tile_size


def repeated(files: Sequence[Path], side: int) -> Image.Image:
    """A square image of the files' pictures, row after row, each beginning with another."""
    pictures = [Image.open(file).convert("RGB") for file in files]
    large = Image.new("RGB", (side, side))
    step = min(min(picture.size) for picture in pictures)
    for number, top in enumerate(range(0, side, step)):
        for across, left in enumerate(range(0, side, step)):
            large.paste(pictures[(7 * number + across) % len(pictures)], (left, top))
    return large


def process(run: Path, image: Path, out: Path, *options: str) -> tuple[float, float]:
    """Minutes and GiB (peak of the resident set) that `headstart predict` takes."""
    figures = out.with_suffix(".txt")
    counted = ["/usr/bin/time", "--format", "%e %M", "--output", str(figures)]
    command = [sys.executable, "-m", "headstart", "predict", str(run), str(image), "--out", str(out), *options]
    subprocess.run([*counted, *command], check=True)
    seconds, kilobytes = figures.read_text().split()
    return float(seconds) / 60, float(kilobytes) / 2**20


def seams(tiled: Tensor, whole: Tensor, borders: list[int]) -> float:
    """The greatest step of a probability (K, H, W) across these columns and rows, beyond the whole image's."""
    differ = tiled - whole
    return max(float(differ.diff(dim=dim)[:, *index].abs().max()) for dim, index in _across(borders))


def _across(borders: list[int]) -> list[tuple[int, tuple[list[int] | slice, ...]]]:
    places = [border - 1 for border in borders]
    return [(1, (places, slice(None))), (2, (slice(None), places))]


def main() -> None:
    run, files = Path(sys.argv[1]), find_rasters([sys.argv[2]]).files
    large, small = (int(sys.argv[i]) if len(sys.argv) > i else default for i, default in ((3, 10_000), (4, 1_200)))
    model = load_model(RunFolder.open(run))
    ask = make_predict_fn(model)
    with torch.inference_mode():
        rgb = np.asarray(repeated(files, small)).transpose(2, 0, 1)
        pixels = torch.from_numpy(np.ascontiguousarray(rgb))
        whole = ask(pixels.unsqueeze(0))[0]
        bands = predict_tiled(lambda t, b: pixels[:, t:b], ask, size=(small, small), tiling=TILING)
        tiled = torch.cat([band for _, band in bands], dim=1)
        beside = torch.cat([
            torch.cat([ask(pixels[None, :, top : top + SIDE, left : left + SIDE])[0]
                       for left in range(0, small, SIDE)], dim=2)
            for top in range(0, small, SIDE)
        ], dim=1)  # fmt: skip
    starts = TILING.starts(small)
    borders = [*starts[1:], *(start + SIDE for start in starts[:-1])]
    print(f"{small} x {small} pixels in {len(starts) ** 2} tiles of {SIDE}, overlapping by {TILING.overlap} or more,"
          " against the image as a whole:")  # fmt: skip
    for name, answer, where in (("blended", tiled, borders), ("side by side", beside, [*range(SIDE, small, SIDE)])):
        differ = (answer - whole).abs()
        other = (answer.argmax(dim=0) != whole.argmax(dim=0)).float().mean()
        print(f"  {name}: a step across a tile's border of {seams(answer, whole, where):.4f} at most beyond the whole"
              f" image's, a difference of {differ.max():.4f} at most and {differ.mean():.5f} in the mean, another class"
              f" in {other:.3%} of the pixels", flush=True)  # fmt: skip
    del whole, tiled, beside
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "large.jpg"
        repeated(files, large).save(image, quality=90)
        minutes, memory = process(run, image, Path(folder) / "out", "--overlay")
        with Image.open(Path(folder) / "out" / "large_mask.png") as mask:
            assert mask.size == (large, large)
    print(f"{large} x {large} pixels with an overlay: {memory:.2f} GiB, {minutes:.1f} minutes")


if __name__ == "__main__":
    Image.MAX_IMAGE_PIXELS = None
    main()
