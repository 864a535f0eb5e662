"""Why a model fails for an input: the chain of sizes that led there, the cause, the remedy."""

import time
from collections.abc import Iterator

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from faltung.analysis.causes import Cause, cause
from faltung.analysis.chain import links, told
from faltung.analysis.keeping import kept, quiet
from faltung.analysis.record import Recording
from faltung.errors import FaltungError, ModelError, ShapeError

COMMON = (8, 16, 28, 32, 48, 64, 96, 128, 160, 192, 224, 227, 256, 299, 320, 384, 512, 640)
PATIENCE = 2.0  # seconds that are spent on finding an image size that fits


def explained(
    model: torch.nn.Module, arguments: tuple[Tensor, ...], failed: Recording
) -> FaltungError:
    """Return the error that tells why a run failed: layer, rule, sizes, cause and remedy."""
    path = failed.stack[-1] if failed.stack else ""
    layer = model.get_submodule(path)
    way = links(model, failed)
    found = cause(layer, failed, way)
    where = f"layer {path} ({type(layer).__name__})" if path else f"{type(layer).__name__}"
    if found is None:
        return ModelError(_raised(where, failed, told(failed.inputs, way)))
    lines = [f"{where} does not fit what reaches it: {found.rule}"]
    lines += ["sizes on the way:", *told(failed.inputs, way)]
    if found.cause:
        lines.append(f"likely cause: {found.cause}")
    remedy = _remedy(found, model, arguments)
    if remedy:
        lines.append(f"remedy: {remedy}")
    return ShapeError("\n".join(lines))


def _raised(where: str, failed: Recording, way: list[str]) -> str:
    error = failed.error
    lines = [f"{where} raises {type(error).__name__}" + (f": {error}" if str(error) else "")]
    if isinstance(error, TypeError) and "positional argument" in str(error):
        lines.append("remedy: give as many inputs as its forward takes")
        return "\n".join(lines)
    return "\n".join([*lines, "sizes on the way:", *way])


def _remedy(found: Cause, model: torch.nn.Module, arguments: tuple[Tensor, ...]) -> str:
    size = _fitting(model, arguments, larger="window" in found.rule) if found.sizes else None
    other = f"images of {size[0]} x {size[1]}, which fit" if size else ""
    return "; or ".join(part for part in (found.remedy, other) if part)


def _fitting(
    model: torch.nn.Module, arguments: tuple[Tensor, ...], *, larger: bool
) -> tuple[int, int] | None:
    """Return an image size for which the model runs, near the one given, or None."""
    first = arguments[0]
    if first.dim() != 4:
        return None
    height, width = first.shape[-2:]
    until = time.monotonic() + PATIENCE
    for size in _larger(height, width) if larger else _near(height, width):
        if time.monotonic() > until:
            return None
        if _runs(model, arguments, size):
            return size
    return None


def _larger(height: int, width: int) -> Iterator[tuple[int, int]]:
    """Return sizes for a model whose window did not fit: common ones, the smallest first."""
    for size in COMMON:
        if size > min(height, width):
            yield max(size, height), max(size, width)


def _near(height: int, width: int) -> Iterator[tuple[int, int]]:
    """Return sizes that halve evenly, then squares, the nearest first."""
    for step in (2, 4, 8, 16, 32):
        yield -(-height // step) * step, -(-width // step) * step
    if height == width:
        every = sorted({*COMMON, *range(1, height + 33)}, key=lambda n: abs(n - height))
        yield from ((n, n) for n in every)


def _runs(model: torch.nn.Module, arguments: tuple[Tensor, ...], size: tuple[int, int]) -> bool:
    """Say whether a model runs for images of another size; no number is computed."""
    planes = arguments[0].shape[-2:]
    try:
        with kept(model), quiet(), torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True):
            model(
                *(
                    torch.empty((*a.shape[:-2], *size) if a.shape[-2:] == planes else a.shape,
                                dtype=a.dtype, device=a.device)
                    for a in arguments
                )
            )  # fmt: skip
    except Exception:
        return False
    return True
