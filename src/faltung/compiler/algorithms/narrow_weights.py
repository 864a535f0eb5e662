"""Weights of few outputs, packed as [phase][channel][row of taps][column][output]."""

from dataclasses import dataclass

from faltung.compiler.algorithms.argument_block import read_arguments
from faltung.compiler.algorithms.narrow_form import phase
from faltung.compiler.emit import Program
from faltung.compiler.plan import POINTERS
from faltung.compiler.target import Target

SIZES = (
    "channels", "phases", "weight_output", "weight_channel", "weight_row", "weight_column",
)  # fmt: skip


@dataclass(frozen=True)
class Pack:
    """The kernel; behind the numbers of `SIZES` follow those of the phases.

    Attributes:
        kind: Element type of the weights.
        outputs: Number of outputs.
    """

    kind: str
    outputs: int

    def emit(self, target: Target) -> Program:
        """Write the kernel."""
        program = Program(target)
        with program.region("pack") as code:
            a = read_arguments(code, self.kind, ("source", "weights"), SIZES)
            first, last = code.share(a.channels)
            with code.loop(a.phases) as number:
                f = phase(code, POINTERS + len(SIZES), number)
                taps = f.tap_rows * f.tap_columns
                with code.loop(last, first) as c, code.loop(f.tap_rows) as r:
                    line = a.weights + f.weight_offset + c * a.weight_channel + r * a.weight_row
                    to = a.prepared + f.packed + (c * taps + r * f.tap_columns) * self.outputs
                    with code.loop(f.tap_columns) as s:
                        for k in range(self.outputs):
                            value = code.load(line + s * a.weight_column + k * a.weight_output, 1)
                            code.store(value, to + s * self.outputs + k)
        return program
