"""Kernels in many threads at once, in forked children, and with stores that do not work."""

import gc
import multiprocessing
import subprocess
import sys
import threading
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from convolving import Conv, Way, asked, called, defined, run, whole
from faltung.compiler import kernel, machine
from faltung.compiler.emit import Program
from faltung.compiler.store import Store
from faltung.compiler.target import Target
from faltung.ops import ours
from storing import names

TESTS = Path(__file__).parent
WAY = Way(machine.host())
SMALL = Conv(2, 1, 3, 5, (7, 9), (3, 2), padding=(1, 1, 1, 1))
PROBLEMS = [
    SMALL,
    Conv(1, 1, 16, 16, (22, 23), (4, 3), padding=(1, 1, 1, 1)),
    Conv(1, 1, 16, 40, (34, 33), (1, 1)),
    Conv(2, 1, 5, 17, (15, 14), (5, 5), (2, 2), (2, 2, 2, 2)),
]


@pytest.fixture
def fresh(anew: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Store:
    """Forget all kernels, and keep new ones in a store of this test's own."""
    store = Store(tmp_path / "kernels", "fingerprint")
    monkeypatch.setattr(kernel, "_known", {})
    monkeypatch.setattr(kernel, "store", lambda: store)
    called.cache_clear()
    return store


def is_right(conv: Conv) -> bool:
    """Say whether a forward convolution by the dense kernel is right."""
    called.cache_clear()
    x, w = whole(1, conv.x), whole(2, conv.w)
    y = torch.full(conv.y, float("nan"))
    run("forward", conv, (x, w, y), None, WAY)
    return torch.equal(y.double(), defined("forward", conv, x, w))


def origins() -> list[str]:
    """Return where the known kernels came from."""
    return [made.origin for made in kernel._known.values()]


def test_many_threads_at_once(fresh: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """They need the same kernels, which nobody has compiled, at the same time."""
    compiled: Counter[str] = Counter()
    compile_object = machine.compile_object

    def counted(assembly: str, target: Target) -> bytes:
        compiled[assembly] += 1
        return compile_object(assembly, target)

    monkeypatch.setattr(machine, "compile_object", counted)
    many, threads = 8, torch.get_num_threads()
    together = threading.Barrier(many)
    wrong: list[Any] = []
    data = [(conv, whole(1, conv.x), whole(2, conv.w), whole(3, conv.y)) for conv in PROBLEMS]
    truths = [
        (
            defined("forward", conv, x, w),
            defined("input", conv, dy, w),
            defined("weight", conv, x, dy),
        )
        for conv, x, w, dy in data
    ]

    def work(first: int) -> None:
        try:
            torch.set_num_threads(1 + first % 2)
            together.wait(60)
            for turn in range(2 * len(PROBLEMS)):
                at = (first + turn) % len(PROBLEMS)
                conv, x, w, dy = data[at]
                rest = ([*conv.stride], [*conv.padding], [*conv.dilation], 1, False)
                results = (
                    ours.conv2d(x, w, None, *rest),
                    ours.conv2d_input_gradient(dy, w, None, [*conv.size], *rest),
                    ours.conv2d_weight_gradient(x, dy, [*conv.window], *rest, False)[0],
                )
                for direction, result, truth in zip("FIW", results, truths[at], strict=True):
                    if not torch.equal(result.double(), truth):
                        wrong.append((direction, conv))
        except BaseException as error:
            wrong.append(error)

    workers = [threading.Thread(target=work, args=(n,)) for n in range(many)]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(100)
    finally:
        torch.set_num_threads(threads)
    assert not any(worker.is_alive() for worker in workers)
    assert wrong == []
    assert len(compiled) >= len(PROBLEMS)
    assert set(compiled.values()) == {1}
    assert fresh.trouble is None


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork"
)
def test_forked_children_convolve() -> None:
    done = subprocess.run(
        [sys.executable, TESTS / "forking.py"],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.stdout == "right everywhere\n", done.stderr[-3000:]
    assert done.returncode == 0


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork"
)
def test_children_forked_during_a_compilation_convolve() -> None:
    done = subprocess.run(
        [sys.executable, TESTS / "forking.py", "compiling"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.stdout == "right meanwhile\n", done.stderr[-3000:]


def test_kernels_come_from_the_store(fresh: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_right(SMALL)
    assert origins() == ["compiled"] * 2
    monkeypatch.setattr(kernel, "_known", {})
    assert is_right(SMALL)
    assert origins() == ["store"] * 2
    assert len(names(fresh.folder)) == 2


ELSEWHERE = """
import sys
from pathlib import Path
from faltung.compiler import kernel
kernel.cache_folder = lambda: Path(sys.argv[1])
import test_kernel_processes as tests
print(tests.is_right(tests.SMALL), *tests.origins())
"""


def test_a_fresh_process_finds_the_kernels_of_another(tmp_path: Path) -> None:
    said = [
        subprocess.run(
            [sys.executable, "-c", ELSEWHERE, tmp_path],
            cwd=TESTS,
            capture_output=True,
            text=True,
            timeout=100,
            check=True,
        ).stdout
        for _ in range(2)
    ]
    assert said == ["True compiled compiled\n", "True store store\n"]


@pytest.mark.parametrize("place", [0, 100, -1])
@pytest.mark.parametrize("cut", [False, True])
def test_a_damaged_kernel_is_compiled_again(
    fresh: Store, monkeypatch: pytest.MonkeyPatch, place: int, cut: bool
) -> None:
    assert is_right(SMALL)
    files = {file: file.read_bytes() for file in fresh.folder.iterdir()}
    for file, whole_file in files.items():
        damaged = bytearray(whole_file)
        damaged[place] ^= 0xFF
        file.write_bytes(whole_file[:place] if cut else damaged)
    monkeypatch.setattr(kernel, "_known", {})
    assert is_right(SMALL)
    assert origins() == ["compiled"] * 2
    assert {file: file.read_bytes() for file in files} == files


def test_without_a_folder_kernels_are_compiled(
    fresh: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    barred = Store(tmp_path / "file" / "kernels", "fingerprint")
    monkeypatch.setattr(kernel, "store", lambda: barred)
    for _ in range(2):
        monkeypatch.setattr(kernel, "_known", {})
        assert is_right(SMALL)
        assert origins() == ["compiled"] * 2
    assert barred.trouble is not None
    assert not fresh.folder.exists()


def test_a_folder_that_may_not_be_written_is_no_obstacle(
    fresh: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(part: Path, target: Path) -> Path:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refused)
    assert is_right(SMALL)
    assert origins() == ["compiled"] * 2
    assert "could not be stored" in str(fresh.trouble)


def test_a_problem_has_one_call() -> None:
    tensors = (whole(1, SMALL.x), whole(2, SMALL.w), torch.empty(SMALL.y))
    problem = asked("forward", SMALL, tensors, False, WAY)
    assert called(problem, WAY) is called(problem, WAY)


@dataclass(frozen=True)
class _Watching:
    """A kernel that notes whether garbage is collected meanwhile; perhaps it cannot be written."""

    fails: bool
    seen: list[bool] = field(default_factory=list, hash=False)

    def emit(self, target: Target) -> Program:
        """Write nothing."""
        self.seen.append(gc.isenabled())
        if self.fails:
            raise ValueError("not to be written")
        program = Program(target)
        with program.region("nothing"):
            pass
        return program


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_garbage_is_not_collected_while_a_kernel_is_written(
    fresh: Store, fails: bool, before: bool
) -> None:
    spec = _Watching(fails)
    enabled = gc.isenabled()
    (gc.enable if before else gc.disable)()
    try:
        with pytest.raises(ValueError, match="not to be") if fails else nullcontext():
            kernel.get(spec, machine.host())
        assert (spec.seen, gc.isenabled()) == ([False], before)
    finally:
        (gc.enable if enabled else gc.disable)()
