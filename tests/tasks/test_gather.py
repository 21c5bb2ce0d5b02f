"""Losses of a batch's statistics over two ranks: value and gradient of one process, with as many images or not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from forked import by_two
from headstart.recipes import recipe as recipes
from headstart.tasks.emp_ssl import emp_ssl_loss
from headstart.tasks.gather import gather
from headstart.tasks.vicreg import vicreg_loss

LOSSES = """
import sys
from pathlib import Path
import torch
from torch import distributed
from headstart.recipes.recipe import EmpSsl, VicReg
from headstart.tasks.emp_ssl import emp_ssl_loss
from headstart.tasks.gather import gather
from headstart.tasks.vicreg import vicreg_loss
distributed.init_process_group("gloo")
rank, given = distributed.get_rank(), torch.load(sys.argv[1])
weight = given["weight"].requires_grad_()
first, second = (given[name][rank::2] @ weight for name in ("first", "second"))
losses = [
    vicreg_loss(gather(first), gather(second), VicReg()),
    emp_ssl_loss(EmpSsl(), [gather(first), gather(second)]),
]
gradients = []
for loss in losses:
    (gradient,) = torch.autograd.grad(loss, weight, retain_graph=True)
    distributed.all_reduce(gradient)
    gradients.append(gradient / 2)  # as DDP averages them
torch.save({"losses": [float(loss.detach()) for loss in losses], "gradients": gradients}, f"{sys.argv[1]}.{rank}")
distributed.destroy_process_group()
"""


@pytest.mark.parametrize("images", [16, 13])
def test_two_ranks_have_the_loss_and_the_gradient_of_one(tmp_path: Path, images: int) -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(images, 8, generator=generator) for _ in range(2))
    weight = torch.randn(8, 20, generator=generator)
    torch.save({"first": first, "second": second, "weight": weight}, tmp_path / "given.pt")
    done = by_two(tmp_path, LOSSES, tmp_path / "given.pt")
    assert done.returncodes == [0, 0], done.output
    weight.requires_grad_()
    one, two = first @ weight, second @ weight
    expected = [
        vicreg_loss(gather(one), gather(two), recipes.VicReg()),
        emp_ssl_loss(recipes.EmpSsl(), [gather(one), gather(two)]),
    ]
    for rank in range(2):
        found = torch.load(tmp_path / f"given.pt.{rank}")
        for place, loss in enumerate(expected):
            assert found["losses"][place] == pytest.approx(float(loss.detach()), rel=1e-5)
            (gradient,) = torch.autograd.grad(loss, weight, retain_graph=True)
            torch.testing.assert_close(found["gradients"][place], gradient, rtol=1e-4, atol=1e-5)
