"""The page of a run that answers with masks says and shows what the run folder holds."""

from __future__ import annotations

import base64
import io
import json
import shutil
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save
from sklearn.metrics import jaccard_score

import headstart as hs
from headstart.analysis.feature_analysis import analyze_features
from headstart.analysis.mask_findings import mask_findings
from headstart.metrics.segmentation import image_ious, segmentation_metrics
from headstart.metrics.written import ends, share
from headstart.palette import Palette
from headstart.recipes import recipe as recipes
from headstart.report.embedding_view import embedding_view
from headstart.report.map_data import unscaled
from headstart.report.mask_viewer import MaskViewer, mask_viewer
from headstart.report.run_page import write_report
from headstart.runs.analysis import read_feature_analysis
from headstart.runs.confusion import read_mask_confusions
from headstart.runs.folder import RunFolder
from pages import assert_loads_nothing, visible

pytestmark = pytest.mark.slow

HOSTILE = "<script>alert('x')</script>\"&é"


@pytest.fixture
def run(made_segmentation: Path, tmp_path: Path) -> RunFolder:
    """A copy of a finished run, to change."""
    return RunFolder.open(shutil.copytree(made_segmentation, tmp_path / "run"))


def text(run: RunFolder) -> str:
    return write_report(run).read_text(encoding="utf-8")


def decoded(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


def opened(file: Path) -> Image.Image:
    with Image.open(file) as picture:
        picture.load()
        return picture


def test_the_headline_is_the_mean_iou_and_its_convention_stands_beside_it(run: RunFolder) -> None:
    answers = read_mask_confusions(run) or pytest.fail("no answers")
    measures = segmentation_metrics(answers.confusion, run.classes)
    page = visible(text(run))
    assert f"Validation mean IoU {share(measures.miou)} (95 % CI {ends(measures.miou)})" in page
    assert "Mean IoU of epoch 2" in page
    assert "in pixels summed over all 24 images before dividing" in page
    assert "The mean is over building, clutter, vegetation, ground, car; each with equal weight" in page
    assert "water: neither in the validation masks nor predicted" in page
    assert "are ignored (0.7 % of the validation pixels)" in page
    assert (
        f"The mean of each image's own IoU, which some tools report, would be {100 * answers.mean_of_images:.1f} %"
        in page
    )
    assert f"most frequent class: mean IoU {100 * answers.constant:.1f} %" in page


def test_the_expected_number_stands_beside_the_result(run: RunFolder) -> None:
    expect = recipes.Expect(metric="val_miou", value=0.7042, source="the report's Model B")
    run.write("recipe.toml", run.recipe.model_copy(update={"expect": expect}).to_toml().encode())
    page = visible(text(run))
    assert "Expected: val_miou 70.4 %. the report's Model B" in page.replace("&#39;", "'")


def test_ignored_classes_are_named(run: RunFolder) -> None:
    data = run.data
    palette = data["palette"]
    palette |= {"names": [*palette["names"], "unknown"], "colors": [*palette["colors"], [0, 0, 0]], "ignored": 1}
    run.write_json("data.json", data | {"palette": palette})
    page = visible(text(run))
    assert "Pixels of unknown are ignored, whatever is predicted there (0.7 % of the validation pixels)" in page
    assert "unknown (ignored)" in page


def test_classes_findings_and_confused_pairs_are_on_the_page(run: RunFolder) -> None:
    answers = read_mask_confusions(run) or pytest.fail("no answers")
    measures = segmentation_metrics(answers.confusion, run.classes)
    page = visible(text(run))
    for each in measures.per_class:
        value = "\N{EN DASH}" if each.iou is None else f"{100 * each.iou.value:.1f} %"
        assert f"{each.name} {value}" in page
    data = run.data
    said = mask_findings(run.metrics, run.recipe.checkpoint.monitor, answers, data["shares"], data["ignored"]["val"])
    assert len(said) > 3
    assert all(sentence in page.replace("&#39;", "'") for sentence in said)
    wrong = answers.whole - np.diag(answers.whole.diagonal())
    true, predicted = np.unravel_index(wrong.argmax(), wrong.shape)
    pair, count = f"{run.classes[true]} {run.classes[predicted]}", wrong.max()
    assert f"{pair} {count:,} {100 * count / answers.whole[true].sum():.1f} %" in page


def unpacked(text: str, width: int) -> NDArray[np.uint8]:
    """A packed mask, by running XOR down its columns."""
    rows = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8).reshape(-1, width)
    return np.bitwise_xor.accumulate(rows, axis=0)


def viewer(run: RunFolder, kept: int = 2, characters: int = 10**9) -> MaskViewer:
    names = [row["filename"] for row in run.feature_images]
    palette = Palette.from_json(run.data["palette"])
    return mask_viewer(run, palette, names, read_mask_confusions(run), kept, characters)


def test_the_viewer_has_the_stored_masks_and_their_figures(run: RunFolder) -> None:
    """Against the files themselves, at their own size, and scikit-learn's Jaccard score."""
    found = viewer(run)["images"]
    assert [image["name"] for image in found[:3]] == ["0036_sat", "0037_sat", "0038_sat"]
    assert [each["epoch"] for each in found[1]["predictions"]] == [1, 2, 3]
    assert len({image["name"] for image in found}) == len(found) >= 16
    for image in (found[1], found[-1]):
        true = np.array(opened(run.path / "masks" / "truth" / f"{image['name']}.png"))
        assert (unpacked(image["truth"], image["width"]) == true).all()
        assert decoded(image["photo"]).size == (image["width"], image["height"]) == true.shape[::-1]
        for each in image["predictions"]:
            folder = "best" if each["epoch"] == 2 else f"epoch-{each['epoch']:04}"
            given = np.array(opened(run.path / "masks" / folder / f"{image['name']}.png"))
            assert (unpacked(each["mask"], image["width"]) == given).all()
            there, said = true[true < 6], given[true < 6]
            seen = [c for c in range(6) if ((there == c) | (said == c)).sum() >= 0.001 * len(there)]
            assert each["iou"] == pytest.approx(jaccard_score(there, said, labels=seen, average="macro"))
            assert each["accuracy"] == pytest.approx((there == said).mean())
            if each["epoch"] == 2:
                assert {(t, p): n for t, p, n in image["cells"]} == Counter(
                    zip(there.tolist(), said.tolist(), strict=True)
                )


def test_one_image_has_one_iou_in_table_viewer_and_mean(run: RunFolder) -> None:
    page, found = visible(text(run)), viewer(run)["images"]
    saved = {image["file"]: each["iou"] for image in found for each in image["predictions"] if each["epoch"] == 2}
    assert len(saved) == len(found)
    assert all(f"{file} {100 * (value or 0):.1f} %" in page for file, value in saved.items())
    answers = read_mask_confusions(run) or pytest.fail("no answers")
    of_all = dict(zip(answers.filenames, image_ious(answers.confusion), strict=True))
    assert {file: of_all[file] for file in saved} == pytest.approx(saved)
    assert answers.mean_of_images == pytest.approx(np.mean([*of_all.values()]))


def test_what_a_phantom_class_costs_is_said_in_pixels_and_points(run: RunFolder) -> None:
    """Seven pixels of ground called water, of which no mask has any."""
    answers = read_mask_confusions(run) or pytest.fail("no answers")
    changed = answers.confusion.copy()
    changed[3, 4, 4] -= 7
    changed[3, 4, 3] += 7
    run.write("confusion.safetensors", save({"confusion": changed}))
    whole = changed.sum(axis=0)
    ious = np.diag(whole) / np.maximum(1, whole.sum(axis=0) + whole.sum(axis=1) - np.diag(whole))
    cost = 100 * (ious[[0, 1, 2, 4, 5]].mean() - ious.mean())
    page = visible(text(run))
    assert f"7 pixels called water cost {cost:.1f} points of mean IoU" in page
    names = [image["name"] for image in viewer(run)["images"]]
    assert Path(answers.filenames[3]).stem in names


def test_a_cell_without_a_stored_image_names_one(run: RunFolder) -> None:
    """All images but those over the epochs are removed: what is confused in others alone is said with their names."""
    answers = read_mask_confusions(run) or pytest.fail("no answers")
    for file in (run.path / "masks" / "best").glob("*.png"):
        if file.stem not in ("0036_sat", "0037_sat", "0038_sat"):
            file.unlink()
    found = viewer(run)
    here = {(t, p) for image in found["images"] for t, p, _ in image["cells"]}
    expected = {(t, p) for t, p in zip(*np.nonzero(answers.whole), strict=True)} - here
    assert len(found["images"]) == 3
    assert {tuple(map(int, key.split("-"))) for key in found["elsewhere"]} == expected
    for key, (name, pixels) in found["elsewhere"].items():
        true, predicted = map(int, key.split("-"))
        assert pixels == answers.confusion[:, true, predicted].max()
        assert answers.confusion[answers.filenames.index(name), true, predicted] == pixels


def test_the_kept_epoch_is_among_the_epochs_of_a_chosen_image(run: RunFolder) -> None:
    shutil.rmtree(run.path / "masks" / "epoch-0002")
    assert [each["epoch"] for each in viewer(run)["images"][0]["predictions"]] == [1, 2, 3]


@pytest.mark.slow
def test_pictures_that_would_not_fit_become_smaller(run: RunFolder) -> None:
    whole = len(json.dumps(viewer(run)))
    smaller = viewer(run, characters=whole // 3)
    assert len(json.dumps(smaller)) < whole // 2
    assert len(smaller["images"]) == len(viewer(run)["images"])
    assert smaller["images"][0]["scale"] < 1
    assert max(len(json.dumps(image["cells"])) for image in smaller["images"]) < 1000


@pytest.mark.slow
def test_a_map_is_in_the_colors_of_the_masks(run: RunFolder) -> None:
    """Each validation image is of the class of most of its pixels; training images are of none that is known."""
    more = [{"filename": f"train/{i:04}_sat.jpg", "split": "train", "label": ""} for i in range(26)]
    run.write_table("features/images.csv", [*run.feature_images, *more])
    features = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    tensors = {"features": features, "probabilities": np.zeros((50, 0), np.float32)}
    run.write("features/epoch-0001.safetensors", save(tensors, metadata={"seconds": "1"}))
    learned = analyze_features(run)
    facts = embedding_view(run, learned, (read_feature_analysis(run) or pytest.fail("nothing learned"))[1])
    assert facts["classes"] == [*run.classes, "no label"]
    assert facts["colors"][:2] == ["#00ffff", "#ff00ff"]
    with Image.open(run.path / "masks" / "truth" / "0036_sat.png") as picture:
        counts = np.bincount(np.asarray(picture).ravel(), minlength=256)[:6]
    assert (facts["labels"][0], facts["labels"][24]) == (int(counts.argmax()), 6)
    confusions = read_mask_confusions(run) or pytest.fail("no confusion")
    ious = unscaled(facts["maps"][0]["shades"]["IoU"])[0]
    np.testing.assert_allclose(ious[:24], image_ious(confusions.confusion), atol=1e-4)
    page = visible(text(run))
    assert "colors are the class of most of a validation image's pixels" in page.replace("&#39;", "'")
    assert "calibration error" not in page


@pytest.mark.slow
def test_it_needs_the_run_folder_alone_and_no_torch(run: RunFolder) -> None:
    program = f"""
import sys
from pathlib import Path
from headstart.report.run_page import write_report
from headstart.runs.folder import RunFolder
write_report(RunFolder.open(Path({str(run.path)!r})))
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    assert_loads_nothing((run.path / "report.html").read_text(encoding="utf-8"))


def test_hostile_names_stay_text(run: RunFolder) -> None:
    """A class and an image whose names are HTML."""
    data = run.data

    def renamed(row: dict[str, Any]) -> dict[str, Any]:
        return {key.replace("building", HOSTILE): value for key, value in row.items()}

    data["palette"]["names"][0] = data["classes"][0] = HOSTILE
    data["shares"] = {split: renamed(shares) for split, shares in data["shares"].items()}
    run.write_json("data.json", data)
    run.write_table("metrics.csv", [renamed(row) for row in run.metrics])
    for folder in ("truth", "best", "images"):
        for file in (run.path / "masks" / folder).glob("0084_sat*"):
            file.rename(file.with_stem("<b onclick=alert(1)>"))
    looked = [
        row | {"filename": row["filename"].replace("0084_sat", "<b onclick=alert(1)>")} for row in run.feature_images
    ]
    run.write_table("features/images.csv", looked)
    page = text(run)
    assert "<script>alert" not in page
    assert "<b onclick" not in page
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in page


def test_a_run_without_epochs_pictures_or_pixels_counted_has_a_page(run: RunFolder) -> None:
    shutil.rmtree(run.path / "masks")
    data = run.data
    del data["shares"], data["ignored"]
    run.write_json("data.json", data)
    page = text(run)
    assert 'id="masks"' not in page
    assert 'id="classes"' in page
    for name in ("confusion.safetensors", "metrics.csv", "checksums.json"):
        (run.path / name).unlink()
    assert "No epoch has ended yet" in text(run)


@pytest.mark.parametrize("folder", ["truth", "best"])
def test_a_broken_picture_is_an_error_that_names_it(run: RunFolder, folder: str) -> None:
    run.write(f"masks/{folder}/0084_sat.png", b"no picture")
    with pytest.raises(hs.HeadstartError, match=rf"masks/{folder}/0084_sat\.png: expected an image"):
        write_report(run)
