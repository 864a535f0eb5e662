"""What small networks free is not handed back to the system between calls."""

import os
import platform
import subprocess
import sys

import pytest

STEPS = """
import resource
import torch
import faltung
from faltung.bench.networks import LeNet5

network, images = LeNet5(), torch.randn(64, 1, 28, 28)

def steps(count):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        network.zero_grad()
        network(images).square().mean().backward()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / count

with faltung.enabled():
    steps(20)
    print(steps(50))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_a_step_of_training_gets_no_new_memory() -> None:
    steered = ("MALLOC_", "GLIBC_TUNABLES")
    here = {name: value for name, value in os.environ.items() if not name.startswith(steered)}
    done = subprocess.run(
        [sys.executable, "-c", STEPS], env=here, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 50  # pages; 1.2 MB of maps alone are 294
