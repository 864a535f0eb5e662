"""What a model is, layer by layer, for an input."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.fx import Node

from faltung.analysis.calls import Call, shape_of
from faltung.analysis.capture import EXPORTED
from faltung.analysis.costs import (
    BATCH_NORMS,
    WITH_STATISTICS,
    counted,
    fully_connected,
    locally_connected,
    price,
)
from faltung.analysis.fields import images
from faltung.analysis.inputs import Input
from faltung.analysis.layers import Analysed, analyse
from faltung.analysis.operands import one
from faltung.analysis.report import Cost, Summary
from faltung.analysis.rows import Field, Row, summed
from faltung.analysis.rules import known
from faltung.analysis.sight import Sight
from faltung.analysis.timing import Times, times


def summary(model: torch.nn.Module, input: Input, *, measured: bool = False) -> Summary:
    """Return what a model is, layer by layer, for an input; the model stays as it was.

    Args:
        model: Any model that torch.export can capture, or that runs.
        input: What it is called with: a tensor, several of them, or sizes such as (1, 28, 28) for
            a batch of one image, (8, 1, 28, 28), or several sizes.
        measured: Also time every operator, forward and backward: alone, with operands of the sizes
            it meets in the model, medians. `faltung.analysis.timing` says how.

    Returns:
        A row for each layer and each function between layers, totals, and notes.

    Raises:
        ArgumentError: input is no input.
        ShapeError: Sizes do not fit; the message tells the chain of sizes that led there.
        ModelError: model is no model, or raises.
    """
    analysed = analyse(model, input)
    rows = tuple(_rows(analysed, times(analysed) if measured else {}))
    every = list(model.parameters())
    parameters = sum(p.numel() for p in every)
    trainable = sum(p.numel() for p in every if p.requires_grad)
    shapes = tuple(tuple(tensor.shape) for tensor in analysed.captured.arguments)
    totals = summed(rows, parameters, trainable)
    notes = tuple(_notes(analysed, parameters - sum(row.parameters for row in rows)))
    return Summary(type(model).__name__, shapes, rows, totals, notes)


def cost(model: torch.nn.Module, input: Input, *, measured: bool = False) -> Cost:
    """Return what a model costs for an input, in all and layer by layer.

    Arguments and errors are those of `summary`; `faltung.analysis.costs` says what counts as a MAC,
    a FLOP and a byte.
    """
    whole = summary(model, input, measured=measured)
    return Cost(whole.model, whole.inputs, whole.rows, whole.totals, whole.notes)


def receptive_field(model: torch.nn.Module, input: Input) -> tuple[Field, ...]:
    """Return the receptive field of each layer on the image: which pixels its cells depend on.

    Arguments and errors are those of `summary`. Layers that see nothing of the image, and those of
    an input without rows and columns, are left out.

    Source: A. Araujo, W. Norris, J. Sim, "Computing Receptive Fields of Convolutional Neural
    Networks" (Distill, 2019), for size, jump and start; the cells are exact on this image.
    """
    return fields(analyse(model, input))


def fields(analysed: Analysed) -> tuple[Field, ...]:
    """Return the receptive fields of the layers of an analysed model."""
    made = []
    for layer in analysed.layers:
        sight = one(analysed.sights.get(layer.call.node))
        if sight is None:
            continue
        height, width = shape_of(images(analysed.captured)[0])[-2:]
        rows, columns = sight.axes
        made.append(
            Field(
                layer.path, layer.name, rows.field, columns.field,
                (len(rows.cells), len(columns.cells)), (height, width),
                rows.cells, columns.cells, why(sight),
            )
        )  # fmt: skip
    return tuple(made)


def why(sight: Sight) -> str:
    """Return why a field is not defined, along either axis; empty where both are."""
    reasons = dict.fromkeys(axis.undefined for axis in sight.axes if axis.undefined)
    return "; ".join(reasons)


def _rows(analysed: Analysed, timed: Mapping[Node, Times]) -> Iterator[Row]:
    used: set[Node] = set()
    for layer in analysed.layers:
        call = layer.call
        own = _parameters(analysed, call.node) - used
        used |= own
        costs = price(call)
        sight = one(analysed.sights.get(call.node))
        seen: dict[str, Any] = {"rows": None, "columns": None, "sees": (0, 0), "why": ""}
        if sight is not None:
            rows, columns = sight.axes
            largest = (max(map(len, rows.cells)), max(map(len, columns.cells)))
            seen = {
                "rows": rows.field,
                "columns": columns.field,
                "sees": largest,
                "why": why(sight),
            }
        yield Row(
            path=layer.path,
            name=layer.name,
            input=shape_of(call.x),
            output=call.shape,
            **_windows(call),
            **seen,
            parameters=sum(analysed.captured.tensors[node].numel() for node in own),
            fully_connected=fully_connected(call),
            locally_connected=locally_connected(call),
            macs=costs.macs,
            flops=costs.flops,
            bytes=costs.bytes,
            forward_ms=timed[call.node].forward if timed else None,
            backward_ms=timed[call.node].backward if timed else None,
        )


def _windows(call: Call) -> dict[str, Any]:
    slide = call.slide
    if slide is None:
        return dict.fromkeys(("kernel", "stride", "padding", "dilation", "groups"))
    rows, columns = slide.windows
    return {
        "kernel": (rows.size, columns.size),
        "stride": (rows.stride, columns.stride),
        "padding": ((rows.before, rows.after), (columns.before, columns.after)),
        "dilation": (rows.dilation, columns.dilation),
        "groups": slide.groups,
    }


def _parameters(analysed: Analysed, node: Node) -> set[Node]:
    """Return the parameters a call reads, also through operators that see nothing of the input."""
    found, waiting = set(), list(node.all_input_nodes)
    while waiting:
        operand = waiting.pop()
        if operand in analysed.captured.parameters:
            found.add(operand)
        elif operand not in analysed.reached:
            waiting += operand.all_input_nodes
    return found


def _notes(analysed: Analysed, unused: int) -> Iterator[str]:
    if analysed.captured.how != EXPORTED:
        yield analysed.captured.how
    shown = [layer.call for layer in analysed.layers]
    yield from _statistics(analysed, shown)
    calls = [Call(node) for node in analysed.captured.calls if node in analysed.reached]
    strange = dict.fromkeys(call.name for call in calls if not known(call))
    if strange:
        yield f"taken to see all that their operands see: {', '.join(strange)}"
    uncounted = dict.fromkeys(call.name for call in shown if not counted(call))
    if uncounted:
        yield f"not counted in MACs and FLOPs: {', '.join(uncounted)}"
    if unused:
        yield f"{unused:,} parameters are used by no layer for this input"


def _statistics(analysed: Analysed, shown: Sequence[Call]) -> Iterator[str]:
    """Say what is assumed of normalisations that compute their statistics themselves."""
    batch = [c for c in shown if c.name in BATCH_NORMS and (c.get("training", "use_input_stats"))]
    if batch:
        yield (
            "batch normalisation is in training mode: through its statistics every cell depends on "
            "all images of the batch; receptive fields take them as given numbers (use eval())"
        )
    image = dict.fromkeys(
        c.name for c in shown if c.name in WITH_STATISTICS and _mixes(analysed, c)
    )
    if image:
        yield (
            f"through the statistics of {', '.join(image)} every cell depends on the whole image; "
            f"receptive fields take them as given numbers"
        )


def _mixes(analysed: Analysed, call: Call) -> bool:
    """Say whether a normalisation runs over rows or columns, not only over channels."""
    sight = one(analysed.sights.get(call.node))
    sizes = call.get("normalized_shape")
    if sight is None or sizes is None:
        return sight is not None
    return any(a.dim is not None and a.dim >= len(call.shape) - len(sizes) for a in sight.axes)
