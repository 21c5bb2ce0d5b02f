"""Does `headstart check RUN IMAGES` hear what it should, and nothing else?

python benchmarks/image_check.py encode FOLDER OUT.npz [SIDE=96] [TRAIN=1000] [VAL=500]
python benchmarks/image_check.py [novelty] FEATURES.npz [...]

The first makes a file of frozen features of one data set: those of `quick`'s backbone for a random sample of its
images, and their sharpness. FOLDER may also be ``digits`` (of scikit-learn) or ``elpv`` (the solar cells of
elpv-dataset, cell type and state). A file holds ``xt, yt`` and ``xv, yv``, features and labels of training and
validation images, and under any other name the features of changed validation images (blur, JPEG); ``sharp_xv`` and so
on are the sharpness of their images. A logistic probe stands for the classifier. Per set:

- AUROC of scores of novelty (`novelty`), `check`'s distance to the training images and confidence among them, for the
  images of a class that was left out of training and bank, against those of the others: the mean over (at most six)
  classes. Then the medians over the sets. With ``novelty``, this alone.
- Alarms: half of the validation images stand for those of the run; 50, and then all, of the other half are checked, as
  they are, changed, and against images of the other sets of equal width. At most 5 % may be heard of those as they are.
- `predict --refuse 0.10`, chosen on one half: the error among those answered of the other half.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from elpv_dataset import __file__ as elpv
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy.special import logsumexp
from sklearn.covariance import LedoitWolf
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from headstart.data.layouts import scan
from headstart.data.streaming import stream
from headstart.errors import HeadstartError
from headstart.inference.image_check import sharpness_of
from headstart.metrics.neighbors import neighbor_distances
from headstart.metrics.refusal import choose_refusal
from headstart.metrics.shift import differences
from headstart.models import backbones
from headstart.models.weights import load_weights
from headstart.recipes import recipe as recipes
from headstart.transforms.augment import eval_transform

SPLITS, REFUSE, CLASSES = 200, 0.10, 6
Arrays = dict[str, NDArray[np.float32]]
Floats = NDArray[np.floating[Any]]
Labeled = tuple[list[Path], list[str]]


def blurred(radius: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.filter(ImageFilter.GaussianBlur(radius))


def as_jpeg(quality: int) -> Callable[[Image.Image], Image.Image]:
    def change(image: Image.Image) -> Image.Image:
        content = io.BytesIO()
        image.save(content, "JPEG", quality=quality)
        return Image.open(content).convert("RGB")

    return change


CHANGES = {"blur1": blurred(1), "blur2": blurred(2), "jpeg20": as_jpeg(20), "jpeg10": as_jpeg(10)}
"""At the images' own size."""


def files_of(source: str, folder: Path) -> tuple[Labeled, Labeled]:
    """Files and labels of the training and the validation images."""
    if source == "digits":
        digits = load_digits()
        for number, image in enumerate(digits.images):
            Image.fromarray((image * 15.9).astype(np.uint8)).resize((64, 64)).save(folder / f"{number:04d}.png")
        files, labels = sorted(folder.glob("*.png")), [str(each) for each in digits.target]
    elif source == "elpv":
        place = Path(elpv).parent / "data"
        rows = [line.split() for line in (place / "labels.csv").read_text().splitlines()]
        files, labels = [place / row[0] for row in rows], [f"{row[2]} {float(row[1]) > 0.5}" for row in rows]
    else:
        index = scan(source)
        return tuple(  # type: ignore[return-value]
            ([Path(index.root) / index.paths[i] for i in rows], [str(index.labels[i]) for i in rows])
            for rows in (index.positions(split) for split in ("train", "val"))
        )
    order = np.random.default_rng(0).permutation(len(files))
    fifth = len(files) // 5
    return tuple(([files[i] for i in rows], [labels[i] for i in rows]) for rows in (order[fifth:], order[:fifth]))  # type: ignore[return-value]


@torch.inference_mode()
def encode(source: str, out: str, side: str = "96", train: str = "1000", val: str = "500") -> None:
    recipe = recipes.load("quick", {"data.image_size": int(side), "augment.sizes": []})
    backbone = backbones.build(recipe.backbone.name)
    load_weights(backbone, recipe.backbone)
    backbone.eval()

    arrays: Arrays = {}

    def add(name: str, files: list[Path]) -> None:
        features, sharp = [], []
        for _, pixels, _ in stream(files, int(side), recipe.data.resize, 64):
            features.append(backbone(eval_transform(torch.from_numpy(pixels), recipe.augment)).numpy())
            sharp += [sharpness_of(image) for image in pixels.transpose(0, 2, 3, 1)]
        arrays[name], arrays[f"sharp_{name}"] = np.concatenate(features), np.array(sharp, np.float32)

    with tempfile.TemporaryDirectory() as place:
        random, names = np.random.default_rng(0), dict[str, int]()
        for (files, labels), count, key in zip(files_of(source, Path(place)), (train, val), "tv", strict=True):
            rows = random.permutation(len(files))[: int(count)]
            chosen = [files[row] for row in rows]
            add(f"x{key}", chosen)
            arrays[f"y{key}"] = np.array([names.setdefault(labels[row], len(names)) for row in rows], np.float32)
        for kind, change in CHANGES.items():
            (Path(place) / kind).mkdir()
            for number, file in enumerate(chosen):
                change(Image.open(file).convert("RGB")).save(Path(place) / kind / f"{number:05d}.png")
            add(kind, sorted((Path(place) / kind).iterdir()))
    np.savez_compressed(out, allow_pickle=False, **arrays)


def probe(x: NDArray[np.float32], y: NDArray[np.float32]) -> LogisticRegression:
    return make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, max_iter=200)).fit(x, y)


def unit(x: Floats) -> Floats:
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12))


def neighbor(x: Floats, bank: Floats, count: int) -> Floats:
    """Distance to the ``count``-th nearest row of ``bank``."""
    return np.asarray(NearestNeighbors(n_neighbors=count, algorithm="brute").fit(bank).kneighbors(x)[0][:, -1])


def novelty(xt: Floats, yt: Floats, xv: Floats, classifier: Any = None) -> dict[str, Floats]:
    """Scores of novelty of each image of ``xv``, larger for images of no class of ``yt``, from the literature.

    ``classifier`` gives logits and probabilities of features; without it a logistic probe does.
    Covariances are of the first 128 principal components (Ledoit and Wolf 2004); ViM takes its residual outside them.
    """
    trained = classifier or probe(xt, yt)
    logits = trained.decision_function(xv)
    p, energy = trained.predict_proba(xv), logsumexp(logits, axis=1)
    found = {
        "confidence": -p.max(axis=1),
        "max logit (Hendrycks 2022)": -logits.max(axis=1),
        "energy (Liu 2020)": -energy,
        "distance, mean of 20": neighbor_distances(xv, xt),
        "1st neighbor (Sun 2022)": neighbor(unit(xv), unit(xt), 1),
        "5th neighbor": neighbor(unit(xv), unit(xt), 5),
    }
    center = xt.mean(axis=0)
    basis = np.linalg.svd(xt - center, full_matrices=False)[2][:128].T
    t, v = (xt - center) @ basis, (xv - center) @ basis
    own, numbers = np.unique(yt, return_inverse=True)
    means = np.stack([t[numbers == each].mean(axis=0) for each in range(len(own))])
    within, whole = LedoitWolf().fit(t - means[numbers]), LedoitWolf().fit(t)
    nearest = np.min([within.mahalanobis(v - mean) for mean in means], axis=0)
    values, vectors = np.linalg.eigh(within.covariance_)
    white = vectors / np.sqrt(values)
    apart = np.linalg.svd(means @ white, full_matrices=False)[2][: len(own) - 1].T
    residuals = [np.linalg.norm(x - center - part @ basis.T, axis=1) for x, part in ((xt, t), (xv, v))]
    scale = trained.decision_function(xt).max(axis=1).mean() / residuals[0].mean()
    return found | {
        "Mahalanobis (Lee 2018)": nearest,
        "relative Mahalanobis (Ren 2021)": nearest - whole.mahalanobis(v),
        "5th neighbor, whitened within classes": neighbor(unit(v @ white), unit(t @ white), 5),
        "5th neighbor, discriminant components": neighbor(unit(v @ white @ apart), unit(t @ white @ apart), 5),
        "ViM (Wang 2022)": scale * residuals[1] - energy,
    }


def left_out(data: Arrays) -> dict[str, float]:
    """AUROC of each score, the mean over classes that are left out one at a time."""
    random, found = np.random.default_rng(0), list[dict[str, float]]()
    for left in random.permutation(np.unique(data["yt"]))[:CLASSES]:
        kept, new = data["yt"] != left, data["yv"] == left
        scores = novelty(data["xt"][kept], data["yt"][kept], data["xv"])
        found.append({name: float(roc_auc_score(new, score)) for name, score in scores.items()})
    return {name: float(np.mean([each[name] for each in found])) for name in found[0]}


def alarms(data: Arrays, new: NDArray[np.float32], sharp: NDArray[np.float32], count: int, splits: int) -> float:
    trained, random, heard = probe(data["xt"], data["yt"]), np.random.default_rng(1), 0
    numbers = [
        {"distance": neighbor_distances(x, data["xt"]), "confidence": trained.predict_proba(x).max(axis=1)}
        for x in (data["xv"], new)
    ]
    for number, each in zip(numbers, (data["sharp_xv"], sharp), strict=True):
        number["sharpness"] = each
    half = len(data["xv"]) // 2
    for _ in range(splits):
        order = random.permutation(len(data["xv"]))
        own = order[:half]
        others = order[half:] if len(new) == len(data["xv"]) else random.permutation(len(new))
        parts = [{name: each[rows] for name, each in n.items()} for n, rows in zip(numbers, (own, others[:count]), strict=True)]  # fmt: skip  # noqa: E501
        found = differences((data["xv"][own], new[others[:count]]), *parts)
        heard += any(each.significant for each in found)
    return heard / splits


def refused(data: Arrays) -> str:
    trained, random, errors, answered = probe(data["xt"], data["yt"]), np.random.default_rng(2), [], []
    known = np.isin(data["yv"], trained.classes_)
    p = trained.predict_proba(data["xv"][known])
    labels = np.searchsorted(trained.classes_, data["yv"][known])
    for _ in range(SPLITS):
        order = random.permutation(len(labels))
        own, fresh = order[: len(order) // 2], order[len(order) // 2 :]
        try:
            answers = ~choose_refusal(labels[own], p[own], REFUSE).refuses(p[fresh])
        except HeadstartError:
            continue
        errors.append((p[fresh].argmax(axis=1) != labels[fresh])[answers].mean())
        answered.append(answers.mean())
    if not errors:
        return "no promise"
    return f"promised in {len(errors)} of {SPLITS}: {np.mean(answered):.0%} answered, {np.mean(errors):.1%} wrong, over 12 % in {np.mean(np.array(errors) > REFUSE + 0.02):.1%}"  # fmt: skip  # noqa: E501


def main(*files: str, only_novelty: bool = False) -> None:
    sets: dict[str, Arrays] = {Path(file).stem: dict(np.load(file)) for file in files}
    scores = []
    for name, data in sets.items():
        scores.append(left_out(data))
        print(f"{name}: AUROC of a class left out", {score: round(value, 3) for score, value in scores[-1].items()})
        if only_novelty:
            continue
        own = data["xv"], data["sharp_xv"]
        rest = len(data["xv"]) - len(data["xv"]) // 2
        print(f"  alarms as they are: {alarms(data, *own, 50, SPLITS):.1%}, {rest} images {alarms(data, *own, rest, SPLITS):.1%}")  # fmt: skip  # noqa: E501
        changed = {kind: (data[kind], data[f"sharp_{kind}"]) for kind in CHANGES if kind in data}
        others = {other: (each["xv"], each["sharp_xv"]) for other, each in sets.items() if other != name}
        heard = {kind: alarms(data, *new, 50, 40) for kind, new in (changed | others).items()}
        print(f"  alarms of 50 images: {', '.join(f'{kind} {share:.0%}' for kind, share in heard.items())}")
        print(f"  --refuse {REFUSE}: {refused(data)}", flush=True)
    print(
        "medians over sets",
        {score: round(float(np.median([each[score] for each in scores])), 3) for score in scores[0]},
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["encode"]:
        encode(*sys.argv[2:])
    elif sys.argv[1:2] == ["novelty"]:
        main(*sys.argv[2:], only_novelty=True)
    else:
        main(*sys.argv[1:])
