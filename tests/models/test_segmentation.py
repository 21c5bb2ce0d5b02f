"""Segmenters against the networks that they are after, and the weights of every source in their backbones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import nn
from torch.nn import functional as F
from torchvision.models.segmentation import deeplabv3_resnet50

import headstart as hs
from headstart.models.backbones import build
from headstart.models.decoders import DECODERS, DeepLabV3, FCN32s, bilinear_filter
from headstart.models.segmentation import build_segmenter, maps_of
from headstart.models.weights import load_weights
from headstart.recipes.recipe import Backbone, Decoder
from narrow import narrow

pytestmark = pytest.mark.slow

BACKBONES = ["resnet18", "tf_efficientnet_lite0", "convnext_femto", "vit_tiny_patch16_224"]


@pytest.mark.slow
@torch.no_grad()
def test_deeplabv3_on_resnet50_gives_torchvision_s_logits() -> None:
    """timm's backbone and our decoder, with torchvision's numbers under torchvision's names."""
    torch.manual_seed(0)
    theirs = deeplabv3_resnet50(weights=None, weights_backbone=None, aux_loss=True, num_classes=5).eval()
    settings = Decoder(name="deeplabv3", output_stride=8, aux_weight=0.4)
    backbone, decoder, taps = build_segmenter("resnet50", settings, 5)
    backbone.load_state_dict({key: value.clone() for key, value in theirs.backbone.state_dict().items()})
    decoder.load_state_dict({k: v for k, v in theirs.state_dict().items() if not k.startswith("backbone.")})
    images = torch.randn(2, 3, 64, 96)
    expected, maps = theirs(images), maps_of(backbone.eval(), images, taps)
    torch.testing.assert_close(decoder.eval()(maps, (64, 96)), expected["out"], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        narrow(decoder, DeepLabV3).auxiliary(maps, (64, 96)), expected["aux"], atol=1e-4, rtol=1e-4
    )


@pytest.mark.slow
@torch.no_grad()
def test_fcn32s_sees_what_vgg16_of_torchvision_sees() -> None:
    """At 224 pixels the middle of fc7's map is what the classifier sees: there the 7x7 of fc6 is not padded."""
    torch.manual_seed(0)
    backbone, decoder, taps = build_segmenter("vgg16", Decoder(name="fcn32s", output_stride=32), 5)
    with torch.device("meta"):
        theirs = torchvision.models.vgg16(weights=None).eval()
    theirs.classifier[6] = nn.Identity()
    names = {"classifier.0": "pre_logits.fc1", "classifier.3": "pre_logits.fc2"}
    numbers = {}
    for key, value in theirs.state_dict().items():
        layer, _, kind = key.rpartition(".")
        numbers[key] = backbone.get_parameter(f"{names.get(layer, layer)}.{kind}").view(value.shape)
    theirs.load_state_dict(numbers, assign=True)
    images = torch.randn(1, 3, 224, 224)
    (seen,) = maps_of(backbone.eval(), images, taps)
    assert seen.shape == (1, 4096, 7, 7)
    dropouts = (backbone, "pre_logits.drop"), (decoder, "dropout")
    expected = theirs.classifier(theirs.avgpool(theirs.features(images)).flatten(1))
    torch.testing.assert_close(seen[:, :, 3, 3], expected, atol=1e-5, rtol=1e-4)
    assert [narrow(network.get_submodule(name), nn.Dropout).p for network, name in dropouts] == [0.5, 0.5]
    assert decoder(maps_of(backbone, torch.randn(1, 3, 40, 70), taps), (40, 70)).shape == (1, 5, 40, 70)


@pytest.mark.parametrize("stride", [4, 14, 16, 32])
def test_bilinear_upsampling_is_interpolation(stride: int) -> None:
    maps = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(0))
    size = (5 * stride, 4 * stride)
    upsampled = F.conv_transpose2d(maps, bilinear_filter(3, stride), stride=stride, padding=stride // 2)
    inside = (..., slice(stride, -stride), slice(stride, -stride))
    expected = F.interpolate(maps, size=size, mode="bilinear", align_corners=False)
    torch.testing.assert_close(upsampled[inside], expected[inside], atol=1e-5, rtol=1e-5)


def test_fcn32s_begins_with_scores_of_zero_and_learns_its_upsampling() -> None:
    decoder = FCN32s((8,), 32, 3, Decoder(name="fcn32s"))
    logits = decoder((torch.randn(1, 8, 2, 3),), (60, 90))
    assert torch.equal(logits, torch.zeros(1, 3, 60, 90))
    assert decoder.upsampling.weight.shape == (3, 3, 64, 64)
    assert decoder.upsampling.weight.requires_grad


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("decoder", sorted(DECODERS))
def test_any_backbone_gives_logits_at_the_image_s_own_size(name: str, decoder: str) -> None:
    backbone, head, taps = build_segmenter(name, Decoder.model_validate({"name": decoder}), 5)
    with torch.inference_mode():
        maps = maps_of(backbone, torch.randn(2, 3, 75, 50), taps)
        assert head(maps, (75, 50)).shape == (2, 5, 75, 50)


@pytest.mark.parametrize(("name", "stride"), [("resnet18", 8), ("convnext_femto", 16), ("vit_tiny_patch16_224", 8)])
def test_the_output_stride_is_asked_for_where_it_can_be(name: str, stride: int) -> None:
    backbone, _, taps = build_segmenter(name, Decoder.model_validate({"output_stride": stride}), 5)
    assert taps.stride == (16 if name.startswith("vit") else stride)
    maps = maps_of(backbone, torch.zeros(1, 3, 64, 64), taps)
    assert maps[-1].shape[-1] == 64 // taps.stride


@torch.no_grad()
def test_what_is_beyond_an_image_does_not_move_what_is_seen_in_it() -> None:
    """The same picture in a larger frame of zeros: the logits of the first pixels are the same."""
    torch.manual_seed(0)
    backbone, decoder, taps = build_segmenter("resnet18", Decoder(name="fcn32s", output_stride=32), 3)
    nn.init.normal_(narrow(decoder, FCN32s).score.weight)
    image = torch.randn(1, 3, 70, 90)
    framed = F.pad(image, (0, 6, 0, 26))
    mine, theirs = (decoder.eval()(maps_of(backbone.eval(), x, taps), x.shape[-2:]) for x in (image, framed))
    torch.testing.assert_close(mine, theirs[..., :70, :90])


@pytest.mark.parametrize("name", BACKBONES)
def test_weights_of_a_file_load_as_into_the_classification_network(name: str, tmp_path: Path) -> None:
    plain: Any = build(name)
    torch.save(plain.state_dict(), tmp_path / "weights.pt")
    backbone, _, taps = build_segmenter(name, Decoder(), 4)
    provenance = load_weights(backbone, Backbone(name=name, weights=str(tmp_path / "weights.pt")))
    assert provenance["tensors"] == {"loaded": len(plain.state_dict()), "missing": 0, "unexpected": 0}
    plain.eval()
    backbone.eval()
    with torch.inference_mode():
        images = torch.randn(1, 3, 64, 64)
        undilated = build_segmenter(name, Decoder(output_stride=32), 4)[0].eval()
        undilated.load_state_dict(plain.state_dict())
        last = plain.forward_intermediates(images, norm=True)[1][-1]
        torch.testing.assert_close(maps_of(undilated, images, taps)[-1], last)


def test_imagenet_lite_loads_and_what_is_not_used_is_not_trained() -> None:
    backbone, _, _ = build_segmenter("tf_efficientnet_lite0", Decoder(), 4)
    provenance = load_weights(backbone, Backbone(name="tf_efficientnet_lite0", weights="imagenet-lite"))
    assert provenance["tensors"]["missing"] == 0
    idle = [name for name, parameter in backbone.named_parameters() if not parameter.requires_grad]
    assert idle == ["conv_head.weight", "bn2.weight", "bn2.bias"]
    reference = timm.create_model("tf_efficientnet_lite0", num_classes=0).state_dict().keys()
    assert backbone.state_dict().keys() == reference


@pytest.mark.parametrize("decoder", sorted(DECODERS))
def test_every_parameter_that_is_trained_has_a_gradient(decoder: str) -> None:
    auxiliary = 0.4 if decoder == "deeplabv3" else 0.0  # others have no auxiliary classifier
    settings = Decoder.model_validate({"name": decoder, "aux_weight": auxiliary, "channels": 16})
    backbone, head, taps = build_segmenter("resnet18", settings, 3)
    maps = maps_of(backbone, torch.randn(2, 3, 64, 64), taps)
    loss = head(maps, (64, 64)).sum()
    if isinstance(head, DeepLabV3):
        loss = loss + head.auxiliary(maps, (64, 64)).sum()
    loss.backward()
    assert all(each.grad is not None for part in (backbone, head) for each in part.parameters())


def test_a_network_that_gives_no_maps_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headstart.models.segmentation.build", lambda *_: nn.Linear(1, 1))
    with pytest.raises(hs.HeadstartError, match="linear: expected a network with feature maps"):
        build_segmenter("linear", Decoder(), 2)
