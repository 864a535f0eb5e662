"""Code that writes code: LLVM instructions as Python expressions, loops as `with` blocks.

The only user of `llvmlite.ir`. An `Int` is a 64-bit integer of the emitted program, a `Vector` a
register of float32 elements, a `Pointer` an address of elements; arithmetic on them emits
instructions, and arithmetic on plain Python numbers does not. Indentation of the emitting Python
is the indentation of the emitted program:

    with code.loop(rows) as row, code.loop(width) as x:
        code.store(code.load(source + row * width + x), target + x)
"""

from faltung.compiler.emit.code import Code
from faltung.compiler.emit.program import Program
from faltung.compiler.emit.values import (
    Condition,
    Index,
    Int,
    Mask,
    Pointer,
    Variable,
    Vector,
)

__all__ = [
    "Code",
    "Condition",
    "Index",
    "Int",
    "Mask",
    "Pointer",
    "Program",
    "Variable",
    "Vector",
]
