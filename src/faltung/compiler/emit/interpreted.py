"""A matrix unit in plain instructions: what tile instructions do, for CPUs that have none.

The registers are 8 KiB of the function's stack. Every instruction is a function of its own, for
the sake of compile time. As in the unit, denormal numbers count as zero, on the way in and out,
and the even and the odd members of the pairs are summed apart before they are added to the total.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

from faltung.compiler.emit.code import Code
from faltung.compiler.emit.values import F32, I32, I64, PTR, VOID, shaped, spread, whole

TILE = 1024  # bytes
ROWS = PAIRS = 16
I8 = ir.IntType(8)
FLOATS, WORDS = shaped(F32, PAIRS), shaped(I32, PAIRS)
EXPONENT, SIGN, UPPER = 0x7F800000, 0x80000000, 0xFFFF0000


def state(code: Code) -> Any:
    """Return room for the registers."""
    room = ir.IRBuilder(code._entry).alloca(ir.ArrayType(I8, 8 * TILE))
    room.align = 64
    return room


def zero(code: Code, registers: Any, tile: int) -> None:
    """Fill a register with zeros."""

    def body(b: ir.IRBuilder, at: Any) -> None:
        with _loop(b, ROWS) as row:
            b.store(ir.Constant(FLOATS, [0.0] * PAIRS), _place(b, at, _rows(b, row)), align=64)

    function = _function(code, "tile_zero", [PTR], body)
    code.builder.call(function, [_register(code, registers, tile)])


def move(code: Code, registers: Any, way: str, tile: int, at: Any, stride: Any) -> None:
    """Read ("load") or write ("store") a register, its rows `stride` bytes apart in memory."""

    def body(b: ir.IRBuilder, own: Any, there: Any, step: Any) -> None:
        with _loop(b, ROWS) as row:
            here, far = _place(b, own, _rows(b, row)), _place(b, there, b.mul(row, step))
            if way == "load":
                b.store(b.load(far, align=1, typ=FLOATS), here, align=64)
            else:
                b.store(b.load(here, align=64, typ=FLOATS), far, align=1)

    function = _function(code, f"tile_{way}", [PTR, PTR, I64], body)
    code.builder.call(function, [_register(code, registers, tile), at, stride])


def dot(code: Code, registers: Any, total: int, a: int, b: int) -> None:
    """Multiply two registers and add to a third."""
    function = _function(code, "tile_dot", [PTR] * 3, _dot)
    code.builder.call(function, [_register(code, registers, tile) for tile in (total, a, b)])


def _dot(b: ir.IRBuilder, total: Any, left: Any, right: Any) -> None:
    module = b.module
    name = f"llvm.fmuladd.v{PAIRS}f32"
    fma = module.globals.get(name) or ir.Function(
        module, ir.FunctionType(FLOATS, [FLOATS] * 3), name
    )
    sums = [b.alloca(FLOATS), b.alloca(FLOATS)]
    with _loop(b, ROWS) as row:
        for slot in sums:
            b.store(ir.Constant(FLOATS, [0.0] * PAIRS), slot)
        with _loop(b, PAIRS) as pair:
            four = b.mul(pair, I64(4))
            one = b.load(_place(b, left, b.add(_rows(b, row), four)), align=4, typ=I32)
            many = b.load(_place(b, right, _rows(b, pair)), align=64, typ=WORDS)
            beside = spread(b, one, PAIRS)
            for slot, half in zip(sums, (_low, _high), strict=True):
                product = [_flushed(b, b.bitcast(half(b, v), FLOATS)) for v in (beside, many)]
                now = b.load(slot, typ=FLOATS)
                b.store(_flushed(b, b.call(fma, [*product, now])), slot)
        both = _flushed(b, b.fadd(*(b.load(slot, typ=FLOATS) for slot in sums)))
        at = _place(b, total, _rows(b, row))
        before = _flushed(b, b.load(at, align=64, typ=FLOATS))
        b.store(_flushed(b, b.fadd(before, both)), at, align=64)


@contextmanager
def _loop(b: ir.IRBuilder, count: int) -> Iterator[Any]:
    """Repeat for 0 … count - 1."""
    before, body = b.block, b.append_basic_block("body")
    b.branch(body)
    b.position_at_end(body)
    index = b.phi(I64)
    index.add_incoming(I64(0), before)
    yield index
    following = b.add(index, I64(1))
    after = b.append_basic_block("after")
    index.add_incoming(following, b.block)
    b.cbranch(b.icmp_unsigned("<", following, I64(count)), body, after)
    b.position_at_end(after)


def _low(b: ir.IRBuilder, words: Any) -> Any:
    return b.shl(words, _whole(16))


def _high(b: ir.IRBuilder, words: Any) -> Any:
    return b.and_(words, _whole(UPPER))


def _flushed(b: ir.IRBuilder, value: Any) -> Any:
    """Return zeros, with their signs, in place of denormal numbers."""
    bits = b.bitcast(value, WORDS)
    small = b.icmp_unsigned("==", b.and_(bits, _whole(EXPONENT)), _whole(0))
    return b.bitcast(b.select(small, b.and_(bits, _whole(SIGN)), bits), FLOATS)


def _whole(number: int) -> Any:
    return whole(I32, number, PAIRS)


def _rows(b: ir.IRBuilder, row: Any) -> Any:
    return b.mul(row, I64(64))


def _place(b: ir.IRBuilder, at: Any, distance: Any) -> Any:
    return b.gep(at, [distance], source_etype=I8)


def _register(code: Code, registers: Any, tile: int) -> Any:
    return code.builder.gep(registers, [I64(tile * TILE)], source_etype=I8)


def _function(code: Code, name: str, kinds: list[Any], body: Callable[..., None]) -> Any:
    """Return a function of the module, written at its first use."""
    known = code.module.globals.get(name)
    if known is None:
        known = ir.Function(code.module, ir.FunctionType(VOID, kinds), name)
        known.linkage = "internal"
        known.attributes.add("noinline")
        builder = ir.IRBuilder(known.append_basic_block("entry"))
        body(builder, *known.args)
        builder.ret_void()
    return known
