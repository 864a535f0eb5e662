"""Arguments, integers and control flow of a function that is being written."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

from faltung.compiler.emit.values import (
    F32,
    I64,
    PTR,
    VOID,
    Condition,
    Index,
    Int,
    Pointer,
    numbers,
)
from faltung.compiler.target import Target


class Flow:
    """A function that is being written: it works through one share of a parallel region.

    Attributes:
        target: The CPU it is written for.
        lanes: float32 elements of a vector of that CPU.
        thread: Number of the calling thread in its team.
        threads: Size of the team.
    """

    def __init__(self, module: ir.Module, target: Target, name: str) -> None:
        self.target = target
        self.lanes = target.lanes
        self.module = module
        self.function = ir.Function(
            module,
            ir.FunctionType(VOID, [PTR, I64, I64]),
            module.get_unique_name(name),
        )
        self.function.linkage = "internal"
        self.function.attributes.add("noinline")  # it is called alone and by a team
        self._arguments, thread, threads = self.function.args
        self._entry = self.function.append_basic_block("entry")
        self._first = self.function.append_basic_block("first")
        self.builder = ir.IRBuilder(self._first)
        self.thread, self.threads = Int(self, thread), Int(self, threads)

    def finish(self) -> None:
        """End the function."""
        self.builder.ret_void()
        ir.IRBuilder(self._entry).branch(self._first)

    # Arguments and numbers

    def raw(self, value: Index) -> Any:
        """Return LLVM's value of an index."""
        return numbers(I64, value) if isinstance(value, int) else value.value

    def argument(self, place: Index) -> Int:
        """Return the integer argument at a place of the argument block.

        A known place is read on entry.
        """
        builder = ir.IRBuilder(self._entry) if isinstance(place, int) else self.builder
        at = builder.gep(self._arguments, [self.raw(place)], source_etype=I64)
        return Int(self, builder.load(at, typ=I64))

    def pointer(self, place: int, kind: str = "f32") -> Pointer:
        """Return the address at a place of the argument block, of elements of a kind."""
        builder = ir.IRBuilder(self._entry)
        at = builder.gep(self._arguments, [I64(place)], source_etype=I64)
        return Pointer(self, builder.load(at, typ=PTR), kind)

    def settled(self, at: Pointer) -> Pointer:
        """Return the same address, in a register whose origin LLVM does not look into.

        Where a loop computes dozens of addresses from one, loop strength reduction would weigh all
        ways to do that, and take more time than all other passes together.
        """
        kind = ir.FunctionType(PTR, [PTR])
        return Pointer(self, self.builder.asm(kind, "", "=r,0", [at.value], False), at.kind)

    def scratch(self, elements: int) -> Pointer:
        """Return room for so many float32 elements on the stack."""
        entry = ir.IRBuilder(self._entry)
        room = entry.alloca(ir.ArrayType(F32, elements))
        room.align = 64
        return Pointer(self, entry.inttoptr(entry.ptrtoint(room, I64), PTR), "f32")

    def constant(self, value: int) -> Int:
        """Return a number as an integer of the program."""
        return Int(self, I64(value))

    def smaller(self, a: Index, b: Index) -> Int:
        """Return the smaller of two integers."""
        return self._less(a, b).choose(a, b)

    def larger(self, a: Index, b: Index) -> Int:
        """Return the larger of two integers."""
        return self._less(a, b).choose(b, a)

    def _less(self, a: Index, b: Index) -> Condition:
        return Condition(self, self.builder.icmp_signed("<", self.raw(a), self.raw(b)))

    # Control flow

    @contextmanager
    def loop(self, stop: Index, start: Index = 0, step: int = 1) -> Iterator[Int]:
        """Repeat for start, start + step, … below stop; not at all where there is none."""
        if isinstance(stop, int) and isinstance(start, int) and stop - start in range(1, step + 1):
            yield self.constant(start)
            return
        before = self.builder.block
        body, after = (self.builder.append_basic_block(name) for name in ("body", "after"))
        self._again(self.raw(start), stop, body, after)
        self.builder.position_at_end(body)
        phi = self.builder.phi(I64)
        phi.add_incoming(self.raw(start), before)
        index = Int(self, phi)
        yield index
        following = (index + step).value
        phi.add_incoming(following, self.builder.block)
        self._again(following, stop, body, after)
        self.builder.position_at_end(after)

    def _again(self, index: Any, stop: Index, body: Any, after: Any) -> None:
        """Go to the body where an index is below the end: asked before and behind each turn."""
        self.builder.cbranch(self.builder.icmp_signed("<", index, self.raw(stop)), body, after)

    @contextmanager
    def when(self, condition: Condition) -> Iterator[None]:
        """Do a block only where a condition holds."""
        with self.builder.if_then(condition.value):
            yield

    @contextmanager
    def either(self, condition: Condition) -> Iterator[tuple[Any, Any]]:
        """Give two blocks: one where a condition holds, one where it does not."""
        with self.builder.if_else(condition.value) as blocks:
            yield blocks

    def share(self, count: Index) -> tuple[Int, Int]:
        """Return first and end of this thread's even share of `count` tasks."""
        total = Int(self, self.raw(count))
        return self.thread * total // self.threads, (self.thread + 1) * total // self.threads
