"""Does `headstart check RUN IMAGES` hear what it should of runs that were trained, and nothing else?

python benchmarks/image_check_runs.py WORK FOLDER FOLDER [...] [FIELD=VALUE ...]

Per FOLDER of labeled images: at most `TRAIN` of them train `quick` (fields change it), at most `VAL` validate it, and
at most `FRESH` are kept away from it. The numbers that `check` compares are made once, by its own code, of the
validation images, of the fresh ones as they are and changed (blur, JPEG), and of the other sets' fresh ones. Then
`DRAWS` checks of `COUNT` images each: validation and fresh images are shuffled together for those as they are, since
the last epoch's weights have seen neither; of the changed ones and of the other sets `HEARD` checks each.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import headstart as hs
from headstart.data.layouts import scan
from headstart.inference import image_check
from headstart.inference.image_files import find_images
from headstart.inference.model import load_network
from headstart.metrics.neighbors import neighbor_distances
from headstart.metrics.shift import differences
from headstart.models.run_weights import read_weights
from headstart.recipes.recipe import read_overrides
from headstart.runs.features import read_features
from image_check import CHANGES

TRAIN, VAL, FRESH = 500, 250, 400
COUNT, DRAWS, HEARD = 50, 500, 40
Floats = NDArray[np.floating[Any]]
Numbers = dict[str, Floats]


def divide(source: str, place: Path) -> list[Path]:
    """Make ``train/`` and ``val/`` of links in folders of classes below ``place``; returns the fresh images."""
    index = scan(source)
    order = np.random.default_rng(0).permutation(np.flatnonzero(np.asarray(index.labels) >= 0))
    fresh = list[Path]()
    for number, row in enumerate(order[: TRAIN + VAL + FRESH]):
        file = (Path(index.root) / index.paths[row]).resolve()
        if number >= TRAIN + VAL:
            fresh.append(file)
            continue
        folder = place / ("train" if number < TRAIN else "val") / index.classes[index.labels[row]].replace("/", "-")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:05d}{file.suffix}").symlink_to(file)
    return fresh


class Checked:
    """A run, and the numbers that `check` compares."""

    def __init__(self, run: hs.Run) -> None:
        stored = read_features(run.folder, [run.folder.recipe.train.epochs])
        self.own, bank = image_check.compared_rows(stored)
        self.bank, self.classes = stored.epochs[0].features[bank], run.classes
        self.model = load_network(run.folder)
        self.model.task.load_weights(read_weights(run.folder, "last"))
        last = stored.epochs[0]
        self.validation = self._numbers(
            last.features[self.own], last.probabilities[self.own], image_check.stored_sharpness(run.folder, self.own)
        )

    def _numbers(self, features: Floats, probabilities: Floats, sharp: Floats) -> Numbers:
        distance = neighbor_distances(features, self.bank)
        confidence = probabilities.max(axis=1)
        return {"features": features, "distance": distance, "confidence": confidence, "sharpness": sharp}

    def numbers(self, files: list[Path]) -> Numbers:
        """Those of new images."""
        _, features, probabilities, sharp, _ = image_check.encode(self.model, find_images(files), None)
        return self._numbers(features, probabilities, sharp)


def is_heard(own: Numbers, new: Numbers) -> bool:
    parts = [{name: each for name, each in numbers.items() if name != "features"} for numbers in (own, new)]
    return any(each.significant for each in differences((own["features"], new["features"]), *parts))


def rows_of(numbers: Numbers, rows: NDArray[np.int64]) -> Numbers:
    return {name: each[rows] for name, each in numbers.items()}


def false_alarms(checked: Checked, fresh: Numbers, count: int) -> float:
    """Share of checks that are heard, of images as they are."""
    random, size = np.random.default_rng(1), len(checked.own)
    pool = {name: np.concatenate([each, fresh[name]]) for name, each in checked.validation.items()}
    heard = 0
    for _ in range(DRAWS):
        order = random.permutation(len(pool["distance"]))
        heard += is_heard(rows_of(pool, order[:size]), rows_of(pool, order[size : size + count]))
    return heard / DRAWS


def alarms(checked: Checked, new: Numbers) -> float:
    random, size = np.random.default_rng(2), len(new["distance"])
    draws = [rows_of(new, random.permutation(size)[:COUNT]) for _ in range(HEARD)]
    return sum(is_heard(checked.validation, each) for each in draws) / HEARD


def changed(files: list[Path], kind: str, place: Path) -> list[Path]:
    (place / kind).mkdir()
    for number, file in enumerate(files):
        CHANGES[kind](Image.open(file).convert("RGB")).save(place / kind / f"{number:05d}.png")
    return sorted((place / kind).iterdir())


def main(work: str, *words: str) -> None:
    sources, fields = [w for w in words if "=" not in w], read_overrides([w for w in words if "=" in w])
    names = {source: Path(source).name for source in sources}
    fresh = {source: divide(source, Path(work) / names[source]) for source in sources}
    for source in sources:
        run = hs.fit("quick", Path(work) / names[source], out=Path(work) / f"run-{names[source]}", overrides=fields)
        checked = Checked(run)
        new = checked.numbers(fresh[source])
        few, all_ = (false_alarms(checked, new, count) for count in (COUNT, len(new["distance"])))
        print(f"{names[source]}: {len(checked.classes)} classes, accuracy {run.accuracy:.1%}, {len(checked.own)} validation images")  # fmt: skip  # noqa: E501
        print(f"  false alarms: {COUNT} images {few:.1%}, {len(new['distance'])} images {all_:.1%}")
        heard = {names[other]: alarms(checked, checked.numbers(fresh[other][:200])) for other in sources if other != source}  # fmt: skip  # noqa: E501
        with tempfile.TemporaryDirectory(dir=work) as place:
            for kind in CHANGES:
                heard[kind] = alarms(checked, checked.numbers(changed(fresh[source][:200], kind, Path(place))))
        print(f"  alarms of {COUNT} images: {', '.join(f'{kind} {share:.0%}' for kind, share in heard.items())}", flush=True)  # fmt: skip  # noqa: E501


if __name__ == "__main__":
    main(*sys.argv[1:])
