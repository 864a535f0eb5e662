"""Registers, memory and vector arithmetic of a function that is being written."""

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from faltung.compiler.emit.flow import Flow
from faltung.compiler.emit.values import (
    F32,
    I16,
    I32,
    I64,
    Condition,
    Index,
    Int,
    Pointer,
    Variable,
    Vector,
    lanes_of,
    numbers,
    shaped,
    spread,
    whole,
)


class Code(Flow):
    """A function that is being written; loops and arguments are those of `Flow`."""

    # Registers and memory

    def variable(self, value: Any) -> Variable:
        """Return a variable that begins with a value (Int or Vector)."""
        kind = type(value)
        slot = ir.IRBuilder(self._entry).alloca(value.value.type)
        made = Variable(self, slot, kind)
        made.set(value)
        return made

    def int_variable(self, value: Index) -> Variable:
        """Return an integer variable that begins with a value."""
        return self.variable(Int(self, self.raw(value)))

    def fill(self, number: float, lanes: int | None = None) -> Vector:
        """Return a vector whose elements are all one number."""
        count = self.lanes if lanes is None else lanes
        each = number if count == 1 else [number] * count
        return Vector(self, ir.Constant(shaped(F32, count), each))

    def spread(self, scalar: Vector, lanes: int | None = None) -> Vector:
        """Return a vector whose elements are all one scalar."""
        count = self.lanes if lanes is None else lanes
        return Vector(self, spread(self.builder, scalar.value, count))

    def load(self, at: Pointer, lanes: int | None = None) -> Vector:
        """Read elements as float32; bfloat16 is widened, exactly."""
        count = self.lanes if lanes is None else lanes
        if at.kind == "f32":
            return Vector(self, self.builder.load(at.value, align=4, typ=shaped(F32, count)))
        short = self.builder.load(at.value, align=2, typ=shaped(I16, count))
        bits = self.builder.shl(self.builder.zext(short, shaped(I32, count)), whole(I32, 16, count))
        return Vector(self, self.builder.bitcast(bits, shaped(F32, count)))

    def broadcast(self, at: Pointer, lanes: int | None = None) -> Vector:
        """Read one element into all elements of a vector."""
        return self.spread(self.load(at, 1), lanes)

    def store(self, value: Vector, at: Pointer) -> None:
        """Write elements; to bfloat16 they are rounded to nearest, ties to even, NaN stays NaN."""
        if at.kind == "f32":
            self.builder.store(value.value, at.value, align=4)
            return
        near = self.rounded(value, "bf16").value
        count = lanes_of(near)
        bits = self.builder.bitcast(near, shaped(I32, count))
        bits = self.builder.lshr(bits, whole(I32, 16, count))
        self.builder.store(self.builder.trunc(bits, shaped(I16, count)), at.value, align=2)

    def load_int(self, at: Pointer) -> Int:
        """Read an "i64" element."""
        return Int(self, self.builder.load(at.value, align=8, typ=I64))

    def store_int(self, value: Index, at: Pointer) -> None:
        """Write an "i64" element."""
        self.builder.store(self.raw(value), at.value, align=8)

    # Arithmetic on vectors

    def fma(self, a: Vector, b: Vector, c: Vector) -> Vector:
        """Return a * b + c, rounded once where the CPU can, else after each operation."""
        return Vector(self, self._intrinsic("llvm.fmuladd", a, b, c))

    def _intrinsic(self, name: str, *operands: Vector) -> Any:
        kind = operands[0].value.type
        suffix = f"v{kind.count}f32" if isinstance(kind, ir.VectorType) else "f32"
        full = f"{name}.{suffix}"
        known = self.module.globals.get(full)
        if known is None:
            signature = ir.FunctionType(kind, [kind] * len(operands))
            known = ir.Function(self.module, signature, full)
        return self.builder.call(known, [operand.value for operand in operands])

    def shuffle(self, a: Vector, b: Vector, places: Sequence[int]) -> Vector:
        """Return elements of two vectors, numbered through, at these places."""
        mask = numbers(I32, *places)
        return Vector(self, self.builder.shuffle_vector(a.value, b.value, mask))

    def transposed(self, rows: Sequence[Vector]) -> list[Vector]:
        """Transpose a square: as many vectors as each has elements (4, 8 or 16).

        Within 128-bit lanes pairs of rows are interleaved by single elements, then by twos; beyond,
        halves of growing blocks change places: the cheap shuffles of each instruction set.
        """
        n = len(rows)
        lanes = range(0, n, 4)
        now: list[Vector] = []
        for group in lanes:
            a, b, c, d = rows[group : group + 4]
            low, high = (
                [s + i + j for s in lanes for i in h for j in (0, n)] for h in ((0, 1), (2, 3))
            )
            ab, cd = ([self.shuffle(x, y, p) for p in (low, high)] for x, y in ((a, b), (c, d)))
            low, high = (
                [s + i + j for s in lanes for j in (0, n) for i in h] for h in ((0, 1), (2, 3))
            )
            now += [self.shuffle(x, y, p) for x, y in zip(ab, cd, strict=True) for p in (low, high)]
        unit = 4
        while unit < n:
            low = [j if not j & unit else n + j - unit for j in range(n)]
            high = [j + unit if not j & unit else n + j for j in range(n)]
            before = list(now)
            for row in (row for row in range(n) if not row & unit):
                pair = before[row], before[row + unit]
                now[row], now[row + unit] = self.shuffle(*pair, low), self.shuffle(*pair, high)
            unit *= 2
        return now

    def largest(self, most: Vector, value: Vector) -> Vector:
        """Return the larger of `most` and the magnitude of a value; NaN is larger than infinity."""
        size = self._intrinsic("llvm.fabs", value)
        wide = shaped(I32, size.type.count)
        # Without a sign, floating-point numbers are ordered as their bits are.
        bits, held = (self.builder.bitcast(v, wide) for v in (size, most.value))
        larger = self.builder.select(self.builder.icmp_signed(">", bits, held), bits, held)
        return Vector(self, self.builder.bitcast(larger, size.type))

    def all_below(self, a: Vector, limit: float) -> Condition:
        """Say whether all elements are below a limit; NaN is not."""
        count = a.value.type.count
        below = self.builder.fcmp_ordered("<", a.value, self.fill(limit, count).value)
        bits = self.builder.bitcast(below, ir.IntType(count))
        return Condition(self, self.builder.icmp_signed("==", bits, ir.IntType(count)(-1)))

    # Elements apart, and whole numbers in vectors

    def within(self, value: Index, stop: Index) -> Condition:
        """Say whether 0 <= value < stop, in one comparison, for a `stop` that is not negative."""
        low = self.builder.icmp_unsigned("<", self.raw(value), self.raw(stop))
        return Condition(self, low)

    def gather(self, at: Pointer, step: Index, lanes: int | None = None) -> Vector:
        """Read elements that lie `step` elements apart."""
        count = self.lanes if lanes is None else lanes
        if count == 1:
            return self.load(at, 1)
        made = ir.Constant(shaped(F32, count), ir.Undefined)
        for lane in range(count):
            element = self.load(at + lane * step, 1).value
            made = self.builder.insert_element(made, element, I32(lane))
        return Vector(self, made)

    def scatter(self, value: Vector, at: Pointer, step: Index) -> None:
        """Write elements `step` elements apart."""
        count = lanes_of(value.value)
        if count == 1:
            self.store(value, at)
            return
        for lane in range(count):
            element = self.builder.extract_element(value.value, I32(lane))
            self.store(Vector(self, element), at + lane * step)

    def number(self, value: Index) -> Vector:
        """Return an integer as a float32 scalar."""
        return Vector(self, self.builder.sitofp(self.raw(value), F32))

    def rounded(self, value: Vector, kind: str) -> Vector:
        """Return what a store to elements of a kind and a load would give."""
        if kind == "f32":
            return value
        b, count = self.builder, lanes_of(value.value)
        bits = b.bitcast(value.value, shaped(I32, count))
        odd = b.and_(b.lshr(bits, whole(I32, 16, count)), whole(I32, 1, count))
        near = b.add(b.add(bits, whole(I32, 0x7FFF, count)), odd)
        near = b.select(value.is_nan().value, b.or_(bits, whole(I32, 0x400000, count)), near)
        return Vector(
            self, b.bitcast(b.and_(near, whole(I32, 0xFFFF0000, count)), value.value.type)
        )

    def spread_int(self, value: Index, lanes: int | None = None) -> Vector:
        """Return 32-bit integers that are all one number."""
        count = self.lanes if lanes is None else lanes
        short = self.builder.trunc(self.raw(value), I32)
        bits = Vector(self, self.builder.bitcast(short, F32))
        kind = shaped(I32, count)
        return Vector(self, self.builder.bitcast(self.spread(bits, count).value, kind))

    def add_ints(self, a: Vector, b: Vector) -> Vector:
        """Return the sums of 32-bit integers."""
        return Vector(self, self.builder.add(a.value, b.value))

    def load_ints(self, at: Pointer, lanes: int | None = None) -> Vector:
        """Read "i32" elements."""
        count = self.lanes if lanes is None else lanes
        return Vector(self, self.builder.load(at.value, align=4, typ=shaped(I32, count)))

    def store_short(self, value: Index, at: Pointer) -> None:
        """Write an integer to an "i32" element."""
        self.builder.store(self.builder.trunc(self.raw(value), I32), at.value, align=4)

    def store_positions(self, offsets: Vector, base: Index, step: int, at: Pointer) -> None:
        """Write base + lane * step + offsets[lane] to "i64" elements that lie side by side."""
        b, count = self.builder, lanes_of(offsets.value)
        bases = spread(b, self.raw(base), count)
        if count > 1:
            bases = b.add(bases, numbers(I64, *[lane * step for lane in range(count)]))
        b.store(b.add(b.sext(offsets.value, shaped(I64, count)), bases), at.value, align=8)
