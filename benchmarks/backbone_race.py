"""Does a race of backbones choose well, and what does it cost? `headstart study DATA --backbones ...`.

    nice python benchmarks/backbone_race.py measure FOLDER [EPOCHS]   # trains; continues where it stopped
    python benchmarks/backbone_race.py report FOLDER                  # seconds

`measure` makes four small data sets of ../shared/data and elpv-dataset (of each class some training images, the others
held out), two runs of its own on other classes of corpus100, and stores in FOLDER, for EfficientNet-Lite0, 1 and 2 and
the two runs, whether each held-out image is predicted correctly: by the probes of all rounds and seeds, with nothing
dropped, and fine-tuned. Times are of the processor (`time.process_time`), with one thread, as other programs may run.

`report` says, for each data set: the regret of the chosen backbone against the best of fine-tuning all; the share of
the race in the time of fine-tuning all; and of 100 races on 341 images, drawn with replacement from the held-out ones,
in how many the true best, that of all held-out images, is dropped.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
import tarfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console

import headstart as hs
from headstart.comparison.race_file import Backbone, Race, RaceTrial
from headstart.comparison.race_results import RaceResults, seeds_of_round
from headstart.data.dataset import Dataset
from headstart.data.splits import label_subset
from headstart.files import write_atomically
from headstart.metrics.logme import logme
from headstart.recipes import recipe as recipes
from headstart.runs.folder import RunFolder
from headstart.runs.predictions import read_predictions
from headstart.studies.race_entries import Entry, load, read_entries
from headstart.studies.race_features import Features
from headstart.training.linear_probe import solve
from headstart.training.loop import train
from headstart.training.ranks import make_fabric
from headstart.training.setup import start

SHARED = Path(__file__).parents[2] / "shared" / "data"
SETS = ("clothing", "objects50", "corpus100", "elpv")
TRAIN, HELD_OUT, SIDE = 300, 600, 48
"""Images of each data set, about, and their side in pixels."""
FRACTIONS, SEEDS, POOL = (0.25, 0.5, 1.0), (0, 1, 2), tuple(range(5))
"""Rounds and seeds of a race, and the seeds that resampled races draw from."""
EPOCHS = 3
RACES, IMAGES = 100, 341
"""Resampled races, and the images of each."""
CHANGES: dict[str, Any] = {
    "data.image_size": SIDE,
    "augment.sizes": [],
    "train.epochs": EPOCHS,
    "checkpoint.monitor": "last",
    "analysis.train_samples": 0,
    "analysis.epochs": [EPOCHS],
    "analysis.save_images": False,
}


def make_data(root: Path) -> None:
    """The data sets, as ``root/NAME/{train,val}/CLASS/*``; and ``root/others`` for the own runs."""
    for name in SETS:
        if not (root / name).exists():
            classes = 2 if name == "elpv" else 10 if name == "clothing" else 20
            _write(root / name, _images(root, name), TRAIN // classes, HELD_OUT // classes)
    if not (root / "others").exists():
        _write(root / "others", _images(root, "others"), 40, 10)


def _images(root: Path, name: str) -> Iterator[tuple[str, Path]]:
    """(class, file) of a data set's images, in an order without meaning."""
    if name == "elpv":
        from elpv_dataset.utils import load_dataset

        images, probability, _ = load_dataset()
        folder = root / "unpacked" / "elpv"
        folder.mkdir(parents=True, exist_ok=True)
        for number in np.random.default_rng(0).permutation(len(images)):
            file = folder / f"{number}.png"
            Image.fromarray(images[number]).save(file)
            yield "defective" if probability[number] > 0.4 else "functional", file
        return
    source = _unpacked(root, "corpus100" if name == "others" else name)
    found: list[tuple[str, Path]] = []
    if name == "clothing":
        for split in ("train", "val"):
            with (source / f"{split}.csv").open(encoding="utf-8") as table:
                found += [(row["label"], source / split / row["filename"]) for row in csv.DictReader(table)]
    elif name == "objects50":
        found = [(file.name.partition("_")[0], file) for file in sorted(source.rglob("*.jpg"))]
    else:
        found = [(file.parent.name, file) for file in sorted(source.rglob("*.JPEG"))]
    names = sorted({label for label, _ in found})
    kept = set(names[50:]) if name == "others" else set(names[:20]) if name != "clothing" else set(names)
    found = [(label, file) for label, file in found if label in kept]
    for number in np.random.default_rng(0).permutation(len(found)):
        yield found[number]


def _unpacked(root: Path, name: str) -> Path:
    folder = root / "unpacked" / name
    if not folder.exists():
        with tarfile.open(SHARED / f"{name}.tar") as archive:
            archive.extractall(folder, filter="data")
    return folder / name if (folder / name).exists() else folder


def _write(folder: Path, images: Iterator[tuple[str, Path]], train: int, held_out: int) -> None:
    count: defaultdict[str, int] = defaultdict(int)
    partial = folder.with_name(f"{folder.name}.part")
    for label, file in images:
        split = "train" if count[label] < train else "val"
        if count[label] < train + held_out:
            (partial / split / label).mkdir(parents=True, exist_ok=True)
            shutil.copy(file, partial / split / label / file.name)
        count[label] += 1
    partial.rename(folder)


def own_runs(root: Path) -> list[Path]:
    """A network trained from scratch, and Lite0 trained on: both on the other classes of corpus100."""
    runs: dict[str, dict[str, Any]] = {
        "own-resnet10t": {"backbone.name": "resnet10t", "backbone.weights": "none", "train.epochs": 4},
        "own-lite0": {"train.epochs": 1},
    }
    for name, changes in runs.items():
        if not (root / name).exists():
            own = {**CHANGES, "analysis.epochs": [], **changes}
            hs.fit("quick", root / "others", out=root / name, overrides=own, console=Console(file=io.StringIO()))
    return [root / name for name in runs]


def measure(root: Path, epochs: int = EPOCHS) -> None:
    """Probes and fine-tuning of every backbone on every data set, stored as ``root/NAME.json``."""
    torch.set_num_threads(1)
    root.mkdir(parents=True, exist_ok=True)
    make_data(root)
    texts = ["tf_efficientnet_lite1", "tf_efficientnet_lite2", *map(str, own_runs(root))]
    entries = {Path(each.name).name: each for each in read_entries(texts, recipes.load("quick", CHANGES))}
    for stage in ("probes", "fine_tuned"):
        for name in SETS:
            file = root / f"{name}.json"
            stored: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
            for key, entry in entries.items():
                assert isinstance(entry, Entry), entry
                found = stored.setdefault(key, {})
                if stage not in found:
                    found |= (
                        _probes(root, name, entry) if stage == "probes" else _fine_tune(root, name, entry, key, epochs)
                    )
                    write_atomically(file, json.dumps(stored).encode())
                    print(name, key, stage, flush=True)


def _probes(root: Path, name: str, entry: Entry) -> dict[str, Any]:
    dataset = Dataset(root / name)
    pixels, began = dataset.pixels(entry.recipe.data), time.process_time()
    index = pixels.index
    held_out = np.array(index.positions("val"), dtype=np.int64)
    labels = np.array(index.labels, dtype=np.int64)
    loaded = load(entry, index.classes)
    features = Features(root / "none", len(index), "")
    features._append = lambda rows, parts: features._put(rows, np.concatenate(parts))  # type: ignore[method-assign]
    everything = np.arange(len(index))
    features.add(loaded.task, pixels, everything, entry.recipe, make_fabric(1, 1, "32-true"), lambda _: True)
    found: dict[str, Any] = {"encode": time.process_time() - began, "images": len(index), "probes": {}, "seconds": {}}
    for fraction in FRACTIONS:
        for seed in POOL if fraction < 1 else POOL[:1]:
            began = time.process_time()
            rows = np.array(label_subset(index, fraction, seed), dtype=np.int64)
            probe = solve(features.of(rows), labels[rows], len(index.classes), seed)
            correct = probe.predict(features.of(held_out)) == labels[held_out]
            found["probes"][f"{fraction:g} {seed}"] = correct.astype(int).tolist()
            found["seconds"][f"{fraction:g} {seed}"] = time.process_time() - began
            if fraction == FRACTIONS[0] and not seed:
                found["logme"] = logme(features.of(rows), labels[rows])
    return found


def _fine_tune(root: Path, name: str, entry: Entry, key: str, epochs: int) -> dict[str, Any]:
    changes = {"backbone.freeze": False, "train.epochs": epochs, "analysis.epochs": [epochs]}
    recipe = recipes.override(entry.recipe, changes)
    folder = root / "fine-tuned" / f"{name}-{key}"
    if folder.exists():
        shutil.rmtree(folder)
    began = time.process_time()
    training = start(recipe, str(root / name), folder)
    for _ in train(training):
        pass
    predictions = read_predictions(RunFolder(folder))
    assert predictions is not None
    correct = predictions.probabilities.argmax(axis=1) == predictions.labels
    return {"fine_tuned": correct.astype(int).tolist(), "train": time.process_time() - began}


def race_of(stored: dict[str, Any], rows: Any, seeds: tuple[int, ...]) -> RaceResults:
    """The race that these held-out images and seeds make."""
    names = list(stored)
    trials: list[dict[str, Any]] = []
    for name in names:
        for fraction in FRACTIONS:
            for number in seeds_of_round(FRACTIONS, SEEDS, fraction):
                drawn = seeds[number] if fraction < 1 else 0
                bits = np.array(stored[name]["probes"][f"{fraction:g} {drawn}"], dtype=np.bool_)[rows]
                trials.append({"setting": "D", "fraction": fraction, "backbone": name, "seed": number, "correct": bits})
        if "fine_tuned" in stored[name]:
            bits = np.array(stored[name]["fine_tuned"], dtype=np.bool_)[rows]
            trials.append({"setting": "B", "fraction": 1.0, "backbone": name, "seed": 0, "correct": bits})
    race = Race(
        name="", data="", classes=2, majority_baseline=0.5, split="val", groups=None, image_size=SIDE,
        fractions=FRACTIONS, seeds=SEEDS, fine_tune=True, margin=0.02, fingerprint="",
        backbones=tuple(Backbone(name=each, network="", weights="", logme=stored[each]["logme"]) for each in names),
        trials=tuple(RaceTrial(labels=1, **each) for each in trials),
    )  # fmt: skip
    return RaceResults(race)


def report(root: Path) -> None:
    """Of each data set: regret, cost, and how often the best is dropped."""
    for name in SETS:
        file = root / f"{name}.json"
        stored: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        stored = {key: each for key, each in stored.items() if "probes" in each}
        if len(stored) < 3:
            print(f"{name}: not measured")
            continue
        probes = {key: float(np.mean(each["probes"]["1 0"])) for key, each in stored.items()}
        whole = race_of(stored, slice(None), SEEDS)
        print(f"{name}: probes with all labels", ", ".join(f"{key} {100 * each:.1f}" for key, each in probes.items()))
        print(
            "  dropped:", "; ".join(f"{each.fraction:.0%} {', '.join(each.dropped) or 'none'}" for each in whole.rounds)
        )
        if whole.logme_error is not None:
            print(f"  LogME: tau {whole.logme_error.tau:.2f}, regret {100 * whole.logme_error.regret:.1f} points")
        best = [max(probes, key=lambda key: probes[key])]
        if all("fine_tuned" in each for each in stored.values()):
            tuned = {key: float(np.mean(each["fine_tuned"])) for key, each in stored.items()}
            best.append(max(tuned, key=lambda key: tuned[key]))
            share = _seconds_of_race(stored, whole) / sum(4 * each["train"] for each in stored.values())
            assert whole.winner is not None
            print("  fine-tuned:", ", ".join(f"{key} {100 * each:.1f}" for key, each in tuned.items()))
            print(
                f"  chosen {whole.winner}: regret {100 * (tuned[best[1]] - tuned[whole.winner]):.1f} points,", end=" "
            )
            print(f"{share:.0%} of the time of fine-tuning all")
        print(
            f"  best dropped in {' and '.join(f'{_dropped(stored, each)} ({each})' for each in best)} of {RACES} races"
        )


def _dropped(stored: dict[str, Any], best: str) -> int:
    """Of the resampled races, in how many a backbone is dropped."""
    random, dropped = np.random.default_rng(0), 0
    count = len(next(iter(stored.values()))["probes"]["1 0"])
    for _ in range(RACES):
        rows, seeds = random.integers(0, count, IMAGES), tuple(random.choice(POOL, len(SEEDS)).tolist())
        dropped += any(best in found.dropped for found in race_of(stored, rows, seeds).rounds)
    return dropped


def _seconds_of_race(stored: dict[str, Any], results: RaceResults) -> float:
    """Features of the images that each round needs, its probes, and the last two with a learning rate of their own.

    Tuning costs as much as one training (three candidates of a third of the epochs). Fine-tuning all is that and three
    seeds: four trainings each. The last two of a race are counted with all three seeds as well.
    """
    seconds = 0.0
    for name, each in stored.items():
        last = [found for found in results.rounds if name in found.names]
        images = each["images"] if last[-1].fraction == 1 else HELD_OUT + 0.7 * TRAIN
        seconds += each["encode"] * min(1.0, images / each["images"])
        seconds += sum(each["seconds"][f"{found.fraction:g} {seed}"] for found in last for seed in found.seeds)
    return seconds + sum(4.0 * float(stored[name]["train"]) for name in results.last_two)


if __name__ == "__main__":
    if sys.argv[1] == "measure":
        measure(Path(sys.argv[2]), *map(int, sys.argv[3:]))
    else:
        report(Path(sys.argv[2]))
