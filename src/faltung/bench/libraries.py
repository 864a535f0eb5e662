"""Candidates that take a graph with constant weights: ONNX Runtime and OpenVINO. Forward only.

They are imported when they are asked for, so that the benchmark also runs without them.
"""

import functools
import importlib
from typing import Any

import numpy as np
import torch

from faltung.bench.arrays import grouped, missing, numbers, read
from faltung.bench.layer import Layer
from faltung.bench.task import Prepared, Task
from faltung.ops.watching import float32_precision

OPSET = 17
IR_VERSION = 8  # of ONNX files; the oldest that goes with the opset, so that every runtime reads it


def _both_sides(layer: Layer) -> list[int]:
    return [*layer.padding, *layer.padding]


class OnnxRuntime:
    """ONNX Runtime's CPU provider with as many threads as torch; weights are constants."""

    name = family = "onnxruntime"

    def available(self) -> str | None:
        """Return None, or the reason why this cannot run here."""
        reason = missing("onnx")
        return f"{reason} (it writes the models)" if reason else missing("onnxruntime")

    def prepare(self, task: Task) -> Prepared | None:
        """Return the layer as a session, or None for gradients and for bfloat16, which it lacks."""
        if task.direction != "forward" or task.short:
            return None
        runtime = importlib.import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = runtime.InferenceSession(
            _onnx_model(task), options, providers=["CPUExecutionProvider"]
        )
        feed = {"x": task.operands.x.numpy()}
        return Prepared(functools.partial(session.run, ["y"], feed), lambda result: read(result[0]))


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
    """OpenVINO's CPU plugin with as many threads as torch.

    In float32, or in bfloat16 at "medium" and for such tensors; both take and give float32.
    """

    name = family = "openvino"

    def available(self) -> str | None:
        """Return None, or the reason why this cannot run here."""
        return missing("openvino")

    def prepare(self, task: Task) -> Prepared | None:
        """Return the layer as a compiled model, or None for gradients."""
        if task.direction != "forward":
            return None
        openvino = importlib.import_module("openvino")
        parameter, result = _openvino_graph(task)
        model = openvino.Model([result.output(0)], [parameter])
        short = task.short or float32_precision() == "medium"
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if short else "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,
        }
        request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
        feed = {0: numbers(task.operands.x)}
        call = functools.partial(request.infer, feed, share_inputs=True, share_outputs=True)
        return Prepared(call, lambda result: read(result[0]))


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
    weight = numbers(task.operands.w)
    if layer.groups > 1:
        weight = grouped(layer, weight)
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
    bias = numbers(task.operands.b).reshape(1, -1, 1, 1)
    return x, opset.add(y, opset.constant(bias))


ADAPTERS = (OnnxRuntime(), OpenVino())
