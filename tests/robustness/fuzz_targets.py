"""What is fuzzed beside images: tables, recipes, weights, runs, studies and the cache, with real files to mutate."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest import mock

import numpy as np

from headstart.runs.analysis import read_feature_analysis
from headstart.runs.confusion import read_mask_confusions
from headstart.runs.features import read_features
from headstart.runs.folder import RunFolder, classifier_command
from headstart.runs.mask_snapshots import read_image, read_mask
from headstart.runs.predictions import read_predictions
from headstart.runs.thumbnails import decode_thumbnail, read_thumbnails
from headstart.runs.training_images import read_held_out, read_trained_on
from robustness import material
from robustness.fuzz_images import image_targets
from robustness.fuzz_onnx import onnx_targets
from robustness.mutate import Target, bytes_of, json_of, text_of


def text_targets(folder: Path) -> list[Target]:
    """Tables, lists of classes, COCO JSON, recipes and overrides."""
    from headstart.data.checks.issues import check_files  # noqa: F401 - imported here, not in every case
    from headstart.data.layouts import scan
    from headstart.data.masks.class_lists import read_class_list
    from headstart.recipes import recipe as recipes

    def scanned(file: Path, draw: random.Random) -> None:
        index = scan(file.parent)
        assert len(index) >= 0

    def listed(file: Path, draw: random.Random) -> None:
        name = draw.choice(("class_dict.csv", "classes.txt", "labelmap.txt", "_classes.csv", "label_colors.txt"))
        other = file.with_name(name)
        shutil.copy(file, other)
        try:
            read_class_list(other)
        finally:
            other.unlink()

    def listed_json(file: Path, draw: random.Random) -> None:
        other = file.with_name(
            draw.choice(("dataset.json", "meta.json", "notes.json", "obj_class_to_machine_color.json"))
        )
        shutil.copy(file, other)
        try:
            read_class_list(other)
        finally:
            other.unlink()

    tables = folder / "tables"
    tables.mkdir()
    for number, image in enumerate(material.photographs(6, "coffee.png")):
        image.save(tables / f"{number}.png")
    rows = "".join(f"{n}.png,{'cat' if n % 2 else 'dog'},{'val' if n > 3 else 'train'}\n" for n in range(6))
    csvs = [
        f"filename,label,split\n{rows}",
        rows.replace(",", ";"),
        "image,x\n0.png,1.5\n1.png,2\n",
        f"id\tlabel\n{rows}",
    ]
    coco_folder = shutil.copytree(tables, folder / "coco")
    box = [0, 0, 10, 0, 10, 10, 0, 10]
    coco = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 32, "height": 32} for n in range(6)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [{"id": n, "image_id": n, "category_id": 1 + n % 2, "segmentation": [box]} for n in range(5)]
        + [{"id": 9, "image_id": 5, "category_id": 1, "segmentation": {"size": [32, 32], "counts": [100, 50, 874]}}],
    }
    assert coco_folder.is_dir()
    lists = [
        "name,r,g,b\nsky,0,0,255\nroad,255,0,0\n",
        "sky\nroad\ncar\n",
        "0: sky\n1: road\n",
        "sky:0,0,255::\n",
        "Pixel Value, Class\n0,sky\n1,car\n",
        "1 2 3 Sky\n",
    ]
    jsons = [
        {"labels": {"background": 0, "cat": 1}},
        {"classes": [{"title": "cat", "color": "#00ff00"}]},
        {"cat": [1, 1, 1]},
        {"categories": [{"id": 1, "name": "x"}]},
    ]
    toml = [recipes.source(name).encode() for name in ("quick", "byol-quick", "segment-quick", "resnet50-office")]
    overrides = [
        b"train.epochs=5", b"data.bands=[4,3,2]", b"augment.mean=[0.5,0.5,0.5]", b"backbone.weights=runs/x",
        b"data.ignore_classes=['a','b']", b"optimizer.lr=1e-3", b"data.range=[0,1]", b"expect.accuracy=0.5",
    ]  # fmt: skip

    def override(file: Path, draw: random.Random) -> None:
        text = file.read_bytes().decode("utf-8", "surrogateescape")
        recipe = recipes.load("quick", recipes.read_overrides([text]))
        recipe.to_toml()

    def load(file: Path, draw: random.Random) -> None:
        recipes.load(str(file)).to_toml()

    return [
        Target("table", "tables/labels.csv", [text.encode() for text in csvs], text_of, scanned),
        Target("coco", "coco/instances.json", [json.dumps(coco).encode()], json_of, scanned),
        Target("class-list", "list", [text.encode() for text in lists], text_of, listed),
        Target("class-list-json", "list", [json.dumps(each).encode() for each in jsons], json_of, listed_json),
        Target("recipe", "r.toml", toml, text_of, load),
        Target("override", "o.txt", overrides, text_of, override),
    ]


def weights_targets(folder: Path) -> list[Target]:
    """Weights files: safetensors and PyTorch's."""
    import torch
    from safetensors.torch import save

    from headstart.models.weights import load_weights
    from headstart.recipes.recipe import Backbone

    network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    tensors = network.state_dict()
    files = []
    for content, options in (
        (tensors, {}), ({"state_dict": tensors, "epoch": 3}, {}),
        (tensors, {"_use_new_zipfile_serialization": False}),
    ):  # fmt: skip
        written = io.BytesIO()
        torch.save(content, written, **options)
        files.append(written.getvalue())

    def load(file: Path, draw: random.Random) -> None:
        load_weights(network, Backbone(name="resnet10t", weights=str(file)))

    return [
        Target(
            "safetensors",
            "w.safetensors",
            [save(tensors), save({f"module.{k}": v for k, v in tensors.items()})],
            bytes_of,
            load,
        ),
        Target("pth", "w.pth", files, bytes_of, load),
    ]


def run_targets(folder: Path) -> list[Target]:
    """Every artifact of a run folder, of a classifier and of a segmentation."""
    import headstart as hs
    from headstart.console.streams import make_console

    found = []
    material.labeled(folder / "labeled", each=4)
    material.masked(folder / "masked", count=8)
    for task, data in (("classify", "labeled"), ("segment", "masked")):
        recipe, overrides = material.RECIPES[task]
        quiet = make_console(stderr=True)
        quiet.quiet = True
        overrides = overrides | {"train.epochs": 1, "analysis.epochs": []}
        run = hs.fit(recipe, folder / data, out=folder / f"run-{task}", overrides=overrides, console=quiet)
        for file in sorted(run.path.rglob("*")):
            name = file.relative_to(run.path).as_posix()
            if file.is_file() and file.suffix != ".html" and not name.startswith((".", "weights/", "masks/epoch")):
                mutate = {".json": json_of, ".csv": text_of, ".toml": text_of, ".txt": text_of}.get(
                    file.suffix, bytes_of
                )
                if not (name.startswith("masks/") and name[-5] != "0"):
                    found.append(Target(f"{task}:{name}", f"run-{task}/{name}", [file.read_bytes()], mutate, _read_run))
    return found


def _read_run(file: Path, draw: random.Random) -> None:
    """Read all artifacts. Whoever changes a file may remove the checksums: most cases are tried without them."""
    top = next(folder for folder in file.parents if folder.name.startswith("run-"))
    checksums = {each: each.read_bytes() for each in top.rglob("checksums.json") if each != file}
    if draw.random() < 0.95:
        for each in checksums:
            each.unlink()
    try:
        _read_all(top, file)
        if draw.random() < 0.02:
            _use_run(top)
    finally:
        for each, content in checksums.items():
            each.write_bytes(content)


def _read_all(top: Path, file: Path) -> None:
    run = RunFolder.open(top)
    run.require_finished()
    for part in (run.classes, run.palette, run.ranges, run.metrics, run.architecture, classifier_command(run)):
        repr(part)
    if file.suffix in (".png", ".jpg"):
        (read_mask if file.suffix == ".png" else read_image)(run, file)
    for read in (read_predictions, read_mask_confusions, read_features, read_feature_analysis, read_held_out):
        read(run)
    read_trained_on(run)
    for content in read_thumbnails(run, range(12)).values():
        decode_thumbnail(content)


def _use_run(top: Path) -> None:
    import headstart as hs

    run = hs.Run(top)
    run.report()
    (top / "report.html").unlink()


def study_targets(folder: Path) -> list[Target]:
    """study.json."""
    from headstart.comparison.study import Study, Trial, read_study
    from headstart.comparison.summary import Results

    random_ = np.random.default_rng(0)
    trials = tuple(
        Trial(setting=s, fraction=f, seed=seed, labels=int(100 * f), correct=random_.random(12) > 0.5, ece=0.1, knn=0.4,
              optimism=0.01, chosen={"lr": 0.001}, seconds_tune=5.0, seconds_train=2.0, images_seen=10)
        for s in "AB" for f in (0.5, 1.0) for seed in (0, 1)
    )  # fmt: skip
    study = Study(
        settings=("A", "B"), fractions=(0.5, 1.0), seeds=(0, 1), trials=trials, data="photos", classes=3,
        majority_baseline=0.2, metric="accuracy",
    )  # fmt: skip

    def read(file: Path, draw: random.Random) -> None:
        found = read_study(file)
        if draw.random() < 0.2:
            from headstart.comparison.table import table_rows
            from headstart.report.study_page import write_study_page

            table_rows(Results(found))
            if draw.random() < 0.1:
                write_study_page(file.parent, Results(found))

    return [Target("study.json", "study.json", [study.to_json().encode()], json_of, read)]


def cache_targets(folder: Path) -> list[Target]:
    """Notes and tables of the cache, which another process may have left half-written, or another user changed."""
    from headstart.data.dataset import Dataset
    from headstart.recipes.recipe import Data

    data = material.labeled(folder / "data", each=2)
    cache = folder / "cache"
    own_cache = mock.patch.dict(os.environ, {"HEADSTART_CACHE": str(cache)})
    config = Data(image_size=8)

    def use(file: Path, draw: random.Random) -> None:
        before = {each: each.read_bytes() for each in cache.rglob("*") if each.is_file() and each != file}
        try:
            with own_cache:  # not the one that other targets fill
                (pixels := Dataset(data).pixels(config)).read(np.arange(len(pixels.index)))
        finally:
            for each, content in before.items():
                if not each.is_file() or each.read_bytes() != content:
                    each.write_bytes(content)

    with own_cache:
        Dataset(data).pixels(config)
    found = []
    for file in sorted(cache.rglob("*")):
        if file.is_file() and not file.name.startswith("."):
            mutate = json_of if file.suffix == ".json" else bytes_of
            found.append(
                Target(
                    f"cache:{file.parent.name}/*{file.suffix}",
                    f"cache/{file.relative_to(cache)}",
                    [file.read_bytes()],
                    mutate,
                    use,
                )
            )
    return found


GROUPS: dict[str, Callable[[Path], list[Target]]] = {
    "images": image_targets, "texts": text_targets, "weights": weights_targets, "runs": run_targets,
    "study": study_targets, "cache": cache_targets, "onnx": onnx_targets,
}  # fmt: skip


def all_targets(folder: Path, groups: Sequence[str] = tuple(GROUPS)) -> list[tuple[Path, Target]]:
    """(folder, target) of the groups: each in a folder of its own below ``folder``."""
    found = []
    for name in groups:
        own = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=folder))
        found += [(own, target) for target in GROUPS[name](own)]
    return found
