"""Weights of a run, `weights/best.safetensors` and `weights/last.safetensors`: writer and reader."""

from __future__ import annotations

from collections.abc import Mapping

from safetensors.torch import load_file, save
from torch import Tensor

from headstart.errors import HeadstartError
from headstart.runs.folder import RunFolder


def save_weights(run: RunFolder, name: str, weights: Mapping[str, Tensor]) -> None:
    """Write tensors to ``weights/NAME.safetensors``."""
    plain = {key: tensor.detach().cpu().contiguous() for key, tensor in weights.items()}
    run.write(f"weights/{name}.safetensors", save(plain, metadata={"format": "pt"}))


def read_weights(run: RunFolder, name: str = "best") -> dict[str, Tensor]:
    """The tensors of ``weights/NAME.safetensors``. Raises HeadstartError for a file that is damaged or missing."""
    path, hint = run.path / "weights" / f"{name}.safetensors", run.copy_again
    if not run.has(f"weights/{name}.safetensors", hint):
        raise HeadstartError(f"{path}: expected weights, found no such file", hint)
    try:
        return load_file(path)
    except Exception as error:  # safetensors and torch raise whatever the bytes lead them to
        raise HeadstartError(f"{path}: cannot be read ({error})", hint) from None
