"""Candidates of other libraries, each optional: ONNX Runtime, OpenVINO and JAX. Forward only.

They are imported when they are asked for, so that the benchmark also runs without them.
"""

import functools
import importlib
import os
from typing import Any

import numpy as np
import torch

from faltung.bench.layer import Layer
from faltung.bench.task import Parts, Prepared, Task
from faltung.ops.watching import float32_precision

Array = np.ndarray[Any, Any]

OPSET = 17
IR_VERSION = 8  # of ONNX files; the oldest that goes with the opset, so that every runtime reads it


def _missing(package: str) -> str | None:
    """Return None where a package can be imported, otherwise a sentence."""
    try:
        importlib.import_module(package)
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == package:
            return f'{package} is not installed: pip install "faltung[bench]"'
        return f"{package} cannot be imported: {error}"
    return None


def _read(array: Any) -> Parts:
    return (torch.from_numpy(np.array(array)),)


def _both_sides(layer: Layer) -> list[int]:
    return [*layer.padding, *layer.padding]


def _grouped(layer: Layer, weight: Array) -> Array:
    return weight.reshape(layer.groups, -1, *weight.shape[1:])


class OnnxRuntime:
    """ONNX Runtime's CPU provider with as many threads as torch; weights are constants."""

    name = family = "onnxruntime"

    def available(self) -> str | None:
        """Return None, or the reason why this cannot run here."""
        reason = _missing("onnx")
        return f"{reason} (it writes the models)" if reason else _missing("onnxruntime")

    def prepare(self, task: Task) -> Prepared | None:
        """Return the layer as a session, or None for gradients."""
        if task.direction != "forward":
            return None
        runtime = importlib.import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = runtime.InferenceSession(
            _onnx_model(task), options, providers=["CPUExecutionProvider"]
        )
        feed = {"x": task.operands.x.numpy()}
        return Prepared(
            functools.partial(session.run, ["y"], feed), lambda result: _read(result[0])
        )


def _onnx_model(task: Task) -> bytes:
    onnx = importlib.import_module("onnx")
    layer, helper, number = task.layer, onnx.helper, onnx.TensorProto.FLOAT
    attributes: dict[str, Any] = {
        "kernel_shape": layer.window,
        "strides": layer.stride,
        "pads": _both_sides(layer),
    }
    constants = []
    if layer.kind == "avg":
        attributes["count_include_pad"] = 1
    else:
        attributes["dilations"] = layer.dilation
    if not layer.is_pool:
        attributes["group"] = layer.groups
        named = {"w": task.operands.w, "b": task.operands.b}
        constants = [onnx.numpy_helper.from_array(t.numpy(), name) for name, t in named.items()]
    operators = {
        "convolution": "Conv",
        "transposed": "ConvTranspose",
        "max": "MaxPool",
        "avg": "AveragePool",
    }
    inputs = ["x", *(constant.name for constant in constants)]
    node = helper.make_node(operators[layer.kind], inputs, ["y"], **attributes)
    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info("x", number, layer.input_shape)],
        [helper.make_tensor_value_info("y", number, layer.output_shape)],
        constants,
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
    serialized: bytes = model.SerializeToString()
    return serialized


class OpenVino:
    """OpenVINO's CPU plugin, in float32, or bfloat16 at "medium", with as many threads as torch."""

    name = family = "openvino"

    def available(self) -> str | None:
        """Return None, or the reason why this cannot run here."""
        return _missing("openvino")

    def prepare(self, task: Task) -> Prepared | None:
        """Return the layer as a compiled model, or None for gradients."""
        if task.direction != "forward":
            return None
        openvino = importlib.import_module("openvino")
        parameter, result = _openvino_graph(task)
        model = openvino.Model([result.output(0)], [parameter])
        short = float32_precision() == "medium"
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if short else "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,
        }
        request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
        feed = {0: task.operands.x.numpy()}
        call = functools.partial(request.infer, feed, share_inputs=True, share_outputs=True)
        return Prepared(call, lambda result: _read(result[0]))


def _openvino_graph(task: Task) -> tuple[Any, Any]:
    opset = importlib.import_module("openvino.opset8")
    layer = task.layer
    stride, pads, dilation = list(layer.stride), list(layer.padding), list(layer.dilation)
    window = list(layer.window)
    x = opset.parameter(list(layer.input_shape), np.float32)
    if layer.kind == "max":
        return x, opset.max_pool(x, stride, dilation, pads, pads, window)
    if layer.kind == "avg":
        return x, opset.avg_pool(x, stride, pads, pads, window, False)
    weight = task.operands.w.numpy()
    if layer.groups > 1:
        weight = _grouped(layer, weight)
    names = {"convolution": "convolution", "transposed": "convolution_backprop_data"}
    name = ("group_" if layer.groups > 1 else "") + names[layer.kind]
    y = getattr(opset, name)(
        x,
        opset.constant(weight),
        strides=stride,
        pads_begin=pads,
        pads_end=pads,
        dilations=dilation,
    )
    bias = task.operands.b.numpy().reshape(1, -1, 1, 1)
    return x, opset.add(y, opset.constant(bias))


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
        return _missing("jax")

    def prepare(self, task: Task) -> Prepared | None:
        """Return the layer as a jitted function, or None for gradients."""
        if task.direction != "forward":
            return None
        jax = importlib.import_module("jax")
        weight, bias = _jax_weight(task), task.operands.b.numpy()
        numbers = [task.operands.x.numpy().transpose(0, 2, 3, 1), weight, bias]
        arrays = jax.device_put([np.ascontiguousarray(n) for n in numbers], jax.devices("cpu")[0])
        function = jax.jit(functools.partial(_jax_forward, jax, task.layer))
        return Prepared(
            lambda: function(*arrays).block_until_ready(),
            lambda result: _read(np.asarray(result).transpose(0, 3, 1, 2)),
        )


def _jax_weight(task: Task) -> Array:
    """Return the weight as (R, S, C / G, K) of a convolution; a transposed one's is turned."""
    layer, w = task.layer, task.operands.w.numpy()
    if layer.is_pool:
        return w
    if layer.kind == "transposed":
        turned = _grouped(layer, w).swapaxes(1, 2)[..., ::-1, ::-1]
        w = turned.reshape(layer.k, -1, *layer.window)
    return w.transpose(2, 3, 1, 0)


def _jax_forward(jax: Any, layer: Layer, x: Any, w: Any, b: Any) -> Any:
    pads = [(p, p) for p in layer.padding]
    if layer.is_pool:
        extreme = layer.kind == "max"
        start, step = (-np.inf, jax.lax.max) if extreme else (0.0, jax.lax.add)
        y = jax.lax.reduce_window(
            x,
            start,
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


ADAPTERS = (OnnxRuntime(), OpenVino(), Jax())
