"""Muon (Jordan 2024): timm's, but that matrices are made orthogonal in float32, by way of small ones.

timm computes in bfloat16, as GPUs like it; a processor without matrix units for it takes twice as long as in float32.
Here the Newton-Schulz iteration works on the Gram matrix, several times smaller than that of a convolution.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from timm.optim.muon import Muon as TimmMuon
from torch import Tensor

LEAST_SIDE = 4
"""Matrices with a shorter side are stepped as vectors are, as with timm."""
QUINTIC = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)
"""Coefficients of each Newton-Schulz step: timm's default, from https://leloykun.github.io/ponder/muon-opt-coeffs."""


class Muon(TimmMuon):
    """timm's Muon with the orthogonal matrices of `orthogonalized`; vectors are stepped by timm (NAdamW)."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Step all parameters that have a gradient."""
        gradients = {}
        for group in self.param_groups:
            for parameter in group["params"]:
                if (gradient := parameter.grad) is not None and _is_matrix(parameter):
                    self._step_matrix(parameter, gradient, group)
                    gradients[parameter], parameter.grad = gradient, None
        loss = super().step(closure)  # type: ignore[no-untyped-call]
        for parameter, gradient in gradients.items():
            parameter.grad = gradient
        return loss

    def _step_matrix(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        momentum = state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
        direction = torch.lerp(gradient, momentum, group["momentum"]).flatten(1)  # Nesterov's
        size = 0.2 * max(direction.shape) ** 0.5  # the size of an AdamW step (Liu et al. 2025, arXiv 2502.16982)
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_(orthogonalized(direction).reshape(parameter.shape), alpha=-group["lr"] * size)


def orthogonalized(matrix: Tensor) -> Tensor:
    """The orthogonal matrix near a float (M, N) one: its singular values go through odd polynomials towards 1.

    A step of Newton-Schulz with (a, b, c) is X -> (a + b G + c G^2) X with G = X X^T, so all steps together are one
    product of polynomials, and the next G follows from the last one without X.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    wide = matrix.mT if tall else matrix
    wide = wide / wide.norm().clamp(min=1e-7)
    gram = wide @ wide.mT
    product = torch.eye(len(gram), device=gram.device, dtype=gram.dtype)
    for a, b, c in QUINTIC:
        factor = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal().add_(a)
        product, gram = factor @ product, factor @ gram @ factor
    found: Tensor = product @ wide
    return found.mT if tall else found


def _is_matrix(parameter: Tensor) -> bool:
    """Whether it is a matrix or the kernels of a convolution, not in groups of one channel."""
    shape = parameter.shape
    return parameter.ndim > 1 and 1 not in shape[:2] and min(shape[0], shape[1:].numel()) >= LEAST_SIDE
