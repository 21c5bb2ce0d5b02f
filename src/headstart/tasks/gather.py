"""Gather over ranks: a tensor of all images of a step, with gradient, for losses of a batch's statistics.

With one process it is free.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed


def gather(outputs: Tensor) -> Tensor:
    """float (B, P) of this rank's images -> (sum of B, P) of all ranks' images, rank by rank; equal on all ranks.

    The gradient of a loss that every rank computes of the result is, averaged over the ranks as DDP does, that of the
    same loss in one process. Ranks may have different numbers of images.
    """
    if not distributed.is_available() or not distributed.is_initialized() or distributed.get_world_size() == 1:
        return outputs
    gathered: Tensor = _Gather.apply(outputs)
    return gathered


class _Gather(torch.autograd.Function):
    """All-gather forward; backward, the sum over the ranks of the gradients for this rank's rows."""

    @staticmethod
    def forward(ctx: Any, outputs: Tensor) -> Tensor:
        counts = [torch.zeros(1, dtype=torch.int64, device=outputs.device) for _ in range(distributed.get_world_size())]
        distributed.all_gather(counts, torch.tensor([len(outputs)], device=outputs.device))
        ctx.counts = [int(count) for count in counts]
        longest = max(ctx.counts)  # all_gather takes tensors of one shape
        padded = torch.cat([outputs, outputs.new_zeros(longest - len(outputs), *outputs.shape[1:])])
        parts = [torch.empty_like(padded) for _ in ctx.counts]
        distributed.all_gather(parts, padded.contiguous())
        return torch.cat([part[:count] for part, count in zip(parts, ctx.counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        whole = gradient.contiguous().clone()
        distributed.all_reduce(whole)
        return torch.split(whole, ctx.counts)[distributed.get_rank()]
