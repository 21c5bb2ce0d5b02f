"""timm: weights that ``timm.create_model(NAME, num_classes=C, checkpoint_path=FILE)`` loads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from PIL import Image
from safetensors.torch import save
from torch import Tensor, nn
from torchvision.transforms.v2.functional import resize

from headstart.data.resize import resize_to_square
from headstart.errors import HeadstartError
from headstart.export.images import Bytes
from headstart.export.parity import Floats, Forward
from headstart.inference.model import Model
from headstart.runs.folder import RunFolder
from headstart.tasks.classify import Classify
from headstart.transforms.augment import eval_transform


def to_timm(model: Model, run: RunFolder, facts: Mapping[str, str]) -> bytes:
    """The weights under timm's names, as the content of a safetensors file.

    A classifier's with its last layer; of a network that was pre-trained without labels the backbone. Raises
    HeadstartError for what timm has no place for: a decoder, or hidden layers of a head.
    """
    if model.palette is not None:
        raise HeadstartError(
            f"export --to timm: expected a classifier or a pre-trained backbone, found {run.path}, which predicts"
            " masks",
            "headstart export RUN FILE.onnx, or FILE.pt2",
        )
    name = model.recipe.backbone.name
    if timm.models.model_entrypoint(name.partition(".")[0]).__module__.startswith("headstart."):
        raise HeadstartError(
            f"export --to timm: expected a network that timm has, found {name}, which is headstart's own",
            "headstart export RUN FILE.onnx, or FILE.pt2",
        )
    tensors = dict(model.task.backbone.state_dict())
    if isinstance(model.task, Classify):
        tensors |= _last_layer(model, model.task)
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    return save(plain, metadata={"format": "pt", **facts})


def _last_layer(model: Model, task: Classify) -> dict[str, Tensor]:
    name, hidden = model.recipe.backbone.name, model.recipe.head.hidden
    with torch.device("meta"):
        whole: Any = timm.create_model(name, num_classes=len(model.classes))
    where = whole.pretrained_cfg.get("classifier")
    theirs = whole.get_submodule(where) if isinstance(where, str) else None
    last = task.head[-1]
    assert isinstance(last, nn.Linear)
    if hidden or not isinstance(theirs, nn.Linear) or theirs.weight.shape != last.weight.shape:
        found = f"head.hidden={list(hidden)}" if hidden else f"{name}, whose classifier is another layer"
        raise HeadstartError(
            f"export --to timm: expected a network that ends in one linear layer, found {found}",
            "headstart export RUN FILE.onnx, or FILE.pt2",
        )
    return {f"{where}.weight": last.weight, f"{where}.bias": last.bias}


def create_command(model: Model, file: Path) -> str:
    """The Python expression that builds the network from the file, and what it is to be given."""
    name, classes = model.recipe.backbone.name, len(model.classes) if model.task.target != "none" else 0
    created = f"timm.create_model({name.partition('.')[0]!r}, num_classes={classes}, checkpoint_path={str(file)!r})"
    first = []
    if (side := _side(model)) is not None:
        first.append(f"resize the normalized image to {side} x {side} pixels, with antialias=True (val.image_size)")
    if _mirrored(model):
        first.append("average the logits of an image and its mirror image (val.hflip)")
    return f"{created}  # {'; '.join(first)}" if first else created


def _mirrored(model: Model) -> bool:
    return isinstance(model.task, Classify) and model.task.mirrored


def _side(model: Model) -> int | None:
    return model.task.side if isinstance(model.task, Classify) else None


def forward_of(model: Model, file: Path) -> Forward:
    """What `parity.check` compares: probabilities, or features, from timm's own model with the weights in ``file``."""
    config, encodes = model.recipe.data, model.task.target == "none"
    name = model.recipe.backbone.name.partition(".")[0]
    network = timm.create_model(name, num_classes=0 if encodes else len(model.classes), checkpoint_path=str(file))
    network.eval()

    @torch.inference_mode()
    def forward(images: Bytes) -> Floats:
        squares = [resize_to_square(Image.fromarray(each), config.image_size, config.resize) for each in images]
        pixels = torch.stack([torch.from_numpy(each) for each in squares])
        inputs = eval_transform(pixels, model.recipe.augment)
        if (side := _side(model)) is not None:
            inputs = resize(inputs, [side, side], antialias=True)
        outputs = network(inputs)
        if _mirrored(model):  # of features in headstart: the last layer is linear
            outputs = (outputs + network(inputs.flip(-1))) / 2
        result: Floats = (outputs if encodes else outputs.softmax(dim=1)).numpy()
        return result

    return forward
