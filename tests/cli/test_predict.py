"""`headstart predict` on folders that people have: what it looks at, what it writes, and where it refuses to write."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import headstart as hs
from command import headstart, refused
from forked import type_in
from headstart.data.masks.origin import is_written_by_headstart
from headstart.inference.predict import Predictions
from headstart.runs.folder import RunFolder
from headstart.runs.predictions import is_predictions_table
from narrow import narrow


@pytest.fixture
def camera(photos: Path, tmp_path: Path) -> Path:
    """Two photographs of one name in two folders, and files that are none."""
    for number, picture in enumerate(sorted((photos / "hat").iterdir())[:2]):
        (tmp_path / "camera" / str(number)).mkdir(parents=True)
        shutil.copy(picture, tmp_path / "camera" / str(number) / "IMG_1.jpg")
    (tmp_path / "camera" / "notes.txt").write_text("no picture")
    return tmp_path / "camera"


def table(file: Path) -> list[list[str]]:
    with file.open(encoding="utf-8", newline="") as text:
        return list(csv.reader(text))


def test_files_that_are_not_looked_at_are_named_and_images_among_them_change_the_status(
    trained: tuple[Path, Path], camera: Path
) -> None:
    (camera / "firmware.bin").write_bytes(b"no picture")
    done = headstart("predict", trained[0], camera)
    assert done.returncode == 0, done.stderr
    assert "firmware.bin: no image" in done.stderr
    assert "1 other files (1 .txt)" in done.stderr
    (camera / "x.heic").write_bytes(b"\0\0\0\x18ftypheic")
    done = headstart("predict", trained[0], camera)
    assert done.returncode == 1
    assert f"skipped {camera / 'x.heic'}: " in done.stderr
    assert "headstart[heif]" in done.stderr
    assert [row.split(",")[0] for row in done.stdout.splitlines()] == ["filename", "0/IMG_1.jpg", "1/IMG_1.jpg"]
    done = headstart("predict", trained[0], camera / "0" / "IMG_1.jpg", camera / "notes.txt")
    assert done.returncode == 1
    assert "notes.txt: not an image" in done.stderr


def test_the_confidence_is_the_probability_of_the_label(
    trained: tuple[Path, Path], camera: Path, tmp_path: Path
) -> None:
    out = tmp_path / "labels.csv"
    assert headstart("predict", trained[0], camera, "--out", out).returncode == 0
    answer = narrow(hs.Run(trained[0]).predict(camera), Predictions)
    expected = [
        [f"{number}/IMG_1.jpg", answer.classes[p.argmax()], f"{p.max():.4f}"]
        for number, p in enumerate(answer.probabilities)
    ]
    assert table(out) == [["filename", "label", "confidence"], *expected]


def test_bare_names_are_written_where_each_occurs_once(
    trained: tuple[Path, Path], camera: Path, tmp_path: Path
) -> None:
    out = tmp_path / "labels.csv"
    line = refused("predict", trained[0], camera, "--names", "--out", out)
    assert "expected every file name once" in line
    assert not out.exists()
    assert headstart("predict", trained[0], camera / "1", "--names", "--out", out).returncode == 0
    assert [row[:1] for row in table(out)] == [["filename"], ["IMG_1.jpg"]]
    assert table(out)[0] == ["filename", "label"]


def test_a_table_that_is_none_of_predictions_is_not_replaced(
    trained: tuple[Path, Path], camera: Path, tmp_path: Path
) -> None:
    out = tmp_path / "labels.csv"
    out.write_text("filename,label\nIMG_1.jpg,hat\n")
    before = out.read_bytes()
    assert "--overwrite" in refused("predict", trained[0], camera, "--out", out)
    assert out.read_bytes() == before
    assert headstart("predict", trained[0], camera, "--out", out, "--overwrite").returncode == 0
    more = headstart("predict", trained[0], camera, "--out", out, "--probabilities")
    assert more.returncode == 0, "predictions are replaced by predictions"
    assert headstart("predict", trained[0], camera, "--out", out).returncode == 0
    own = trained[0] / "predictions.csv"
    assert "expected a new file or predictions" in refused("predict", trained[0], camera, "--out", own)
    assert "expected a CSV file, found a folder" in refused("predict", trained[0], camera, "--out", tmp_path)


def test_predictions_are_not_written_where_they_would_be_taken_for_labels(
    trained: tuple[Path, Path], camera: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, photos = trained
    for out in (camera / "labels.csv", camera / "0" / "labels.csv", photos / "labels.csv"):
        assert f"--out {out}: expected a place outside the images" in refused("predict", run, camera, "--out", out)
        assert not out.exists()
    monkeypatch.chdir(camera)
    line = refused("predict", run, ".", "--out", "labels.csv")
    free = line.rpartition("--out ")[2]
    assert headstart("predict", run, ".", "--out", free).returncode == 0
    assert (tmp_path / "camera-predicted.csv").is_file()
    assert "expected a place" in refused("predict", run, "0/IMG_1.jpg", "--names", "--out", "0/labels.csv")


def test_tables_of_predictions_are_known_by_their_columns(trained: tuple[Path, Path]) -> None:
    assert is_predictions_table(["filename", "label", "confidence"])
    assert is_predictions_table(["filename", "label", "confidence", "probability_a", "probability_b"])
    assert is_predictions_table(table(trained[0] / "predictions.csv")[0])
    for columns in (
        ["filename", "label"],
        ["filename", "label", "split"],
        ["filename", "label", "confidence", "split"],
        [],
    ):
        assert not is_predictions_table(columns)


@pytest.fixture(scope="module")
def masks_run(small_tiles: Path, masked: object, tmp_path_factory: pytest.TempPathFactory) -> hs.Run:
    from headstart.training.loop import train
    from headstart.training.setup import start

    out = tmp_path_factory.mktemp("masks") / "run"
    for event in train(start(masked(data__image_size=32, train__epochs=1), str(small_tiles), out)):  # type: ignore[operator]
        del event
    return hs.Run(out)


@pytest.mark.slow
def test_masks_are_not_written_over_others_or_among_the_images(
    masks_run: hs.Run, small_tiles: Path, tmp_path: Path
) -> None:
    images, out = tmp_path / "images", tmp_path / "out"
    images.mkdir()
    for file in sorted((small_tiles / "val").glob("*_sat.jpg"))[:2]:
        shutil.copy(file, images)
    mask = out / next(images.iterdir()).name.replace("_sat.jpg", "_mask.png")
    out.mkdir()
    Image.fromarray(np.zeros((48, 48, 3), np.uint8)).save(mask)
    before = mask.read_bytes()
    assert "--overwrite" in refused("predict", masks_run.path, images, "--out", out)
    assert (mask.read_bytes(), len(list(out.iterdir()))) == (before, 1)
    assert headstart("predict", masks_run.path, images, "--out", out, "--overlay", "--overwrite").returncode == 0
    assert len(list(out.iterdir())) == 4
    assert all(is_written_by_headstart(file) for file in out.iterdir())
    assert headstart("predict", masks_run.path, images, "--out", out, "--overlay").returncode == 0
    for place in (images / "masks", small_tiles / "masks"):
        assert "expected a place outside the images" in refused("predict", masks_run.path, images, "--out", place)
        assert not place.exists()


@pytest.mark.slow
def test_file_names_that_are_not_utf_8_go_through_every_command(photos: Path, tmp_path: Path) -> None:
    """In programs of their own, whose streams are those of a terminal."""
    latin = os.fsencode(photos) + b"/hat/caf\xe9.jpg"
    os.rename(next((photos / "hat").iterdir()), latin)  # noqa: PTH104 - a name in bytes
    run, out = tmp_path / "run", tmp_path / "labels.csv"
    settings = ["data.image_size=32", "augment.sizes=[]", "train.epochs=1", "backbone.name=test_resnet"]

    def typed(*words: object) -> bytes:
        status, stdout, stderr = type_in(tmp_path, *words).ended()
        assert status in (0, 1), stderr.decode(errors="replace")
        assert b"Traceback" not in stderr
        return stdout

    typed("check", photos, "--json")
    typed("fit", "quick", photos, *settings, "backbone.weights=none", "data.val_fraction=0.5", "--out", run)
    assert b"hat/caf\xe9.jpg," in typed("predict", run, photos)
    typed("predict", run, photos, "--out", out)
    assert b"hat/caf\xe9.jpg," in out.read_bytes()
    for words in (("check", photos), ("evaluate", run, photos), ("report", run), ("map", run)):
        assert headstart(*words).returncode in (0, 1)
    (run / "report.html").read_text(encoding="utf-8")
    assert len(hs.Run(run).folder.predictions) == 30


def test_refused_images_are_marked_and_the_price_is_said(trained: tuple[Path, Path], tmp_path: Path) -> None:
    """The twelve validation images of the small run cannot promise 5 %; a run that was right on 120 can."""
    run = shutil.copytree(trained[0], tmp_path / "run")
    assert "at least 59 validation images" in refused("predict", run, trained[1], "--refuse", "0.05")
    with (run / "predictions.csv").open(encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    classes = hs.Run(run).classes
    for row in rows:  # right, and sure of it, half of the time
        row["predicted"] = row["label"]
        row.update({f"probability_{name}": "0.98" if name == row["label"] else "0.01" for name in classes})
    unsure = [
        dict(row) | {f"probability_{name}": "0.36" if name == classes[0] else "0.32" for name in classes}
        for row in rows
    ]
    RunFolder.open(run).write_table("predictions.csv", rows * 10 + unsure * 10)
    done = headstart("predict", run, trained[1], "--refuse", "0.05", "--out", tmp_path / "labels.csv")
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stderr.split())
    assert "Of 240 validation images 50.0% are answered (95 % CI 43.7% to 56.3%); 0.0% of the answers are wrong" in said
    found = table(tmp_path / "labels.csv")
    assert found[0] == ["filename", "label", "confidence", "refused"]
    answered = sum(row[3] == "no" for row in found[1:])
    assert f"{answered} of 60 images answered" in said
    assert {row[3] for row in found[1:]} <= {"yes", "no"}
    assert is_predictions_table(found[0])
    assert "neither --names nor --list" in refused("predict", run, trained[1], "--refuse", "0.05", "--names")
