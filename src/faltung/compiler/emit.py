"""Code that writes code: LLVM instructions as Python expressions, loops as `with` blocks.

The only user of `llvmlite.ir`. An `Int` is a 64-bit integer of the emitted program, a `Vector` a
register of float32 elements, a `Pointer` an address of elements; arithmetic on them emits
instructions, and arithmetic on plain Python numbers does not. Indentation of the emitting Python
is the indentation of the emitted program:

    with code.loop(rows) as row, code.loop(width) as x:
        code.store(code.load(source + row * width + x), target + x)
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias, Union

from llvmlite import ir

from faltung.compiler.target import Target

I1, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 16, 32, 64))
F32 = ir.FloatType()
PTR = ir.PointerType()
VOID = ir.VoidType()
SIZES = {"f32": 4, "bf16": 2, "i32": 4, "i64": 8}

Index: TypeAlias = Union["Int", int]


def _constant(value: int) -> Any:
    return ir.Constant(I64, value)


class Int:
    """A 64-bit integer of the emitted program; comparisons give a `Condition`."""

    def __init__(self, code: "Code", value: Any) -> None:
        self.code, self.value = code, value

    def _with(self, other: Index, operation: str, *, swapped: bool = False) -> "Int":
        left, right = self.value, self.code.raw(other)
        if swapped:
            left, right = right, left
        method = getattr(self.code.builder, operation)
        flags = ("nsw",) if operation in {"add", "sub", "mul"} else ()
        return Int(self.code, method(left, right, flags=flags))

    def __add__(self, other: Index) -> "Int":
        return self if isinstance(other, int) and other == 0 else self._with(other, "add")

    __radd__ = __add__

    def __sub__(self, other: Index) -> "Int":
        return self if isinstance(other, int) and other == 0 else self._with(other, "sub")

    def __rsub__(self, other: Index) -> "Int":
        return self._with(other, "sub", swapped=True)

    def __mul__(self, other: Index) -> "Int":
        return self if isinstance(other, int) and other == 1 else self._with(other, "mul")

    __rmul__ = __mul__

    def __floordiv__(self, other: Index) -> "Int":
        """Divide a number that is not negative."""
        return self if isinstance(other, int) and other == 1 else self._with(other, "udiv")

    def __mod__(self, other: Index) -> "Int":
        """Return the rest of a number that is not negative."""
        return self._with(other, "urem")

    def _compare(self, sign: str, other: Index) -> "Condition":
        return Condition(
            self.code, self.code.builder.icmp_signed(sign, self.value, self.code.raw(other))
        )

    def __lt__(self, other: Index) -> "Condition":
        return self._compare("<", other)

    def __ge__(self, other: Index) -> "Condition":
        return self._compare(">=", other)

    def __gt__(self, other: Index) -> "Condition":
        return self._compare(">", other)

    def equals(self, other: Index) -> "Condition":
        """Compare for equality (`==` would hide Python's own)."""
        return self._compare("==", other)


class Condition:
    """A truth value of the emitted program."""

    def __init__(self, code: "Code", value: Any) -> None:
        self.code, self.value = code, value

    def __and__(self, other: "Condition") -> "Condition":
        return Condition(self.code, self.code.builder.and_(self.value, other.value))

    def __or__(self, other: "Condition") -> "Condition":
        return Condition(self.code, self.code.builder.or_(self.value, other.value))

    def negated(self) -> "Condition":
        """Return the contrary."""
        return Condition(self.code, self.code.builder.not_(self.value))

    def choose(self, if_true: Index, if_false: Index) -> Int:
        """Return one of two integers."""
        pick = self.code.builder.select
        return Int(self.code, pick(self.value, self.code.raw(if_true), self.code.raw(if_false)))


class Pointer:
    """An address of elements ("f32", "bf16", "i32", "i64"); adding n moves it by n elements."""

    def __init__(self, code: "Code", value: Any, kind: str) -> None:
        self.code, self.value, self.kind = code, value, kind

    def __add__(self, elements: Index) -> "Pointer":
        if isinstance(elements, int) and elements == 0:
            return self
        size = SIZES[self.kind]
        raw = self.code.raw(elements)
        unit = {2: I16, 4: F32, 8: I64}[size]
        moved = self.code.builder.gep(self.value, [raw], inbounds=True, source_etype=unit)
        return Pointer(self.code, moved, self.kind)

    def __sub__(self, elements: "Int") -> "Pointer":
        return self + -1 * elements

    def cast(self, kind: str) -> "Pointer":
        """Return the same address, of other elements."""
        return Pointer(self.code, self.value, kind)


class Vector:
    """Elements in a register (or one element: a vector of one lane is a scalar)."""

    def __init__(self, code: "Code", value: Any) -> None:
        self.code, self.value = code, value

    def _apply(self, operation: str, other: "Vector") -> "Vector":
        return Vector(self.code, getattr(self.code.builder, operation)(self.value, other.value))

    def __add__(self, other: "Vector") -> "Vector":
        return self._apply("fadd", other)

    def __sub__(self, other: "Vector") -> "Vector":
        return self._apply("fsub", other)

    def __mul__(self, other: "Vector") -> "Vector":
        return self._apply("fmul", other)

    def __truediv__(self, other: "Vector") -> "Vector":
        return self._apply("fdiv", other)

    def __neg__(self) -> "Vector":
        return Vector(self.code, self.code.builder.fneg(self.value))

    def beats(self, other: "Vector", sign: str) -> "Mask":
        """Say where an element is ">" or "<" than the other's; a NaN never is, nor is beaten."""
        return Mask(self.code, self.code.builder.fcmp_ordered(sign, self.value, other.value))

    def is_nan(self) -> "Mask":
        """Say where an element is NaN."""
        return Mask(self.code, self.code.builder.fcmp_unordered("uno", self.value, self.value))


class Mask:
    """A truth value for each element of a vector."""

    def __init__(self, code: "Code", value: Any) -> None:
        self.code, self.value = code, value

    def __or__(self, other: "Mask") -> "Mask":
        return Mask(self.code, self.code.builder.or_(self.value, other.value))

    def __and__(self, other: "Mask") -> "Mask":
        return Mask(self.code, self.code.builder.and_(self.value, other.value))

    def choose(self, if_true: Vector, if_false: Vector) -> Vector:
        """Return elements of one vector where true, of the other elsewhere."""
        pick = self.code.builder.select
        return Vector(self.code, pick(self.value, if_true.value, if_false.value))


class Variable:
    """A register that can be written again; the optimiser turns it into values."""

    def __init__(self, code: "Code", slot: Any, wrap: Callable[[Any, Any], Any]) -> None:
        self.code, self._slot, self._wrap = code, slot, wrap

    def get(self) -> Any:
        """Return what it holds now."""
        return self._wrap(self.code, self.code.builder.load(self._slot))

    def set(self, value: Any) -> None:
        """Hold another value."""
        self.code.builder.store(value.value, self._slot)


class Code:
    """A function that is being written: it works through one share of a parallel region.

    Attributes:
        target: The CPU it is written for.
        lanes: float32 elements of a vector of that CPU.
        thread: Number of the calling thread in its team.
        threads: Size of the team.
    """

    def __init__(self, program: "Program", name: str) -> None:
        self.target = program.target
        self.lanes = program.target.lanes
        self._program = program
        self.function = ir.Function(
            program.module,
            ir.FunctionType(VOID, [PTR, I64, I64]),
            program.module.get_unique_name(name),
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
        return _constant(value) if isinstance(value, int) else value.value

    def argument(self, place: int) -> Int:
        """Return the integer argument at a place of the argument block."""
        at = self.builder.gep(self._arguments, [_constant(place)], source_etype=I64)
        return Int(self, self.builder.load(at, typ=I64))

    def pointer(self, place: int, kind: str = "f32") -> Pointer:
        """Return the address at a place of the argument block, of elements of a kind."""
        at = self.builder.gep(self._arguments, [_constant(place)], source_etype=I64)
        return Pointer(self, self.builder.load(at, typ=PTR), kind)

    def constant(self, value: int) -> Int:
        """Return a number as an integer of the program."""
        return Int(self, _constant(value))

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
        head, body, after = (self.builder.append_basic_block(n) for n in ("head", "body", "after"))
        self.builder.branch(head)
        self.builder.position_at_end(head)
        phi = self.builder.phi(I64)
        phi.add_incoming(self.raw(start), before)
        self.builder.cbranch(self.builder.icmp_signed("<", phi, self.raw(stop)), body, after)
        self.builder.position_at_end(body)
        index = Int(self, phi)
        yield index
        following = index + step
        phi.add_incoming(following.value, self.builder.block)
        self.builder.branch(head)
        self.builder.position_at_end(after)

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
        if count == 1:
            return Vector(self, ir.Constant(F32, number))
        return Vector(self, ir.Constant(ir.VectorType(F32, count), [number] * count))

    def spread(self, scalar: Vector, lanes: int | None = None) -> Vector:
        """Return a vector whose elements are all one scalar."""
        count = self.lanes if lanes is None else lanes
        if count == 1:
            return scalar
        kind = ir.VectorType(F32, count)
        one = self.builder.insert_element(ir.Constant(kind, ir.Undefined), scalar.value, I32(0))
        zeros = ir.Constant(ir.VectorType(I32, count), [0] * count)
        return Vector(
            self, self.builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), zeros)
        )

    def load(self, at: Pointer, lanes: int | None = None) -> Vector:
        """Read elements as float32; bfloat16 is widened, exactly."""
        count = self.lanes if lanes is None else lanes
        if at.kind == "f32":
            kind = F32 if count == 1 else ir.VectorType(F32, count)
            return Vector(self, self.builder.load(at.value, align=4, typ=kind))
        short, wide = (I16, I32) if count == 1 else (ir.VectorType(k, count) for k in (I16, I32))
        bits = self.builder.zext(self.builder.load(at.value, align=2, typ=short), wide)
        bits = self.builder.shl(bits, self._whole(16, count))
        return Vector(
            self, self.builder.bitcast(bits, F32 if count == 1 else ir.VectorType(F32, count))
        )

    def broadcast(self, at: Pointer, lanes: int | None = None) -> Vector:
        """Read one element into all elements of a vector."""
        return self.spread(self.load(at, 1), lanes)

    def store(self, value: Vector, at: Pointer) -> None:
        """Write elements; to bfloat16 they are rounded to nearest, ties to even, NaN stays NaN."""
        if at.kind == "f32":
            self.builder.store(value.value, at.value, align=4)
            return
        kind = value.value.type
        count = kind.count if isinstance(kind, ir.VectorType) else 1
        wide, short = (I32, I16) if count == 1 else (ir.VectorType(k, count) for k in (I32, I16))
        b = self.builder
        bits = b.bitcast(value.value, wide)
        odd = b.and_(b.lshr(bits, self._whole(16, count)), self._whole(1, count))
        rounded = b.add(b.add(bits, self._whole(0x7FFF, count)), odd)
        quiet = b.or_(bits, self._whole(0x400000, count))
        rounded = b.select(value.is_nan().value, quiet, rounded)
        b.store(b.trunc(b.lshr(rounded, self._whole(16, count)), short), at.value, align=2)

    @staticmethod
    def _whole(number: int, count: int) -> Any:
        if count == 1:
            return ir.Constant(I32, number)
        return ir.Constant(ir.VectorType(I32, count), [number] * count)

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

    def sqrt(self, a: Vector) -> Vector:
        """Return the square root."""
        return Vector(self, self._intrinsic("llvm.sqrt", a))

    def _intrinsic(self, name: str, *operands: Vector) -> Any:
        kind = operands[0].value.type
        suffix = f"v{kind.count}f32" if isinstance(kind, ir.VectorType) else "f32"
        full = f"{name}.{suffix}"
        known = self._program.module.globals.get(full)
        if known is None:
            signature = ir.FunctionType(kind, [kind] * len(operands))
            known = ir.Function(self._program.module, signature, full)
        return self.builder.call(known, [operand.value for operand in operands])

    def shuffle(self, a: Vector, b: Vector, places: Sequence[int]) -> Vector:
        """Return elements of two vectors, numbered through, at these places."""
        mask = ir.Constant(ir.VectorType(I32, len(places)), list(places))
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
        """Return the larger of `most` and the magnitude of a value; of NaN it is not a number."""
        size = Vector(self, self._intrinsic("llvm.fabs", value))
        fits = Mask(self, self.builder.fcmp_ordered("<=", size.value, most.value))
        return fits.choose(most, size)

    def all_below(self, a: Vector, limit: float) -> Condition:
        """Say whether all elements are below a limit; NaN is not."""
        count = a.value.type.count
        below = self.builder.fcmp_ordered("<", a.value, self.fill(limit, count).value)
        bits = self.builder.bitcast(below, ir.IntType(count))
        return Condition(self, self.builder.icmp_signed("==", bits, ir.IntType(count)(-1)))

    # Elements apart, and whole numbers in vectors

    def gather(self, at: Pointer, step: Index, lanes: int | None = None) -> Vector:
        """Read elements that lie `step` elements apart."""
        count = self.lanes if lanes is None else lanes
        if count == 1:
            return self.load(at, 1)
        made = ir.Constant(ir.VectorType(F32, count), ir.Undefined)
        for lane in range(count):
            element = self.load(at + lane * step, 1).value
            made = self.builder.insert_element(made, element, I32(lane))
        return Vector(self, made)

    def scatter(self, value: Vector, at: Pointer, step: Index) -> None:
        """Write elements `step` elements apart."""
        kind = value.value.type
        if not isinstance(kind, ir.VectorType):
            self.store(value, at)
            return
        for lane in range(kind.count):
            element = self.builder.extract_element(value.value, I32(lane))
            self.store(Vector(self, element), at + lane * step)

    def number(self, value: Index) -> Vector:
        """Return an integer as a float32 scalar."""
        return Vector(self, self.builder.sitofp(self.raw(value), F32))

    def rounded(self, value: Vector, kind: str) -> Vector:
        """Return what a store to elements of a kind and a load would give."""
        if kind == "f32":
            return value
        shape = value.value.type
        count = shape.count if isinstance(shape, ir.VectorType) else 1
        b, wide = self.builder, I32 if count == 1 else ir.VectorType(I32, count)
        bits = b.bitcast(value.value, wide)
        odd = b.and_(b.lshr(bits, self._whole(16, count)), self._whole(1, count))
        near = b.add(b.add(bits, self._whole(0x7FFF, count)), odd)
        near = b.select(value.is_nan().value, b.or_(bits, self._whole(0x400000, count)), near)
        return Vector(self, b.bitcast(b.and_(near, self._whole(0xFFFF0000, count)), shape))

    def spread_int(self, value: Index, lanes: int | None = None) -> Vector:
        """Return 32-bit integers that are all one number."""
        count = self.lanes if lanes is None else lanes
        short = self.builder.trunc(self.raw(value), I32)
        bits = Vector(self, self.builder.bitcast(short, F32))
        kind = I32 if count == 1 else ir.VectorType(I32, count)
        return Vector(self, self.builder.bitcast(self.spread(bits, count).value, kind))

    def add_ints(self, a: Vector, b: Vector) -> Vector:
        """Return the sums of 32-bit integers."""
        return Vector(self, self.builder.add(a.value, b.value))

    def load_ints(self, at: Pointer, lanes: int | None = None) -> Vector:
        """Read "i32" elements."""
        count = self.lanes if lanes is None else lanes
        kind = I32 if count == 1 else ir.VectorType(I32, count)
        return Vector(self, self.builder.load(at.value, align=4, typ=kind))

    def store_short(self, value: Index, at: Pointer) -> None:
        """Write an integer to an "i32" element."""
        self.builder.store(self.builder.trunc(self.raw(value), I32), at.value, align=4)

    def store_positions(self, offsets: Vector, base: Index, step: int, at: Pointer) -> None:
        """Write base + lane * step + offsets[lane] to "i64" elements that lie side by side."""
        kind = offsets.value.type
        count = kind.count if isinstance(kind, ir.VectorType) else 1
        long = I64 if count == 1 else ir.VectorType(I64, count)
        b, bases = self.builder, self.raw(base)
        if count > 1:
            zeros = ir.Constant(ir.VectorType(I32, count), [0] * count)
            nothing = ir.Constant(long, ir.Undefined)
            bases = b.shuffle_vector(b.insert_element(nothing, bases, I32(0)), nothing, zeros)
            bases = b.add(bases, ir.Constant(long, [lane * step for lane in range(count)]))
        b.store(b.add(b.sext(offsets.value, long), bases), at.value, align=8)


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
        code = Code(self, name)
        yield code
        code.finish()
        self._regions.append(code.function)

    def text(self) -> str:
        """Return the whole module as LLVM assembly."""
        kind = ir.FunctionType(VOID, [PTR, I64])
        run = ir.Function(self.module, kind, "run")
        builder = ir.IRBuilder(run.append_basic_block("entry"))
        arguments, threads = run.args
        many = builder.icmp_signed(">", threads, _constant(1))
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
                    builder.call(region, [arguments, _constant(0), _constant(1)])
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
