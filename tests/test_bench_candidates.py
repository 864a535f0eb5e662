"""The benchmark's candidates: every one computes what it should, or says why it is not there."""

import importlib
import os
import sys
from typing import Any

import pytest
import torch

from faltung.bench.layer import parse
from faltung.bench.libraries import OnnxRuntime, OpenVino
from faltung.bench.peers import Compiled, Ours, Torch, reference
from faltung.bench.task import Adapter, Task, operands, relative_error
from faltung.bench.xla import Jax

LAYERS = (
    "mb2ic4ih9oc6kh3ph1",
    "g2ic4ih9iw8oc6kh3kw2sh2ph1dw2",
    "g4ic4ih9oc4kh5ph2",
    "t mb2g2ic4ih5iw6oc6kh3sh2ph1dh2",
    "max mb2ic3ih9kh3sh2ph1",
    "avg ic3ih9iw8kh3sh2ph1",
)
LIBRARIES = (OnnxRuntime(), OpenVino(), Jax())


WITHIN = {torch.float32: 1e-6, torch.bfloat16: 1e-2}  # relative errors


@pytest.mark.parametrize("text", LAYERS)
@pytest.mark.parametrize("kind", [Ours, Torch])
@pytest.mark.parametrize("layout", ["nchw", "channels_last"])
@pytest.mark.parametrize("dtype", WITHIN, ids=str)
def test_ours_and_torch_compute_every_direction(
    kind: type[Torch], layout: str, text: str, dtype: torch.dtype
) -> None:
    layer, adapter = parse(text), kind(layout)
    assert adapter.available() is None
    with torch.no_grad():
        for direction in layer.directions:
            task = Task(layer, direction, operands(layer, dtype))
            prepared = adapter.prepare(task)
            assert prepared is not None
            parts = prepared.result()
            assert len(parts) == (2 if direction == "weight" else 1)
            assert {part.dtype for part in parts} == {dtype}
            assert relative_error(parts, reference(task)) < WITHIN[dtype]
            if layout == "channels_last" and direction != "weight":
                assert parts[0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("text", LAYERS)
@pytest.mark.parametrize("adapter", LIBRARIES, ids=lambda adapter: adapter.name)
@pytest.mark.parametrize("dtype", WITHIN, ids=str)
def test_libraries_compute_forward(
    adapter: Adapter, text: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: len(cores()))
    reason = adapter.available()
    if reason is not None:
        pytest.skip(reason)
    task = Task(parse(text), "forward", operands(parse(text), dtype))
    prepared = adapter.prepare(task)
    if prepared is None:
        assert (adapter.name, dtype) == ("onnxruntime", torch.bfloat16)
    else:
        assert relative_error(prepared.result(), reference(task)) < WITHIN[dtype]


def cores() -> set[int]:
    """Return the cores that this process may use."""
    return set(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else set()


@pytest.mark.parametrize("adapter", [*LIBRARIES, Compiled("nchw")], ids=lambda a: a.name)
def test_the_others_have_no_gradients(adapter: Adapter) -> None:
    assert adapter.prepare(Task(parse(LAYERS[0]), "input", operands(parse(LAYERS[0])))) is None


def test_a_missing_library_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.setitem(sys.modules, "openvino", None)
    remedy = 'is not installed: pip install "faltung[bench]"'
    assert OnnxRuntime().available() == f"onnx {remedy} (it writes the models)"
    assert OpenVino().available() == f"openvino {remedy}"

    monkeypatch.setattr("shutil.which", lambda name: None)
    assert Compiled("nchw").available() == "torch.compile needs g++, which is not installed"


def test_a_library_that_cannot_be_loaded_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> Any:
        raise ImportError("libsomething.so: cannot open shared object file")

    monkeypatch.setattr(importlib, "import_module", broken)
    assert OpenVino().available() == (
        "openvino cannot be imported: libsomething.so: cannot open shared object file"
    )


@pytest.mark.skipif(not cores(), reason="the cores of a process are not known here")
def test_jax_is_compared_only_on_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1, 2})
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert Jax().available() == (
        "jax takes all 3 cores whatever it is told, the others are given 2: leave out --threads "
        "to compare with it"
    )
