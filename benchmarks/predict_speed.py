"""How long `headstart predict` takes over as many images as the course asked for, as a whole process.

The course gave 10 minutes for 5,000 images. The networks are trained for one epoch on 40 of the images: how long they
look does not hang on what they have learned. The images are repeated, as links, until there are enough.

    python benchmarks/predict_speed.py IMAGES [COUNT]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

from headstart.inference.image_files import find_images

ALLOWED = "the course allowed 10 for 5,000"
NETWORKS = {
    "quick at 160 px": ["quick", "train.epochs=1", "augment.sizes=[]"],
    "resnet18 at 224 px": ["resnet18-scratch", "train.epochs=1"],
}


def linked(files: Sequence[Path], folder: Path, count: int) -> Path:
    """A folder of ``count`` links to ``files``, each as often as it takes."""
    folder.mkdir(parents=True)
    for number, file in enumerate(islice(cycle(files), count)):
        (folder / f"{number:05d}{file.suffix}").symlink_to(file.absolute())
    return folder


def main() -> None:
    files, count = find_images([sys.argv[1]]).files, int(sys.argv[2]) if len(sys.argv) > 2 else 5000
    with tempfile.TemporaryDirectory() as place:
        folder, environment = Path(place), {**os.environ, "HEADSTART_CACHE": str(Path(place) / "cache")}
        for number, kind in enumerate(("one", "another")):
            linked(files[20 * number : 20 * number + 20], folder / "train" / kind, 20)
        images = linked(files, folder / "images", count)
        for name, (recipe, *overrides) in NETWORKS.items():
            run, out = folder / recipe, folder / f"{recipe}.csv"
            fit = ["headstart", "fit", recipe, str(folder / "train"), *overrides, "--out", str(run)]
            subprocess.run(fit, check=True, env=environment, capture_output=True)
            began = time.perf_counter()
            subprocess.run(
                ["headstart", "predict", run, images, "--out", out], check=True, env=environment, capture_output=True
            )
            minutes = (time.perf_counter() - began) / 60
            assert len(out.read_text().splitlines()) == count + 1
            print(f"{name}: {count:,} images in {minutes:.2f} minutes ({ALLOWED})", flush=True)


if __name__ == "__main__":
    main()
