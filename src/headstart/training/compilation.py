"""Compiled training steps: `train.compile`.

Only full training batches run compiled. Validation and the last batch of an epoch, whose shapes would each be compiled
anew (a minute each), run as they are: the same operations in another order of rounding.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import nn


def compile_steps(backbone: nn.Module, device: torch.device) -> None:
    """Have ``backbone`` compiled at its next call; on a GPU replayed as a CUDA graph, without Python in between."""
    backbone.compile(dynamic=False, mode="reduce-overhead" if device.type == "cuda" else "default")


def uncompiled() -> AbstractContextManager[object]:
    """A context in which compiled networks run uncompiled."""
    stance: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return stance
