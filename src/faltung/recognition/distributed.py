"""Several processes that train one network, as `torchrun` starts them.

All of them draw the same order and the same augmentation; each computes its slice of every batch.
"""

import gc
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from faltung.errors import DeviceError


@dataclass(frozen=True)
class Team:
    """The processes of a training.

    Attributes:
        rank: Number of this process, from 0; 0 logs and saves.
        size: Number of processes.
        device: Where this process computes.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """This process logs and saves."""
        return self.rank == 0

    def share(self, batch: Tensor) -> Tensor:
        """Return this process's slice of a batch."""
        return batch[self.rank :: self.size]

    def total(self, values: Tensor) -> Tensor:
        """Return the sum over all processes."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def agreed(self, value: float) -> float:
        """Return the value that the leading process holds."""
        if self.size == 1:
            return value
        held = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.broadcast(held, src=0)
        return float(held.item())

    def wrapped(self, model: torch.nn.Module) -> torch.nn.Module:
        """Return the model as it is trained: with gradients averaged over the processes."""
        if self.size == 1:
            return model
        # Kernels of one channel lie alike in both memory formats: strides differ, memory does not.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        return torch.nn.parallel.DistributedDataParallel(model)


@contextmanager
def team(device: str, threads: int | None) -> Iterator[Team]:
    """Join the processes that `torchrun` started, or be alone.

    Args:
        device: "auto", "cpu" or "cuda".
        threads: Threads of this process; None shares the cores among the local processes.

    Raises:
        DeviceError: There are fewer CUDA devices than processes that need one.
    """
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    if cuda:
        _take_gpu(local)
    if threads is None and size > 1:
        threads = max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    if threads is not None:
        torch.set_num_threads(threads)
    place = torch.device("cuda", local) if cuda else torch.device("cpu")
    if size == 1:
        yield Team(0, 1, place)
        return
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield Team(rank, size, place)
    finally:
        # A wrapped model that is still alive would keep the group's threads beyond the interpreter.
        gc.collect()
        dist.destroy_process_group()


def _take_gpu(local: int) -> None:
    """Let this process use the CUDA device with its number."""
    count = torch.cuda.device_count()
    if local >= count:
        raise DeviceError(
            f"device is cuda, and process {local} of this machine needs a CUDA device of its own, "
            f"but torch finds {count}: use --device cpu, or fewer processes"
        )
    torch.cuda.set_device(local)
