"""What is fuzzed: every parser of what a user can hand to headstart, with real files to mutate."""

from __future__ import annotations

import io
import json
import random
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from robustness import material
from robustness.mutate import Mutation, bytes_of, json_of, text_of

Use = Callable[[Path, random.Random], object]


class Target(NamedTuple):
    """One parser: files to mutate, and what is done with a mutated one."""

    name: str
    file: str
    """Name that a mutated file gets, in the folder of the target."""
    corpus: Sequence[bytes]
    mutate: Mutation
    use: Use
    """Called with the mutated file. Anything that it raises, but HeadstartError and Unreadable, is a failure."""


def image_targets(folder: Path) -> list[Target]:
    """Image files of every format that is read, and masks."""
    photo = material.photographs(1, "coffee.png")[0]
    gray, deep = photo.convert("L"), Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[274] = 6
    save, files = material.encoded, {}
    files["jpeg"] = [
        save(photo, "JPEG"), save(photo, "JPEG", progressive=True, exif=exif), save(gray, "JPEG"),
        save(photo.convert("CMYK"), "JPEG"),
    ]  # fmt: skip
    files["png"] = [
        save(photo, "PNG"), save(photo.convert("RGBA"), "PNG"), save(photo.quantize(16), "PNG", transparency=3),
        save(gray, "PNG", exif=exif), save(deep, "PNG"), save(gray.convert("1"), "PNG"),
        save(gray.convert("LA"), "PNG"),
    ]  # fmt: skip
    files["tiff"] = [
        save(photo, "TIFF"), save(photo, "TIFF", compression="tiff_lzw"), save(photo, "TIFF", compression="jpeg"),
        save(gray, "TIFF", compression="tiff_adobe_deflate"), save(photo.quantize(8), "TIFF"),
    ]  # fmt: skip
    files["tiff-deep"] = [
        save(deep, "TIFF"),
        save(Image.fromarray(np.asarray(gray) / np.float32(255)), "TIFF"),
        *_tiffs(photo),
    ]
    files["gif"] = [
        save(photo.quantize(16), "GIF"),
        save(gray, "GIF", save_all=True, append_images=[photo.quantize(4)]),
    ]
    files["bmp"] = [save(photo, "BMP"), save(gray, "BMP"), save(photo.quantize(16), "BMP")]
    files["webp"] = [save(photo, "WEBP"), save(photo.convert("RGBA"), "WEBP", lossless=True)]
    files["jpeg2000"] = [save(photo, "JPEG2000")]
    files["others"] = [
        save(photo, "PPM"),
        save(photo, "PCX"),
        save(photo, "SGI"),
        save(photo, "TGA"),
        save(gray, "PPM"),
    ]
    files["numpy"] = [_npy(np.asarray(photo)), _npy(np.asarray(deep)), _npy(np.asarray(gray) / np.float32(255))]
    files |= _optional(photo, deep)
    numbers = (np.asarray(gray) > 100).astype(np.uint8)
    palette = Image.fromarray(numbers, "P")
    palette.putpalette([0, 0, 255, 0, 255, 0])
    colors = Image.fromarray(np.array([*material.PALETTE.values()], np.uint8)[numbers])
    masks = [
        save(palette, "PNG"),
        save(Image.fromarray(numbers), "PNG"),
        save(colors, "PNG"),
        save(colors.convert("RGBA"), "PNG"),
    ]
    arrays = [_npy(numbers), _npy(numbers.astype(np.int32)), _npy(numbers.astype(np.float32)), _npy(numbers[None] > 0)]
    other = folder / "photo.png"
    other.write_bytes(files["png"][0])

    def read_image(file: Path, draw: random.Random) -> None:
        _read_image(file, draw)

    def read_mask(file: Path, draw: random.Random) -> None:
        _read_mask(file, other)

    return [
        *(Target(f"image-{name}", _name_of(name), corpus, bytes_of, read_image) for name, corpus in files.items()),
        Target("mask-png", "m.png", masks, bytes_of, read_mask),
        Target("mask-numpy", "m.npy", arrays, bytes_of, read_mask),
    ]


def _name_of(kind: str) -> str:
    return {"others": "x.tga", "numpy": "x.npy", "dicom": "x.dcm"}.get(kind, f"x.{kind.partition('-')[0]}")


def _npy(array: object) -> bytes:
    content = io.BytesIO()
    np.save(content, np.asarray(array))
    return content.getvalue()


def _tiffs(photo: Image.Image) -> list[bytes]:
    import tifffile

    found = []
    rgb = np.asarray(photo).astype(np.uint16) * 257
    for array, more in ((rgb, {"photometric": "rgb"}), (np.dstack([rgb, rgb[..., 0]]), {"photometric": "minisblack"})):
        content = io.BytesIO()
        tifffile.imwrite(content, array, **more)
        found.append(content.getvalue())
    return found


def _optional(photo: Image.Image, deep: Image.Image) -> dict[str, list[bytes]]:
    """HEIC, AVIF and DICOM, where their readers are installed."""
    found = {}
    try:
        import pillow_heif

        pillow_heif.register_heif_opener()
        found["heic"] = [material.encoded(photo, "HEIF")]
    except ImportError:
        pass
    with suppress(KeyError, OSError):
        found["avif"] = [material.encoded(photo, "AVIF")]
    try:
        import pydicom
    except ImportError:
        return found
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = deep.height, deep.width, 1
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PhotometricInterpretation, dataset.RescaleSlope, dataset.RescaleIntercept = "MONOCHROME2", 1, -100
    dataset.PixelData = (np.asarray(deep) >> 4).tobytes()
    content = io.BytesIO()
    dataset.save_as(content, enforce_file_format=True)
    found["dicom"] = [content.getvalue()]
    return found


def _read_image(file: Path, draw: random.Random) -> None:
    from headstart.data.conversion import Conversion
    from headstart.data.decode import read, read_deep, resize_to_square, upright_size
    from headstart.data.formats import is_image_file, recognized_format
    from headstart.data.headers import read_header
    from headstart.data.unreadable import Unreadable
    from headstart.value_range import ValueRange, ValueRanges

    is_image_file(file)
    recognized_format(file)
    read_header(file)
    upright_size(file)
    known = ValueRange(0, 1000)
    conversion = draw.choice((Conversion(), Conversion(ValueRanges(known, known)), Conversion(bands=(3, 2, 1))))
    with suppress(Unreadable):
        picture = read(file, draw.choice((None, 8)), conversion)
        resize_to_square(picture.rgb, 8, draw.choice(("squash", "crop", "pad")))
        read_deep(file, conversion)


def _read_mask(file: Path, image: Path) -> None:
    from headstart.data.masks.codec import read_mask
    from headstart.data.masks.color_stats import collect_color_stats
    from headstart.data.masks.combined import read_binary
    from headstart.data.masks.likeness import looks_like_mask
    from headstart.data.masks.orientation import turn_of
    from headstart.data.masks.origin import is_written_by_headstart
    from headstart.data.unreadable import Unreadable
    from headstart.errors import HeadstartError
    from headstart.palette import Palette

    is_written_by_headstart(file)
    turn = turn_of(image, file)
    looks_like_mask(file)
    collect_color_stats([file])
    names, colors = tuple(material.PALETTE), tuple(material.PALETTE.values())
    for kind in ("number", "color"):
        with suppress(Unreadable):
            read_mask(file, Palette(names, colors, (0, 1), kind), turn.orientation)
    with suppress(Unreadable, HeadstartError):
        read_binary(file)


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
        overrides = {"train.epochs": 1, "analysis.epochs": []}
        run = hs.fit(
            recipe,
            folder / data,
            out=folder / f"run-{task}",
            overrides=material.RECIPES[task][1] | overrides,
            console=quiet,
        )
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
    from headstart.runs.analysis import read_feature_analysis
    from headstart.runs.confusion import read_mask_confusions
    from headstart.runs.features import read_features
    from headstart.runs.folder import RunFolder, classifier_command, read_held_out, read_trained_on
    from headstart.runs.mask_snapshots import read_image, read_mask
    from headstart.runs.predictions import read_predictions
    from headstart.runs.thumbnails import decode_thumbnail, read_thumbnails

    top = next(folder for folder in file.parents if folder.name.startswith("run-"))
    run = RunFolder.open(top)
    run.require_finished()
    for part in (run.classes, run.palette, run.ranges, run.metrics, run.architecture, classifier_command(run)):
        repr(part)
    if file.suffix in (".png", ".jpg"):
        (read_mask if file.suffix == ".png" else read_image)(file)
    for read in (read_predictions, read_mask_confusions, read_features, read_feature_analysis, read_held_out):
        read(run)
    read_trained_on(run)
    for content in read_thumbnails(run, range(12)).values():
        decode_thumbnail(content)
    if draw.random() < 0.02:
        _use_run(top)


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
            from headstart.comparison.summary import table_rows
            from headstart.report.study_page import write_study_page

            table_rows(Results(found))
            if draw.random() < 0.1:
                write_study_page(Results(found), file.with_suffix(".html"))

    return [Target("study.json", "study.json", [study.to_json().encode()], json_of, read)]


def cache_targets(folder: Path) -> list[Target]:
    """Notes and tables of the cache, which another process may have left half-written, or another user changed."""
    from headstart.data.dataset import Dataset
    from headstart.recipes.recipe import Data

    data = material.labeled(folder / "data", each=2)
    cache = folder / "cache"
    config = Data(image_size=8)

    def use(file: Path, draw: random.Random) -> None:
        before = {each: each.read_bytes() for each in cache.rglob("*") if each.is_file() and each != file}
        try:
            pixels = Dataset(data).pixels(config)
            pixels.read(np.arange(len(pixels.index)))
        finally:
            for each, content in before.items():
                if not each.is_file() or each.read_bytes() != content:
                    each.write_bytes(content)

    import os

    os.environ["HEADSTART_CACHE"] = str(cache)
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
    "study": study_targets, "cache": cache_targets,
}  # fmt: skip


def all_targets(folder: Path, groups: Sequence[str] = tuple(GROUPS)) -> list[tuple[Path, Target]]:
    """(folder, target) of the groups: each in a folder of its own below ``folder``."""
    found = []
    for name in groups:
        own = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=folder))
        found += [(own, target) for target in GROUPS[name](own)]
    return found
