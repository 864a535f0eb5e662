"""A model left as it was found, whatever is done with it meanwhile; and torch kept quiet."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr

import torch
from torch import Tensor


@contextmanager
def kept(model: torch.nn.Module) -> Iterator[None]:
    """Put back training flags, buffers, gradients and torch's random state on leaving."""
    layers = list(model.modules())
    flags = [layer.training for layer in layers]
    buffers = [dict(layer._buffers) for layer in layers]
    copies = {id(b): b.detach().clone() for own in buffers for b in own.values() if b is not None}
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    with same_random(model):
        try:
            yield
        finally:
            for layer, flag, own in zip(layers, flags, buffers, strict=True):
                layer.training = flag
                layer._buffers.clear()
                layer._buffers.update(own)
                for buffer in own.values():
                    _restore(buffer, copies)
            for parameter, gradient in gradients:
                parameter.grad = gradient


@contextmanager
def same_random(model: torch.nn.Module) -> Iterator[None]:
    """Put back the random state of the CPU, and of the devices a model is on, on leaving."""
    devices = {p.device.index or 0 for p in model.parameters() if p.is_cuda}
    with torch.random.fork_rng(devices=sorted(devices)):
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """Keep torch from writing about attempts that fail and are explained elsewhere."""

    def nothing(_: logging.LogRecord) -> bool:
        return False

    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "torch"]
    handlers = [handler for name in names for handler in logging.getLogger(name).handlers]
    for handler in handlers:
        handler.addFilter(nothing)
    try:
        with redirect_stderr(io.StringIO()):  # export also prints graphs
            yield
    finally:
        for handler in handlers:
            handler.removeFilter(nothing)


def _restore(buffer: Tensor | None, copies: dict[int, Tensor]) -> None:
    if buffer is None or buffer.is_meta or torch.equal(buffer, copies[id(buffer)]):
        return
    with torch.no_grad():
        buffer.copy_(copies[id(buffer)])
