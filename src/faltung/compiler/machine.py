"""From LLVM assembly to a callable on addresses: the only user of `llvmlite.binding`.

Kernels run on the OpenMP team that torch has already started in this process; where no runtime is
found, or after a fork (whose child has no team), they run on the calling thread.
"""

import ctypes
import itertools
import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
from llvmlite import binding as llvm

from faltung.compiler.target import Target, cache_sizes, from_features

TEAM_SYMBOLS = ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads")
RUNTIMES = ("libgomp", "libiomp", "libomp")
VERSION = f"llvmlite {llvmlite.__version__}, LLVM {'.'.join(map(str, llvm.llvm_version_info))}"

TILES_PLEASE = (158, 0x1023, 18)  # arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA

PROCESS = os.getpid()

_numbers = itertools.count()


@cache
def _initialised() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


@cache
def host() -> Target:
    """Return what this CPU offers."""
    _initialised()
    arm = llvm.get_default_triple().startswith(("aarch64", "arm64"))
    return from_features(
        llvm.get_host_cpu_name(), dict(llvm.get_host_cpu_features()), arm, cache_sizes(),
        _tiles_permitted,
    )  # fmt: skip


def _tiles_permitted() -> bool:
    """Ask Linux to let this process, and its forks, use the tile registers; say whether.

    Afterwards it refuses alternate signal stacks that are too small for these registers.

    Source: the kernel's documentation, "x86 XSTATE".
    """
    return sys.platform == "linux" and bool(ctypes.CDLL(None).syscall(*TILES_PLEASE) == 0)


@cache
def team_runtime() -> ctypes.CDLL | None:
    """Return the OpenMP runtime that torch has loaded in this process, or None.

    Other packages may have brought runtimes of their own; two teams would wait for each other's
    spinning threads, so that torch's comes first.
    """
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    paths = {line.split(maxsplit=5)[-1] for line in lines if line.count("/")}
    for path in sorted(paths, key=lambda path: ("torch" not in Path(path).parts, path)):
        if Path(path).name.startswith(RUNTIMES):
            runtime = ctypes.CDLL(path)
            if all(hasattr(runtime, name) for name in TEAM_SYMBOLS):
                return runtime
    return None


def team_size(wanted: int) -> int:
    """Return the number of threads a kernel may run on here: at most `wanted`."""
    return wanted if wanted == 1 or (os.getpid() == PROCESS and team_runtime() is not None) else 1


def compile_object(assembly: str, target: Target) -> bytes:
    """Verify, optimise and compile LLVM assembly to an object file.

    Args:
        assembly: A module whose exported function is `run(arguments, threads)`.
        target: The CPU to compile for; it need not be this one.
    """
    machine = _target_machine(target)
    with _optimised(assembly, machine) as module:
        made: bytes = machine.emit_object(module)
    return made


def instructions(assembly: str, target: Target) -> str:
    """Return the machine instructions that a module becomes, as text."""
    machine = _target_machine(target)
    with _optimised(assembly, machine) as module:
        text: str = machine.emit_assembly(module)
    return text


def _optimised(assembly: str, machine: Any) -> Any:
    """Return the verified and optimised module.

    The code comes unrolled, in vectors, its loops with their questions behind, so that a few cheap
    passes do what a whole pipeline would, in an eighth of its time.
    """
    module = llvm.parse_assembly(assembly, llvm.create_context())
    module.triple = llvm.get_process_triple()
    module.data_layout = str(machine.target_data)
    module.verify()
    passes = llvm.create_new_module_pass_manager()
    passes.add_sroa_pass()
    passes.add_instruction_combine_pass()
    passes.add_new_gvn_pass()
    passes.add_simplify_cfg_pass()
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    with llvm.create_pass_builder(machine, options) as builder:
        passes.run(module, builder)
    return module


def _target_machine(target: Target) -> Any:
    _initialised()
    return llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(
        cpu=target.cpu, features=target.features, opt=2, reloc="pic", codemodel="default", jit=False
    )


@dataclass(frozen=True, eq=False)
class Loaded:
    """Machine code in memory.

    Attributes:
        run: Calls it: `run(address of the argument block, threads)`; releases the interpreter lock.
    """

    run: Any
    _keep: Any


def load_object(payload: bytes) -> Loaded:
    """Link an object file into this process."""
    runtime = team_runtime()
    builder = llvm.JITLibraryBuilder().add_object_img(payload).export_symbol("run")
    for name in TEAM_SYMBOLS:
        # Without a runtime the team is never called; any address satisfies the linker.
        function = getattr(runtime, name) if runtime else ctypes.pythonapi.Py_IsInitialized
        builder.import_symbol(name, ctypes.cast(function, ctypes.c_void_p).value)
    tracker = builder.link(_linker(), f"kernel{next(_numbers)}")
    address = tracker["run"]
    kind = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_int64)
    return Loaded(kind(address), tracker)


@cache
def _linker() -> Any:
    _initialised()
    return llvm.create_lljit_compiler(use_jit_link=False, suppress_errors=False)
