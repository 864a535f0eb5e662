"""Ours or theirs: the sentence, and that what is registered really runs."""

import pytest
import torch

from faltung import functional as F
from faltung import ops
from faltung.ops import seam


@pytest.mark.parametrize(
    ("tensor", "sentence"),
    [
        (
            torch.zeros(1, dtype=torch.float64),
            "theirs: no kernel of ours computes in float64; torch's operator runs",
        ),
        (
            torch.zeros(1, device="meta"),
            "theirs: the tensors are on meta, our kernels are for the CPU; torch's operator runs",
        ),
    ],
)
def test_the_choice_is_a_sentence(tensor: torch.Tensor, sentence: str) -> None:
    choice = ops.choose("conv2d", tensor)
    assert str(choice) == sentence
    assert not choice.ours


def test_without_a_kernel_theirs_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(ops.choose("conv2d", torch.zeros(1))) == "ours: a kernel of ours computes conv2d"
    monkeypatch.delitem(seam._ours, "conv2d")
    assert str(ops.choose("conv2d", torch.zeros(1))) == (
        "theirs: no kernel of ours is registered for conv2d; torch's operator runs"
    )


def test_an_operation_that_is_none_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        ops.choose("conv7d", torch.zeros(1))


def test_a_registered_kernel_runs_where_it_may_and_is_taken_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, w = torch.randn(1, 1, 4, 4), torch.randn(1, 1, 3, 3)
    expected = F.conv2d(x, w)

    def ours(x: torch.Tensor, w: torch.Tensor, *_: object) -> torch.Tensor:
        return torch.full((1, 1, 2, 2), 7.0)

    monkeypatch.setitem(seam._ours, "conv2d", seam._theirs["conv2d"])  # put back afterwards
    seam.set_ours("conv2d", ours)
    assert torch.equal(F.conv2d(x, w), torch.full((1, 1, 2, 2), 7.0))
    assert str(ops.choose("conv2d", x)) == "ours: a kernel of ours computes conv2d"
    torch.testing.assert_close(F.conv2d(x.double(), w.double()).float(), expected)
    seam.set_ours("conv2d", None)
    seam.set_ours("conv2d", None)
    assert not ops.choose("conv2d", x).ours
    torch.testing.assert_close(F.conv2d(x, w), expected)
