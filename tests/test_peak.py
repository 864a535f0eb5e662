"""The peak: what its kernel computes, and that the number counts what was computed."""

import itertools
import struct
from dataclasses import replace

import pytest
import torch

from faltung.compiler import kernel, machine, peak
from faltung.compiler.plan import POINTERS
from faltung.compiler.target import Target
from faltung.selfcheck import levels


@pytest.mark.parametrize("target", levels(), ids=lambda target: target.level)
@pytest.mark.parametrize("turns", [0, 1, 3])
def test_every_chain_multiplies_and_adds_that_often(target: Target, turns: int) -> None:
    count, lanes = 12, target.lanes
    source = torch.randn((count + 2, lanes), generator=torch.Generator().manual_seed(0))
    result = torch.full((peak.LINE,), float("nan"))
    addresses = [source.data_ptr(), 0, 0, result.data_ptr()]
    addresses += [0] * (POINTERS - len(addresses))
    block = struct.pack(f"{POINTERS + 1}q", *addresses, turns)
    kernel.get(peak.Chains(count), target).code.run(block, 1)
    chains, factor, summand = source[:count].double(), source[count], source[count + 1]
    for _ in range(turns * peak.UNROLLED):
        chains = chains * factor + summand
    torch.testing.assert_close(result[:lanes].double(), chains.sum(0), rtol=1e-4, atol=1e-4)


def test_the_peak_is_operations_by_seconds() -> None:
    ticks = itertools.count()
    found = peak.peak(1, clock=lambda: next(ticks) * peak.LASTS)
    target = machine.host()
    chains = peak.FEW if target.registers == 16 else peak.MANY
    operations = 2 * target.lanes * chains * peak.UNROLLED * 1024
    assert found == pytest.approx(operations / peak.LASTS / 1e9)


def test_the_chains_stay_in_registers() -> None:
    target = machine.host()
    chains = peak.FEW if target.registers == 16 else peak.MANY
    text = machine.instructions(peak.Chains(chains).emit(target).text(), target)
    if target.level in {"avx512", "avx2"}:
        assert text.count("vfmadd") == chains * peak.UNROLLED


def test_the_peak_of_a_matrix_unit_is_products_by_seconds() -> None:
    ticks = itertools.count()
    unit = replace(machine.host(), lanes=16, registers=32, tiles="interpreted")
    found = peak.unit_peak(1, unit, clock=lambda: next(ticks) * peak.LASTS)
    products = 16 * 16 * 32 * 4 * peak.UNROLLED * 1024
    assert found == pytest.approx(2 * products / peak.LASTS / 1e9)
    assert peak.unit_peak(1, replace(unit, tiles="")) == 0
    assert peak.unit_peak(1, replace(unit, tiles="forbidden")) == 0
