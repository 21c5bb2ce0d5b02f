"""The drawing of a network against what is known of it."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
import torch
import torchvision

from headstart import recipe as recipes
from headstart.architecture import architecture
from headstart.report.architecture import drawing
from headstart.tasks import task_named


def drawn(recipe: str, **changes: Any) -> dict[str, Any]:
    settings = recipes.load(recipe, {name.replace("__", "."): value for name, value in changes.items()})
    task = task_named(settings.task).build(settings, list("abcde"))
    return architecture(task, settings.data.size)


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
    count = sum(parameter.numel() for parameter in reference.parameters())
    assert sum(stage["parameters"] for stage in network["backbone"]) == count
    head = [(layer["kind"], layer["shape"], layer["parameters"]) for layer in network["head"]]
    assert head == [
        ("Linear", [256], 512 * 256 + 256), ("ReLU", [256], 0), ("Dropout 0.2", [256], 0),
        ("Linear", [128], 256 * 128 + 128), ("ReLU", [128], 0), ("Dropout 0.2", [128], 0),
        ("Linear", [5], 128 * 5 + 5),
    ]  # fmt: skip
    assert network["parameters"] == count + sum(layer["parameters"] for layer in network["head"])
    assert network["trained"] == network["parameters"]


def test_fcn32s_has_the_layers_of_its_paper() -> None:
    """Long et al. 2015, figure 3, on VGG16; parameters as torchvision counts them."""
    network = drawn("fcn32s-vgg16", data__size=64)
    assert [stage["shape"] for stage in network["backbone"]] == [
        [64, 64, 64], [128, 32, 32], [256, 16, 16], [512, 8, 8], [512, 4, 4], [4096, 2, 2]
    ]  # fmt: skip
    wide = [(layer["kind"], layer["channels"]) for layer in network["backbone"][-1]["layers"]]
    assert wide == [("MaxPool2d 2x2 / 2", 512), ("Conv2d 7x7", 4096), ("Conv2d 1x1", 4096)]
    with torch.device("meta"):
        reference = torchvision.models.vgg16()
    count = sum(each.numel() for each in reference.parameters()) - sum(
        each.numel() for each in reference.classifier[6].parameters()
    )
    assert sum(stage["parameters"] for stage in network["backbone"]) == count
    assert [(layer["kind"], layer["shape"], layer["parameters"]) for layer in network["head"]] == [
        ("Dropout 0.5", [4096, 2, 2], 0),
        ("Conv2d 1x1", [5, 2, 2], 4096 * 5 + 5),
        ("ConvTranspose2d 64x64 / 32", [5, 64, 64], 5 * 5 * 64 * 64),
    ]


def test_deeplabv3_is_drawn_with_its_branches_and_its_auxiliary_classifier() -> None:
    """Chen et al. 2017, figure 5; parameters as torchvision counts them."""
    network = drawn("deeplabv3-resnet50", data__size=64)
    reference = torchvision.models.segmentation.deeplabv3_resnet50(
        weights=None, weights_backbone=None, aux_loss=True, num_classes=5
    )
    parts = {name: sum(each.numel() for each in part.parameters()) for name, part in reference.named_children()}
    assert sum(stage["parameters"] for stage in network["backbone"]) == parts["backbone"]
    assert sum(layer["parameters"] for layer in network["head"]) == parts["classifier"] + parts["aux_classifier"]
    branches = [layer["kind"] for layer in network["head"] if layer["part"] == "ASPP, side by side"]
    assert branches == ["Conv2d 1x1", *(f"Conv2d 3x3 rate {r}" for r in (12, 24, 36)), "global pool, Conv2d 1x1"]
    auxiliary = [layer for layer in network["head"] if layer["part"].startswith("auxiliary")]
    assert sum(layer["parameters"] for layer in auxiliary) == parts["aux_classifier"]
    assert [layer["shape"] for layer in network["head"] if layer["kind"] == "interpolation"] == [[5, 64, 64]]
    words = [element.text for element in ElementTree.fromstring(drawing(network)).iter() if element.text]
    assert {"decoder", "ASPP, side by side", "auxiliary classifier, in training only"} < set(words)


def test_deeplabv3plus_is_drawn_with_its_fine_map() -> None:
    network = drawn("segment-quick", backbone__weights="none", data__size=128)
    (fine,) = (layer for layer in network["head"] if layer["part"] == "fine map")
    assert (fine["kind"], fine["shape"], fine["parameters"]) == ("Conv2d 1x1", [48, 32, 32], 24 * 48 + 2 * 48)
    decoder = sum(layer["parameters"] for layer in network["head"])
    assert network["parameters"] - decoder - 320 * 1280 - 2 * 1280 == sum(s["parameters"] for s in network["backbone"])
    assert network["trained"] == network["parameters"] - 320 * 1280 - 2 * 1280


def test_a_frozen_backbone_is_counted_as_such() -> None:
    network = drawn("resnet18-scratch", backbone__train=False)
    assert network["trained"] == sum(layer["parameters"] for layer in network["head"])


@pytest.mark.parametrize(
    ("name", "widths"),
    [
        ("tf_efficientnet_lite0", [16, 24, 40, 112, 1280, 1280]),
        ("vgg16", [64, 128, 256, 512, 512, 512, 4096, 4096]),
        ("resnet50", [64, 256, 512, 1024, 2048, 2048]),
    ],
)
def test_other_backbones_are_drawn_stage_by_stage(name: str, widths: list[int]) -> None:
    network = drawn("quick", backbone__name=name, backbone__weights="none", data__size=64, views__sizes=[])
    assert [stage["shape"][0] for stage in network["backbone"]] == widths
    svg = ElementTree.fromstring(drawing(network))
    words = [element.text for element in svg.iter() if element.tag.endswith("text")]
    assert "Linear → 5 (" + words[-1].partition("(")[2] == words[-1]
    slabs = [element for element in svg.iter() if element.get("class") == "stage"]
    assert len(slabs) == len(widths)


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
