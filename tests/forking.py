"""Convolve in children of a process whose team is already running: `python forking.py`.

With `compiling`, the child is forked while a thread compiles.
"""

import multiprocessing
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as tf
from torch.utils.data import DataLoader, Dataset

from convolving import Conv, defined, whole
from faltung.compiler import kernel, machine
from faltung.compiler.store import Store
from faltung.compiler.target import Target
from faltung.ops import ours
from faltung.switch import enabled

SECONDS = 100.0


class Task:
    """A convolution forward and backward, and what it gives.

    The latter is found out in the parent: sums of torch's own hang in a forked child.
    """

    def __init__(self, conv: Conv) -> None:
        self.conv = conv
        self.x, self.w, self.dy = whole(1, conv.x), whole(2, conv.w), whole(3, conv.y)
        self.truths = (
            defined("forward", conv, self.x, self.w).float(),
            defined("input", conv, self.dy, self.w).float(),
            defined("weight", conv, self.x, self.dy).float(),
        )

    def right(self) -> bool:
        """Run the operators' kernels; say whether they are right."""
        conv = self.conv
        rest = ([*conv.stride], [*conv.padding], [*conv.dilation], conv.groups, conv.flip)
        results = (
            ours.conv2d(self.x, self.w, None, *rest),
            ours.conv2d_input_gradient(self.dy, self.w, None, [*conv.size], *rest),
            ours.conv2d_weight_gradient(self.x, self.dy, [*conv.window], *rest, False)[0],
        )
        return all(map(torch.equal, results, self.truths))

    def right_by_torchs_operator(self) -> bool:
        """Run torch's operator while the switch is on; say whether it is right."""
        with enabled():
            padding = self.conv.padding[::2]
            result = tf.conv2d(self.x, self.w, None, self.conv.stride, padding, self.conv.dilation)
        return torch.equal(result, self.truths[0])


class Convolved(Dataset[int]):
    """Items that say whether their convolutions were right."""

    def __init__(self) -> None:
        self.tasks = [Task(Conv(1, 1, 16, 16, (16 + n, 24), (4, 3))) for n in range(8)]

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.tasks)

    def __getitem__(self, index: int) -> int:
        """Convolve."""
        return int(self.tasks[index].right())


def in_child(task: Callable[[], bool], seconds: float = SECONDS) -> bool:
    """Return what a task says in a forked child.

    Raises:
        TimeoutError: It says nothing for so long.
    """
    fork: Any = multiprocessing.get_context("fork")
    here, there = fork.Pipe()

    def answer(end: Connection) -> None:
        end.send(task())

    child = fork.Process(target=answer, args=(there,), daemon=True)
    child.start()
    if not here.poll(seconds):
        child.kill()
        raise TimeoutError("the child does not answer")
    said: bool = here.recv()
    child.join(SECONDS)
    assert child.exitcode == 0
    return said


def main() -> None:
    """Convolve here with a team, then in a child, in workers that load data, and here again."""
    torch.set_num_threads(2)
    known = Task(Conv(1, 1, 16, 16, (24, 24), (4, 3), padding=(1, 1, 1, 1)))
    new = Task(Conv(1, 1, 5, 7, (30, 31), (4, 3), (1, 2), (2, 1, 1, 1)))
    assert known.right()
    assert known.right_by_torchs_operator()
    assert in_child(known.right)
    assert in_child(known.right_by_torchs_operator)
    assert in_child(new.right)
    loader = DataLoader(Convolved(), 2, num_workers=2, multiprocessing_context="fork")
    assert torch.cat([*loader]).tolist() == [1] * 8
    assert known.right()
    assert new.right()
    print("right everywhere")  # noqa: T201


def compiling() -> None:
    """Convolve in a child that is forked while a thread of its parent compiles a kernel."""
    slow, quick = (Task(Conv(1, 1, 3, k, (9, 9), (2, 3))) for k in (5, 33))
    compile_object = machine.compile_object
    begun, go_on = threading.Event(), threading.Event()

    def compiled(assembly: str, target: Target) -> bytes:
        begun.set()
        go_on.wait(1)
        return compile_object(assembly, target)

    nothing = Store(Path("nowhere"), "none", limit=0)
    with (
        mock.patch.object(kernel, "store", return_value=nothing),
        mock.patch.object(machine, "compile_object", compiled),
    ):
        thread = threading.Thread(target=slow.right)
        thread.start()
        begun.wait()
        try:
            assert in_child(quick.right, seconds=10)
        finally:
            thread.join()
    print("right meanwhile")  # noqa: T201


if __name__ == "__main__":
    (compiling if "compiling" in sys.argv else main)()
