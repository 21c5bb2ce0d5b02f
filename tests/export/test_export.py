"""Exported files as another program uses them: ONNX Runtime, timm and torch.export against `headstart predict`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms import v2

import headstart as hs
from command import headstart, refused
from headstart.export import parity
from headstart.inference.predict import Predictions
from headstart.inference.segment import MaskPredictions
from headstart.recipes.recipe import Recipe

pytest.importorskip("onnxruntime", reason="pip install -e .[export]")


@pytest.fixture(scope="module")
def pictures_to_predict(photos_to_read: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Photographs as PNG files, whose pixels are the same whoever decodes them (a large JPEG we decode smaller)."""
    folder, found = tmp_path_factory.mktemp("png"), []
    for number, file in enumerate(sorted(photos_to_read.rglob("*.jpg"))[::6]):
        found.append(folder / f"{number:02}.png")
        with Image.open(file) as image:
            image.save(found[-1])
    return found


def probabilities(run: Path, files: list[Path]) -> NDArray[np.float32]:
    predicted = hs.Run(run).predict(files)
    assert isinstance(predicted, Predictions)
    return predicted.probabilities


def pixels(file: Path) -> NDArray[np.uint8]:
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


def test_an_onnx_file_takes_decoded_pixels_and_predicts_as_headstart_does(
    trained: tuple[Path, Path], pictures_to_predict: list[Path], onnx_file: Path
) -> None:
    import onnxruntime

    run, file = trained[0], onnx_file
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    expected = probabilities(run, pictures_to_predict)
    for number, picture in enumerate(pictures_to_predict):
        batch = np.stack([pixels(picture)] * (1 + number % 3))
        predicted, logits, features = session.run(["probabilities", "logits", "features"], {"images": batch})
        assert np.abs(predicted - expected[number]).max() < 1e-6
        assert np.allclose(torch.tensor(logits).softmax(1), predicted, atol=1e-6)
        assert len(features) == len(batch)
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["classes"]) == hs.Run(run).classes
    assert facts["fingerprint"] == hs.Run(run).folder.data["fingerprint"]
    assert json.loads(facts["parity"])[0]["equal_top1"] == 12
    assert "found one" in refused("export", run, file)
    assert [dim if isinstance(dim, int) else str(dim) for dim in session.get_inputs()[0].shape] == [
        "batch",
        "height",
        "width",
        3,
    ]


def test_the_example_of_the_documentation_gives_the_label_of_a_photograph_that_its_camera_turned(
    trained: tuple[Path, Path], pictures_to_predict: list[Path], onnx_file: Path, tmp_path: Path
) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned by a quarter
    with Image.open(pictures_to_predict[0]) as image:
        image.resize((60, 40)).save(tmp_path / "photo.jpg", exif=turned)
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"(?:^    .*\n|^\n)*^    image = .*\n(?:^    .*\n)*", page, re.MULTILINE)
    (tmp_path / "model.onnx").write_bytes(onnx_file.read_bytes())
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code) + "print(*probabilities[0])"],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    label, numbers = done.stdout.splitlines()
    (expected,) = probabilities(trained[0], [tmp_path / "photo.jpg"])
    assert np.abs(np.array(numbers.split(), float) - expected).max() < 1e-5
    assert label == hs.Run(trained[0]).classes[int(expected.argmax())]


def test_timm_loads_the_weights_and_gives_the_same_predictions(
    trained: tuple[Path, Path], pictures_to_predict: list[Path], tmp_path: Path
) -> None:
    run, file = trained[0], tmp_path / "weights.safetensors"
    exported = hs.Run(run).export(file)
    assert f"checkpoint_path={str(file)!r}" in exported.usage
    recipe = hs.Run(run).folder.recipe
    network = timm.create_model("test_resnet", num_classes=3, checkpoint_path=str(file)).eval()
    prepare = v2.Compose(
        [
            v2.Resize((32, 32)),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(recipe.augment.mean, recipe.augment.std),
        ]
    )
    inputs = torch.stack([prepare(Image.open(each).convert("RGB")) for each in pictures_to_predict])
    with torch.inference_mode():
        predicted = network(inputs).softmax(dim=1).numpy()
    assert np.abs(predicted - probabilities(run, pictures_to_predict)).max() < 1e-5


@pytest.mark.slow
def test_a_run_that_classifies_at_another_size_and_by_mirror_images_is_exported_so(
    small: Callable[..., Recipe], photos_to_read: Path, tmp_path: Path
) -> None:
    recipe = small(train__epochs=1, val__hflip=True, val__image_size=24)
    run = hs.fit(recipe, photos_to_read, out=tmp_path / "run")
    exported = run.export(tmp_path / "weights.safetensors")
    assert "mirror image" in exported.usage
    assert "24 x 24 pixels" in exported.usage
    assert exported.parity[0].equal == 12
    assert run.export(tmp_path / "model.onnx").parity[0].equal == 12
    own = hs.fit(small(train__epochs=1, backbone__name="resnet8s"), photos_to_read, out=tmp_path / "own")
    assert "headstart's own" in refused("export", own.path, tmp_path / "own.safetensors")


@pytest.mark.slow
def test_a_pt2_file_is_loaded_by_torch_alone(
    trained: tuple[Path, Path], pictures_to_predict: list[Path], tmp_path: Path
) -> None:
    run, file = trained[0], tmp_path / "model.pt2"
    assert hs.Run(run).export(file).outputs == ("probabilities", "logits", "features")
    extra = {"headstart.json": ""}
    module = torch.export.load(file, extra_files=extra).module()
    assert json.loads(extra["headstart.json"])["task"] == "classify"
    for expected, picture in zip(probabilities(run, pictures_to_predict), pictures_to_predict, strict=True):
        predicted = module(torch.tensor(pixels(picture))[None])[0]
        assert np.abs(predicted.numpy() - expected).max() < 1e-6


def test_a_backbone_that_was_pre_trained_without_labels_gives_its_features(
    unlabeled: Callable[..., Recipe], photos_to_read: Path, tmp_path: Path
) -> None:
    run = hs.fit(unlabeled(train__epochs=1), photos_to_read, out=tmp_path / "byol")
    done = headstart("export", run.path, tmp_path / "backbone.safetensors")
    assert done.returncode == 0, done.stderr
    assert "num_classes=0" in done.stdout
    assert "equal features in 12 of 12 images" in done.stdout
    timm.create_model("test_resnet", num_classes=0, checkpoint_path=str(tmp_path / "backbone.safetensors"))


@pytest.mark.slow
def test_a_segmentation_model_takes_images_of_any_size(trained_masks: Path, small_tiles: Path, tmp_path: Path) -> None:
    import onnxruntime

    run = hs.Run(trained_masks)
    exported = run.export(tmp_path / "model.onnx")
    assert exported.parity[0].compared == 6 * 48 * 48
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    assert json.loads(session.get_modelmeta().custom_metadata_map["palette"])["names"] == run.classes
    for number, size in enumerate([(48, 48), (61, 50), (33, 130)]):
        with Image.open(next((small_tiles / "val").glob("*_sat.jpg"))) as image:
            image.resize(size).save(tmp_path / f"{number}.png")
        predicted = run.predict(tmp_path / f"{number}.png")
        assert isinstance(predicted, MaskPredictions)
        mask = session.run(["mask"], {"images": pixels(tmp_path / f"{number}.png")[None]})[0]
        assert (mask[0] != predicted.masks[0]).mean() < 1e-3  # the classes of a few pixels are a tie


@pytest.mark.slow
def test_eight_bits_say_what_they_lose_and_gain(
    trained: tuple[Path, Path], onnx_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    content = onnx_file.read_bytes()
    monkeypatch.setattr("headstart.export.onnx_file.to_onnx", lambda *_: content)  # the seconds that this takes
    exported = hs.Run(trained[0]).export(tmp_path / "int8.onnx", int8=True)
    assert exported.int8 is not None
    assert exported.int8.images == 12
    assert exported.int8.loss.low <= exported.int8.loss.value <= exported.int8.loss.high
    assert exported.int8.bytes_after < exported.int8.bytes_before
    session = onnxruntime.InferenceSession(tmp_path / "int8.onnx", providers=["CPUExecutionProvider"])
    validated = hs.Run(trained[0]).folder.predictions
    right = 0
    for row in validated:
        with Image.open(trained[1] / row["filename"]) as image:
            image.draft(None, (64, 64))
            (predicted,) = session.run(["probabilities"], {"images": np.asarray(image.convert("RGB"))[None]})
        right += hs.Run(trained[0]).classes[predicted[0].argmax()] == row["label"]
    assert right / 12 == pytest.approx(exported.int8.accuracy)


def test_nothing_is_written_where_predictions_differ(
    trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network whose last layer was written wrongly: its classes are shifted by one."""
    from headstart.export import timm_file

    right = timm_file._last_layer

    def wrong(*arguments: object) -> dict[str, torch.Tensor]:
        return {name: each.roll(1, 0) for name, each in right(*arguments).items()}  # type: ignore[arg-type]

    monkeypatch.setattr(timm_file, "_last_layer", wrong)
    line = refused("export", trained[0], tmp_path / "weights.safetensors")
    assert "nothing is written" in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model.foo"], ".safetensors"),
        (["model.onnx", "--to", "tim"], "did you mean timm?"),
        ([".", "--to", "timm"], "a folder"),
        (["weights.safetensors", "--int8"], "--int8"),
        (["weights.safetensors", "--data", "."], "no such file"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    trained: tuple[Path, Path], tmp_path: Path, words: list[str], said: str
) -> None:
    assert said in refused("export", trained[0], *words, cwd=tmp_path)
    assert not list(tmp_path.iterdir())


def test_files_of_the_run_are_not_overwritten(trained: tuple[Path, Path]) -> None:
    weights = trained[0] / "weights" / "best.safetensors"
    assert "outside the run" in refused("export", trained[0], weights, "--overwrite")


def test_without_the_extra_the_error_says_what_to_install(
    trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headstart.environment.find_spec", lambda _: None)
    assert "pip install 'headstart[export]'" in refused("export", trained[0], tmp_path / "model.onnx")


def test_a_difference_that_is_no_number_is_no_parity() -> None:
    both = [(np.array([0.4, 0.6], np.float32), np.array([np.nan, 0.6], np.float32))]
    assert not parity._parity("ours", both, features=False).holds
