"""The candidate JAX, which is imported when it is asked for. Forward only."""

import functools
import importlib
import os
from typing import Any

import numpy as np
import torch

from faltung.bench.arrays import Array, grouped, missing, numbers, read
from faltung.bench.layer import Layer
from faltung.bench.task import Prepared, Task


class Jax:
    """JAX, jitted for the CPU and waiting for the result, in NHWC: there XLA is faster on CPUs."""

    name = family = "jax"

    def available(self) -> str | None:
        """Return None, or the reason why this cannot run here."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        if torch.get_num_threads() != cores:
            return (
                f"jax takes all {cores} cores whatever it is told, the others are given "
                f"{torch.get_num_threads()}: leave out --threads to compare with it"
            )
        return missing("jax")

    def prepare(self, task: Task) -> Prepared | None:
        """Return the layer as a jitted function, or None for gradients."""
        if task.direction != "forward":
            return None
        jax = importlib.import_module("jax")
        images = numbers(task.operands.x).transpose(0, 2, 3, 1)
        arrays = [images, _weight(task), numbers(task.operands.b)]
        dtype = jax.numpy.bfloat16 if task.short else np.float32
        given = [np.ascontiguousarray(array).astype(dtype) for array in arrays]
        placed = jax.device_put(given, jax.devices("cpu")[0])
        function = jax.jit(functools.partial(_forward, jax, task.layer))
        return Prepared(
            lambda: function(*placed).block_until_ready(),
            lambda result: read(np.asarray(result).transpose(0, 3, 1, 2)),
        )


def _weight(task: Task) -> Array:
    """Return the weight as (R, S, C / G, K) of a convolution; a transposed one's is turned."""
    layer, w = task.layer, numbers(task.operands.w)
    if layer.is_pool:
        return w
    if layer.kind == "transposed":
        turned = grouped(layer, w).swapaxes(1, 2)[..., ::-1, ::-1]
        w = turned.reshape(layer.k, -1, *layer.window)
    return w.transpose(2, 3, 1, 0)


def _forward(jax: Any, layer: Layer, x: Any, w: Any, b: Any) -> Any:
    pads = [(p, p) for p in layer.padding]
    if layer.is_pool:
        extreme = layer.kind == "max"
        start, step = (-np.inf, jax.lax.max) if extreme else (0.0, jax.lax.add)
        y = jax.lax.reduce_window(
            x,
            x.dtype.type(start),
            step,
            (1, *layer.window, 1),
            (1, *layer.stride, 1),
            [(0, 0), *pads, (0, 0)],
            window_dilation=(1, *layer.dilation, 1),
        )
        return y if extreme else y / (layer.window[0] * layer.window[1])
    arguments: dict[str, Any] = {"window_strides": layer.stride, "padding": pads}
    if layer.kind == "transposed":
        # A transposed convolution spreads its input by the stride and slides the turned kernel.
        frame = [w.extent - 1 - p for w, p in zip(layer.windows, layer.padding, strict=True)]
        arguments = {
            "window_strides": (1, 1),
            "padding": [(side, side) for side in frame],
            "lhs_dilation": layer.stride,
        }
    y = jax.lax.conv_general_dilated(
        x,
        w,
        **arguments,
        rhs_dilation=layer.dilation,
        feature_group_count=layer.groups,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return y + b
