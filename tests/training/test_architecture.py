"""The drawing of a network against what is known of it."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
import torch
import torchvision

from headstart.recipes import recipe as recipes
from headstart.report.network_diagram import drawing
from headstart.tasks import task_named
from headstart.training.architecture import architecture
from narrow import given

pytestmark = pytest.mark.slow


def drawn(recipe: str, **changes: Any) -> dict[str, Any]:
    settings = recipes.load(recipe, {name.replace("__", "."): value for name, value in changes.items()})
    task = task_named(settings.task).build(settings, list("abcde"))
    return architecture(task, settings.data.image_size)


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_resnet18_has_the_stages_of_its_paper() -> None:
    """He et al. 2016, table 1; parameters as torchvision counts them."""
    network = drawn("resnet18-scratch")
    assert [stage["shape"] for stage in network["backbone"]] == [
        [64, 112, 112], [64, 56, 56], [128, 28, 28], [256, 14, 14], [512, 7, 7], [512]
    ]  # fmt: skip
    blocks = [layer for stage in network["backbone"] for layer in stage["layers"] if layer["kind"] == "BasicBlock"]
    assert [(block["count"], block["channels"]) for block in blocks] == [(2, 64), (2, 128), (2, 256), (2, 512)]
    reference = torchvision.models.resnet18()
    reference.fc = torch.nn.Identity()
    assert sum(stage["parameters"] for stage in network["backbone"]) == count(reference)
    head = [(layer["kind"], layer["shape"], layer["parameters"]) for layer in network["head"]]
    assert head == [
        ("Linear", [256], 512 * 256 + 256), ("ReLU", [256], 0), ("Dropout 0.2", [256], 0),
        ("Linear", [128], 256 * 128 + 128), ("ReLU", [128], 0), ("Dropout 0.2", [128], 0),
        ("Linear", [5], 128 * 5 + 5),
    ]  # fmt: skip
    assert network["parameters"] == count(reference) + sum(layer["parameters"] for layer in network["head"])
    assert network["trained"] == network["parameters"]


def test_a_frozen_backbone_is_counted_as_such() -> None:
    network = drawn("resnet18-scratch", backbone__freeze=True)
    assert network["trained"] == sum(layer["parameters"] for layer in network["head"])


@pytest.mark.parametrize(
    ("name", "widths"),
    [
        ("tf_efficientnet_lite0", [16, 24, 40, 112, 1280, 1280]),
        pytest.param("vgg16", [64, 128, 256, 512, 512, 512, 4096, 4096], marks=pytest.mark.slow),
        ("resnet50", [64, 256, 512, 1024, 2048, 2048]),
    ],
)
def test_other_backbones_are_drawn_stage_by_stage(name: str, widths: list[int]) -> None:
    network = drawn("quick", backbone__name=name, backbone__weights="none", data__image_size=64, augment__sizes=[])
    assert [stage["shape"][0] for stage in network["backbone"]] == widths
    svg = ElementTree.fromstring(drawing(network))
    words = [given(element.text) for element in svg.iter() if element.tag.endswith("text")]
    assert "Linear → 5 (" + words[-1].partition("(")[2] == words[-1]
    slabs = [element for element in svg.iter() if element.get("class") == "stage"]
    assert len(slabs) == len(widths)


@pytest.mark.slow
def test_fcn32s_has_the_layers_of_its_paper() -> None:
    """Long et al. 2015, section 4: VGG16, fc6 and fc7 as convolutions, a score for each class, one 32x upsampling."""
    network = drawn("fcn32s-vgg16", data__image_size=64)
    assert [stage["shape"] for stage in network["backbone"]] == [
        [64, 64, 64], [128, 32, 32], [256, 16, 16], [512, 8, 8], [512, 4, 4], [512, 2, 2], [4096, 2, 2]
    ]  # fmt: skip
    wide = network["backbone"][-1]["layers"]
    assert [(layer["kind"], layer["channels"]) for layer in wide] == [("Conv2d 7x7", 4096), ("Conv2d 1x1", 4096)]
    with torch.device("meta"):
        reference = torchvision.models.vgg16()
    assert sum(stage["parameters"] for stage in network["backbone"]) == count(reference) - count(
        reference.classifier[6]
    )
    assert [(layer["kind"], layer["shape"], layer["parameters"]) for layer in network["head"]] == [
        ("Dropout 0.5", [4096, 2, 2], 0),
        ("Conv2d 1x1", [5, 2, 2], 4096 * 5 + 5),
        ("ConvTranspose2d 64x64 / 32", [5, 64, 64], 5 * 5 * 64 * 64),
    ]
    assert network["sides"] == []


@pytest.mark.slow
def test_deeplabv3_has_its_branches_and_its_auxiliary_classifier() -> None:
    """Chen et al. 2017, section 4.2: at output stride 8 the rates are 12, 24 and 36; parameters of torchvision."""
    network = drawn("deeplabv3-resnet50", data__image_size=64)
    assert [(stage["shape"], stage.get("maps")) for stage in network["backbone"]] == [
        ([64, 32, 32], None), ([256, 16, 16], None), ([512, 8, 8], None), ([1024, 8, 8], [0]), ([2048, 8, 8], [1])
    ]  # fmt: skip
    aspp, *others = network["head"]
    assert [[layer["kind"] for layer in branch] for branch in aspp["branches"]] == [
        ["Conv2d 1x1"], ["Conv2d 3x3, rate 12"], ["Conv2d 3x3, rate 24"], ["Conv2d 3x3, rate 36"],
        ["global pool", "Conv2d 1x1"],
    ]  # fmt: skip
    (auxiliary,) = network["sides"]
    assert (auxiliary["map"], auxiliary["joins"]) == (0, None)
    reference = torchvision.models.segmentation.deeplabv3_resnet50(
        weights=None, weights_backbone=None, aux_loss=True, num_classes=5
    )
    assert sum(stage["parameters"] for stage in network["backbone"]) == count(reference.backbone)
    rows = [*aspp["branches"], others]
    assert sum(layer["parameters"] for row in rows for layer in row) == count(reference.classifier)
    assert sum(layer["parameters"] for layer in auxiliary["layers"]) == count(reference.aux_classifier)
    assert others[-1] == {"kind": "bilinear upsampling", "shape": [5, 64, 64], "parameters": 0}


def test_deeplabv3plus_joins_a_fine_map() -> None:
    """Chen et al. 2018, figure 2: separable convolutions, and 48 channels of the fine map stacked on what ASPP saw."""
    network = drawn("segment-quick", backbone__weights="none", data__image_size=128)
    (fine,) = network["sides"]
    assert fine["layers"] == [{"kind": "Conv2d 1x1", "shape": [48, 32, 32], "parameters": 24 * 48 + 2 * 48}]
    joined = network["head"][fine["joins"]]
    assert (joined["kind"], joined["shape"]) == ("separable 3x3", [128, 32, 32])
    aspp, *others = network["head"]
    assert [branch[0]["kind"].partition(",")[0] for branch in aspp["branches"]] == [
        "Conv2d 1x1", "separable 3x3", "separable 3x3", "separable 3x3", "global pool"
    ]  # fmt: skip
    assert [stage.get("maps") for stage in network["backbone"]][1] == [0]
    rows = [*aspp["branches"], others, fine["layers"], network["backbone"]]
    unused = 320 * 1280 + 2 * 1280  # the network's last convolution, above its last map
    assert sum(each["parameters"] for row in rows for each in row) == network["parameters"] - unused
    assert network["trained"] == network["parameters"] - unused


def test_a_map_that_is_normalized_after_its_stage_is_of_that_stage() -> None:
    network = drawn("segment-quick", backbone__name="convnext_atto", backbone__weights="none", data__image_size=64)
    assert [stage.get("maps") for stage in network["backbone"]] == [[0], None, None, [1]]


@pytest.mark.parametrize("name", ["fcn32s", "deeplabv3", "deeplabv3plus"])
def test_decoders_are_drawn_with_every_layer(name: str) -> None:
    small = {
        "backbone__name": "test_resnet",
        "backbone__weights": "none",
        "data__image_size": 64,
        "decoder__channels": 32,
    }
    auxiliary = 0.4 if name == "deeplabv3" else 0.0
    network = drawn("segment-quick", decoder__name=name, decoder__aux_weight=auxiliary, **small)
    svg = ElementTree.fromstring(drawing(network))
    boxes = [element for element in svg.iter() if str(element.get("class")).startswith("layer")]
    rows = [row for layer in network["head"] for row in layer.get("branches", [[layer]])]
    assert len(boxes) == len(rows) + sum(len(side["layers"]) for side in network["sides"])
    words = [given(element.text) for element in svg.iter() if element.tag.endswith("text")]
    assert "5 × 64 × 64" in words
    assert ("auxiliary classifier" in words, "ASPP" in words) == (name == "deeplabv3", name != "fcn32s")
    width, height = map(float, str(svg.get("viewBox")).split()[2:])
    for box in boxes:
        assert 0 <= float(str(box.get("x"))) <= width - float(str(box.get("width")))
        assert 0 <= float(str(box.get("y"))) <= height - float(str(box.get("height")))


def test_drawing_leaves_the_network_as_it_was() -> None:
    settings = recipes.load("quick", {"backbone.weights": "none"})
    task = task_named("classify").build(settings, ["a", "b"]).train()
    before = {key: value.clone() for key, value in task.state_dict().items()}
    state = torch.get_rng_state()
    architecture(task, 64)
    assert task.training
    assert all(torch.equal(value, before[key]) for key, value in task.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert not any(module._forward_hooks for module in task.modules())


def test_names_in_a_drawing_are_escaped() -> None:
    network = drawn("quick", backbone__weights="none")
    network["head"][0]["kind"] = "<script>alert(1)</script>"
    network["backbone"][0]["layers"][0]["kind"] = '"><b>'
    svg = str(drawing(network))
    assert "<script>" not in svg
    assert "&lt;script&gt;" in svg
    ElementTree.fromstring(svg)
