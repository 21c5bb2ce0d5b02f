"""Does a fine-tuned network tell images of a class that it has never seen, by its own features and by combined scores?

python benchmarks/novelty_runs.py WORK NAME=FOLDER[:SIDE] [...] [FIELD=VALUE ...]

`image_check.py novelty` asks the same of frozen ImageNet features. Here `quick` is trained on the other classes of a
sample of each set (names as there: FOLDER may be ``digits`` or ``elpv``), a few classes left out at a time, and the
weights after the last epoch give features and logits. Per set and score: the AUROC of an image's novelty, of each class
left out against the validation images of all that are trained on, its mean over the classes. Beside the scores of the
literature stand averages of ranks, chosen before they were tried, and distance in frozen ImageNet features. Last, how
alike the classes are: the share of images of classes left out whose nearest training image in frozen features is as
near as that of a median image of the classes trained on. AUROC 0.85 needs few of them.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

import headstart as hs
from headstart.data.streaming import stream
from headstart.inference.model import load_network
from headstart.metrics.neighbors import neighbor_distances
from headstart.models import backbones
from headstart.models.run_weights import read_weights
from headstart.models.weights import load_weights
from headstart.recipes import recipe as recipes
from headstart.recipes.recipe import read_overrides
from headstart.transforms.augment import eval_transform
from image_check import Labeled, files_of, neighbor, novelty, unit

TRAIN, VAL, AT_ONCE = 1000, 500, {4: 1, 10: 2}
"""Images; number of classes -> classes left out of one training, `MANY` of more classes."""
MANY, TRAININGS = 6, {4: 3, 10: 2}
FROZEN = "distance, frozen features"
COMBINED = {
    "ranks of confidence, distance": ("confidence", "distance, mean of 20"),
    "ranks of confidence, frozen distance": ("confidence", FROZEN),
    "ranks of energy, frozen distance": ("energy (Liu 2020)", FROZEN),
    "ranks of ViM, frozen distance": ("ViM (Wang 2022)", FROZEN),
    "ranks of confidence, distance, relative Mahalanobis, frozen distance": (
        "confidence",
        "distance, mean of 20",
        "relative Mahalanobis (Ren 2021)",
        FROZEN,
    ),
}
Floats = NDArray[np.floating[Any]]


class Head:
    """The last layer of a network on its features, as `novelty` asks a classifier."""

    def __init__(self, weight: Floats, bias: Floats) -> None:
        self.weight, self.bias = weight, bias

    def decision_function(self, x: Floats) -> Floats:
        return np.asarray(x @ self.weight.T + self.bias)

    def predict_proba(self, x: Floats) -> Floats:
        return torch.softmax(torch.from_numpy(self.decision_function(x)), dim=1).numpy()


@torch.inference_mode()
def encode(network: torch.nn.Module, files: list[Path], recipe: recipes.Recipe) -> Floats:
    config = recipe.data
    parts = [
        network(eval_transform(torch.from_numpy(pixels), recipe.augment)).numpy()
        for _, pixels, _ in stream(files, config.image_size, config.resize, 64)
    ]
    return np.concatenate(parts)


def sample(part: Labeled, count: int) -> tuple[list[Path], NDArray[np.str_]]:
    files, labels = part
    rows = np.random.default_rng(0).permutation(len(files))[:count]
    return [files[row].resolve() for row in rows], np.array([labels[row] for row in rows])


def trained_without(
    left: list[str], parts: list[tuple[list[Path], NDArray[np.str_]]], place: Path, fields: dict[str, Any]
) -> hs.Run:
    """`quick`, trained on links to the images of the other classes."""
    for name, (files, labels) in zip(("train", "val"), parts, strict=True):
        for number, (file, label) in enumerate(zip(files, labels, strict=True)):
            if label not in left:
                folder = place / "images" / name / f"class {label}"
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"{number:05d}{file.suffix}").symlink_to(file)
    return hs.fit("quick", place / "images", out=place / "run", overrides=fields)


def of_one_set(source: str, side: str, place: Path, fields: dict[str, Any]) -> tuple[dict[str, float], float, float]:
    """(score -> mean AUROC, accuracy, share of images of left-out classes that are nearer than the median image)."""
    fields = {"data.image_size": int(side), "augment.sizes": [], "analysis.save_images": False} | fields
    parts = [sample(part, count) for part, count in zip(files_of(source, place), (TRAIN, VAL), strict=True)]
    (files, labels), (held_out, truth) = parts
    recipe = recipes.load("quick", fields)
    backbone = backbones.build(recipe.backbone.name).eval()
    load_weights(backbone, recipe.backbone)
    frozen = [unit(encode(backbone, some, recipe)) for some in (files, held_out)]

    classes = np.random.default_rng(0).permutation(np.unique(labels))
    at_once = AT_ONCE.get(len(classes), MANY)
    found, accuracies, near = list[dict[str, float]](), list[float](), list[float]()
    for number in range(TRAININGS.get(len(classes), 1)):
        left = classes[number * at_once :][:at_once].tolist()
        run = trained_without(left, parts, place / str(number), fields)
        accuracies.append(run.accuracy or 0.0)
        model = load_network(run.folder)
        model.task.load_weights(read_weights(run.folder, "last"))
        network: Any = model.task.eval()
        own = ~np.isin(labels, left)
        xt, xv = (encode(network.backbone, some, recipe) for some in (files, held_out))
        last = network.head[-1]
        head = Head(last.weight.detach().numpy(), last.bias.detach().numpy())
        scores = novelty(xt[own], np.unique(labels[own], return_inverse=True)[1].astype(np.float32), xv, head)
        scores[FROZEN] = neighbor_distances(frozen[1], frozen[0][own])
        for name, combined in COMBINED.items():
            scores[name] = np.mean([rankdata(scores[each]) for each in combined], axis=0)
        known, nearest = ~np.isin(truth, left), neighbor(frozen[1], frozen[0][own], 1)
        for each in left:
            if (new := truth == each).any():
                rows = known | new
                found.append({name: float(roc_auc_score(new[rows], s[rows])) for name, s in scores.items()})
                near.append(float((nearest[new] <= np.median(nearest[known])).mean()))
    means = {name: float(np.mean([each[name] for each in found])) for name in found[0]}
    return means, float(np.mean(accuracies)), float(np.mean(near))


def main(work: str, *words: str) -> None:
    sources = {name: rest for name, _, rest in (word.partition("=") for word in words) if "." not in name}
    fields = read_overrides([word for word in words if "." in word.partition("=")[0]])
    table = list[dict[str, float]]()
    for name, source in sources.items():
        folder, _, side = source.partition(":")
        with tempfile.TemporaryDirectory(dir=work) as place:
            means, accuracy, near = of_one_set(folder, side or "64", Path(place), fields)
        table.append(means)
        print(f"{name}: accuracy {accuracy:.1%}; nearer than the median image: {near:.0%} of those of classes left out")
        print("  ", {score: round(value, 3) for score, value in means.items()}, flush=True)
    for score in table[0]:
        print(f"median {np.median([each[score] for each in table]):.3f}  {score}")


if __name__ == "__main__":
    main(*sys.argv[1:])
