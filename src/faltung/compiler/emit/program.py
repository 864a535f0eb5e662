"""A whole module: parallel regions in order, behind one exported function."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

from faltung.compiler.emit.code import Code
from faltung.compiler.emit.values import I32, I64, PTR, VOID
from faltung.compiler.target import Target


class Program:
    """A module with one exported function, `run(arguments, threads)`, of parallel regions in order.

    Each region is a function written with `Code`; all threads of the team work through it, and the
    next one starts when all have ended.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.module = ir.Module("faltung")
        self._regions: list[Any] = []

    @contextmanager
    def region(self, name: str) -> Iterator[Code]:
        """Write the next parallel region."""
        code = Code(self.module, self.target, name)
        yield code
        code.finish()
        self._regions.append(code.function)

    def text(self) -> str:
        """Return the whole module as LLVM assembly."""
        kind = ir.FunctionType(VOID, [PTR, I64])
        run = ir.Function(self.module, kind, "run")
        builder = ir.IRBuilder(run.append_basic_block("entry"))
        arguments, threads = run.args
        many = builder.icmp_signed(">", threads, I64(1))
        with builder.if_else(many) as (together, alone):
            with together:
                team = ir.Function(
                    self.module, ir.FunctionType(VOID, [PTR, PTR, I32, I32]), "GOMP_parallel"
                )
                for region in self._regions:
                    member = self._member(region)
                    builder.call(team, [member, arguments, builder.trunc(threads, I32), I32(0)])
            with alone:
                for region in self._regions:
                    builder.call(region, [arguments, I64(0), I64(1)])
        builder.ret_void()
        return str(self.module)

    def _member(self, region: Any) -> Any:
        """Return the function that a thread of the team runs: it asks for its number."""
        numbers = []
        member = ir.Function(self.module, ir.FunctionType(VOID, [PTR]), f"{region.name}_member")
        member.linkage = "internal"
        builder = ir.IRBuilder(member.append_basic_block("entry"))
        for name in ("omp_get_thread_num", "omp_get_num_threads"):
            known = self.module.globals.get(name) or ir.Function(
                self.module, ir.FunctionType(I32, []), name
            )
            numbers.append(builder.zext(builder.call(known, []), I64))
        builder.call(region, [member.args[0], *numbers])
        builder.ret_void()
        return member
