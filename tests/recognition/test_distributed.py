"""Several processes: the same gradients as one, one folder, a clean end together."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from support import TINY, environment

from faltung.errors import DeviceError
from faltung.recognition import distributed, state
from faltung.recognition import train as training
from faltung.recognition.checkpoint import LAST
from faltung.recognition.distributed import Team

CPU = torch.device("cpu")
LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def launched(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """Start two processes, as leaders of a group of their own."""
    return subprocess.Popen(
        [*LAUNCH, *arguments],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize("size", [1, 2, 3])
def test_shares_make_up_the_batch(size: int) -> None:
    batch = torch.arange(10)
    shares = [Team(rank, size, CPU).share(batch) for rank in range(size)]
    assert sorted(torch.cat(shares).tolist()) == batch.tolist()
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_process_alone_agrees_with_itself() -> None:
    alone = Team(0, 1, CPU)
    model = torch.nn.Linear(1, 1)
    assert alone.leads
    assert alone.agreed(2.5) == 2.5
    assert alone.total(torch.tensor([1.0, 2.0])).tolist() == [1, 2]
    assert alone.wrapped(model) is model


def test_a_missing_gpu_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(DeviceError) as caught, distributed.team("cuda", None):
        pass
    assert str(caught.value) == (
        "device is cuda, and process 0 of this machine needs a CUDA device of its own, but torch "
        "finds 0: use --device cpu, or fewer processes"
    )


GRADIENTS = """
import sys, torch
from pathlib import Path
from faltung.recognition import train as training
from faltung.recognition.config import make
from faltung.recognition.distributed import team
from safetensors.torch import save_file

class Plain(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(64, 10)
    def forward(self, x):
        return self.layer(x.flatten(1))

def gradients(together):
    begun = training.prepare(make({"batch": 33}), Path(sys.argv[1]), together)
    begun.state.model = Plain()
    begun.state.optimizer = torch.optim.SGD(begun.state.model.parameters(), 0.1)
    model = together.wrapped(begun.state.model)
    sums = training._backward(begun, model, begun.data.train, torch.arange(33))
    loss, right = together.total(torch.cat(sums)).tolist()
    if together.leads:
        grads = {n: p.grad for n, p in begun.state.model.named_parameters()}
        save_file({**grads, "sums": torch.tensor([loss, right])}, sys.argv[2])

with team("cpu", 1) as together:
    gradients(together)
"""


def test_two_processes_make_the_gradients_of_one(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    script = tmp_path / "gradients.py"
    script.write_text(GRADIENTS)
    alone = [sys.executable, str(script), str(tmp_path / "a"), str(tmp_path / "1.safetensors")]
    subprocess.run(alone, env=environment(), check=True)
    process = launched(tmp_path, str(script), str(tmp_path / "b"), str(tmp_path / "2.safetensors"))
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 0, output
    one, two = (load_file(tmp_path / f"{count}.safetensors") for count in (1, 2))
    assert one["layer.weight"].abs().max() > 1e-3
    for name, gradient in one.items():
        torch.testing.assert_close(two[name], gradient, rtol=1e-5, atol=1e-6)


def test_ctrl_c_reaches_all_and_is_saved_once(tmp_path: Path) -> None:
    process = launched(tmp_path, "-m", "faltung", "train", "digits", *TINY, "--epochs", "4000")
    deadline = time.monotonic() + 100
    while not (logs := list(tmp_path.glob("runs/*/log.csv"))):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    folder = logs[0].parent
    said = f"stopped and saved: go on with  faltung train --resume runs/{folder.name}"
    assert output.splitlines().count(said) == 1, output
    assert "KeyboardInterrupt" not in output
    assert "Grad strides" not in output
    assert list((tmp_path / "runs").iterdir()) == [folder]
    resumed = training.resume(folder, Team(0, 1, CPU))
    assert resumed.state.epoch > 0
    assert state.restore(folder / LAST, CPU, resumed.facts)[1] == resumed.config


def test_a_process_that_dies_ends_the_others(tmp_path: Path) -> None:
    process = launched(tmp_path, "-m", "faltung", "train", "digits", *TINY, "--epochs", "4000")
    deadline = time.monotonic() + 100
    while not list(tmp_path.glob("runs/*/log.csv")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.is_file():
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        pytest.skip("this system does not list the children of a process under /proc")
    os.kill(int(children.read_text().split()[-1]), signal.SIGKILL)
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0, output
