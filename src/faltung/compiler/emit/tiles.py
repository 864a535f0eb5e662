"""The tile registers of a matrix unit (Intel AMX): eight matrices of 16 rows of 64 bytes.

A row holds 32 bfloat16 numbers or 16 float32 numbers. `dot` multiplies 16 rows of 32 numbers by
16 rows of 16 pairs of numbers, and adds to 16 rows of 16 float32 numbers:

    sum[m][n] += a[m][2 k] * b[k][2 n] + a[m][2 k + 1] * b[k][2 n + 1], for k = 0 … 15

Source: Intel, "Architecture Instruction Set Extensions Programming Reference", TDPBF16PS.

Where a target has its tiles interpreted, plain instructions do the same (`interpreted`): kernels
for the matrix unit run, slowly, on CPUs that have none.
"""

from typing import Any

from llvmlite import ir

from faltung.compiler.emit import interpreted
from faltung.compiler.emit.code import Code
from faltung.compiler.emit.values import I64, PTR, VOID, Index, Pointer

ROWS = 16
PAIRS = 16
ROW = 64  # bytes
REGISTERS = 8
I8 = ir.IntType(8)


class Tiles:
    """The tile registers, as a function that is being written uses them.

    Between `configure` and `release` the calling thread owns them. Registers are told by numbers;
    places in memory by an address and the bytes from one row to the next.
    """

    def __init__(self, code: Code) -> None:
        self._code = code
        self._state = interpreted.state(code) if code.target.tiles == "interpreted" else None

    def configure(self) -> None:
        """Take all registers into use, each of 16 rows of 64 bytes."""
        if self._state is None:
            self._call("ldtilecfg", [PTR], [_configuration(self._code)])

    def release(self) -> None:
        """Give the registers back, as every thread must before it returns."""
        if self._state is None:
            self._call("tilerelease", [], [])

    def zero(self, tile: int) -> None:
        """Fill a register with zeros."""
        if self._state is None:
            self._call("tilezero", [I8], [I8(tile)])
        else:
            interpreted.zero(self._code, self._state, tile)

    def load(self, tile: int, at: Pointer, stride: Index) -> None:
        """Read a register."""
        self._move("load", tile, at, stride)

    def store(self, tile: int, at: Pointer, stride: Index) -> None:
        """Write a register."""
        self._move("store", tile, at, stride)

    def dot(self, total: int, a: int, b: int) -> None:
        """Add the product of two registers of bfloat16 numbers to one of float32 numbers."""
        if self._state is None:
            self._call("tdpbf16ps", [I8] * 3, [I8(total), I8(a), I8(b)])
        else:
            interpreted.dot(self._code, self._state, total, a, b)

    def _move(self, way: str, tile: int, at: Pointer, stride: Index) -> None:
        step = self._code.raw(stride)
        if self._state is None:
            name = {"load": "tileloadd64", "store": "tilestored64"}[way]
            self._call(name, [I8, PTR, I64], [I8(tile), at.value, step])
        else:
            interpreted.move(self._code, self._state, way, tile, at.value, step)

    def _call(self, name: str, kinds: list[Any], operands: list[Any]) -> None:
        module, full = self._code.module, f"llvm.x86.{name}"
        known = module.globals.get(full) or ir.Function(module, ir.FunctionType(VOID, kinds), full)
        self._code.builder.call(known, operands)


def _configuration(code: Code) -> Any:
    """Return the address of what `ldtilecfg` reads: palette 1, and the shape of each register."""
    known = code.module.globals.get("tiles")
    if known is None:
        shape = bytes([1] + [0] * 15)
        shape += b"".join(ROW.to_bytes(2, "little") for _ in range(REGISTERS)) + bytes(16)
        shape += bytes([ROWS] * REGISTERS + [0] * 8)
        kind = ir.ArrayType(I8, len(shape))
        known = ir.GlobalVariable(code.module, kind, "tiles")
        known.initializer = ir.Constant(kind, bytearray(shape))
        known.global_constant, known.linkage, known.align = True, "internal", 64
    return known
