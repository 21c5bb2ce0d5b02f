"""What processes share, as far as one shows it; two of them are in `end_to_end/test_two_processes.py`."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from headstart.errors import HeadstartError
from headstart.models.backbones import build
from headstart.training.ranks import launch, require_two_images, synchronize_batchnorm


def fabric(device: str) -> Any:
    return SimpleNamespace(world_size=2, device=torch.device(device))


@pytest.mark.parametrize("name", ["test_resnet", "tf_efficientnet_lite0"])
def test_synchronized_batch_normalization_is_the_same_network_of_the_same_weights(name: str) -> None:
    """The second has its activations inside of its normalization layers."""
    torch.manual_seed(0)
    network, images = build(name).eval(), torch.rand(2, 3, 32, 32)
    before, tensors = network(images), network.state_dict()
    synchronized = synchronize_batchnorm(fabric("cuda"), network)
    assert any(isinstance(module, nn.SyncBatchNorm) for module in synchronized.modules())
    torch.testing.assert_close(synchronized.eval()(images), before, rtol=0, atol=0)
    assert synchronized.state_dict().keys() == tensors.keys()


def test_it_is_refused_where_it_does_not_run() -> None:
    with pytest.raises(HeadstartError, match=r"train.sync_batchnorm: expected GPUs.*Next: train.sync_batchnorm=false"):
        synchronize_batchnorm(fabric("cpu"), build("test_resnet"))


def test_each_process_needs_two_images_for_batch_normalization() -> None:
    require_two_images(fabric("cpu"), 4, 4)
    with pytest.raises(HeadstartError, match=r"train.batch_size: expected at least 4.* found 3. Next: .*batch_size=4"):
        require_two_images(fabric("cpu"), 3, 100)
    with pytest.raises(HeadstartError, match=r"training images: expected at least 4, two for each of 2 processes"):
        require_two_images(fabric("cpu"), 32, 3)


def test_a_first_host_that_went_away_before_the_others_joined_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Torchrun's store was there before any process: PyTorch would ask it for minutes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for name, value in (("USE_AGENT_STORE", "True"), ("ADDR", "127.0.0.1"), ("PORT", str(port))):
        monkeypatch.setenv(f"{'TORCHELASTIC' if name.startswith('USE') else 'MASTER'}_{name}", value)
    with pytest.raises(HeadstartError, match=rf"torchrun: expected its first host to answer at 127.0.0.1:{port}"):
        launch(fabric("cpu"))
