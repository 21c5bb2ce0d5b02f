"""The page of a run that answers with masks says and shows what the run folder holds."""

from __future__ import annotations

import base64
import io
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save

import headstart as hs
from headstart.analysis.feature_analysis import analyze_features
from headstart.analysis.mask_findings import mask_findings
from headstart.metrics.segmentation import image_ious, segmentation_metrics
from headstart.metrics.written import ends, share
from headstart.palette import Palette
from headstart.recipes import recipe as recipes
from headstart.report.embedding_view import embedding_view
from headstart.report.map_data import unscaled
from headstart.report.mask_images import mask_images
from headstart.report.run_page import write_report
from headstart.runs.analysis import read_feature_analysis
from headstart.runs.confusion import read_mask_confusions
from headstart.runs.folder import RunFolder
from headstart.runs.mask_snapshots import write_image, write_mask
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


def rgb(picture: Image.Image) -> NDArray[np.uint8]:
    return np.array(picture.convert("RGB"))


def test_the_headline_is_the_mean_iou_and_its_convention_stands_beside_it(run: RunFolder) -> None:
    answers = read_mask_confusions(run) or pytest.fail("no answers")
    measures = segmentation_metrics(answers.confusion, run.classes)
    page = visible(text(run))
    assert f"{share(measures.miou)} mean IoU on 24 validation images , with the checkpoint of epoch 2." in page
    assert f"95 % CI {ends(measures.miou)} (over images)" in page
    assert "in pixels summed over all 24 images before dividing" in page
    assert "The mean is over building, clutter, vegetation, ground, car; each with equal weight" in page
    assert "water: neither in the validation masks nor predicted" in page
    assert "are ignored (0.7 % of the validation pixels)" in page
    assert (
        f"The mean of each image's own IoU, which some tools report, would be {100 * answers.mean_of_images:.1f} %"
        in page
    )
    assert f"majority class {100 * answers.constant:.1f} %" in page


def test_the_expected_number_stands_beside_the_result(run: RunFolder) -> None:
    expect = recipes.Expect(metric="val_miou", value=0.7042, source="the report's Model B")
    run.write("recipe.toml", run.recipe.model_copy(update={"expect": expect}).to_toml().encode())
    page = visible(text(run))
    assert "expected 70.4 %" in page
    assert "val_miou 0.7042. the report's Model B" in page.replace("&#39;", "'")


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


def test_pictures_show_truth_answer_and_what_is_wrong(run: RunFolder) -> None:
    """Against the files themselves, at their own size."""
    palette = Palette.from_json(run.data["palette"])
    names = [row["filename"] for row in run.feature_images]
    pictures = mask_images(run, palette, names, [5], 2, characters=10**9)
    assert pictures.epochs == (1, 2, 3)
    assert [each.name for each in pictures.over_epochs] == ["0036_sat", "0037_sat", "0038_sat"]
    for shown, folder, answer in [
        *((pictures.over_epochs[1], f"epoch-{each.epoch:04}", each) for each in pictures.over_epochs[1].predictions),
        (pictures.best[5], "best", pictures.best[5].predictions[0]),
    ]:
        truth, predicted = (opened(run.path / "masks" / place / f"{shown.name}.png") for place in ("truth", folder))
        assert (rgb(decoded(shown.truth)) == rgb(truth)).all()
        assert (rgb(decoded(answer.prediction)) == rgb(predicted)).all()
        true, given = np.array(truth), np.array(predicted)
        difference = np.array(decoded(answer.difference))
        assert (difference == np.where(true > 5, 2, true != given)).all()
        assert answer.accuracy == pytest.approx((true == given)[true < 6].mean())
        marks = np.array(decoded(answer.difference).convert("RGBA"))
        assert set(marks[difference == 0][:, 3]) == {0}  # what is right is clear
        assert (decoded(shown.image).size, (shown.width, shown.height)) == (truth.size, truth.size)


def test_the_kept_epoch_is_among_the_epochs_of_a_chosen_image(run: RunFolder) -> None:
    shutil.rmtree(run.path / "masks" / "epoch-0002")
    names = [row["filename"] for row in run.feature_images]
    pictures = mask_images(run, Palette.from_json(run.data["palette"]), names, [], 2, characters=10**9)
    assert pictures.epochs == (1, 2, 3)


@pytest.mark.slow
def test_pictures_that_would_not_fit_become_smaller(run: RunFolder) -> None:
    """Masks and images of noise, which nothing compresses: 5 epochs of 12 images, and 16 images more."""
    (run.path / "checksums.json").unlink()
    palette, chance = Palette.from_json(run.data["palette"]), np.random.default_rng(0)
    names = [Path(row["filename"]).stem for row in run.feature_images]
    noise = chance.integers(0, 6, (400, 400), dtype=np.uint8)
    write_image(run, "noise", chance.integers(0, 256, (400, 400, 3), dtype=np.uint8))
    write_mask(run, "truth", "noise", noise, palette)
    write_mask(run, "best", "noise", noise[::-1].copy(), palette)
    for name in names:
        for folder in ("truth", "best", *(f"epoch-{epoch + 1:04}" for epoch in range(5))):
            if name in names[:12] or not folder.startswith("epoch"):
                (run.path / "masks" / folder).mkdir(exist_ok=True)
                source = "truth" if folder == "truth" else "best"
                shutil.copy(run.path / "masks" / source / "noise.png", run.path / "masks" / folder / f"{name}.png")
        shutil.copy(run.path / "masks" / "images" / "noise.jpg", run.path / "masks" / "images" / f"{name}.jpg")
    page = text(run)
    assert len(page) < 8e6
    assert page.count('class="panels"') == 12 + 16


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
    assert visible(text(run)).count("no image of its mask was saved") == 16
    for name in ("confusion.safetensors", "metrics.csv", "checksums.json"):
        (run.path / name).unlink()
    assert "No epoch has ended yet" in text(run)


@pytest.mark.parametrize("folder", ["truth", "best"])
def test_a_broken_picture_is_an_error_that_names_it(run: RunFolder, folder: str) -> None:
    run.write(f"masks/{folder}/0084_sat.png", b"no picture")
    with pytest.raises(hs.HeadstartError, match=rf"masks/{folder}/0084_sat\.png: expected an image"):
        write_report(run)
