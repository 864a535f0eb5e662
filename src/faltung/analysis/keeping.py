"""A model left as it was found, whatever is done with it meanwhile; and torch kept quiet."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr

import torch
from torch import Tensor


@contextmanager
def kept(model: torch.nn.Module) -> Iterator[None]:
    """Put back training flags, parameters, buffers, gradients, torch's random state on leaving."""
    layers = list(model.modules())
    flags = [layer.training for layer in layers]
    buffers: list[dict[str, Tensor | None]] = [dict(layer._buffers) for layer in layers]
    parameters: list[dict[str, Tensor | None]] = [dict(layer._parameters) for layer in layers]
    held = [t for own in buffers + parameters for t in own.values() if t is not None]
    copies = {id(t): (t.data, t.detach().clone()) for t in held}
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    with same_random(model):
        try:
            yield
        finally:
            for layer, flag, own, learned in zip(layers, flags, buffers, parameters, strict=True):
                layer.training = flag
                layer._buffers.clear()
                layer._buffers.update(own)
                layer._parameters.clear()
                layer._parameters.update(learned)  # type: ignore[arg-type]
            for tensor in held:
                _restore(tensor, *copies[id(tensor)])
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


def _restore(tensor: Tensor, memory: Tensor, values: Tensor) -> None:
    """Give a tensor the memory it had, and that memory its values, where they are others now."""
    if tensor.is_meta:
        return
    if tensor.data_ptr() != memory.data_ptr():
        tensor.data = memory
    if not torch.equal(tensor, values):
        with torch.no_grad():
            tensor.copy_(values)
