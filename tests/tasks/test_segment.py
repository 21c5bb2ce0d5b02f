"""Learning from masks: a training from pairs to figures, frozen backbones, weights of classes, what is left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import jaccard_score
from torch import nn

import headstart as hs
from headstart.data.pixels import decode
from headstart.data.splits import training_index
from headstart.metrics.segmentation import segmentation_metrics
from headstart.models.decoders import DeepLabV3
from headstart.recipes import recipe as recipes
from headstart.tasks import EMPTY_IMAGES, Batch, task_named
from headstart.tasks.segment import Segment
from headstart.training.loop import train
from headstart.training.setup import start
from headstart.transforms.augment import eval_transform
from interrupted import stopped_and_resumed
from narrow import given, narrow

pytestmark = pytest.mark.slow

Masked = Callable[..., recipes.Recipe]


def task_of(recipe: recipes.Recipe, classes: Sequence[str] = "abc") -> Segment:
    torch.manual_seed(0)
    return narrow(task_named("segment").build(recipe, list(classes)), Segment)


def batch_of(count: int = 4, side: int = 64, classes: int = 3) -> Batch:
    chance = torch.Generator().manual_seed(0)
    masks = torch.randint(0, classes + 1, (count, side, side), generator=chance).to(torch.uint8)
    masks[:, :9] = 255
    return Batch(torch.randn(count, 3, side, side, generator=chance), torch.full((count,), -1), masks=masks)


@pytest.fixture(scope="module")
def few_pairs(shared_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen aerial pairs to train on and six to judge by, as links."""
    source, target = shared_data("aerial"), tmp_path_factory.mktemp("pairs")
    (target / "class_dict.csv").symlink_to(source / "class_dict.csv")
    for split, count in (("train", 16), ("val", 6)):
        (target / split).mkdir()
        for image in sorted((source / split).glob("*_sat.jpg"))[:count]:
            for file in (image, image.with_name(image.name.replace("_sat.jpg", "_mask.png"))):
                (target / split / file.name).symlink_to(file)
    return target


def trained(recipe: recipes.Recipe, data: Path, out: Path) -> hs.Run:
    """Without the maps and the report that come after a training."""
    for event in train(start(recipe, str(data), out)):
        del event
    return hs.Run(out)


@pytest.fixture(scope="module")
def run(few_pairs: Path, masked: Masked, tmp_path_factory: pytest.TempPathFactory) -> hs.Run:
    return trained(masked(), few_pairs, tmp_path_factory.mktemp("masks") / "run")


@pytest.mark.slow
@pytest.mark.real_too
def test_a_run_s_figures_are_those_of_its_predictions(run: hs.Run, few_pairs: Path) -> None:
    """The kept weights asked again about the validation pairs, and judged by scikit-learn."""
    recipe = run.folder.recipe
    pixels = decode(training_index(str(few_pairs), recipe.data, "mask"), recipe.data)
    rows, names = pixels.index.positions("val"), pixels.index.classes
    task = task_of(recipe, names)
    task.load_weights(load_file(run.folder.best))
    with torch.inference_mode():
        answers = task.eval().predict(eval_transform(pixels.batch(rows), recipe.augment)).argmax(dim=1)
    masks = pixels.masks(rows)
    true, predicted = (each[masks < len(names)].numpy() for each in (masks, answers))
    occurring = np.union1d(true, predicted)
    expected = dict(zip(occurring.tolist(), jaccard_score(true, predicted, average=None), strict=True))
    assert run.miou == pytest.approx(np.mean(list(expected.values())), abs=1e-3)
    assert run.accuracy == pytest.approx((true == predicted).mean(), abs=1e-3)
    row = next(row for row in run.metrics if row["split"] == "val" and row["miou"] == run.miou)
    for number, name in enumerate(names):
        assert row.get(f"iou_{name}") == (pytest.approx(expected[number], abs=1e-3) if number in expected else None)


@pytest.mark.slow
def test_the_kept_epoch_is_that_of_the_highest_mean_iou(run: hs.Run) -> None:
    figures = [row["miou"] for row in run.metrics if row["split"] == "val"]
    assert run.folder.recipe.checkpoint.monitor == "val_miou"
    assert run.miou == max(figures)
    confusion = load_file(run.path / "confusion.safetensors")
    (matrices,) = confusion.values()
    found = segmentation_metrics(matrices.numpy(), run.classes, resamples=10)
    assert found.miou.value == pytest.approx(run.miou)
    header = (run.path / "metrics.csv").read_text().splitlines()[0].split(",")
    assert [name for name in header if name.startswith("iou_")] == [f"iou_{name}" for name in run.classes]


@pytest.mark.slow
def test_a_run_on_masks_is_stopped_and_resumed_to_the_same_weights(
    few_pairs: Path, masked: Masked, tmp_path: Path
) -> None:
    recipe = masked(loss__class_weights="balanced", loss__dice_weight=0.5, analysis__train_samples=4)
    trained(recipe, few_pairs, tmp_path / "whole")
    stopped_and_resumed(2, tmp_path / "part", few_pairs, recipe)
    whole, resumed = (load_file(tmp_path / name / "weights" / "last.safetensors") for name in ("whole", "part"))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    tables = [hs.Run(tmp_path / name).metrics for name in ("whole", "part")]
    for one, other in zip(*tables, strict=True):
        assert {k: v for k, v in one.items() if "second" not in k} == {
            k: v for k, v in other.items() if "second" not in k
        }


@pytest.mark.slow
def test_a_backbone_of_a_run_on_masks_begins_a_classification(
    run: hs.Run, photos: Path, small: Masked, tmp_path: Path
) -> None:
    """And the other way round: the weights have the same names."""
    other = trained(small(train__epochs=1, backbone__weights=str(run.path)), photos, tmp_path / "run")
    assert other.folder.environment["weights"]["tensors"]["missing"] == 0
    begun, kept = load_file(run.folder.best), load_file(other.folder.best)
    assert {k for k in begun if k.startswith("backbone.")} == {k for k in kept if k.startswith("backbone.")}


@pytest.mark.parametrize("decoder", ["fcn32s", "deeplabv3", "deeplabv3plus"])
def test_a_frozen_backbone_stays_as_it_is_and_the_decoder_learns(masked: Masked, decoder: str) -> None:
    task = task_of(masked(backbone__freeze=True, decoder__name=decoder))
    before = {name: tensor.clone() for name, tensor in task.weights().items()}
    batch = batch_of()
    optimizer = torch.optim.SGD([each for each in task.parameters() if each.requires_grad], lr=0.1)
    maps = task.eval().encode(batch.images)
    assert not any(each.requires_grad for each in maps)
    task.train()
    assert not task.backbone.training
    for _ in range(2):
        loss = task(batch._replace(images=EMPTY_IMAGES, features=maps))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    changed = {name for name, tensor in task.weights().items() if not torch.equal(tensor, before[name])}
    assert changed
    assert all(name.startswith("decoder.") for name in changed)


@pytest.mark.slow
@pytest.mark.parametrize("decoder", ["fcn32s", "deeplabv3", "deeplabv3plus"])
def test_every_decoder_learns_where_the_light_is(masked: Masked, decoder: str) -> None:
    """Two halves, one of them bright, and an ignored stripe: after a few steps nearly all pixels are right."""
    auxiliary = 0.4 if decoder == "deeplabv3" else 0.0
    task = task_of(masked(decoder__name=decoder, decoder__aux_weight=auxiliary, decoder__output_stride=8), "ab")
    bright = torch.zeros(4, 64, 64, dtype=torch.bool)
    bright[0, :32], bright[1, 32:], bright[2, :, :32], bright[3, :, 32:] = True, True, True, True
    images = (2.0 * bright - 1).unsqueeze(1).expand(-1, 3, -1, -1) + 0.1 * batch_of().images
    masks = bright.to(torch.uint8)
    masks[:, 30:34] = 255
    batch = Batch(images, torch.full((4,), -1), masks=masks)
    optimizer = torch.optim.AdamW(task.parameters(), lr=3e-3)
    task.train()
    for _ in range(40):
        task(batch).backward()
        optimizer.step()
        optimizer.zero_grad()
    task.training_metrics.reset()
    with torch.no_grad():
        task(batch)
    assert float(task.training_metrics.compute()["accuracy"]) > 0.9


def test_the_auxiliary_classifier_has_its_share_of_the_training_loss_alone(masked: Masked) -> None:
    names = {"decoder__name": "deeplabv3", "decoder__dropout": 0.0}
    task, batch = task_of(masked(decoder__aux_weight=0.4, **names)), batch_of()
    decoder = narrow(task.decoder, DeepLabV3)
    narrow(given(decoder.aux_classifier)[3], nn.Dropout).p = 0.0
    task.train()
    maps = task.encode(batch.images)
    parts = [task.loss(part(maps, (64, 64)), batch.masks) for part in (decoder, decoder.auxiliary)]
    torch.testing.assert_close(task(batch._replace(features=maps)), parts[0] + 0.4 * parts[1])
    assert "aux_classifier" not in str(task_of(masked(**names)).decoder)


def test_validation_s_loss_is_the_plain_cross_entropy_of_the_pixels_that_count(masked: Masked) -> None:
    task, batch = task_of(masked(loss__name="focal", loss__dice_weight=1.0)), batch_of()
    task.eval()
    with torch.inference_mode():
        task.evaluate(batch)
        p = task.predict(batch.images).movedim(1, -1)
    assert batch.masks is not None
    some = batch.masks < 3
    expected = nn.functional.nll_loss(p[some].log(), batch.masks[some].long())
    assert float(task.metrics["loss"].compute()) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.real_too
def test_balanced_weights_are_of_the_images_that_are_trained_on(few_pairs: Path, masked: Masked) -> None:
    recipe = masked(loss__class_weights="balanced")
    pixels = decode(training_index(str(few_pairs), recipe.data, "mask"), recipe.data)
    names, rows = pixels.index.classes, np.array([1, 2, 5])
    task = task_of(recipe, names)
    task.prepare(pixels, rows)
    counts = np.bincount(pixels.masks(rows).flatten().numpy(), minlength=256)[: len(names)]
    some = counts > 0
    weights = task.loss.class_weights.numpy()
    np.testing.assert_allclose(
        weights[some] * np.sqrt(counts[some]), weights[some][0] * np.sqrt(counts[some][0]), rtol=1e-5
    )
    assert weights[~some].tolist() == [1.0] * int((~some).sum())
    equal = task_of(masked(), names)
    equal.prepare(pixels, rows)
    assert torch.equal(equal.loss.class_weights, torch.ones(len(names)))


def test_features_are_the_mean_of_the_backbone_s_last_map(masked: Masked) -> None:
    task, batch = task_of(masked()).eval(), batch_of()
    backbone: Any = task.backbone
    with torch.inference_mode():
        seen = task.infer(batch)
        expected = backbone.forward_intermediates(batch.images)[1][-1].mean(dim=(2, 3))
    torch.testing.assert_close(seen.features, expected)
    assert seen.features.shape == (4, task.features)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"probe__method": "logistic", "backbone__freeze": True, "train__epochs": 1}, "probe.method: expected sgd"),
        ({"backbone__name": "nonsense"}, "backbone.name nonsense: expected a timm model"),
    ],
)
def test_what_cannot_be_built_is_refused(masked: Masked, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(hs.HeadstartError, match=message):
        task_of(masked(**changes))


@pytest.mark.slow
def test_a_network_of_one_image_size_is_refused_before_the_first_epoch(
    few_pairs: Path, masked: Masked, tmp_path: Path
) -> None:
    """Windows of that size it takes, but validation sees whole images, of 300 pixels."""
    name = "swin_tiny_patch4_window7_224"
    with pytest.raises(hs.HeadstartError, match=f"data.resize keep: .* {name} .* does not take 300 x 300 pixels"):
        start(masked(backbone__name=name, data__image_size=224), str(few_pairs), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_auxiliary_classifier_without_deeplabv3_is_refused(masked: Masked) -> None:
    with pytest.raises(hs.HeadstartError, match=r"aux_weight: expected 0 with .* deeplabv3plus"):
        masked(decoder__aux_weight=0.4)


def test_the_report_s_recipes_are_as_the_report_states() -> None:
    for name, miou, decoder in (("fcn32s-vgg16", 0.4525, "fcn32s"), ("deeplabv3-resnet50", 0.7042, "deeplabv3")):
        recipe = recipes.load(name)
        assert recipe.expect is not None
        assert (recipe.expect.metric, recipe.expect.value) == ("val_miou", miou)
        assert (recipe.decoder.name, recipe.train.epochs, recipe.analysis.epochs) == (decoder, 30, (1, 15, 30))
        assert recipe.analysis.masks == ("0013", "0062", "0104")
    assert recipes.load("deeplabv3-resnet50").decoder.aux_weight == 0.4
