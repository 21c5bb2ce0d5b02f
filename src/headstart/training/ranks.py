"""Ranks: what the processes of one training agree on, and how their parts of a result become one.

With one process every function here is free.
"""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import Any, Literal, TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from timm.layers.norm_act import convert_sync_batchnorm
from torch import distributed
from torch.nn import Module
from torchmetrics import MetricCollection

from headstart.errors import HeadstartError

T = TypeVar("T", bound=Module)

LAUNCH_TIMEOUT = timedelta(minutes=3)
"""For all processes to have started, and imported PyTorch, after the first one has."""
PATIENCE = timedelta(days=1)
"""For a collective: one process may decode all images, or map all features, while the others wait. Whether it still
lives is watched otherwise (`peers`)."""

CONNECTING = 20.0
"""Seconds to reach the first host, which is there already."""

States = dict[str, dict[str, Any]]
"""Metric name -> state name -> tensor, or list of tensors."""


def make_fabric(processes: int, hosts: int, precision: Literal["32-true", "bf16-mixed"]) -> Fabric:
    """Fabric on one device per process: those that torchrun or SLURM started, or this one alone."""
    with warnings.catch_warnings():  # Lightning advises srun wherever SLURM is installed
        warnings.filterwarnings("ignore", message="The `srun` command is available")
        strategy = DDPStrategy(timeout=LAUNCH_TIMEOUT) if processes * hosts > 1 else "auto"
        return Fabric(devices=processes, num_nodes=hosts, precision=precision, strategy=strategy)


def launch(fabric: Fabric) -> None:
    """Join the other processes; later collectives wait as long as a peer works.

    Raises HeadstartError if one is missing, and at once if the first host has gone since it started.
    """
    _require_first_host()
    try:
        fabric.launch()
    except (RuntimeError, ValueError) as error:  # DistNetworkError, DistStoreError and what gloo raises
        if fabric.world_size == 1:
            raise
        raise HeadstartError(
            f"torchrun: expected {fabric.world_size} processes to join within {LAUNCH_TIMEOUT.seconds} s, found that"
            f" they cannot ({str(error)[:160]})",
            "the same command again on each host; with several hosts GLOO_SOCKET_IFNAME=INTERFACE names the network"
            " between them",
        ) from None
    if fabric.world_size > 1:
        newer = getattr(distributed, "set_timeout", None)  # of PyTorch 2.14
        (newer or distributed.distributed_c10d._set_pg_timeout)(PATIENCE)


def _require_first_host() -> None:
    """Raise HeadstartError if nobody answers where torchrun keeps its store, as its first host did before this began.

    PyTorch would try again until `LAUNCH_TIMEOUT` is over, as if that host were still to come.
    """
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    try:
        socket.create_connection((host, port), timeout=CONNECTING).close()
    except OSError as error:
        raise HeadstartError(
            f"torchrun: expected its first host to answer at {host}:{port}, found that it does not"
            f" ({error.strerror or error}): it was stopped, or the network is gone",
            "the same command again on each host",
        ) from None


def require_two_images(fabric: Fabric, batch: int, images: int) -> None:
    """Raise HeadstartError unless a batch, and the first one of ``images``, has two for each rank, for batch norm."""
    least = 2 * fabric.world_size
    for found, field, fix in (
        (batch, "train.batch_size", f"train.batch_size={least}"),
        (images, "training images", "fewer processes (torchrun --nproc-per-node), or more images"),
    ):
        if found < least:
            of_each = f", two for each of {fabric.world_size} processes" if fabric.world_size > 1 else ""
            raise HeadstartError(f"{field}: expected at least {least}{of_each}, found {found}", fix)


def agree(fabric: Fabric, *flags: bool) -> tuple[bool, ...]:
    """Whether each flag is set on any rank: the same answer on all of them.

    On the CPU over gloo, so that no rank waits for its GPU: about 0.1 ms on one machine.
    """
    if fabric.world_size == 1:
        return flags
    votes = torch.tensor(flags, dtype=torch.uint8)
    distributed.all_reduce(votes, distributed.ReduceOp.MAX, group=cpu_group())
    return tuple(bool(vote) for vote in votes)


def broadcast_buffers(fabric: Fabric, task: Module) -> None:
    """Give the buffers of ``task`` (running statistics of batch normalization) the values of the first rank.

    DDP does so before each training step, so the statistics of the first rank are those that training goes on with,
    and those that are saved. Averages over the ranks would be of the last step alone.
    """
    if fabric.world_size > 1:
        for buffer in task.buffers():
            distributed.broadcast(buffer, src=0)


def synchronize_batchnorm(fabric: Fabric, task: T) -> T:
    """``task`` with batch statistics over the images of all ranks (`train.sync_batchnorm`); its weights are the same.

    Raises HeadstartError for several processes on the CPU, where PyTorch's SyncBatchNorm does not run.
    """
    if fabric.world_size == 1:
        return task
    if fabric.device.type == "cpu":
        raise HeadstartError(
            "train.sync_batchnorm: expected GPUs, on which PyTorch's SyncBatchNorm runs, found the CPU",
            "train.sync_batchnorm=false",
        )
    # timm's function: PyTorch's own loses the activation in BatchNormAct2d.
    synchronized: T = convert_sync_batchnorm(task)  # type: ignore[no-untyped-call]
    return synchronized


def take_states(metrics: MetricCollection) -> States:
    """The states of ``metrics``, on the CPU; resets them."""
    states = _states(metrics)
    metrics.reset()
    return states


def gather_states(fabric: Fabric, metrics: MetricCollection) -> list[States]:
    """The states of each rank's ``metrics``, in the order of the ranks. Called by all of them together."""
    everyone: list[Any] = [_states(metrics)]
    if fabric.world_size > 1:
        everyone = [None] * fabric.world_size
        distributed.all_gather_object(everyone, _states(metrics), group=cpu_group())
    return everyone


def restore_states(fabric: Fabric, metrics: MetricCollection, parts: Sequence[States]) -> None:
    """Give ``metrics`` what `gather_states` found: its own to each of as many ranks, so that sums go on as they began.

    Of another number of ranks the first one has the states of all.
    """
    metrics.reset()
    own = [parts[fabric.global_rank]] if len(parts) == fabric.world_size else parts if fabric.is_global_zero else []
    for states in own:
        _merge(metrics, states)


def merge_states(fabric: Fabric, metrics: MetricCollection, parts: dict[int, States]) -> None:
    """Fill ``metrics`` with the states of all batches, ``parts`` of which (batch number -> states) are of this rank.

    They are merged in the order of the batches, so that sums are rounded alike whoever ran which batch.
    """
    everyone: list[Any] = [parts]
    if fabric.world_size > 1:
        everyone = [None] * fabric.world_size
        distributed.all_gather_object(everyone, parts, group=cpu_group())
    whole = {number: states for part in everyone for number, states in part.items()}
    for number in sorted(whole, reverse=True):  # `merge_state` puts what comes in before what is there
        _merge(metrics, whole[number])
    for metric in metrics.values():
        metric.distributed_available_fn = _nothing_to_gather


def _states(metrics: MetricCollection) -> States:
    return {
        name: {state: _on_cpu(value) for state, value in metric.metric_state.items()}
        for name, metric in metrics.items()
    }


def _merge(metrics: MetricCollection, states: States) -> None:
    for name, metric in metrics.items():
        metric.merge_state({key: _on_device(value, metric.device) for key, value in states[name].items()})


def _nothing_to_gather() -> bool:
    """Whether torchmetrics is to add up the metrics of the ranks: no, each has the whole."""
    return False


@cache
def cpu_group() -> Any:
    """The group of all ranks whose collectives take tensors in main memory."""
    return distributed.new_group(backend="gloo", timeout=PATIENCE)


def _on_cpu(value: Any) -> Any:
    return [each.cpu() for each in value] if isinstance(value, list) else value.cpu()


def _on_device(value: Any, device: torch.device) -> Any:
    return [each.to(device) for each in value] if isinstance(value, list) else value.to(device)
