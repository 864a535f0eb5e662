"""Values of the emitted program: integers, truth values, addresses, vectors, variables."""

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, Protocol, TypeAlias, Union

from llvmlite import ir

I1, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 16, 32, 64))
F32 = ir.FloatType()
PTR = ir.PointerType()
VOID = ir.VoidType()
SIZES = {"f32": 4, "bf16": 2, "i32": 4, "i64": 8}

Index: TypeAlias = Union["Int", int]


@cache
def shaped(kind: Any, lanes: int) -> Any:
    """Return the type of so many elements; one is a scalar."""
    return kind if lanes == 1 else ir.VectorType(kind, lanes)


@lru_cache(maxsize=None, typed=True)
def numbers(kind: Any, *each: int) -> Any:
    """Return whole numbers, one for each lane, as a constant."""
    return ir.Constant(shaped(kind, len(each)), each if len(each) > 1 else each[0])


@lru_cache(maxsize=None, typed=True)
def whole(kind: Any, number: int, lanes: int) -> Any:
    """Return a constant that is one whole number in all lanes."""
    return numbers(kind, *[number] * lanes)


def lanes_of(value: Any) -> int:
    """Return how many elements a value of LLVM has."""
    return value.type.count if isinstance(value.type, ir.VectorType) else 1


def spread(builder: Any, scalar: Any, lanes: int) -> Any:
    """Return a scalar in so many lanes."""
    if lanes == 1:
        return scalar
    nothing = ir.Constant(shaped(scalar.type, lanes), ir.Undefined)
    first = builder.insert_element(nothing, scalar, I32(0))
    return builder.shuffle_vector(first, nothing, whole(I32, 0, lanes))


class Writer(Protocol):
    """What values need of the code they belong to."""

    builder: Any

    def raw(self, value: Index) -> Any:
        """Return LLVM's value of an index."""


class Int:
    """A 64-bit integer of the emitted program; comparisons give a `Condition`."""

    def __init__(self, code: Writer, value: Any) -> None:
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

    def __init__(self, code: Writer, value: Any) -> None:
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

    def pick(self, if_true: "Pointer", if_false: "Pointer") -> "Pointer":
        """Return one of two addresses of the same kind."""
        value = self.code.builder.select(self.value, if_true.value, if_false.value)
        return Pointer(self.code, value, if_true.kind)


class Pointer:
    """An address of elements ("f32", "bf16", "i32", "i64"); adding n moves it by n elements."""

    def __init__(self, code: Writer, value: Any, kind: str) -> None:
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

    def is_none(self) -> Condition:
        """Say whether this is address 0."""
        return Condition(self.code, self.code.builder.icmp_unsigned("==", self.value, PTR(None)))

    def cast(self, kind: str) -> "Pointer":
        """Return the same address, of other elements."""
        return Pointer(self.code, self.value, kind)


class Vector:
    """Elements in a register (or one element: a vector of one lane is a scalar)."""

    def __init__(self, code: Writer, value: Any) -> None:
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

    def __init__(self, code: Writer, value: Any) -> None:
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

    def __init__(self, code: Writer, slot: Any, wrap: Callable[[Any, Any], Any]) -> None:
        self.code, self._slot, self._wrap = code, slot, wrap

    def get(self) -> Any:
        """Return what it holds now."""
        return self._wrap(self.code, self.code.builder.load(self._slot))

    def set(self, value: Any) -> None:
        """Hold another value."""
        self.code.builder.store(value.value, self._slot)
