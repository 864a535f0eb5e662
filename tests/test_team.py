"""Kernels run on torch's team of threads, whatever other runtimes a process has loaded."""

import subprocess
import sys

import pytest

CODE = """
import sklearn.cluster, torch
from faltung.compiler import machine
print(machine.team_runtime())
"""


def test_torchs_runtime_comes_before_that_of_other_packages() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CODE], capture_output=True, text=True, check=True
    )
    if done.stdout.strip() == "None":
        pytest.skip("this system does not list what a process has loaded")
    assert "/torch/" in done.stdout
